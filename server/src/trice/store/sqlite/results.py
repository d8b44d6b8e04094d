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
from trice.store.sqlite.seen_ids import SeenIds

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
_SOME_IDS: Final = "SELECT id, event_id FROM _calls WHERE id > ? ORDER BY id LIMIT ?"
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
    them, all later states do. To ask SQLite costs as much as to look a result up.

    seen   which event ids they may have; None: that is not asked of them
    """

    __slots__ = ("are_there", "seen")

    def __init__(self, seen: SeenIds | None = None) -> None:
        self.are_there = False
        self.seen = seen

    def may_have(self, event_id: str) -> bool:
        """False: no row of them has this id."""
        return self.seen is None or self.seen.may_have(event_id)


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
        return self._look_up(event_id, now_ms) if self._tables.may_have(event_id) else None

    def _look_up(self, event_id: EventId, now_ms: int) -> KeptResult | None:
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
        if not (self._tables.are_there or self._have_tables()):
            return None
        seen = self._tables.seen
        if seen is not None and not seen.is_whole:
            self._learn(seen)
        return self._find(event_id, now_ms)

    def _learn(self, seen: SeenIds) -> None:
        """Add some event ids of the table: with each look-up, until all are known. Only an open
        write does: it has the rows before it that are not durable yet."""
        found = self._state.rows(_SOME_IDS, (seen.learned, function_limits.SEEN_IDS_AT_ONCE))
        seen.learn(
            cast("list[tuple[int, str]]", found),
            is_last=len(found) < function_limits.SEEN_IDS_AT_ONCE,
        )

    def keep(self, event_id: EventId, value: bytes, *, tx: TxId, time_ms: int) -> None:
        """See `results.OpenResults.keep`."""
        rows = self._state.rows
        if not self._tables.are_there:
            for statement in _CREATE:
                rows(statement)
        if self._tables.seen is not None:
            self._tables.seen.add(event_id)
        ((number,),) = cast(list[tuple[int]], rows(_NOTE, (event_id, tx, time_ms)))
        ((end_bytes,),) = cast(list[tuple[int]], rows(_KEEP, (number, len(value), value)))
        if number % function_limits.RESULTS_TRIM_EVERY == 0:
            most = 2 * function_limits.RESULTS_TRIM_EVERY
            first_byte = end_bytes - function_limits.RESULTS_BYTES_MAX
            oldest_ms = time_ms - function_limits.RESULT_KEPT_MS
            rows(_TRIM_RESULTS, (most, number, first_byte, oldest_ms))
            oldest_ms = time_ms - function_limits.RESULT_ID_KEPT_MS
            rows(_TRIM_CALLS, (most, number, function_limits.RESULT_IDS_MAX, oldest_ms))
