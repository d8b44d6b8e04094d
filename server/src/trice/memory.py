"""The memory of this process: collections of garbage, and what is given back to the system.

Freed memory stays with the C library, which gives it back when the end of its heap is free: one
small object there keeps all that is below it. With glibc, `malloc_trim` gives back every free page.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import resource
from collections.abc import Callable
from typing import Final

from trice.background import Background

_GC_THRESHOLDS: Final = (20_000, 30, 100)
"""How many objects are made before a young collection, and how many of those run before an older
one. Python's default of 700 is meant for scripts: one transaction makes a hundred objects."""

LOOK_MS: Final = 1_000
"""Between two looks at how much memory the process has."""

GROWN_BYTES: Final = 32 << 20
"""The process gives memory back when it has so much more than at its least."""

CHANGED_BYTES: Final = 4 << 20
PAUSE_LOOKS_MAX: Final = 64
"""After giving back less than the first, it waits twice as many looks as before, up to the second,
or until so much more or less is there: the memory is in use then."""


class GivingBack:
    """Gives memory back to the system while it helps. Holds how much the process had at its least.

    resident   how many bytes the process has; None where the system does not tell
    give_back  gives back what is free
    collect    collects the garbage of this generation and younger ones; some ms
    """

    def __init__(
        self,
        resident: Callable[[], int | None] | None = None,
        give_back: Callable[[], object] | None = None,
        collect: Callable[[int], object] = gc.collect,
    ) -> None:
        self._resident = resident or resident_bytes
        self._give_back = give_back or _trim
        self._collect = collect
        self._least = self._last = self._resident() or 0
        self._pause = self._looks_left = 1

    def start(self, background: Background) -> None:
        """Begin to look."""
        background.every("memory", LOOK_MS, lambda _: self.look())

    async def look(self) -> None:
        """Collect young garbage and give memory back, on a thread, if the process has grown. Costs
        20 µs if it has not."""
        before = self._resident()
        if before is None:
            return
        self._least = min(self._least, before)
        if abs(before - self._last) >= CHANGED_BYTES:
            self._pause = self._looks_left = 1
        self._looks_left -= 1
        self._last = before
        if self._looks_left > 0 or before - self._least < GROWN_BYTES:
            return
        # What many clients held who left at once may be in cycles, which are young then.
        self._collect(1)
        await asyncio.to_thread(self._give_back)
        self._last = self._resident() or 0
        gave_much = before - self._last >= CHANGED_BYTES
        self._pause = 1 if gave_much else min(2 * self._pause, PAUSE_LOOKS_MAX)
        self._looks_left = self._pause


def settle_memory() -> None:
    """Exclude the objects made at start from collections, as they stay for good, and give back to
    the system the memory that the start freed (2.4 of 61 MB with glibc).

    A full collection then takes a fraction of its 15 ms, and is rarer: 5 % more writes/s.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    _trim()


def free_memory() -> None:
    """Collect all garbage made since the start and give it back to the system.

    cost   6 ms each for collecting and for giving back after 5,000 sessions had left. It grows
           with what is still open and cannot be split, so the hub asks for it seldom
    """
    gc.collect()
    _trim()


def resident_bytes() -> int | None:
    """How much memory the process has; None where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def _trim() -> None:
    with contextlib.suppress(OSError, AttributeError):
        # C libraries other than glibc have no such call; they keep the memory.
        ctypes.CDLL(None).malloc_trim(0)
