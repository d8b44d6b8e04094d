"""Moments of a process that is to be killed (SIGKILL) at one of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any


class Moments:
    """Counts moments, and kills this process at one of them.

    seen   how many there were
    stop   the one that is the last; 0: none
    """

    def __init__(self, stop: int) -> None:
        self.seen = 0
        self.stop = stop

    def count(self) -> None:
        """One more moment."""
        self.seen += 1
        if self.seen == self.stop:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Count a moment before and after each call of a function or method."""
        real = getattr(owner, name)

        def plain(*args: Any, **options: Any) -> Any:
            self.count()
            found = real(*args, **options)
            self.count()
            return found

        async def awaited(*args: Any, **options: Any) -> Any:
            self.count()
            found = await real(*args, **options)
            self.count()
            return found

        wrapped: Callable[..., Any] = awaited if asyncio.iscoroutinefunction(real) else plain
        setattr(owner, name, wrapped)
