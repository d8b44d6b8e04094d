"""Stored rows changed a few at a time (`store.reshaping`), in turns of the writer's thread."""

from __future__ import annotations

import asyncio
import marshal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import IO, Any, Final, Protocol, TypeVar

from trice import account_limits as limits
from trice.catalog.attr import Attr
from trice.catalog.values import has_order_column
from trice.ended import until_ended
from trice.runtime import Runtime
from trice.store.engine import ReadTooLong, Statements
from trice.store.reshaping import Progress
from trice.store.rows import UniqueViolation
from trice.store.sqlite.building import FILLING, Building, SharedValue, drop_under
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.index import quoted
from trice.store.sqlite.tables import (
    CREATED,
    add_order_column,
    indexes_of,
    order_column,
    order_key,
)

T = TypeVar("T")

_PIECE_ROWS: Final = 250
_STEPS_PER_LOOK: Final = 10_000


class Tend(Protocol):
    """Runs work in a transaction of its own, between those of the app; returns its result, and how
    long the writer was held up, in ms."""

    def __call__(self, work: Callable[[Statements], T], /) -> Awaitable[tuple[T, float]]: ...


class SqliteReshaping:
    """See `reshaping.Reshaping`.

    Holds nothing between calls: how far a build is, is in the file (`store.sqlite.building`).
    """

    def __init__(self, path: str, tend: Tend, *, runtime: Runtime) -> None:
        self._path = path
        self._tend = tend
        self._runtime = runtime

    async def count(self, attr: Attr) -> int:
        """See `reshaping.Reshaping.count`."""
        if attr.is_pairs:
            return 0
        found, _ = await self._tend(
            lambda state: state.rows(f"SELECT coalesce(max(rowid), 0) FROM {quoted(attr.table)}")
        )
        count = found[0][0]
        assert isinstance(count, int)
        return count

    def can_build(self, old: Attr, new: Attr) -> bool:
        """See `reshaping.Reshaping.can_build`."""
        has_both = has_order_column(old) and has_order_column(new)
        return (
            not old.is_pairs
            and old.cardinality == new.cardinality
            and not (has_both and old.checked_type != new.checked_type)
        )

    async def build(
        self, old: Attr, new: Attr, progress: Progress, when_late: Callable[[], None]
    ) -> None:
        """See `reshaping.Reshaping.build`."""
        try:
            await self._build(old, new, progress, when_late)
        except SharedValue as shared:
            raise UniqueViolation(new, shared.cell) from shared

    async def _build(
        self, old: Attr, new: Attr, progress: Progress, when_late: Callable[[], None]
    ) -> None:
        is_filling = new.is_indexed and not old.is_indexed and not old.is_ref
        made = [
            Building(index, null_column=old.column if is_filling else None)
            for index in indexes_of(new)
            if index not in indexes_of(old)
        ]
        rows = await self.count(old)
        has_order = has_order_column(new) and not has_order_column(old)
        progress.estimate += rows * (has_order + is_filling + 2 * len(made))
        if has_order:
            await self._tend(partial(_keep_order, new))
            table, value, order = map(quoted, (new.table, new.column, order_column(new)))
            sql = f"UPDATE {table} SET {order} = {order_key(new)}({value})"
            await self._pass(new, progress, sql, f"{value} IS NOT NULL")
        for building in made:
            await self._tend(building.begin)
            await self._pass_rows(old, progress, building.add_nulls)
            await self._tend(building.as_table)
            with _scratch(self._path) as spool:
                await self._sort(building, spool)
                await self._turns(partial(_add, building, spool), progress)
            await self._tend(building.as_index)
        if is_filling:
            when_late()
            await self.store_nulls(old, progress, is_filling=False)
        for building in made:
            await self._turns(partial(_catch_up, building), Progress())

    async def _sort(self, building: Building, spool: IO[bytes]) -> None:
        """Write the entries of an index to a file, in their order: a reader does it, for which no
        writer waits."""
        is_over = Event()

        def sort() -> None:
            reader = Connection(self._path, Role.READER)
            try:
                reader.interrupt_when(is_over.is_set, steps=_STEPS_PER_LOOK)
                for piece in building.sorted_entries(reader, _PIECE_ROWS):
                    marshal.dump([tuple(row) for row in piece], spool)
                spool.seek(0)
            finally:
                reader.close()

        sorting = asyncio.ensure_future(asyncio.to_thread(sort))
        try:
            await asyncio.shield(sorting)
        except asyncio.CancelledError:
            is_over.set()
            await until_ended(sorting)
            raise
        except ReadTooLong:
            raise asyncio.CancelledError from None

    async def drop(self, attr: Attr) -> None:
        """See `reshaping.Reshaping.drop`."""
        await self._tend(lambda state: drop_under(state, f"{attr.table}~{attr.column}~"))

    async def store_nulls(self, attr: Attr, progress: Progress, *, is_filling: bool) -> None:
        """See `reshaping.Reshaping.store_nulls`."""
        table, value = quoted(attr.table), quoted(attr.column)
        if is_filling:
            sql, where = f"UPDATE {table} SET {value} = x'00'", f"{value} IS NULL"
            where += f" AND {quoted(CREATED)} IS NOT NULL"
        else:
            sql, where = f"UPDATE {table} SET {value} = NULL", f"{value} = x'00'"
        await self._pass(attr, progress, sql, where)

    async def empty(self, attr: Attr, progress: Progress) -> None:
        """See `reshaping.Reshaping.empty`. A table of pairs goes with its attr."""
        if attr.is_pairs:
            return
        columns = [attr.column if attr.column != "id" else CREATED]
        found, _ = await self._tend(
            lambda state: state.rows(
                "SELECT 1 FROM pragma_table_info(?) WHERE name = ?",
                (attr.table, f"{attr.column}~order"),
            )
        )
        if found:
            columns.append(f"{attr.column}~order")
        progress.estimate += await self.count(attr)
        sets = ", ".join(f"{quoted(column)} = NULL" for column in columns)
        has_any = " OR ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
        await self._pass(attr, progress, f"UPDATE {quoted(attr.table)} SET {sets}", has_any)

    async def _pass(self, attr: Attr, progress: Progress, sql: str, where: str) -> None:
        """Run an UPDATE on all rows of the table of an attr for which `where` holds."""
        whole = f"{sql} WHERE rowid > ? AND rowid <= ? AND ({where})"

        def work(state: Statements, after: int, last: int) -> None:
            state.rows(whole, (after, last))

        await self._pass_rows(attr, progress, work)

    async def _pass_rows(
        self, attr: Attr, progress: Progress, work: Callable[[Statements, int, int], None]
    ) -> None:
        after, table = 0, quoted(attr.table)

        def turn(state: Statements, rows: int) -> int:
            nonlocal after
            ((last, count),) = state.rows(
                "SELECT max(rowid), count(*) FROM"
                f" (SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?)",
                (after, rows),
            )
            if last is None:
                return 0
            assert isinstance(last, int) and isinstance(count, int)
            work(state, after, last)
            after = last
            return count

        await self._turns(turn, progress)

    async def _turns(self, turn: Callable[[Statements, int], int], progress: Progress) -> None:
        """Run `turn` with so many rows that it takes limits.RESHAPING_TURN_MS, until it finds none.
        Between two turns others have as long as one takes."""
        rows = limits.RESHAPING_ROWS_FIRST
        while True:
            count, took_ms = await self._tend(partial(_with_rows, turn, rows))
            if not count:
                return
            progress.completed += count
            if took_ms > limits.RESHAPING_TURN_MS:
                rows = max(rows // 2, limits.RESHAPING_ROWS_MIN)
            elif took_ms < limits.RESHAPING_TURN_MS / 2:
                rows = min(rows * 2, limits.RESHAPING_ROWS_MAX)
            if took_ms >= 1:
                await self._runtime.sleep_ms(took_ms)


def _with_rows(turn: Callable[[Statements, int], int], rows: int, state: Statements) -> int:
    return turn(state, rows)


def _add(building: Building, spool: IO[bytes], state: Statements, rows: int) -> int:
    """Add the next entries of a sorted file."""
    count = 0
    while count < rows:
        try:
            entries: list[Any] = marshal.load(spool)
        except EOFError:
            break
        building.add(state, entries)
        count += len(entries)
    return count


def _catch_up(building: Building, state: Statements, rows: int) -> int:
    """Bring rows up to date until fewer are left than fit a turn: others write on, and `settle`
    does the rest."""
    count = building.catch_up(state, rows)
    return count if count == rows else 0


def _keep_order(attr: Attr, state: Statements) -> None:
    """From now on every write renews the order key of its row."""
    add_order_column(state, attr)
    table, value, order = map(quoted, (attr.table, attr.column, order_column(attr)))
    base = f"{attr.table}~{attr.column}~order{FILLING}"
    drop_under(state, base)
    for name, event in (("insert", "INSERT"), ("update", f"UPDATE OF {value}")):
        state.rows(
            f"CREATE TRIGGER {quoted(base + name)} AFTER {event} ON {table} BEGIN"
            f" UPDATE {table} SET {order} = {order_key(attr)}(NEW.{value})"
            " WHERE rowid = NEW.rowid; END"
        )


@contextmanager
def _scratch(path: str) -> Iterator[IO[bytes]]:
    """A file beside the data, which has no name and is gone when it is closed, or with us."""
    with tempfile.TemporaryFile(dir=Path(path).parent) as file:
        yield file
