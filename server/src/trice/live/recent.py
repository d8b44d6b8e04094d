"""The latest commits, for answers that were computed before them. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from trice import limits
from trice.live.changes import Changes
from trice.protocol.ids import TxId
from trice.store.commit import Commit


class RecentCommits:
    """The commits published last, oldest first.

    Holds at most limits.LIVE_RECENT_COMMITS commits, with limits.LIVE_RECENT_CHANGES rows and
    pairs; what each of them changed, once that was asked for; and the merged changes since a
    transaction, likewise.
    """

    def __init__(self) -> None:
        self._commits: deque[Commit] = deque()
        # As many as there are commits; None: not asked for.
        self._each: deque[Changes | None] = deque()
        self._changes_count = 0
        self._merged: dict[TxId, Changes] = {}

    def add(self, commit: Commit) -> None:
        """Note the commit that follows the known ones; the oldest leave."""
        self._merged.clear()
        self._commits.append(commit)
        self._each.append(None)
        self._changes_count += _weight(commit)
        while (
            len(self._commits) > limits.LIVE_RECENT_COMMITS
            or self._changes_count > limits.LIVE_RECENT_CHANGES
        ) and len(self._commits) > 1:
            self._changes_count -= _weight(self._commits.popleft())
            self._each.popleft()

    def newest(self) -> Changes:
        """The changes of the commit that was added last; made once for all callers."""
        commit = self._commits[-1]
        changes = self._each[-1] = self._merged[TxId(commit.tx - 1)] = Changes.of([commit])
        return changes

    def since(self, tx: TxId, now: TxId) -> list[Commit] | None:
        """The commits after `tx` up to `now`, the published one; None if some have left already."""
        found: list[Commit] = []
        for commit in reversed(self._commits):
            if commit.tx <= tx:
                break
            found.append(commit)
        found.reverse()
        return found if len(found) == max(now - tx, 0) else None

    def each_since(self, tx: TxId, now: TxId) -> Sequence[Changes] | None:
        """What each of these commits changed, made once for all callers; None if some have left.

        Looking through them costs a tenth of merging them.
        """
        missed = max(now - tx, 0)
        if missed == 0:
            return ()
        if missed > len(self._commits):
            return None
        start = len(self._commits) - missed
        if self._commits[start].tx != tx + 1:
            return None
        found: list[Changes] = []
        for place in range(start, len(self._commits)):
            changes = self._each[place]
            if changes is None:
                changes = self._each[place] = Changes.of([self._commits[place]])
            found.append(changes)
        return found

    def weight_since(self, tx: TxId, now: TxId) -> int:
        """How many rows and pairs they changed, each counted in every commit; of those known."""
        missed = min(max(now - tx, 0), len(self._commits))
        return sum(_weight(each) for each in islice(reversed(self._commits), missed))

    def changes_since(self, tx: TxId, now: TxId) -> Changes | None:
        """What these commits changed together; made once for all callers."""
        merged = self._merged.get(tx)
        if merged is None:
            commits = self.since(tx, now)
            if commits is None:
                return None
            merged = self._merged[tx] = Changes.of(commits)
        return merged


def _weight(commit: Commit) -> int:
    return len(commit.entities) + len(commit.pairs)
