"""What every storage engine promises about reads."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any
from uuid import UUID

import pytest

from support.attrs import committed, creating, entity, link
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from support.todos import (
    ENDLESS,
    ask,
    attr_of,
    insert,
    maze,
    numbers,
    put,
    spend_the_loops_budget,
)
from trice import limits
from trice.errors import LimitExceeded, Unavailable
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, WriteTx


@pytest.mark.rule("S10")
async def test_snapshot_has_what_is_published_and_nothing_half_done(engine: Engine) -> None:
    seen: list[Any] = []

    def work(tx: WriteTx) -> Commit:
        insert(1)(tx)
        assert numbers(tx) == [1], "a write sees its own changes"
        seen.append(engine.read_now(lambda snapshot: (snapshot.tx, numbers(snapshot))))
        return committed(tx)

    await engine.write(work)
    assert seen == [(1, [])]
    assert engine.read_now(lambda snapshot: (snapshot.tx, numbers(snapshot))) == (2, [1])


@pytest.mark.rule("S10")
async def test_statements_of_a_snapshot_see_one_moment(engine: Engine) -> None:
    loop = asyncio.get_running_loop()

    def work(snapshot: Snapshot) -> tuple[int, list[Any], list[Any]]:
        spend_the_loops_budget(snapshot)
        before = numbers(snapshot)
        # On the reader's thread: a whole commit passes between two statements.
        asyncio.run_coroutine_threadsafe(engine.write(insert(1)), loop).result(timeout=WAIT_S)
        return snapshot.tx, before, numbers(snapshot)

    assert await engine.read(work, timeout_ms=10_000) == (1, [], [])
    assert engine.read_now(numbers) == [1]


@pytest.mark.rule("S11")
async def test_long_read_leaves_the_loop(engine: Engine) -> None:
    runs: list[int] = []

    def work(snapshot: Snapshot) -> int:
        runs.append(snapshot.tx)
        spend_the_loops_budget(snapshot)
        return snapshot.catalog.version

    with pytest.raises(ReadTooLong):
        engine.read_now(work)
    assert engine.read_now(numbers) == [], "the loop reads on"
    assert await engine.read(work, timeout_ms=10_000) == engine.catalog.version
    assert runs == [1, 1, 1], "begun on the loop twice, and once on a thread"


@pytest.mark.rule("S11")
async def test_budget_counts_all_statements_of_a_read(engine: Engine) -> None:
    def fill(tx: WriteTx) -> Commit:
        for number in range(300):
            put(tx, "todos", number, n=number)
        return committed(tx)

    await engine.write(fill)
    read: list[int] = []

    def work(snapshot: Snapshot) -> None:
        for _ in range(1_000):
            read.append(len(numbers(snapshot)))

    assert len(engine.read_now(numbers)) == 300
    with pytest.raises(ReadTooLong):
        engine.read_now(work)
    assert 1 < len(read) < 1_000 and set(read) == {300}
    assert len(engine.read_now(numbers)) == 300, "each read has a budget of its own"


@pytest.mark.rule("S12")
async def test_read_ends_at_its_deadline(engine: Engine, runtime: FakeRuntime) -> None:
    def work(snapshot: Snapshot) -> None:
        spend_the_loops_budget(snapshot)
        runtime.advance(5_001)  # on the thread; the loop's run ended above
        ask(snapshot, ENDLESS)

    await engine.write(maze)
    with pytest.raises(Unavailable) as failed:
        await engine.read(work, timeout_ms=5_000)
    assert failed.value.code == "timeout"
    assert await engine.read(lambda snapshot: snapshot.tx, timeout_ms=5_000) == 2


@pytest.mark.rule("S12")
async def test_abandoned_reads_give_their_threads_back(engine: Engine) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def endless(snapshot: Snapshot) -> None:
        spend_the_loops_budget(snapshot)
        loop.call_soon_threadsafe(started.set)
        ask(snapshot, ENDLESS)

    def short(snapshot: Snapshot) -> int:
        spend_the_loops_budget(snapshot)
        return snapshot.tx

    await engine.write(maze)
    for _ in range(limits.READER_THREADS + 1):
        started.clear()
        task = asyncio.create_task(engine.read(endless, timeout_ms=60_000))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await engine.read(short, timeout_ms=60_000) == 2


@pytest.mark.rule("S12")
async def test_closing_ends_long_reads(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    started = asyncio.Semaphore(0)

    def endless(snapshot: Snapshot) -> None:
        spend_the_loops_budget(snapshot)
        loop.call_soon_threadsafe(started.release)
        ask(snapshot, ENDLESS)

    await engine.write(maze)
    count = limits.READER_THREADS + 1  # one waits for a thread
    reads = [
        asyncio.create_task(engine.read_on_thread(endless, timeout_ms=60_000)) for _ in range(count)
    ]
    for _ in range(limits.READER_THREADS):
        await started.acquire()
    await engine.close()
    for outcome in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(outcome, Unavailable) and outcome.code == "overloaded"


@pytest.mark.rule("S12")
async def test_too_many_waiting_reads_are_refused(open_todos: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "READS_WAITING_MAX", 0)
    engine = await open_todos()
    with pytest.raises(Unavailable) as refused:
        await engine.read_on_thread(lambda snapshot: snapshot.tx, timeout_ms=60_000)
    assert refused.value.code == "overloaded"


@pytest.mark.rule("S12")
async def test_more_long_reads_than_threads_take_turns(engine: Engine) -> None:
    def work(snapshot: Snapshot) -> int:
        spend_the_loops_budget(snapshot)
        return snapshot.tx

    reads = [engine.read(work, timeout_ms=60_000) for _ in range(3 * limits.READER_THREADS)]
    assert await asyncio.gather(*reads) == [1] * len(reads)


@pytest.mark.rule("S13")
async def test_published_catalog_always_describes_what_is_read(engine: Engine) -> None:
    tags = link("todos", "tags", "tags", "todos", cardinality="one")
    await engine.write(creating(tags))

    def fill(tx: WriteTx) -> Commit:
        put(tx, "todos", 1, n=1, tags=entity(2))
        return committed(tx)

    await engine.write(fill)

    def to_pairs(tx: WriteTx) -> Commit:
        old = tx.catalog.by_id[tags.id]
        many = link("todos", "tags", "tags", "todos")
        return committed(tx, catalog=tx.catalog.with_attrs([tx.attrs.replace(old, many)]))

    def read(snapshot: Snapshot) -> tuple[int, bool]:
        attr = attr_of(snapshot, "todos", "tags")
        found = snapshot.stored.find_targets(attr, [entity(1)], count=9)
        assert found == [(entity(1), entity(2))]
        return snapshot.tx, attr.is_pairs

    def long(snapshot: Snapshot) -> tuple[int, bool]:
        spend_the_loops_budget(snapshot)
        return read(snapshot)

    writing = asyncio.create_task(engine.write(to_pairs))
    reading = asyncio.create_task(engine.read(long, timeout_ms=60_000))
    await asyncio.sleep(0)  # the commit is on its way, and cannot be published before we wait
    assert engine.read_now(read) == (3, False)
    assert await writing == 4
    assert await reading in ((3, False), (4, True))
    assert engine.read_now(read) == (4, True)


@pytest.mark.rule("S14")
async def test_any_number_of_ids_is_one_question(engine: Engine) -> None:
    await asyncio.gather(*(engine.write(insert(n)) for n in (1, 2, 3)))

    def found(*ids: int) -> list[Any]:
        where = {"id": {"$in": [str(UUID(int=number)) for number in ids]}, "n": {"$gte": 2}}
        query = {"todos": {"$": {"where": where, "order": {"n": "asc"}}}}
        return [todo["n"] for todo in engine.read_now(lambda state: ask(state, query))["todos"]]

    assert found(1, 3, 9) == [3]
    assert found(2) == [2]
    assert found() == []
    assert found(*range(2_000)) == [2, 3]


@pytest.mark.rule("S170")
async def test_a_refused_read_holds_nothing(engine: Engine) -> None:
    class Rows:
        """What a read had found when it was refused."""

    kept: list[weakref.ref[Rows]] = []

    def refused(snapshot: Snapshot) -> None:
        rows = Rows()
        kept.append(weakref.ref(rows))
        raise LimitExceeded("parameter-limit-exceeded", "Too many rows.")

    gc.disable()
    try:
        with pytest.raises(LimitExceeded):
            await engine.read_on_thread(refused, timeout_ms=60_000)
        await asyncio.sleep(0)
        assert [rows() for rows in kept] == [None]
    finally:
        gc.enable()


@pytest.mark.rule("S171")
async def test_reads_that_come_at_once_share_the_turn_of_the_loop(engine: Engine) -> None:
    ran_on: list[bool] = []
    loop_thread = threading.get_ident()

    def work(snapshot: Snapshot) -> None:
        ran_on.append(threading.get_ident() == loop_thread)
        snapshot.spend(limits.READ_STEPS_ON_LOOP // 2)

    turn_key = ("192.0.2.1", "guest")
    for _turn in range(2):
        ran_on.clear()
        reads = [engine.read(work, timeout_ms=60_000, turn_key=turn_key) for _ in range(10)]
        await asyncio.gather(*reads)
        assert sorted(ran_on) == [False] * 8 + [True] * 2
    ran_on.clear()
    await asyncio.gather(*(engine.read(work, timeout_ms=60_000) for _ in range(10)))
    assert all(ran_on), "what the server itself looks up waits for nobody"
