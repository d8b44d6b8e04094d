"""The commits since the oldest snapshot that a run of a function has. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trice import function_limits, plan_limits
from trice.catalog.catalog import Catalog
from trice.live.changes import Changes
from trice.live.index.latest import LatestChanges
from trice.live.index.read_set import ReadSet
from trice.protocol.ids import TxId
from trice.store.commit import Commit


class RunCommits:
    """Commits by transaction, while any run may ask for them; nothing while none does.

    Holds at most function_limits.RUN_COMMITS_MAX commits, with RUN_CHANGES_MAX rows and pairs; and
    what each changed, as runs are compared with it, once one was.
    Invariant: they follow each other without a gap, and end with the published one.
    """

    def __init__(self) -> None:
        self._commits: dict[TxId, Commit] = {}
        self._changes_count = 0
        self._began: dict[TxId, int] = {}
        self._changes: dict[TxId, tuple[Commit, Changes]] = {}
        self._latest = LatestChanges()
        self._large = TxId(0)
        self._open: _OpenGroup | None = None

    def begin(self, tx: TxId) -> None:
        """Keep commits after `tx`, the newest in a snapshot that was taken just now."""
        self._began[tx] = self._began.get(tx, 0) + 1

    def end(self, tx: TxId) -> None:
        """A run whose snapshot was `tx` has ended."""
        self._began[tx] -= 1
        if not self._began[tx]:
            del self._began[tx]
            first = min(self._began, default=None)
            while self._commits and (first is None or next(iter(self._commits)) <= first):
                self._drop_first()
            if first is None:
                self._changes.clear()
                self._open = None

    def add(self, commits: Sequence[Commit]) -> None:
        """Note a group that was published."""
        if not self._began:
            return
        for commit in commits:
            self._commits[commit.tx] = commit
            self._changes_count += _weight(commit)
            if _weight(commit) <= plan_limits.INDEXED_CHANGES_MAX:
                self._latest.add(commit.tx, self.changes_of(commit))
            else:
                self._large = commit.tx
        while (
            len(self._commits) > function_limits.RUN_COMMITS_MAX
            or self._changes_count > function_limits.RUN_CHANGES_MAX
        ):
            self._drop_first()

    def since(self, tx: TxId, now: TxId) -> list[Commit] | None:
        """The commits after `tx` up to `now`, a published one; None if some have left already."""
        found: list[Commit] = []
        for number in range(tx + 1, now + 1):
            commit = self._commits.get(TxId(number))
            if commit is None:
                return None
            found.append(commit)
        return found

    def may_meet(self, reads: ReadSet, catalog: Catalog, *, after: TxId, now: TxId) -> bool:
        """Whether any commit after `after` up to `now`, a published one, may have changed what was
        read; if it is not known any more, it may.

        catalog   the one that was read with
        """
        if after >= now:
            return False
        newest = self._commits.get(now)
        if (
            newest is None
            or TxId(after + 1) not in self._commits
            or self._large > after
            or newest.catalog.version != catalog.version
        ):
            return True
        return self._latest.may_meet(reads, catalog, after=after)

    def may_meet_open(self, reads: ReadSet, catalog: Catalog, commits: Sequence[Commit]) -> bool:
        """The same of the commits of the open group, to which others are added.

        commits   the list of that group itself: what was noted of it is not noted again
        """
        if not commits:
            return False
        if self._open is None or self._open.commits is not commits:
            self._open = _OpenGroup(commits)
        return self._open.may_meet(reads, catalog, self.changes_of)

    def changes_of(self, commit: Commit) -> Changes:
        """What a commit of `since`, or one of the open group, changed; made once for all runs."""
        known = self._changes.get(commit.tx)
        # The id of a group that was undone is given again.
        if known is None or known[0] is not commit:
            known = (commit, Changes.of([commit]))
            is_coming = commit.tx > next(reversed(self._commits), 0)
            if self._began and (is_coming or commit.tx in self._commits):
                self._changes[commit.tx] = known
        return known[1]

    def _drop_first(self) -> None:
        first = next(iter(self._commits))
        if first in self._changes:
            self._latest.drop(first, self._changes[first][1])
        self._changes_count -= _weight(self._commits.pop(first))
        self._changes.pop(first, None)


class _OpenGroup:
    """The commits of a group whose COMMIT is still to come, and what they changed."""

    __slots__ = ("_is_large", "_latest", "_noted", "commits")

    def __init__(self, commits: Sequence[Commit]) -> None:
        self.commits = commits
        self._noted = 0
        self._latest = LatestChanges()
        self._is_large = False

    def may_meet(
        self, reads: ReadSet, catalog: Catalog, changes_of: Callable[[Commit], Changes]
    ) -> bool:
        """Whether any of them may have changed what was read."""
        for commit in self.commits[self._noted :]:
            self._is_large = self._is_large or _weight(commit) > plan_limits.INDEXED_CHANGES_MAX
            if not self._is_large:
                self._latest.add(commit.tx, changes_of(commit))
        self._noted = len(self.commits)
        is_same = self.commits[-1].catalog.version == catalog.version
        if self._is_large or not is_same:
            return True
        return self._latest.may_meet(reads, catalog, after=TxId(0))


def _weight(commit: Commit) -> int:
    return len(commit.entities) + len(commit.pairs)
