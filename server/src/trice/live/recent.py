"""The latest commits, for answers that were computed before them. No I/O."""

from __future__ import annotations

from collections import deque

from trice import limits
from trice.live.changes import Changes
from trice.protocol.ids import TxId
from trice.store.commit import Commit


class RecentCommits:
    """The commits published last, oldest first.

    Holds at most limits.LIVE_RECENT_COMMITS commits, with limits.LIVE_RECENT_CHANGES rows and
    pairs; and the merged changes since a transaction, after they were first asked for.
    """

    def __init__(self) -> None:
        self._commits: deque[Commit] = deque()
        self._changes_count = 0
        self._merged: dict[TxId, Changes] = {}

    def add(self, commit: Commit) -> None:
        """Note the commit that follows the known ones; the oldest leave."""
        self._merged.clear()
        self._commits.append(commit)
        self._changes_count += _weight(commit)
        while (
            len(self._commits) > limits.LIVE_RECENT_COMMITS
            or self._changes_count > limits.LIVE_RECENT_CHANGES
        ) and len(self._commits) > 1:
            self._changes_count -= _weight(self._commits.popleft())

    def newest(self) -> Changes:
        """The changes of the commit that was added last; made once for all callers."""
        commit = self._commits[-1]
        changes = self._merged[TxId(commit.tx - 1)] = Changes.of([commit])
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
