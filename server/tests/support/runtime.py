"""A runtime that tests control: time stands still, randomness has a seed."""

from __future__ import annotations

import asyncio
import random
from heapq import heappop, heappush
from itertools import count
from typing import Any


class FakeRuntime:
    """`trice.runtime.Runtime` for tests.

    now        what `now_ms` returns; set it, or let `advance` move both clocks
    monotonic  what `monotonic_ms` returns
    """

    def __init__(self, *, now: int = 1_700_000_000_000, seed: int = 0) -> None:
        self.now = now
        self.monotonic = 0.0
        self._random = random.Random(seed)

    def advance(self, duration_ms: float) -> None:
        """Let time pass."""
        self.now += round(duration_ms)
        self.monotonic += duration_ms

    def now_ms(self) -> int:
        return self.now

    def monotonic_ms(self) -> float:
        return self.monotonic

    def randomness(self) -> Any:
        """Where the source of randomness is, for `draw_again`."""
        return self._random.getstate()

    def draw_again(self, randomness: Any) -> None:
        """Let the source go on from there: it draws the same again."""
        self._random.setstate(randomness)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    async def sleep_ms(self, duration_ms: float) -> None:
        """Return at once, with the clocks moved this far; other tasks get a turn."""
        self.advance(duration_ms)
        await asyncio.sleep(0)


class SteppedRuntime(FakeRuntime):
    """A runtime in which a sleeper wakes when the test has let that much time pass."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    async def sleep_ms(self, duration_ms: float) -> None:
        """Return when `pass_time` has come that far."""
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        due_ms = self.monotonic + duration_ms
        heappush(self._sleepers, (due_ms, next(self._numbers), waking))
        await waking

    async def pass_time(self, duration_ms: float) -> None:
        """Let time pass, sleeper by sleeper; each has done what it can before the next wakes."""
        end_ms = self.monotonic + duration_ms
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_ms:
            due_ms, _, waking = heappop(self._sleepers)
            self.advance(max(due_ms - self.monotonic, 0))
            if not waking.done():
                waking.set_result(None)
            await settle()
        self.advance(end_ms - self.monotonic)


async def settle() -> None:
    """Let the loop do what is ready, and what that makes ready: a few turns of tasks in memory."""
    for _ in range(10):
        await asyncio.sleep(0)
