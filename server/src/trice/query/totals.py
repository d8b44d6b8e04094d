"""Totals of the matching entities: read from rows, or counted one by one. No I/O.

Both give the same numbers: sums are exact (`catalog.exact`), extremes have one spelling.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.dates import INFINITY_US, instant_text, instant_us
from trice.catalog.exact import ExactSum, plain_number, unpack_units
from trice.catalog.values import FALSE, NULL, TRUE, Cell, decode_attr, text_order
from trice.errors import LimitExceeded
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import AttrId
from trice.query.ast import Aggregate, MeasureOp
from trice.store.engine import Row

Rank = int | float | tuple[bytes, str]
"""The key that compares extremes: a number, an instant in µs, or (ICU key, text)."""

SUM_COLUMNS: Final = 4
"""Columns of a row for each attr that is summed: how many numbers, the sums of the upper and lower
halves of integers, the packed sum of floats."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """The least or the greatest value of an attr."""

    attr: Attr
    is_max: bool

    @property
    def kind(self) -> str:
        """What is compared: "text", "instant" or "number"."""
        return {"string": "text", "date": "instant"}.get(self.attr.checked_type or "", "number")

    def rank(self, cell: Cell) -> Rank | None:
        """The rank of a stored cell; None for a cell that is not compared."""
        match self.kind:
            case "text":
                return (text_order(cell), cell) if isinstance(cell, str) else None
            case "instant":
                return instant_us(cell) if isinstance(cell, (str, int, float)) else None
            case _:
                return plain_number(cell) if isinstance(cell, (int, float)) else None

    def rank_read(self, cell: Cell) -> Rank | None:
        """The rank of the cell that the statement found (`sql.aggregate`)."""
        if self.kind == "text" and isinstance(cell, str):
            key, _, text = cell.partition("!")
            return bytes.fromhex(key), text
        return plain_number(cell) if isinstance(cell, (int, float)) else None

    def better(self, one: Rank | None, other: Rank | None) -> Rank | None:
        """The rank that is further out."""
        if one is None or other is None:
            return other if one is None else one
        # Both are of one attr, so they are of one kind; the type cannot say that.
        is_other = other > one if self.is_max else other < one  # type: ignore[operator]
        return other if is_other else one


def shown_rank(rank: Rank | None, extreme: Extreme) -> Any:
    """An extreme as clients see it: a date as ISO text in UTC."""
    if isinstance(rank, tuple):
        return rank[1]
    if rank is None or extreme.kind != "instant":
        return rank
    if abs(rank) >= INFINITY_US:
        return "infinity" if rank > 0 else "-infinity"
    return instant_text(int(rank))


class Columns:
    """What is counted for an aggregate, each attr once.

    sums      attrs whose numbers are added up, for `sum` and `avg`
    extremes  the least or greatest values that are kept, with their attrs
    """

    def __init__(self, aggregate: Aggregate) -> None:
        self.aggregate = aggregate
        sums: dict[AttrId, Attr] = {}
        extremes: dict[Extreme, None] = {}
        for measure in aggregate.measures:
            if measure.attr is None:
                continue
            if measure.op in (MeasureOp.SUM, MeasureOp.AVG):
                sums[measure.attr.id] = measure.attr
            else:
                extremes[Extreme(measure.attr, measure.op is MeasureOp.MAX)] = None
        self.sums = tuple(sums.values())
        self.extremes = tuple(extremes)
        self._shapes = [self._shape(measure.op, measure.attr) for measure in aggregate.measures]

    def _shape(self, op: MeasureOp, attr: Attr | None) -> Callable[[Group], Any]:
        """The function that takes a measure from a group."""
        match op:
            case MeasureOp.SUM | MeasureOp.AVG if attr is not None:
                index = [one.id for one in self.sums].index(attr.id)
                if op is MeasureOp.SUM:
                    return lambda group: group.sums[index].total()
                return lambda group: group.sums[index].mean()
            case MeasureOp.MIN | MeasureOp.MAX if attr is not None:
                extreme = Extreme(attr, op is MeasureOp.MAX)
                place = self.extremes.index(extreme)
                return lambda group: shown_rank(group.ranks[place], extreme)
            case _:
                nothing = 0 if op is MeasureOp.SUM else None
                return lambda group: nothing

    def shown(self, group: Group) -> dict[str, Any]:
        """The measures that were asked for: `{"count": 2, "sum": {"minutes": 7}, …}`."""
        body: dict[str, Any] = {"count": group.count} if self.aggregate.is_counting else {}
        for measure, shape in zip(self.aggregate.measures, self._shapes, strict=True):
            body.setdefault(measure.op.value, {})[measure.label] = shape(group)
        return body


class Group:
    """Entities with one value of the attr that groups, or all of them.

    count   the number of entities
    sums    by attr of `Columns.sums`
    ranks   by extreme of `Columns.extremes`; None when there is no value
    lost    extremes whose value left; the values that remain lie further in
    """

    __slots__ = ("count", "json", "key", "lost", "order", "ranks", "sums")

    def __init__(self, key: Cell, columns: Columns) -> None:
        self.key = key
        self.order = _group_order(key)
        self.count = 0
        self.sums = [ExactSum() for _ in columns.sums]
        self.ranks: list[Rank | None] = [None] * len(columns.extremes)
        self.lost: set[int] = set()
        self.json: bytes | None = None

    def add(self, columns: Columns, cells: Mapping[AttrId, Cell]) -> None:
        """Count in an entity with these cells."""
        self.json = None
        self.count += 1
        for attr, kept in zip(columns.sums, self.sums, strict=True):
            value = cells.get(attr.id)
            if isinstance(value, (int, float)):
                kept.add(value)
        for index, extreme in enumerate(columns.extremes):
            rank, best = extreme.rank(cells.get(extreme.attr.id)), self.ranks[index]
            if rank is None:
                continue
            if index not in self.lost:
                self.ranks[index] = extreme.better(best, rank)
            elif extreme.better(rank, best) == rank:
                self.ranks[index] = rank
                self.lost.discard(index)

    def take(self, columns: Columns, cells: Mapping[AttrId, Cell]) -> None:
        """Count out an entity with these cells."""
        self.json = None
        self.count -= 1
        for attr, kept in zip(columns.sums, self.sums, strict=True):
            value = cells.get(attr.id)
            if isinstance(value, (int, float)):
                kept.take(value)
        for index, extreme in enumerate(columns.extremes):
            rank = extreme.rank(cells.get(extreme.attr.id))
            if rank is not None and rank == self.ranks[index]:
                self.lost.add(index)
        if not self.count:
            self.ranks = [None] * len(self.ranks)
            self.lost.clear()


class Totals:
    """The answer of one aggregate; entities may enter and leave it.

    Holds the groups that have entities, by key and in order; without groups, one for all. Does not
    hold which entities are counted.
    """

    __slots__ = ("_columns", "_groups", "_ordered", "_stale")

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._groups: dict[Cell, Group] = {}
        self._ordered: list[Group] = []
        # Keys of groups that lost an extreme.
        self._stale: set[Cell] = set()
        if not columns.aggregate.is_grouped:
            self._group(None)

    @staticmethod
    def of_rows(columns: Columns, rows: Iterable[Row]) -> Totals:
        """The totals that a statement found: rows of `key, count, sums…, extremes…`.

        raises  LimitExceeded when there are more than limits.AGGREGATE_GROUPS_MAX
        """
        totals = Totals(columns)
        for key, count, *cells in rows:
            group = totals._group(group_key(key))
            assert isinstance(count, int)
            group.count = count
            for index in range(len(columns.sums)):
                group.sums[index] = _sum_read(cells[index * SUM_COLUMNS :][:SUM_COLUMNS])
            ranks = cells[len(columns.sums) * SUM_COLUMNS :]
            group.ranks = [
                extreme.rank_read(cell)
                for extreme, cell in zip(columns.extremes, ranks, strict=True)
            ]
        totals.check_size()
        return totals

    def __len__(self) -> int:
        return len(self._ordered)

    def check_size(self) -> None:
        """Refuse more groups than an answer may have."""
        if len(self._ordered) > limits.AGGREGATE_GROUPS_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"The aggregate has more than {limits.AGGREGATE_GROUPS_MAX:,} groups. Narrow it"
                " with `where`, or group by an attribute with fewer values.",
            )

    def add(self, cells: Mapping[AttrId, Cell]) -> None:
        """Count in an entity with these visible cells."""
        group = self._group(self._key_of(cells))
        group.add(self._columns, cells)
        self._note(group)

    def take(self, cells: Mapping[AttrId, Cell]) -> None:
        """Count out an entity that was counted in with these visible cells."""
        key = self._key_of(cells)
        group = self._groups[key]
        group.take(self._columns, cells)
        self._note(group)
        if group.count == 0 and self._columns.aggregate.is_grouped:
            del self._groups[key]
            del self._ordered[bisect_left(self._ordered, group.order, key=_order_of)]

    @property
    def is_stale(self) -> bool:
        """Whether an extreme left and the next is not known: the statement must be run again."""
        return bool(self._stale)

    def shown(self) -> dict[str, Any]:
        """The answer as objects: one, or `{"groups": [{"key": …, …}]}` in order of key."""
        if not self._columns.aggregate.is_grouped:
            return self._columns.shown(self._ordered[0])
        return {"groups": [self._shown_group(group) for group in self._ordered]}

    def json(self) -> bytes:
        """`shown` as JSON; groups that did not change since the last time are not encoded again."""
        if not self._columns.aggregate.is_grouped:
            return dumps_compact(self.shown())
        for group in self._ordered:
            if group.json is None:
                group.json = dumps_compact(self._shown_group(group))
        return b'{"groups":[' + b",".join(group.json or b"" for group in self._ordered) + b"]}"

    def _shown_group(self, group: Group) -> dict[str, Any]:
        return {"key": self._shown_key(group.key), **self._columns.shown(group)}

    def _shown_key(self, key: Cell) -> Any:
        attr = self._columns.aggregate.group
        return None if key is None or attr is None else decode_attr(attr, key)

    def _key_of(self, cells: Mapping[AttrId, Cell]) -> Cell:
        attr = self._columns.aggregate.group
        return None if attr is None else group_key(cells.get(attr.id))

    def _note(self, group: Group) -> None:
        if group.lost:
            self._stale.add(group.key)
        elif self._stale:
            self._stale.discard(group.key)

    def _group(self, key: Cell) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, self._columns)
            insort(self._ordered, group, key=_order_of)
        return group


def group_key(cell: Cell) -> Cell:
    """The key of the group that a cell belongs to: equal values have equal keys."""
    if isinstance(cell, (int, float)):
        return plain_number(cell)
    return None if cell == NULL else cell


def _order_of(group: Group) -> tuple[int, Any]:
    return group.order


def _group_order(key: Cell) -> tuple[int, Any]:
    """The order of keys: null, false, true, numbers, texts as on clients, the rest by its bytes."""
    match key:
        case None:
            return (0, 0)
        case int() | float():
            return (2, key)
        case str():
            return (3, (text_order(key), key))
        case _:
            return (1, key) if key in (FALSE, TRUE) else (4, key)


def _sum_read(cells: Sequence[Cell]) -> ExactSum:
    count, high, low, units = cells
    assert isinstance(count, int)
    whole = (int(high or 0) << 32) + int(low or 0)
    return ExactSum(count, whole, unpack_units(units) if isinstance(units, bytes) else 0)
