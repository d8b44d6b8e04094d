"""Which call a task works for, and what its steps cost.

Every task that begins in the context of a call belongs to it, those that the function starts
itself too. Each of its steps is measured with the clock of the thread's processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Final

from trice.runtime import thread_cpu_ms

current_meter: Final[ContextVar[Meter | None]] = ContextVar("current_meter", default=None)


class Meter:
    """What one call took of the processor.

    call      its number
    on_over   called once, when it took more than `most_ms`
    """

    __slots__ = ("_most_ms", "_on_over", "call", "spent_ms")

    def __init__(self, call: int, *, most_ms: float, on_over: Callable[[], object]) -> None:
        self.call = call
        self.spent_ms = 0.0
        self._most_ms = most_ms
        self._on_over = on_over

    def add(self, spent_ms: float) -> None:
        was_over = self.spent_ms > self._most_ms
        self.spent_ms += spent_ms
        if not was_over and self.spent_ms > self._most_ms:
            self._on_over()


class Steps:
    """The steps of tasks. `running` is the call whose step it is now; another thread may look.

    root  the folder of the project, once it is loaded
    """

    def __init__(self) -> None:
        self.running: int | None = None
        self.root: str | None = None

    def task_factory(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        """Makes the tasks of a loop."""
        context = options.get("context")
        meter = current_meter.get() if context is None else context.get(current_meter)
        if meter is not None:
            coro = self._measured(coro, meter)
        return asyncio.Task(coro, loop=loop, **options)

    async def _measured(self, coro: Coroutine[Any, Any, Any], meter: Meter) -> Any:
        return await _Measured(self, coro, meter)


class _Measured:
    """A coroutine of which every step is measured."""

    def __init__(self, steps: Steps, coro: Coroutine[Any, Any, Any], meter: Meter) -> None:
        self._steps = steps
        self._coro = coro
        self._meter = meter

    def __await__(self) -> Generator[Any, Any, Any]:
        failure: BaseException | None = None
        while True:
            began_ms = thread_cpu_ms()
            self._steps.running = self._meter.call
            try:
                coro = self._coro
                wanted = coro.send(None) if failure is None else coro.throw(failure)
            except StopIteration as end:
                return end.value
            finally:
                self._steps.running = None
                self._meter.add(thread_cpu_ms() - began_ms)
            failure = None
            try:
                yield wanted
            except BaseException as thrown:
                failure = thrown
