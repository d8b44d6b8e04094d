"""What a run depends on because of what it wrote and read again. No I/O.

The writer applies the steps of a run to the newest state; the run saw them applied to its snapshot.
What it read afterwards is the same only if the steps did the same: the rows that they named, the
links that deletes followed, the values by which entities were looked up. A run that reads nothing
of that depends on none of it, so `increment` of a hot row conflicts with nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trice.catalog.catalog import Catalog
from trice.live.index.read_set import ReadSet, ValueKey, frozen
from trice.protocol.ids import AttrId, EntityId
from trice.transact.batches import Played, lookups_of


@dataclass(frozen=True, slots=True)
class Dependency:
    """What a query that names one of `etypes` depends on besides its own read set."""

    etypes: frozenset[str]
    reads: ReadSet


def dependencies(played: Played, catalog: Catalog) -> list[Dependency]:
    """What reads depend on after a batch was applied to a snapshot.

    catalog   the one it was applied with
    cost      O(rows it named, and links of entities it deleted)
    """
    found: list[Dependency] = []
    changed = set(played.draft.sources)
    for etype, rows in played.draft.rows.items():
        if rows:
            changed.add(etype)
            entities = {(etype, entity) for entity in rows}
            found.append(Dependency(frozenset((etype,)), _reads(entities=entities)))
    for change in played.commit.pairs:
        attr = catalog.by_id[change.attr_id]
        ends = {attr.etype} | ({attr.reverse.etype} if attr.reverse is not None else set())
        values: set[ValueKey] = {(attr.id, "source", change.source)}
        found.append(Dependency(frozenset(ends), _reads(values=values)))
        changed |= ends
    lookups = lookups_of(played.steps) & catalog.by_id.keys()
    if lookups:
        found.append(Dependency(frozenset(changed), _reads(attrs=lookups)))
    if played.resolved.deletes:
        changed |= played.resolved.deletes.keys()
        found.append(Dependency(frozenset(changed), _cascades(played, catalog)))
    return found


def _cascades(played: Played, catalog: Catalog) -> ReadSet:
    """The links of deleted entities: others would be deleted too, or lose their links, if they had
    changed."""
    entities: set[tuple[str, EntityId]] = set()
    values: set[ValueKey] = set()
    tested: set[AttrId] = set()
    for etype, deleted in played.resolved.deletes.items():
        entities.update((etype, entity) for entity in deleted)
        for attr in catalog.pointing_at(etype):
            tested.add(attr.id)
            values.update(
                (attr.id, "target" if attr.is_pairs else "", entity) for entity in deleted
            )
        namespace = catalog.namespaces.get(etype)
        for attr in namespace.pairs if namespace is not None else ():
            values.update((attr.id, "source", entity) for entity in deleted)
    return _reads(entities=entities, values=values, tested=tested)


def _reads(
    *,
    entities: Iterable[tuple[str, EntityId]] = (),
    values: Iterable[ValueKey] = (),
    tested: Iterable[AttrId] = (),
    attrs: Iterable[AttrId] = (),
) -> ReadSet:
    nothing: frozenset[str] = frozen(set())
    return ReadSet(
        entities=frozen(set(entities)),
        values=frozen(set(values)),
        spans=frozen(set()),
        tested=frozen(set(tested)),
        attrs=frozen(set(attrs)),
        births=nothing,
        etypes=nothing,
        waits=frozen(set()),
    )
