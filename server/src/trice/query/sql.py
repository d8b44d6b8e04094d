"""Statements of a query: one per form level. Composed here and in `sql_where` only. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell, encode_cell, order_cell
from trice.errors import LimitExceeded
from trice.protocol.ids import EntityId
from trice.query.ast import Cursor, Order, Page, Scope, Step, Test
from trice.query.sql_where import Composer, Fragment, Place, all_of, any_of
from trice.store.dialect import Dialect
from trice.store.engine import Binding
from trice.store.tables import CREATED, ID, link_columns, order_column

ROOT: Final = "e"
PAIR: Final = "p"
ROWS_MAX: Final = limits.QUERY_ROWS_MAX + 1
"""Every statement stops here: one more than an answer may have, so that excess shows."""

Held = Literal["parent", "child", "pairs"]
"""Where a link is stored, seen from the form that walks it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its bindings. For a level below the top, ids of the parents are bound first."""

    sql: str
    bindings: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of a stretch of the order: beside the row with this order cell and id.

    order  the cell of the order column; None for null
    """

    order: Cell
    entity: EntityId
    is_inclusive: bool


def held(step: Step) -> Held:
    """Where the link of `step` is stored."""
    if step.attr.is_pairs:
        return "pairs"
    return "parent" if step.is_forward else "child"


def select(
    catalog: Catalog, dialect: Dialect, etype: str, columns: Sequence[Attr], where: Scope
) -> Statement:
    """All entities of a top form: rows of `id, created_ms, columns…`, in no order."""
    composer = Composer(catalog, dialect)
    found = _matching(composer, etype, where)
    text = f"{_select_row(composer, etype, columns)} WHERE {found.text} LIMIT {ROWS_MAX}"
    return _checked(text, found.bindings)


def select_count(catalog: Catalog, dialect: Dialect, etype: str, where: Scope) -> Statement:
    """How many entities match: one row of one number."""
    composer = Composer(catalog, dialect)
    found = _matching(composer, etype, where)
    text = f"SELECT count(*) FROM {composer.table(etype)} {ROOT} WHERE {found.text}"
    return _checked(text, found.bindings)


def select_linked(
    catalog: Catalog,
    dialect: Dialect,
    step: Step,
    columns: Sequence[Attr],
    where: Scope,
    *,
    needed: Sequence[Test] = (),
) -> Statement:
    """The entities that all parents at once are linked with, existing ones only.

    needed   of these tests at least one holds; none given, no such condition
    returns  rows of `id, created_ms, columns…`; for a link kept as pairs followed by
             `parent id, created_ms of the pair`, one row per pair. Else the parent is known from a
             cell: the parent's own ("parent"), or the row's ("child").
    bindings first the tuple of ids: of the children when the link is held by the parent, else of
             the parents
    """
    composer = Composer(catalog, dialect)
    place = Place(ROOT, step.etype)
    own_id = composer.column(ROOT, ID)
    head = _select_row(composer, step.etype, columns)
    in_list = dialect.in_list()
    match held(step):
        case "parent":
            tie = f"{own_id} IN {in_list}"
        case "child":
            tie = f"{composer.column(ROOT, step.attr.column)} IN {in_list}"
        case "pairs":
            near, far = _pair_ends(composer, step.attr, step.is_forward)
            head = (
                f"{_select_row(composer, step.etype, columns, more=(near, _pair_time(composer)))}"
                f" JOIN {dialect.name(step.attr.table)} {PAIR} ON {far} = {own_id}"
            )
            tie = f"{near} IN {in_list}"
        case other:
            assert_never(other)
    parts = [composer.exists(ROOT), composer.scope(where, place)]
    if needed:
        parts.append(any_of([composer.scope((test,), place) for test in needed]))
    found = all_of(parts)
    return _checked(f"{head} WHERE {tie} AND {found.text} LIMIT {ROWS_MAX}", found.bindings)


def select_pairs(
    dialect: Dialect, catalog: Catalog, attr: Attr, *, is_forward: bool, ids: Sequence[EntityId]
) -> Statement:
    """The links of all parents at once, whether or not the other ends exist.

    ids      other ends wanted; empty: all
    returns  rows of `source, target, created_ms` (NULL while the holder of the link is a stub)
    bindings first the tuple of the parents' ids
    """
    composer = Composer(catalog, dialect)
    place = link_columns(attr)
    source, target = composer.column(PAIR, place.source), composer.column(PAIR, place.target)
    near, far = (source, target) if is_forward else (target, source)
    text = (
        f"SELECT {source}, {target}, {_pair_time(composer, attr)} FROM"
        f" {dialect.name(place.table)} {PAIR} WHERE {near} IN {dialect.in_list()}"
    )
    bindings: tuple[Binding, ...] = ()
    if ids:
        text += f" AND {far} IN {dialect.in_list()}"
        bindings = (tuple(ids),)
    return _checked(f"{text} LIMIT {ROWS_MAX}", bindings)


class PageSelect:
    """The statements that read stretches of an ordered form.

    Nulls come first ascending and last descending, ties are in order of id. A stretch that ends
    beside a null or beside a value is at most two ranges of the order's index: the nulls, and the
    rest; each is a statement, to be read in turn until there are rows enough.
    """

    def __init__(
        self,
        catalog: Catalog,
        dialect: Dialect,
        etype: str,
        columns: Sequence[Attr],
        where: Scope,
        order: Order | None,
    ) -> None:
        composer = Composer(catalog, dialect)
        found = _matching(composer, etype, where)
        attr = order.attr if order is not None else None
        self._head = f"{_select_row(composer, etype, columns)} WHERE {found.text}"
        self._bindings = found.bindings
        self._has_nulls = attr is not None
        self._order = composer.column(ROOT, CREATED if attr is None else order_column(attr))
        self._id = composer.column(ROOT, ID)

    def stretch(
        self,
        *,
        is_descending: bool,
        start: Bound | None,
        end: Bound | None,
        limit: int,
        offset: int,
    ) -> list[Statement]:
        """Rows from `start` to `end` in this direction, each at most `limit` after `offset`.

        With two statements, `offset` applies to what both return together: each then returns
        `offset + limit` rows and the caller skips.
        """
        nulls, values = self._ranges(is_descending=is_descending, start=start, end=end)
        if nulls is not None and values is not None and not (nulls.bindings or values.bindings):
            ranges = [Fragment("1")]
        else:
            nulls_part = [] if nulls is None else [nulls]
            values_part = [] if values is None else [values]
            ranges = values_part + nulls_part if is_descending else nulls_part + values_part
        if len(ranges) > 1:
            limit, offset = min(limit + offset, ROWS_MAX), 0
        way = "DESC" if is_descending else "ASC"
        tail = f"ORDER BY {self._order} {way}, {self._id} {way} LIMIT ? OFFSET ?"
        return [
            _checked(
                f"{self._head} AND {part.text} {tail}",
                (*self._bindings, *part.bindings, limit, offset),
            )
            for part in ranges
        ]

    def _ranges(
        self, *, is_descending: bool, start: Bound | None, end: Bound | None
    ) -> tuple[Fragment | None, Fragment | None]:
        """The range among nulls and the range among values; None for one that is out of reach."""
        nulls: list[Fragment] | None = None
        values: list[Fragment] | None = []
        if self._has_nulls:
            nulls = [Fragment(f"{self._order} IS NULL")]
            values = [Fragment(f"{self._order} IS NOT NULL")]
        for bound, is_start in ((start, True), (end, False)):
            if bound is None:
                continue
            # Rows wanted lie above the start of an ascending and above the end of a descending
            # stretch. Nulls lie below all values.
            is_above = is_start != is_descending
            sign = _sign(is_above=is_above, is_inclusive=bound.is_inclusive)
            if self._has_nulls and bound.order is None:
                if nulls is not None:
                    nulls.append(Fragment(f"{self._id} {sign} ?", (bound.entity,)))
                if not is_above:
                    values = None
            else:
                if values is not None:
                    key = (bound.order, bound.entity)
                    values.append(Fragment(f"({self._order}, {self._id}) {sign} (?, ?)", key))
                if is_above:
                    nulls = None
        return (
            None if nulls is None else all_of(nulls),
            None if values is None else all_of(values),
        )


def cursor_bound(cursor: Cursor, order: Order | None, *, is_inclusive: bool) -> Bound:
    """The end of a stretch that a client's cursor stands for."""
    attr = order.attr if order is not None else None
    if attr is None:
        return Bound(cursor.created_ms, cursor.entity, is_inclusive)
    cell = encode_cell(cursor.value, is_indexed=True)
    return Bound(order_cell(attr, cell), cursor.entity, is_inclusive)


def page_bounds(page: Page, order: Order | None) -> tuple[Bound | None, Bound | None]:
    """The bounds that `after` and `before` set."""
    after = before = None
    if page.after is not None:
        after = cursor_bound(page.after, order, is_inclusive=page.is_after_inclusive)
    if page.before is not None:
        before = cursor_bound(page.before, order, is_inclusive=page.is_before_inclusive)
    return after, before


def _sign(*, is_above: bool, is_inclusive: bool) -> str:
    return (">" if is_above else "<") + ("=" if is_inclusive else "")


def _matching(composer: Composer, etype: str, where: Scope) -> Fragment:
    return all_of([composer.exists(ROOT), composer.scope(where, Place(ROOT, etype))])


def _select_row(
    composer: Composer, etype: str, columns: Sequence[Attr], *, more: Sequence[str] = ()
) -> str:
    names = [ID, CREATED, *(attr.column for attr in columns)]
    wanted = ", ".join([*(composer.column(ROOT, name) for name in names), *more])
    return f"SELECT {wanted} FROM {composer.table(etype)} {ROOT}"


def _pair_ends(composer: Composer, attr: Attr, is_forward: bool) -> tuple[str, str]:
    place = link_columns(attr)
    source, target = composer.column(PAIR, place.source), composer.column(PAIR, place.target)
    return (source, target) if is_forward else (target, source)


def _pair_time(composer: Composer, attr: Attr | None = None) -> str:
    """When a pair was linked: its own time, or that of the row that holds the link."""
    has_own = attr is None or attr.is_pairs
    return composer.column(PAIR, "created_ms" if has_own else CREATED)


def _checked(text: str, bindings: tuple[Binding, ...]) -> Statement:
    if len(bindings) > limits.QUERY_BINDINGS_MAX or len(text) > limits.QUERY_SQL_CHARS_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            "There are too many parameters in the query: its conditions expand to more than "
            f"{limits.QUERY_BINDINGS_MAX} values or {limits.QUERY_SQL_CHARS_MAX} characters of "
            "SQL. Use fewer values in `$in`, or fewer conditions.",
        )
    return Statement(text, bindings)
