"""How much of each turn of the event loop an app takes, so that a noisy one leaves others theirs.

    work of an app ──begin──end──> counted ──over its share?──> the rest waits for the next turn

A request passes two to four turns of the loop: read, committed, answered, told to watchers. So it
is late by the length of those turns, which is what all other apps do in them. While more than one
app is active, each has limits.APP_TURN_MS of a turn for its messages and transactions; what is
beyond waits in order of arrival. An app that is alone on the server has whole turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

from trice import quota_limits as limits
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.loop")


class LoopShares:
    """The shares of all apps of a process. Knows which apps were active lately, as far as it needs
    to tell whether more than one was."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._newest: LoopShare | None = None
        self._newest_ms = self._other_ms = -inf
        # Shares that took something of this turn, and those for which something waits.
        self._used: list[LoopShare] = []
        self._waiting: dict[LoopShare, None] = {}
        self._is_scheduled = False

    def make(self) -> LoopShare:
        """The share of one more app, which takes memory only as long as somebody keeps it."""
        return LoopShare(self)

    @property
    def is_crowded(self) -> bool:
        """Whether more than one app was active in the last limits.CROWD_MS."""
        return self._newest_ms - self._other_ms < limits.CROWD_MS

    @property
    def waiting(self) -> int:
        """How many apps have something that waits for the next turn."""
        return len(self._waiting)

    def slice_ms(self, whole_ms: float) -> float:
        """How long one app may do one thing in a turn.

        whole_ms   where it is the only one that is active
        """
        return min(whole_ms, limits.APP_TURN_MS) if self.is_crowded else whole_ms

    def now_ms(self) -> float:
        return self._runtime.monotonic_ms()

    def note_active(self, share: LoopShare, now_ms: float) -> None:
        """An app begins to do something."""
        if share is not self._newest:
            self._other_ms, self._newest = self._newest_ms, share
        self._newest_ms = now_ms

    def note_used(self, share: LoopShare) -> None:
        """A share took something of this turn, for the first time."""
        self._used.append(share)
        self._schedule()

    def note_waiting(self, share: LoopShare) -> None:
        """Something waits for the next turn of a share."""
        self._waiting[share] = None
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        """Every app has its share again; what waited goes on, app by app."""
        self._is_scheduled = False
        used, self._used = self._used, []
        for share in used:
            share.renew()
        waiting, self._waiting = self._waiting, {}
        for share in waiting:
            share.go_on()


class LoopShare:
    """What one app takes of the loop.

    Holds the calls that wait for the next turn. Does not know what they are: the inbox of a session
    waits here at most once, and so does the writer of the app.
    """

    __slots__ = ("_began_ms", "_is_used", "_loop", "_spent_ms", "_waiting")

    def __init__(self, loop: LoopShares) -> None:
        self._loop = loop
        self._began_ms: float | None = None
        self._spent_ms = 0.0
        self._is_used = False
        self._waiting: deque[Callable[[], None]] = deque()

    def begin(self) -> bool:
        """The app does something from here to `end`. Costs 0.5 µs with that.

        returns   False if it does already: then `end` must not be called
        """
        if self._began_ms is not None:
            return False
        self._began_ms = self._loop.now_ms()
        self._loop.note_active(self, self._began_ms)
        return True

    def end(self) -> None:
        """It is done."""
        assert self._began_ms is not None, "nothing was begun"
        if self._loop.is_crowded:
            self._spent_ms += self._loop.now_ms() - self._began_ms
            if not self._is_used:
                self._is_used = True
                self._loop.note_used(self)
        self._began_ms = None

    @property
    def left_ms(self) -> float:
        """How much of this turn is left to the app; all of it where no other app is active."""
        if not self._loop.is_crowded:
            return inf
        running_ms = 0.0 if self._began_ms is None else self._loop.now_ms() - self._began_ms
        return limits.APP_TURN_MS - self._spent_ms - running_ms

    @property
    def is_over(self) -> bool:
        """Whether the app had its share of this turn, so that the rest must wait (`later`)."""
        return self._is_used and self._loop.is_crowded and self._spent_ms >= limits.APP_TURN_MS

    def slice_ms(self, whole_ms: float) -> float:
        """See `LoopShares.slice_ms`."""
        return self._loop.slice_ms(whole_ms)

    def later(self, call: Callable[[], None]) -> None:
        """Call `call` in the next turn in which the app has something left, after what waits."""
        self._waiting.append(call)
        self._loop.note_waiting(self)

    def renew(self) -> None:
        """A new turn: called by LoopShares."""
        self._spent_ms, self._is_used = 0.0, False

    def go_on(self) -> None:
        """Make the calls that waited until now, as far as the share goes: called by LoopShares."""
        for _ in range(len(self._waiting)):
            if self.is_over:
                break
            call = self._waiting.popleft()
            try:
                call()
            except Exception:
                logger.exception("work that waited for its turn failed")  # the others go on
        if self._waiting:
            self._loop.note_waiting(self)
