"""Who waits for whom once one mutation overtook another that is like it."""

from __future__ import annotations

import asyncio

import pytest

from support.runtime import settle
from trice import function_limits
from trice.calls.lines import Lines


class Runner:
    """Calls in lines, until they are told to end."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.begun: list[str] = []
        self.second = asyncio.Event()
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, key: str = "a") -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, key))
        await settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settle()

    async def _run(self, name: str, key: str) -> None:
        async with self.lines.place(key):
            self.begun.append(name)
            if len(self.begun) == 2:
                self.second.set()
            await self.ends[name].wait()


@pytest.mark.rule("FN641")
async def test_those_in_a_line_go_one_after_the_other_and_others_wait_for_nobody() -> None:
    runner = Runner()
    assert not runner.lines.has_room("a"), "nobody was overtaken"
    for name in "123":
        await runner.start(name)
    await runner.start("other", key="b")
    assert runner.begun == ["1", "other"]
    assert runner.lines.has_room("a")
    for name in ("1", "2", "3", "other"):
        await runner.end(name)
    assert runner.begun == ["1", "other", "2", "3"]
    assert len(runner.lines) == 0


@pytest.mark.rule("FN641")
async def test_one_that_gives_up_holds_up_nobody() -> None:
    runner = Runner()
    for name in "123":
        await runner.start(name)
    runner.tasks["2"].cancel()
    await asyncio.wait([runner.tasks["2"]])
    await runner.end("1")
    assert runner.begun == ["1", "3"]
    await runner.end("3")
    assert len(runner.lines) == 0


@pytest.mark.rule("FN641")
async def test_who_waited_too_long_runs_beside_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(function_limits, "WAIT_MS", 0)
    runner = Runner()
    for name in "12":
        await runner.start(name)
    await runner.second.wait()
    await runner.end("2")
    assert runner.lines.has_room("a"), "the first is still there"
    await runner.end("1")
    assert len(runner.lines) == 0


@pytest.mark.rule("FN641")
async def test_a_line_has_room_for_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_limits, "LINE_MAX", 2)
    runner = Runner()
    await runner.start("1")
    assert runner.lines.has_room("a")
    await runner.start("2")
    assert not runner.lines.has_room("a")
    for name in "12":
        await runner.end(name)
