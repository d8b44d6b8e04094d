"""When figures of each table are taken: SQLite chooses indexes by them, and gets them only here.

    {title: "x", done: true}    without figures SQLite may search by `done`: half of the table
    newest 20 that are done     without figures it sorts half of the table instead of walking it
    newest 20 labelled "rare"   with figures that count null as a value it walks the table

At 100,000 rows with ten indexes: 20 ms and 44 ms without figures, 0.3 ms each with them.

A table is counted anew when it has changed as often as it had rows, so a row costs a few µs over
its life. Connections read the figures again when the schema changes, so new figures touch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from trice import limits
from trice.errors import Unavailable
from trice.store.commit import Commit
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.index import quoted
from trice.store.sqlite.spread import MARK, Figures, last_rowid, take_figures

_FIND_TABLE = "SELECT 1 FROM main.sqlite_schema WHERE name = ?"
_STATS = "SELECT tbl, stat FROM main.sqlite_stat1"
# The table of every namespace, and no other table, has an index of this name.
_NAMESPACES = (
    "SELECT tbl_name FROM main.sqlite_schema WHERE type = 'index' AND name = tbl_name || '~created'"
)
# Partial indexes are for lookups, and have no figures.
_UNCOUNTED = (
    "SELECT DISTINCT tbl_name FROM main.sqlite_schema WHERE type = 'index' AND tbl_name IN"
    " (SELECT tbl FROM main.sqlite_stat1) AND name NOT IN (SELECT idx FROM main.sqlite_stat1)"
    " AND sql NOT LIKE '% WHERE %'"
)
_FORGET = (
    "DELETE FROM main.sqlite_stat1 WHERE tbl = ?",
    "DELETE FROM main.sqlite_stat4 WHERE tbl = ?",
)
_TELL_STAT1 = "INSERT INTO main.sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)"
_TELL_STAT4 = (
    "INSERT INTO main.sqlite_stat4 (tbl, idx, neq, nlt, ndlt, sample) VALUES (?, ?, ?, ?, ?, ?)"
)
# A change of the schema without effect: it makes other connections read the figures again.
_TOUCH = ("CREATE TABLE _touched (id)", "DROP TABLE _touched")
# Counts nothing: it makes the connection that wrote figures read them.
_RELOAD = "ANALYZE main.sqlite_schema"


class Statistics:
    """Which tables' figures are out of date.

    Holds for each table the rows it had when it was counted, and the changes since. Does not hold:
    the figures themselves, nor the connection.
    """

    def __init__(self, connection: Connection) -> None:
        """Begin with the figures in the file. Tables that outgrew theirs, or whose figures an older
        version took, are counted: limits.STATISTICS_TABLES_AT_OPEN_MAX of them now, the rest when
        `find_due` returns them. No transaction may be open."""
        self._rows: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._load_rows(connection)
        outgrown = _outgrown(connection)
        for table in outgrown[: limits.STATISTICS_TABLES_AT_OPEN_MAX]:
            with suppress(Unavailable):  # figures only help; later writes try again
                self.refresh(connection, table)
        for table in outgrown[limits.STATISTICS_TABLES_AT_OPEN_MAX :]:
            self._expect(table)

    def note(self, connection: Connection, commits: Sequence[Commit]) -> None:
        """Count what durable commits changed. Costs 0.1 µs a change.

        A table that got a new index is due: its figures say nothing of that index.
        """
        if any(commit.is_catalog_changed for commit in commits) and self._rows:
            for (table,) in connection.rows(_UNCOUNTED):
                self._expect(str(table))
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
        """A table whose figures are out of date; from now on it counts as up to date."""
        for table, count in self._changes.items():
            if count >= max(limits.STATISTICS_CHANGES_MIN, self._rows.get(table, 0)):
                self._changes[table] = 0
                return table
        return None

    def refresh(self, connection: Connection, table: str) -> None:
        """Count `table` anew. No transaction may be open.

        raises  Unavailable, Bug: then nothing has changed
        cost    that of `take_figures`, and 3 ms; for a table of pairs 2 ms an index
        """
        is_namespace = bool(connection.rows(_FIND_TABLE, (f"{table}~created",)))
        figures = take_figures(connection, table) if is_namespace else None
        connection.rows(f"PRAGMA analysis_limit = {limits.STATISTICS_ENTRIES_MAX}")
        try:
            connection.run("BEGIN IMMEDIATE")
            if not connection.rows(_FIND_TABLE, (table,)):
                connection.rollback()  # the link became has-one since, and lost its table
                return
            if figures is None or not connection.rows(_FIND_TABLE, ("sqlite_stat1",)):
                # Pairs are never null. For a namespace this makes the tables that hold figures.
                connection.rows(f"ANALYZE main.{quoted(table)}")
            if figures is not None:
                _tell(connection, table, figures)
            for statement in _TOUCH:
                connection.run(statement)
            connection.run("COMMIT")
            connection.run(_RELOAD)
        except BaseException:
            connection.rollback()
            raise
        self._load_rows(connection)

    def _expect(self, table: str) -> None:
        self._changes[table] = max(limits.STATISTICS_CHANGES_MIN, self._rows.get(table, 0))

    def _load_rows(self, connection: Connection) -> None:
        self._rows = {}
        for table, stat in _load_stats(connection):
            self._rows[table] = max(self._rows.get(table, 0), int(stat.split()[0]))


def _tell(connection: Connection, table: str, figures: Figures) -> None:
    for statement in _FORGET:
        connection.rows(statement, (table,))
    for row in figures.stat1:
        connection.rows(_TELL_STAT1, (table, *row))
    for row in figures.stat4:
        connection.rows(_TELL_STAT4, (table, *row))


def _load_stats(connection: Connection) -> list[tuple[str, str]]:
    """The table and `stat` of each index counted so far."""
    if not connection.rows(_FIND_TABLE, ("sqlite_stat1",)):
        return []
    return [(str(table), str(stat)) for table, stat in connection.rows(_STATS)]


def _outgrown(connection: Connection) -> list[str]:
    """Tables of namespaces that have twice the rows they were counted with and at least
    limits.STATISTICS_CHANGES_MIN, and all that an older version counted. Costs 5 µs a table."""
    counted: dict[str, int] = {}
    for table, stat in _load_stats(connection):
        _, mark, last = stat.partition(MARK)
        counted[table] = int(last) if mark else 0
    return [
        table
        for table in (str(name) for (name,) in connection.rows(_NAMESPACES))
        if last_rowid(connection, table)
        >= max(limits.STATISTICS_CHANGES_MIN, 2 * counted.get(table, 0))
    ]
