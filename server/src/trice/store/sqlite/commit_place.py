"""Where the next COMMIT runs: on the writer's thread, or for a lone writer on the event loop.

A COMMIT waits for the disk. On the loop it would hold up every other call, so it belongs on a
thread. But handing it over and back costs more than a short COMMIT: two wake-ups, during which the
loop waits for the interpreter. Where one client writes and there are no reads, that is 12 % of the
CPU of a write. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from trice import limits


class CommitPlace:
    """Holds how long the latest COMMITs took, and how many reads there were before the latest.

    A COMMIT may run on the loop when each of the latest limits.COMMITS_MEASURED took at most
    limits.COMMIT_ON_LOOP_MS and no read came since the latest. So after a COMMIT that took longer
    the next limits.COMMITS_MEASURED run on the thread.
    """

    __slots__ = ("_count_reads", "_reads", "_short_in_a_row")

    def __init__(self, count_reads: Callable[[], int]) -> None:
        """count_reads   tells how many reads the process ran on the event loop so far"""
        self._count_reads = count_reads
        self._reads = 0
        self._short_in_a_row = 0

    def may_be_loop(self) -> bool:
        """Whether the next COMMIT may run on the loop."""
        return (
            self._short_in_a_row >= limits.COMMITS_MEASURED and self._reads == self._count_reads()
        )

    def took(self, duration_ms: float) -> None:
        """Note how long a COMMIT took."""
        self._reads = self._count_reads()
        if duration_ms > limits.COMMIT_ON_LOOP_MS:
            self._short_in_a_row = 0
        else:
            self._short_in_a_row += 1
