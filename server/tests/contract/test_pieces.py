"""What every storage engine promises about rows that are read in pieces."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import Any

import pytest

from support.attrs import committed
from support.todos import Open, Run, insert, numbers
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, WriteTx

ROWS = 1_000
PIECE = 64
NUMBERS = "SELECT n FROM todos ORDER BY n"
EACH_SQUARED = "SELECT a.n FROM todos AS a, todos AS b, todos AS c"


def fill(tx: WriteTx) -> Commit:
    for number in range(ROWS):
        insert(number)(tx)
    return committed(tx)


@pytest.mark.rule("S180")
def test_pieces_together_are_the_rows(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        await engine.write(fill)

        def work(snapshot: Snapshot) -> list[list[Any]]:
            return list(snapshot.pieces(NUMBERS, rows_max=PIECE))

        for pieces in (engine.read_now(work), await engine.read_on_thread(work, timeout_ms=60_000)):
            assert [len(piece) for piece in pieces] == [PIECE] * (ROWS // PIECE) + [ROWS % PIECE]
            assert [n for piece in pieces for (n,) in piece] == list(range(ROWS))
        sql = "SELECT n FROM todos WHERE n < ? ORDER BY n"
        few = engine.read_now(lambda snapshot: list(snapshot.pieces(sql, (PIECE,), rows_max=PIECE)))
        assert few == [[(n,) for n in range(PIECE)]]
        none = engine.read_now(lambda snapshot: list(snapshot.pieces(sql, (0,), rows_max=PIECE)))
        assert none == []

        def write(tx: WriteTx) -> Commit:
            insert(ROWS)(tx)
            found.extend(n for piece in tx.pieces(NUMBERS, rows_max=PIECE) for (n,) in piece)
            return committed(tx)

        found: list[Any] = []
        await engine.write(write)
        assert found == list(range(ROWS + 1))

    run(scenario)


@pytest.mark.rule("S180")
def test_no_more_is_read_than_is_asked_for(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        await engine.write(fill)

        def work(snapshot: Snapshot) -> list[int]:
            # A billion rows: reading them all is out of the question.
            with closing(snapshot.pieces(EACH_SQUARED, rows_max=PIECE)) as pieces:
                return [len(next(pieces)), len(next(pieces))]

        assert engine.read_now(work) == [PIECE, PIECE]

    run(scenario)


@pytest.mark.rule("S181")
def test_a_write_meanwhile_does_not_disturb_them(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        await engine.write(fill)
        is_begun, may_go_on = threading.Event(), threading.Event()

        def work(snapshot: Snapshot) -> list[Any]:
            found: list[Any] = []
            for piece in snapshot.pieces(NUMBERS, rows_max=PIECE):
                found += [n for (n,) in piece]
                is_begun.set()
                assert may_go_on.wait(60)
            return found

        reading = asyncio.ensure_future(engine.read_on_thread(work, timeout_ms=60_000))
        await asyncio.to_thread(is_begun.wait, 60)

        def change(tx: WriteTx) -> Commit:
            tx.rows("DELETE FROM todos WHERE n % 2 = 0")
            insert(ROWS)(tx)
            return committed(tx)

        await engine.write(change)
        may_go_on.set()
        assert await reading == list(range(ROWS))
        assert engine.read_now(numbers) == [*range(1, ROWS, 2), ROWS]

    run(scenario)


@pytest.mark.rule("S182")
def test_pieces_left_before_their_end_hold_nothing(run: Run) -> None:
    async def scenario(engine: Engine, _: Open) -> None:
        await engine.write(fill)

        def leave(snapshot: Snapshot) -> None:
            with closing(snapshot.pieces(NUMBERS, rows_max=PIECE)) as pieces:
                next(pieces)

        def leave_and_see(snapshot: Snapshot) -> list[Any]:
            leave(snapshot)
            return numbers(snapshot)

        assert engine.read_now(leave_and_see) == list(range(ROWS))
        await engine.write(insert(ROWS))
        assert engine.read_now(leave_and_see)[-1] == ROWS

        def count(snapshot: Snapshot) -> int:
            return sum(map(len, snapshot.pieces(EACH_SQUARED, rows_max=10_000)))

        with pytest.raises(ReadTooLong):
            engine.read_now(count)
        assert engine.read_now(numbers)[-1] == ROWS

    run(scenario)
