"""The order in which sessions send, in turns of the event loop.

    push ──> soon ───────────────────────> flushed at the end of this turn
    news ──> a lane per cause ──> some ──> flushed, then the loop handles messages ──> …

A commit that 10,000 sessions watch means 10,000 writes to sockets, 80 ms together. A bounded number
of them happens in one turn, so that other messages are handled in between. Answers and
acknowledgements never wait for news; news of other queries waits only for its lane's turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable
from math import inf
from typing import Final, Protocol

from trice import limits
from trice.loop_shares import LoopShares
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.session")


class Flushable(Protocol):
    """Has frames to send: a session's outbox."""

    def flush(self) -> int:
        """Send everything it has by now in one write; return the number of bytes."""
        ...


Lanes = OrderedDict[Hashable, OrderedDict[Flushable, None]]


class SendQueue:
    """The outboxes to flush. Does not hold frames (the outbox does) or news (the session's state).

    A lane holds the outboxes that wait for one cause: a live query, or an app's catalog. Apps take
    turns, and in each app its lanes; a lane serves in order of arrival. An outbox is in a lane at
    most once: if it is marked again it keeps its place, and sends the newest state once.
    Invariant: every outbox that waits is flushed, unless the queue is cleared. For a session that
    has ended meanwhile, the flush sends nothing.
    """

    def __init__(self, runtime: Runtime, shares: LoopShares | None = None) -> None:
        """shares   those of the apps; None: there is only one app"""
        self._runtime = runtime
        self._shares = shares
        self._soon: list[Flushable] = []
        self._lanes: OrderedDict[Hashable, Lanes] = OrderedDict()
        self._is_scheduled = False
        # When the latest turn ended, if it could not send all; else None.
        self._paused_ms: float | None = None

    @property
    def waiting(self) -> int:
        """How many sessions wait for news; a session counts once for each lane it is in."""
        return sum(len(waiting) for lanes in self._lanes.values() for waiting in lanes.values())

    def soon(self, outbox: Flushable) -> None:
        """Flush at the end of this turn, before any news. Call it once until it is flushed."""
        self._soon.append(outbox)
        self._schedule()

    def now(self, outbox: Flushable) -> None:
        """Flush at once."""
        _flush(outbox)

    def news(self, outbox: Flushable, lane: Hashable, group: Hashable = None) -> None:
        """Flush when its turn in `lane` comes.

        group   the app that the lane is of
        """
        lanes = self._lanes.get(group)
        if lanes is None:
            lanes = self._lanes[group] = OrderedDict()
        waiting = lanes.get(lane)
        if waiting is None:
            waiting = lanes[lane] = OrderedDict()
        waiting[outbox] = None
        self._schedule()

    def clear(self) -> None:
        """Forget all that waits: the server stops, and has flushed them itself."""
        self._soon.clear()
        self._lanes.clear()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._is_scheduled = False
        soon, self._soon = self._soon, []
        for outbox in soon:
            _flush(outbox)
        if self._lanes:
            self._send_news()

    def _send_news(self) -> None:
        """Serve BROADCAST_SENDS_A_TURN sessions, and more for as long as the rest of the loop just
        took, so that watchers get their share beside many writers."""
        began_ms = self._runtime.monotonic_ms()
        share_ms = 0.0 if self._paused_ms is None else began_ms - self._paused_ms
        share_ms = min(share_ms, limits.BROADCAST_TURN_MS)
        # Where other apps are active one lane is served at least, and more as far as time goes.
        ends_ms = inf if self._shares is None else began_ms + self._shares.slice_ms(inf)
        sends, bytes_left = limits.BROADCAST_SENDS_A_TURN, limits.BROADCAST_BYTES_A_TURN
        while self._lanes:
            if sends <= 0 or bytes_left <= 0:
                if self._runtime.monotonic_ms() - began_ms >= share_ms:
                    break
                sends, bytes_left = limits.BROADCAST_SENDS_A_LANE, limits.BROADCAST_BYTES_A_TURN
            served, sent_bytes = self._serve_lane(sends, bytes_left, ends_ms)
            sends -= served
            bytes_left -= sent_bytes
            if self._runtime.monotonic_ms() >= ends_ms:
                break
        if self._lanes:
            self._paused_ms = self._runtime.monotonic_ms()
            self._schedule()
        else:
            self._paused_ms = None

    def _serve_lane(self, sends: int, bytes_left: int, ends_ms: float) -> tuple[int, int]:
        """Flush some of the lane whose turn it is, one outbox at least; return the number of sends
        and of bytes."""
        group, lanes = next(iter(self._lanes.items()))
        lane, waiting = next(iter(lanes.items()))
        served = sent_bytes = 0
        while waiting and served < min(sends, limits.BROADCAST_SENDS_A_LANE):
            outbox, _ = waiting.popitem(last=False)
            sent_bytes += _flush(outbox)
            served += 1
            if sent_bytes >= bytes_left or self._runtime.monotonic_ms() >= ends_ms:
                break
        if waiting:
            lanes.move_to_end(lane)
        else:
            del lanes[lane]
        if lanes:
            self._lanes.move_to_end(group)
        else:
            del self._lanes[group]
        return served, sent_bytes


def _flush(outbox: Flushable) -> int:
    try:
        return outbox.flush()
    except Exception:
        # One broken transport must not keep the news from all the others.
        logger.exception("a flush failed")
        return 0
