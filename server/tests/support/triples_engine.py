"""A second engine: SQLite in memory behind another layout (`triples_rows`), for the contract.

    writer       a database in memory; its image is published with each group
    snapshots    copies of the published image

It shares with the first engine what depends on neither: the turns of writes and long reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import apsw
import orjson

from support.triples_dialect import TRIPLES
from support.triples_rows import SCHEMA, TriplesAttrs, TriplesRows, load_catalog
from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import EventId, TxId
from trice.runtime import Runtime
from trice.store.commit import Commit, LoggedChanges
from trice.store.dialect import Dialect
from trice.store.engine import Binding, ReadTooLong, Row, Snapshot, Take, WorkTooLong, WriteTx
from trice.store.judging import JudgedApart
from trice.store.loop_reads import LoopReads
from trice.store.readers import Readers
from trice.store.sqlite import functions
from trice.store.write_queue import WriteQueue

T = TypeVar("T")
Work = Callable[[WriteTx], Commit]
_STEPS_PER_LOOK = 1_000


class Image:
    """A database in memory, empty or a copy (`readers.Reader`). Its statements can be stopped."""

    dialect: Dialect = TRIPLES

    def __init__(self, image: Callable[[], bytes] | None = None) -> None:
        """
        image   what `begin_snapshot` copies
        """
        self.file = apsw.Connection(":memory:")
        self.judging = functions.register(self.file)
        self._image = image
        self._copied: bytes | None = None

    def begin_snapshot(self) -> None:
        assert self._image is not None
        if self._copied is not self._image():
            self._copied = self._image()
            self.file.deserialize("main", self._copied)

    def rollback(self) -> None:
        """A copy has no transaction."""

    def close(self) -> None:
        self.judging.is_over = functions.never
        self.file.close()

    def interrupt_when(self, is_over: Callable[[], bool] | None, *, steps: int = 0) -> None:
        self.file.set_progress_handler(is_over, steps)
        self.judging.is_over = is_over or functions.never

    def snapshot(self, tx: TxId, catalog: Catalog, spend: Callable[[int], None]) -> Open:
        return Open(self, tx, catalog, spend=spend)

    def rows(
        self, sql: str, bindings: Sequence[Binding] = (), take: Take | None = None
    ) -> list[Row]:
        found: list[Row] = []
        for piece in self.pieces(sql, bindings, rows_max=take.rows_first if take else 1_000):
            if take is not None:
                take(piece)
            found += piece
        return found

    def pieces(
        self, sql: str, bindings: Sequence[Binding] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        bound = [
            orjson.dumps([one.hex() for one in value]).decode()
            if isinstance(value, tuple)
            else value
            for value in bindings
        ]
        cursor = self.file.cursor()
        try:
            reading = cursor.execute(sql, bound)
            while piece := list(islice(reading, rows_max)):
                yield piece
        except apsw.InterruptError as error:
            raise ReadTooLong from error
        finally:
            cursor.close(True)


class Open:
    """A snapshot or an open write while its work runs (`engine.Snapshot`, `engine.WriteTx`)."""

    dialect: Dialect = TRIPLES

    def __init__(
        self,
        image: Image,
        tx: TxId,
        catalog: Catalog,
        *,
        spend: Callable[[int], None] = lambda _: None,
        is_on_loop: bool = False,
        time_ms: int = 0,
        may_take_long: bool = False,
    ) -> None:
        self.tx = tx
        self.catalog = catalog
        self.time_ms = time_ms
        self.may_take_long = may_take_long
        self.spend = spend
        self.stored = TriplesRows(image.file)
        self.attrs = TriplesAttrs(image.file, time_ms)
        judged = JudgedApart(_Plain(image, spend), may_begin_again=is_on_loop)
        self.rows, self.pieces = judged.rows, judged.pieces

    def logged_changes(
        self, after: TxId, *, rows_max: int, bytes_max: int, is_whole: bool
    ) -> Sequence[LoggedChanges]:
        """It keeps no log."""
        return []

    def newest_tx(self) -> TxId:
        return self.tx

    def commits_after(
        self, after: TxId, *, rows_max: int, bytes_max: int
    ) -> Sequence[Commit] | None:
        """It keeps no log."""
        return [] if after == self.tx else None


class _Plain:
    """Statements without judged terms."""

    dialect: Dialect = TRIPLES

    def __init__(self, image: Image, spend: Callable[[int], None]) -> None:
        self.rows, self.pieces, self.spend = image.rows, image.pieces, spend


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
        self._reader.interrupt_when(self._is_too_long, steps=_STEPS_PER_LOOK)
        self._readers = Readers(lambda: Image(lambda: self._store.image), runtime)
        self._steps_left = self._steps_taken = 0

    @property
    def tx(self) -> TxId:
        return self._tx

    @property
    def catalog(self) -> Catalog:
        return self._catalog

    # --- reading ----------------------------------------------------------------------------

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
        self._steps_left -= _STEPS_PER_LOOK
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
    ) -> asyncio.Future[TxId]:
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
        while len(self._queue):
            group = _Group(self._tx, self._catalog)
            call = self._queue.take_long()
            if call is not None:
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
                )
            )
            assert commit.tx == tx
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

    @property
    def waiting(self) -> tuple[int, int]:
        return len(self._queue), self._readers.waiting

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        await self._readers.close()
        while self._is_busy:
            self._idle.clear()
            await self._idle.wait()
        self._thread.shutdown()
        self._reader.close()
        self._writer.close()
        self._listeners.clear()
