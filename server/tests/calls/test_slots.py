"""Who runs next: by rank, within bounds, whoever gives up."""

from __future__ import annotations

import asyncio

import pytest

from support.runtime import settle
from trice import function_limits
from trice.calls.slots import Rank, Slots
from trice.errors import Unavailable


class Runner:
    """Calls that run until they are told to end."""

    def __init__(self, slots: Slots) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = slots

    async def start(self, name: str, rank: Rank, network: str = "") -> None:
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, rank, network))
        await settle()

    async def end(self, name: str) -> None:
        self.ends[name].set()
        await self.tasks[name]
        await settle()

    async def _run(self, name: str, rank: Rank, network: str) -> None:
        async with self._slots.slot(rank, (network, "guest")):
            self.begun.append(name)
            await self.ends[name].wait()


@pytest.mark.rule("FN208")
async def test_mutations_go_before_queries_and_reruns_last() -> None:
    slots = Slots(1)
    runner = Runner(slots)
    await runner.start("first", Rank.FIRST)
    for name, rank in (("r", Rank.RERUN), ("q1", Rank.FIRST), ("m", Rank.MUTATION)):
        await runner.start(name, rank)
    await runner.start("q2", Rank.FIRST)
    for name in ("first", "m", "q1", "q2", "r"):
        await runner.end(name)
    assert runner.begun == ["first", "m", "q1", "q2", "r"]
    assert slots.is_idle


@pytest.mark.rule("FN208")
async def test_reruns_take_half_of_the_places() -> None:
    runner = Runner(Slots(4))
    for number in range(4):
        await runner.start(f"r{number}", Rank.RERUN)
    await runner.start("q", Rank.FIRST)
    assert runner.begun == ["r0", "r1", "q"]
    await runner.end("r0")
    assert runner.begun == ["r0", "r1", "q", "r2"]
    for name in ("r1", "r2", "r3", "q"):
        await runner.end(name)


@pytest.mark.rule("FN208")
async def test_who_gives_up_leaves_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(1)
    runner = Runner(slots)
    await runner.start("first", Rank.FIRST)
    await runner.start("gone", Rank.FIRST)
    await runner.start("next", Rank.FIRST)
    runner.tasks["gone"].cancel()
    await settle()
    # It is given its place in the turn of the loop in which it is cancelled.
    await runner.start("late", Rank.FIRST)
    runner.ends["first"].set()
    while runner.begun != ["first", "next"]:
        await settle()
    runner.ends["next"].set()
    runner.tasks["late"].cancel()
    await asyncio.gather(*runner.tasks.values(), return_exceptions=True)
    assert slots.is_idle

    monkeypatch.setattr(function_limits, "WAIT_MS", 1)
    await runner.start("holds", Rank.FIRST)
    with pytest.raises(Unavailable) as refused:
        async with slots.slot(Rank.MUTATION, ("", "guest")):
            pass
    assert refused.value.code == "overloaded"
    await runner.end("holds")
    assert slots.is_idle


@pytest.mark.rule("FN208")
async def test_networks_take_turns() -> None:
    slots = Slots(1)
    runner = Runner(slots)
    await runner.start("first", Rank.FIRST, "a")
    for number in range(5):
        await runner.start(f"a{number}", Rank.FIRST, "a")
    await runner.start("b", Rank.FIRST, "b")
    for name in ("first", "a0"):
        await runner.end(name)
    assert runner.begun[-1] == "b"
    for name in ("b", "a1", "a2", "a3", "a4"):
        await runner.end(name)
    assert slots.is_idle


@pytest.mark.rule("FN208")
async def test_who_fills_the_line_makes_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_limits, "CALLS_WAITING_MAX", 4)
    slots = Slots(1)
    runner = Runner(slots)
    await runner.start("first", Rank.FIRST, "a")
    for number in range(4):
        await runner.start(f"a{number}", Rank.FIRST, "a")
    for name, network in (("b0", "b"), ("a4", "a"), ("b1", "b"), ("b2", "b")):
        await runner.start(name, Rank.MUTATION, network)
    refused = {name for name, task in runner.tasks.items() if task.done()}
    assert refused == {"a3", "a4", "a2", "b2"}
    for name in refused:
        with pytest.raises(Unavailable):
            await runner.tasks[name]
    for name in ("first", "b0", "b1", "a0", "a1"):
        await runner.end(name)
    assert runner.begun == ["first", "b0", "b1", "a0", "a1"] and slots.is_idle
