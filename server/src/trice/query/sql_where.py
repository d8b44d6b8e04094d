"""Conditions to SQL predicates: the part of composing SQL that `where` needs. No I/O.

Every value is bound, every name quoted by the dialect. A predicate that is NULL counts as false:
nothing here is negated from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, assert_never

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import NULL, Cell, encode_cell, has_order_column, order_cell
from trice.query.ast import AllOf, AnyOf, IdPrefix, Never, Op, Scope, Step, Test
from trice.query.branches import (
    Alternative,
    Edge,
    Variable,
    Way,
    alternatives,
    connected,
    groups,
)
from trice.store.dialect import Dialect
from trice.store.engine import Binding
from trice.store.tables import CREATED, ID, link_columns, order_column

_COMPARISONS: Final = {Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}


class Fragment(NamedTuple):
    """A piece of SQL and what its `?`s are bound to, in order."""

    text: str
    bindings: tuple[Binding, ...] = ()


TRUE: Final = Fragment("1")
FALSE: Final = Fragment("0")


@dataclass(frozen=True, slots=True)
class Place:
    """An entity within a statement: the alias of its row, and its namespace."""

    alias: str
    etype: str


class Composer:
    """Composes the predicates of one statement.

    Holds the catalog (which tables linked namespaces have), the dialect, and the aliases given out.
    """

    def __init__(self, catalog: Catalog, dialect: Dialect) -> None:
        self.catalog = catalog
        self.dialect = dialect
        self._aliases = 0

    def column(self, alias: str, column: str) -> str:
        """A column of the table with this alias."""
        return f"{alias}.{self.dialect.name(column)}"

    def table(self, etype: str) -> str:
        """The table of a namespace, quoted."""
        return self.dialect.name(self.catalog.namespaces[etype].table)

    def new_alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def exists(self, alias: str) -> Fragment:
        """The row is an entity, not a stub."""
        return Fragment(f"{self.column(alias, CREATED)} IS NOT NULL")

    def scope(self, scope: Scope, place: Place) -> Fragment:
        """All conditions hold for the entity at `place`, which exists."""
        parts: list[Fragment] = []
        linked: list[Test] = []
        for condition in scope:
            match condition:
                case Test():
                    if condition.path:
                        linked.append(condition)
                    else:
                        parts.append(self.test(condition, place))
                case IdPrefix(prefix):
                    text, bindings = self.dialect.id_prefix(self.column(place.alias, ID), prefix)
                    parts.append(Fragment(text, tuple(bindings)))
                case AllOf(scopes):
                    parts += [self.scope(item, place) for item in scopes]
                case AnyOf(scopes):
                    parts.append(any_of([self.scope(item, place) for item in scopes]))
                case Never():
                    parts.append(FALSE)
                case _:
                    assert_never(condition)
        for group in groups(linked, place.etype):
            parts.append(
                any_of(
                    [
                        self._alternative(alternative, place)
                        for alternative in alternatives(group, place.etype)
                    ]
                )
            )
        return all_of(parts)

    def _alternative(self, alternative: Alternative, place: Place) -> Fragment:
        parts: list[Fragment] = []
        for part in connected(alternative):
            if part[0].edges:
                parts.append(self._linked(part, place))
            else:
                parts += [self._end(way, place) for way in part]
        return all_of(parts)

    def _end(self, way: Way, place: Place) -> Fragment:
        """What must be true of the entity a way arrives at."""
        if way.test is not None:
            return self.test(way.test, place)
        assert way.absent is not None
        return self._link_test(way.absent.attr, way.absent.is_forward, Op.IS_NULL, True, place)

    def _linked(self, ways: Alternative, place: Place) -> Fragment:
        """There are linked entities, one per variable, for which all `ways` hold.

        Two spellings: `IN (SELECT …)`, which can start from the linked side, when a test there is
        selective; else a correlated EXISTS, which costs what the outer rows cost.
        """
        root: Variable = (place.etype, 0)
        edges = {edge.key: edge for way in ways for edge in way.edges}
        places = {edge.far: Place(self.new_alias(), edge.far[0]) for edge in edges.values()}
        tables = [f"{self.table(far.etype)} {far.alias}" for far in places.values()]
        from_root = [edge for edge in edges.values() if edge.near == root]
        others = [edge for edge in edges.values() if edge.near != root]
        parts = [self.exists(far.alias) for far in places.values()]
        for edge in others:
            parts.append(self._join(edge, places[edge.near], places[edge.far], tables))
        parts += [self._end(way, places[way.end]) for way in ways]
        if len(from_root) == 1 and any(map(_is_selective, ways)):
            edge = from_root[0]
            left, right = self._membership(edge.step, place, places[edge.far], tables, parts)
            inside = all_of(parts)
            return Fragment(
                f"{left} IN (SELECT {right} FROM {', '.join(tables)} WHERE {inside.text})",
                inside.bindings,
            )
        joins = [self._join(edge, place, places[edge.far], tables) for edge in from_root]
        inside = all_of([*joins, *parts])
        return Fragment(
            f"EXISTS (SELECT 1 FROM {', '.join(tables)} WHERE {inside.text})", inside.bindings
        )

    def _join(self, edge: Edge, near: Place, far: Place, tables: list[str]) -> Fragment:
        """Tie two rows by a link, adding its table of pairs to `tables` if it has one."""
        attr, near_id, far_id = edge.step.attr, ID, ID
        if attr.is_pairs:
            alias = self.new_alias()
            tables.append(f"{self.dialect.name(attr.table)} {alias}")
            near_column, far_column = self._pair_columns(attr, edge.step.is_forward, alias)
            return Fragment(
                f"{near_column} = {self.column(near.alias, ID)}"
                f" AND {far_column} = {self.column(far.alias, ID)}"
            )
        if edge.step.is_forward:
            near_id = attr.column
        else:
            far_id = attr.column
        return Fragment(f"{self.column(far.alias, far_id)} = {self.column(near.alias, near_id)}")

    def _membership(
        self, step: Step, near: Place, far: Place, tables: list[str], parts: list[Fragment]
    ) -> tuple[str, str]:
        """The two sides of `near IN (SELECT far …)` for the first link of a path."""
        attr = step.attr
        if attr.is_pairs:
            alias = self.new_alias()
            tables.append(f"{self.dialect.name(attr.table)} {alias}")
            near_column, far_column = self._pair_columns(attr, step.is_forward, alias)
            parts.append(Fragment(f"{far_column} = {self.column(far.alias, ID)}"))
            return self.column(near.alias, ID), near_column
        if step.is_forward:
            return self.column(near.alias, attr.column), self.column(far.alias, ID)
        return self.column(near.alias, ID), self.column(far.alias, attr.column)

    def _pair_columns(self, attr: Attr, is_forward: bool, alias: str) -> tuple[str, str]:
        """The columns of the near and of the far end, wherever the link is stored."""
        place = link_columns(attr)
        source, target = self.column(alias, place.source), self.column(alias, place.target)
        return (source, target) if is_forward else (target, source)

    def test(self, test: Test, place: Place) -> Fragment:
        """The entity at `place`, which exists, passes the test (whose path is walked)."""
        if test.attr.is_ref:
            return self._link_test(test.attr, test.is_forward, test.op, test.value, place)
        if test.attr.is_id:
            return self._id_test(test.op, test.value, self.column(place.alias, ID))
        return self._value_test(test, place)

    def _id_test(self, op: Op, value: Binding, operand: str) -> Fragment:
        match op:
            case Op.EQ:
                return Fragment(f"{operand} = ?", (value,))
            case Op.NOT:
                return Fragment(f"{operand} <> ?", (value,))
            case Op.IN:
                return self._in_ids(operand, value)
            case Op.IS_NULL:
                return FALSE if value else TRUE
            case _:
                raise AssertionError(f"{op} on an id passed the parser")

    def _in_ids(self, operand: str, ids: Binding) -> Fragment:
        if not ids:
            return FALSE
        return Fragment(f"{operand} IN {self.dialect.in_list()}", (ids,))

    def _link_test(
        self, attr: Attr, is_forward: bool, op: Op, value: Binding, place: Place
    ) -> Fragment:
        """A link compared with ids, or asked for its absence."""
        if is_forward and not attr.is_pairs:
            return self._link_column_test(op, value, self.column(place.alias, attr.column))
        alias = self.new_alias()
        near, far = self._pair_columns(attr, is_forward, alias)
        table = f"{self.dialect.name(attr.table)} {alias}"
        own_id = self.column(place.alias, ID)
        linked = f"EXISTS (SELECT 1 FROM {table} WHERE {near} = {own_id}"
        match op:
            case Op.EQ:
                return Fragment(
                    f"{own_id} IN (SELECT {near} FROM {table} WHERE {far} = ?)", (value,)
                )
            case Op.IN:
                inside = self._in_ids(far, value)
                return Fragment(
                    f"{own_id} IN (SELECT {near} FROM {table} WHERE {inside.text})", inside.bindings
                )
            case Op.NOT:
                return Fragment(f"({linked} AND {far} <> ?) OR NOT {linked}))", (value,))
            case Op.IS_NULL:
                return Fragment(f"NOT {linked})" if value else f"{linked})")
            case _:
                raise AssertionError(f"{op} on a link passed the parser")

    def _link_column_test(self, op: Op, value: Binding, operand: str) -> Fragment:
        match op:
            case Op.EQ:
                return Fragment(f"{operand} = ?", (value,))
            case Op.IN:
                return self._in_ids(operand, value)
            case Op.NOT:
                return Fragment(f"{operand} IS DISTINCT FROM ?", (value,))
            case Op.IS_NULL:
                return Fragment(f"{operand} IS NULL" if value else f"{operand} IS NOT NULL")
            case _:
                raise AssertionError(f"{op} on a link passed the parser")

    def _value_test(self, test: Test, place: Place) -> Fragment:
        attr, op = test.attr, test.op
        operand = self.column(place.alias, attr.column)
        match op:
            case Op.IS_NULL:
                return _null_test(attr, operand, is_null=test.value)
            case Op.EQ | Op.NOT:
                compared, cell = self._comparable(attr, test.value, place)
                sign = "=" if op is Op.EQ else "IS DISTINCT FROM"
                return Fragment(f"{compared} {sign} ?", (cell,))
            case Op.IN:
                return self._value_in(attr, test.value, place)
            case Op.GT | Op.GTE | Op.LT | Op.LTE:
                compared, cell = self._comparable(attr, test.value, place)
                return Fragment(f"{compared} {_COMPARISONS[op]} ?", (cell,))
            case Op.LIKE | Op.ILIKE:
                text, pattern = self.dialect.like(
                    operand, pattern=test.value, is_case_sensitive=op is Op.LIKE
                )
                return Fragment(text, (pattern,))
            case _:
                assert_never(op)

    def _value_in(self, attr: Attr, values: Sequence[object], place: Place) -> Fragment:
        operand = self.column(place.alias, attr.column)
        found = [self._comparable(attr, value, place) for value in values if value is not None]
        cells = tuple(dict.fromkeys(cell for _, cell in found))
        parts: list[Fragment] = []
        if len(cells) == 1:
            parts.append(Fragment(f"{found[0][0]} = ?", cells))
        elif cells:
            marks = ", ".join("?" * len(cells))
            parts.append(Fragment(f"{found[0][0]} IN ({marks})", cells))
        if len(found) < len(values):
            parts.append(_null_test(attr, operand, is_null=True))
        return any_of(parts)

    def _comparable(self, attr: Attr, value: object, place: Place) -> tuple[str, Cell]:
        """The column to compare `value` with, and the value as it stands there.

        Dates that are indexed compare as instants; everything else as it is stored.
        """
        cell = encode_cell(value, is_indexed=attr.is_indexed)
        if is_by_instant(attr):
            return self.column(place.alias, order_column(attr)), order_cell(attr, cell)
        return self.column(place.alias, attr.column), cell


def is_by_instant(attr: Attr) -> bool:
    """Whether equality on `attr` compares instants, not the stored text or number."""
    return attr.checked_type == "date" and has_order_column(attr)


def all_of(parts: Iterable[Fragment]) -> Fragment:
    """All parts hold."""
    kept = [part for part in parts if part is not TRUE]
    if any(part is FALSE for part in kept):
        return FALSE
    return _joined(kept, "AND") if kept else TRUE


def any_of(parts: Iterable[Fragment]) -> Fragment:
    """At least one part holds."""
    kept = [part for part in parts if part is not FALSE]
    if any(part is TRUE for part in kept):
        return TRUE
    return _joined(kept, "OR") if kept else FALSE


def _joined(parts: Sequence[Fragment], word: str) -> Fragment:
    """Join as a balanced tree: SQLite bounds the depth of an expression, and a chain is deep."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) > _CHAIN_MAX:
        half = len(parts) // 2
        parts = (_joined(parts[:half], word), _joined(parts[half:], word))
    text = f" {word} ".join(part.text for part in parts)
    return Fragment(f"({text})", tuple(binding for part in parts for binding in part.bindings))


_CHAIN_MAX: Final = 50


def _null_test(attr: Attr, operand: str, *, is_null: bool) -> Fragment:
    """Null and missing are one thing here; unindexed attrs keep them apart (catalog.values)."""
    if attr.is_indexed:
        return Fragment(f"{operand} IS NULL" if is_null else f"{operand} IS NOT NULL")
    if is_null:
        return Fragment(f"({operand} IS NULL OR {operand} = ?)", (NULL,))
    return Fragment(f"({operand} IS NOT NULL AND {operand} <> ?)", (NULL,))


def _is_selective(way: Way) -> bool:
    """Whether a way's test can find its few entities by an index."""
    test = way.test
    if test is None or test.op not in (Op.EQ, Op.IN):
        return False
    return test.attr.is_ref or test.attr.is_id or test.attr.is_indexed or test.attr.is_unique
