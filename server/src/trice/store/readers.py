"""Long reads: a few threads with a connection each, in turns, and a deadline for each read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import TriceError, Unavailable, without_traceback
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import TxId
from trice.runtime import Runtime
from trice.store.engine import ReadTooLong, Snapshot
from trice.store.turns import Turns

T = TypeVar("T")

_STEPS_PER_LOOK: Final = 10_000


class Reader(Protocol):
    """A connection that one read uses at a time."""

    def begin_snapshot(self) -> None:
        """See the data as it is now, until `rollback`."""
        ...

    def snapshot(self, tx: TxId, catalog: Catalog, spend: Callable[[int], None]) -> Snapshot:
        """The snapshot that work is given: what `begin_snapshot` saw, labelled with `tx`."""
        ...

    def interrupt_when(self, is_over: Callable[[], bool] | None, *, steps: int = 0) -> None:
        """Ask every `steps` of a statement whether to stop; if so it raises ReadTooLong."""
        ...

    def rollback(self) -> None:
        """Let go of the snapshot."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Reading:
    """One read on a thread: whose turn it takes, when it must end, whether its caller still waits.

    turn         done when a thread is free for it
    deadline_ms  of runtime.monotonic_ms, set when it begins
    """

    turn_key: TurnKey
    turn: asyncio.Future[None]
    deadline_ms: float = 0.0
    is_abandoned: bool = False


class Readers:
    """The threads for long reads.

        read ──> waits in turns ──> a thread is free, and may be its network's ──> runs ──> next

    Holds free connections, the reads that wait and those under way. Does not hold: which
    transaction is published; that is asked when a read begins.

    Networks take turns, and no network but the server's own may use all threads. So a newcomer
    gets a thread as soon as a read of another network ends, however many reads wait.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        runtime: Runtime,
        *,
        may_begin: Callable[[], bool] | None = None,
    ) -> None:
        """
        may_begin  whether a read may begin; asked before each read and after each that ended. After
                   a no it is asked again at the next of these, or by `go_on`. None: always
        """
        self._open_reader = open_reader
        self._may_begin = may_begin or _always
        self._runtime = runtime
        self._threads = ThreadPoolExecutor(limits.READER_THREADS, thread_name_prefix="trice-reader")
        self._waiting: Turns[_Reading] = Turns()
        self._running: dict[str, int] = {}
        self._free: list[Reader] = []
        self._active: set[_Reading] = set()
        self._is_closing = False
        self._released = asyncio.Event()

    async def read(
        self,
        work: Callable[[Snapshot], T],
        *,
        timeout_ms: int,
        turn_key: TurnKey,
        published: Callable[[], Awaitable[tuple[TxId, Catalog]]],
    ) -> T:
        """Run `work` on a thread.

        timeout_ms   counts from when the work begins: waiting for a thread is no part of it
        turn_key     whose turn it takes
        published    the transaction and catalog to label the snapshot with, once disk agrees
        raises       Unavailable("timeout") at the deadline, ("overloaded") when too many wait
        """
        if self._is_closing:
            raise _stopping()
        self._make_room(turn_key)
        reading = _Reading(turn_key, asyncio.get_running_loop().create_future())
        self._waiting.add(turn_key, reading)
        self._start_next()
        await self._take_turn(reading)
        try:
            tx, catalog = await published()
            if self._is_closing:
                raise _stopping()
            connection = self._begin()
        except BaseException:
            self._end_turn(reading)
            raise
        reading.deadline_ms = self._runtime.monotonic_ms() + timeout_ms
        loop = asyncio.get_running_loop()
        self._active.add(reading)
        future = self._threads.submit(self._run, work, tx, catalog, connection, reading)
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
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many reads have a thread; they may see an earlier state."""
        return sum(self._running.values())

    def go_on(self) -> None:
        """Let reads begin again."""
        self._start_next()

    async def close(self) -> None:
        """Stop the reads under way, then end the threads and connections."""
        self._is_closing = True
        for reading in self._waiting.take_all():
            _refuse(reading, _stopping())
        for reading in self._active:
            reading.is_abandoned = True
        while self._active:
            self._released.clear()
            await self._released.wait()
        self._threads.shutdown()
        for connection in self._free:
            connection.close()
        self._free.clear()
        self._may_begin = _always  # it refers back to the owner; without it all is freed at once

    def _make_room(self, turn_key: TurnKey) -> None:
        """Let one more read wait. In a full queue the newest read of the turn key with the most
        waiting gives up its place, if its network has more waiting than this one would."""
        network, _ = turn_key
        count = self._waiting.count_of(network)
        if turn_key != SERVER and count >= limits.READS_WAITING_OF_NETWORK_MAX:
            raise _too_many()
        if len(self._waiting) >= limits.READS_WAITING_MAX:
            is_less = count + 1 < self._waiting.most
            newest = self._waiting.take_newest_of_most() if is_less else None
            if newest is None:
                raise _too_many()
            _refuse(newest, _too_many())

    def _start_next(self) -> None:
        """Give the free threads away."""
        if not self._may_begin():
            return
        while self.running < limits.READER_THREADS:
            reading = self._waiting.take(self._may_run)
            if reading is None:
                return
            network, _ = reading.turn_key
            self._running[network] = self._running.get(network, 0) + 1
            reading.turn.set_result(None)

    def _may_run(self, network: str) -> bool:
        count = self._running.get(network, 0)
        return network == SERVER[0] or count < limits.READER_THREADS_OF_NETWORK

    def _end_turn(self, reading: _Reading) -> None:
        network, _ = reading.turn_key
        self._running[network] -= 1
        if not self._running[network]:
            del self._running[network]
        self._start_next()

    async def _take_turn(self, reading: _Reading) -> None:
        try:
            # The future itself is never cancelled: the turn may come just when waiting ends.
            await asyncio.wait_for(asyncio.shield(reading.turn), limits.READ_WAIT_MS / 1000)
        except BaseException as error:
            if reading.turn.done() and not reading.turn.exception():
                self._end_turn(reading)
            self._waiting.discard(reading.turn_key, reading)
            if isinstance(error, TimeoutError):
                raise _too_many() from error
            raise

    def _begin(self) -> Reader:
        """Take a connection and open its snapshot. This is done on the loop, so that the snapshot
        is not older than what is published now."""
        connection = self._free.pop() if self._free else self._open_reader()
        connection.begin_snapshot()
        return connection

    def _run(
        self,
        work: Callable[[Snapshot], T],
        tx: TxId,
        catalog: Catalog,
        connection: Reader,
        reading: _Reading,
    ) -> T:
        """On a reader thread: run `work` until it ends or its time is up."""

        def is_over() -> bool:
            return reading.is_abandoned or self._runtime.monotonic_ms() > reading.deadline_ms

        spending = _Spending(is_over)
        snapshot = connection.snapshot(tx, catalog, spending.spend)
        connection.interrupt_when(is_over, steps=_STEPS_PER_LOOK)
        try:
            return work(snapshot)
        except TriceError as failure:
            raise without_traceback(failure)  # noqa: B904 (it is the failure itself)
        finally:
            connection.interrupt_when(None)

    def _release(self, connection: Reader, reading: _Reading) -> None:
        connection.rollback()
        self._free.append(connection)
        self._active.discard(reading)
        self._end_turn(reading)
        self._released.set()


class _Spending:
    """Counts work besides statements on a thread, and checks the deadline now and then."""

    __slots__ = ("_is_over", "_left")

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._left = _STEPS_PER_LOOK

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            self._left = _STEPS_PER_LOOK
            if self._is_over():
                raise ReadTooLong


def _always() -> bool:
    """True: reads may always begin."""
    return True


def _refuse(reading: _Reading, failure: Unavailable) -> None:
    if not reading.turn.done():
        reading.turn.set_exception(failure)


def _too_many() -> Unavailable:
    return Unavailable("overloaded", "Too many long queries are waiting. Try again later.")


def _stopping() -> Unavailable:
    return Unavailable("overloaded", "The server is stopping. Try again in a moment.")


def _timed_out() -> Unavailable:
    return Unavailable(
        "timeout",
        "The query took too long to complete. Ask for less at once: add a `limit`, or index the"
        " attributes that its `where` and `order` use.",
    )
