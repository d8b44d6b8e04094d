"""What reads take of one turn of the event loop, all databases of a process together.

A hundred requests that arrive at once are a hundred reads in one turn. Each is short enough for the
loop, but together they take a second.
"""

from __future__ import annotations

import asyncio

from trice import limits


class LoopReads:
    """Holds the steps that reads took in this turn, and knows when the turn ends.

    count   reads on the loop and COMMITs so far, of all turns
    """

    __slots__ = ("_is_open", "_steps", "count")

    def __init__(self) -> None:
        self.count = 0
        self._steps = 0
        self._is_open = False

    def has_room(self) -> bool:
        """Whether another read may run in this turn; if not, it needs a thread."""
        if not self._is_open:
            self._is_open, self._steps = True, 0
            asyncio.get_running_loop().call_soon(self._end)
        return self._steps < limits.READ_STEPS_ON_LOOP

    def spend(self, steps: int) -> None:
        """Note that a read in this turn took `steps`."""
        self._steps += steps

    def _end(self) -> None:
        self._is_open = False
