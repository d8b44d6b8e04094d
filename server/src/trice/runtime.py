"""Time, randomness and ids. This is the only door to them, so that tests can replace it.

No other module of the engine may import `time`, `random`, `secrets` or `uuid`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from typing import Final, Protocol, TypeAlias

from trice.protocol.ids import uuid_text

_TIMES: Final = 2**48

UUID: TypeAlias = uuid.UUID
"""The class of uuids in type hints of functions."""


class SeededRandom(random.Random):
    """Randomness that its seed decides: the same at every try. Never for secrets."""


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


def thread_cpu_ms() -> float:
    """Processor time of the thread that calls, in ms. Costs 0.3 µs."""
    return time.thread_time_ns() / 1_000_000


def cpu_ms_of(thread: int) -> float:
    """Processor time of a thread of this process by its `threading.get_ident`, in ms."""
    return time.clock_gettime_ns(time.pthread_getcpuclockid(thread)) / 1_000_000


def new_uuid(runtime: Runtime) -> str:
    """Draw a random (version 4) uuid, which cannot be guessed: for secrets, and for names that give
    access to every caller who knows them."""
    return uuid_text(_marked(runtime.random_bytes(16), version=4))


def seeded_uuid(random: SeededRandom) -> str:
    """A random (version 4) uuid that a seed decides."""
    return uuid_text(_marked(random.randbytes(16), version=4))


def new_key_bytes(runtime: Runtime) -> bytes:
    """Draw an ordered (version 7) uuid as 16 bytes: for keys of rows and attrs, never for secrets.

    It begins with the time, 48 bits of milliseconds. So rows made one after the other stand side by
    side in tables and indexes, and one page is written for many. 74 bits are random.
    """
    made_ms = runtime.now_ms() % _TIMES
    return _marked(made_ms.to_bytes(6, "big") + runtime.random_bytes(10), version=7)


def new_key(runtime: Runtime) -> str:
    """`new_key_bytes` as text."""
    return uuid_text(new_key_bytes(runtime))


def _marked(raw: bytes, *, version: int) -> bytes:
    """The bytes with the version and variant of a uuid in their places."""
    marked = bytearray(raw)
    marked[6] = (marked[6] & 0x0F) | version << 4
    marked[8] = (marked[8] & 0x3F) | 0x80
    return bytes(marked)
