"""The SQLite database of a PocketBase data folder, which is only read, and may be hostile.

One transaction lasts as long as the file is open, so all readings see the same state, with what is
in the write-ahead log beside it, while PocketBase runs. Without a log nobody writes: nothing is
made in the folder then, and a log that appears later ends the import. Views, triggers, virtual
tables and functions that a schema must not use are off.

source   https://www.sqlite.org/security.html; spec/archive.md AR150, AR158
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote as quote_url

import apsw

from trice import archive_limits as limits
from trice.archive.refusals import refused
from trice.protocol.quoting import quote

DATABASE: Final = "data.db"

Value = str | int | float | bytes | None

_OFF: Final = (
    apsw.SQLITE_DBCONFIG_ENABLE_VIEW,
    apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER,
    apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA,
    apsw.SQLITE_DBCONFIG_DQS_DML,
)


class PocketBaseFile:
    """An open database. Close it at the end."""

    def __init__(self, path: Path) -> None:
        """
        raises   InvalidInput that says why it is none; OSError
        """
        self._counts: dict[str, int] = {}
        with open(path, "rb"):
            pass  # a missing file, or one that may not be read, is told as any other
        self._logs = [path.with_name(path.name + end) for end in ("-wal", "-journal")]
        self._is_alone = not any(log.exists() for log in self._logs)
        with self._told(DATABASE):
            try:
                self._db = open_read_only(path, is_alone=self._is_alone)
            except (apsw.CantOpenError, apsw.ReadOnlyError) as cause:
                # A folder that is read-only has no place for the index of the log.
                problem = (
                    "it has changes in data.db-wal, which can be read only where files may be made."
                    " Copy the folder, and import the copy."
                )
                raise refused(DATABASE, problem) from cause

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def has_table(self, name: str) -> bool:
        """Whether there is a plain table of this name.

        raises   InvalidInput if it is a view or a virtual table
        """
        with self._told(DATABASE):
            found = self._db.execute(
                "SELECT type, sql FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')",
                (name,),
            ).fetchone()
        if found is None:
            return False
        kind, sql = found
        if kind != "table" or not str(sql).upper().lstrip().startswith("CREATE TABLE"):
            raise refused(DATABASE, f"{quote(name)} is no plain table.")
        return True

    def collections(self) -> list[Mapping[str, Value]]:
        """The rows of `_collections`, by column.

        raises   InvalidInput if it is no database of PocketBase
        """
        if not self.has_table("_collections"):
            raise refused(DATABASE, "it has no table `_collections`, so it is not PocketBase's.")
        with self._told(DATABASE):
            cursor = self._db.execute("SELECT * FROM _collections")
            found: list[Mapping[str, Value]] = []
            size = 0
            for row in cursor:
                labels = [column[0] for column in cursor.description]
                found.append(dict(zip(labels, row, strict=True)))
                size += sum(len(value) for value in row if isinstance(value, (str, bytes)))
                if len(found) > limits.COLLECTIONS_MAX or size > limits.CONFIG_BYTES_MAX:
                    problem = (
                        f"it has more than {limits.COLLECTIONS_MAX:,} collections, or they take"
                        f" more than {limits.CONFIG_BYTES_MAX:,} bytes."
                    )
                    raise refused(DATABASE, problem)
            return found

    def count(self, table: str) -> int:
        """How many rows a table has; the whole table is read once."""
        if table not in self._counts:
            with self._told(table):
                row = self._db.execute(f"SELECT count(*) FROM {_name(table)}").fetchone()
                self._counts[table] = int(row[0])
        return self._counts[table]

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[Value, ...]]:
        """The values of these columns, in the same order of rows each time."""
        named = ", ".join(map(_name, columns))
        with self._told(table):
            yield from self._db.execute(f"SELECT {named} FROM {_name(table)}")
        if self._is_alone and any(log.exists() for log in self._logs):
            raise refused(DATABASE, "PocketBase was started while it was read. Import it again.")

    @contextmanager
    def _told(self, place: str) -> Iterator[None]:
        """Tell errors of SQLite in words."""
        try:
            yield
        except (apsw.NotADBError, apsw.CorruptError) as cause:
            problem = f"it is no SQLite database, or damaged ({cause})."
            raise refused(place, problem) from cause
        except apsw.BusyError as cause:
            problem = "another program holds it. Stop PocketBase, then run this again."
            raise refused(place, problem) from cause
        except apsw.TooBigError as cause:
            problem = f"a value has more than {limits.LINE_BYTES_MAX:,} bytes."
            raise refused(place, problem) from cause
        except apsw.IOError as cause:
            raise OSError(f"{DATABASE} cannot be read: {cause}") from cause
        except (apsw.Error, UnicodeDecodeError) as cause:
            raise refused(place, f"it cannot be read: {cause}.") from cause


def open_read_only(path: Path, *, is_alone: bool) -> Any:
    """Open a database and begin its only transaction.

    is_alone   nobody writes to it, and there is no log: it is read without locks
    """
    more = "&immutable=1" if is_alone else ""
    url = f"file:{quote_url(os.path.abspath(path))}?mode=ro{more}"
    db = apsw.Connection(url, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        for option in _OFF:
            db.config(option, 0)
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        db.limit(apsw.SQLITE_LIMIT_LENGTH, limits.LINE_BYTES_MAX)
        db.set_busy_timeout(limits.LOCK_WAIT_MS)
        db.execute("PRAGMA cell_size_check = ON")
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def _name(name: str) -> str:
    """A name of a table or column, quoted."""
    return '"' + name.replace('"', '""') + '"'
