"""Snapshots that last over awaits: a few connections of their own, each used by one run at a time.

    take ──> waits in line ──> a connection is free, and nobody changes attrs ──> Held ──> close

Reads run on the loop within the budget of any read there, else on threads of their own: threads
for other long reads may wait until no snapshot is held.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from trice import function_limits, limits
from trice.catalog.catalog import Catalog
from trice.errors import TriceError, Unavailable, without_traceback
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import TxId
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import ReadTooLong, Snapshot, WorkTooLong, WriteTx
from trice.store.loop_reads import LoopReads
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.log import load_last
from trice.store.sqlite.overlay import Overlay, OverlaySnapshot
from trice.store.sqlite.snapshots import OpenSnapshot

T = TypeVar("T")

_STEPS_PER_LOOK: Final = 1_000
_STEPS_PER_LOOK_ON_THREAD: Final = 10_000


class Holds:
    """The connections that hold snapshots. Holds those that are free, how many are in use, and who
    waits for one. Does not hold what is written in a snapshot (`overlay.Overlay`)."""

    def __init__(
        self,
        path: str,
        runtime: Runtime,
        *,
        loop_reads: LoopReads,
        may_begin: Callable[[], bool],
    ) -> None:
        """
        may_begin  whether a snapshot may be taken; after a no, `go_on` is called when it may
        """
        self._path = path
        self._runtime = runtime
        self.loop_reads = loop_reads
        self._may_begin = may_begin
        self._free: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._open: set[OpenHeld] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._is_closing = False
        self._all_back = asyncio.Event()
        self._idle = 0
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> int:
        """How many snapshots are held, or about to be."""
        return self._taken

    @property
    def threads(self) -> ThreadPoolExecutor:
        """Where long reads run; made for the first."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(
                function_limits.HELD_THREADS, thread_name_prefix="trice-held"
            )
        return self._threads

    async def take(
        self, *, lasts_ms: int, published: Callable[[], Awaitable[tuple[TxId, Catalog]]]
    ) -> OpenHeld:
        """See `engine.Engine.hold`.

        published  the catalog of what disk has, once both agree
        """
        if self._is_closing:
            raise _stopping()
        if self._waiting or not self._has_room():
            await self._wait()
        else:
            self._taken += 1
        try:
            _, catalog = await published()
            if self._is_closing:
                raise _stopping()
            connection = self._free.pop() if self._free else Connection(self._path, Role.HOLDER)
            self._idle = min(self._idle, len(self._free))
            try:
                held = OpenHeld(self, connection, self._runtime, catalog, lasts_ms=lasts_ms)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            self._give_back()
            raise
        self._open.add(held)
        return held

    def released(self, held: OpenHeld, connection: Connection) -> None:
        """Take back the connection of a snapshot that was closed."""
        self._open.discard(held)
        if self._is_closing:
            connection.close()
        else:
            self._free.append(connection)
            if self._idle_timer is None and len(self._free) > function_limits.HELD_FREE_MAX:
                self._watch_idle()
        self._give_back()

    def go_on(self) -> None:
        """Let those who wait begin, as far as there is room."""
        while self._waiting and self._has_room():
            waiting = self._waiting.popleft()
            if not waiting.done():
                self._taken += 1
                waiting.set_result(None)

    async def close(self) -> None:
        """Close all snapshots; wait for reads under way to end."""
        self._is_closing = True
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(_stopping())
        for held in tuple(self._open):
            held.close()
        while self._taken:
            self._all_back.clear()
            await self._all_back.wait()
        if self._threads is not None:
            self._threads.shutdown()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for connection in self._free:
            connection.close()
        self._free.clear()
        self._may_begin = _never  # it refers back to the owner; without it all is freed at once

    def _watch_idle(self) -> None:
        """Note from here on how many connections are not needed, and close these in time."""
        self._idle = len(self._free)
        loop = asyncio.get_running_loop()
        self._idle_timer = loop.call_later(function_limits.HELD_IDLE_MS / 1000, self._close_idle)

    def _close_idle(self) -> None:
        self._idle_timer = None
        for _ in range(min(self._idle, len(self._free) - function_limits.HELD_FREE_MAX)):
            self._free.pop(0).close()
        if len(self._free) > function_limits.HELD_FREE_MAX:
            self._watch_idle()

    def _has_room(self) -> bool:
        return self._taken < function_limits.HELD_SNAPSHOTS_MAX and self._may_begin()

    async def _wait(self) -> None:
        """Wait for room, which is taken when this returns."""
        if len(self._waiting) >= function_limits.HELD_WAITING_MAX:
            raise _too_many()
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            # Shielded: the room may come just when waiting ends.
            await asyncio.wait_for(asyncio.shield(waiting), function_limits.HELD_WAIT_MS / 1000)
        except BaseException as error:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._give_back()
            elif waiting in self._waiting:
                self._waiting.remove(waiting)
            if isinstance(error, TimeoutError):
                raise _too_many() from error
            raise

    def _give_back(self) -> None:
        self._taken -= 1
        self._all_back.set()
        if not self._is_closing:
            self.go_on()


class OpenHeld:
    """One snapshot (`engine.Held`). Its connection is used by one read or write at a time."""

    def __init__(
        self,
        holds: Holds,
        connection: Connection,
        runtime: Runtime,
        catalog: Catalog,
        *,
        lasts_ms: int,
    ) -> None:
        self._holds = holds
        self._connection = connection
        self._runtime = runtime
        connection.run("BEGIN")
        self.tx, self.time_ms = load_last(connection)  # the first read, which takes the snapshot
        self.catalog = catalog
        self._overlay: Overlay | None = None
        self._marked: list[Catalog] = []
        self.is_open = True
        self._is_used = False
        self._steps_left = 0
        lasts_ms = min(lasts_ms, function_limits.HELD_MS_MAX)
        self._timer = asyncio.get_running_loop().call_later(lasts_ms / 1000, self.close)

    async def read(self, work: Callable[[Snapshot], T], *, turn_key: TurnKey = SERVER) -> T:
        """See `engine.Held.read`."""

        def on_loop() -> T:
            return work(self._snapshot(self._spend))

        def on_thread(spend: Callable[[int], None]) -> T:
            return work(self._snapshot(spend))

        self._check_usable()
        loop_reads = self._holds.loop_reads
        if turn_key == SERVER or loop_reads.has_room():
            try:
                return self._run_on_loop(on_loop)
            except ReadTooLong:
                pass
            finally:
                loop_reads.spend(limits.READ_STEPS_ON_LOOP - self._steps_left)
        return await self._run_on_thread(on_thread)

    async def write(self, work: Callable[[WriteTx], Commit], *, is_long: bool = False) -> Commit:
        """See `engine.Held.write`."""
        self._check_usable()
        if self._overlay is None:
            self._overlay = Overlay(self._connection)
        overlay = self._overlay
        tx, time_ms = TxId(self.tx + 1), max(self.time_ms, self._runtime.now_ms())

        def run(*, may_take_long: bool) -> Commit:
            return overlay.run(
                work, tx=tx, time_ms=time_ms, catalog=self.catalog, may_take_long=may_take_long
            )

        commit: Commit | None = None
        # Never interrupted: SQLite would end the whole transaction, and with it the snapshot.
        if not is_long:
            with suppress(WorkTooLong):
                commit = run(may_take_long=False)
        if commit is None:
            commit = await self._run_on_thread(lambda _: run(may_take_long=True), is_write=True)
        self.catalog = commit.catalog
        return commit

    def mark(self) -> int:
        """See `engine.Held.mark`."""
        self._check_usable()
        if self._overlay is None:
            self._overlay = Overlay(self._connection)
        self._marked.append(self.catalog)
        return self._overlay.mark()

    def undo(self, mark: int) -> None:
        """See `engine.Held.undo`."""
        self._check_usable()
        assert self._overlay is not None, "there are no marks"
        self._overlay.undo(mark)
        self.catalog = self._marked[mark]
        del self._marked[mark:]

    def close(self) -> None:
        """See `engine.Held.close`."""
        if self.is_open:
            self.is_open = False
            self._timer.cancel()
            if not self._is_used:
                self._release()

    def _snapshot(self, spend: Callable[[int], None]) -> OpenSnapshot:
        kind = OpenSnapshot if self._overlay is None else OverlaySnapshot
        return kind(self._connection, tx=self.tx, catalog=self.catalog, spend=spend)

    def _run_on_loop(self, work: Callable[[], T]) -> T:
        connection = self._connection
        self._steps_left = limits.READ_STEPS_ON_LOOP
        connection.interrupt_when(self._is_too_long, steps=_STEPS_PER_LOOK)
        connection.judge_on_loop()
        try:
            return work()
        finally:
            connection.interrupt_when(None)

    async def _run_on_thread(
        self, work: Callable[[Callable[[int], None]], T], *, is_write: bool = False
    ) -> T:
        """Run `work` on a thread until it ends or the snapshot is closed."""
        connection, taken = self._connection, [0]

        def is_over() -> bool:
            return not self.is_open

        def spend(steps: int) -> None:
            taken[0] += steps
            if taken[0] > _STEPS_PER_LOOK_ON_THREAD:
                taken[0] = 0
                if is_over():
                    raise ReadTooLong

        def run() -> T:
            if not is_write:
                connection.interrupt_when(is_over, steps=_STEPS_PER_LOOK_ON_THREAD)
            try:
                return work(spend)
            except TriceError as failure:
                raise without_traceback(failure)  # noqa: B904 (it is the failure itself)
            finally:
                connection.interrupt_when(None)

        loop = asyncio.get_running_loop()
        self._is_used = True
        future = self._holds.threads.submit(run)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._come_back))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except ReadTooLong as error:
            raise _over() from error
        except asyncio.CancelledError:
            self.close()  # what waits for the read has gone, and with it the run
            raise

    def _come_back(self) -> None:
        """The thread has done its work; the loop may use the connection again."""
        self._is_used = False
        if not self.is_open:
            self._release()

    def _release(self) -> None:
        self._connection.rollback()
        self._holds.released(self, self._connection)

    def _check_usable(self) -> None:
        assert not self._is_used, "a snapshot is used by one read or write at a time"
        if not self.is_open:
            raise _over()

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ReadTooLong

    def _is_too_long(self) -> bool:
        self._steps_left -= _STEPS_PER_LOOK
        return self._steps_left < 0


def _never() -> bool:
    """False: nobody may begin any more."""
    return False


def _too_many() -> Unavailable:
    return Unavailable("overloaded", "Too many functions read this app's data. Try again later.")


def _stopping() -> Unavailable:
    return Unavailable("overloaded", "The server is stopping. Try again in a moment.")


def _over() -> Unavailable:
    return Unavailable(
        "timeout", "The time of this call is over: it read and waited for too long. Do less in one."
    )
