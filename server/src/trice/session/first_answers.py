"""Queries that must be run for their first answer, some in each turn of the event loop.

When a network comes back, thousands of clients ask at once, each its own query. If these ran as
they arrive, everything else, even answers found already, would wait until the last one ran.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from math import inf
from typing import Final

from trice import limits, quota_limits
from trice.loop_shares import LoopShares
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.session")


class FirstAnswers:
    """Decides which queries run in this turn of the loop and which wait. Apps take turns, and those
    of one app run in order of arrival.

    Holds the calls to make. Does not hold answers, nor the messages they answer (SessionState).
    An app whose queries took more than its share of a turn is passed over for the turns that this
    was worth, while other apps are near.
    Bound: a session waits here once for each of its at most SESSION_QUERIES_MAX queries.
    """

    def __init__(self, runtime: Runtime, shares: LoopShares | None = None) -> None:
        """shares   those of the apps; None: there is only one app"""
        self._runtime = runtime
        self._shares = shares
        self._waiting: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        # How long apps ran beyond their share of the turns since, in ms; only those that wait.
        self._owed: dict[Hashable, float] = {}
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
            self._owed.clear()
            return
        self._begin_turn()
        self._pay()
        owing: OrderedDict[Hashable, deque[Callable[[], None]]] = OrderedDict()
        while self._waiting:
            app, waiting = next(iter(self._waiting.items()))
            if app in self._owed:
                owing[app] = self._waiting.pop(app)
                continue
            if not self._take():
                break
            run = waiting.popleft()
            if waiting:
                self._waiting.move_to_end(app)
            else:
                del self._waiting[app]
            began_ms = self._runtime.monotonic_ms()
            try:
                run()
            except Exception:
                # The others must not wait for ever.
                logger.exception("a first answer failed")
            self._owe(app, self._runtime.monotonic_ms() - began_ms)
        # They come first, once they owe nothing.
        self._waiting = owing | self._waiting

    def _owe(self, app: Hashable, took_ms: float) -> None:
        """Note what a query took beyond the share of its app."""
        if self._shares is not None and self._shares.is_shared:
            turn_ms = self._shares.turn_ms
            most_ms = quota_limits.APP_OWED_TURNS_MAX * turn_ms
            if took_ms > turn_ms:
                self._owed[app] = min(took_ms - turn_ms, most_ms)

    def _pay(self) -> None:
        """A turn more has passed for those that waited."""
        if self._owed:
            assert self._shares is not None, "who is alone owes nothing"
            turn_ms = self._shares.turn_ms if self._shares.is_pressing else inf
            self._owed = {app: ms - turn_ms for app, ms in self._owed.items() if ms > turn_ms}
