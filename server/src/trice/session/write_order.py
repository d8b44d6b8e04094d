"""The order of a session's writes: a mutation waits for the writes before it, and holds those after
it. Transactions alone wait for nobody.

    transactions ──> begun at once, several open ──┐
    mutation ──> waits until none is open, runs ───┤──> whoever waited behind it, in order
"""

from __future__ import annotations

from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class WriteOrder:
    """Holds how many transactions are open, whether a mutation runs, and who waits, in order.

    Bound: the session stops reading when it has limits.SESSION_TRANSACTS_MAX writes open.
    """

    __slots__ = ("_is_mutating", "_open", "_waiting")

    def __init__(self, transacts: int) -> None:
        """transacts   how many transactions are open"""
        self._open = transacts
        self._is_mutating = False
        self._waiting: deque[tuple[bool, Callable[[], None]]] = deque()

    @property
    def is_free(self) -> bool:
        """Whether a transaction may begin at once."""
        return not self._is_mutating and not self._waiting

    def begin_transact(self) -> None:
        """A transaction began."""
        self._open += 1

    def end_transact(self) -> None:
        """A transaction is answered."""
        self._open -= 1
        self._go_on()

    def hold(self, submit: Callable[[], Future[T]]) -> Future[T]:
        """Begin a transaction when those before it let it.

        submit    begins it, or raises
        returns   what it returns, or raises, then
        """
        outcome: Future[T] = get_running_loop().create_future()

        def begin() -> None:
            try:
                done = submit()
            except Exception as cause:
                outcome.set_exception(cause)
                return
            done.add_done_callback(lambda done: _copy(done, outcome))

        self._waiting.append((False, begin))
        return outcome

    def mutate(self, begin: Callable[[], None]) -> None:
        """Call `begin` when all writes before it are answered; `end_mutation` must follow."""
        self._waiting.append((True, begin))
        self._go_on()

    def end_mutation(self) -> None:
        """The mutation is answered."""
        self._is_mutating = False
        self._go_on()

    def close(self) -> None:
        """Begin nothing any more."""
        self._waiting.clear()

    def _go_on(self) -> None:
        while self._waiting and not self._is_mutating:
            is_mutation, begin = self._waiting[0]
            if is_mutation and self._open:
                return
            self._waiting.popleft()
            if is_mutation:
                self._is_mutating = True
            else:
                self._open += 1
            begin()


def _copy(done: Future[T], outcome: Future[T]) -> None:
    if outcome.done():
        return
    if done.cancelled():
        outcome.cancel()
        return
    cause = done.exception()
    if cause is None:
        outcome.set_result(done.result())
    else:
        outcome.set_exception(cause)
