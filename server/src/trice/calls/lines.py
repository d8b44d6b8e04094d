"""Mutations that change what the same mutation reads: with the same function and arguments as one
that must run again they wait for it, instead of running for nothing.

    no line ──one is stale──> a line: it runs again; others like it wait ──nobody is left──> no line

A call is in no line unless one like it was overtaken, so those of other arguments wait for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from trice import function_limits as limits


@dataclass(slots=True, eq=False)
class _Line:
    """users   calls that are in it, or wait"""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Lines:
    """Holds the lines that have calls. A line is a preference: who cannot wait runs beside it, as
    without one, and the check of what it read decides."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def has_room(self, key: Hashable) -> bool:
        """Whether there is a line in which one more may wait."""
        line = self._lines.get(key)
        return line is not None and line.users < limits.LINE_MAX

    def place(self, key: Hashable) -> Place:
        """Be first in line for as long as the context lasts, which waits for those before."""
        return Place(self._lines, key)


class Place:
    """A place in a line (`Lines.place`). Its context begins without it after limits.WAIT_MS."""

    __slots__ = ("_is_first", "_key", "_line", "_lines")

    def __init__(self, lines: dict[Hashable, _Line], key: Hashable) -> None:
        self._lines = lines
        self._key = key
        self._is_first = False

    async def __aenter__(self) -> None:
        line = self._lines.get(self._key)
        if line is None:
            line = self._lines[self._key] = _Line()
        self._line = line
        line.users += 1
        try:
            if line.users == 1:
                self._is_first = await line.lock.acquire()  # at once
            else:
                async with asyncio.timeout(limits.WAIT_MS / 1000):
                    self._is_first = await line.lock.acquire()
        except TimeoutError:
            pass
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *raised: object) -> None:
        self._leave()

    def _leave(self) -> None:
        line = self._line
        if self._is_first:
            line.lock.release()
        line.users -= 1
        if not line.users:
            del self._lines[self._key]
