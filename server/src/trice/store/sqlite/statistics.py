"""How values are spread over each table: SQLite chooses indexes by it, and learns it only here.

    {title: "x", done: true}    without figures it may enter by `done`: half of the table
    newest 20 that are done     without figures it sorts half of the table instead of walking it

At 100,000 rows with ten indexes: 20 ms and 44 ms without figures, 0.3 ms each with them.

A table is counted anew when it has changed as often as it had rows, so a row costs a few µs over
its life. Every connection reads the figures again when the schema changes, so it is touched.
"""

from __future__ import annotations

from collections.abc import Sequence

from trice import limits
from trice.store.commit import Commit
from trice.store.sqlite.connection import Connection
from trice.store.tables import quoted

_FIND_TABLE = "SELECT 1 FROM sqlite_schema WHERE name = ?"
_ROWS = "SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl"
# The one change of schema that changes nothing.
_TOUCH = ("CREATE TABLE _touched (id)", "DROP TABLE _touched")


class Statistics:
    """Which tables' figures are out of date.

    Holds for each table the rows it had when it was counted, and the changes since. Does not hold:
    the figures themselves, nor the connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._rows = _load_rows(connection)
        self._changes: dict[str, int] = {}

    def note(self, commits: Sequence[Commit]) -> None:
        """Count what durable commits changed. Costs 0.1 µs a change."""
        changes = self._changes
        for commit in commits:
            namespaces, attrs = commit.catalog.namespaces, commit.catalog.by_id
            for entity in commit.entities:
                namespace = namespaces.get(entity.etype)
                if namespace is not None:
                    changes[namespace.table] = changes.get(namespace.table, 0) + 1
            for pair in commit.pairs:
                attr = attrs.get(pair.attr_id)
                if attr is not None:
                    changes[attr.table] = changes.get(attr.table, 0) + 1

    def find_due(self) -> str | None:
        """A table whose figures are out of date; it counts as done from now on."""
        for table, count in self._changes.items():
            if count >= max(limits.STATISTICS_CHANGES_MIN, self._rows.get(table, 0)):
                self._changes[table] = 0
                return table
        return None

    def refresh(self, connection: Connection, table: str) -> None:
        """Count `table` anew, in a transaction of its own. Nothing else may be open.

        raises  Unavailable, Bug: nothing has changed then
        cost    15 ms per 10,000 rows with ten indexes; at most 0.5 s, by
                limits.STATISTICS_ENTRIES_MAX
        """
        # How many rows there are now shows afterwards only; a table is due when it has doubled.
        is_large = self._rows.get(table, 0) * 2 > limits.STATISTICS_ENTRIES_MAX
        most = limits.STATISTICS_ENTRIES_MAX if is_large else 0
        connection.rows(f"PRAGMA analysis_limit = {most}")
        try:
            connection.run("BEGIN IMMEDIATE")
            if not connection.rows(_FIND_TABLE, (table,)):
                connection.rollback()  # a link that became has-one since, and lost its table
                return
            connection.rows(f"ANALYZE {quoted(table)}")
            for statement in _TOUCH:
                connection.run(statement)
            connection.run("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        self._rows = _load_rows(connection)


def _load_rows(connection: Connection) -> dict[str, int]:
    if not connection.rows(_FIND_TABLE, ("sqlite_stat1",)):
        return {}
    return {str(table): int(count or 0) for table, count in connection.rows(_ROWS)}
