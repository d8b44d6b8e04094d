"""Threads for work on files, which blocks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from trice import file_limits as limits
from trice.ended import until_ended
from trice.errors import Unavailable
from trice.log import Seldom, fields

logger: Final = logging.getLogger("trice.files.disk")
logger.addFilter(Seldom())

T = TypeVar("T")


class FileThreads:
    """A few threads, which start when they are needed. Does not hold what they work on."""

    def __init__(self, count: int = limits.FILE_THREADS, *, name: str = "trice-files") -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call `work` on a thread and return its result.

        When the caller is cancelled it still waits until `work` has ended: nothing goes on in
        secret that the caller could not undo.

        raises  what `work` raises; Unavailable("overloaded") for an OSError that is about the disk
                or the number of open files, not about a missing file
        """
        results: list[T] = []
        # Futures may stay until a collection. Not so their results, pieces of 256 KiB.
        running = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: results.append(work(*arguments))
        )
        try:
            await asyncio.shield(running)
            return results.pop()
        except asyncio.CancelledError:
            await until_ended(running)
            raise
        except FileNotFoundError:
            raise
        except OSError as cause:
            raise disk_refuses(cause) from cause

    def close(self) -> None:
        """Wait until the threads have ended."""
        self._threads.shutdown()


def disk_refuses(cause: OSError) -> Unavailable:
    """The error for callers when the disk is full, broken, or not ours to write. It is logged, once
    a minute at most."""
    reason = cause.strerror or type(cause).__name__
    logger.error("the disk does not accept data %s", fields(reason=reason, path=cause.filename))
    return Unavailable(
        "overloaded", f"The server's disk does not accept data: {reason}. Try again."
    )
