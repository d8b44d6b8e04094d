"""What every storage engine promises about reads."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest

from support.attrs import committed, creating, entity, link
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from support.todos import Open, Run, insert, numbers
from trice import limits
from trice.errors import LimitExceeded, Unavailable
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, WriteTx
from trice.store.sqlite.tables import replace_attr

COUNT_STEPS_SQL = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ?)"
    " SELECT count(*) FROM c"
)


def spend_the_loops_budget(snapshot: Snapshot) -> None:
    snapshot.rows(COUNT_STEPS_SQL, (limits.READ_STEPS_ON_LOOP,))


@pytest.mark.rule("S10")
def test_snapshot_has_what_is_published_and_nothing_half_done(
    run: Run,
) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        seen: list[Any] = []

        def work(tx: WriteTx) -> Commit:
            insert(1)(tx)
            assert numbers(tx) == [1], "a write sees its own changes"
            seen.append(engine.read_now(lambda snapshot: (snapshot.tx, numbers(snapshot))))
            return committed(tx)

        await engine.write(work)
        assert seen == [(1, [])]
        assert engine.read_now(lambda snapshot: (snapshot.tx, numbers(snapshot))) == (2, [1])

    run(scenario)


@pytest.mark.rule("S10")
def test_statements_of_a_snapshot_see_one_moment(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        loop = asyncio.get_running_loop()

        def work(snapshot: Snapshot) -> tuple[int, list[Any], list[Any]]:
            spend_the_loops_budget(snapshot)
            before = numbers(snapshot)
            # On the reader's thread: a whole commit passes between two statements.
            asyncio.run_coroutine_threadsafe(engine.write(insert(1)), loop).result(timeout=WAIT_S)
            return snapshot.tx, before, numbers(snapshot)

        assert await engine.read(work, timeout_ms=10_000) == (1, [], [])
        assert engine.read_now(numbers) == [1]

    run(scenario)


@pytest.mark.rule("S11")
def test_long_read_leaves_the_loop(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
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

    run(scenario)


@pytest.mark.rule("S11")
def test_budget_counts_all_statements_of_a_read(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        tenth = limits.READ_STEPS_ON_LOOP // 10

        def work(snapshot: Snapshot) -> None:
            for _ in range(10):
                snapshot.rows(COUNT_STEPS_SQL, (tenth,))

        engine.read_now(lambda snapshot: snapshot.rows(COUNT_STEPS_SQL, (1_000,)))
        with pytest.raises(ReadTooLong):
            engine.read_now(work)

    run(scenario)


@pytest.mark.rule("S12")
def test_read_ends_at_its_deadline(run: Run, runtime: FakeRuntime) -> None:
    def work(snapshot: Snapshot) -> None:
        spend_the_loops_budget(snapshot)
        runtime.advance(5_001)  # on the thread; the loop's run ended above
        snapshot.rows(COUNT_STEPS_SQL, (10_000_000,))

    async def scenario(engine: Engine, _: Open) -> None:
        with pytest.raises(Unavailable) as failed:
            await engine.read(work, timeout_ms=5_000)
        assert failed.value.code == "timeout"
        assert await engine.read(lambda snapshot: snapshot.tx, timeout_ms=5_000) == 1

    run(scenario)


@pytest.mark.rule("S12")
def test_abandoned_reads_give_their_threads_back(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        def endless(snapshot: Snapshot) -> None:
            spend_the_loops_budget(snapshot)
            loop.call_soon_threadsafe(started.set)
            snapshot.rows(COUNT_STEPS_SQL, (10**12,))

        def short(snapshot: Snapshot) -> int:
            spend_the_loops_budget(snapshot)
            return snapshot.tx

        for _ in range(limits.READER_THREADS + 1):
            started.clear()
            task = asyncio.create_task(engine.read(endless, timeout_ms=60_000))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await engine.read(short, timeout_ms=60_000) == 1

    run(scenario)


@pytest.mark.rule("S12")
def test_closing_ends_long_reads(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        loop = asyncio.get_running_loop()
        started = asyncio.Semaphore(0)

        def endless(snapshot: Snapshot) -> None:
            spend_the_loops_budget(snapshot)
            loop.call_soon_threadsafe(started.release)
            snapshot.rows(COUNT_STEPS_SQL, (10**12,))

        count = limits.READER_THREADS + 1  # one waits for a thread
        reads = [
            asyncio.create_task(engine.read_on_thread(endless, timeout_ms=60_000))
            for _ in range(count)
        ]
        for _ in range(limits.READER_THREADS):
            await started.acquire()
        await engine.close()
        for outcome in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(outcome, Unavailable) and outcome.code == "overloaded"

    run(scenario)


@pytest.mark.rule("S12")
def test_too_many_waiting_reads_are_refused(run: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "READS_WAITING_MAX", 0)

    async def scenario(engine: Engine, _: Open) -> None:
        with pytest.raises(Unavailable) as refused:
            await engine.read_on_thread(lambda snapshot: snapshot.tx, timeout_ms=60_000)
        assert refused.value.code == "overloaded"

    run(scenario)


@pytest.mark.rule("S12")
def test_more_long_reads_than_threads_take_turns(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        def work(snapshot: Snapshot) -> int:
            spend_the_loops_budget(snapshot)
            return snapshot.tx

        reads = [engine.read(work, timeout_ms=60_000) for _ in range(3 * limits.READER_THREADS)]
        assert await asyncio.gather(*reads) == [1] * len(reads)

    run(scenario)


@pytest.mark.rule("S13")
def test_published_catalog_always_describes_the_tables_read(
    run: Run,
) -> None:
    tags = link("todos", "tags", "tags", "todos", cardinality="one")

    async def scenario(engine: Engine, _: Open) -> None:
        await engine.write(creating(tags))

        def to_pairs(tx: WriteTx) -> Commit:
            old = tx.catalog.by_id[tags.id]
            many = link("todos", "tags", "tags", "todos")
            return committed(tx, catalog=tx.catalog.with_attrs([replace_attr(tx, old, many)]))

        def read(snapshot: Snapshot) -> tuple[int, bool]:
            attr = snapshot.catalog.by_id[tags.id]
            column = "target" if attr.is_pairs else attr.column
            snapshot.rows(
                f"SELECT {engine.dialect.name(column)} FROM {engine.dialect.name(attr.table)}"
            )
            return snapshot.tx, attr.is_pairs

        def long(snapshot: Snapshot) -> tuple[int, bool]:
            spend_the_loops_budget(snapshot)
            return read(snapshot)

        writing = asyncio.create_task(engine.write(to_pairs))
        reading = asyncio.create_task(engine.read(long, timeout_ms=60_000))
        await asyncio.sleep(0)  # the commit is on its way, and cannot be published before we wait
        assert engine.read_now(read) == (2, False)
        assert await writing == 3
        assert await reading == (3, True)
        assert engine.read_now(read) == (3, True)

    run(scenario)


@pytest.mark.rule("S14")
def test_list_of_ids_is_one_binding(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        await asyncio.gather(*(engine.write(insert(n)) for n in (1, 2, 3)))
        sql = f"SELECT n FROM todos WHERE id IN {engine.dialect.in_list()} AND n >= ? ORDER BY n"

        def found(*ids: int) -> list[Any]:
            bindings = (tuple(entity(number) for number in ids), 2)
            return engine.read_now(lambda snapshot: snapshot.rows(sql, bindings))

        assert found(1, 3, 9) == [(3,)]
        assert found(2) == [(2,)]
        assert found() == []

    run(scenario)


@pytest.mark.rule("S170")
def test_a_refused_read_holds_nothing(run: Run) -> None:
    class Rows:
        """What a read had found when it was refused."""

    kept: list[weakref.ref[Rows]] = []

    def refused(snapshot: Snapshot) -> None:
        rows = Rows()
        kept.append(weakref.ref(rows))
        raise LimitExceeded("parameter-limit-exceeded", "Too many rows.")

    async def scenario(engine: Engine, _: Open) -> None:
        gc.disable()
        try:
            with pytest.raises(LimitExceeded):
                await engine.read_on_thread(refused, timeout_ms=60_000)
            await asyncio.sleep(0)
            assert [rows() for rows in kept] == [None]
        finally:
            gc.enable()

    run(scenario)


@pytest.mark.rule("S171")
def test_reads_that_come_at_once_share_the_turn_of_the_loop(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
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

    run(scenario)
