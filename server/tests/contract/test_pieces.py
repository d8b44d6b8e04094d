"""What every storage engine promises about rows that are read in pieces."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import Any

import pytest

from support.attrs import committed, entity
from support.patience import WAIT_S
from support.todos import attr_of, insert, numbers
from trice.protocol.ids import EntityId
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, WriteTx

ROWS = 300
PIECE = 64


def select(state: Snapshot | WriteTx, *, below: str = "", times: int = 1) -> str:
    """The numbers of all todos, in order; or those of each `times` times the todos there are."""
    dialect, todos = state.dialect, state.catalog.namespaces["todos"]
    n = dialect.cell(attr_of(state, "todos", "n"), "t0")
    tables = ", ".join(dialect.entities(todos, f"t{number}") for number in range(times))
    where = f" WHERE {n} < {below}" if below else ""
    order = f" ORDER BY {dialect.ordered(n, is_descending=False)}" if times == 1 else ""
    return f"SELECT {n} FROM {tables}{where}{order}"


def fill(tx: WriteTx) -> Commit:
    for number in range(ROWS):
        insert(number)(tx)
    return committed(tx)


@pytest.mark.rule("S180")
async def test_pieces_together_are_the_rows(engine: Engine) -> None:
    await engine.write(fill)

    def work(snapshot: Snapshot) -> list[list[Any]]:
        return list(snapshot.pieces(select(snapshot), rows_max=PIECE))

    for pieces in (engine.read_now(work), await engine.read_on_thread(work, timeout_ms=60_000)):
        assert [len(piece) for piece in pieces] == [PIECE] * (ROWS // PIECE) + [ROWS % PIECE]
        assert [n for piece in pieces for (n,) in piece] == list(range(ROWS))

    def below(snapshot: Snapshot, n: int) -> list[list[Any]]:
        return list(snapshot.pieces(select(snapshot, below="?"), (n,), rows_max=PIECE))

    few = engine.read_now(lambda snapshot: below(snapshot, PIECE))
    assert few == [[(n,) for n in range(PIECE)]]
    assert engine.read_now(lambda snapshot: below(snapshot, 0)) == []

    def write(tx: WriteTx) -> Commit:
        insert(ROWS)(tx)
        found.extend(n for piece in tx.pieces(select(tx), rows_max=PIECE) for (n,) in piece)
        return committed(tx)

    found: list[Any] = []
    await engine.write(write)
    assert found == list(range(ROWS + 1))


@pytest.mark.rule("S180")
async def test_no_more_is_read_than_is_asked_for(engine: Engine) -> None:
    await engine.write(fill)

    def work(snapshot: Snapshot) -> list[int]:
        # 27 million rows: reading them all is out of the question.
        with closing(snapshot.pieces(select(snapshot, times=3), rows_max=PIECE)) as pieces:
            return [len(next(pieces)), len(next(pieces))]

    assert engine.read_now(work) == [PIECE, PIECE]


@pytest.mark.rule("S181")
async def test_a_write_meanwhile_does_not_disturb_them(engine: Engine) -> None:
    await engine.write(fill)
    is_begun, may_go_on = threading.Event(), threading.Event()

    def work(snapshot: Snapshot) -> list[Any]:
        found: list[Any] = []
        for piece in snapshot.pieces(select(snapshot), rows_max=PIECE):
            found += [n for (n,) in piece]
            is_begun.set()
            assert may_go_on.wait(WAIT_S)
        return found

    reading = asyncio.ensure_future(engine.read_on_thread(work, timeout_ms=60_000))
    await asyncio.to_thread(is_begun.wait, WAIT_S)

    def change(tx: WriteTx) -> Commit:
        ids = [EntityId(entity(number)) for number in range(0, ROWS, 2)]
        tx.stored.delete(tx.catalog.namespaces["todos"], ids)
        insert(ROWS)(tx)
        return committed(tx)

    await engine.write(change)
    may_go_on.set()
    assert await reading == list(range(ROWS))
    assert engine.read_now(numbers) == [*range(1, ROWS, 2), ROWS]


@pytest.mark.rule("S182")
async def test_pieces_left_before_their_end_hold_nothing(engine: Engine) -> None:
    await engine.write(fill)

    def leave(snapshot: Snapshot) -> None:
        with closing(snapshot.pieces(select(snapshot), rows_max=PIECE)) as pieces:
            next(pieces)

    def leave_and_see(snapshot: Snapshot) -> list[Any]:
        leave(snapshot)
        return numbers(snapshot)

    assert engine.read_now(leave_and_see) == list(range(ROWS))
    await engine.write(insert(ROWS))
    assert engine.read_now(leave_and_see)[-1] == ROWS

    def count(snapshot: Snapshot) -> int:
        return sum(map(len, snapshot.pieces(select(snapshot, times=3), rows_max=10_000)))

    with pytest.raises(ReadTooLong):
        engine.read_now(count)
    assert engine.read_now(numbers)[-1] == ROWS
