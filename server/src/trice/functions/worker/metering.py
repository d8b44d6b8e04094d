"""Which call a task or thread works for, and what its steps cost.

Every task that begins in the context of a call belongs to it, those that the function starts
itself too. Each of its steps is measured with the clock of the thread's processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from trice.runtime import cpu_ms_of, thread_cpu_ms

current_meter: Final[ContextVar[Meter | None]] = ContextVar("current_meter", default=None)


class Meter:
    """What one call took of the processor.

    call      its number
    is_over   the call was told to end
    on_over   called once, when it took more than `most_ms`; on any thread
    """

    __slots__ = ("_is_told", "_on_over", "call", "is_over", "most_ms", "spent_ms")

    def __init__(self, call: int, *, most_ms: float, on_over: Callable[[], object]) -> None:
        self.call = call
        self.spent_ms = 0.0
        self.is_over = False
        self.most_ms = most_ms
        self._on_over = on_over
        self._is_told = False

    def add(self, spent_ms: float) -> None:
        self.spent_ms += spent_ms
        self.look(self.spent_ms)

    def look(self, spent_ms: float) -> None:
        """It took so much in all, with what a thread takes at the moment."""
        if spent_ms > self.most_ms and not self._is_told:
            self._is_told = True
            self._on_over()


@dataclass(frozen=True, slots=True)
class OnThread:
    """Work of a call on a thread.

    began_ms   processor time of the thread when it began
    """

    meter: Meter
    began_ms: float

    def spent_ms(self, thread: int) -> float:
        """What the call took until now."""
        return self.meter.spent_ms + cpu_ms_of(thread) - self.began_ms


class Steps:
    """The steps of tasks. `running` is the call whose step it is now; another thread may look.

    root      the folder of the project, once it is loaded
    threads   what threads work on, by their `threading.get_ident`
    """

    def __init__(self) -> None:
        self.running: int | None = None
        self.threads: dict[int, OnThread] = {}
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
