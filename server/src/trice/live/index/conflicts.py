"""Whether commits meet what a run has read: what keeps live queries current also proves that a run
could have happened after them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trice.catalog.catalog import Catalog
from trice.live.changes import Changes
from trice.live.index.read_set import ReadSet
from trice.live.index.subscriptions import Subscriptions
from trice.store.commit import Commit


@dataclass(frozen=True, slots=True)
class Met:
    """The first commit that changed what a run has read.

    function    the function that wrote it; None: steps that a client sent
    namespaces  those in which it did
    """

    function: str | None
    namespaces: tuple[str, ...]


class Conflicts:
    """What one run has read, to be compared with commits."""

    def __init__(self, reads: ReadSet, catalog: Catalog) -> None:
        """
        catalog   the one that was read with
        """
        self._index: Subscriptions[int] = Subscriptions()
        self._index.put(0, reads)
        self._catalog = catalog

    def first(self, commits: Sequence[Commit]) -> Met | None:
        """The first of these commits, oldest first, that the run does not stand after; None if it
        stands after all of them. Costs O(what they changed)."""
        if not commits:
            return None
        if self._is_met(Changes.of(commits), commits[-1].catalog) or self._is_renamed(commits[-1]):
            for commit in commits:
                changes = Changes.of([commit])
                if self._is_met(changes, commit.catalog) or self._is_renamed(commit):
                    return Met(commit.function, self._namespaces(changes, commit))
            # Together they did what none did alone, which the index does not tell apart.
            return Met(commits[-1].function, ())
        return None

    def _is_met(self, changes: Changes, catalog: Catalog) -> bool:
        return bool(self._index.affected(changes, catalog))

    def _is_renamed(self, commit: Commit) -> bool:
        """Whether attrs of what was read differ since the run began."""
        if commit.catalog.version == self._catalog.version:
            return False
        return bool(self._index.affected_by_names(self._catalog, commit.catalog))

    def _namespaces(self, changes: Changes, commit: Commit) -> tuple[str, ...]:
        found: set[str] = set()
        for etype, entities in changes.entities.items():
            alone = replace(changes, entities={etype: entities}, pairs={})
            if self._is_met(alone, commit.catalog):
                found.add(etype)
        for attr_id, pairs in changes.pairs.items():
            alone = replace(changes, entities={}, pairs={attr_id: pairs})
            if self._is_met(alone, commit.catalog):
                found.add(commit.catalog.by_id[attr_id].etype)
        return tuple(sorted(found))
