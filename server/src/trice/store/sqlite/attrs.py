"""Attrs of an open write, and what their changes ask of values (`store.rows.StoredAttrs`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, cast

from trice.catalog.attr import Attr, CheckedType
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import FALSE, NULL, TRUE, Cell
from trice.protocol.ids import EntityId
from trice.store.engine import Statements, WriteTx
from trice.store.rows import UniqueViolation
from trice.store.sqlite.building import SharedValue
from trice.store.sqlite.connection import UniqueIndexBroken
from trice.store.sqlite.index import quoted
from trice.store.sqlite.tables import (
    CREATED,
    ID,
    create_attrs,
    link_columns,
    remove_attr,
    replace_attr,
)
from trice.store.sqlite.views import renew_views

_PAGE_ROWS: Final = 1_000

_FORMS: Final[dict[CheckedType, str]] = {
    "string": "typeof({0}) = 'text'",
    "number": "typeof({0}) IN ('integer', 'real')",
    "boolean": f"{{0}} IN (x'{FALSE.hex()}', x'{TRUE.hex()}')",
    "date": "typeof({0}) IN ('integer', 'real', 'text')",
}
"""How the cells of a type are stored (`catalog.values`)."""


class SqliteValues:
    """See `rows.StoredValues`. A question takes O(rows)."""

    __slots__ = ("_state",)

    def __init__(self, state: Statements) -> None:
        self._state = state

    def lacks_value(self, namespace: Namespace, attr: Attr) -> bool:
        """See `rows.StoredAttrs.lacks_value`."""
        lacking = f"{quoted(attr.column)} IS NULL OR {quoted(attr.column)} = x'{NULL.hex()}'"
        if attr.is_pairs:
            lacking = f"NOT EXISTS (SELECT 1 FROM {quoted(attr.table)} WHERE source = id)"
        found = self._state.rows(
            f"SELECT id FROM {quoted(namespace.table)}"
            f" WHERE {quoted(CREATED)} IS NOT NULL AND ({lacking}) LIMIT 1"
        )
        return bool(found)

    def find_shared(self, attr: Attr) -> Cell:
        """See `rows.StoredAttrs.find_shared`."""
        table, value = attr.table, attr.column
        if attr.is_ref:
            table, value = link_columns(attr).table, link_columns(attr).target
        column = quoted(value)
        found = self._state.rows(
            f"SELECT {column} FROM {quoted(table)}"
            f" WHERE {column} IS NOT NULL AND {column} <> x'{NULL.hex()}'"
            f" GROUP BY {column} HAVING count(*) > 1 LIMIT 1"
        )
        return found[0][0] if found else None

    def find_longer(self, attr: Attr, bytes_max: int) -> tuple[EntityId, Cell] | None:
        """See `rows.StoredAttrs.find_longer`."""
        column = quoted(attr.column)
        found = self._state.rows(
            f"SELECT id, {column} FROM {quoted(attr.table)}"
            f" WHERE length(CAST({column} AS BLOB)) > ? LIMIT 1",
            (bytes_max,),
        )
        return cast(tuple[EntityId, Cell], found[0]) if found else None

    def find_mistyped(self, attr: Attr, checked_type: CheckedType) -> tuple[EntityId, Cell] | None:
        """See `rows.StoredAttrs.find_mistyped`."""
        column = quoted(attr.column)
        found = self._state.rows(
            f"SELECT id, {column} FROM {quoted(attr.table)} WHERE {column} IS NOT NULL"
            f" AND {column} <> x'{NULL.hex()}' AND NOT ({_FORMS[checked_type].format(column)})"
            " LIMIT 1"
        )
        return cast(tuple[EntityId, Cell], found[0]) if found else None

    def values(self, attr: Attr) -> Iterator[tuple[EntityId, Cell]]:
        """See `rows.StoredAttrs.values`. A thousand are read at a time."""
        table, column, after = quoted(attr.table), quoted(attr.column), b""
        sql = (
            f"SELECT id, {column} FROM {table} WHERE id > ? AND {column} IS NOT NULL"
            f" ORDER BY id LIMIT {_PAGE_ROWS}"
        )
        while found := cast(list[tuple[EntityId, Cell]], self._state.rows(sql, (after,))):
            yield from found
            after = found[-1][0]


class SqliteAttrs(SqliteValues):
    """See `rows.StoredAttrs`. Costs are those of `tables.create_attrs` and `replace_attr`."""

    __slots__ = ("_tx",)

    def __init__(self, tx: WriteTx) -> None:
        super().__init__(tx)
        self._tx = tx

    def create(self, catalog: Catalog, attrs: Sequence[Attr]) -> list[Attr]:
        """See `rows.StoredAttrs.create`."""
        placed = create_attrs(self._tx, catalog, attrs)
        for attr in placed:
            if attr.is_id and _had_id(catalog, attr):
                table, created = quoted(attr.table), quoted(CREATED)
                self._tx.rows(f"UPDATE {table} SET {created} = NULL WHERE {created} IS NOT NULL")
        return placed

    def replace(self, old: Attr, new: Attr) -> Attr:
        """See `rows.StoredAttrs.replace`."""
        try:
            return replace_attr(self._tx, old, new)
        except UniqueIndexBroken as broken:
            raise UniqueViolation(new, None) from broken
        except SharedValue as shared:
            raise UniqueViolation(new, shared.cell) from shared

    def remove(self, attr: Attr) -> None:
        """See `rows.StoredAttrs.remove`."""
        remove_attr(self._tx, attr)

    def settle(self, before: Catalog, after: Catalog) -> None:
        """See `rows.StoredAttrs.settle`."""
        renew_views(self._tx, before, after)


def _had_id(catalog: Catalog, attr: Attr) -> bool:
    """Whether a soft-deleted id attr left entities in the table of the new id `attr`."""
    return any(
        other.table == attr.table and other.column == ID and other.id != attr.id
        for other in catalog.by_id.values()
    )
