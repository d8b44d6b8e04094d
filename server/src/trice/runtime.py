"""Time, randomness and ids: the only door to them, so that tests can replace it.

No other module of the engine may import `time`, `random`, `secrets` or `uuid`.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Protocol

from trice.protocol.ids import uuid_text


class Runtime(Protocol):
    """What the outside world gives to the engine."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic_ms(self) -> float:
        """A clock that never goes back, for measuring durations."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Unpredictable bytes, fit for secrets."""
        ...

    async def sleep_ms(self, duration_ms: float) -> None:
        """Let other tasks run for this long."""
        ...


class SystemRuntime:
    """The real clock and the operating system's randomness."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic_ns() / 1_000_000

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(duration_ms / 1000)


def new_uuid_bytes(runtime: Runtime) -> bytes:
    """Draw a random (version 4) uuid as 16 bytes."""
    raw = bytearray(runtime.random_bytes(16))
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    return bytes(raw)


def new_uuid(runtime: Runtime) -> str:
    """Draw a random (version 4) uuid as text."""
    return uuid_text(new_uuid_bytes(runtime))
