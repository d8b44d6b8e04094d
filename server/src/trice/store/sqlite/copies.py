"""Copies of SQLite files (`store.copies`), made by SQLite's backup API.

One snapshot is held from the first page to the last. Without it SQLite would begin again after each
commit of another process, and would never end beside a busy writer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import apsw

from trice import backup_limits
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.protocol.ids import AppId, TxId, find_uuid_bytes, uuid_text
from trice.store.copies import CopyEnded, CopyFacts, LogRow
from trice.store.engine import ReadTooLong
from trice.store.engines import PLATFORM
from trice.store.log_format import Unreadable
from trice.store.sqlite import hook_places, log
from trice.store.sqlite.attr_rows import load_catalog, update_attr
from trice.store.sqlite.building import drop_unfinished
from trice.store.sqlite.connection import Connection, Role, translated
from trice.store.sqlite.engines import path_of
from trice.store.sqlite.index import quoted
from trice.store.sqlite.replay import find_file_hashes, find_texts, is_replayable, replay
from trice.store.sqlite.tables import CREATED
from trice.store.sqlite.write_ahead import is_log_damaged

_LOG_AFTER: Final = (
    "SELECT id, time_ms, identity, event_id, changes FROM _tx WHERE id > ? ORDER BY id LIMIT ?"
)
_PIECE_ROWS: Final = 1_000
_STEPS_PER_LOOK: Final = 100_000


class SqliteCopies:
    """See `store.copies.Copies`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def apps(self) -> list[AppId]:
        names = (path.stem for path in (self._data_dir / "apps").glob("*.db"))
        return [AppId(name) for name in sorted(names) if find_uuid_bytes(name) is not None]

    def copy(self, app_id: AppId, path: Path, *, is_over: Callable[[], bool]) -> None:
        source = path_of(self._data_dir, app_id)
        if source.stat().st_size == 0 or is_log_damaged(source):
            raise Unavailable("data-unusable", "The data file of this app is damaged.")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = Connection(str(source), Role.READER)
        try:
            connection.begin_snapshot()
            connection.copy_pages(str(path), backup_limits.STEP_PAGES, is_over)
        except FileNotFoundError:
            raise
        except Unavailable:
            if not source.exists():  # deleted meanwhile
                raise FileNotFoundError(source) from None
            raise
        finally:
            connection.rollback()
            connection.close()
        _leave_jobs_out(path)

    def find_problem(
        self, path: Path, *, is_whole: bool, is_over: Callable[[], bool]
    ) -> str | None:
        check = "integrity_check" if is_whole else "quick_check"
        try:
            connection = Connection(str(path), Role.READER)
            connection.interrupt_when(is_over, steps=_STEPS_PER_LOOK)
            try:
                ((verdict,),) = connection.rows(f"PRAGMA {check}(1)")
            finally:
                connection.close()
        except ReadTooLong:
            raise CopyEnded from None
        except Unavailable as failure:
            return failure.message
        return None if verdict == "ok" else str(verdict)

    def facts(self, path: Path) -> CopyFacts:
        connection = Connection(str(path), Role.READER)
        try:
            counts = {}
            for name, sql in _counted(load_catalog(connection)):
                ((count,),) = connection.rows(sql)
                assert isinstance(count, int)
                counts[name] = count
            return CopyFacts(TxId(log.load_last_tx(connection)), counts)
        finally:
            connection.close()

    def newest(self, path: Path) -> tuple[TxId, int]:
        connection = Connection(str(path), Role.READER)
        try:
            return log.load_last(connection)
        finally:
            connection.close()

    def files(self, path: Path) -> Iterator[tuple[str, int]]:
        connection = Connection(str(path), Role.READER)
        try:
            catalog = load_catalog(connection)
            hash, size = (
                catalog.find_forward("$files", label) for label in ("content-hash", "size")
            )
            if hash is None or size is None:
                return
            named, sized = quoted(hash.column), quoted(size.column)
            sql = (
                f"SELECT {named}, max({sized}) FROM {quoted(hash.table)}"
                f" WHERE typeof({named}) = 'text' GROUP BY {named} ORDER BY {named}"
            )
            for piece in connection.pieces(sql, rows_max=_PIECE_ROWS):
                for found, bytes_in_all in piece:
                    assert isinstance(found, str)
                    yield found, int(bytes_in_all) if isinstance(bytes_in_all, int | float) else 0
        finally:
            connection.close()

    def texts(self, path: Path, etype: str, labels: Sequence[str]) -> Iterator[tuple[str, ...]]:
        connection = Connection(str(path), Role.READER)
        try:
            catalog = load_catalog(connection)
            attrs = [catalog.find_forward(etype, label) for label in labels]
            columns = [quoted(attr.column) for attr in attrs if attr is not None]
            if len(columns) < len(labels):
                return
            table = quoted(catalog.namespaces[etype].table)
            given = "".join(f" AND typeof({column}) = 'text'" for column in columns)
            sql = f"SELECT {', '.join(columns)} FROM {table}"
            sql += f" WHERE {quoted(CREATED)} IS NOT NULL{given}"
            for piece in connection.pieces(sql, rows_max=_PIECE_ROWS):
                for row in piece:
                    yield tuple(map(str, row))
        finally:
            connection.close()

    def ids(self, path: Path, etype: str) -> list[str]:
        connection = Connection(str(path), Role.READER)
        try:
            namespace = load_catalog(connection).namespaces[etype]
            sql = f"SELECT id FROM {quoted(namespace.table)} WHERE {quoted(CREATED)} IS NOT NULL"
            return [uuid_text(id) for (id,) in connection.rows(sql) if isinstance(id, bytes)]
        finally:
            connection.close()

    def stamps(self) -> dict[AppId, Hashable]:
        found: dict[AppId, Hashable] = {}
        for app_id in (PLATFORM, *self.apps()):
            path = path_of(self._data_dir, app_id)
            stamp = []
            for each in (path, path.with_name(f"{path.name}-wal")):
                try:
                    told = each.stat()
                except FileNotFoundError:
                    stamp.append((0, 0))
                else:
                    stamp.append((told.st_mtime_ns, told.st_size))
            found[app_id] = tuple(stamp)
        return found

    def log_after(
        self, app_id: AppId, after: TxId, *, rows_max: int, bytes_max: int
    ) -> list[LogRow]:
        path = path_of(self._data_dir, app_id)
        path.stat()
        connection = Connection(str(path), Role.READER)
        found: list[LogRow] = []
        try:
            size = 0
            for piece in connection.pieces(_LOG_AFTER, (after, rows_max), rows_max=1):
                for row in piece:
                    found.append(LogRow(*row))  # type: ignore[arg-type]
                    size += len(found[-1].changes)
                if size >= bytes_max:
                    break  # closing the connection ends the statement
        finally:
            connection.close()
        return found

    def is_replayable(self, changes: bytes) -> bool:
        return is_replayable(changes)

    def named_files(self, changes: bytes) -> list[str]:
        return find_file_hashes(changes)

    def given_texts(self, changes: bytes, etype: str) -> list[list[str]]:
        return find_texts(changes, etype)

    def replay(self, path: Path, rows: Iterable[LogRow]) -> TxId:
        try:
            return replay(path, rows)
        except Unreadable as failure:
            raise Unavailable(
                "data-unusable", "The log of transactions does not fit the copy before it."
            ) from failure

    def raise_tx(self, path: Path, by: int) -> None:
        places = hook_places.move(_catalog_of(path))
        try:
            raw = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                # No journal: what a stop leaves is thrown away whole.
                raw.execute("PRAGMA journal_mode = OFF").fetchall()
                raw.execute(log.MOVE, (by,))
                if places is not None:
                    raw.execute(places, (by,))
                raw.execute("PRAGMA journal_mode = WAL").fetchall()
            finally:
                raw.close()
        except apsw.Error as error:
            raise translated(error, "restoring") from error


def _counted(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What is counted, and the statement that counts it."""
    for etype, namespace in sorted(catalog.namespaces.items()):
        if namespace.id_attr is None:
            continue
        yield (
            etype,
            f"SELECT count(*) FROM {quoted(namespace.table)} WHERE {quoted(CREATED)} IS NOT NULL",
        )
        for attr in namespace.attrs():
            if attr.is_ref and attr.table != namespace.table:
                yield f"{etype}.{attr.label}", f"SELECT count(*) FROM {quoted(attr.table)}"


def _catalog_of(path: Path) -> Catalog:
    connection = Connection(str(path), Role.READER)
    try:
        return load_catalog(connection)
    finally:
        connection.close()


def _leave_jobs_out(path: Path) -> None:
    """Remove from a copy what jobs are making, and that they are changing attrs: whoever restores
    it has no such jobs, and half an index looks like damage."""
    pending = [attr for attr in _catalog_of(path).by_id.values() if attr.pending]
    if not pending:
        return
    connection = Connection(str(path), Role.WRITER, can_create=False)
    try:
        connection.run("BEGIN IMMEDIATE")
        drop_unfinished(connection)
        for attr in pending:
            update_attr(connection, replace(attr, pending=()))
        connection.run("COMMIT")
        connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.rollback()
        connection.close()
