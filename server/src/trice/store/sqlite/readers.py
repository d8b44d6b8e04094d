"""Long reads: a few threads, each with a connection of its own, a deadline for each read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.protocol.ids import TxId
from trice.runtime import Runtime
from trice.store.engine import ReadTooLong, Row, Snapshot
from trice.store.sqlite.connection import Connection, Role

T = TypeVar("T")

_STEPS_PER_LOOK: Final = 10_000


class OpenSnapshot:
    """A snapshot while its work runs (`engine.Snapshot`)."""

    __slots__ = ("catalog", "rows", "tx")

    def __init__(self, connection: Connection, *, tx: TxId, catalog: Catalog) -> None:
        self.tx = tx
        self.catalog = catalog
        self.rows: Callable[..., list[Row]] = connection.rows


@dataclass(slots=True, eq=False)
class _Reading:
    """One read on a thread: when it must end, and whether anybody still wants it."""

    deadline_ms: float
    is_abandoned: bool = False


class Readers:
    """The threads for long reads.

    Holds free connections and the reads under way. Does not hold: which transaction is published;
    that is asked when a read begins.
    """

    def __init__(self, path: str, runtime: Runtime) -> None:
        self._path = path
        self._runtime = runtime
        self._threads = ThreadPoolExecutor(limits.READER_THREADS, thread_name_prefix="trice-reader")
        self._slots = asyncio.Semaphore(limits.READER_THREADS)
        self._free: list[Connection] = []
        self._active: set[_Reading] = set()
        self._waiting_count = 0
        self._is_closing = False
        self._released = asyncio.Event()

    async def read(
        self,
        work: Callable[[Snapshot], T],
        *,
        deadline_ms: float,
        published: Callable[[], Awaitable[tuple[TxId, Catalog]]],
    ) -> T:
        """Run `work` on a thread.

        deadline_ms  of runtime.monotonic_ms; waiting for a thread counts
        published    the transaction and catalog to label the snapshot with, once disk agrees
        raises       Unavailable("timeout") at the deadline, ("overloaded") when too many wait
        """
        if self._is_closing:
            raise _stopping()
        if self._waiting_count >= limits.READS_WAITING_MAX:
            raise Unavailable("overloaded", "Too many long queries are waiting. Try again later.")
        reading = _Reading(deadline_ms)
        await self._take_slot(deadline_ms)
        try:
            tx, catalog = await published()
            if self._is_closing:
                raise _stopping()
            connection = self._begin()
        except BaseException:
            self._slots.release()
            raise
        snapshot = OpenSnapshot(connection, tx=tx, catalog=catalog)
        loop = asyncio.get_running_loop()
        self._active.add(reading)
        future = self._threads.submit(self._run, work, snapshot, connection, reading)
        future.add_done_callback(
            lambda _: loop.call_soon_threadsafe(self._release, connection, reading)
        )
        try:
            return await asyncio.wrap_future(future)
        except ReadTooLong as error:
            raise (_stopping() if self._is_closing else _timed_out()) from error
        finally:
            reading.is_abandoned = True

    @property
    def waiting(self) -> int:
        """How many reads wait for a thread."""
        return self._waiting_count

    async def close(self) -> None:
        """Stop the reads under way, then end the threads and connections."""
        self._is_closing = True
        for reading in self._active:
            reading.is_abandoned = True
        while self._active:
            self._released.clear()
            await self._released.wait()
        self._threads.shutdown()
        for connection in self._free:
            connection.close()
        self._free.clear()

    async def _take_slot(self, deadline_ms: float) -> None:
        self._waiting_count += 1
        remaining_ms = deadline_ms - self._runtime.monotonic_ms()
        try:
            await asyncio.wait_for(self._slots.acquire(), remaining_ms / 1000)
        except TimeoutError as error:
            raise _timed_out() from error
        finally:
            self._waiting_count -= 1

    def _begin(self) -> Connection:
        """Take a connection and open its snapshot, here on the loop, so that it is not older than
        what is published now."""
        connection = self._free.pop() if self._free else Connection(self._path, Role.READER)
        connection.begin_snapshot()
        return connection

    def _run(
        self,
        work: Callable[[Snapshot], T],
        snapshot: OpenSnapshot,
        connection: Connection,
        reading: _Reading,
    ) -> T:
        """On a reader thread: run `work` until it ends or its time is up."""

        def is_over() -> bool:
            return reading.is_abandoned or self._runtime.monotonic_ms() > reading.deadline_ms

        connection.interrupt_when(is_over, steps=_STEPS_PER_LOOK)
        try:
            return work(snapshot)
        finally:
            connection.interrupt_when(None)

    def _release(self, connection: Connection, reading: _Reading) -> None:
        connection.rollback()
        self._free.append(connection)
        self._active.discard(reading)
        self._slots.release()
        self._released.set()


def _stopping() -> Unavailable:
    return Unavailable("overloaded", "The server is stopping. Try again in a moment.")


def _timed_out() -> Unavailable:
    return Unavailable(
        "timeout",
        "The query took too long to complete. Ask for less at once: add a `limit`, or index the"
        " attributes that its `where` and `order` use.",
    )
