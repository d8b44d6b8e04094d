"""Frames that come in parts: counted while picows keeps them, and not kept beyond."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import contextmanager

import orjson
import pytest

from support.wire import HANDSHAKE, Wire, masked
from trice import limits
from trice.session import picows_socket
from trice.session.incoming import Incoming
from trice.session.pages import give_back_pages
from trice.session.picows_socket import make_protocol_class


class Client:
    """One connection, as the loop would drive it."""

    def __init__(self, hub, peer):
        self.wire = Wire(peer)
        protocol = make_protocol_class(hub, None)(None, None, None)
        protocol.connection_made(self.wire)
        protocol.data_received(HANDSHAKE)
        self.protocol = protocol
        self.send = protocol.data_received
        self.end = protocol.connection_lost
        self.shaken = len(self.wire.written)

    @property
    def is_refused(self):
        return (1013).to_bytes(2, "big") in self.wire.written[self.shaken :]


@contextmanager
def clients(stage, count):
    with socket.socket() as peer:
        made = [Client(stage.hub, peer) for _ in range(count)]
        yield made
        for client in made:
            client.end(None)
    assert stage.hub.unfinished_bytes == 0


@pytest.mark.rule("P161")
@pytest.mark.parametrize("piece", [1_000, 50_000, 100_000])
async def test_frames_in_parts_have_the_share_of_messages_in_fragments(
    open_stage, monkeypatch, piece
):
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_OF_NETWORK_MAX", 200_000)
    frame = masked(0x81, b"x" * 100_000)
    stage = await open_stage()
    with clients(stage, 4) as (first, second, third, fourth):
        for client in (first, second, third):
            for start in range(0, len(frame) - 1, piece):
                client.send(frame[start : min(start + piece, len(frame) - 1)])
        assert [c.is_refused for c in (first, second, third)] == [False, False, True]
        first.send(frame[-1:])
        fourth.send(frame[:-1])
        assert not fourth.is_refused
        assert not second.is_refused


@pytest.mark.rule("P161")
async def test_whole_frames_are_nothing_unfinished(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_OF_NETWORK_MAX", 1_000)
    stage = await open_stage()
    with clients(stage, 1) as (client,):
        for size in (10, 10_000, 30_000):
            client.send(masked(0x81, b"x" * size) * 4)
            assert stage.hub.unfinished_bytes == 0
        assert not client.is_refused


@pytest.mark.rule("P162")
async def test_the_buffer_of_a_large_frame_gives_its_memory_back(open_stage, monkeypatch):
    given = []
    monkeypatch.setattr(picows_socket, "give_back_pages", lambda unused: given.append(len(unused)))
    frame = masked(0x81, b"x" * 5_000_000)
    stage = await open_stage()
    with clients(stage, 1) as (client,):
        client.send(frame[:-1])
        assert given == []
        client.send(frame[-1:])
        assert len(given) == 1
        assert given[0] > 5_000_000
        client.send(masked(0x81, b"x" * 10_000))
        assert len(given) == 1


@pytest.mark.rule("P162")
def test_pages_that_are_given_back_are_those_inside():
    buffer = bytearray(b"x" * 1_000_000)
    give_back_pages(memoryview(buffer)[100:-100])
    assert buffer[:100] == buffer[-100:] == b"x" * 100
    assert buffer.count(0) > 980_000
    give_back_pages(memoryview(buffer)[:10])


@pytest.mark.rule("P162")
@pytest.mark.parametrize("unit", ["x", "[],"])
async def test_a_refused_message_is_free_at_once(stage, unit):
    """No traceback leads back to it, to be found by a collection only."""
    client = await stage.client()
    gc.collect()
    gc.disable()
    try:
        many = orjson.Fragment(b"[%b1]" % (b"[]," * 900_000))
        pad = many if unit == "[]," else "x" * 3_000_000
        for _ in range(4):
            client.say("remove-query", q={}, pad=pad)
            await client.hear("error")
        # The thread may be about to let go of the last one.
        assert sum(isinstance(kept, Incoming) for kept in gc.get_objects()) <= 1
    finally:
        gc.enable()


@pytest.mark.rule("P163")
@pytest.mark.parametrize("first_byte", [0x89, 0x8A, 0x00])
async def test_frames_that_are_no_messages_take_of_the_turn(stage, first_byte):
    """Pings, pongs, and fragments with nothing in them."""
    with clients(stage, 1) as (client,):
        if first_byte == 0x00:
            client.send(masked(0x01, b"x"))
        for _ in range(10):
            client.send(masked(first_byte, b"") * 1_000)
            assert not client.wire.is_reading
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert client.wire.is_reading
        assert not client.is_refused


@pytest.mark.rule("P163")
async def test_one_read_takes_little(stage):
    """Whatever the frames before have made of the buffer."""
    with clients(stage, 1) as (client,):
        client.send(masked(0x81, b"x" * 1_000_000))
        room = client.protocol._inner.get_buffer(-1)
        assert len(room) == limits.SOCKET_READ_BYTES


@pytest.mark.rule("P163")
async def test_pings_of_who_has_left_are_no_lines_of_the_log(stage):
    with clients(stage, 1) as (client,):
        before = len(client.wire.written)
        client.wire.is_closed = True
        client.send(masked(0x89, b"") * 100)
        assert len(client.wire.written) == before
