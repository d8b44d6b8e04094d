"""Threads that functions without `async` run on. They are there before the process may start no
more, and it is known for which call each of them works.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from trice.functions.worker.metering import current_meter


class CallThreads(ThreadPoolExecutor):
    """The executor of a worker's loop."""

    def __init__(self, count: int) -> None:
        super().__init__(count, thread_name_prefix="call")
        self._count = count
        self._by_call: dict[int, set[Future[Any]]] = {}

    def start(self) -> None:
        """Start every thread now; none is started later."""
        everybody = threading.Barrier(self._count + 1)
        for _ in range(self._count):
            self.submit(everybody.wait)
        everybody.wait()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        meter = current_meter.get()
        if meter is not None:
            self._by_call.setdefault(meter.call, set()).add(future)
        return future

    def end(self, call: int) -> list[Future[Any]]:
        """A call is over. Returns what still runs for it, which nothing can end but the process."""
        return [each for each in self._by_call.pop(call, ()) if not (each.cancel() or each.done())]
