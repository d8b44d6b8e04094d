"""The output of a process: so many bytes in each period, as lines."""

from __future__ import annotations

import asyncio

import pytest

from support.worker_stage import until
from trice import function_limits as limits
from trice.calls.workers.output import Output


class Pipe(asyncio.ReadTransport):
    """A pipe that knows whether it is read."""

    is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return False


@pytest.mark.rule("FN154")
async def test_what_is_read_in_each_period_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OUTPUT_MS", 10)
    pipe, lines = Pipe(), list[str]()
    output = Output(lines.append)
    output.begin(pipe)
    output.take(b"x" * (limits.OUTPUT_BYTES_MAX - 1))
    assert pipe.is_read
    output.take(b"y")
    assert not pipe.is_read
    await until(lambda: pipe.is_read)
    output.take(b"z" * (limits.OUTPUT_BYTES_MAX - 1))
    assert pipe.is_read


@pytest.mark.rule("FN154")
async def test_output_becomes_lines() -> None:
    lines: list[str] = []
    output = Output(lines.append)
    output.take(b"one\ntw")
    output.take(b"o\nthree")
    assert lines == ["one", "two"]
    output.take(b"\n" * (limits.LOG_LINES_MAX + 5))
    assert lines[2] == "three"
    assert lines[-1] == "5 more lines were dropped."
    output.take(b"long" * limits.LOG_LINE_CHARS_MAX)
    assert len(lines[-1]) == limits.LOG_LINE_CHARS_MAX
