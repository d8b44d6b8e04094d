"""Statements of a query: one per form level. No I/O.

They are composed here, in `where`, and for aggregates in `aggregate`; those of rules in `entities`.

Each statement has its own Composer, which knows the catalog, the dialect and what is visible.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.values import Cell, order_run
from trice.errors import LimitExceeded
from trice.protocol.ids import EntityId
from trice.query.ast import Cut, Hop, Order, Scope, Test
from trice.query.cost import prepared_steps
from trice.query.cursor import Bound
from trice.query.sql.fragment import TRUE, Fragment, Place, all_of, any_of
from trice.query.sql.where import ROOT, Composer
from trice.store.dialect import Dialect
from trice.store.engine import Binding
from trice.store.judged import JudgedTerm, with_ids

PAIR: Final = "p"
ABOVE: Final = "above"
ROWS_MAX: Final = limits.QUERY_ROWS_MAX + 1
"""The LIMIT of every statement: one row more than an answer may have, so that excess shows."""

_ROUNDED: Final = ("date", "number")
"""Types whose values clients compare with less precision than the store."""

Held = Literal["parent", "child", "pairs"]
"""Where a link is stored, seen from the form that walks it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL and its bindings.

    ids_at  for a level below the top, how many bindings stand before the ids of the parents
    steps   that preparing it takes, if it is long
    is_judged_apart  its bindings have terms that the engine judges beforehand
    """

    sql: str
    bindings: tuple[Binding, ...] = ()
    ids_at: int = 0
    steps: int = 0
    is_judged_apart: bool = False

    def with_ids(self, ids: Sequence[EntityId]) -> tuple[Binding, ...]:
        """All bindings, the parents' ids in their place."""
        bindings: Sequence[Binding] = self.bindings
        if self.is_judged_apart:
            bindings = with_ids(bindings, ids)
        return (*bindings[: self.ids_at], ids, *bindings[self.ids_at :])


def held(hop: Hop) -> Held:
    """Where the link of `hop` is stored."""
    if hop.attr.is_pairs:
        return "pairs"
    return "parent" if hop.is_forward else "child"


def select(composer: Composer, etype: str, columns: Sequence[Attr], where: Scope) -> Statement:
    """All entities of a top form: rows of `id, created_ms, columns…`, in no order."""
    found = composer.matching(where, Place(ROOT, etype))
    head = _select_row(composer, etype, columns)
    return checked(
        f"{head.text} WHERE {found.text} LIMIT {ROWS_MAX}", (*head.bindings, *found.bindings)
    )


def select_count(composer: Composer, etype: str, where: Scope) -> Statement:
    """The number of matching entities: one row of one number."""
    found = composer.matching(where, Place(ROOT, etype))
    text = f"SELECT count(*) FROM {composer.table(Place(ROOT, etype))} WHERE {found.text}"
    return checked(text, found.bindings)


def select_linked(
    composer: Composer,
    hop: Hop,
    columns: Sequence[Attr],
    where: Scope,
    *,
    needed: Sequence[Test] = (),
    cut: Cut | None = None,
    order: Order | None = None,
) -> Statement:
    """The existing entities that the parents are linked with, for all parents at once.

    cut      how many of them below each parent, in `order`; not where the parent holds the link
    needed   at least one of these tests must hold; empty: no such condition
    returns  rows of `id, created_ms, columns…`; for a link kept as pairs followed by
             `parent id, created_ms of the pair`, one row per pair. Else a cell tells the parent:
             a cell of the parent ("parent"), or of the row ("child")
    ids      of the children when the parent holds the link, else of the parents
    """
    place, dialect = Place(ROOT, hop.etype), composer.dialect
    own_id, in_list = dialect.entity_id(ROOT), dialect.in_list()
    more: tuple[str, ...] = ()
    join, shown = "", TRUE
    near = ""
    match held(hop):
        case "parent":
            tie = f"{own_id} IN {in_list}"
            composer.narrow(tie)
        case "child":
            near = dialect.cell(hop.attr, ROOT)
            tie = f"{near} IN {in_list}"
            composer.narrow(tie)
            shown = composer.shown(hop.attr, place)
        case "pairs":
            near, far = composer.ends(hop.attr, PAIR, is_forward=hop.is_forward)
            more = (near, dialect.linked_ms(hop.attr, PAIR))
            pairs = dialect.links(hop.attr, PAIR)
            join = f" JOIN {pairs} ON {far} = {own_id}"
            tie = f"{near} IN {in_list}"
            composer.narrow(f"{own_id} IN (SELECT {far} FROM {pairs} WHERE {tie})")
            if hop.is_forward:
                shown = composer.holder(hop.attr, PAIR, is_visible=True)
            else:
                shown = composer.shown(hop.attr, place)
        case other:
            assert_never(other)
    found = composer.matching(where, place, needed=needed, also=shown)
    if cut is not None:
        shown_cells = _cells(composer, hop.etype, columns, more=more)
        return _cut_linked(composer, hop, shown_cells, near, found=found, cut=cut, order=order)
    head = _select_row(composer, hop.etype, columns, more=more)
    return checked(
        f"{head.text}{join} WHERE {tie} AND {found.text} LIMIT {ROWS_MAX}",
        (*head.bindings, *found.bindings),
        ids_at=len(head.bindings),
    )


def _cut_linked(
    composer: Composer,
    hop: Hop,
    shown: Fragment,
    near: str,
    *,
    found: Fragment,
    cut: Cut,
    order: Order | None,
) -> Statement:
    """`select_linked` for the first entities of each parent in an order.

    The ids below a parent are sorted in a query of their own, of which SQLite keeps no more than
    the limit. Places by a window function take ten times as long: it copies every row.

    shown   the columns of the statement
    near    the id of the parent, in a row of an entity or pair
    """
    place, dialect = Place(ROOT, hop.etype), composer.dialect
    own_id, parent_id = dialect.entity_id(ROOT), dialect.entity_id(ABOVE)
    below, pairs, tie = composer.table(place), "", ""
    if held(hop) == "pairs":
        _, far = composer.ends(hop.attr, PAIR, is_forward=hop.is_forward)
        links = dialect.links(hop.attr, PAIR)
        below += f" JOIN {links} ON {far} = {own_id}"
        pairs, tie = f" CROSS JOIN {links}", f" AND {near} = {parent_id} AND {far} = {own_id}"
    key = _nested_order(composer, place, order)
    ways = ", ".join(
        dialect.ordered(one, is_descending=_is_descending(order) != cut.is_last)
        for one in (key.text, own_id)
    )
    first = (
        f"SELECT {own_id} FROM {below} WHERE {near} = {parent_id} AND {found.text}"
        f" ORDER BY {ways} LIMIT ?"
    )
    reverse = hop.attr.reverse
    assert hop.is_forward or reverse is not None
    above = hop.attr.etype if hop.is_forward or reverse is None else reverse.etype
    # CROSS keeps the order: each parent, the ids below it, their rows.
    tables = f"{composer.table(Place(ABOVE, above))} CROSS JOIN {composer.table(place)}{pairs}"
    text = (
        f"SELECT {shown.text} FROM {tables}"
        f" WHERE {parent_id} IN {dialect.in_list()} AND {own_id} IN ({first}){tie}"
        f" LIMIT {ROWS_MAX}"
    )
    bindings = (*shown.bindings, *found.bindings, *key.bindings, cut.limit)
    return checked(text, bindings, ids_at=len(shown.bindings))


def _is_descending(order: Order | None) -> bool:
    return order is not None and order.is_descending


def _nested_order(composer: Composer, place: Place, order: Order | None) -> Fragment:
    """What orders the rows of a nested form; ties are in order of id."""
    attr = None if order is None else order.attr
    if attr is None:
        return Fragment(composer.dialect.created_ms(ROOT))
    key = composer.order_cell(attr, place)
    if attr.checked_type not in _ROUNDED:
        return key
    return Fragment(_rounded(composer.dialect, attr, key.text), key.bindings)


def _rounded(dialect: Dialect, attr: Attr, operand: str) -> str:
    """SQL for the value that orders `attr`, rounded as `values.order_cell` does."""
    if attr.checked_type == "number":
        return dialect.double(operand)
    return dialect.millisecond(operand)


def select_pairs(
    composer: Composer, attr: Attr, *, is_forward: bool, ids: Sequence[EntityId]
) -> Statement:
    """The links of all parents at once, even if the other ends do not exist.

    ids      the other ends that are wanted; empty: all
    returns  rows of `source, target, created_ms` (NULL while the holder of the link is a stub)
    """
    dialect = composer.dialect
    source, target = dialect.source(attr, PAIR), dialect.target(attr, PAIR)
    near, far = (source, target) if is_forward else (target, source)
    text = (
        f"SELECT {source}, {target}, {dialect.linked_ms(attr, PAIR)} FROM"
        f" {dialect.links(attr, PAIR)} WHERE {near} IN {dialect.in_list()}"
    )
    bindings: tuple[Binding, ...] = ()
    if ids:
        text += f" AND {far} IN {dialect.in_list()}"
        bindings = (tuple(ids),)
    held = composer.holder(attr, PAIR, is_visible=is_forward)
    if held is not TRUE:
        text += f" AND {held.text}"
    return checked(f"{text} LIMIT {ROWS_MAX}", (*bindings, *held.bindings))


class PageSelect:
    """The statements that read stretches of an ordered form.

    Nulls come first ascending and last descending, ties are in order of id. A stretch is a few
    ranges of the order's index: the nulls, and the values. Each range is a statement; they are read
    one after the other until there are enough rows.

    Dates of one millisecond are ties too, and integers that share a double (`values.order_cell`),
    but not in the index. So a stretch begins and ends with whole runs of such ties. Within a run
    rows are in order of value instead of id, unless a stretch `is_sorting`. The values are two
    ranges where the stretch ends above a part of such a run.
    """

    def __init__(
        self,
        composer: Composer,
        etype: str,
        columns: Sequence[Attr],
        where: Scope,
        order: Order | None,
    ) -> None:
        place = Place(ROOT, etype)
        found = composer.matching(where, place)
        attr = order.attr if order is not None else None
        head = _select_row(composer, etype, columns)
        self._head = f"{head.text} WHERE {found.text}"
        self._bindings = (*head.bindings, *found.bindings)
        self._has_nulls = attr is not None
        self.rounded = attr if attr is not None and attr.checked_type in _ROUNDED else None
        self._order = (
            Fragment(composer.dialect.created_ms(ROOT))
            if attr is None
            else composer.order_cell(attr, place)
        )
        self._id = composer.dialect.entity_id(ROOT)
        self._dialect = composer.dialect

    def rebound(self, value_of: Callable[[Binding], Binding]) -> PageSelect:
        """The same statements with other values bound in their conditions."""
        other = copy.copy(self)
        other._bindings = tuple(map(value_of, self._bindings))
        return other

    def stretch(
        self,
        *,
        is_descending: bool,
        start: Bound | None,
        end: Bound | None,
        limit: int,
        offset: int,
        is_sorting: bool = False,
        run: tuple[Cell, Cell] | None = None,
        last: Cell = None,
    ) -> list[Statement]:
        """Rows from `start` to `end` in this direction, each at most `limit` after `offset`.

        With several statements, `offset` applies to what they return together: each then returns
        `offset + limit` rows and the caller skips.

        is_sorting   rows that order alike for clients come by id; costs a sort of the whole stretch
        run          only values from the first to the second, as the index holds them
        last         only values up to this one in this direction, as the index holds it
        """
        nulls, values = self._ranges(is_descending=is_descending, start=start, end=end)
        order = self._order
        if last is not None:
            sign = ">=" if is_descending else "<="
            edge = Fragment(f"{order.text} {sign} ?", (*order.bindings, last))
            values = [all_of([part, edge]) for part in values]
            nulls = None if is_descending else nulls
        if run is not None:
            bounds = (*order.bindings, *run)
            among = Fragment(f"{order.text} BETWEEN ? AND ?", bounds)
            ranges = [all_of([any_of(values), among])]
        elif nulls is not None and start is None and end is None and last is None:
            ranges = [TRUE]
        else:
            ranges = values if nulls is None else [nulls, *values]
            if is_descending:
                ranges = ranges[::-1]
        if is_sorting:
            ranges = [any_of(ranges)]
        if len(ranges) > 1:
            limit, offset = min(limit + offset, ROWS_MAX), 0
        key = order.text
        if is_sorting:
            assert self.rounded is not None
            key = _rounded(self._dialect, self.rounded, order.text)
        ways = [self._dialect.ordered(one, is_descending=is_descending) for one in (key, self._id)]
        tail = f"ORDER BY {', '.join(ways)} LIMIT ? OFFSET ?"
        return [
            checked(
                f"{self._head} AND {part.text} {tail}",
                (*self._bindings, *part.bindings, *order.bindings, limit, offset),
            )
            for part in ranges
        ]

    def _ranges(
        self, *, is_descending: bool, start: Bound | None, end: Bound | None
    ) -> tuple[Fragment | None, list[Fragment]]:
        """The range among nulls, None if it is empty, and the ranges among values; ascending."""
        nulls: list[Fragment] | None = None
        values: list[Fragment] = [TRUE]
        order = self._order
        if self._has_nulls:
            nulls = [Fragment(f"{order.text} IS NULL", order.bindings)]
            values = [Fragment(f"{order.text} IS NOT NULL", order.bindings)]
        for bound, is_start in ((start, True), (end, False)):
            if bound is None:
                continue
            # The wanted rows lie above the start of an ascending stretch, and above the end of a
            # descending one. Nulls lie below all values.
            is_above = is_start != is_descending
            if self._has_nulls and bound.order is None:
                if nulls is not None:
                    sign = _sign(is_above=is_above, is_inclusive=bound.is_inclusive)
                    nulls.append(Fragment(f"{self._id} {sign} ?", (bound.entity,)))
                if not is_above:
                    values = []
            else:
                beside = self._above(bound) if is_above else self._below(bound)
                values = [all_of([value, part]) for value in values for part in beside]
                if is_above:
                    nulls = None
        return None if nulls is None else all_of(nulls), values

    def _above(self, bound: Bound) -> list[Fragment]:
        """The range of rows above a bound that has a value."""
        low, high = order_run(self.rounded, bound.order)
        sign = _sign(is_above=True, is_inclusive=bound.is_inclusive)
        beside = self._beside(sign, low, bound)
        if low == high:
            return [beside]
        # The first condition is for the index; within the run of the bound ids decide.
        text = f"({self._order.text} > ? OR {self._id} {sign} ?)"
        inside = Fragment(text, (*self._order.bindings, high, bound.entity))
        return [all_of([beside, inside])]

    def _below(self, bound: Bound) -> list[Fragment]:
        """The ranges of rows below a bound that has a value.

        Rows of its run above the run's least value have a range of their own. Otherwise all rows
        with the least value, which whole days share, would be read on the way to the bound.
        """
        low, high = order_run(self.rounded, bound.order)
        sign = _sign(is_above=False, is_inclusive=bound.is_inclusive)
        beside = self._beside(sign, low, bound)
        if low == high:
            return [beside]
        order = self._order
        text = f"({order.text} > ? AND {order.text} <= ? AND {self._id} {sign} ?)"
        bindings = (*order.bindings, low, *order.bindings, high, bound.entity)
        return [beside, Fragment(text, bindings)]

    def _beside(self, sign: str, order: Cell, bound: Bound) -> Fragment:
        text = f"({self._order.text}, {self._id}) {sign} (?, ?)"
        return Fragment(text, (*self._order.bindings, order, bound.entity))


def _sign(*, is_above: bool, is_inclusive: bool) -> str:
    return (">" if is_above else "<") + ("=" if is_inclusive else "")


def _select_row(
    composer: Composer, etype: str, columns: Sequence[Attr], *, more: Sequence[str] = ()
) -> Fragment:
    cells = _cells(composer, etype, columns, more=more)
    text = f"SELECT {cells.text} FROM {composer.table(Place(ROOT, etype))}"
    return Fragment(text, cells.bindings)


def _cells(
    composer: Composer, etype: str, columns: Sequence[Attr], *, more: Sequence[str]
) -> Fragment:
    """The columns of a statement that returns rows."""
    bindings: tuple[Binding, ...] = ()
    if not composer.masks(etype):
        texts = [composer.dialect.cell(composer.stored(attr), ROOT) for attr in columns]
    else:
        cells = [composer.cell(attr, Place(ROOT, etype)) for attr in columns]
        texts = [cell.text for cell in cells]
        bindings = tuple(binding for cell in cells for binding in cell.bindings)
    wanted = (composer.dialect.entity_id(ROOT), composer.dialect.created_ms(ROOT))
    return Fragment(", ".join([*wanted, *texts, *more]), bindings)


def checked(text: str, bindings: tuple[Binding, ...], *, ids_at: int = 0) -> Statement:
    """The statement, unless it is too large."""
    if len(bindings) > limits.QUERY_BINDINGS_MAX or len(text) > limits.QUERY_SQL_CHARS_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            "There are too many parameters in the query: its conditions expand to more than "
            f"{limits.QUERY_BINDINGS_MAX} values or {limits.QUERY_SQL_CHARS_MAX} characters of "
            "SQL. Use fewer values in `$in`, or fewer conditions.",
        )
    is_judged_apart = JudgedTerm in map(type, bindings)
    return Statement(text, bindings, ids_at, prepared_steps(text), is_judged_apart)
