"""Long work on a thread, which ends soon when its caller is cancelled; several works at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from trice.ended import until_ended

T = TypeVar("T")
IsOver = Callable[[], bool]


async def on_thread(work: Callable[[IsOver], T]) -> T:
    """Run `work`, which asks now and then whether it is over.

    When the caller is cancelled it waits until the work has ended: what it writes to is then free.
    """
    over = threading.Event()
    running = asyncio.get_running_loop().run_in_executor(None, partial(work, over.is_set))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        over.set()
        await until_ended(running)
        raise


async def all_of(*works: Awaitable[T]) -> list[T]:
    """Wait for all works, also when one fails: then nothing goes on in secret. Raises what the
    first failure was."""
    found = await asyncio.gather(*works, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]
