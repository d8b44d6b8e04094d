"""The runtime of a test: time passes when the test says so, and randomness has a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from math import ceil
from typing import Final

from trice.runtime import SeededRandom

BEGIN_MS: Final = 1_767_225_600_000
"""When every test begins: 2026-01-01, 00:00 UTC."""


class Clock:
    """`trice.runtime.Runtime` of one test. Holds the time, and who waits for a later one."""

    def __init__(self) -> None:
        self._now_ms = BEGIN_MS
        self._random = SeededRandom("trice.testing")
        self._numbers = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> float:
        return float(self._now_ms - BEGIN_MS)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait until `pass_time` has come that far."""
        if duration_ms <= 0:
            await asyncio.sleep(0)
            return
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ms = self._now_ms + ceil(duration_ms)
        heappush(self._sleepers, (due_ms, next(self._numbers), waking))
        await waking

    async def pass_time(self, duration_ms: int, *, settle: Callable[[], Awaitable[None]]) -> None:
        """Let time pass. What waited for a time is done at that time, and first of all what is due.

        settle   waits until nothing is being done any more
        """
        end_ms = self._now_ms + duration_ms
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_ms:
            due_ms, _, waking = heappop(self._sleepers)
            if waking.done():
                continue  # who waited has left
            self._now_ms = max(self._now_ms, due_ms)
            waking.set_result(None)
            await settle()
        self._now_ms = end_ms
