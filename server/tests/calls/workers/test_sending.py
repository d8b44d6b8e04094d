"""Frames on their way: one write a turn, in order, none lost at the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.runtime import settle
from trice.functions.worker.sending import Sending


class Transport(asyncio.WriteTransport):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.told.append(bytes(data))

    def is_closing(self) -> bool:
        return "closed" in self.told

    def close(self) -> None:
        self.told.append("closed")


@pytest.mark.rule("FN643")
async def test_frames_of_one_turn_are_one_write() -> None:
    transport, counted = Transport(), []
    sending = Sending(transport, lambda: counted.append(len(transport.told)))
    for frame in (b"a", b"b", b"c"):
        sending.send(frame)
    assert transport.told == []
    await settle()
    sending.send(b"d")
    await settle()
    assert transport.told == [b"abc", b"d"]
    assert counted == [1, 2]


@pytest.mark.rule("FN643")
async def test_what_is_urgent_goes_at_once_behind_what_waits() -> None:
    transport = Transport()
    sending = Sending(transport)
    sending.send(b"a")
    sending.send(b"log")
    sending.flush()
    assert transport.told == [b"alog"]
    await settle()
    assert transport.told == [b"alog"]


@pytest.mark.rule("FN643")
async def test_closing_writes_what_waits_and_nothing_comes_after() -> None:
    transport = Transport()
    sending = Sending(transport)
    sending.send(b"a")
    sending.close()
    sending.send(b"b")
    await settle()
    assert transport.told == [b"a", "closed"]
