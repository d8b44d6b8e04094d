"""A runtime that tests hold in their hands: time stands still, randomness has a seed."""

from __future__ import annotations

import asyncio
import random


class FakeRuntime:
    """`trice.runtime.Runtime` for tests.

    now        what `now_ms` says; set it, or let `advance` move both clocks
    monotonic  what `monotonic_ms` says
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

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    async def sleep_ms(self, duration_ms: float) -> None:
        """Return at once, as much later as asked; other tasks get a turn."""
        self.advance(duration_ms)
        await asyncio.sleep(0)
