"""Works that would hold up the loop run beside it, in order, and as durably as others."""

from __future__ import annotations

import asyncio
import threading

import pytest

from support.attrs import blob, creating
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from support.todos import Open, failing_after, insert, numbers
from trice.store.commit import Commit
from trice.store.engine import Engine, WorkTooLong, WriteTx


@pytest.mark.rule("S68")
async def test_a_long_work_leaves_the_loop_to_others(engine: Engine) -> None:
    may_go_on = threading.Event()
    here = threading.get_ident()

    def long(tx: WriteTx) -> Commit:
        assert threading.get_ident() != here
        assert may_go_on.wait(WAIT_S)
        return insert(1)(tx)

    written = asyncio.ensure_future(engine.write(long, is_long=True))
    after = asyncio.ensure_future(engine.write(insert(2)))
    await asyncio.sleep(0)
    assert engine.read_now(numbers) == []
    may_go_on.set()
    assert (await written, await after) == (2, 3)
    assert engine.read_now(numbers) == [1, 2]


@pytest.mark.rule("S68")
async def test_long_and_short_works_keep_their_order(engine: Engine, open_engine: Open) -> None:
    calls = [
        engine.submit(failing_after(insert(n)) if n == 4 else insert(n), is_long=n % 2 == 0)
        for n in range(8)
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes[:4] == [2, 3, 4, 5]
    assert isinstance(outcomes[4], KeyError)
    assert outcomes[5:] == [6, 7, 8]
    await engine.close()
    again = open_engine()
    assert again.read_now(numbers) == [0, 1, 2, 3, 5, 6, 7]
    await again.close()


@pytest.mark.rule("S68")
async def test_a_long_work_may_change_the_catalog(engine: Engine) -> None:
    await engine.write(creating(blob("todos", "later")), is_long=True)
    assert engine.catalog.find_forward("todos", "later") is not None


@pytest.mark.rule("S69")
async def test_time_never_goes_back(
    engine: Engine, open_engine: Open, runtime: FakeRuntime
) -> None:
    times = []

    def timed(tx: WriteTx) -> Commit:
        times.append(tx.time_ms)
        return insert(tx.tx)(tx)

    for step_ms in (5, -1000, 1, 2000):
        runtime.now += step_ms
        await engine.write(timed)
    assert times == sorted(times)
    assert times[-1] == runtime.now
    await engine.close()
    runtime.now -= 5000
    again = open_engine()
    await again.write(timed)
    assert times[-1] == times[-2], "nor while it was closed"
    await again.close()


@pytest.mark.rule("S71")
@pytest.mark.parametrize("before", [0, 2])
async def test_work_that_is_too_long_runs_again_in_its_place_on_another_thread(
    engine: Engine, open_engine: Open, before: int
) -> None:
    threads: list[int] = []

    def work(tx: WriteTx) -> Commit:
        threads.append(threading.get_ident())
        commit = insert(5)(tx)
        if len(threads) == 1:
            raise WorkTooLong
        return commit

    calls = [engine.submit(insert(number)) for number in range(before)]
    calls += [engine.submit(work), engine.submit(insert(6))]
    assert await asyncio.gather(*calls) == list(range(2, before + 4))
    assert threads[0] == threading.get_ident()
    assert threads[1] != threading.get_ident()
    assert len(threads) == 2
    await engine.close()
    again = open_engine()
    assert again.read_now(numbers) == [*range(before), 5, 6]
    await again.close()


@pytest.mark.rule("S95", "S96")
async def test_long_works_of_networks_take_turns(engine: Engine) -> None:
    calls = [engine.submit(insert(n), is_long=True, turn_key=("a", "")) for n in range(3)]
    calls.append(engine.submit(insert(3), turn_key=("a", "")))
    calls.append(engine.submit(insert(4), is_long=True, turn_key=("b", "")))
    calls.append(engine.submit(insert(5), turn_key=("c", "")))
    ids = await asyncio.gather(*calls)
    assert ids[:4] == sorted(ids[:4])
    # Of those behind the first, which runs already: the short one, then one of each network.
    assert ids[5] == ids[0] + 1
    assert ids[4] <= ids[0] + 3
