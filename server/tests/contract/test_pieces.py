"""What every storage engine promises about rows that are read in pieces."""

from __future__ import annotations

import asyncio
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from support.attrs import committed, entity
from support.patience import WAIT_S
from support.todos import attr_of, insert, numbers, put
from trice import limits
from trice.query.ast import Judged
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.visibility import EVERYTHING, FixedVisibility, Visibility
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Row, Snapshot, WriteTx

ROWS = 200
PIECE = 64
TITLE = "x" * 2_000


def fill(tx: WriteTx) -> Commit:
    for number in range(ROWS):
        put(tx, "todos", number, n=number, title=f"{number}{TITLE}")
    return committed(tx)


def pieces(
    state: Snapshot | WriteTx,
    where: dict[str, Any] | None = None,
    *,
    visibility: Visibility = EVERYTHING,
    rows_max: int = PIECE,
) -> Iterator[list[Row]]:
    """The todos, in pieces."""
    query = parse({"todos": {"$": {"where": where or {}}}}, state.catalog, is_admin=True)
    made = plan(query, state.catalog, visibility, dialect=state.dialect)
    statement = made.forms[0].select
    assert statement is not None
    return state.pieces(statement.sql, statement.bindings, rows_max=rows_max)


def ids(found: Iterator[list[Row]]) -> list[Any]:
    return sorted(row[0] for piece in found for row in piece)  # type: ignore[type-var]


@pytest.mark.rule("S180")
async def test_pieces_together_are_the_rows(engine: Engine) -> None:
    await engine.write(fill)

    def sizes(snapshot: Snapshot) -> list[int]:
        return list(map(len, pieces(snapshot)))

    everyone = list(map(entity, range(ROWS)))
    for found in (
        engine.read_now(sizes),
        await engine.read_on_thread(sizes, timeout_ms=60_000),
    ):
        assert found == [PIECE] * (ROWS // PIECE) + [ROWS % PIECE]
    assert engine.read_now(lambda snapshot: ids(pieces(snapshot))) == everyone
    some = engine.read_now(lambda snapshot: list(pieces(snapshot, {"n": {"$lt": PIECE}})))
    assert list(map(len, some)) == [PIECE]
    assert engine.read_now(lambda snapshot: list(pieces(snapshot, {"n": -1}))) == []

    def write(tx: WriteTx) -> Commit:
        insert(ROWS)(tx)
        seen.extend(ids(pieces(tx)))
        return committed(tx)

    seen: list[Any] = []
    await engine.write(write)
    assert seen == [*everyone, entity(ROWS)]


@pytest.mark.rule("S180")
async def test_a_piece_is_all_that_is_held(engine: Engine) -> None:
    await engine.write(fill)

    def work(snapshot: Snapshot) -> int:
        tracemalloc.start()
        try:
            assert sum(map(len, pieces(snapshot))) == ROWS
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert await engine.read_on_thread(work, timeout_ms=60_000) < 3 * PIECE * len(TITLE)


@pytest.mark.rule("S181")
async def test_a_write_meanwhile_does_not_disturb_them(engine: Engine) -> None:
    await engine.write(fill)
    is_begun, may_go_on = threading.Event(), threading.Event()

    def work(snapshot: Snapshot) -> list[Any]:
        found: list[Any] = []
        for piece in pieces(snapshot):
            found += [row[0] for row in piece]
            is_begun.set()
            assert may_go_on.wait(WAIT_S)
        return sorted(found)

    reading = asyncio.ensure_future(engine.read_on_thread(work, timeout_ms=60_000))
    await asyncio.to_thread(is_begun.wait, WAIT_S)

    def change(tx: WriteTx) -> Commit:
        tx.stored.delete(tx.catalog.namespaces["todos"], list(map(entity, range(0, ROWS, 2))))
        insert(ROWS)(tx)
        return committed(tx)

    await engine.write(change)
    may_go_on.set()
    assert await reading == list(map(entity, range(ROWS)))
    found = await engine.read(numbers, timeout_ms=60_000)
    assert found == [*range(1, ROWS, 2), ROWS]


@pytest.mark.rule("S182")
async def test_pieces_left_before_their_end_hold_nothing(engine: Engine) -> None:
    await engine.write(fill)

    def leave(snapshot: Snapshot) -> int:
        with closing(pieces(snapshot)) as left:  # type: ignore[type-var]
            return len(next(left))

    for number in range(ROWS, ROWS + 3):
        assert engine.read_now(leave) == PIECE
        assert await engine.read_on_thread(leave, timeout_ms=60_000) == PIECE
        await engine.write(insert(number))
    assert (await engine.read(numbers, timeout_ms=60_000))[-1] == ROWS + 2

    def decide(*_: Any) -> tuple[bool, int]:
        return True, limits.JUDGED_STEPS_ON_LOOP

    def too_long(snapshot: Snapshot) -> list[Any]:
        judged = Judged(decide, (attr_of(snapshot, "todos", "n"),), ())
        return list(pieces(snapshot, visibility=FixedVisibility({"todos": (judged,)})))

    with pytest.raises(ReadTooLong):
        engine.read_now(too_long)
    assert engine.read_now(leave) == PIECE
