"""Filling a new app's file with many rows at once (`store.loading`).

    data-dir/loading/<id>.db      the file while it is filled
    data-dir/loading/<id>.kept.db the same if it keeps what it has done: a stop leaves it, for
                                  archive_limits.LOADING_KEPT_MS
    data-dir/loading/<id>.lock    held by who fills it
    data-dir/loading/<id>.made    the note of `publish`: once it stands here, the file is moved to
                                  its place, if need be at the next start. Removed by `settle`
    data-dir/loading/copy-*/      what a command reads while a server writes (`engines`)

Rows come in the order of their ids, so the key of a table grows at its end. All other indexes are
dropped before and built after: sorting a million values takes a second, inserting them one by one
at random places of an index that outgrew memory takes minutes. Without `keeps` there is no journal:
a file that a stop left is thrown away. With it there is a rollback journal, which stays small, as
nearly all pages are new; each `keep` is a COMMIT with a fsync, and each index has one too.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import apsw
import orjson

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
from trice.store.sqlite.index import quoted
from trice.store.sqlite.tables import CREATED, ID, link_columns, order_column

FOLDER: Final = "loading"

_INDEXES: Final = (
    "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid"
)
_ONCE: Final = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")
_KEPT: Final = ("PRAGMA journal_mode = TRUNCATE", "PRAGMA synchronous = NORMAL")
_PRAGMAS: Final = (
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA temp_store = 1",
    f"PRAGMA cache_size = -{archive_limits.LOAD_CACHE_KIB}",
)

_NOTES: Final = "trice_loading"
"""A table of the file while it is filled: `note` of the last `keep`, and the dropped `indexes`."""

OpenFile = Callable[[Path, Iterable[Attr], bool], SqliteEngine]


class SqliteFilling:
    """See `loading.Filling`. Holds the open file and the texts of its statements."""

    def __init__(
        self, raw: apsw.Connection, catalog: Catalog, *, tx_before: TxId, keeps: bool
    ) -> None:
        """raw   inside of a transaction"""
        self._raw = raw
        self._catalog = catalog
        self._keeps = keeps
        self._inserts: dict[str, tuple[str, tuple[Attr | None, ...], bool]] = {}
        told = _read_note(raw, "indexes") if keeps else None
        if told is not None:
            self._indexes = [(name, sql) for name, sql in orjson.loads(told)]
            return
        raw.execute(log.MOVE, (tx_before,))
        self._indexes = [(str(name), str(sql)) for name, sql in raw.execute(_INDEXES).fetchall()]
        if keeps:
            raw.execute(f"CREATE TABLE {_NOTES} (name TEXT PRIMARY KEY, value BLOB)")
            self._write_note("indexes", orjson.dumps(self._indexes))
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
        there = {str(name) for name, _ in self._raw.execute(_INDEXES).fetchall()}
        for done, (name, sql) in enumerate(self._indexes):
            on_index(done, len(self._indexes))
            if name in there:
                continue
            try:
                self._raw.execute(sql)
                self._commit()
            except apsw.Error as error:
                failure = translated(error, sql)
                if isinstance(failure, UniqueIndexBroken):
                    raise self._violation(failure) from error
                raise failure from error
        on_index(len(self._indexes), len(self._indexes))

    def keep(self, note: bytes) -> None:
        """See `loading.Filling.keep`."""
        if not self._keeps:
            return
        try:
            self._write_note("note", note)
            self._commit()
        except apsw.Error as error:
            raise translated(error, "keeping") from error

    def cells(self, attr: Attr) -> Iterator[Cell]:
        """See `loading.Filling.cells`."""
        name = quoted(attr.column)
        sql = f"SELECT {name} FROM {quoted(attr.table)} WHERE {name} IS NOT NULL"
        for (cell,) in self._raw.execute(sql):
            yield cell

    def interrupt(self) -> None:
        """See `loading.Filling.interrupt`."""
        self._raw.interrupt()

    def _commit(self) -> None:
        if self._keeps:
            self._raw.execute("COMMIT")
            self._raw.execute("BEGIN EXCLUSIVE")

    def _write_note(self, name: str, value: bytes) -> None:
        self._raw.execute(f"INSERT OR REPLACE INTO {_NOTES} VALUES (?, ?)", (name, value))

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
    """See `loading.Loading`. Holds paths, and the claim on the app's file."""

    def __init__(
        self, folder: Path, app_id: str, target: Path, *, open_file: OpenFile, keeps: bool
    ) -> None:
        """
        target     where the file of the app belongs
        open_file  opens a file as an engine: path, system attrs, whether it is new
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        self._keeps = keeps
        self._path = kept_file(folder, app_id) if keeps else folder / f"{app_id}.db"
        self._mark = folder / f"{app_id}.made"
        self._target = target
        self._open_file = open_file
        self._lock = _claim(folder / f"{app_id}.lock")
        if not keeps:
            remove_file(self._path)

    def kept(self) -> bytes | None:
        """See `loading.Loading.kept`."""
        if not self._keeps or not self._path.exists():
            return None
        try:
            raw = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                return _read_note(raw, "note")
            finally:
                raw.close()
        except apsw.Error:
            return None  # a stop while the file was made

    def restart(self) -> None:
        """See `loading.Loading.restart`."""
        remove_file(self._path)

    def release(self) -> None:
        """See `loading.Loading.release`."""
        if not self._lock.closed:
            # Unlinked first, while it is held: who waits for it looks whether it is still there.
            Path(self._lock.name).unlink(missing_ok=True)
            self._lock.close()

    def open(self, system_attrs: Iterable[Attr], *, is_new: bool) -> SqliteEngine:
        """See `loading.Loading.open`."""
        return self._open_file(self._path, system_attrs, is_new)

    @contextmanager
    def fill(self, catalog: Catalog, *, tx_before: TxId) -> Iterator[SqliteFilling]:
        """See `loading.Loading.fill`."""
        raw = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            for pragma in (*(_KEPT if self._keeps else _ONCE), *_PRAGMAS):
                raw.execute(pragma).fetchall()
            raw.execute("BEGIN EXCLUSIVE")
            yield SqliteFilling(raw, catalog, tx_before=tx_before, keeps=self._keeps)
            raw.execute("COMMIT")
        except apsw.Error as error:
            raise translated(error, "filling") from error
        finally:
            raw.close()

    def publish(self, note: bytes) -> None:
        """See `loading.Loading.publish`."""
        if self._keeps:
            self._drop_notes()
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
        self.release()

    def discard(self) -> bool:
        """See `loading.Loading.discard`."""
        if self._mark.exists():
            self.release()
            return False
        remove_file(self._path)
        self.release()
        return True

    def _drop_notes(self) -> None:
        """Leave nothing in the file that no app has."""
        try:
            raw = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                raw.execute(f"DROP TABLE IF EXISTS {_NOTES}")
            finally:
                raw.close()
        except apsw.Error as error:
            raise translated(error, "publishing") from error


def kept_file(folder: Path, app_id: str) -> Path:
    """The file of a loading that keeps what it has done."""
    return folder / f"{app_id}.kept.db"


def complete(folder: Path, place: Callable[[str], Path], *, now_ms: int) -> list[tuple[str, bytes]]:
    """Complete what a stop interrupted, and remove the rest: return the ids and notes of apps that
    were published and perhaps not listed. See `settle`. What loadings kept stays for some days.

    place   where the file of an app belongs
    """
    found = []
    for mark in sorted(folder.glob("*.made")):
        for path in (mark.with_suffix(".db"), kept_file(folder, mark.stem)):
            if path.exists():
                _move(path, place(mark.stem))
        found.append((mark.stem, mark.read_bytes()))
    oldest_s = (now_ms - archive_limits.LOADING_KEPT_MS) / 1000
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
            continue
        is_kept = ".kept.db" in path.name and path.stat().st_mtime > oldest_s
        if path.suffix != ".made" and not is_kept and not _is_claimed(path):
            path.unlink(missing_ok=True)
    return found


def settle(folder: Path, app_id: str) -> None:
    """The app is listed."""
    (folder / f"{app_id}.made").unlink(missing_ok=True)


def _claim(path: Path) -> IO[bytes]:
    """Hold a file until it is closed. raises  Unavailable, OSError"""
    while True:
        file = open(path, "wb")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
            file.close()  # who had it let it go, and removed it, between both lines
        except BlockingIOError as failure:
            file.close()
            problem = "This app is being imported already. Try again when that has ended."
            raise Unavailable("overloaded", problem) from failure


def _is_claimed(path: Path) -> bool:
    """Whether a file is a claim that a process holds."""
    if path.suffix != ".lock":
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _read_note(raw: apsw.Connection, name: str) -> bytes | None:
    """A note of a file that is being filled."""
    if not raw.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (_NOTES,)).fetchall():
        return None
    found = raw.execute(f"SELECT value FROM {_NOTES} WHERE name = ?", (name,)).fetchall()
    if not found:
        return None
    assert isinstance(found[0][0], bytes), "notes are blobs"
    return found[0][0]


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
