"""The index from what a commit changed to the live queries it may touch. No I/O.

A commit is looked up by (namespace, id), by value, by where its rows lie in a lane, and by attr. It
is never compared with every query: with 10,000 clients, each with its own `owner`, price range or
page, a write finds only the queries whose value it has, or whose range or page it falls into.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import Generic, TypeVar

from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.live.changes import Changes, EntityNews
from trice.live.index.read_set import ReadSet, Side, ValueKey
from trice.live.index.spans import Spans
from trice.protocol.ids import AttrId, EntityId
from trice.query.reads.anchors import End, Lane, Span, place_in

Q = TypeVar("Q", bound=Hashable)


class Subscriptions(Generic[Q]):
    """Read sets of live queries, indexed.

    Holds for each query the read set of its latest answer. Does not hold answers, watchers or
    sessions. Only `live.Live` writes it.

    looked_at   queries compared with a changed row because they share a value or a place with it
    """

    def __init__(self) -> None:
        self.looked_at = 0
        self._read_sets: dict[Q, ReadSet] = {}
        # Entities and values that patches of an answer added since its read set was made.
        self._grown: dict[Q, tuple[set[tuple[str, EntityId]], set[ValueKey]]] = {}
        self._by_entity: dict[tuple[str, EntityId], set[Q]] = {}
        self._by_value: dict[tuple[AttrId, Side], dict[Cell, set[Q]]] = {}
        # By namespace and lane, for lanes in which a query has a span.
        self._by_span: dict[str, dict[Lane, Spans[Q]]] = {}
        self._by_attr: dict[AttrId, set[Q]] = {}
        self._by_birth: dict[str, set[Q]] = {}
        self._by_etype: dict[str, set[Q]] = {}
        self._by_wait: dict[tuple[str, str], set[Q]] = {}

    def __len__(self) -> int:
        return len(self._read_sets)

    def put(self, query: Q, reads: ReadSet) -> None:
        """Register `query`, or replace what it depends on."""
        previous = self._read_sets.get(query)
        if previous == reads and query not in self._grown:
            return
        if previous is not None:
            self._unlink(query, previous)
        self._read_sets[query] = reads
        for entity in reads.entities:
            self._by_entity.setdefault(entity, set()).add(query)
        for attr_id, side, cell in reads.values:
            self._by_value.setdefault((attr_id, side), {}).setdefault(cell, set()).add(query)
        for span in reads.spans:
            self._add_span(span, query)
        for attr_id in reads.attrs:
            self._by_attr.setdefault(attr_id, set()).add(query)
        for etype in reads.births:
            self._by_birth.setdefault(etype, set()).add(query)
        for etype in reads.etypes:
            self._by_etype.setdefault(etype, set()).add(query)
        for name in reads.waits:
            self._by_wait.setdefault(name, set()).add(query)

    def grow(
        self, query: Q, entities: Iterable[tuple[str, EntityId]], values: Iterable[ValueKey]
    ) -> int:
        """Add to what a registered `query` depends on, until the next `put`.

        returns   how much was added since the last `put`
        cost      O(entities + values)
        """
        reads = self._read_sets[query]
        more_entities, more_values = self._grown.setdefault(query, (set(), set()))
        for entity in entities:
            if entity not in reads.entities:
                more_entities.add(entity)
                self._by_entity.setdefault(entity, set()).add(query)
        for value in values:
            if value not in reads.values:
                more_values.add(value)
                attr_id, side, cell = value
                self._by_value.setdefault((attr_id, side), {}).setdefault(cell, set()).add(query)
        return len(more_entities) + len(more_values)

    def remove(self, query: Q) -> None:
        """Forget `query`; an unknown one is no error."""
        reads = self._read_sets.pop(query, None)
        if reads is not None:
            self._unlink(query, reads)

    def affected(self, changes: Changes, catalog: Catalog) -> set[Q]:
        """The queries whose answer these changes may have changed.

        catalog   the catalog in force after them
        cost      O(changes + the queries looked at), and O(log n) comparisons for each row and lane
                  of its namespace, for each span that holds it
        """
        found: set[Q] = set()
        if not self._read_sets:
            return found
        for etype, entities in changes.entities.items():
            for news in entities.values():
                self._find_entity(etype, news, catalog, found)
        for attr_id, pairs in changes.pairs.items():
            for source, target in pairs:
                self._find_pair(attr_id, source, target, found)
        return found

    def affected_by_names(self, before: Catalog, after: Catalog) -> set[Q]:
        """The queries that must be planned anew because attrs differ between two catalogs."""
        found: set[Q] = set()
        for attr_id in before.by_id.keys() | after.by_id.keys():
            old, new = before.by_id.get(attr_id), after.by_id.get(attr_id)
            if old == new:
                continue
            for attr in (old, new):
                for identity in () if attr is None else (attr.forward, attr.reverse):
                    if identity is not None:
                        found |= self._by_etype.get(identity.etype, set())
                        found |= self._by_wait.get(identity.name, set())
                        found |= self._by_wait.get((identity.etype, ""), set())
        return found

    def _find_entity(self, etype: str, news: EntityNews, catalog: Catalog, found: set[Q]) -> None:
        old = news.old.cells if news.old is not None else {}
        new = news.new.cells if news.new is not None else {}
        is_birth, changed = news.is_birth, news.changed
        found.update(self._by_entity.get((etype, news.id), ()))
        if is_birth:
            found.update(self._by_birth.get(etype, ()))
        if self._by_attr:
            for attr_id in changed:
                found.update(self._by_attr.get(attr_id, ()))
        if self._by_span:
            for lane, spans in self._by_span.get(etype, {}).items():
                for place in _places(lane, news):
                    for queries in spans.find(place):
                        self._keep_tested(queries, changed, is_birth, found)
        if not self._by_value:
            return
        for attr_id in old.keys() | new.keys():
            by_cell = self._by_value.get((attr_id, ""))
            if by_cell is not None:
                for cell in {old.get(attr_id), new.get(attr_id)}:
                    if cell in by_cell:
                        self._keep_tested(by_cell[cell], changed, is_birth, found)
        namespace = catalog.namespaces.get(etype)
        if namespace is not None and namespace.id_attr is not None:
            by_id = self._by_value.get((namespace.id_attr.id, ""))
            if by_id is not None and news.id in by_id:
                self._keep_tested(by_id[news.id], changed, is_birth, found)

    def _keep_tested(
        self, queries: Collection[Q], changed: frozenset[AttrId], is_birth: bool, found: set[Q]
    ) -> None:
        self.looked_at += len(queries)
        for query in queries:
            if is_birth or not self._read_sets[query].tested.isdisjoint(changed):
                found.add(query)

    def _find_pair(
        self, attr_id: AttrId, source: EntityId, target: EntityId, found: set[Q]
    ) -> None:
        found |= self._by_attr.get(attr_id, set())
        ends: tuple[tuple[Side, EntityId], ...] = (("source", source), ("target", target))
        for side, end in ends:
            found |= self._by_value.get((attr_id, side), {}).get(end, set())

    def _add_span(self, span: Span, query: Q) -> None:
        lanes = self._by_span.setdefault(span.lane.etype, {})
        lanes.setdefault(span.lane, Spans()).add(span.low, span.high, query)

    def _discard_span(self, span: Span, query: Q) -> None:
        lanes = self._by_span[span.lane.etype]
        spans = lanes[span.lane]
        spans.discard(span.low, span.high, query)
        if not spans:
            del lanes[span.lane]
            if not lanes:
                del self._by_span[span.lane.etype]

    def _unlink(self, query: Q, reads: ReadSet) -> None:
        more_entities, more_values = self._grown.pop(query, (set(), set()))
        for entity in (*reads.entities, *more_entities):
            _discard(self._by_entity, entity, query)
        for attr_id, side, cell in (*reads.values, *more_values):
            by_cell = self._by_value[(attr_id, side)]
            _discard(by_cell, cell, query)
            if not by_cell:
                del self._by_value[(attr_id, side)]
        for span in reads.spans:
            self._discard_span(span, query)
        for attr_id in reads.attrs:
            _discard(self._by_attr, attr_id, query)
        for etype in reads.births:
            _discard(self._by_birth, etype, query)
        for etype in reads.etypes:
            _discard(self._by_etype, etype, query)
        for name in reads.waits:
            _discard(self._by_wait, name, query)


def _places(lane: Lane, news: EntityNews) -> set[End]:
    """The places of an entity in a lane before and after a change, where it existed."""
    return {
        place_in(lane, news.id, image.created_ms, image.cells)
        for image in (news.old, news.new)
        if image is not None and image.created_ms is not None
    }


K = TypeVar("K", bound=Hashable)


def _discard(index: dict[K, set[Q]], key: K, query: Q) -> None:
    """Take `query` from the set at `key`, and the set from the index when it is empty."""
    queries = index[key]
    queries.discard(query)
    if not queries:
        del index[key]
