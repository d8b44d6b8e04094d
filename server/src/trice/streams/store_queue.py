"""Which stream is stored next: a few at a time, and networks take turns.

Thousands of writers may leave at once. Each store is a file, a sync to disk and a transaction:
begun all together they would hold the loop for seconds, and have all bytes in memory twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from trice import stream_limits as limits
from trice.store.turns import Turns
from trice.streams.live import Live


class StoreQueue:
    """Holds the streams that wait to be stored, each once.

    Invariant: `Live.is_storing` is true from `put` until the store has ended.
    """

    def __init__(
        self,
        store: Callable[[Live], Awaitable[None]],
        *,
        on_stored: Callable[[Live], object],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        """
        store       makes durable what is in memory of a stream; never raises
        on_stored   called after each store; may put the stream again
        spawn       starts a task
        """
        self._store = store
        self._on_stored = on_stored
        self._spawn = spawn
        self._waiting: Turns[Live] = Turns()
        self._running = 0

    def __len__(self) -> int:
        """How many streams wait."""
        return len(self._waiting)

    def put(self, live: Live) -> None:
        """Store a stream when it is its turn; nothing happens if it waits or is stored now."""
        if live.is_storing:
            return
        live.is_storing = True
        self._waiting.add((live.network or "", live.app_id), live)
        if self._running < limits.STORES_AT_ONCE:
            self._running += 1
            self._spawn(self._work())

    async def _work(self) -> None:
        try:
            while (live := self._waiting.take(_anybody)) is not None:
                await self._store(live)
                live.is_storing = False
                self._on_stored(live)
        finally:
            self._running -= 1


def _anybody(_network: str) -> bool:
    return True
