"""The turn: one run at a time may keep other transactions from beginning, for a short while.

ask ──> wanted ──begin──> held ──end, or its time is up──> ended
          │                                                  ^
          └──── its asker gave up, or the writer closes ─────┘
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from trice import function_limits
from trice.errors import Unavailable


class WriteTurn:
    """One turn, from when it is asked for (`engine.Turn`)."""

    __slots__ = ("_when_ended", "is_held", "lasts_ms", "timer", "wanted")

    def __init__(self, lasts_ms: int, when_ended: Callable[[WriteTurn], None]) -> None:
        self.lasts_ms = lasts_ms
        self.is_held = False
        self.wanted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None
        self._when_ended = when_ended

    def end(self) -> None:
        """See `engine.Turn.end`."""
        if self.is_held:
            self.is_held = False
            if self.timer is not None:
                self.timer.cancel()
            self._when_ended(self)


class WriteTurns:
    """Who has the turn, and who waits for it. One has it at a time, in the order of asking.

    Invariant: between two turns the transactions that waited have begun.
    """

    def __init__(self, go_on: Callable[[], None]) -> None:
        """
        go_on   lets transactions begin again; called when a turn ended
        """
        self._go_on = go_on
        self._wanted: deque[WriteTurn] = deque()
        self._held: WriteTurn | None = None
        self._was_held = False

    @property
    def is_held(self) -> bool:
        """Whether no transaction may begin."""
        return self._held is not None

    @property
    def are_wanted(self) -> bool:
        """Whether anybody waits for the turn."""
        return bool(self._wanted)

    def ask(self, *, lasts_ms: int) -> WriteTurn:
        """Wait in line; `wait` tells when it is there.

        raises   Unavailable("overloaded")
        """
        if len(self._wanted) >= function_limits.TURNS_WAITING_MAX:
            raise Unavailable(
                "overloaded",
                f"{function_limits.TURNS_WAITING_MAX} mutations of this app wait for their turn"
                " already. Try again later.",
            )
        turn = WriteTurn(min(lasts_ms, function_limits.TURN_MS), self._ended)
        self._wanted.append(turn)
        return turn

    async def wait(self, turn: WriteTurn) -> WriteTurn:
        """Return when the turn is held."""
        try:
            await turn.wanted
        except BaseException:
            if turn in self._wanted:
                self._wanted.remove(turn)
            turn.end()
            raise
        return turn

    def begin(self) -> bool:
        """Between two groups: give the turn to who waits for it longest, unless the last thing that
        happened was a turn too. Whether it was given."""
        while self._wanted and self._wanted[0].wanted.done():
            self._wanted.popleft()  # its asker has just given up
        if self._was_held or not self._wanted:
            self._was_held = False
            return False
        turn = self._held = self._wanted.popleft()
        turn.is_held = self._was_held = True
        loop = asyncio.get_running_loop()
        turn.timer = loop.call_later(turn.lasts_ms / 1000, turn.end)
        turn.wanted.set_result(None)
        return True

    def close(self) -> None:
        """End the turn; refuse those who wait."""
        while self._wanted:
            turn = self._wanted.popleft()
            if not turn.wanted.done():
                turn.wanted.set_exception(
                    Unavailable("overloaded", "The server is stopping. Try again in a moment.")
                )
        if self._held is not None:
            self._held.end()

    def forget(self) -> None:
        """Let go of the writer: it is not called again."""
        self._go_on = _nothing

    def _ended(self, _: WriteTurn) -> None:
        self._held = None
        self._go_on()


def _nothing() -> None:
    """What a closed writer is told."""
