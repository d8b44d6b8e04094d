"""Where the next COMMIT runs: on the writer's thread, or for a lone writer on the event loop.

A COMMIT waits for the disk, and while it does the loop answers nobody; so it belongs on a thread.
But handing it over and back costs more than a short COMMIT takes: two wake-ups, and the loop waits
for the interpreter meanwhile. Where one client writes and nobody reads, that is 12 % of the CPU of
a write. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from trice import limits


class CommitPlace:
    """Holds how long the latest COMMITs took, and how many reads there were before the latest.

    A COMMIT may run on the loop when the latest limits.COMMITS_MEASURED took at most
    limits.COMMIT_ON_LOOP_MS each and no read came since the latest. One that took longer takes
    the loop from the next limits.COMMITS_MEASURED.
    """

    __slots__ = ("_count_reads", "_reads", "_short_in_a_row")

    def __init__(self, count_reads: Callable[[], int]) -> None:
        """count_reads   of the process so far, on the event loop"""
        self._count_reads = count_reads
        self._reads = 0
        self._short_in_a_row = 0

    def may_be_loop(self) -> bool:
        """Whether nobody would feel it."""
        return (
            self._short_in_a_row >= limits.COMMITS_MEASURED and self._reads == self._count_reads()
        )

    def took(self, duration_ms: float) -> None:
        """A COMMIT ended."""
        self._reads = self._count_reads()
        if duration_ms > limits.COMMIT_ON_LOOP_MS:
            self._short_in_a_row = 0
        else:
            self._short_in_a_row += 1
