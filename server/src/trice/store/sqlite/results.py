"""Results of calls in SQLite (`store.results`): two tables, made with the first result.

"_calls"     id, event_id, tx, time_ms: which calls were answered
"_results"   id of the call, end_bytes, value: what was answered, as long as it is kept.
             `end_bytes` counts the bytes of all values so far, so that no sum is ever needed
"""

from __future__ import annotations

from typing import Final, cast

from trice import function_limits
from trice.protocol.ids import EventId, TxId
from trice.store.engine import Statements
from trice.store.results import KeptResult

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS _calls (id INTEGER NOT NULL PRIMARY KEY,"
    " event_id TEXT NOT NULL UNIQUE, tx INTEGER NOT NULL, time_ms INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS _results (id INTEGER NOT NULL PRIMARY KEY,"
    " end_bytes INTEGER NOT NULL, value BLOB NOT NULL)",
)
_IS_THERE: Final = "SELECT 1 FROM sqlite_schema WHERE name = '_calls'"
_FIND: Final = (
    "SELECT tx, time_ms, value FROM _calls LEFT JOIN _results USING (id) WHERE event_id = ?"
)
_NOTE: Final = "INSERT INTO _calls (event_id, tx, time_ms) VALUES (?, ?, ?) RETURNING id"
_KEEP: Final = (
    "INSERT INTO _results VALUES"
    " (?1, ?2 + coalesce((SELECT end_bytes FROM _results ORDER BY id DESC LIMIT 1), 0), ?3)"
    " RETURNING end_bytes"
)
_TRIM_RESULTS: Final = """
DELETE FROM _results WHERE id <= (SELECT min(id) FROM _results) + ?1 - 1 AND id < ?2
AND (end_bytes - length(value) < ?3 OR id <= (
  SELECT coalesce(max(id), 0) FROM _calls
  WHERE id <= (SELECT min(id) FROM _results) + ?1 - 1 AND time_ms < ?4))
"""
_TRIM_CALLS: Final = """
DELETE FROM _calls WHERE id <= (SELECT min(id) FROM _calls) + ?1 - 1 AND id < ?2
AND (id <= ?2 - ?3 OR time_ms < ?4)
"""


class ResultTables:
    """Whether the tables are there, as snapshots saw that began after each other: once one had
    them, all later states do. To ask SQLite costs as much as to look a result up."""

    __slots__ = ("are_there",)

    def __init__(self) -> None:
        self.are_there = False


class SqliteResults:
    """See `results.Results`. Holds nothing but where statements run, and what is known of it."""

    __slots__ = ("_state", "_tables")

    def __init__(self, state: Statements, tables: ResultTables | None) -> None:
        self._state = state
        self._tables = tables or ResultTables()

    def find(self, event_id: EventId, *, now_ms: int) -> KeptResult | None:
        """See `results.Results.find`."""
        if not self._tables.are_there:
            self._tables.are_there = self._have_tables()
        return self._find(event_id, now_ms) if self._tables.are_there else None

    def _have_tables(self) -> bool:
        return bool(self._state.rows(_IS_THERE))

    def _find(self, event_id: EventId, now_ms: int) -> KeptResult | None:
        found = self._state.rows(_FIND, (event_id,))
        for tx, time_ms, value in cast("list[tuple[int, int, bytes | None]]", found):
            is_kept = now_ms - time_ms <= function_limits.RESULT_KEPT_MS
            return KeptResult(TxId(tx), value if is_kept else None)
        return None


class SqliteOpenResults(SqliteResults):
    """See `results.OpenResults`. What it sees may be undone, so it teaches the others nothing."""

    __slots__ = ()

    def find(self, event_id: EventId, *, now_ms: int) -> KeptResult | None:
        """See `results.Results.find`."""
        is_there = self._tables.are_there or self._have_tables()
        return self._find(event_id, now_ms) if is_there else None

    def keep(self, event_id: EventId, value: bytes, *, tx: TxId, time_ms: int) -> None:
        """See `results.OpenResults.keep`."""
        rows = self._state.rows
        if not self._tables.are_there:
            for statement in _CREATE:
                rows(statement)
        ((number,),) = cast(list[tuple[int]], rows(_NOTE, (event_id, tx, time_ms)))
        ((end_bytes,),) = cast(list[tuple[int]], rows(_KEEP, (number, len(value), value)))
        if number % function_limits.RESULTS_TRIM_EVERY == 0:
            most = 2 * function_limits.RESULTS_TRIM_EVERY
            first_byte = end_bytes - function_limits.RESULTS_BYTES_MAX
            oldest_ms = time_ms - function_limits.RESULT_KEPT_MS
            rows(_TRIM_RESULTS, (most, number, first_byte, oldest_ms))
            oldest_ms = time_ms - function_limits.RESULT_ID_KEPT_MS
            rows(_TRIM_CALLS, (most, number, function_limits.RESULT_IDS_MAX, oldest_ms))
