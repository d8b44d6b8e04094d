"""Queries that must be run for their first answer, some in each turn of the event loop.

When a network comes back, thousands of clients ask at once, each its own query. If these ran as
they arrive, everything else, even answers found already, would wait until the last one ran.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Final

from trice import limits
from trice.loop_shares import LoopShares
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.session")


class FirstAnswers:
    """Decides which queries run in this turn of the loop and which wait. Apps take turns, and those
    of one app run in order of arrival.

    Holds the calls to make. Does not hold answers, nor the messages they answer (SessionState).
    Bound: a session waits here once for each of its at most SESSION_QUERIES_MAX queries.
    """

    def __init__(self, runtime: Runtime, shares: LoopShares | None = None) -> None:
        """shares   those of the apps; None: there is only one app"""
        self._runtime = runtime
        self._shares = shares
        self._waiting: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        self._left = limits.FIRST_ANSWERS_A_TURN
        self._ends_ms = 0.0
        self._is_scheduled = False

    @property
    def waiting(self) -> int:
        """How many queries are not run yet."""
        return sum(map(len, self._waiting.values()))

    def take(self, app: Hashable = None) -> bool:
        """Whether one more query of an app may run right now. False while others of it wait, as
        none overtakes."""
        return app not in self._waiting and self._take()

    def later(self, run: Callable[[], None], app: Hashable = None) -> None:
        """Call `run` when its turn comes. It must not raise."""
        waiting = self._waiting.get(app)
        if waiting is None:
            waiting = self._waiting[app] = deque()
        waiting.append(run)
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
        turn_ms: float = limits.FIRST_ANSWERS_TURN_MS
        if self._shares is not None:
            turn_ms = self._shares.slice_ms(turn_ms)
        self._ends_ms = self._runtime.monotonic_ms() + turn_ms
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
            app, waiting = next(iter(self._waiting.items()))
            run = waiting.popleft()
            if waiting:
                self._waiting.move_to_end(app)
            else:
                del self._waiting[app]
            try:
                run()
            except Exception:
                # The others must not wait for ever.
                logger.exception("a first answer failed")
