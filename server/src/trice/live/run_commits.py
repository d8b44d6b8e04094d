"""The commits since the oldest snapshot that a run of a function has. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from trice import function_limits
from trice.protocol.ids import TxId
from trice.store.commit import Commit


class RunCommits:
    """Commits by transaction, while any run may ask for them; nothing while none does.

    Holds at most function_limits.RUN_COMMITS_MAX commits, with RUN_CHANGES_MAX rows and pairs.
    Invariant: they follow each other without a gap, and end with the published one.
    """

    def __init__(self) -> None:
        self._commits: dict[TxId, Commit] = {}
        self._changes_count = 0
        self._began: dict[TxId, int] = {}

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

    def add(self, commits: Sequence[Commit]) -> None:
        """Note a group that was published."""
        if not self._began:
            return
        for commit in commits:
            self._commits[commit.tx] = commit
            self._changes_count += _weight(commit)
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

    def _drop_first(self) -> None:
        self._changes_count -= _weight(self._commits.pop(next(iter(self._commits))))


def _weight(commit: Commit) -> int:
    return len(commit.entities) + len(commit.pairs)
