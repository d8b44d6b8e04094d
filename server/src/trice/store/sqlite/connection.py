"""A SQLite connection as the store needs it: durable, settings checked, with our errors."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from itertools import islice
from typing import ClassVar, Final

import apsw

from trice import function_limits, limits
from trice.errors import Bug, Unavailable
from trice.log import fields
from trice.store.copies import CopyEnded
from trice.store.dialect import Dialect
from trice.store.engine import Binding, ReadTooLong, Row, Take
from trice.store.sqlite import functions
from trice.store.sqlite.dialect import SQLITE

logger: Final = logging.getLogger("trice.store")

_UNIQUE: Final = re.compile(r"UNIQUE constraint failed: (.*)", re.DOTALL)
_PAIR: Final = re.compile(r"(.*)\.source, \1\.target", re.DOTALL)


class Role(Enum):
    """What a connection is for, and the kilobytes its page cache may grow to.

    HOLDER   reads the file, and writes to tables of its own that only it sees
    """

    WRITER = 4_000
    READER = 8_000
    HOLDER = function_limits.HELD_CACHE_KB


class UniqueIndexBroken(Exception):
    """A statement broke a unique index. `rows` and `attrs` find the attr and value.

    table, columns  physical names
    """

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        super().__init__(f"unique index on {table}({', '.join(columns)})")
        self.table = table
        self.columns = columns


class Connection:
    """One SQLite connection; used by one thread at a time.

    Holds nothing of the app: neither catalog nor transaction ids.
    Cursors are used again (saves half a microsecond a statement): one, and one more for each
    statement that a bound function runs inside another.

    log_pages   pages in the write-ahead log since it was last copied whole, as of the latest COMMIT
    """

    dialect: ClassVar[Dialect] = SQLITE

    __slots__ = (
        "_cursors",
        "_is_damage_told",
        "_is_lasting",
        "_is_temporary_in_memory",
        "_judging",
        "_raw",
        "log_pages",
    )

    def __init__(
        self,
        path: str,
        role: Role,
        *,
        can_create: bool = True,
        is_lasting: bool = True,
        format_max: int | None = None,
    ) -> None:
        """Open the file.

        can_create  a writer makes the file if there is none
        is_lasting  a COMMIT waits for the disk; False: nobody needs the file after a crash
        format_max  a writer refuses the file if its `user_version` is higher; None: no check
        raises      Unavailable("data-unusable") when it is damaged or of a newer format;
                    ("overloaded") when it cannot be opened now
        """
        flags = apsw.SQLITE_OPEN_READONLY
        if role is Role.WRITER:
            flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if can_create else 0)
        try:
            raw = apsw.Connection(path, flags=flags, statementcachesize=_STATEMENTS_KEPT)
        except apsw.Error as error:
            raise translated(error, "opening") from error
        self._raw = raw
        self._cursors: list[apsw.Cursor] = []
        self._is_temporary_in_memory = False
        self._is_damage_told = False
        self._is_lasting = is_lasting
        self.log_pages = 0
        try:
            _configure(raw, role, format_max)
            if not is_lasting:
                _set(raw, "synchronous", 0)
            raw.set_wal_hook(self._note_log)
            self._judging = functions.register(raw)
        except apsw.Error as error:
            raw.close()
            raise translated(error, "opening") from error
        except BaseException:
            raw.close()
            raise

    def rows(
        self, sql: str, bindings: Sequence[Binding] = (), take: Take | None = None
    ) -> list[Row]:
        """Run one statement and return all its rows (see `engine.Statements`).

        raises  UniqueIndexBroken, ReadTooLong when the progress handler stopped it,
                Unavailable when the disk is full, or the file locked or damaged, Bug for the
                rest; exceptions of a bound function or of `take`, unchanged
        """
        bound: Sequence[object] = bindings
        if not _PLAIN.issuperset(map(type, bindings)):
            bound = [value if type(value) in _PLAIN else _bound(value) for value in bindings]
        return self.fetch(sql, bound) if take is None else self._fetch_some(sql, bound, take)

    def pieces(
        self, sql: str, bindings: Sequence[Binding] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        """Run one statement and return its rows in pieces (see `engine.Statements`)."""
        cursor = self._raw.cursor()
        try:
            reading = cursor.execute(sql, list(map(_bound, bindings)))
            while piece := list(islice(reading, rows_max)):
                yield piece
                del piece  # only the caller may hold it while the next is read
        except apsw.Error as error:
            raise self._failure(error, sql) from error
        finally:
            cursor.close(True)

    def run(self, sql: str) -> None:
        """Run one statement that returns nothing and takes nothing."""
        self.fetch(sql, ())

    def fetch(self, sql: str, bound: Sequence[object]) -> list[Row]:
        cursors = self._cursors
        cursor = cursors.pop() if cursors else self._raw.cursor()
        try:
            return cursor.execute(sql, bound).fetchall()
        except apsw.Error as error:
            raise self._failure(error, sql) from error
        finally:
            cursors.append(cursor)

    def _fetch_some(self, sql: str, bound: Sequence[object], take: Take) -> list[Row]:
        """`fetch`, a few rows at a time until their size is known."""
        cursors = self._cursors
        cursor = cursors.pop() if cursors else self._raw.cursor()
        wanted = take.rows_first
        try:
            reading = cursor.execute(sql, bound)
            found = some = list(islice(reading, wanted))
            while len(some) == wanted:
                row_bytes = take(some) // wanted + 1
                wanted = max(1, min(wanted * 16, _READ_BYTES_AT_ONCE // row_bytes))
                some = list(islice(reading, wanted))
                found += some
            if some:
                take(some)
        except BaseException as error:
            cursor.close(True)  # left open it would keep its place, and hold its snapshot
            if isinstance(error, apsw.Error):
                raise self._failure(error, sql) from error
            raise
        cursors.append(cursor)
        return found

    def _failure(self, error: apsw.Error, sql: str) -> Exception:
        """`translated`. Damage is logged once per connection: every statement may fail of it."""
        failure = translated(error, sql)
        is_damage = isinstance(failure, Unavailable) and failure.code == "data-unusable"
        if is_damage and not self._is_damage_told:
            self._is_damage_told = True
            told = fields(file=self._raw.filename, reason=str(error))
            logger.error("database file damaged %s", told)
        return failure

    @property
    def in_transaction(self) -> bool:
        return bool(self._raw.in_transaction)

    def begin_snapshot(self) -> None:
        """Open a read transaction that sees the database as it is now."""
        self.run("BEGIN")
        self.rows("SELECT 1 FROM _tx LIMIT 1")  # BEGIN alone takes the snapshot at the first read

    @property
    def format(self) -> int:
        """`user_version` of the file; 0 for one that is new."""
        found = _pragma(self._raw, "user_version")
        assert isinstance(found, int)
        return found

    def copy_to(self, path: str) -> None:
        """Write everything committed to a new file, and wait for the disk.

        raises  Unavailable("overloaded") when the disk is full: then the new file is useless
        cost    reads and writes every page
        """
        try:
            target = apsw.Connection(path)
            try:
                with target.backup("main", self._raw, "main") as copying:
                    copying.step(-1)
            finally:
                target.close()
        except apsw.Error as error:
            raise translated(error, "copying") from error

    def copy_pages(self, path: str, pages: int, is_over: Callable[[], bool]) -> None:
        """Write the open snapshot to a new file, a few pages at a time; nothing is synced to disk.

        raises  CopyEnded when `is_over`; Unavailable: then the new file is useless
        """
        try:
            target = apsw.Connection(path)
            try:
                for pragma in ("journal_mode = OFF", "synchronous = OFF"):
                    target.execute(f"PRAGMA {pragma}").fetchall()
                with target.backup("main", self._raw, "main") as copying:
                    while not copying.done:
                        if is_over():
                            raise CopyEnded
                        copying.step(pages)
            finally:
                target.close()
        except apsw.Error as error:
            raise translated(error, "copying") from error

    def interrupt_when(self, is_over: Callable[[], bool] | None, *, steps: int = 0) -> None:
        """Ask every `steps` SQLite instructions whether to stop; `rows` raises ReadTooLong then.

        Long judging by bound functions asks too.
        """
        self._raw.set_progress_handler(is_over, steps)
        self._judging.is_over = is_over or functions.never

    def judge_on_loop(self) -> None:
        """From now on raise ReadTooLong once bound functions took limits.JUDGED_STEPS_ON_LOOP, or
        when one is called that a read which may begin again must not call."""
        self._judging.steps_left = limits.JUDGED_STEPS_ON_LOOP
        self._judging.is_over = None

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    def copy_log(self) -> None:
        """Copy the write-ahead log into the file, as far as no reader needs it: O(its pages)."""
        ((is_busy, pages, copied),) = self.rows("PRAGMA wal_checkpoint(PASSIVE)")
        if not is_busy and pages == copied:
            self.log_pages = 0

    def keep_temporary(self, *, is_in_memory: bool) -> None:
        """Choose where SQLite keeps what undoes a savepoint, and what it sorts for an index.

        Call it only between transactions. In memory a savepoint costs a third (5 µs instead of 18),
        but the savepoint of an unbounded transaction, or a sort of all rows, belongs in a file.
        """
        if is_in_memory != self._is_temporary_in_memory:
            _set(self._raw, "temp_store", 2 if is_in_memory else 1)
            self._is_temporary_in_memory = is_in_memory

    def wait_for_disk(self, *, is_waiting: bool) -> None:
        """Choose whether a COMMIT waits for the disk. If not, the next one that does makes it
        durable too. Call it only between transactions."""
        if self._is_lasting:
            _set(self._raw, "synchronous", 2 if is_waiting else 1)

    def rollback(self) -> None:
        """Undo and end the open transaction, if there is one."""
        if self._raw.in_transaction:
            # SQLite ends the transaction also when a failing disk makes it report an error here.
            with suppress(apsw.Error):
                self._raw.execute("ROLLBACK")

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        self._judging.is_over = functions.never  # it refers back to the owner of the connection
        self._raw.close()


_STATEMENTS_KEPT: Final = 256
_READ_BYTES_AT_ONCE: Final = 1024 * 1024
_PLAIN: Final = frozenset((bytes, str, int, float, type(None)))


def _configure(raw: apsw.Connection, role: Role, format_max: int | None) -> None:
    raw.set_busy_timeout(limits.STORE_BUSY_MS)
    # A misspelt column must fail, not become a string.
    raw.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    raw.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    if role is Role.WRITER:
        if raw.readonly("main"):
            problem = "The server has no right to write the data file of this app."
            raise Unavailable("data-unusable", problem)
        found = _pragma(raw, "user_version")
        assert isinstance(found, int)
        if format_max is not None and not 0 <= found <= format_max:
            raise Unavailable(
                "data-unusable",
                f"The database file is of format {found}, but this server writes format"
                f" {format_max}. Start the version of trice that wrote it, or a newer one.",
            )
        _set(raw, "journal_mode", "wal")
        _set(raw, "synchronous", 2)
        _set(raw, "foreign_keys", 0)
        _set(raw, "wal_autocheckpoint", 0)  # it would run inside a COMMIT, maybe on the loop
        _set(raw, "journal_size_limit", 64 * 1024 * 1024)  # a long read may make the WAL grow
    elif role is Role.READER:
        _set(raw, "query_only", 1)
    else:
        _set(raw, "temp_store", 2)
    _set(raw, "cache_size", -role.value)


def _set(raw: apsw.Connection, name: str, value: str | int) -> None:
    """Set a pragma and read it back: SQLite says nothing when it refuses one, or when one call sets
    several."""
    raw.execute(f"PRAGMA {name} = {value}").fetchall()
    found = _pragma(raw, name)
    assert found == value, f"PRAGMA {name} is {found!r}, not {value!r}"


def _pragma(raw: apsw.Connection, name: str) -> object:
    return raw.execute(f"PRAGMA {name}").fetchall()[0][0]


def _bound(value: Binding) -> object:
    """A list of ids, or a function, in the form that SQLite takes.

    SQLite has no empty array; NULL, which has no rows, stands in its place.
    """
    if callable(value):
        return apsw.pyobject(value)
    if isinstance(value, tuple):
        return apsw.carray(value) if value else None
    return value


def translated(error: apsw.Error, sql: str) -> Exception:
    """Our exception for an error of SQLite. Its message to callers holds neither SQL nor a path; a
    Bug has the statement as a note, for the log."""
    match error:
        case apsw.ConstraintError():
            return _violation(str(error)) or _bug(error, sql)
        case apsw.InterruptError():
            return ReadTooLong()
        case apsw.BusyError() | apsw.LockedError():
            return Unavailable(
                "overloaded", "Another process holds the database file locked. Try again."
            )
        case apsw.FullError() | apsw.IOError():
            return Unavailable("overloaded", "The server's disk does not accept data. Try again.")
        case apsw.CantOpenError() | apsw.NoMemError():
            return Unavailable("overloaded", "The server cannot open another file. Try again.")
        case apsw.CorruptError() | apsw.NotADBError():
            return Unavailable(
                "data-unusable",
                "The data file of this app is damaged; its operator must restore a backup.",
            )
        case _:
            return _bug(error, sql)


def _bug(error: apsw.Error, sql: str) -> Bug:
    bug = Bug("unknown", "The server could not read or write data. Its log says why.")
    bug.add_note(f"{error} in: {sql}")
    error.add_note(f"in: {sql}")
    return bug


def _violation(message: str) -> UniqueIndexBroken | None:
    """Read SQLite's `UNIQUE constraint failed: table.column`.

    Columns have no dot in their names (see `store.sqlite.names`), so the last one separates.
    """
    found = _UNIQUE.fullmatch(message)
    if found is None:
        return None
    pair = _PAIR.fullmatch(found[1])
    if pair is not None:
        return UniqueIndexBroken(pair[1], ("source", "target"))
    table, _, column = found[1].rpartition(".")
    return UniqueIndexBroken(table, (column,))
