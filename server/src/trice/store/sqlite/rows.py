"""Rows and pairs as SQLite keeps them (`store.rows.Rows`, `OpenRows`).

The text of a statement depends only on the catalog and on which cells are set. So prepared
statements can be used again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Namespace
from trice.catalog.values import Cell, has_order_column, stored_order
from trice.protocol.ids import AttrId, EntityId
from trice.store.engine import Binding, Row
from trice.store.rows import Pair, StoredRow, UniqueViolation
from trice.store.sqlite.connection import UniqueIndexBroken
from trice.store.sqlite.index import quoted
from trice.store.sqlite.tables import CREATED, ID, link_columns, lookup_predicate, order_column

_IN_LIST: Final = "carray(?)"

RunStatement = Callable[[str, Sequence[Binding]], list[Row]]


class Layout:
    """How a namespace's rows are read and written as SQL.

    Holds texts of statements only, never data.
    """

    __slots__ = (
        "_columns",
        "_inserts",
        "_order",
        "_updates",
        "listed",
        "namespace",
        "select",
        "select_one",
        "table",
    )

    def __init__(self, namespace: Namespace, table: str = "") -> None:
        """
        table   as SQL, where its rows are in another one
        """
        columns = namespace.columns
        self.namespace = namespace
        self.table = table or quoted(namespace.table)
        self.listed = ", ".join(map(quoted, (ID, CREATED, *(attr.column for attr in columns))))
        self.select = f"SELECT {self.listed} FROM {self.table} WHERE id IN {_IN_LIST}"
        self.select_one = f"SELECT {self.listed} FROM {self.table} WHERE id = ?"
        self._columns = columns
        self._order = tuple(attr if has_order_column(attr) else None for attr in columns)
        self._inserts: dict[tuple[int, ...], str] = {}
        self._updates: dict[tuple[bool, tuple[int, ...]], str] = {}

    def insert(self, at: tuple[int, ...]) -> str:
        """Insert id, creation time and the cells at these positions."""
        sql = self._inserts.get(at)
        if sql is None:
            names = [ID, CREATED, *self._names(at)]
            marks = ", ".join("?" * len(names))
            listed = ", ".join(map(quoted, names))
            sql = f"INSERT INTO {self.table} ({listed}) VALUES ({marks})"
            if len(self._inserts) >= limits.TX_STATEMENT_SHAPES_MAX:
                self._inserts.clear()
            self._inserts[at] = sql
        return sql

    def update(self, at: tuple[int, ...], *, sets_created: bool) -> str:
        """Set the cells at these positions of one row, after its creation time if that is set."""
        sql = self._updates.get((sets_created, at))
        if sql is None:
            names = [*([CREATED] if sets_created else []), *self._names(at)]
            listed = ", ".join(f"{quoted(name)} = ?" for name in names)
            sql = f"UPDATE {self.table} SET {listed} WHERE id = ?"
            if len(self._updates) >= limits.TX_STATEMENT_SHAPES_MAX:
                self._updates.clear()
            self._updates[sets_created, at] = sql
        return sql

    def bind(self, values: list[Binding], cells: Sequence[Cell], at: Iterable[int]) -> None:
        """Append to `values` what `insert` and `update` bind for the cells at these positions."""
        for position in at:
            cell = cells[position]
            values.append(cell)
            attr = self._order[position]
            if attr is not None:
                values.append(stored_order(attr, cell))

    def violation(
        self, broken: UniqueIndexBroken, entity: EntityId, cells: Sequence[Cell]
    ) -> UniqueViolation:
        """The attr and the value that a unique index of this table refuses."""
        (column,) = broken.columns
        for attr, cell in zip(self._columns, cells, strict=True):
            if attr.column == column:
                return UniqueViolation(attr, cell)
        id_attr = self.namespace.id_attr
        assert column == ID and id_attr is not None, f"no attr has the index on {column}"
        return UniqueViolation(id_attr, entity)

    def _names(self, at: Iterable[int]) -> list[str]:
        names: list[str] = []
        for position in at:
            attr = self._columns[position]
            names.append(attr.column)
            if self._order[position] is not None:
                names.append(order_column(attr))
        return names


class SqliteRows:
    """Rows where statements run (`store.rows.Rows`). Holds texts of statements."""

    __slots__ = ("_layouts", "_run")

    def __init__(self, run: RunStatement) -> None:
        """
        run   runs a statement and returns its rows (`engine.Statements.rows`)
        """
        self._run = run
        self._layouts: dict[str, Layout] = {}

    def find(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[StoredRow]:
        """See `rows.Rows.find`."""
        layout = self._layout(namespace)
        if len(ids) == 1:
            return self._run(layout.select_one, ids)
        return self._run(layout.select, (tuple(ids),))

    def find_entities(
        self, namespace: Namespace, attr: Attr, cell: Cell, *, count: int
    ) -> list[StoredRow]:
        """See `rows.Rows.find_entities`."""
        layout, created = self._layout(namespace), quoted(CREATED)
        return self._run(
            f"SELECT {layout.listed} FROM {layout.table}"
            f" WHERE {quoted(attr.column)} = ?{lookup_predicate(attr)}"
            f" AND {created} IS NOT NULL ORDER BY {created}, {ID} LIMIT ?",
            (cell, count),
        )

    def find_present(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[EntityId]:
        """See `rows.Rows.find_present`."""
        found = self._run(
            f"SELECT id FROM {quoted(namespace.table)} WHERE id IN {_IN_LIST}", (tuple(ids),)
        )
        return [entity for (entity,) in cast(list[tuple[EntityId]], found)]

    def find_holders(self, attr: Attr, cells: Sequence[Cell]) -> dict[Cell, EntityId]:
        """See `rows.Rows.find_holders`. One statement per limits.TX_LOOKUP_BATCH_MAX cells."""
        holders: dict[Cell, EntityId] = {}
        if attr.is_ref:
            place = link_columns(attr)
            table, value, entity, predicate = place.table, place.target, place.source, ""
        else:
            table, value, entity = attr.table, attr.column, ID
            predicate = lookup_predicate(attr)
        for start in range(0, len(cells), limits.TX_LOOKUP_BATCH_MAX):
            batch = cells[start : start + limits.TX_LOOKUP_BATCH_MAX]
            # Batches have a power of two as their size, filled up with the last value: few texts.
            size = 1
            while size < len(batch):
                size *= 2
            filled = [*batch, *([batch[-1]] * (size - len(batch)))]
            marks = ", ".join("?" * size)
            found = self._run(
                f"SELECT {quoted(value)}, {quoted(entity)} FROM {quoted(table)}"
                f" WHERE {quoted(value)} IN ({marks}){predicate}",
                filled,
            )
            holders.update(cast(list[tuple[Cell, EntityId]], found))
        return holders

    def find_sources(self, attr: Attr, targets: Sequence[EntityId], *, count: int) -> list[Pair]:
        """See `rows.Rows.find_sources`."""
        place = link_columns(attr)
        source, target = quoted(place.source), quoted(place.target)
        found = self._run(
            f"SELECT {source}, {target} FROM {quoted(place.table)}"
            f" WHERE {target} IN {_IN_LIST} LIMIT ?",
            (tuple(targets), count),
        )
        return cast(list[Pair], found)

    def find_targets(self, attr: Attr, sources: Sequence[EntityId], *, count: int) -> list[Pair]:
        """See `rows.Rows.find_targets`."""
        place = link_columns(attr)
        source, target = quoted(place.source), quoted(place.target)
        found = self._run(
            f"SELECT {source}, {target} FROM {quoted(place.table)}"
            f" WHERE {source} IN {_IN_LIST} AND {target} IS NOT NULL LIMIT ?",
            (tuple(sources), count),
        )
        return cast(list[Pair], found)

    def find_linked(self, attr: Attr, sources: Sequence[EntityId]) -> set[EntityId]:
        """See `rows.Rows.find_linked`."""
        found = self._run(
            f"SELECT DISTINCT source FROM {quoted(attr.table)} WHERE source IN {_IN_LIST}",
            (tuple(sources),),
        )
        return {source for (source,) in cast(list[tuple[EntityId]], found)}

    def scan(self, namespace: Namespace, *, after: bytes, count: int) -> list[StoredRow]:
        """See `rows.Rows.scan`. Reads in the order of the key."""
        layout = self._layout(namespace)
        return self._run(
            f"SELECT {layout.listed} FROM {layout.table} WHERE {ID} > ?"
            f" AND {quoted(CREATED)} IS NOT NULL ORDER BY {ID} LIMIT ?",
            (after, count),
        )

    def count(self, namespace: Namespace) -> tuple[int, dict[AttrId, int]]:
        """See `rows.Rows.count`."""
        table, created = quoted(namespace.table), quoted(CREATED)
        counted = ["count(*)"]
        for attr in namespace.columns:
            is_always = attr.shows_null and not attr.is_ref
            counted.append("count(*)" if is_always else f"count({quoted(attr.column)})")
        (found,) = self._run(
            f"SELECT {', '.join(counted)} FROM {table} WHERE {created} IS NOT NULL", ()
        )
        entities, *counts = cast(tuple[int, ...], found)
        values = {attr.id: n for attr, n in zip(namespace.columns, counts, strict=True)}
        for attr in namespace.pairs:
            ((pairs,),) = self._run(
                f"SELECT count(*) FROM {quoted(attr.table)} JOIN {table} ON {ID} = source"
                f" WHERE {created} IS NOT NULL",
                (),
            )
            values[attr.id] = cast(int, pairs)
        return entities, values

    def has_entities(self, namespace: Namespace) -> bool:
        """See `rows.Rows.has_entities`."""
        table, created = quoted(namespace.table), quoted(CREATED)
        return bool(self._run(f"SELECT 1 FROM {table} WHERE {created} IS NOT NULL LIMIT 1", ()))

    def _layout(self, namespace: Namespace) -> Layout:
        layout = self._layouts.get(namespace.etype)
        if layout is None or layout.namespace is not namespace:
            if len(self._layouts) >= limits.TX_LAYOUTS_MAX:
                self._layouts.clear()
            layout = self._layouts[namespace.etype] = Layout(namespace)
        return layout


class SqliteOpenRows(SqliteRows):
    """Rows of an open write (`store.rows.OpenRows`). Holds texts of statements."""

    __slots__ = ("_links",)

    def __init__(self, run: RunStatement) -> None:
        super().__init__(run)
        self._links: dict[str, str] = {}

    def insert(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
    ) -> None:
        """See `rows.OpenRows.insert`."""
        layout, at = self._layout(namespace), tuple(positions)
        values: list[Binding] = [entity, created_ms]
        layout.bind(values, cells, at)
        try:
            self._run(layout.insert(at), values)
        except UniqueIndexBroken as broken:
            raise layout.violation(broken, entity, cells) from broken

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
        layout, at = self._layout(namespace), tuple(positions)
        values: list[Binding] = [created_ms] if sets_created else []
        layout.bind(values, cells, at)
        values.append(entity)
        try:
            self._run(layout.update(at, sets_created=sets_created), values)
        except UniqueIndexBroken as broken:
            raise layout.violation(broken, entity, cells) from broken

    def delete(self, namespace: Namespace, ids: Sequence[EntityId]) -> None:
        """See `rows.OpenRows.delete`."""
        table = quoted(namespace.table)
        self._run(f"DELETE FROM {table} WHERE id IN {_IN_LIST}", (tuple(ids),))

    def link(self, attr: Attr, source: EntityId, target: EntityId, created_ms: int) -> bool:
        """See `rows.OpenRows.link`."""
        sql = self._links.get(attr.table)
        if sql is None:
            if len(self._links) >= limits.TX_LAYOUTS_MAX:
                self._links.clear()
            sql = self._links[attr.table] = _link_sql(quoted(attr.table))
        try:
            return bool(self._run(sql, (source, target, created_ms)))
        except UniqueIndexBroken as broken:
            raise UniqueViolation(attr, target) from broken

    def unlink(self, attr: Attr, source: EntityId, target: EntityId) -> int | None:
        """See `rows.OpenRows.unlink`."""
        found = self._run(
            f"DELETE FROM {quoted(attr.table)} WHERE source = ? AND target = ?"
            " RETURNING created_ms",
            (source, target),
        )
        return cast(int, found[0][0]) if found else None

    def clear_targets(self, attr: Attr, targets: Sequence[EntityId]) -> None:
        """See `rows.OpenRows.clear_targets`."""
        table, column = quoted(attr.table), quoted(attr.column)
        self._run(
            f"UPDATE {table} SET {column} = NULL WHERE {column} IN {_IN_LIST}", (tuple(targets),)
        )


def _link_sql(table: str) -> str:
    # Not ON CONFLICT: a target that has another source must still be a violation.
    return (
        f"INSERT INTO {table} (source, target, created_ms) SELECT ?1, ?2, ?3 WHERE NOT EXISTS"
        f" (SELECT 1 FROM {table} WHERE source = ?1 AND target = ?2) RETURNING 1"
    )
