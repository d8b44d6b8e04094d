"""Filling a new app's file with many rows at once (`store.loading`).

    data-dir/loading/<id>.db      the file while it is filled
    data-dir/loading/<id>.made    the note of `publish`: once it stands here, the file is moved to
                                  its place, if need be at the next start. Removed by `settle`
    data-dir/loading/copy-*/      what a command reads while a server writes (`engines`)

Rows come in the order of their ids, so the key of a table grows at its end. All other indexes are
dropped before and built after: sorting a million values takes a second, inserting them one by one
at random places of an index that outgrew memory takes minutes. There is no journal: a file that a
stop left is thrown away.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

from trice import archive_limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell, has_order_column, stored_order
from trice.errors import Unavailable
from trice.protocol.ids import TxId
from trice.store.loading import NewPair
from trice.store.rows import StoredRow, UniqueViolation
from trice.store.sqlite import log
from trice.store.sqlite.connection import UniqueIndexBroken, translated
from trice.store.sqlite.engine import SqliteEngine
from trice.store.sqlite.tables import CREATED, ID, link_columns, order_column, quoted

FOLDER: Final = "loading"

_INDEXES: Final = (
    "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid"
)
_PRAGMAS: Final = (
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA temp_store = 1",
    f"PRAGMA cache_size = -{archive_limits.LOAD_CACHE_KIB}",
)

OpenFile = Callable[[Path, Iterable[Attr], bool], SqliteEngine]


class SqliteFilling:
    """See `loading.Filling`. Holds the open file and the texts of its statements."""

    def __init__(self, raw: apsw.Connection, catalog: Catalog) -> None:
        self._raw = raw
        self._catalog = catalog
        self._inserts: dict[str, tuple[str, tuple[Attr | None, ...], bool]] = {}
        self._indexes = [(str(name), str(sql)) for name, sql in raw.execute(_INDEXES).fetchall()]
        for name, _ in self._indexes:
            raw.execute(f"DROP INDEX {quoted(name)}")

    def insert(self, namespace: Namespace, rows: Sequence[StoredRow]) -> None:
        """See `loading.Filling.insert`. Costs 5 µs a row and 0.3 µs a cell; 2 µs more for a text
        that has an order key."""
        sql, ordered, is_plain = self._insert(namespace)
        latest: StoredRow = ()

        def bound() -> Iterator[Sequence[Cell]]:
            nonlocal latest
            for row in rows:
                latest = row
                yield row if is_plain else _with_order(row, ordered)

        try:
            self._raw.executemany(sql, bound())
        except apsw.ConstraintError as error:
            failure = translated(error, sql)
            if not isinstance(failure, UniqueIndexBroken):
                raise failure from error
            assert namespace.id_attr is not None, "rows have ids"
            raise UniqueViolation(namespace.id_attr, latest[0]) from error
        except apsw.Error as error:
            raise translated(error, sql) from error

    def link(self, attr: Attr, pairs: Sequence[NewPair]) -> None:
        """See `loading.Filling.link`."""
        sql = f"INSERT OR IGNORE INTO {quoted(attr.table)} VALUES (?, ?, ?)"
        try:
            self._raw.executemany(sql, pairs)
        except apsw.Error as error:
            raise translated(error, sql) from error

    def finish(self, on_index: Callable[[int, int], None]) -> None:
        """See `loading.Filling.finish`. Sorting needs room for one index in a temporary file."""
        for done, (_, sql) in enumerate(self._indexes):
            on_index(done, len(self._indexes))
            try:
                self._raw.execute(sql)
            except apsw.Error as error:
                failure = translated(error, sql)
                if isinstance(failure, UniqueIndexBroken):
                    raise self._violation(failure) from error
                raise failure from error
        on_index(len(self._indexes), len(self._indexes))

    def interrupt(self) -> None:
        """See `loading.Filling.interrupt`."""
        self._raw.interrupt()

    def _insert(self, namespace: Namespace) -> tuple[str, tuple[Attr | None, ...], bool]:
        """The statement for rows of a namespace; for each cell the attr if it has an order key."""
        found = self._inserts.get(namespace.table)
        if found is None:
            names = [ID, CREATED]
            ordered = tuple(attr if has_order_column(attr) else None for attr in namespace.columns)
            for attr, order in zip(namespace.columns, ordered, strict=True):
                names.append(attr.column)
                if order is not None:
                    names.append(order_column(attr))
            listed = ", ".join(map(quoted, names))
            marks = ", ".join("?" * len(names))
            sql = f"INSERT INTO {quoted(namespace.table)} ({listed}) VALUES ({marks})"
            found = self._inserts[namespace.table] = (sql, ordered, not any(ordered))
        return found

    def _violation(self, broken: UniqueIndexBroken) -> UniqueViolation:
        """The attr of a unique index that could not be built, and a value that is not unique."""
        for attr in self._catalog.by_id.values():
            if attr.is_id or attr.table != broken.table:
                continue
            place = link_columns(attr).target if attr.is_ref else attr.column
            if (place,) == broken.columns:
                table, value = quoted(attr.table), quoted(place)
                ((cell,),) = self._raw.execute(
                    f"SELECT {value} FROM {table} WHERE {value} IS NOT NULL AND {value} <> x'00'"
                    f" GROUP BY {value} HAVING count(*) > 1 LIMIT 1"
                ).fetchall()
                return UniqueViolation(attr, cell)
        raise AssertionError(f"no attr has the index on {broken.table}{broken.columns}")


def _with_order(row: StoredRow, ordered: Sequence[Attr | None]) -> list[Cell]:
    bound: list[Cell] = [row[0], row[1]]
    for cell, attr in zip(row[2:], ordered, strict=True):
        bound.append(cell)
        if attr is not None:
            bound.append(stored_order(attr, cell))
    return bound


class SqliteLoading:
    """See `loading.Loading`. Holds paths only."""

    def __init__(self, folder: Path, app_id: str, target: Path, *, open_file: OpenFile) -> None:
        """
        target     where the file of the app belongs
        open_file  opens a file as an engine: path, system attrs, whether it is new
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{app_id}.db"
        self._mark = folder / f"{app_id}.made"
        self._target = target
        self._open_file = open_file
        remove_file(self._path)

    def open(self, system_attrs: Iterable[Attr], *, is_new: bool) -> SqliteEngine:
        """See `loading.Loading.open`."""
        return self._open_file(self._path, system_attrs, is_new)

    @contextmanager
    def fill(self, catalog: Catalog, *, tx_before: TxId) -> Iterator[SqliteFilling]:
        """See `loading.Loading.fill`."""
        raw = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            for pragma in _PRAGMAS:
                raw.execute(pragma).fetchall()
            raw.execute("BEGIN EXCLUSIVE")
            raw.execute(log.MOVE, (tx_before,))
            yield SqliteFilling(raw, catalog)
            raw.execute("COMMIT")
        except apsw.Error as error:
            raise translated(error, "filling") from error
        finally:
            raw.close()

    def publish(self, note: bytes) -> None:
        """See `loading.Loading.publish`."""
        ahead = self._path.with_name(f"{self._path.name}-wal")
        if ahead.exists() and ahead.stat().st_size:
            # What closed the file could not copy its log into it.
            raise Unavailable("overloaded", "The server's disk does not accept data. Try again.")
        _sync(self._path)
        draft = self._mark.with_suffix(".draft")
        draft.write_bytes(note)
        _sync(draft)
        os.replace(draft, self._mark)
        _sync(self._mark.parent)
        _move(self._path, self._target)

    def settle(self) -> None:
        """See `loading.Loading.settle`."""
        self._mark.unlink(missing_ok=True)

    def discard(self) -> bool:
        """See `loading.Loading.discard`."""
        if self._mark.exists():
            return False
        remove_file(self._path)
        return True


def complete(folder: Path, place: Callable[[str], Path]) -> list[tuple[str, bytes]]:
    """Complete what a stop interrupted, and remove the rest: return the ids and notes of apps that
    were published and perhaps not listed. See `settle`.

    place   where the file of an app belongs
    """
    found = []
    for mark in sorted(folder.glob("*.made")):
        path = mark.with_suffix(".db")
        if path.exists():
            _move(path, place(mark.stem))
        found.append((mark.stem, mark.read_bytes()))
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != ".made":
            path.unlink(missing_ok=True)
    return found


def settle(folder: Path, app_id: str) -> None:
    """The app is listed."""
    (folder / f"{app_id}.made").unlink(missing_ok=True)


def _move(path: Path, target: Path) -> None:
    """Move a file to its place. What SQLite left beside an earlier one there would spoil it."""
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    os.replace(path, target)
    _sync(target.parent)


def remove_file(path: Path) -> None:
    """Remove a database file and those beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
