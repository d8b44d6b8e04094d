"""Which entities are deleted along with others: links that cascade, followed level by level.

source   instant-semantics §3.7; spec/transact.md T24, T25
"""

from __future__ import annotations

from trice import limits
from trice.catalog.catalog import Catalog
from trice.protocol.ids import EntityId
from trice.store.engine import WriteTx
from trice.store.rows import Pair
from trice.transact import stored

EntityKey = tuple[str, EntityId]
"""An entity of one namespace."""


def cascade(
    tx: WriteTx, catalog: Catalog, roots: dict[str, dict[EntityId, EntityKey]]
) -> dict[str, dict[EntityId, EntityKey]]:
    """Follow the links that cascade, level by level, until nothing new is reached."""
    reached = {etype: dict(ids) for etype, ids in roots.items()}
    count = sum(map(len, reached.values()))
    level: dict[str, dict[EntityId, EntityKey]] = roots
    while level:
        following: dict[str, dict[EntityId, EntityKey]] = {}
        for etype, ids in level.items():
            for target_etype, found in _pulled(tx, catalog, etype, tuple(ids)):
                known = reached.setdefault(target_etype, {})
                for origin, entity in found:
                    if entity not in known:
                        root = ids[origin]
                        known[entity] = root
                        following.setdefault(target_etype, {})[entity] = root
                        count += 1
            if count > limits.TX_CASCADE_MAX:
                raise stored.too_many()
        level = following
    return reached


def _pulled(
    tx: WriteTx, catalog: Catalog, etype: str, ids: tuple[EntityId, ...]
) -> list[tuple[str, list[Pair]]]:
    """What the deletion of these entities deletes directly: (one of them, entity) by namespace."""
    pulled: list[tuple[str, list[Pair]]] = []
    for attr in catalog.pointing_at(etype):
        if attr.on_delete is not None:
            rows = stored.find_sources(tx.stored, attr, ids)
            pulled.append((attr.etype, [(target, source) for source, target in rows]))
    namespace = catalog.namespaces.get(etype)
    for attr in (*namespace.columns, *namespace.pairs) if namespace is not None else ():
        if attr.on_delete_reverse is not None and attr.reverse is not None:
            rows = stored.find_targets(tx.stored, attr, ids)
            pulled.append((attr.reverse.etype, rows))
    return pulled
