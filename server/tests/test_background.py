"""Background work: when it runs, what becomes of its failures, and that it ends with the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import pairwise
from typing import Any

import pytest

from support.runtime import SteppedRuntime, settle
from trice import limits
from trice.background import Background, Places
from trice.errors import InvalidInput, Unavailable

SECOND_MS = 1_000
FEW = Places(running=2, in_all=5)


@pytest.fixture
def runtime() -> SteppedRuntime:
    return SteppedRuntime()


@pytest.fixture
async def background(runtime: SteppedRuntime) -> AsyncIterator[Background]:
    started = Background(runtime)
    yield started
    await started.stop()


@pytest.fixture
def silent_log() -> Iterator[None]:
    """Hundreds of failures are not written down."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


class Gate:
    """Work that waits until it is let through, and notes who began and who ended."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []
        self._open = asyncio.Event()

    def work(self, name: str) -> Callable[[], Coroutine[Any, Any, str]]:
        async def run() -> str:
            self.began.append(name)
            try:
                await self._open.wait()
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise
            self.ended.append(name)
            return name

        return run

    def open(self) -> None:
        self._open.set()


# --- now and then ---------------------------------------------------------------------------------


@pytest.mark.rule("H100")
async def test_it_runs_once_an_interval(background, runtime):
    times, at_once = [], []
    background.every("work", SECOND_MS, lambda _: times.append(runtime.monotonic))
    background.every("due", SECOND_MS, lambda _: at_once.append(runtime.monotonic), is_due_now=True)
    await runtime.pass_time(3_500)
    assert times == [1_000, 2_000, 3_000]
    assert at_once == [0, 1_000, 2_000, 3_000]


@pytest.mark.rule("H100")
async def test_no_two_of_the_same_run_at_once(background, runtime):
    gate, begins = asyncio.Event(), []

    async def work(late_ms: float) -> None:
        begins.append(runtime.monotonic)
        await gate.wait()

    background.every("work", SECOND_MS, work)
    await runtime.pass_time(5_000)
    assert begins == [1_000]
    assert background.counts["work"].running == 1
    gate.set()
    await runtime.pass_time(2_000)
    assert begins == [1_000, 6_000, 7_000], "the interval begins when a run has ended"


async def test_it_is_told_how_late_it_is(background, runtime):
    late = []
    background.every("work", SECOND_MS, late.append)
    await settle()
    runtime.advance(1_250)  # as if something else had held the loop
    await runtime.pass_time(0)
    await runtime.pass_time(1_000)
    assert late == [250, 0]


@pytest.mark.rule("H100")
async def test_a_failure_is_told_and_makes_the_next_wait_longer(background, runtime, caplog):
    times = []

    def work(late_ms: float) -> None:
        times.append(runtime.monotonic)
        if len(times) <= 3:
            raise OSError("the disk is gone")

    background.every("sweep", SECOND_MS, work)
    await runtime.pass_time(3_000)
    assert background.failing == ["sweep"]
    await runtime.pass_time(14_500)
    assert times == [1_000, 3_000, 7_000, 15_000, 16_000, 17_000]
    counts = background.counts["sweep"]
    assert (counts.runs, counts.failures, counts.failures_in_a_row) == (6, 3, 0)
    assert background.failing == []
    assert caplog.text.count("background work failed work=sweep") == 3
    assert "the disk is gone" in caplog.text


@pytest.mark.rule("H100")
@pytest.mark.parametrize("interval_ms", [SECOND_MS, 3 * limits.BACKGROUND_WAIT_MS_MAX])
async def test_the_wait_after_failures_has_a_bound(background, runtime, silent_log, interval_ms):
    times = []

    async def work(late_ms: float) -> None:
        times.append(runtime.monotonic)
        raise OSError

    background.every("work", interval_ms, work)
    longest_ms = max(interval_ms, limits.BACKGROUND_WAIT_MS_MAX)
    await runtime.pass_time(16 * longest_ms)
    waits = [after - before for before, after in pairwise(times)]
    assert max(waits) == waits[-1] == longest_ms


@pytest.mark.rule("H100")
async def test_work_whose_own_wait_was_cancelled_goes_on(background, runtime, caplog):
    runs = []

    async def work(late_ms: float) -> None:
        runs.append(runtime.monotonic)
        if len(runs) == 1:
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled

    background.every("work", SECOND_MS, work)
    await runtime.pass_time(3_000)
    assert runs == [1_000, 3_000]
    assert "was cancelled" in caplog.text


# --- in turns -------------------------------------------------------------------------------------


@pytest.mark.rule("H101")
async def test_queued_work_runs_in_order_and_so_much_at_once(background):
    queue, gate = background.queue("mail", FEW, minor=FEW), Gate()
    asked = [queue.submit(gate.work(name)) for name in "abcde"]
    await settle()
    assert gate.began == ["a", "b"]
    counts = background.counts["mail"]
    assert (counts.running, counts.waiting) == (2, 3)
    with pytest.raises(Unavailable) as refused:
        queue.submit(gate.work("f"))
    assert refused.value.code == "overloaded"
    gate.open()
    assert await asyncio.gather(*asked) == list("abcde")
    assert gate.began == gate.ended == list("abcde")
    await settle()
    assert (counts.runs, counts.failures, counts.running, counts.waiting) == (5, 0, 0, 0)
    assert await queue.submit(gate.work("g")) == "g", "there is room again"


@pytest.mark.rule("H101")
async def test_minor_work_keeps_no_other_waiting(background):
    queue, gate = background.queue("mail", FEW, minor=Places(running=1, in_all=3)), Gate()
    minor = [queue.submit(gate.work(f"minor {n}"), is_minor=True) for n in range(3)]
    with pytest.raises(Unavailable):
        queue.submit(gate.work("minor 3"), is_minor=True)
    major = queue.submit(gate.work("major"))
    await settle()
    assert gate.began == ["minor 0", "major"]
    gate.open()
    assert await major == "major"
    assert await asyncio.gather(*minor) == ["minor 0", "minor 1", "minor 2"]
    assert gate.began[2:] == ["minor 1", "minor 2"]


@pytest.mark.rule("H101")
async def test_a_failure_of_queued_work_reaches_who_asked_and_nobody_else(background, caplog):
    queue = background.queue("mail", FEW, minor=FEW)

    async def foreseen() -> None:
        raise InvalidInput("validation-failed", "no such recipient")

    async def mistaken() -> None:
        raise ZeroDivisionError

    async def well() -> str:
        return "sent"

    asked = [queue.submit(work) for work in (foreseen, mistaken, well)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(outcomes[0], InvalidInput)
    assert isinstance(outcomes[1], ZeroDivisionError)
    assert outcomes[2] == "sent"
    assert background.counts["mail"].failures == 2
    assert caplog.text.count("background work failed work=mail") == 1
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.rule("H101")
async def test_queued_work_whose_own_wait_was_cancelled_has_failed(background, caplog):
    queue = background.queue("mail", FEW, minor=FEW)

    async def work() -> None:
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    with pytest.raises(RuntimeError, match="was cancelled"):
        await queue.submit(work)
    counts = background.counts["mail"]
    assert (counts.failures, counts.running) == (1, 0)
    assert "was cancelled" in caplog.text


@pytest.mark.rule("H101")
async def test_who_leaves_makes_room(background):
    queue, gate = background.queue("mail", FEW, minor=FEW), Gate()
    asked = [queue.submit(gate.work(name)) for name in "abcde"]
    await settle()
    asked[0].cancel()
    asked[2].cancel()
    await settle()
    assert gate.cancelled == ["a"]
    assert gate.began == ["a", "b", "d"]
    counts = background.counts["mail"]
    assert (counts.running, counts.waiting) == (2, 1)
    queue.submit(gate.work("f"))
    gate.open()
    await settle()
    assert gate.ended == ["b", "d", "e", "f"]


# --- the end --------------------------------------------------------------------------------------


@pytest.mark.rule("H102")
async def test_stopping_cancels_all_and_waits_for_it(background, runtime):
    queue, gate, ended = background.queue("mail", FEW, minor=FEW), Gate(), []

    async def slow_to_end(late_ms: float) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            ended.append("sweep")

    background.every("sweep", SECOND_MS, slow_to_end, is_due_now=True)
    background.every("idle", SECOND_MS, lambda _: ended.append("idle"))
    asked = [queue.submit(gate.work(name)) for name in "abc"]
    await settle()
    await background.stop()
    assert ended == ["sweep"]
    assert sorted(gate.cancelled) == ["a", "b"]
    for each in asked:
        assert isinstance(each.exception(), Unavailable)
    with pytest.raises(Unavailable):
        queue.submit(gate.work("d"))
    await runtime.pass_time(10 * SECOND_MS)
    assert ended == ["sweep"]
    assert gate.began == ["a", "b"]
