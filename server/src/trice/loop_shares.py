"""How much of each turn of the event loop an app takes, so that a noisy one leaves others theirs.

    work of an app ──begin──end──> counted ──over its share?──> the rest waits for the next turn

A request passes two to four turns of the loop: read, committed, answered, told to watchers. So it
is late by the length of those turns, which is what all other apps do in them. While more than one
app is active, each has limits.APP_TURN_MS of a turn for its messages and transactions, on average:
one that took more waits for as many turns as that was worth, while others use them. An app that was
quiet has limits.APP_BURST_MS to begin with, so that its request is not cut in pieces. While others
are only near (they may come back at any moment) turns are longer; an app that is alone on the
server has whole turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final, Literal

from trice import quota_limits as limits
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.loop")

Lane = Literal["messages", "writes"]
"""What waits for an app's next share. Lanes take turns: however many sessions wait, each with a
message, every other call is the writer's."""


class LoopShares:
    """The shares of all apps of a process. Knows which apps were active lately, as far as it needs
    to tell whether more than one was."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._newest: LoopShare | None = None
        self._newest_ms = self._other_ms = -inf
        # Turns in which a share was renewed, and in which of them another app was active last.
        self._turn = 0
        self._newest_turn = self._other_turn = -limits.PRESSING_TURNS
        # Shares that took all they had, and those for which something waits.
        self._used: list[LoopShare] = []
        self._waiting: dict[LoopShare, None] = {}
        self._is_scheduled = False

    def make(self) -> LoopShare:
        """The share of one more app, which takes memory only as long as somebody keeps it."""
        return LoopShare(self)

    @property
    def turn_ms(self) -> float:
        """How much of a turn each app has: the less, the later more than one was active."""
        since_ms = self._newest_ms - self._other_ms
        if since_ms < limits.CROWD_MS:
            return limits.APP_TURN_MS
        return limits.APP_NEAR_TURN_MS if since_ms < limits.NEAR_MS else inf

    @property
    def is_shared(self) -> bool:
        """Whether more than one app was active in the last limits.NEAR_MS."""
        return self._newest_ms - self._other_ms < limits.NEAR_MS

    @property
    def is_pressing(self) -> bool:
        """Whether another app does something just now: what an app took too much of is then made
        up for. Else it would spin through turns that nobody else needs."""
        since_ms = self.now_ms() - self._other_ms
        if since_ms < limits.CROWD_MS and self._turn - self._other_turn < limits.PRESSING_TURNS:
            return True  # the machine is slow
        return since_ms < limits.PRESSING_MS

    @property
    def waiting(self) -> int:
        """How many apps have something that waits for the next turn."""
        return len(self._waiting)

    def slice_ms(self, whole_ms: float) -> float:
        """How long one app may do one thing in a turn.

        whole_ms   where it is the only one that is active
        """
        return min(whole_ms, self.turn_ms)

    def now_ms(self) -> float:
        return self._runtime.monotonic_ms()

    def note_active(self, share: LoopShare, now_ms: float) -> None:
        """An app begins to do something."""
        if share is not self._newest:
            self._other_ms, self._other_turn = self._newest_ms, self._newest_turn
            self._newest = share
        self._newest_ms, self._newest_turn = now_ms, self._turn

    def note_used(self, share: LoopShare) -> None:
        """A share has nothing left, and gets more in the next turn."""
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
        """Every app has a share more; what waited goes on, app by app."""
        self._is_scheduled = False
        self._turn += 1
        used, self._used = self._used, []
        for share in used:
            share.renew()
        waiting, self._waiting = self._waiting, {}
        for share in waiting:
            share.go_on()


class LoopShare:
    """What one app takes of the loop.

    Holds what it has left, and the calls that wait for more. Does not know what they are: the inbox
    of a session waits here at most once, and so does the writer of the app.
    """

    __slots__ = ("_balance_ms", "_began_ms", "_ended_ms", "_is_noted", "_loop", "_waiting")

    def __init__(self, loop: LoopShares) -> None:
        self._loop = loop
        self._began_ms: float | None = None
        self._ended_ms = -inf
        self._balance_ms = limits.APP_BURST_MS
        self._is_noted = False
        self._waiting: dict[Lane, deque[Callable[[], None]]] = {}

    def begin(self) -> bool:
        """The app does something from here to `end`. Costs 0.5 µs with that.

        returns   False if it does already: then `end` must not be called
        """
        if self._began_ms is not None:
            return False
        self._began_ms = now_ms = self._loop.now_ms()
        if now_ms - self._ended_ms >= limits.APP_PAUSE_MS and not self._waiting:
            self._balance_ms = limits.APP_BURST_MS
        self._loop.note_active(self, now_ms)
        return True

    def end(self) -> None:
        """It is done."""
        assert self._began_ms is not None, "nothing was begun"
        now_ms = self._loop.now_ms()
        if self._loop.is_shared:
            least_ms = -limits.APP_OWED_TURNS_MAX * self._loop.turn_ms
            self._balance_ms = max(least_ms, self._balance_ms - (now_ms - self._began_ms))
            if self._balance_ms <= 0 and not self._is_noted:
                self._is_noted = True
                self._loop.note_used(self)
        self._began_ms, self._ended_ms = None, now_ms

    @property
    def left_ms(self) -> float:
        """How much is left to the app in this turn; all of it where no other app is near."""
        if not self._loop.is_shared:
            return inf
        running_ms = 0.0 if self._began_ms is None else self._loop.now_ms() - self._began_ms
        return self._balance_ms - running_ms

    @property
    def is_over(self) -> bool:
        """Whether the app had its share of this turn, so that the rest must wait (`later`)."""
        return self._is_noted and self._loop.is_shared

    def turns_of(self, took_ms: float, whole_ms: float) -> int:
        """How many turns something waits that took so long: 0 if it may go on in this one.

        whole_ms   how long it may take of a turn where no other app is near
        """
        if took_ms <= (slice_ms := self._loop.slice_ms(whole_ms)):
            return 0
        if not self._loop.is_pressing:
            return 1
        return max(1, min(int(took_ms / slice_ms), limits.APP_OWED_TURNS_MAX))

    def later(self, call: Callable[[], None], lane: Lane) -> None:
        """Call `call` in the next turn in which the app has something left, after what waits in
        its lane."""
        self._waiting.setdefault(lane, deque()).append(call)
        self._loop.note_waiting(self)

    def renew(self) -> None:
        """A new turn: called by LoopShares."""
        turn_ms = self._loop.turn_ms
        owed_ms = self._balance_ms if self._loop.is_pressing else 0.0
        self._balance_ms = min(owed_ms + turn_ms, limits.APP_BURST_MS)
        self._is_noted = self._balance_ms <= 0
        if self._is_noted:
            self._loop.note_used(self)

    def go_on(self) -> None:
        """Make the calls that waited until now, as far as the share goes: called by LoopShares."""
        for _ in range(sum(map(len, self._waiting.values()))):
            if self.is_over:
                break
            lane, calls = next(iter(self._waiting.items()))
            call = calls.popleft()
            del self._waiting[lane]
            if calls:
                self._waiting[lane] = calls  # after the other lanes
            try:
                call()
            except Exception:
                logger.exception("work that waited for its turn failed")  # the others go on
        if self._waiting:
            self._loop.note_waiting(self)
