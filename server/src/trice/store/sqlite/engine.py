"""The storage engine on SQLite: one file, one writer, many readers.

writer's connection   works on the loop, COMMIT on its thread      (writer.py)
loop's connection     short reads, right on the event loop         (here)
reader connections    long reads, on threads                       (../readers.py)
holding connections   snapshots that last while functions await    (holds.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.identity import SERVER, TurnKey
from trice.loop_shares import LoopShare
from trice.protocol.ids import EventId, TxId
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.engine import Held, ReadTooLong, Snapshot, Turn, WriteTx
from trice.store.loop_reads import LoopReads
from trice.store.quota import Quota, Used
from trice.store.readers import Readers
from trice.store.sqlite import attr_rows, log
from trice.store.sqlite.building import drop_unfinished
from trice.store.sqlite.commit_place import CommitPlace
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.holds import Holds
from trice.store.sqlite.migrations import FORMAT, MIGRATIONS, migrate
from trice.store.sqlite.quota import Usage, count_bytes, count_rows
from trice.store.sqlite.reshaping import SqliteReshaping
from trice.store.sqlite.snapshots import OpenSnapshot, ReadConnection
from trice.store.sqlite.tables import create_attrs, renew_indexes
from trice.store.sqlite.views import add_views, renew_views
from trice.store.sqlite.write_ahead import is_log_damaged
from trice.store.sqlite.writer import OpenTx, Writer
from trice.store.sqlite.writer_thread import Apart

T = TypeVar("T")

_STEPS_PER_LOOK: Final = 1_000


class SqliteEngine:
    """One app's storage in one SQLite file (`store.engine.Engine`).

    Holds the connections and the published transaction id and catalog (in its writer).
    Does not hold: live queries, sessions, rows.

    While a COMMIT that changes tables runs on its thread, short reads see the database as it was
    before (`_is_pinned`), and long reads wait: the published catalog describes other tables.
    """

    def __init__(
        self,
        path: str,
        writer: Connection,
        *,
        runtime: Runtime,
        quota: Quota | None,
        loop_reads: LoopReads,
        history_days: int,
        share: LoopShare | None,
        apart: Apart | None,
    ) -> None:
        """Use `SqliteEngine.open`."""
        self._runtime = runtime
        self._listeners: list[Callable[[Sequence[Commit]], None]] = []
        catalog = attr_rows.load_catalog(writer)
        self._usage = Usage(quota)
        if quota is not None and quota.rows is not None:
            self._usage.count_now(writer, catalog)
        self._counting: asyncio.Task[None] | None = None
        self._writer = Writer(
            writer,
            runtime=runtime,
            tx=log.load_last_tx(writer),
            catalog=catalog,
            before_catalog=self._pin,
            after_group=self._after_group,
            usage=self._usage,
            commit_place=CommitPlace(loop_reads),
            history_days=history_days,
            share=share,
            apart=apart,
        )
        self._reader = Connection(path, Role.READER)
        self._reader.interrupt_when(self._is_too_long, steps=_STEPS_PER_LOOK)
        self._readers = Readers(
            partial(ReadConnection, path, Role.READER), runtime, may_begin=self._may_begin
        )
        self._holds = Holds(path, runtime, loop_reads=loop_reads, may_begin=self._may_begin)
        self.reshaping = SqliteReshaping(path, self._writer.tend, runtime=runtime)
        self._loop_reads = loop_reads
        self._steps_left = limits.READ_STEPS_ON_LOOP
        self._steps_taken = 0
        self._is_pinned = False
        self._settled = asyncio.Event()
        self._is_closed = self._is_released = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        runtime: Runtime,
        system_attrs: Iterable[Attr] = (),
        can_create: bool = True,
        is_lasting: bool = True,
        quota: Quota | None = None,
        loop_reads: LoopReads | None = None,
        checked_bytes_max: int = 0,
        history_days: int = limits.TX_LOG_DAYS,
        share: LoopShare | None = None,
        apart: Apart | None = None,
    ) -> SqliteEngine:
        """Open the file, or create it.

        system_attrs  attrs every app has; the ones the file lacks are added to it
        can_create    False: the file must be there, and hold an app
        is_lasting    False: no COMMIT waits for the disk, and a crash may damage the file
        quota         how much it may hold; None: as much as the disk takes
        loop_reads    the counter that all engines of the process share; None: one of its own
        checked_bytes_max   a file of at most this size is read through, to find damage
        history_days        how long the log of transactions is kept
        share         of the event loop, beside other apps; None: nobody else needs it
        apart         where COMMITs and long work run; None: on a thread of its own
        raises        Unavailable("data-unusable") when it is missing, damaged, or has a format this
                      server does not know; ("overloaded") when there is no room to migrate it
        cost          1 ms for an existing file, up to 30 ms where many transactions had an event
                      id; 10 ms for a new file; up to 1 s for a file of an older version, whose
                      indexes and figures are renewed; for one of an older format also `migrate`
        """
        if not can_create:
            _check_there(Path(path))
        writer = Connection(
            *(str(path), Role.WRITER),
            can_create=can_create,
            is_lasting=is_lasting,
            format_max=FORMAT,
        )
        try:
            _drop_unfinished(writer)
            if Path(path).stat().st_size <= checked_bytes_max:
                _check_whole(writer)
            migrate(writer, Path(path), MIGRATIONS)
            _prepare(writer, runtime, system_attrs, can_create=can_create)
            engine = cls(
                str(path),
                writer,
                runtime=runtime,
                quota=quota,
                loop_reads=loop_reads or LoopReads(),
                history_days=history_days,
                share=share,
                apart=apart,
            )
            writer.run("PRAGMA shrink_memory")  # frees cached pages, 0.5 MB: few are needed again
            return engine
        except BaseException:
            writer.close()
            raise

    @property
    def tx(self) -> TxId:
        """The last published transaction, 0 before the first."""
        return self._writer.tx

    @property
    def catalog(self) -> Catalog:
        """The catalog as of `tx`."""
        return self._writer.catalog

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        """See `engine.Engine.read_now`. Costs 2 µs besides the work."""
        if self._is_released:
            raise Unavailable("overloaded", "The app was closed meanwhile. Try again.")
        reader = self._reader
        self._loop_reads.count += 1
        snapshot = OpenSnapshot(
            reader,
            tx=self._writer.tx,
            catalog=self._writer.catalog,
            spend=self._spend,
            result_tables=self._writer.result_tables,
        )
        if not self._is_pinned:
            reader.run("BEGIN")
        self._steps_left = limits.READ_STEPS_ON_LOOP
        reader.judge_on_loop()
        try:
            return work(snapshot)
        finally:
            self._steps_taken = limits.READ_STEPS_ON_LOOP - self._steps_left
            self._steps_left = limits.READ_STEPS_ON_LOOP
            if not self._is_pinned:
                reader.run("END")

    def may_have_result(self, event_id: EventId) -> bool:
        """See `engine.Engine.may_have_result`. Costs 2 µs."""
        return self._writer.result_tables.may_have(event_id)

    async def read(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        """See `engine.Engine.read`. Look-ups of the server itself always run at once."""
        if turn_key == SERVER or self._loop_reads.has_room():
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
        """See `engine.Engine.read_on_thread`."""
        return await self._readers.read(
            work, timeout_ms=timeout_ms, turn_key=turn_key, published=self._published
        )

    async def write(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
    ) -> TxId:
        """See `engine.Engine.write`."""
        return await self._writer.submit(work, event_id, is_long=is_long, turn_key=turn_key)

    def submit(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
        turn: Turn | None = None,
    ) -> asyncio.Future[TxId]:
        """See `engine.Engine.submit`."""
        return self._writer.submit(work, event_id, is_long=is_long, turn_key=turn_key, turn=turn)

    async def hold(self, *, lasts_ms: int) -> Held:
        """See `engine.Engine.hold`."""
        return await self._holds.take(lasts_ms=lasts_ms, published=self._published)

    async def take_turn(self, *, lasts_ms: int) -> Turn:
        """See `engine.Engine.take_turn`."""
        return await self._writer.take_turn(lasts_ms=lasts_ms)

    @property
    def waiting(self) -> tuple[int, int]:
        """See `engine.Engine.waiting`."""
        return self._writer.waiting, self._readers.waiting

    async def used(self) -> Used:
        """See `engine.Engine.used`."""
        while self._usage.rows is None:
            if self._counting is None:
                self._counting = asyncio.get_running_loop().create_task(self._count())
            # Shielded: others wait for the same count.
            await asyncio.shield(self._counting)
        return Used(self._usage.rows, self.read_now(count_bytes))

    async def bound(self, quota: Quota) -> None:
        """See `engine.Engine.bound`."""
        self._usage.quota = quota
        if quota.rows is not None:
            await self.used()

    async def _count(self) -> None:
        """Count the rows on a thread, beside writes."""

        def work(snapshot: Snapshot) -> tuple[int, TxId]:
            return count_rows(snapshot, snapshot.catalog), snapshot.newest_tx()

        self._usage.begin_count()
        try:
            timeout_ms = limits.ADMIN_READ_TIMEOUT_MS
            self._usage.counted(*await self.read_on_thread(work, timeout_ms=timeout_ms))
        finally:
            self._usage.give_up()
            self._counting = None

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        """See `engine.Engine.on_commits`."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Finish the accepted writes, stop long reads, checkpoint, release the file."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._readers.close()
        await self._holds.close()
        await self._writer.finish()
        self._is_released = True
        self._reader.close()
        self._writer.close()
        self._listeners.clear()

    def _may_begin(self) -> bool:
        """Whether a long read may begin, or a snapshot be held; else `_go_on` is called once they
        may: when the log was copied, because nobody reads an earlier state."""
        if not self._writer.is_log_long:
            return True
        if not self._readers.running and not self._holds.held:
            self._writer.copy_log(self._go_on)
        return False

    def _go_on(self) -> None:
        self._readers.go_on()
        self._holds.go_on()

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise ReadTooLong

    def _is_too_long(self) -> bool:
        self._steps_left -= _STEPS_PER_LOOK
        return self._steps_left < 0

    def _pin(self) -> None:
        self._steps_left = limits.READ_STEPS_ON_LOOP
        self._reader.begin_snapshot()
        self._settled.clear()
        self._is_pinned = True

    def _after_group(self, commits: Sequence[Commit]) -> None:
        if self._is_pinned:
            self._is_pinned = False
            self._steps_left = limits.READ_STEPS_ON_LOOP  # the latest read may have left none
            self._reader.run("END")
            self._settled.set()
        if not commits:
            return
        for listener in self._listeners:
            try:
                listener(commits)
            except Exception as error:
                # The commits are durable: their callers must be told so, even if a listener fails.
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "A listener of commits failed.", "exception": error}
                )

    async def _published(self) -> tuple[TxId, Catalog]:
        while self._is_pinned:
            await self._settled.wait()
        return self._writer.tx, self._writer.catalog


def _check_there(path: Path) -> None:
    """Refuse a file that is missing or empty, or whose log is damaged. A fresh file in its place
    would hide that data is lost, and would give the same transaction ids again."""
    try:
        is_empty = path.stat().st_size == 0
    except FileNotFoundError:
        raise _unusable("missing") from None
    if is_empty:
        raise _unusable("empty")
    if is_log_damaged(path):
        raise _unusable("damaged in its last part, the -wal beside it")


def _drop_unfinished(writer: Connection) -> None:
    """Remove indexes that a process began which has ended: to SQLite they look damaged."""
    writer.run("BEGIN IMMEDIATE")
    try:
        drop_unfinished(writer)
        writer.run("COMMIT")
    except BaseException:
        writer.rollback()
        raise


def _check_whole(writer: Connection) -> None:
    """Refuse a file in which a page is damaged. Costs 10 ms for 16 MiB."""
    ((verdict,),) = writer.rows("PRAGMA quick_check(1)")
    if verdict != "ok":
        raise _unusable(f"damaged ({verdict!r})")


def _unusable(state: str) -> Unavailable:
    return Unavailable(
        "data-unusable",
        f"The data file of this app is {state}; its operator must restore a backup.",
    )


def _prepare(
    writer: Connection, runtime: Runtime, system_attrs: Iterable[Attr], *, can_create: bool
) -> None:
    """Create what a new file needs, or the system attrs, indexes and views an older one lacks."""
    writer.run("BEGIN IMMEDIATE")
    try:
        if not writer.rows("SELECT 1 FROM sqlite_schema WHERE name = '_attrs'"):
            if not can_create:
                raise _unusable("without anything in it, as when it was copied without its -wal")
            writer.run(attr_rows.CREATE)
            writer.run(log.CREATE)
            writer.run(f"PRAGMA user_version = {FORMAT}")
        catalog = found = attr_rows.load_catalog(writer)
        tx = OpenTx(writer, tx=TxId(0), time_ms=runtime.now_ms(), catalog=catalog)
        lacking = [attr for attr in system_attrs if attr.id not in catalog.by_id]
        if lacking:
            catalog = catalog.with_attrs(create_attrs(tx, catalog, lacking))
        renew_indexes(tx, catalog)
        renew_views(tx, found, catalog)
        add_views(tx, catalog)
        writer.run("COMMIT")
    except BaseException:
        writer.rollback()
        raise
