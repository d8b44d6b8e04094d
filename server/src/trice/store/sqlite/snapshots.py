"""Snapshots on a connection of SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from trice.catalog.catalog import Catalog
from trice.protocol.ids import TxId
from trice.store.commit import Commit, LoggedChanges
from trice.store.dialect import Dialect
from trice.store.engine import Row
from trice.store.sqlite.attrs import SqliteValues
from trice.store.sqlite.connection import Connection
from trice.store.sqlite.dialect import SQLITE
from trice.store.sqlite.log import load_changes, load_commits, load_last_tx
from trice.store.sqlite.results import ResultTables, SqliteResults
from trice.store.sqlite.rows import SqliteRows


class OpenSnapshot:
    """A snapshot while its work runs (`engine.Snapshot`)."""

    dialect: ClassVar[Dialect] = SQLITE

    __slots__ = ("_result_tables", "catalog", "pieces", "rows", "spend", "tx")

    def __init__(
        self,
        connection: Connection,
        *,
        tx: TxId,
        catalog: Catalog,
        spend: Callable[[int], None],
        result_tables: ResultTables | None = None,
    ) -> None:
        """
        result_tables   what snapshots before this one saw of them
        """
        self.tx = tx
        self.catalog = catalog
        self.rows: Callable[..., list[Row]] = connection.rows
        self.pieces: Callable[..., Iterator[list[Row]]] = connection.pieces
        self.spend = spend
        self._result_tables = result_tables

    @property
    def stored(self) -> SqliteRows:
        """See `engine.Snapshot`; made when it is first used."""
        return SqliteRows(self.rows)

    @property
    def attrs(self) -> SqliteValues:
        """See `engine.Snapshot`."""
        return SqliteValues(self)

    def logged_changes(
        self, after: TxId, *, rows_max: int, bytes_max: int, is_whole: bool
    ) -> list[LoggedChanges]:
        """See `engine.Snapshot.logged_changes`."""
        return load_changes(
            self,
            self.catalog,
            after=after,
            last=self.tx,
            rows_max=rows_max,
            bytes_max=bytes_max,
            is_whole=is_whole,
        )

    @property
    def results(self) -> SqliteResults:
        """See `engine.Snapshot`."""
        return SqliteResults(self, self._result_tables)

    def newest_tx(self) -> TxId:
        """See `engine.Snapshot.newest_tx`."""
        return load_last_tx(self)

    def commits_after(
        self, after: TxId, *, rows_max: int, bytes_max: int
    ) -> Sequence[Commit] | None:
        """See `engine.Snapshot.commits_after`."""
        return load_commits(
            self,
            self.catalog,
            after=after,
            last=self.tx,
            rows_max=rows_max,
            bytes_max=bytes_max,
        )


class ReadConnection(Connection):
    """A connection of a reader thread (`readers.Reader`)."""

    __slots__ = ()

    def snapshot(self, tx: TxId, catalog: Catalog, spend: Callable[[int], None]) -> OpenSnapshot:
        """See `readers.Reader.snapshot`."""
        return OpenSnapshot(self, tx=tx, catalog=catalog, spend=spend)
