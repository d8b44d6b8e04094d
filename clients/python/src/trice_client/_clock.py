"""Waiting, and work on a thread, for both kinds of clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def in_thread(work: Callable[[], T]) -> T:
    """What blocks may block here."""
    return work()


async def sleep_async(seconds: float) -> None:
    """Wait, on whichever loop runs."""
    import anyio

    await anyio.sleep(seconds)


async def in_thread_async(work: Callable[[], T]) -> T:
    """Do what blocks beside the loop. Cancelled callers do not wait for it."""
    from anyio import to_thread

    return await to_thread.run_sync(work, abandon_on_cancel=True)
