"""Group commit: one COMMIT, and one fsync, for all calls that waited for the COMMIT before.

write() --> queue ----+-- nobody commits --> works run on the loop, all or nothing of each
                      |                        | (a long one: alone, on the writer's thread)
                      |                        |
                      +-- a COMMIT runs:       v
                          wait for its end   COMMIT on the writer's thread (fsync)
                                               |
                                               v
                                   publish, tell listeners, answer the calls, next group

tend() --> after each group, or when nothing waits: on the writer's thread, a transaction of its own

take_turn() --> between two groups: nothing begins until the turn ends (../write_turn.py)

Between two groups a table that has grown much is counted anew on the thread (statistics.py).
A little over 500 lines, one file because every use of the connection must take its turn here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from trice import account_limits, limits
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.identity import TurnKey
from trice.log import Seldom, fields
from trice.loop_shares import LoopShare
from trice.protocol.ids import EventId, TxId
from trice.runtime import Runtime
from trice.store.commit import Commit
from trice.store.dialect import Dialect
from trice.store.engine import Row, Turn, WorkTooLong, WriteTx
from trice.store.sqlite import log
from trice.store.sqlite.attrs import SqliteAttrs
from trice.store.sqlite.commit_place import CommitPlace
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.dialect import SQLITE
from trice.store.sqlite.quota import Usage
from trice.store.sqlite.recent_events import RecentEvents
from trice.store.sqlite.results import ResultTables, SqliteOpenResults
from trice.store.sqlite.rows import SqliteOpenRows
from trice.store.sqlite.seen_ids import SeenIds
from trice.store.sqlite.statistics import Statistics
from trice.store.sqlite.writer_thread import Apart, WriterThread
from trice.store.write_queue import WriteQueue
from trice.store.write_turn import WriteTurn, WriteTurns

logger: Final = logging.getLogger("trice.store")
disk_logger: Final = logging.getLogger("trice.store.disk")
disk_logger.addFilter(Seldom())

Work = Callable[[WriteTx], Commit]
T = TypeVar("T")

_DAY_MS: Final = 86_400_000


class OpenTx:
    """A transaction while its work runs (`engine.WriteTx`)."""

    dialect: ClassVar[Dialect] = SQLITE

    __slots__ = (
        "_result_tables",
        "catalog",
        "earlier",
        "may_take_long",
        "pieces",
        "rows",
        "stored",
        "time_ms",
        "tx",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        tx: TxId,
        time_ms: int,
        catalog: Catalog,
        may_take_long: bool = True,
        stored: SqliteOpenRows | None = None,
        earlier: Sequence[Commit] = (),
        result_tables: ResultTables | None = None,
    ) -> None:
        """
        stored   the rows of the connection, which are used again; None: the transaction makes some
        result_tables   what snapshots of the file saw of them
        """
        self._result_tables = result_tables
        self.earlier = earlier
        self.tx = tx
        self.time_ms = time_ms
        self.catalog = catalog
        self.may_take_long = may_take_long
        self.rows: Callable[..., list[Row]] = connection.rows
        self.pieces: Callable[..., Iterator[list[Row]]] = connection.pieces
        self.stored = stored or SqliteOpenRows(connection.rows)

    @property
    def attrs(self) -> SqliteAttrs:
        """See `engine.WriteTx`; made when it is used, which few transactions do."""
        return SqliteAttrs(self)

    @property
    def results(self) -> SqliteOpenResults:
        """See `engine.WriteTx`."""
        return SqliteOpenResults(self, self._result_tables)

    def spend(self, steps: int) -> None:
        """See `engine.Counted.spend`."""


@dataclass(slots=True)
class _Call:
    """One `write` that waits for its answer.

    is_long  its work would hold up the loop: it runs on the writer's thread, in a group of its own
    network  whose turn it takes, see `write_queue`
    is_next  it was submitted with the turn: no other call begins before it
    """

    work: Work
    event_id: EventId | None
    is_long: bool
    network: str
    answer: asyncio.Future[TxId]
    is_next: bool = False


@dataclass(slots=True)
class _Group:
    """Calls whose transactions share one COMMIT, and what each is told once that is durable.

    tx, catalog  of the last transaction in it
    added        rows that the group adds, where a quota counts them
    """

    tx: TxId
    catalog: Catalog
    added: int = 0
    answers: list[tuple[_Call, TxId | Exception]] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)


class _TransactionLost(Exception):
    """SQLite ended the group's transaction by itself (disk full, I/O error)."""


class Writer:
    """Runs writes in call order and makes them durable in groups.

    Holds the writing connection, the waiting calls, the published transaction id and catalog, and
    the event ids of the newest transactions.
    Does not hold: readers, nor what listeners do with commits.
    Invariant: between groups no transaction is open, and `tx` and `catalog` are what disk says.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        runtime: Runtime,
        tx: TxId,
        catalog: Catalog,
        before_catalog: Callable[[], None],
        after_group: Callable[[Sequence[Commit]], None],
        commit_place: CommitPlace,
        usage: Usage,
        history_days: int = limits.TX_LOG_DAYS,
        share: LoopShare | None = None,
        apart: Apart | None = None,
    ) -> None:
        """
        usage           what the file holds and may hold
        history_days    how long the log is kept
        before_catalog  called when a group that changes the catalog is about to commit
        after_group     called when a group ended: with its commits, after `tx` and `catalog` are
                        published; with none when it failed
        commit_place    says where a COMMIT may run
        share           of the event loop, beside other apps; None: nobody else needs it
        apart           where COMMITs and long work run; None: on a thread of its own
        """
        self._share = share
        self.tx = tx
        self.catalog = catalog
        self._connection = connection
        self._stored = SqliteOpenRows(connection.rows)
        self._runtime = runtime
        self._usage = usage
        self._commit_place = commit_place
        self._log_ms = history_days * _DAY_MS
        self._events = RecentEvents(log.load_events(connection))
        self.result_tables = ResultTables(SeenIds())
        self._before_catalog = before_catalog
        self._after_group = after_group
        self._queue: WriteQueue[_Call] = WriteQueue()
        self._statistics = Statistics(connection)
        self._writer_thread: Apart = apart or WriterThread()
        _, self._latest_ms = log.load_last(connection)
        self._is_busy = False
        self._is_closing = False
        self._idle = asyncio.Event()
        self._log_pages_max = limits.WRITE_AHEAD_PAGES_MAX
        self._after_copy: Callable[[], None] | None = None
        self._upkeep: deque[tuple[Callable[[Connection], Any], asyncio.Future[Any]]] = deque()
        self._was_upkeep = False
        self._turns = WriteTurns(self._run_groups)
        self._first: _Call | None = None

    def submit(
        self,
        work: Work,
        event_id: EventId | None,
        *,
        is_long: bool,
        turn_key: TurnKey,
        turn: Turn | None = None,
    ) -> asyncio.Future[TxId]:
        """See `engine.Engine.submit`."""
        if self._is_closing:
            raise _closing()
        if turn is not None and turn.is_held:
            assert self._first is None, "a turn ends with its transaction"
            answer: asyncio.Future[TxId] = asyncio.get_running_loop().create_future()
            self._first = _Call(work, event_id, is_long, turn_key[0], answer, is_next=True)
            turn.end()
            return answer
        if len(self._queue) >= limits.TX_QUEUE_MAX:
            raise Unavailable(
                "overloaded",
                f"{limits.TX_QUEUE_MAX:,} transactions of this app wait already. Try again later.",
            )
        answer = asyncio.get_running_loop().create_future()
        self._queue.put(_Call(work, event_id, is_long, turn_key[0], answer))
        if not self._is_busy:
            self._run_groups()
        return answer

    def tend(self, work: Callable[[Connection], T]) -> asyncio.Future[tuple[T, float]]:
        """Run `work` in a transaction of its own, on the writer's thread, between those of the app.
        It changes how rows are kept, and nothing that a query tells.

        returns   what it returned, and how long the writer was held up, in ms
        raises    what `work` raised, and undoes it then; Unavailable when the writer is closing
        """
        answer: asyncio.Future[tuple[T, float]] = asyncio.get_running_loop().create_future()
        if self._is_closing:
            answer.set_exception(_closing())
            return answer
        self._upkeep.append((work, answer))
        if not self._is_busy:
            self._run_groups()
        return answer

    async def take_turn(self, *, lasts_ms: int) -> WriteTurn:
        """See `engine.Engine.take_turn`."""
        if self._is_closing:
            raise _closing()
        turn = self._turns.ask(lasts_ms=lasts_ms)
        if not self._is_busy:
            self._run_groups()
        return await self._turns.wait(turn)

    @property
    def waiting(self) -> int:
        """How many calls have not begun yet."""
        return len(self._queue)

    @property
    def is_log_long(self) -> bool:
        """Whether the write-ahead log must be copied without readers; else it only grows."""
        return self._connection.log_pages >= self._log_pages_max

    def copy_log(self, then: Callable[[], None]) -> None:
        """Copy the write-ahead log before the next group, and call `then` on the loop.

        The next write begins the log anew, unless another process reads from it: then the log may
        grow by limits.WRITE_AHEAD_PAGES_MAX before it `is_log_long` again.
        """
        self._after_copy = then
        if not self._is_busy:
            self._run_groups()

    async def finish(self) -> None:
        """Accept nothing more; return when the accepted writes are answered, and in the file."""
        self._is_closing = True
        self._turns.close()
        while self._upkeep:
            _, answer = self._upkeep.popleft()
            if not answer.done():
                answer.set_exception(_closing())
        await self._wait_idle()
        if self._connection.log_pages:
            self.copy_log(_nothing)  # left to `close` it would hold up the loop
            await self._wait_idle()
        self._writer_thread.finish()

    def close(self) -> None:
        """Copy SQLite's write-ahead log into the database file, and release the file.

        On a full disk the log stays beside the file, and belongs to it.
        """
        try:
            self._connection.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        except Unavailable as failure:
            logger.warning("file left with its log %s", fields(reason=failure.message))
        finally:
            self._connection.close()
            # They refer back to the writer's owner; without them all is freed at once.
            self._before_catalog, self._after_group = _nothing, _nothing
            self._turns.forget()

    async def _wait_idle(self) -> None:
        while self._is_busy:
            self._idle.clear()
            await self._idle.wait()

    def _run_groups(self) -> None:
        """Run the waiting calls, until a group needs its COMMIT or no call is left."""
        self._is_busy = True
        if self._turns.is_held or (self._first is None and self._turns.begin()):
            return  # `_run_groups` is called again when the turn ends
        if self._after_copy is not None:
            self._writer_thread.submit(partial(self._copy_log, asyncio.get_running_loop()))
            return
        table = None if self._is_closing else self._statistics.find_due()
        if table is not None:
            self._writer_thread.submit(partial(self._refresh, asyncio.get_running_loop(), table))
            return
        while self._upkeep and self._upkeep[0][1].cancelled():
            self._upkeep.popleft()
        if self._upkeep and not (self._was_upkeep and len(self._queue)):
            self._was_upkeep = True
            work, answer = self._upkeep.popleft()
            self._writer_thread.submit(
                partial(self._run_upkeep, asyncio.get_running_loop(), work, answer)
            )
            return
        self._was_upkeep = False
        while len(self._queue) or self._first is not None:
            call = self._take_long()
            if call is not None:
                self._writer_thread.submit(
                    partial(self._run_long, asyncio.get_running_loop(), call)
                )
                return
            if self._share is not None and self._share.is_over:
                self._share.later(self._run_groups, "writes")
                return
            calls: list[_Call] = []
            begun = self._begin()
            try:
                group = self._open_group(calls)
            except Exception as error:
                self._fail(calls, error)
                continue
            finally:
                if begun is not None:
                    begun.end()
            if self._seal(group):
                return
        if self._upkeep or self._turns.are_wanted:
            self._run_groups()
            return
        self._is_busy = False
        self._idle.set()

    def _take_long(self) -> _Call | None:
        """The long call that is to run now; a call whose turn it is comes before all others."""
        if self._first is None:
            return self._queue.take_long()
        if not self._first.is_long:
            return None
        call, self._first = self._first, None
        return call

    def _take_short(self) -> _Call | None:
        if self._first is not None:
            call, self._first = self._first, None
            return call
        return self._queue.take_short()

    def _run_upkeep(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[Connection], Any],
        answer: asyncio.Future[Any],
    ) -> None:
        """On the writer's thread: run the work of `tend`, with its COMMIT."""
        began_ms, failure, result = self._runtime.monotonic_ms(), None, None
        try:
            self._connection.keep_temporary(is_in_memory=False)
            self._connection.wait_for_disk(is_waiting=False)
            self._connection.run("BEGIN IMMEDIATE")
            result = work(self._connection)
            self._connection.run("COMMIT")
            if self._connection.log_pages >= account_limits.RESHAPING_LOG_PAGES:
                with suppress(Unavailable):
                    self._connection.copy_log()
        except Exception as error:
            self._connection.rollback()
            failure = error
        finally:
            self._connection.wait_for_disk(is_waiting=True)
        took_ms = self._runtime.monotonic_ms() - began_ms
        loop.call_soon_threadsafe(self._ran_upkeep, answer, failure, (result, took_ms))

    def _ran_upkeep(
        self, answer: asyncio.Future[Any], failure: Exception | None, result: tuple[Any, float]
    ) -> None:
        """Back on the loop: tell who waits, and go on."""
        if not answer.done():
            if failure is None:
                answer.set_result(result)
            else:
                answer.set_exception(failure)
        self._run_groups()

    def _seal(self, group: _Group) -> bool:
        """Send a group to its COMMIT. False if it changed nothing; its calls are then answered."""
        if not group.commits:
            self._connection.rollback()
            _answer(group)
            return False
        loop = asyncio.get_running_loop()
        if group.catalog is not self.catalog:
            self._before_catalog()
        elif self._is_lone(group) and self._commit_place.may_be_loop(group.commits[0]):
            # Not at once: calls that arrive later in this turn of the loop may share the COMMIT.
            loop.call_soon(self._commit_lone, loop, group)
            return True
        self._writer_thread.submit(partial(self._commit, loop, group))
        return True

    def _is_lone(self, group: _Group) -> bool:
        """Whether a group has one call, no other call waits, and its COMMIT brings no long work."""
        return (
            len(group.answers) == 1
            and not len(self._queue)
            and not group.answers[0][0].is_long
            and self._connection.log_pages < limits.WRITE_AHEAD_PAGES
        )

    def _commit_lone(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        """On the loop, one turn later: commit here if the group is still alone."""
        if len(self._queue):
            self._writer_thread.submit(partial(self._commit, loop, group))
            return
        self._settle(group, *self._committed())

    def _run_long(self, loop: asyncio.AbstractEventLoop, call: _Call) -> None:
        """On the writer's thread: run one call; no other call uses the connection meanwhile."""
        group = _Group(self.tx, self.catalog)
        failure: Exception | None = None
        try:
            self._connection.keep_temporary(is_in_memory=False)
            self._connection.run("BEGIN IMMEDIATE")
            self._run_call(group, call)
        except Exception as error:
            failure = error
        loop.call_soon_threadsafe(self._ran_long, group, call, failure)

    def _ran_long(self, group: _Group, call: _Call, failure: Exception | None) -> None:
        """Back on the loop: commit what a long call did."""
        if failure is not None:
            self._fail([call], failure)
        elif self._seal(group):
            return
        self._run_groups()

    def _open_group(self, calls: list[_Call]) -> _Group:
        """Run waiting calls in one open transaction.

        calls   receives the calls that were taken, also when this raises
        raises  the exception that made the transaction as a whole impossible
        """
        try:
            self._connection.keep_temporary(is_in_memory=True)
            self._connection.run("BEGIN IMMEDIATE")
        except Exception:
            # The other calls in the queue would fail in the same way, each after the same delay.
            if self._first is not None:
                calls.append(self._first)
                self._first = None
            self._queue.take_all(calls.append)
            raise
        group = _Group(self.tx, self.catalog)
        work_ms: float = limits.TX_GROUP_WORK_MS
        if self._share is not None:
            work_ms = min(work_ms, self._share.left_ms)
        ends_ms = self._runtime.monotonic_ms() + work_ms
        while len(calls) < limits.TX_GROUP_MAX and (call := self._take_short()) is not None:
            calls.append(call)
            self._run_call(group, call)
            if call.is_long:
                calls.pop()  # it waits again
                break
            if self._runtime.monotonic_ms() >= ends_ms:
                break
        return group

    def _run_call(self, group: _Group, call: _Call) -> None:
        """Run one call: it leaves all of its changes in the group's transaction, or none.

        raises  _TransactionLost when the whole group's transaction is gone
        """
        if call.event_id is not None:
            known = self._events.find(call.event_id)
            if known is not None and log.is_event(self._connection, known, call.event_id):
                group.answers.append((call, known))
                return
        rows = self._connection.rows
        # As long as the group has no changes, the transaction itself can be undone instead.
        is_saved = bool(group.commits)
        if is_saved:
            self._connection.run("SAVEPOINT call")
        try:
            tx = TxId(group.tx + 1)
            time_ms = self._now_ms()
            commit = call.work(
                OpenTx(
                    self._connection,
                    tx=tx,
                    time_ms=time_ms,
                    catalog=group.catalog,
                    may_take_long=call.is_long,
                    stored=self._stored,
                    earlier=group.commits,
                    result_tables=self.result_tables,
                )
            )
            assert commit.tx == tx, f"work committed as {commit.tx} instead of {tx}"
            added = 0
            if self._usage.is_on:
                added = self._usage.check(
                    self._connection, commit, before=group.added, may_take_long=call.is_long
                )
            rows(log.INSERT, log.row(commit, call.event_id, group.catalog))
            oldest_ms = time_ms - self._log_ms
            log.trim(self._connection, tx, oldest_ms=oldest_ms, catalog=group.catalog)
            if is_saved:
                self._connection.run("RELEASE call")
        except WorkTooLong:
            assert not call.is_long, "work on the writer's thread cannot be too long"
            self._undo_call(is_saved=is_saved)
            call.is_long = True
            if call.is_next:
                self._first = call
            else:
                self._queue.put_back(call)
            return
        except Exception as error:
            if not self._connection.in_transaction:
                raise _TransactionLost from error
            self._undo_call(is_saved=is_saved)
            group.answers.append((call, error))
            return
        if call.event_id is not None:
            self._events.add(call.event_id, tx)
        group.tx = tx
        group.added = added
        group.catalog = commit.catalog
        group.commits.append(commit)
        group.answers.append((call, tx))

    def _undo_call(self, *, is_saved: bool) -> None:
        """Undo what a call did; the group's transaction is open afterwards."""
        run = self._connection.run
        if is_saved:
            run("ROLLBACK TO call")
            run("RELEASE call")
        else:
            run("ROLLBACK")
            run("BEGIN IMMEDIATE")

    def _now_ms(self) -> int:
        """The clock, except that it never goes back: later rows never sort before earlier ones."""
        self._latest_ms = max(self._latest_ms, self._runtime.now_ms())
        return self._latest_ms

    def _commit(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        """On the writer's thread: wait for the disk."""
        failure, duration_ms = self._committed()
        if failure is None and self._connection.log_pages >= limits.WRITE_AHEAD_PAGES:
            # The COMMIT succeeded: a failure to copy the log must not fail it.
            with suppress(Unavailable):
                self._connection.copy_log()
        loop.call_soon_threadsafe(self._settle, group, failure, duration_ms)

    def _copy_log(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the writer's thread, between two groups: copy the write-ahead log."""
        with suppress(Unavailable):
            self._connection.copy_log()
        loop.call_soon_threadsafe(self._copied_log)

    def _copied_log(self) -> None:
        """Back on the loop: go on, even if copying failed, and call `then` of `copy_log`."""
        self._log_pages_max = self._connection.log_pages + limits.WRITE_AHEAD_PAGES_MAX
        then, self._after_copy = self._after_copy, None
        if then is not None:
            then()
        self._run_groups()

    def _committed(self) -> tuple[Exception | None, float]:
        """COMMIT; what it failed with, and how long it took."""
        began_ms = self._runtime.monotonic_ms()
        try:
            self._connection.run("COMMIT")
        except Exception as error:
            return error, 0.0
        return None, self._runtime.monotonic_ms() - began_ms

    def _settle(self, group: _Group, failure: Exception | None, duration_ms: float) -> None:
        """Back on the loop: the group is durable, or failed as a whole.

        Callers are told first: their answers leave before live queries are refreshed. Nothing else
        runs between, so listeners hear of a commit before a coroutine that waits for it goes on.
        """
        begun = self._begin()
        try:
            self._publish(group, failure, duration_ms)
        finally:
            if begun is not None:
                begun.end()
        self._run_groups()

    def _begin(self) -> LoopShare | None:
        """The share of the app, if what follows is to be counted: `end` of it comes then."""
        return self._share if self._share is not None and self._share.begin() else None

    def _publish(self, group: _Group, failure: Exception | None, duration_ms: float) -> None:
        if failure is None:
            self._commit_place.took(duration_ms)
            self.tx = group.tx
            self.catalog = group.catalog
            self._events.forget_old()
            self._usage.settle(group.tx, group.commits)
            self._statistics.note(self._connection, group.commits)
            _answer(group)
            self._after_group(group.commits)
        else:
            self._fail([call for call, _ in group.answers], failure)

    def _refresh(self, loop: asyncio.AbstractEventLoop, table: str) -> None:
        """On the writer's thread: count a table anew."""
        failure: Exception | None = None
        try:
            self._statistics.refresh(self._connection, table)
        except Exception as error:
            failure = error
        loop.call_soon_threadsafe(self._refreshed, loop, failure)

    def _refreshed(self, loop: asyncio.AbstractEventLoop, failure: Exception | None) -> None:
        """Back on the loop: go on, even if counting failed. Figures only help."""
        if failure is not None and not isinstance(failure, Unavailable):
            loop.call_exception_handler(
                {"message": "Counting a table failed.", "exception": failure}
            )
        self._run_groups()

    def _fail(self, calls: Sequence[_Call], cause: Exception) -> None:
        """Undo a group. Its calls may be tried again, because nothing that they did is left."""
        self._connection.rollback()
        self._events.forget_after(self.tx)
        self._after_group(())
        for call in calls:
            if not call.answer.done():
                failure = _unwritten(cause)
                failure.__cause__ = cause
                call.answer.set_exception(failure)


def _nothing(*_: object) -> None:
    """What a closed writer calls."""


def _closing() -> Unavailable:
    return Unavailable("overloaded", "The server is stopping. Try again in a moment.")


def _unwritten(cause: Exception) -> Unavailable:
    """The error for callers whose group failed. For a damaged file it says that no retry helps."""
    if isinstance(cause, Unavailable) and cause.code == "data-unusable":
        return Unavailable(cause.code, cause.message)
    disk_logger.error("transactions could not be written to disk %s", fields(reason=cause))
    return Unavailable("overloaded", "The transaction could not be written to disk. Try again.")


def _answer(group: _Group) -> None:
    """Answer every caller that still waits. What a cancelled caller wrote stays committed."""
    for call, outcome in group.answers:
        if call.answer.done():
            continue
        if isinstance(outcome, Exception):
            call.answer.set_exception(outcome)
        else:
            call.answer.set_result(outcome)
