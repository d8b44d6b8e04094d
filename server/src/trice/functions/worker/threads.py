"""Threads that functions without `async` run on. They are there before the process may start no
more, and it is known for which call each of them works.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from trice.functions.worker.metering import Meter, OnThread, Steps, current_meter
from trice.runtime import cpu_ms_of


class CallThreads(ThreadPoolExecutor):
    """The executor of a worker's loop.

    steps   is told which call each thread works for
    """

    def __init__(self, count: int, steps: Steps) -> None:
        super().__init__(count, thread_name_prefix="call")
        self._steps = steps
        self._count = count
        self._by_call: dict[int, set[Future[Any]]] = {}

    def start(self) -> None:
        """Start every thread now; none is started later."""
        everybody = threading.Barrier(self._count + 1)
        for _ in range(self._count):
            self.submit(everybody.wait)
        everybody.wait()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        meter = current_meter.get()
        if meter is None:
            return super().submit(fn, *args, **kwargs)
        future = super().submit(self._measured, meter, fn, *args, **kwargs)
        self._by_call.setdefault(meter.call, set()).add(future)
        return future

    def _measured(self, meter: Meter, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        thread = threading.get_ident()
        began_ms = cpu_ms_of(thread)
        self._steps.threads[thread] = OnThread(meter, began_ms)
        try:
            return fn(*args, **kwargs)
        finally:
            del self._steps.threads[thread]
            meter.add(cpu_ms_of(thread) - began_ms)

    def end(self, call: int) -> list[Future[Any]]:
        """A call is over. Returns what still runs for it, which nothing can end but the process."""
        return [each for each in self._by_call.pop(call, ()) if not (each.cancel() or each.done())]
