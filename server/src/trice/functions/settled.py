"""`ctx.settle`: wait for several things, and know of each what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from trice.reach_limits import SETTLE_MAX

T = TypeVar("T")
K = TypeVar("K", bound=str)


@dataclass(frozen=True, slots=True)
class Settled(Generic[T]):
    """What became of one of them.

    error   what it raised; TimeoutError if it was not done in time; None: it has a value
    """

    _value: T | None
    error: Exception | None

    @property
    def value(self) -> T:
        """What it returned. raises   `error`"""
        if self.error is not None:
            raise self.error
        found: Any = self._value
        checked: T = found
        return checked


async def settle(
    work: Mapping[K, Awaitable[T]],
    *,
    timeout: float | timedelta | None,  # noqa: ASYNC109
) -> dict[K, Settled[T]]:
    """See `Action.settle`."""
    if len(work) > SETTLE_MAX:
        for each in work.values():
            close = getattr(each, "close", None)
            if close is not None:
                close()
        raise ValueError(f"ctx.settle takes {SETTLE_MAX} things at most, not {len(work)}")
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    tasks = {name: asyncio.ensure_future(_awaited(each)) for name, each in work.items()}
    if not tasks:
        return {}
    try:
        await asyncio.wait(tasks.values(), timeout=seconds)
    finally:
        late = [task for task in tasks.values() if not task.done()]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
    told = f"It was not done within {seconds:g} s" if seconds is not None else ""
    return {name: _settled(task, task in late, told) for name, task in tasks.items()}


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def _settled(task: asyncio.Future[T], is_late: bool, told: str) -> Settled[T]:
    """raises   what is no Exception: the end of a job that sleeps, of the process"""
    if task.cancelled():
        return Settled(None, TimeoutError(told) if is_late else RuntimeError("It was cancelled"))
    failure = task.exception()
    if failure is None:
        return Settled(task.result(), None)
    if not isinstance(failure, Exception):
        raise failure
    return Settled(None, failure)
