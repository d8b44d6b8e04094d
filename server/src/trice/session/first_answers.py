"""Queries that must be run for their first answer, some in each turn of the event loop.

When a network comes back, thousands of clients ask at once, each its own query. If these ran as
they arrive, everything else, even answers found already, would wait until the last one ran.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from trice import limits
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.session")


class FirstAnswers:
    """Decides which queries run in this turn of the loop and which wait, in order of arrival.

    Holds the calls to make. Does not hold answers, nor the messages they answer (SessionState).
    Bound: a session waits here once for each of its at most SESSION_QUERIES_MAX queries.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: deque[Callable[[], None]] = deque()
        self._left = limits.FIRST_ANSWERS_A_TURN
        self._ends_ms = 0.0
        self._is_scheduled = False

    @property
    def waiting(self) -> int:
        """How many queries are not run yet."""
        return len(self._waiting)

    def take(self) -> bool:
        """Whether one more query may run right now. False while others wait, as none overtakes."""
        return not self._waiting and self._take()

    def later(self, run: Callable[[], None]) -> None:
        """Call `run` when its turn comes. It must not raise."""
        self._waiting.append(run)
        self._schedule()

    def clear(self) -> None:
        """Forget all that waits: the server stops."""
        self._waiting.clear()

    def _take(self) -> bool:
        if not self._is_scheduled:
            self._begin_turn()
        if self._left <= 0 or self._runtime.monotonic_ms() >= self._ends_ms:
            return False
        self._left -= 1
        return True

    def _begin_turn(self) -> None:
        self._left = limits.FIRST_ANSWERS_A_TURN
        self._ends_ms = self._runtime.monotonic_ms() + limits.FIRST_ANSWERS_TURN_MS
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        if not self._waiting:
            return
        self._begin_turn()
        while self._waiting and self._take():
            run = self._waiting.popleft()
            try:
                run()
            except Exception:
                # The others must not wait for ever.
                logger.exception("a first answer failed")
