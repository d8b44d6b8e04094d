"""Work that is done although its caller left: actions and endpoints, which nothing can undo."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from trice.errors import TriceError

logger: Final = logging.getLogger("trice.functions")

T = TypeVar("T")


class Outliving:
    """Holds the tasks. Each ends with its own time, or with the server."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T], then: Callable[[], object]) -> asyncio.Task[T]:
        """Do it.

        then   called when it has ended
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def ended(_: object) -> None:
            self._tasks.discard(task)
            cause = None if task.cancelled() else task.exception()
            if cause is not None and not isinstance(cause, TriceError):
                logger.error("a call failed", exc_info=cause)  # its caller may be gone
            then()

        task.add_done_callback(ended)
        return task

    async def close(self) -> None:
        """End all of it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
