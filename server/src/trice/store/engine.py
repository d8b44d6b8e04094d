"""The contract of a storage engine: one app's data, its transactions, its snapshots.

SQLite keeps it today; the suite in `tests/contract` is written against these names only.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import EventId, TxId
from trice.store.commit import Commit, LoggedChanges
from trice.store.dialect import Dialect
from trice.store.judged import Decide, JudgedTerm
from trice.store.quota import Quota, Used
from trice.store.reshaping import Reshaping
from trice.store.results import OpenResults, Results
from trice.store.rows import OpenRows, Rows, StoredAttrs, StoredValues

T = TypeVar("T")
Binding = Cell | Sequence[bytes] | Decide | JudgedTerm
Row = tuple[Cell, ...]


class Take(Protocol):
    """A function that is shown rows as they are read, each once.

    rows_first  how many rows to read before their size is known
    returns     how many bytes these rows take in memory: where they are large, few are read at once
    """

    rows_first: int

    def __call__(self, rows: Sequence[Row], /) -> int: ...


class Statements(Protocol):
    """Where SQL runs: a snapshot, or an open write that sees its own changes.

    dialect  what the SQL must be written in; one for all statements of an engine
    """

    @property
    def dialect(self) -> Dialect: ...

    def rows(
        self, sql: str, bindings: Sequence[Binding] = (), take: Take | None = None
    ) -> list[Row]:
        """Run one statement and return all its rows.

        sql       in `dialect`
        bindings  values for the `?`s in order; a tuple of ids binds as one list (Dialect.in_list),
                  a judged term as Dialect.judge says
        take      is shown the rows as they are read; an exception from it ends the statement
        raises    ReadTooLong when the snapshot's step or time budget is used up; exceptions of
                  judged terms, unchanged
        """
        ...

    def pieces(
        self, sql: str, bindings: Sequence[Binding] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        """Run one statement and return its rows in pieces, for more rows than memory should hold
        at once. All rows are of one state, whatever other transactions write meanwhile.

        rows_max  how many rows a piece has; the last may have fewer
        raises    as `rows`, at any piece
        A caller that stops before the last piece closes the iterator, which frees what it holds.
        Between pieces other statements may run, except that the same transaction may not write
        what is being read.
        """
        ...


class Counted(Statements, Protocol):
    """Statements on a budget, from which other work for the same answer is paid too."""

    def spend(self, steps: int) -> None:
        """Take work besides statements from the snapshot's budget, in the steps that
        `limits.READ_STEPS_ON_LOOP` counts. An open write has no budget.

        raises   ReadTooLong
        """
        ...


class Snapshot(Counted, Protocol):
    """A consistent view of the data at some transaction >= `tx`.

    tx       the last transaction published when the snapshot was taken. A result read from it may
             be labelled with `tx`: it contains every commit up to there.
    catalog  the catalog of transaction `tx`
    stored   single rows and pairs
    attrs    what a change of an attr asks of all values
    """

    @property
    def tx(self) -> TxId: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def stored(self) -> Rows: ...

    @property
    def attrs(self) -> StoredValues: ...

    def logged_changes(
        self, after: TxId, *, rows_max: int, bytes_max: int, is_whole: bool
    ) -> Sequence[LoggedChanges]:
        """What the first transactions after `after` changed, up to `tx`, from the log. Those that
        it does not have any more, or that cannot be read, are missing.

        rows_max   at most so many transactions
        bytes_max  bytes of the log after which there are no more; one is always read
        is_whole   whether long cells that stayed the same are looked for. Without them a changed
                   entity may lack some, before and after alike
        """
        ...

    @property
    def results(self) -> Results:
        """Results of calls, by their event ids."""
        ...

    def newest_tx(self) -> TxId:
        """The last transaction that the data contains: `tx`, or one that is not published yet."""
        ...

    def commits_after(
        self, after: TxId, *, rows_max: int, bytes_max: int
    ) -> Sequence[Commit] | None:
        """The commits after transaction `after`, up to `tx`, from the log.

        returns   None when the log does not have them all any more, when `after` is in the future,
                  or when there are more of them, or more bytes, than asked for
        """
        ...


class WriteTx(Counted, Protocol):
    """One open transaction on the writer. Its statements see its own writes and all earlier ones.

    tx, time_ms     the id and time it will commit with
    catalog         the catalog as of the transaction before it
    may_take_long   the work runs on the writer's thread; else work that is long raises WorkTooLong
    stored          rows and pairs, to be read and changed
    attrs           where attrs are kept, to be changed
    earlier         the commits of the open group before this one, which are not published yet. With
                    those published so far they are all that the data contains
    results         results of calls, by their event ids
    """

    @property
    def tx(self) -> TxId: ...

    @property
    def time_ms(self) -> int: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def may_take_long(self) -> bool: ...

    @property
    def stored(self) -> OpenRows: ...

    @property
    def attrs(self) -> StoredAttrs: ...

    @property
    def earlier(self) -> Sequence[Commit]: ...

    @property
    def results(self) -> OpenResults: ...


class Held(Protocol):
    """A snapshot that lasts while its owner awaits, and changes that only its owner sees.

        hold ──> read, write, mark, undo … ──> close        in any order, one at a time
                                        └──> its time is up: closed by itself

    tx        the newest transaction in it. It may not be published yet, unlike that of a Snapshot
    time_ms   when that was, by the wall clock
    catalog   the catalog of `tx`; after a `write` that of its Commit
    Invariant: other transactions see nothing of what is written here, and nothing is left of it
    after `close`.
    """

    @property
    def tx(self) -> TxId: ...

    @property
    def time_ms(self) -> int: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def is_open(self) -> bool: ...

    async def read(self, work: Callable[[Snapshot], T], *, turn_key: TurnKey = SERVER) -> T:
        """Run `work` on the snapshot: on the loop if it is short, else again on a thread.

        work     sees what was written here. `tx` of its snapshot is that of this one
        raises   Unavailable("timeout") once the time of the snapshot is up, or it is closed
        """
        ...

    async def write(self, work: Callable[[WriteTx], Commit], *, is_long: bool = False) -> Commit:
        """Run `work` as a transaction that later reads here see, and nobody else.

        work     as of `Engine.write`; it may not change what attrs are there, and finds no results.
                 If it raises, what it did is undone
        is_long  it would hold up the loop: it runs on a thread. So does work that raises
                 WorkTooLong
        returns  what `work` returned; its `tx` is the one behind the snapshot's
        raises   what `work` raised; as `read`
        """
        ...

    def mark(self) -> int:
        """Note what was written so far; marks count up from 0."""
        ...

    def undo(self, mark: int) -> None:
        """Undo what was written since a mark, and forget it and those after it."""
        ...

    def close(self) -> None:
        """Let go of the snapshot. A read under way fails. Closing again does nothing."""
        ...


class Turn(Protocol):
    """While it is held, no transaction begins but the one that is submitted with it.

    is_held   it has not ended: by `end`, by its transaction, or because its time was up
    """

    @property
    def is_held(self) -> bool: ...

    def end(self) -> None:
        """Let the transactions that wait begin; ending again does nothing."""
        ...


class ReadTooLong(Exception):
    """A read used up its budget of steps (on the event loop) or of time (on a thread)."""


class WorkTooLong(Exception):
    """The work of a transaction would hold up the loop; raised by the work itself.

    What the work did is undone, and it runs again at the same place, on the writer's thread.
    """


class Engine(Protocol):
    """One app's storage.

    Holds the last published transaction id and its catalog. Does not hold: live queries, sessions.

    Invariants: transaction ids rise by one; a commit is durable before anyone hears of it; readers
    never see half a transaction; a snapshot contains every published commit.
    """

    @property
    def tx(self) -> TxId:
        """The last published transaction, 0 before the first."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The catalog as of `tx`."""
        ...

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on a snapshot at once, on the loop, within limits.READ_STEPS_ON_LOOP and
        limits.JUDGED_STEPS_ON_LOOP.

        raises  ReadTooLong; the caller then starts `work` again with `read`, so `work` may have no
                effects besides its result
        """
        ...

    def may_have_result(self, event_id: EventId) -> bool:
        """False: no call with this event id has a result (`Snapshot.results`), as of `tx`."""
        ...

    async def read(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        """Run `work` on a snapshot: on the loop if it is short, else again on a reader thread.

        turn_key   whose turn it takes for a thread
        raises  Unavailable("timeout") after `timeout_ms` on the thread, ("overloaded") when too
                many wait for one
        """
        ...

    async def read_on_thread(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        """Run `work` on a reader thread at once, for reads known to be long; as `read`."""
        ...

    async def write(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
    ) -> TxId:
        """Run `work` as one transaction and return its id once it is durable and published.

        work      runs on the loop, in call order (see `turn_key`); if it raises, its own writes are
                  undone and no others
        event_id  when a transaction with this id is in the log, `work` is not run and the id of
                  that transaction is returned
        is_long   `work` would hold up the loop: it runs on the writer's thread and by itself, so it
                  may touch nothing that the loop changes. Work that finds out while it runs that
                  it is long raises WorkTooLong.
        turn_key  whose turn it takes: between two long calls of one network run one long call of
                  every other network and a group of short calls. Calls of one network keep order
        raises    what `work` raised; Unavailable("overloaded") when the queue is full or closing
        cost      one fsync, shared with every transaction that waited meanwhile
        """
        ...

    def submit(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
        turn: Turn | None = None,
    ) -> Future[TxId]:
        """`write` without a coroutine: the call has its place in the order when this returns.

        turn   a turn of this engine: while it is held the call is the next one, whoever waits, and
               ends it
        """
        ...

    async def hold(self, *, lasts_ms: int) -> Held:
        """Take a snapshot of the newest state, that lasts until it is closed.

        lasts_ms   after which it closes by itself; at most function_limits.HELD_MS_MAX
        raises     Unavailable("overloaded") when too many are held, and none was closed in time
        cost       20 µs on the loop. While it is held the write-ahead log is not begun anew
        """
        ...

    async def take_turn(self, *, lasts_ms: int) -> Turn:
        """Wait until transactions under way are published, then keep others from beginning.

        lasts_ms   after which it ends by itself; at most function_limits.TURN_MS
        raises     Unavailable("overloaded") when too many wait for it, or the engine closes
        """
        ...

    @property
    def reshaping(self) -> Reshaping:
        """Changes to how rows are kept, while others write."""
        ...

    @property
    def waiting(self) -> tuple[int, int]:
        """How many transactions wait for the writer, and how many long reads for a thread."""
        ...

    async def used(self) -> Used:
        """What the app holds, as of the last published transaction.

        raises  as `read_on_thread`
        cost    30 ns a row on a thread when it is asked for the first time; then the engine keeps
                count, and it is two reads of a few µs
        """
        ...

    async def bound(self, quota: Quota) -> None:
        """Change how much the app may hold, for transactions from here on.

        While its rows are counted for the first time, they are not bounded yet.
        raises  as `used`; rows are not bounded then until it succeeds
        """
        ...

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        """Call `listener` on the loop with each group of commits, in order: after they are durable
        and before any of their `write` calls returns."""
        ...

    async def close(self) -> None:
        """Finish the writes that were accepted, then release the files."""
        ...
