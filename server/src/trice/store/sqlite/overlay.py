"""What one run has written and nobody else sees, over a snapshot: TEMP tables and views.

    "todos"        TEMP view of the same name as the table: the rows of the snapshot but for those
                   in "todos~gone", and those of "todos~own"
    "todos~own"    rows that the run added or changed, whole
    "todos~gone"   ids of rows of the snapshot that it changed or deleted
    "todos.tags"   the same for pairs, with "todos.tags~own" and "todos.tags~gone"

SQLite looks for a name among TEMP tables and views first. So statements composed for the tables see
what the run wrote. All of it is made in the transaction that reads, and its ROLLBACK removes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, cast

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId, TxId
from trice.store.commit import Commit
from trice.store.engine import Binding, Row, Take, WriteTx
from trice.store.rows import UniqueViolation
from trice.store.sqlite.attrs import SqliteAttrs
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.index import quoted
from trice.store.sqlite.rows import Layout, SqliteOpenRows
from trice.store.sqlite.snapshots import OpenSnapshot
from trice.store.sqlite.tables import ID, indexes_of
from trice.store.sqlite.writer import OpenTx

_COLUMNS: Final = "SELECT name, type FROM pragma_table_info(?, 'main')"
_PAIR: Final = "source, target, created_ms"
_SELECT: Final = "SELECT "
_BY_ORDER_KEY: Final = re.compile(
    r'ORDER BY (\w+\."(?:[^"]|"")*~order") (?:ASC|DESC), [\w."]+ (?:ASC|DESC) LIMIT \? OFFSET \?\Z'
)
"""As `query.sql.forms` ends the statement of a page that is ordered by a text or a date."""


class Overlay:
    """What was written over the snapshot of a connection. Holds which tables are covered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = OverlayRows(connection)
        self._marks: list[frozenset[str]] = []

    def run(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        tx: TxId,
        time_ms: int,
        catalog: Catalog,
        may_take_long: bool,
    ) -> Commit:
        """Run `work`; if it raises, what it wrote is undone."""
        run, covered = self._connection.run, self._rows.covered
        run("SAVEPOINT work")
        try:
            commit = work(
                OverlayTx(
                    self._connection,
                    tx=tx,
                    time_ms=time_ms,
                    catalog=catalog,
                    may_take_long=may_take_long,
                    stored=self._rows,
                )
            )
        except BaseException:
            run("ROLLBACK TO work")
            run("RELEASE work")
            self._rows.covered = covered
            raise
        run("RELEASE work")
        return commit

    def mark(self) -> int:
        """See `engine.Held.mark`."""
        number = len(self._marks)
        self._connection.run(f"SAVEPOINT mark{number}")
        self._marks.append(self._rows.covered)
        return number

    def undo(self, mark: int) -> None:
        """See `engine.Held.undo`."""
        self._connection.run(f"ROLLBACK TO mark{mark}")
        self._connection.run(f"RELEASE mark{mark}")
        self._rows.covered = self._marks[mark]
        del self._marks[mark:]


class OverlaySnapshot(OpenSnapshot):
    """A snapshot with what was written over it (`engine.Snapshot`).

    SQLite merges the rows of table and overlay along their indexes only if what orders them is
    among the columns of the result; else it would read the whole table. Order keys of texts and
    dates are not, so they are asked for in front, and left out again.
    """

    __slots__ = ()

    def __init__(
        self,
        connection: Connection,
        *,
        tx: TxId,
        catalog: Catalog,
        spend: Callable[[int], None],
    ) -> None:
        super().__init__(connection, tx=tx, catalog=catalog, spend=spend)
        plain = self.rows

        def rows(sql: str, bindings: Sequence[Binding] = (), take: Take | None = None) -> list[Row]:
            ordered = _with_order(sql)
            if ordered is None:
                return plain(sql, bindings, take)
            shown = None if take is None else _Shown(take)
            return [row[1:] for row in plain(ordered, bindings, shown)]

        self.rows = rows


class _Shown:
    """Shows rows to a `Take` without the column in front."""

    __slots__ = ("_take", "rows_first")

    def __init__(self, take: Take) -> None:
        self._take = take
        self.rows_first = take.rows_first

    def __call__(self, rows: Sequence[Row]) -> int:
        return self._take([row[1:] for row in rows])


@lru_cache(maxsize=256)
def _with_order(sql: str) -> str | None:
    """The statement of a page with its order key in front; None if it needs none."""
    found = _BY_ORDER_KEY.search(sql)
    if found is None or not sql.startswith(_SELECT):
        return None
    return f"{_SELECT}{found[1]}, {sql.removeprefix(_SELECT)}"


class OverlayTx(OpenTx):
    """A transaction that only its run sees (`engine.WriteTx`)."""

    __slots__ = ()

    @property
    def attrs(self) -> SqliteAttrs:
        """See `engine.WriteTx`; only notes of types that values had can change."""
        return OverlayAttrs(self)


class OverlayAttrs(SqliteAttrs):
    """Attrs whose places stay as they are."""

    __slots__ = ()

    def replace(self, old: Attr, new: Attr) -> Attr:
        """See `rows.StoredAttrs.replace`."""
        assert replace(new, inferred=old.inferred) == old, "a function changes no attrs"
        return new


class OverlayRows(SqliteOpenRows):
    """Rows and pairs over a snapshot (`store.rows.OpenRows`).

    covered   tables that have a TEMP view
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.rows)
        self.covered: frozenset[str] = frozenset()
        self._own: dict[str, Layout] = {}

    def insert(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
    ) -> None:
        """See `rows.OpenRows.insert`."""
        layout = self._cover(namespace)
        if self.find_present(namespace, (entity,)):
            assert namespace.id_attr is not None, "a row is inserted twice"
            raise UniqueViolation(namespace.id_attr, entity)
        self._check_unique(namespace, entity, cells, positions)
        values: list[Binding] = [entity, created_ms]
        layout.bind(values, cells, positions)
        self._run(layout.insert(tuple(positions)), values)

    def update(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
        *,
        sets_created: bool = False,
    ) -> None:
        """See `rows.OpenRows.update`."""
        layout = self._cover(namespace)
        self._take_over(namespace, (entity,))
        self._check_unique(namespace, entity, cells, positions)
        values: list[Binding] = [created_ms] if sets_created else []
        layout.bind(values, cells, positions)
        values.append(entity)
        self._run(layout.update(tuple(positions), sets_created=sets_created), values)

    def delete(self, namespace: Namespace, ids: Sequence[EntityId]) -> None:
        """See `rows.OpenRows.delete`."""
        self._cover(namespace)
        own, gone = _own(namespace.table), _gone(namespace.table)
        self._run(f"DELETE FROM {own} WHERE id IN carray(?)", (tuple(ids),))
        self._run(
            f"INSERT OR IGNORE INTO {gone} SELECT id FROM main.{quoted(namespace.table)}"
            " WHERE id IN carray(?)",
            (tuple(ids),),
        )

    def link(self, attr: Attr, source: EntityId, target: EntityId, created_ms: int) -> bool:
        """See `rows.OpenRows.link`."""
        table = quoted(attr.table)
        self._cover_pairs(attr)
        if self._run(f"SELECT 1 FROM {table} WHERE source = ? AND target = ?", (source, target)):
            return False
        if attr.is_unique and self._run(f"SELECT 1 FROM {table} WHERE target = ?", (target,)):
            raise UniqueViolation(attr, target)
        self._run(
            f"INSERT INTO {_own(attr.table)} ({_PAIR}) VALUES (?, ?, ?)",
            (source, target, created_ms),
        )
        return True

    def unlink(self, attr: Attr, source: EntityId, target: EntityId) -> int | None:
        """See `rows.OpenRows.unlink`."""
        self._cover_pairs(attr)
        found = self._run(
            f"SELECT created_ms FROM {quoted(attr.table)} WHERE source = ? AND target = ?",
            (source, target),
        )
        if not found:
            return None
        own, gone = _own(attr.table), _gone(attr.table)
        self._run(f"DELETE FROM {own} WHERE source = ? AND target = ?", (source, target))
        self._run(
            f"INSERT OR IGNORE INTO {gone} SELECT source, target FROM main.{quoted(attr.table)}"
            " WHERE source = ? AND target = ?",
            (source, target),
        )
        return cast(int, found[0][0])

    def clear_targets(self, attr: Attr, targets: Sequence[EntityId]) -> None:
        """See `rows.OpenRows.clear_targets`: nobody could see it, so nothing is done."""

    def _check_unique(
        self,
        namespace: Namespace,
        entity: EntityId,
        cells: Sequence[Cell],
        positions: Sequence[int],
    ) -> None:
        """Refuse a value that another row has where the index of the table would."""
        for at in namespace.unique.intersection(positions):
            attr, cell = namespace.columns[at], cells[at]
            if cell is None:
                continue
            for index in indexes_of(attr):
                if not index.is_unique:
                    continue
                condition = f" AND {index.condition}" if index.condition else ""
                if self._run(
                    f"SELECT 1 FROM {quoted(namespace.table)} WHERE {quoted(attr.column)} = ?"
                    f"{condition} AND {ID} <> ? LIMIT 1",
                    (cell, entity),
                ):
                    raise UniqueViolation(attr, cell)

    def _take_over(self, namespace: Namespace, ids: tuple[EntityId, ...]) -> None:
        """Copy rows of the snapshot that are as it has them, to be changed here."""
        own, gone = _own(namespace.table), _gone(namespace.table)
        self._run(
            f"INSERT INTO {own} SELECT * FROM main.{quoted(namespace.table)} WHERE id IN carray(?)"
            f" AND id NOT IN (SELECT id FROM {gone})",
            (ids,),
        )
        self._run(
            f"INSERT OR IGNORE INTO {gone} SELECT id FROM {own} WHERE id IN carray(?)", (ids,)
        )

    def _cover(self, namespace: Namespace) -> Layout:
        """Make the view of a namespace, if it has none; where its own rows are written."""
        table = namespace.table
        if table not in self.covered:
            columns = [(str(name), str(kind)) for name, kind in self._run(_COLUMNS, (table,))]
            listed = ", ".join(quoted(name) for name, _ in columns)
            typed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns)
            own, gone = _own(table), _gone(table)
            self._run(f"CREATE TABLE {own} ({typed}, PRIMARY KEY (id))", ())
            self._run(f"CREATE TABLE {gone} (id BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID", ())
            self._run(
                f"CREATE TEMP VIEW {quoted(table)} AS"
                f" SELECT {listed} FROM main.{quoted(table)} AS kept"
                f" WHERE NOT EXISTS (SELECT 1 FROM {gone} AS gone WHERE gone.id = kept.id)"
                f" UNION ALL SELECT {listed} FROM {own}",
                (),
            )
            self.covered |= {table}
        layout = self._own.get(table)
        if layout is None or layout.namespace is not namespace:
            layout = self._own[table] = Layout(namespace, _own(table))
        return layout

    def _cover_pairs(self, attr: Attr) -> None:
        """Make the view of a table of pairs, if it has none."""
        table = attr.table
        if table in self.covered:
            return
        own, gone = _own(table), _gone(table)
        self._run(
            f"CREATE TABLE {own} (source BLOB NOT NULL, target BLOB NOT NULL,"
            " created_ms INTEGER NOT NULL, PRIMARY KEY (source, target)) WITHOUT ROWID",
            (),
        )
        self._run(
            f"CREATE TABLE {gone} (source BLOB NOT NULL, target BLOB NOT NULL,"
            " PRIMARY KEY (source, target)) WITHOUT ROWID",
            (),
        )
        self._run(
            f"CREATE TEMP VIEW {quoted(table)} AS SELECT {_PAIR} FROM main.{quoted(table)} AS kept"
            f" WHERE NOT EXISTS (SELECT 1 FROM {gone} AS gone WHERE gone.source = kept.source"
            f" AND gone.target = kept.target) UNION ALL SELECT {_PAIR} FROM {own}",
            (),
        )
        self.covered |= {table}


def _own(table: str) -> str:
    return f"temp.{quoted(f'{table}~own')}"


def _gone(table: str) -> str:
    return f"temp.{quoted(f'{table}~gone')}"
