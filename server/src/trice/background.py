"""Background work: what a server does by itself (periodic), and what waits for its turn (queued).

    every   wait ──> run ──> wait ──> …      one run at a time; waits longer after a failure
    queue   waiting ──> running ──> outcome  in order, so many at once; a full queue refuses

Each kind of work has a name. Under it `/metrics` tells how often it ran, how often it failed and
how much waits. `stop` cancels all work and waits until it has ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from trice import limits
from trice.errors import TriceError, Unavailable
from trice.log import fields
from trice.metrics import WorkCounts
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.background")

T = TypeVar("T")
Periodic = Callable[[float], Awaitable[None] | None]
"""Periodic work. Its argument is how late it begins, in ms: for how long the loop did not run."""


@dataclass(frozen=True, slots=True)
class Places:
    """How much of one kind of work a queue takes.

    running   how many run at once
    in_all    how many run or wait
    """

    running: int
    in_all: int


class Background:
    """Holds the name, tasks and counts of each kind of work. Does not know what the work is about.

    counts   by name, in the order in which the kinds were set up
    """

    def __init__(self, runtime: Runtime) -> None:
        self.counts: dict[str, WorkCounts] = {}
        self.is_stopped = False
        self._runtime = runtime
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: list[WorkQueue] = []

    @property
    def failing(self) -> list[str]:
        """Names of the kinds of work whose latest run failed."""
        return [name for name, counts in self.counts.items() if counts.failures_in_a_row]

    def every(
        self, name: str, interval_ms: float, work: Periodic, *, is_due_now: bool = False
    ) -> None:
        """Run `work` until `stop`, each time `interval_ms` after the last run ended.

        Each failure in a row doubles that wait, up to limits.BACKGROUND_WAIT_MS_MAX. A failure is
        logged and counted; the work goes on.

        is_due_now  the first run is now, not after the first interval
        """
        assert not self.is_stopped, "background work begins before the server stops"
        counts = self._count(name)
        self.begin(self._repeat(name, counts, interval_ms, work, is_due_now=is_due_now))

    def queue(self, name: str, places: Places, *, minor: Places) -> WorkQueue:
        """A queue for work of one kind.

        minor   how many of `places` minor work may take: work that anybody may cause
        """
        queue = WorkQueue(self, name, self._count(name), places=places, minor=minor)
        self._queues.append(queue)
        return queue

    async def stop(self) -> None:
        """Cancel all work, refuse what waits, and return when nothing runs any more."""
        self.is_stopped = True
        for queue in self._queues:
            queue.refuse_waiting()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that `stop` cancels and waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @contextmanager
    def measured(self, name: str, counts: WorkCounts) -> Iterator[None]:
        """Count one run and how it ends; the caller gets the failure."""
        began_ms = self._runtime.monotonic_ms()
        counts.running += 1
        try:
            yield
            counts.failures_in_a_row = 0
        except Exception:
            counts.failures += 1
            counts.failures_in_a_row += 1
            raise
        finally:
            counts.running -= 1
            counts.runs += 1
            counts.last_ms = self._runtime.monotonic_ms() - began_ms

    def _count(self, name: str) -> WorkCounts:
        assert name not in self.counts, f"two kinds of work are called {name}"
        counts = self.counts[name] = WorkCounts()
        return counts

    async def _repeat(
        self,
        name: str,
        counts: WorkCounts,
        interval_ms: float,
        work: Periodic,
        *,
        is_due_now: bool,
    ) -> None:
        longest_ms = max(interval_ms, limits.BACKGROUND_WAIT_MS_MAX)
        wait_ms = 0 if is_due_now else interval_ms
        while True:
            late_ms = await self._wait(wait_ms) if wait_ms else 0.0
            try:
                with self.measured(name, counts):
                    result = work(late_ms)
                    if result is not None:
                        await _ended(result)
            except Exception:
                told = fields(work=name, in_a_row=counts.failures_in_a_row)
                logger.exception("background work failed %s", told)
                wait_ms = min(max(wait_ms, interval_ms) * 2, longest_ms)
            else:
                wait_ms = interval_ms

    async def _wait(self, duration_ms: float) -> float:
        """Wait; return how much later than asked this returns, in ms."""
        due_ms = self._runtime.monotonic_ms() + duration_ms
        await self._runtime.sleep_ms(duration_ms)
        return max(self._runtime.monotonic_ms() - due_ms, 0.0)


@dataclass(slots=True, eq=False)
class _Item:
    """Work in a queue. `task` is None while it waits."""

    work: Callable[[], Awaitable[Any]]
    is_minor: bool
    keys: frozenset[Hashable]
    outcome: asyncio.Future[Any]
    task: asyncio.Task[None] | None = None


class WorkQueue:
    """Work of one kind that waits for its turn, in the order in which it came.

    Holds what waits and what runs. Does not hold outcomes: the caller does, and is told of a
    failure. A failure that we do not foresee (no TriceError) is logged too.
    """

    def __init__(
        self,
        background: Background,
        name: str,
        counts: WorkCounts,
        *,
        places: Places,
        minor: Places,
    ) -> None:
        """Use `Background.queue`."""
        self._background = background
        self._name = name
        self._counts = counts
        self._places = places
        self._minor = minor
        self._waiting: dict[_Item, None] = {}
        self._running: dict[_Item, None] = {}

    def submit(
        self,
        work: Callable[[], Awaitable[T]],
        *,
        is_minor: bool = False,
        keys: Iterable[Hashable] = (),
    ) -> asyncio.Future[T]:
        """Run `work` when its turn comes; return its outcome as a future. Cancelling that ends it.

        is_minor   anybody may have caused it: minor work that waits for other minor work keeps
                   no other work waiting
        keys       of all work with one of them one runs at a time, and keeps no other work waiting
        raises     Unavailable("overloaded") when the queue is full or has stopped
        """
        if self._background.is_stopped:
            raise _stopping()
        if self._is_full(is_minor=is_minor):
            raise Unavailable("overloaded", f"Too much waits for its turn ({self._name}).")
        item = _Item(work, is_minor, frozenset(keys), asyncio.get_running_loop().create_future())
        self._waiting[item] = None
        item.outcome.add_done_callback(lambda _: self._leave(item))
        self._begin_next()
        return item.outcome

    def is_full(self, *, is_minor: bool = False) -> bool:
        """Whether `submit` would refuse."""
        return self._background.is_stopped or self._is_full(is_minor=is_minor)

    def refuse_waiting(self) -> None:
        """Refuse what has not begun. From now on nothing begins."""
        for item in list(self._waiting):
            if not item.outcome.done():
                item.outcome.set_exception(_stopping())

    def _is_full(self, *, is_minor: bool) -> bool:
        items = [*self._waiting, *self._running]
        minor = sum(item.is_minor for item in items)
        return len(items) >= self._places.in_all or (is_minor and minor >= self._minor.in_all)

    def _begin_next(self) -> None:
        """Begin the work that has waited longest, among that which may run beside the rest."""
        while len(self._running) < self._places.running and not self._background.is_stopped:
            minor = sum(item.is_minor for item in self._running)
            has_minor = minor < self._minor.running
            taken = {key for item in self._running for key in item.keys}
            found = (
                item
                for item in self._waiting
                if (has_minor or not item.is_minor) and taken.isdisjoint(item.keys)
            )
            item = next(found, None)
            if item is None:
                break
            del self._waiting[item]
            self._running[item] = None
            item.task = self._background.begin(self._run(item))
            item.task.add_done_callback(partial(self._end, item))
        self._counts.waiting = len(self._waiting)

    async def _run(self, item: _Item) -> None:
        try:
            with self._background.measured(self._name, self._counts):
                result = await _ended(item.work())
        except Exception as failure:
            if not isinstance(failure, TriceError):
                logger.exception("background work failed %s", fields(work=self._name))
            if not item.outcome.done():
                item.outcome.set_exception(failure)
        else:
            if not item.outcome.done():
                item.outcome.set_result(result)

    def _end(self, item: _Item, task: asyncio.Task[None]) -> None:
        """Note that the task ended. If `stop` cancelled it, it has no outcome yet."""
        del self._running[item]
        if not item.outcome.done():
            item.outcome.set_exception(_stopping())
        self._begin_next()

    def _leave(self, item: _Item) -> None:
        """Remove an item: it has an outcome, or its caller wants none any more."""
        if self._waiting.pop(item, self) is None:
            self._counts.waiting = len(self._waiting)
        elif item.task is not None and item.outcome.cancelled():
            item.task.cancel()


async def _ended(work: Awaitable[T]) -> T:
    """Wait for work. What it waits for may be cancelled by others, which is a failure and no end of
    the server."""
    try:
        return await work
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("what it waited for was cancelled") from None


def _stopping() -> Unavailable:
    return Unavailable("overloaded", "The server is stopping; try again in a moment.")
