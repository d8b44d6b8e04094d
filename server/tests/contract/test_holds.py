"""What every storage engine promises about snapshots that last, turns, and results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from support.attrs import blob, committed, creating, entity
from support.patience import WAIT_S
from support.runtime import FakeRuntime
from support.todos import (
    NEXT,
    Open,
    attr_of,
    failing_after,
    insert,
    numbers,
    put,
    row,
    spend_the_loops_budget,
)
from trice import function_limits
from trice.errors import Unavailable
from trice.protocol.ids import EventId
from trice.store.commit import Commit
from trice.store.engine import Engine, Snapshot, WriteTx
from trice.store.rows import UniqueViolation

LONG_MS = 600_000


@pytest.mark.rule("FN1")
async def test_held_snapshot_stays_as_it_was_over_commits(engine: Engine) -> None:
    await engine.write(insert(1))
    held = await engine.hold(lasts_ms=LONG_MS)
    assert (held.tx, held.catalog) == (2, engine.catalog)
    await engine.write(insert(2))
    assert await held.read(numbers) == [1]
    assert await held.read(lambda snapshot: (snapshot.tx, snapshot.newest_tx())) == (2, 2)
    held.close()
    later = await engine.hold(lasts_ms=LONG_MS)
    assert (later.tx, await later.read(numbers)) == (3, [1, 2])
    later.close()


@pytest.mark.rule("FN1")
async def test_held_snapshot_tells_when_its_newest_transaction_was(
    engine: Engine, runtime: FakeRuntime
) -> None:
    runtime.now += 5
    await engine.write(insert(1))
    written_ms = runtime.now
    runtime.now += 5
    held = await engine.hold(lasts_ms=LONG_MS)
    assert held.time_ms == written_ms
    held.close()


@pytest.mark.rule("FN2")
async def test_held_snapshot_has_the_catalog_of_its_transaction(engine: Engine) -> None:
    for number in range(20):
        change = asyncio.ensure_future(engine.write(creating(blob("more", f"field{number}"))))
        await asyncio.sleep(0)
        held = await engine.hold(lasts_ms=LONG_MS)
        attrs = 0 if held.tx == number + 1 else 1
        more = held.catalog.namespaces.get("more")
        assert (0 if more is None else len(more.columns)) == number + attrs
        assert await held.read(numbers) == [], "its statements fit its tables"
        held.close()
        await change


@pytest.mark.rule("FN3")
async def test_long_read_of_a_held_snapshot_leaves_the_loop(engine: Engine) -> None:
    held = await engine.hold(lasts_ms=LONG_MS)
    runs: list[int] = []

    def work(snapshot: Snapshot) -> list[Any]:
        runs.append(1)
        if len(runs) == 1:
            spend_the_loops_budget(snapshot)
        return numbers(snapshot)

    await held.write(insert(7))
    assert await held.read(work) == [7], "the thread sees what was written here"
    assert len(runs) == 2
    held.close()


@pytest.mark.rule("FN4")
async def test_held_snapshot_closes_when_its_time_is_up(engine: Engine) -> None:
    held = await engine.hold(lasts_ms=0)
    await engine.write(insert(1))
    await engine.write(insert(2))
    assert not held.is_open
    with pytest.raises(Unavailable) as caught:
        await held.read(numbers)
    assert caught.value.code == "timeout"
    held.close()


@pytest.mark.rule("FN4")
async def test_closing_ends_a_read_under_way(engine: Engine) -> None:
    held = await engine.hold(lasts_ms=LONG_MS)

    def endless(snapshot: Snapshot) -> None:
        spend_the_loops_budget(snapshot)
        while True:
            snapshot.spend(1_000_000)

    def work(snapshot: Snapshot) -> None:
        endless(snapshot)

    reading = asyncio.ensure_future(held.read(work))
    await asyncio.sleep(0)
    held.close()
    with pytest.raises(Unavailable) as caught:
        await asyncio.wait_for(reading, WAIT_S)
    assert caught.value.code == "timeout"


@pytest.mark.rule("FN4")
async def test_as_many_are_held_as_the_bound_says(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "HELD_SNAPSHOTS_MAX", 2)
    first, second = [await engine.hold(lasts_ms=LONG_MS) for _ in range(2)]
    waiting = [asyncio.ensure_future(engine.hold(lasts_ms=LONG_MS)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    await engine.write(insert(1))
    first.close()
    third = await waiting[0]
    assert third.tx == 2, "it sees what was written while it waited"
    assert not waiting[1].done()
    monkeypatch.setattr(function_limits, "HELD_WAIT_MS", 0)
    with pytest.raises(Unavailable) as caught:
        await engine.hold(lasts_ms=LONG_MS)
    assert caught.value.code == "overloaded"
    second.close()
    third.close()
    (await waiting[1]).close()


@pytest.mark.rule("FN5")
async def test_what_is_written_over_a_snapshot_nobody_else_sees(engine: Engine) -> None:
    await engine.write(insert(1))
    held = await engine.hold(lasts_ms=LONG_MS)
    commit = await held.write(insert(2))
    assert commit.tx == 3
    assert await held.read(numbers) == [1, 2]
    assert engine.read_now(numbers) == [1]
    other = await engine.hold(lasts_ms=LONG_MS)
    assert await other.read(numbers) == [1]
    other.close()
    held.close()
    again = await engine.hold(lasts_ms=LONG_MS)
    assert await again.read(numbers) == [1], "nothing is left in the connection"
    again.close()
    assert engine.tx == 2


def change_everything(tx: WriteTx) -> Commit:
    """Change, delete and add rows and pairs over those of `three_todos`."""
    namespace = tx.catalog.namespaces["todos"]
    cells = row(namespace, n=20)
    at = next(at for at, attr in enumerate(namespace.columns) if attr.label == "n")
    tx.stored.update(namespace, entity(1), None, cells, (at,))
    tx.stored.delete(namespace, (entity(2),))
    put(tx, "todos", 4, n=4)
    link = attr_of(tx, "todos", "next")
    assert tx.stored.unlink(link, entity(1), entity(2)) == tx.time_ms
    assert tx.stored.link(link, entity(1), entity(4), tx.time_ms)
    assert not tx.stored.link(link, entity(1), entity(4), tx.time_ms)
    return committed(tx)


def three_todos(tx: WriteTx) -> Commit:
    for number in (1, 2, 3):
        put(tx, "todos", number, n=number, slug=f"s{number}")
    tx.stored.link(tx.catalog.by_id[NEXT.id], entity(1), entity(2), tx.time_ms)
    return committed(tx)


@pytest.mark.rule("FN5")
async def test_rows_and_pairs_are_changed_over_those_of_the_snapshot(engine: Engine) -> None:
    await engine.write(three_todos)
    held = await engine.hold(lasts_ms=LONG_MS)
    await held.write(change_everything)

    def work(snapshot: Snapshot) -> Any:
        namespace = snapshot.catalog.namespaces["todos"]
        found = snapshot.stored.find(namespace, [entity(number) for number in range(1, 5)])
        pairs = snapshot.stored.find_targets(
            attr_of(snapshot, "todos", "next"), (entity(1),), count=9
        )
        return numbers(snapshot), len(found), pairs

    assert await held.read(work) == ([3, 4, 20], 3, [(entity(1), entity(4))])
    held.close()
    assert engine.read_now(work) == ([1, 2, 3], 3, [(entity(1), entity(2))])


@pytest.mark.rule("FN5")
async def test_a_value_stays_unique_over_a_snapshot(engine: Engine) -> None:
    await engine.write(three_todos)
    held = await engine.hold(lasts_ms=LONG_MS)
    with pytest.raises(UniqueViolation) as caught:
        await held.write(insert(9, slug="s2"))
    assert (caught.value.attr.label, caught.value.cell) == ("slug", "s2")
    await held.write(lambda tx: _deleting(tx, 2))
    await held.write(insert(9, slug="s2"))
    assert await held.read(numbers) == [1, 3, 9]
    held.close()


def _deleting(tx: WriteTx, number: int) -> Commit:
    tx.stored.delete(tx.catalog.namespaces["todos"], (entity(number),))
    return committed(tx)


@pytest.mark.rule("FN5")
async def test_work_that_fails_over_a_snapshot_leaves_nothing(engine: Engine) -> None:
    held = await engine.hold(lasts_ms=LONG_MS)
    await held.write(insert(1))
    with pytest.raises(KeyError):
        await held.write(failing_after(insert(2)))
    with pytest.raises(KeyError):
        await held.write(failing_after(insert(3)), is_long=True)
    assert await held.read(numbers) == [1]
    held.close()


@pytest.mark.rule("FN6")
async def test_writes_are_undone_to_a_mark(engine: Engine) -> None:
    held = await engine.hold(lasts_ms=LONG_MS)
    assert held.mark() == 0
    await held.write(insert(1))
    assert held.mark() == 1
    await held.write(insert(2), is_long=True)
    held.undo(1)
    assert await held.read(numbers) == [1]
    await held.write(insert(3))
    assert held.mark() == 1
    held.undo(0)
    assert await held.read(numbers) == []
    await held.write(insert(4))
    assert await held.read(numbers) == [4]
    held.close()


@pytest.mark.rule("FN10")
async def test_nothing_begins_while_the_turn_is_held(engine: Engine) -> None:
    turn = await engine.take_turn(lasts_ms=function_limits.TURN_MS)
    waiting = engine.submit(insert(1))
    second = asyncio.ensure_future(engine.take_turn(lasts_ms=function_limits.TURN_MS))
    for _ in range(20):
        await asyncio.sleep(0)
    assert turn.is_held and not waiting.done() and not second.done()
    first = engine.submit(insert(2), turn=turn)
    assert (await first, await waiting) == (2, 3), "the call with the turn comes first"
    assert not turn.is_held
    turn = await second
    long = engine.submit(insert(3), turn=turn, is_long=True)
    assert await engine.write(insert(4)) == 5 and await long == 4


@pytest.mark.rule("FN10")
async def test_the_turn_ends_by_itself(engine: Engine) -> None:
    turn = await engine.take_turn(lasts_ms=0)
    assert await engine.write(insert(1)) == 2
    assert not turn.is_held
    assert await engine.submit(insert(2), turn=turn) == 3, "without the turn it waits like others"
    given_up = asyncio.ensure_future(engine.take_turn(lasts_ms=function_limits.TURN_MS))
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await engine.write(insert(3)) == 4


@pytest.mark.rule("FN10")
async def test_transactions_run_between_two_turns(engine: Engine) -> None:
    first = await engine.take_turn(lasts_ms=function_limits.TURN_MS)
    second = asyncio.ensure_future(engine.take_turn(lasts_ms=function_limits.TURN_MS))
    waiting = engine.submit(insert(1))
    await asyncio.sleep(0)
    first.end()
    turn = await second
    assert await waiting == 2 and turn.is_held
    turn.end()
    turn.end()


@pytest.mark.rule("FN7")
async def test_work_is_shown_the_commits_of_its_group(engine: Engine) -> None:
    seen: list[list[int]] = []

    def work(tx: WriteTx) -> Commit:
        seen.append([commit.tx for commit in tx.earlier])
        return insert(tx.tx)(tx)

    await asyncio.gather(*(engine.submit(work) for _ in range(3)))
    assert sorted(map(len, seen)) == [0, 0, 1], "the first went alone, the others together"
    assert seen[2] == [3]


@pytest.mark.rule("FN11")
async def test_results_are_kept_with_their_transaction(
    open_engine: Open, open_todos: Callable[[], Coroutine[Any, Any, Engine]], runtime: FakeRuntime
) -> None:
    engine = await open_todos()
    one, other = EventId("one"), EventId("other")

    def keeping(event_id: EventId, value: bytes) -> Callable[[WriteTx], Commit]:
        def work(tx: WriteTx) -> Commit:
            assert tx.results.find(event_id, now_ms=tx.time_ms) is None
            tx.results.keep(event_id, value, tx=tx.tx, time_ms=tx.time_ms)
            assert tx.results.find(event_id, now_ms=tx.time_ms) == (tx.tx, value)
            return committed(tx)

        return work

    def find(event_id: EventId) -> Any:
        now_ms = runtime.now_ms()
        return engine.read_now(lambda state: state.results.find(event_id, now_ms=now_ms))

    assert find(one) is None
    with pytest.raises(KeyError):
        await engine.write(failing_after(keeping(one, b"0")))
    assert find(one) is None, "what the first one made is undone"
    assert await engine.write(keeping(one, b"1")) == 2
    with pytest.raises(KeyError):
        await engine.write(failing_after(keeping(other, b"2")))
    assert (find(one), find(other)) == ((2, b"1"), None)
    runtime.now += function_limits.RESULT_KEPT_MS + 1
    assert find(one) == (2, None), "its value has expired, but it is known"
    await engine.close()
    engine = open_engine()
    assert find(one) == (2, None)
    await engine.close()


@pytest.mark.rule("FN4", "FN10")
async def test_closing_lets_go_of_snapshots_and_turns(engine: Engine) -> None:
    held = await engine.hold(lasts_ms=LONG_MS)
    turn = await engine.take_turn(lasts_ms=function_limits.TURN_MS)
    waiting = engine.submit(insert(1))
    await engine.close()
    assert not held.is_open and not turn.is_held
    assert await waiting == 2, "what was accepted is finished"
    with pytest.raises(Unavailable):
        await engine.hold(lasts_ms=LONG_MS)
    with pytest.raises(Unavailable):
        await engine.take_turn(lasts_ms=1)
