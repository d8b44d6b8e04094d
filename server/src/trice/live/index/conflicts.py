"""Whether commits meet what a run has read: what keeps live queries current also proves that a run
could have happened after them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def __init__(
        self,
        reads: ReadSet,
        catalog: Catalog,
        *,
        changes_of: Callable[[Commit], Changes] = lambda commit: Changes.of([commit]),
    ) -> None:
        """
        catalog      the one that was read with
        changes_of   `Changes` of one commit, which may be kept: others are compared with it too
        """
        self._index: Subscriptions[int] = Subscriptions()
        self._index.put(0, reads)
        self._catalog = catalog
        self._changes_of = changes_of

    def first(self, commits: Sequence[Commit]) -> Met | None:
        """The first of these commits, oldest first, that the run does not stand after; None if it
        stands after all of them. Costs O(what they changed)."""
        for commit in commits:
            changes = self._changes_of(commit)
            if self._is_met(changes, commit.catalog) or self._is_renamed(commit):
                return self._met_by(commits, commit, changes)
        # What none of them does alone, they do not do together: each leaves the answers, and with
        # them what they depend on.
        return None

    def _met_by(self, commits: Sequence[Commit], commit: Commit, changes: Changes) -> Met | None:
        """`commit` changed what was read; None if all together left it as it was."""
        last = commits[-1]
        is_undone = (
            len(commits) > 1
            and not self._is_met(Changes.of(commits), last.catalog)
            and not self._is_renamed(last)
        )
        if is_undone:
            return None
        return Met(commit.function, self._namespaces(changes, commit))

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
