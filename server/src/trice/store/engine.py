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
from trice.store.commit import Commit
from trice.store.dialect import Dialect
from trice.store.judged import Decide, JudgedTerm
from trice.store.rows import OpenRows, Rows, StoredAttrs

T = TypeVar("T")
Binding = Cell | Sequence[bytes] | Decide | JudgedTerm
Row = tuple[Cell, ...]


class Take(Protocol):
    """Sees rows as they are read, each once.

    rows_first  how many to read before it is known how large they are
    returns     how many bytes these take in memory, so that few are read at once where that is much
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
                  and what judges rows as Dialect.judge says
        take      told of the rows as they are read; what it raises ends the statement
        raises    ReadTooLong when the snapshot's step or time budget is used up; whatever a judge
                  of rows raises, unchanged
        """
        ...

    def pieces(
        self, sql: str, bindings: Sequence[Binding] = (), *, rows_max: int
    ) -> Iterator[list[Row]]:
        """Run one statement and return its rows in pieces, for more of them than memory should
        hold at once. All are of one state, whatever is written meanwhile by others.

        rows_max  how many rows a piece has; the last may have fewer
        raises    as `rows`, at any piece
        Whoever stops before the last piece closes the iterator, which frees what it holds. Between
        pieces other statements may run, but none of the same transaction that writes what is read.
        """
        ...


class Counted(Statements, Protocol):
    """Statements that are run on a budget, as is other work for the same answer."""

    def spend(self, steps: int) -> None:
        """Count work besides statements, in steps of `limits.READ_STEPS_ON_LOOP`, against the
        budget of a snapshot. An open write has none.

        raises   ReadTooLong
        """
        ...


class Snapshot(Counted, Protocol):
    """A consistent view of the data at some transaction >= `tx`.

    tx       the last transaction published when the snapshot was taken. A result read from it may
             be labelled with `tx`: it contains every commit up to there.
    catalog  the catalog of transaction `tx`
    stored   single rows and pairs
    """

    @property
    def tx(self) -> TxId: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def stored(self) -> Rows: ...

    def newest_tx(self) -> TxId:
        """The last transaction that the data contains: `tx`, or one that is not published yet."""
        ...


class WriteTx(Counted, Protocol):
    """One open transaction on the writer. Its statements see what it and earlier ones wrote.

    tx, time_ms     the id and time it will commit with
    catalog         the catalog as of the transaction before it
    may_take_long   it runs on the writer's thread; else work that is long raises WorkTooLong
    stored          rows and pairs, to be read and changed
    attrs           where attrs are kept, to be changed
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


class ReadTooLong(Exception):
    """A read used up its budget of steps (on the event loop) or of time (on a thread)."""


class WorkTooLong(Exception):
    """The work of a transaction would hold up the loop; raised by the work itself.

    What it did is undone, and it runs again in its place, on the writer's thread.
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
        """Run `work` on a snapshot here and now, within limits.READ_STEPS_ON_LOOP and
        limits.JUDGED_STEPS_ON_LOOP.

        raises  ReadTooLong; `work` must then be started again with `read`, so it may not have
                effects outside its result
        """
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

        work      runs on the loop, in call order (see `turn_key`); whatever it raises undoes its
                  writes only
        event_id  when a transaction with this id is in the log, `work` is not run and the id of
                  that transaction is returned
        is_long   `work` would hold up the loop: it runs on the writer's thread and by itself, so it
                  may touch nothing that the loop changes. Work that finds out only on its way that
                  it is long raises WorkTooLong.
        turn_key  whose turn it takes: between two long calls of one network, one of each other and
                  a group of short ones run. Calls of one network keep their order
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
    ) -> Future[TxId]:
        """`write` without a coroutine: the call's place in the order is taken when this returns."""
        ...

    @property
    def waiting(self) -> tuple[int, int]:
        """How many transactions wait for the writer, and how many long reads for a thread."""
        ...

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        """Call `listener` on the loop with each group of commits, in order, once durable and
        before any of their `write` calls return."""
        ...

    async def close(self) -> None:
        """Finish the writes that were accepted, then release the files."""
        ...
