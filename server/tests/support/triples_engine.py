"""A second engine: SQLite in memory behind another layout (`triples_rows`), for the contract.

    writer       a database in memory; its image is published with each group
    snapshots    copies of the published image

It shares with the first engine what depends on neither: the turns of writes and long reads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from support.triples_held import TriplesHeld
from support.triples_image import STEPS_PER_LOOK, Image, Open
from support.triples_rows import SCHEMA, TriplesAttrs, load_catalog
from trice import function_limits, limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import EventId, TxId
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import (
    ReadTooLong,
    Snapshot,
    Turn,
    WorkTooLong,
    WriteTx,
)
from trice.store.loop_reads import LoopReads
from trice.store.quota import Quota, Used, check_rows, growth
from trice.store.readers import Readers
from trice.store.write_queue import WriteQueue
from trice.store.write_turn import WriteTurn, WriteTurns

T = TypeVar("T")
Work = Callable[[WriteTx], Commit]


@dataclass(eq=False)
class _Call:
    work: Work
    event_id: EventId | None
    is_long: bool
    network: str
    answer: asyncio.Future[TxId]


@dataclass
class _Group:
    tx: TxId
    catalog: Catalog
    image: bytes = b""
    answers: list[tuple[_Call, TxId | Exception]] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)


@dataclass
class TriplesStore:
    """The durable data of one app: an image that outlives the engine."""

    image: bytes = b""
    latest_ms: int = 0


class TriplesEngine:
    """See `store.engine.Engine`."""

    def __init__(
        self, store: TriplesStore, *, runtime: Runtime, system_attrs: Iterable[Attr] = ()
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._writer = Image()
        if store.image:
            self._writer.file.deserialize("main", store.image)
        else:
            self._writer.file.execute(SCHEMA)
        catalog = load_catalog(self._writer.file)
        lacking = [attr for attr in system_attrs if attr.id not in catalog.by_id]
        placed = TriplesAttrs(self._writer.file, runtime.now_ms()).create(catalog, lacking)
        ((tx,),) = self._writer.file.execute("SELECT coalesce(max(tx), 0) FROM log").fetchall()
        store.image = self._writer.file.serialize("main")
        self._tx, self._catalog = TxId(tx), catalog.with_attrs(placed) if placed else catalog
        self._queue: WriteQueue[_Call] = WriteQueue()
        self._thread = ThreadPoolExecutor(1)
        self._is_busy = self._is_closing = False
        self._idle = asyncio.Event()
        self._latest_ms = store.latest_ms
        self._listeners: list[Callable[[Sequence[Commit]], None]] = []
        self._loop_reads = LoopReads()
        self._reader = Image(lambda: self._store.image)
        self._reader.interrupt_when(self._is_too_long, steps=STEPS_PER_LOOK)
        self._held: set[TriplesHeld] = set()
        self._holding: deque[asyncio.Future[None]] = deque()
        self._all_back = asyncio.Event()
        self._turns = WriteTurns(self._run_groups)
        self._first: _Call | None = None
        self._readers = Readers(lambda: Image(lambda: self._store.image), runtime)
        self._steps_left = self._steps_taken = 0
        self._quota = Quota()
        many = [attr.number for attr in self._catalog.by_id.values() if attr.is_pairs]
        self._rows = _count(self._writer, "members", "true")
        self._rows += _count(
            self._writer, "pairs", f"attr IN (SELECT value FROM json_each('{many}'))"
        )

    @property
    def tx(self) -> TxId:
        return self._tx

    @property
    def catalog(self) -> Catalog:
        return self._catalog

    # --- reading ----------------------------------------------------------------------------

    def may_have_result(self, event_id: EventId) -> bool:
        return True

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        self._steps_left = limits.READ_STEPS_ON_LOOP
        self._reader.judging.steps_left = limits.JUDGED_STEPS_ON_LOOP
        self._reader.judging.is_over = None
        self._reader.begin_snapshot()
        try:
            return work(
                Open(self._reader, self._tx, self._catalog, spend=self._spend, is_on_loop=True)
            )
        finally:
            self._steps_taken = limits.READ_STEPS_ON_LOOP - self._steps_left
            self._steps_left = limits.READ_STEPS_ON_LOOP

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ReadTooLong

    def _is_too_long(self) -> bool:
        self._steps_left -= STEPS_PER_LOOK
        return self._steps_left < 0

    async def read(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        if turn_key is SERVER or self._loop_reads.has_room():
            try:
                return self.read_now(work)
            except ReadTooLong:
                pass
            finally:
                self._loop_reads.spend(self._steps_taken)
        return await self.read_on_thread(work, timeout_ms=timeout_ms, turn_key=turn_key)

    async def read_on_thread(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        return await self._readers.read(
            work, timeout_ms=timeout_ms, turn_key=turn_key, published=self._published
        )

    async def _published(self) -> tuple[TxId, Catalog]:
        return self._tx, self._catalog

    @property
    def latest_ms(self) -> int:
        return self._store.latest_ms

    def now_ms(self) -> int:
        return self._runtime.now_ms()

    async def hold(self, *, lasts_ms: int) -> TriplesHeld:
        if self._is_closing:
            raise Unavailable("overloaded", "Try again later.")
        if self._holding or len(self._held) >= function_limits.HELD_SNAPSHOTS_MAX:
            waiting = asyncio.get_running_loop().create_future()
            self._holding.append(waiting)
            try:
                await asyncio.wait_for(waiting, function_limits.HELD_WAIT_MS / 1000)
            except TimeoutError:
                raise Unavailable("overloaded", "Try again later.") from None
        image = Image(lambda: self._store.image)
        image.begin_snapshot()
        held = TriplesHeld(self, image, lasts_ms=lasts_ms)
        self._held.add(held)
        return held

    def released(self, held: TriplesHeld) -> None:
        self._held.discard(held)
        self._all_back.set()
        while self._holding:
            waiting = self._holding.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    async def take_turn(self, *, lasts_ms: int) -> WriteTurn:
        if self._is_closing:
            raise Unavailable("overloaded", "Try again later.")
        turn = self._turns.ask(lasts_ms=lasts_ms)
        if not self._is_busy:
            self._run_groups()
        return await self._turns.wait(turn)

    # --- writing ----------------------------------------------------------------------------

    async def write(self, work: Work, **options: Any) -> TxId:
        return await self.submit(work, **options)

    def submit(
        self,
        work: Work,
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
        turn: Turn | None = None,
    ) -> asyncio.Future[TxId]:
        if turn is not None and turn.is_held:
            first: asyncio.Future[TxId] = asyncio.get_running_loop().create_future()
            self._first = _Call(work, event_id, is_long, turn_key[0], first)
            turn.end()
            return first
        if self._is_closing or len(self._queue) >= limits.TX_QUEUE_MAX:
            raise Unavailable("overloaded", "Try again later.")
        answer: asyncio.Future[TxId] = asyncio.get_running_loop().create_future()
        self._queue.put(_Call(work, event_id, is_long, turn_key[0], answer))
        if not self._is_busy:
            self._run_groups()
        return answer

    def _run_groups(self) -> None:
        """Run the waiting calls, until one is left to the thread."""
        self._is_busy = True
        if self._turns.is_held or (self._first is None and self._turns.begin()):
            return
        while len(self._queue) or self._first is not None:
            group = _Group(self._tx, self._catalog)
            call, self._first = self._first, None
            if call is None:
                call = self._queue.take_long()
            if call is not None:
                call.is_long = True  # on the thread, alone
                self._on_thread(group, call)
                return
            self._writer.file.execute("BEGIN")
            ends_ms = self._runtime.monotonic_ms() + limits.TX_GROUP_WORK_MS
            for _ in range(limits.TX_GROUP_MAX):
                call = self._queue.take_short()
                if call is None:
                    break
                self._run_call(group, call)
                if call.is_long or self._runtime.monotonic_ms() >= ends_ms:
                    break
            self._on_thread(group, None)
            return
        if self._turns.are_wanted:
            self._run_groups()
            return
        self._is_busy = False
        self._idle.set()

    def _on_thread(self, group: _Group, call: _Call | None) -> None:
        """Run a long call, if there is one, and COMMIT; then publish, back on the loop."""

        def commit() -> None:
            if call is not None:
                self._writer.file.execute("BEGIN")
                self._run_call(group, call)
            self._writer.file.execute("COMMIT")
            group.image = self._writer.file.serialize("main")

        done = asyncio.get_running_loop().run_in_executor(self._thread, commit)
        done.add_done_callback(lambda _: self._settle(group))

    def _run_call(self, group: _Group, call: _Call) -> None:
        """Run one call: it leaves all of its changes, or none."""
        run = self._writer.file.execute
        known = run("SELECT tx FROM log WHERE event = ?", (call.event_id,)).fetchall()
        if known:
            group.answers.append((call, TxId(known[0][0])))
            return
        tx = TxId(group.tx + 1)
        self._latest_ms = max(self._latest_ms, self._runtime.now_ms())
        self._store.latest_ms = self._latest_ms
        run("SAVEPOINT call")
        try:
            commit = call.work(
                Open(
                    self._writer,
                    tx,
                    group.catalog,
                    time_ms=self._latest_ms,
                    may_take_long=call.is_long,
                    earlier=tuple(group.commits),
                )
            )
            assert commit.tx == tx
            held = self._rows + sum(map(growth, group.commits))
            check_rows(self._quota, commit, held=held)
            run("INSERT INTO log VALUES (?, ?)", (tx, call.event_id))
        except WorkTooLong:
            assert not call.is_long
            run("ROLLBACK TO call; RELEASE call")
            call.is_long = True
            self._queue.put_back(call)
        except Exception as error:
            run("ROLLBACK TO call; RELEASE call")
            group.answers.append((call, error))
        else:
            run("RELEASE call")
            group.tx, group.catalog = tx, commit.catalog
            group.commits.append(commit)
            group.answers.append((call, tx))

    def _settle(self, group: _Group) -> None:
        self._tx, self._catalog, self._store.image = group.tx, group.catalog, group.image
        self._rows += sum(map(growth, group.commits))
        for listener in self._listeners if group.commits else ():
            try:
                listener(group.commits)
            except Exception as error:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "A listener of commits failed.", "exception": error}
                )
        for call, outcome in group.answers:
            if call.answer.done():
                continue
            if isinstance(outcome, Exception):
                call.answer.set_exception(outcome)
            else:
                call.answer.set_result(outcome)
        self._run_groups()

    async def used(self) -> Used:
        return Used(self._rows, len(self._store.image))

    async def bound(self, quota: Quota) -> None:
        self._quota = quota

    @property
    def waiting(self) -> tuple[int, int]:
        return len(self._queue), self._readers.waiting

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._turns.close()
        await self._readers.close()
        for held in tuple(self._held):
            held.close()
        while self._held:
            self._all_back.clear()
            await self._all_back.wait()
        while self._is_busy:
            self._idle.clear()
            await self._idle.wait()
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()
        self._listeners.clear()


def _count(image: Image, table: str, condition: str) -> int:
    ((count,),) = image.file.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchall()
    return int(count)
