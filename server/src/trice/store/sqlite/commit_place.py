"""Where the next COMMIT runs: on the writer's thread, or for a lone writer on the event loop.

A COMMIT waits for the disk. On the loop it would hold up every other call, so it belongs on a
thread. But handing it over and back costs more than a short COMMIT: two wake-ups, during which the
loop waits for the interpreter. Where one client writes and there are no reads, that is 12 % of the
CPU of a write. No I/O.
"""

from __future__ import annotations

from typing import Final

from trice import limits
from trice.store.commit import Commit
from trice.store.loop_reads import LoopReads

COMMITS_MEASURED: Final = 32
"""How many COMMITs in a row must have been short before the first runs on the loop."""

_CELL_BYTES: Final = 1_024
"""What a cell or a pair counts beside its own bytes: its share of the pages of indexes."""


class CommitPlace:
    """Holds how many of the latest COMMITs were short, and what the process had done by then.

    A COMMIT may run on the loop when it writes little, each of the latest COMMITS_MEASURED took at
    most limits.COMMIT_ON_LOOP_MS, and the process has neither read on the loop nor committed
    elsewhere since. So after a COMMIT that took longer the next COMMITS_MEASURED run on the thread,
    and of several apps that are written to at once none keeps the others waiting.
    """

    __slots__ = ("_loop", "_seen", "_short_in_a_row")

    def __init__(self, loop: LoopReads) -> None:
        """loop   counts what all databases of the process do"""
        self._loop = loop
        self._seen = 0
        self._short_in_a_row = 0

    def may_be_loop(self, commit: Commit) -> bool:
        """Whether the COMMIT of this transaction alone may run on the loop."""
        return (
            self._short_in_a_row >= COMMITS_MEASURED
            and self._seen == self._loop.count
            and is_small(commit)
        )

    def took(self, duration_ms: float) -> None:
        """Note how long a COMMIT took."""
        self._loop.count += 1
        self._seen = self._loop.count
        if duration_ms > limits.COMMIT_ON_LOOP_MS:
            self._short_in_a_row = 0
        else:
            self._short_in_a_row += 1


def is_small(commit: Commit) -> bool:
    """Whether a transaction writes little, at most limits.COMMIT_ON_LOOP_BYTES: a message of a few
    bytes may rewrite a row of megabytes."""
    weight = _CELL_BYTES * len(commit.pairs)
    for change in commit.entities:
        for image in (change.old, change.new):
            if image is not None:
                for cell in image.cells.values():
                    weight += _CELL_BYTES
                    if isinstance(cell, (str, bytes)):
                        weight += len(cell)
        if weight > limits.COMMIT_ON_LOOP_BYTES:
            return False
    return weight <= limits.COMMIT_ON_LOOP_BYTES
