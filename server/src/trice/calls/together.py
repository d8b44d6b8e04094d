"""News of sessions that wait for watched calls, so that what one commit changes is told at once.

news, and a call that is late ──> held ──the call has run──────> told together
                                   └─────TOGETHER_MS are over──> told; the call follows
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from trice import function_limits as limits
from trice.database import Database
from trice.runtime import Runtime


@dataclass(slots=True, eq=False)
class Hold:
    """The news of one session, waiting. `is_over`: they wait no more."""

    ends_ms: float
    give_up: Callable[[], None]
    is_over: bool = False


def is_refreshing(database: Database) -> bool:
    """Whether queries are due: a call that depends on one does not know yet that it is late."""
    return database.live.is_refreshing


class Holds:
    """The sessions whose news wait, each TOGETHER_MS at most; one task wakes them all.

    begun   how often news began to wait
    Does not hold the news (sessions do).
    """

    def __init__(
        self, runtime: Runtime, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self.begun = 0
        self._runtime = runtime
        self._spawn = spawn
        self._waiting: deque[Hold] = deque()
        self._task: asyncio.Task[None] | None = None

    def begin(
        self, database: Database, *, look_again: Callable[[], None], give_up: Callable[[], None]
    ) -> Hold:
        """News wait from now on, until who holds them sets `is_over`.

        look_again   called once no query is due any more, if some are
        give_up      called when time is over
        """
        if database.live.is_refreshing:
            database.live.after_refresh(look_again)
        hold = Hold(self._runtime.monotonic_ms() + limits.TOGETHER_MS, give_up)
        self.begun += 1
        self._waiting.append(hold)
        if self._task is None:
            self._task = self._spawn(self._wake())
        return hold

    async def _wake(self) -> None:
        try:
            while self._waiting:
                hold = self._waiting[0]
                left_ms = hold.ends_ms - self._runtime.monotonic_ms()
                if not hold.is_over and left_ms > 0:
                    await self._runtime.sleep_ms(left_ms)
                    continue
                self._waiting.popleft()
                if not hold.is_over:
                    hold.is_over = True
                    hold.give_up()
        finally:
            self._task = None
