"""The thread that plain functions of one call run on, and how they wait for the loop.

    loop     work(body) ──order──> thread   runs body, then settles the order
    thread   wait(coroutine) ────> loop     runs it as a task of the call; its end goes back
                                            as another order would

A call has one thread at most, from its first plain function on. While that waits, it runs what is
ordered meanwhile: a plain function that an async one runs, which a plain one runs, needs no second
thread. So as many calls as there are threads never wait for each other's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar, cast

T = TypeVar("T")
StartThread = Callable[[Callable[[], None]], object]
"""Runs a function on a thread, soon."""


def start_thread(run: Callable[[], None]) -> None:
    """A thread of its own: for processes whose threads are not counted beforehand."""
    threading.Thread(target=run, name="call", daemon=True).start()


@dataclass(slots=True, eq=False)
class _Order:
    """A plain function to be run.

    context   that of whoever ordered it: it says which call prints
    is_over   nobody waits for it any more: what it waits for from then on is refused
    tasks     what it waits for now
    """

    body: Callable[[], Any]
    settled: asyncio.Future[Any]
    context: Context
    is_over: bool = False
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)


@dataclass(frozen=True, slots=True, eq=False)
class _End:
    """What a task that a thread waits for came to."""

    task: asyncio.Task[Any]


@dataclass(slots=True, eq=False)
class _Asked:
    """A coroutine that the thread waits for. task: once it has begun, on the loop"""

    task: asyncio.Task[Any] | None = None


class CallThread:
    """Belongs to one call. `work` is called on the loop, `wait` on the thread."""

    def __init__(self, start: StartThread) -> None:
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[_Order | _End] = SimpleQueue()
        self._orders: list[_Order] = []  # under way, the innermost last; of the thread
        self._ended: set[asyncio.Task[Any]] = set()  # told while another one was waited for
        self._ident: int | None = None
        self._is_there: bool = False  # of the loop

    async def work(self, body: Callable[[], T]) -> T:
        """Run a plain function. Cancelled, it is told at its next, or present, `wait`."""
        order = _Order(body, self._loop.create_future(), copy_context())
        self._inbox.put(order)
        if not self._is_there:
            self._is_there = True
            self._start(self._run)
        try:
            value, failure = await order.settled
        except asyncio.CancelledError:
            order.is_over = True
            for task in order.tasks:
                task.cancel()
            raise
        if failure is not None:
            raise failure
        return cast(T, value)

    def wait(self, awaited: Coroutine[Any, Any, T]) -> T:
        """Wait on the thread for what a coroutine returns on the loop.

        raises   CancelledError: the call is over; RuntimeError: this is another thread
        """
        if threading.get_ident() != self._ident:
            awaited.close()
            raise RuntimeError(
                "A ctx of trice.sync is used on the thread of its function, by nothing else"
            )
        order = self._orders[-1]
        if order.is_over:
            awaited.close()
            raise asyncio.CancelledError
        asked = _Asked()
        self._loop.call_soon_threadsafe(self._begin, awaited, order, asked, context=copy_context())
        while asked.task is None or asked.task not in self._ended:
            told = self._inbox.get()
            if isinstance(told, _Order):
                self._do(told)
            else:
                self._ended.add(told.task)
        self._ended.discard(asked.task)
        value, failure = asked.task.result()
        if failure is not None:
            raise failure
        return cast(T, value)

    # --- on the loop ------------------------------------------------------------------------------

    def _begin(self, awaited: Coroutine[Any, Any, Any], order: _Order, asked: _Asked) -> None:
        task = asked.task = self._loop.create_task(_outcome(awaited))
        order.tasks.add(task)
        if order.is_over:
            task.cancel()
        task.add_done_callback(lambda task: self._tell_end(order, task))

    def _tell_end(self, order: _Order, task: asyncio.Task[Any]) -> None:
        order.tasks.discard(task)
        self._inbox.put(_End(task))

    def _left(self, context: Context) -> None:
        """The thread has gone. What was ordered while it went needs another one."""
        self._is_there = not self._inbox.empty()
        if self._is_there:
            context.run(self._start, self._run)

    # --- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        self._ident = threading.get_ident()
        order = self._inbox.get()
        assert isinstance(order, _Order), "nothing is waited for yet"
        self._do(order)
        self._ident = None
        self._tell(self._left, order.context)

    def _do(self, order: _Order) -> None:
        self._orders.append(order)
        value, failure = None, None
        try:
            value = order.context.run(order.body)
        except BaseException as raised:
            failure = raised
        self._orders.pop()
        self._tell(_settle, order.settled, value, failure)

    def _tell(self, say: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(say, *args)
        except RuntimeError:  # the loop is closed: nobody waits
            return


async def _outcome(awaited: Coroutine[Any, Any, T]) -> tuple[T | None, BaseException | None]:
    """What it returned or raised: a loop ends with a task that raises SystemExit."""
    try:
        return await awaited, None
    except BaseException as raised:
        return None, raised


def _settle(settled: asyncio.Future[Any], value: Any, failure: BaseException | None) -> None:
    if not settled.done():  # else nobody waits any more
        settled.set_result((value, failure))
