"""The newest transaction that changed each row, attr and namespace: whether commits can meet a read
set at all, by its size instead of theirs. No I/O."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from trice.catalog.catalog import Catalog
from trice.live.changes import Changes
from trice.live.index.read_set import ReadSet
from trice.protocol.ids import AttrId, EntityId, TxId

K = TypeVar("K", bound=Hashable)


class LatestChanges:
    """What commits changed, those that are kept (`run_commits.RunCommits`)."""

    def __init__(self) -> None:
        self._entities: dict[tuple[str, EntityId], TxId] = {}
        self._attrs: dict[AttrId, TxId] = {}
        self._births: dict[str, TxId] = {}

    def add(self, tx: TxId, changes: Changes) -> None:
        """Note a commit; later ones have greater ids."""
        for etype, entities in changes.entities.items():
            for entity in entities:
                self._entities[etype, entity] = tx
        for attr_id in changes.attrs:
            self._attrs[attr_id] = tx
        for etype in changes.births:
            self._births[etype] = tx

    def drop(self, tx: TxId, changes: Changes) -> None:
        """Forget the oldest commit."""
        for etype, entities in changes.entities.items():
            _drop(self._entities, ((etype, entity) for entity in entities), tx)
        _drop(self._attrs, changes.attrs, tx)
        _drop(self._births, changes.births, tx)

    def may_meet(self, reads: ReadSet, catalog: Catalog, *, after: TxId) -> bool:
        """Whether a commit after `after` may have changed what was read. If not, none has
        (`Subscriptions.affected`): it knows values and places by the attrs that decide about them,
        on any row.

        catalog   the one that was read with; attrs have not changed since
        cost      O(size of the read set)
        """
        births = {*reads.births, *(span.lane.etype for span in reads.spans)}
        entities = self._entities
        for attr_id, side, cell in reads.values:
            attr = catalog.by_id[attr_id]
            if side:
                if self._attrs.get(attr_id, 0) > after:
                    return True
            elif attr.is_id:
                if entities.get((attr.etype, cell), 0) > after:  # type: ignore[arg-type]
                    return True
            else:
                births.add(attr.etype)
        return (
            _is_any(entities, reads.entities, after)
            or _is_any(self._attrs, reads.attrs, after)
            or _is_any(self._attrs, reads.tested, after)
            or _is_any(self._births, births, after)
        )


def _is_any(latest: dict[K, TxId], keys: Iterable[K], after: TxId) -> bool:
    return any(latest.get(key, 0) > after for key in keys)


def _drop(latest: dict[K, TxId], keys: Iterable[K], tx: TxId) -> None:
    for key in keys:
        if latest.get(key) == tx:
            del latest[key]
