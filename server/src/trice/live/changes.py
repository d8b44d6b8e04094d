"""What several commits changed together, in a form that a patch can look up. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trice.protocol.ids import AttrId, EntityId
from trice.store.commit import Commit, Image, PairChange


@dataclass(frozen=True, slots=True)
class EntityNews:
    """One entity before the first and after the last of the commits.

    changed   attrs whose cells differ
    is_birth  it appeared or vanished, or its creation time changed
    """

    id: EntityId
    old: Image | None
    new: Image | None
    changed: frozenset[AttrId]
    is_birth: bool


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """The net effect of consecutive commits.

    entities  by namespace
    pairs     by attr: whether each pair exists in the end, even if that is as before
    attrs     attrs of which any cell or pair changed
    births    namespaces in which an entity appeared or vanished
    """

    entities: dict[str, dict[EntityId, EntityNews]]
    pairs: dict[AttrId, dict[tuple[EntityId, EntityId], PairChange]]
    attrs: frozenset[AttrId]
    births: frozenset[str]

    @staticmethod
    def of(commits: Sequence[Commit]) -> Changes:
        """Merge commits, oldest first. Costs O(what they changed)."""
        spans: dict[tuple[str, EntityId], tuple[Image | None, Image | None]] = {}
        pairs: dict[AttrId, dict[tuple[EntityId, EntityId], PairChange]] = {}
        for commit in commits:
            for change in commit.entities:
                key = (change.etype, change.id)
                first = spans[key][0] if key in spans else change.old
                spans[key] = (first, change.new)
            for pair in commit.pairs:
                pairs.setdefault(pair.attr_id, {})[pair.source, pair.target] = pair
        entities: dict[str, dict[EntityId, EntityNews]] = {}
        attrs: set[AttrId] = set(pairs)
        births: set[str] = set()
        for (etype, entity), (old, new) in spans.items():
            news = _news(entity, old, new)
            entities.setdefault(etype, {})[entity] = news
            attrs |= news.changed
            if news.is_birth:
                births.add(etype)
        return Changes(entities, pairs, frozenset(attrs), frozenset(births))


def _news(entity: EntityId, old: Image | None, new: Image | None) -> EntityNews:
    before = old.cells if old is not None else {}
    after = new.cells if new is not None else {}
    both = before.keys() | after.keys()
    changed = frozenset(a for a in both if before.get(a) != after.get(a))
    old_ms = None if old is None else old.created_ms
    new_ms = None if new is None else new.created_ms
    return EntityNews(entity, old, new, changed, old_ms != new_ms)
