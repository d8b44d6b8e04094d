"""The union of read sets: what all queries of one run depended on, within a bound. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from trice import function_limits
from trice.catalog.catalog import Catalog
from trice.live.index.read_set import ReadSet, ValueKey, frozen
from trice.protocol.ids import AttrId, EntityId
from trice.query.reads.anchors import End, Lane, Span


class Union:
    """Read sets that were added, as one.

    Spans of a lane that touch are one span. Past function_limits.READ_KEYS_MAX entities, values and
    spans the namespace with most of them becomes *wide*: all of its attrs count, and every birth.

    wide   those namespaces
    """

    def __init__(self) -> None:
        self.entities: dict[str, set[EntityId]] = {}
        self.values: dict[str, set[ValueKey]] = {}
        self.spans: dict[Lane, list[tuple[End, End]]] = {}
        self.tested: set[AttrId] = set()
        self.attrs: set[AttrId] = set()
        self.births: set[str] = set()
        self.etypes: set[str] = set()
        self.waits: set[tuple[str, str]] = set()
        self.wide: set[str] = set()

    def add(self, reads: ReadSet, catalog: Catalog) -> None:
        """Add what a query depended on.

        catalog   the one it was planned with
        """
        by_id = catalog.by_id
        for etype, entity in reads.entities:
            if etype not in self.wide:
                self.entities.setdefault(etype, set()).add(entity)
        for value in reads.values:
            etype = by_id[value[0]].etype
            if etype not in self.wide:
                self.values.setdefault(etype, set()).add(value)
        for span in reads.spans:
            if span.lane.etype not in self.wide:
                _put(self.spans.setdefault(span.lane, []), span.low, span.high)
        self.tested |= reads.tested
        self.attrs |= reads.attrs
        self.births |= reads.births
        self.etypes |= reads.etypes
        self.waits |= reads.waits
        while self.keys > function_limits.READ_KEYS_MAX:
            self.widen(self._largest(), catalog)

    def widen(self, etype: str, catalog: Catalog) -> None:
        """List a namespace whole: each change of it counts."""
        self.wide.add(etype)
        self.births.add(etype)
        self.etypes.add(etype)
        namespace = catalog.namespaces.get(etype)
        if namespace is not None:
            self.attrs.update(attr.id for attr in namespace.attrs())
        self.entities.pop(etype, None)
        self.values.pop(etype, None)
        for lane in [lane for lane in self.spans if lane.etype == etype]:
            del self.spans[lane]

    @property
    def keys(self) -> int:
        """How many entities, values and spans there are."""
        return (
            _count(self.entities.values())
            + _count(self.values.values())
            + _count(self.spans.values())
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added: no commit meets it."""
        named = (self.attrs, self.births, self.etypes, self.tested, self.waits, self.wide)
        return not any(named) and not (self.entities or self.values or self.spans)

    def frozen(self) -> ReadSet:
        """The union so far."""
        return ReadSet(
            entities=frozen(
                {(t, entity) for t, found in self.entities.items() for entity in found}
            ),
            values=frozen({value for found in self.values.values() for value in found}),
            spans=frozen(
                {Span(lane, low, high) for lane, ends in self.spans.items() for low, high in ends}
            ),
            tested=frozen(self.tested),
            attrs=frozen(self.attrs),
            births=frozen(self.births),
            etypes=frozen(self.etypes),
            waits=frozen(self.waits),
        )

    def _largest(self) -> str:
        counts: dict[str, int] = {}
        for etype, entities in self.entities.items():
            counts[etype] = len(entities)
        for etype, values in self.values.items():
            counts[etype] = counts.get(etype, 0) + len(values)
        for lane, ends in self.spans.items():
            counts[lane.etype] = counts.get(lane.etype, 0) + len(ends)
        return max(counts, key=lambda etype: (counts[etype], etype))


def _count(parts: Iterable[set[EntityId] | set[ValueKey] | list[tuple[End, End]]]) -> int:
    return sum(map(len, parts))


def _put(ends: list[tuple[End, End]], low: End, high: End) -> None:
    """Add a span to sorted ones that do not touch; those that touch it become one with it."""
    kept: list[tuple[End, End]] = []
    for other_low, other_high in ends:
        if other_high < low or high < other_low:
            kept.append((other_low, other_high))
        else:
            low, high = min(low, other_low), max(high, other_high)
    kept.append((low, high))
    kept.sort()
    ends[:] = kept
