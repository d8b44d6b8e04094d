"""What every entity that meets some conditions must hold itself: its anchors. No I/O.

An anchor demands no more than the conditions, mostly less: an entity outside of it surely fails
them, an entity inside may meet them. Equal values are points; comparisons and pages are spans of a
lane.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Final, Literal, assert_never

from trice.catalog.attr import Attr
from trice.catalog.dates import instant_us
from trice.catalog.values import (
    Cell,
    compared_cell,
    encode_cell,
    id_span,
    is_by_instant,
    kind_rank,
    text_order,
)
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import AllOf, AnyOf, IdPrefix, Judged, Never, Op, Order, Scope, Test
from trice.query.visibility import EVERYTHING, Visibility

Measure = Literal["cell", "instant", "text", "created", "id"]
"""What is compared of an entity: a cell as stored, as an instant or by its ICU sort key; the time
when it was created; its id."""

_CHAR_MAX: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Lane:
    """An order in which the entities of a namespace lie, as on a line.

    attr_id  empty where the measure is one of the entity, not of a cell
    """

    etype: str
    attr_id: AttrId
    measure: Measure


End = tuple[int, int | float | str | bytes, int]
"""A place in a lane: the kind of value, the value, and -1 for just before it, 1 for just behind."""

BELOW_ALL: Final[End] = (-1, 0, 0)
ABOVE_ALL: Final[End] = (4, 0, 0)
_ABOVE_NULL: Final[End] = (0, 0, 1)


def end_of(cell: Cell, nudge: int) -> End:
    """A place at, before or behind a value."""
    return (0, 0, nudge) if cell is None else (kind_rank(cell), cell, nudge)


@dataclass(frozen=True, slots=True)
class Span:
    """What lies strictly between two ends of a lane."""

    lane: Lane
    low: End
    high: End


def place_in(lane: Lane, entity: EntityId, created_ms: int, cells: Mapping[AttrId, Cell]) -> End:
    """Where an entity lies in a lane."""
    match lane.measure:
        case "created":
            return end_of(created_ms, 0)
        case "id":
            return end_of(entity, 0)
        case "cell":
            return end_of(cells.get(lane.attr_id), 0)
        case "instant":
            cell = cells.get(lane.attr_id)
            return end_of(instant_us(cell) if isinstance(cell, (str, int, float)) else None, 0)
        case "text":
            cell = cells.get(lane.attr_id)
            return end_of(text_order(cell) if isinstance(cell, str) else None, 0)
        case measure:
            assert_never(measure)


class Width(IntEnum):
    """How much an anchor lets through, from little to much, as estimated from its form."""

    VALUES = 0
    STRETCH = 1
    HALF = 2
    NULL = 3
    RECENT = 4
    REST = 5


@dataclass(frozen=True, slots=True)
class Anchor:
    """Every shown entity has one of these values, or lies in one of these spans.

    cells  of the id attr (16 bytes), a blob, or a has-one link that the entity holds; none is NULL
    """

    cells: frozenset[tuple[AttrId, Cell]]
    spans: frozenset[Span]

    @staticmethod
    def of(cells: Set[tuple[AttrId, Cell]], spans: Set[Span]) -> Anchor:
        """Build an anchor; its empty sets are one shared object, instead of 216 bytes each."""
        return Anchor(
            frozenset(cells) if cells else _NO_CELLS, frozenset(spans) if spans else _NO_SPANS
        )

    @property
    def width(self) -> Width:
        return max((_width(span) for span in self.spans), default=Width.VALUES)


_NO_CELLS: Final[frozenset[tuple[AttrId, Cell]]] = frozenset()
_NO_SPANS: Final[frozenset[Span]] = frozenset()


def _width(span: Span) -> Width:
    if span.high == ABOVE_ALL:
        if span.lane.measure == "created":
            return Width.RECENT  # every new entity lies there
        return Width.REST if span.low <= _ABOVE_NULL else Width.HALF
    if span.high <= _ABOVE_NULL:
        return Width.NULL
    return Width.HALF if span.low <= _ABOVE_NULL else Width.STRETCH


def narrowest(anchors: Iterable[Anchor]) -> Anchor | None:
    """The anchor to use of several that all hold; None if there is none.

    Spans of one lane are first reduced to their intersection.
    """
    found: list[Anchor] = []
    stretches: dict[Lane, Span] = {}
    for anchor in anchors:
        if anchor.cells or len(anchor.spans) != 1:
            found.append(anchor)
            continue
        (span,) = anchor.spans
        known = stretches.get(span.lane, span)
        stretches[span.lane] = Span(span.lane, max(known.low, span.low), min(known.high, span.high))
    for span in stretches.values():
        found.append(Anchor.of(_NO_CELLS, {span} if span.low < span.high else _NO_SPANS))
    return min(found, key=lambda one: (one.width, len(one.cells) + len(one.spans)), default=None)


def anchors_of(scope: Scope, etype: str, visibility: Visibility = EVERYTHING) -> Iterator[Anchor]:
    """What each condition of `scope` by itself demands of entities of `etype`.

    visibility   what the caller may see: for `where` a hidden value is null, whatever is stored
    """
    for condition in scope:
        match condition:
            case Test():
                anchor = _of_test(condition, etype, visibility)
                if anchor is not None:
                    yield anchor
            case IdPrefix(prefix):
                yield _of_id_prefix(prefix, etype)
            case AllOf(scopes):
                for inner in scopes:
                    yield from anchors_of(inner, etype, visibility)
            case AnyOf(scopes):
                some = [narrowest(anchors_of(inner, etype, visibility)) for inner in scopes]
                if None not in some:
                    yield _union([one for one in some if one is not None])
            case Never():
                yield _union([])
            case Judged():
                pass
            case _:
                assert_never(condition)


def _union(anchors: Sequence[Anchor]) -> Anchor:
    return Anchor(
        frozenset(chain.from_iterable(one.cells for one in anchors)),
        frozenset(chain.from_iterable(one.spans for one in anchors)),
    )


def order_lane(etype: str, order: Order | None, visibility: Visibility = EVERYTHING) -> Lane | None:
    """The lane of a page; None when the values that order it may be hidden."""
    attr = None if order is None else order.attr
    if attr is None:
        return Lane(etype, AttrId(""), "created")
    if visibility.field(attr):
        return None
    measure: Measure = "text" if attr.checked_type == "string" else _measure(attr)
    return Lane(etype, attr.id, measure)


def page_anchor(lane: Lane, run: tuple[Cell, Cell], *, is_upward: bool) -> Anchor | None:
    """The part of the lane that holds a cut page and the first row beyond it; None: all of it.

    run        the values that order as that row does (`values.order_run`): in the lane values lie
               unrounded
    is_upward  the page was read from low to high
    """
    least, most = run
    low = BELOW_ALL if is_upward else end_of(least, -1)
    high = end_of(most, 1) if is_upward else ABOVE_ALL
    if low <= end_of(None, -1) and high == ABOVE_ALL:
        return None
    return Anchor.of(_NO_CELLS, {Span(lane, low, high)})


def _of_id_prefix(prefix: str, etype: str) -> Anchor:
    low, high = id_span(prefix)
    return _stretch(Lane(etype, AttrId(""), "id"), end_of(low, -1), end_of(high, 1))


def _of_test(test: Test, etype: str, visibility: Visibility) -> Anchor | None:
    attr = test.attr
    if test.path or attr.is_pairs or attr.etype != etype or (attr.is_ref and not test.is_forward):
        return None
    if attr.is_id:
        return _of_ids(test)
    lane = Lane(etype, attr.id, _measure(attr))
    match test.op:
        case Op.EQ | Op.IN:
            values = test.value if test.op is Op.IN else (test.value,)
            return _of_values(attr, values, lane, visibility)
        case Op.IS_NULL if test.value:
            return _null(attr, lane, visibility)
        case Op.IS_NULL:
            return _stretch(lane, _ABOVE_NULL, ABOVE_ALL)
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            bound = _key(attr, test.value)
            nudge = 1 if test.op in (Op.GT, Op.LTE) else -1
            if bound is None:
                return None
            if test.op in (Op.GT, Op.GTE):
                return _stretch(lane, end_of(bound, nudge), ABOVE_ALL)
            return _stretch(lane, _ABOVE_NULL, end_of(bound, nudge))
        case Op.LIKE:
            return _of_pattern(test.value, lane)
        case _:
            return None


def _stretch(lane: Lane, low: End, high: End) -> Anchor:
    return Anchor.of(_NO_CELLS, {Span(lane, low, high)})


def _of_ids(test: Test) -> Anchor | None:
    if test.op not in (Op.EQ, Op.IN):
        return None
    ids = test.value if test.op is Op.IN else (test.value,)
    return Anchor.of({(test.attr.id, one) for one in ids if one is not None}, _NO_SPANS)


def _of_values(
    attr: Attr, values: Iterable[object], lane: Lane, visibility: Visibility
) -> Anchor | None:
    cells: set[tuple[AttrId, Cell]] = set()
    spans: set[Span] = set()
    for value in values:
        if value is None:
            null = _null(attr, lane, visibility)
            if null is None:
                return None
            spans |= null.spans
        elif lane.measure == "cell":
            cells.add((attr.id, _key(attr, value)))
        else:
            key = _key(attr, value)
            spans.add(Span(lane, end_of(key, -1), end_of(key, 1)))
    return Anchor.of(cells, spans)


def _null(attr: Attr, lane: Lane, visibility: Visibility) -> Anchor | None:
    """The anchor of null and missing; None where they are no single value in the store: the attr
    is not indexed, or values may be hidden."""
    if not (attr.is_indexed or attr.is_ref) or visibility.field(attr):
        return None
    return _stretch(lane, end_of(None, -1), end_of(None, 1))


def _of_pattern(pattern: str, lane: Lane) -> Anchor | None:
    """Texts with the beginning that a pattern of `$like` demands; None if it demands none.

    A NUL may end a text or a pattern (`Dialect.like`).
    """
    prefix = _literal_prefix(pattern)
    stem = prefix.rstrip(_CHAR_MAX)
    if not stem or "\x00" in pattern:
        return None
    after = ord(stem[-1]) + 1
    following = stem[:-1] + chr(0xE000 if after == 0xD800 else after)
    return _stretch(lane, end_of(prefix, -1), end_of(following, -1))


def _literal_prefix(pattern: str) -> str:
    found: list[str] = []
    is_escaped = False
    for char in pattern:
        if is_escaped:
            is_escaped = False
        elif char == "\\":
            is_escaped = True
            continue
        elif char in "%_":
            break
        found.append(char)
    return "".join(found)


def _measure(attr: Attr) -> Measure:
    return "instant" if is_by_instant(attr) else "cell"


def _key(attr: Attr, value: object) -> Cell:
    """A value of a test as it lies in the lane of its attr."""
    if isinstance(value, bytes):
        return value
    return compared_cell(attr, encode_cell(value, is_indexed=attr.is_indexed))
