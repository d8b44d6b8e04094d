"""A follower that reads an app's log beside its writer, as another node would; and its engine."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.identity import SERVER, TurnKey
from trice.protocol.ids import AttrId, EntityId, EventId, TxId
from trice.store.commit import Commit
from trice.store.dialect import Dialect
from trice.store.engine import Snapshot, WriteTx
from trice.store.log_format import catalog_before, decode_commit, dump_attr
from trice.store.sqlite import log
from trice.store.sqlite.attr_rows import load_catalog
from trice.store.sqlite.connection import Connection, Role
from trice.store.sqlite.dialect import SQLITE
from trice.store.sqlite.snapshots import OpenSnapshot

T = TypeVar("T")

START = TxId(0)
_AFTER = "SELECT id, time_ms, identity, event_id, changes FROM _tx WHERE id > ? ORDER BY id"


def encoded_commit(commit: Commit) -> bytes:
    """A commit as bytes, without the version of its catalog, which counts in one process."""
    plain = msgspec.structs.asdict(commit)
    attrs = sorted(plain.pop("catalog").by_id.values(), key=lambda attr: str(attr.id))
    return msgspec.msgpack.encode([plain, [dump_attr(attr) for attr in attrs]])


class Follower:
    """Reads an app's file, and never writes it.

    Holds a snapshot of the file, and the last transaction it has read.

    tx, catalog   as of that transaction
    """

    def __init__(self, path: Path, *, after: TxId = START) -> None:
        """Begin with the transaction after `after`."""
        self._file = Connection(str(path), Role.READER)
        self._file.begin_snapshot()
        self.tx = after
        newest = load_catalog(self._file)
        blobs = [changes for *_, changes in reversed(self._rows())]
        self._newest = newest
        self.catalog = catalog_before(newest, blobs)

    def snapshot(self) -> OpenSnapshot:
        """The data as of `tx`."""
        return OpenSnapshot(self._file, tx=self.tx, catalog=self.catalog, spend=lambda _: None)

    def read(self) -> list[Commit]:
        """The commits since the last call, on a new snapshot, which contains no later ones."""
        self._file.rollback()
        self._file.begin_snapshot()
        self._newest = load_catalog(self._file)
        commits: list[Commit] = []
        for tx, time_ms, identity, event_id, changes in self._rows():
            commit = decode_commit(
                changes,
                tx=tx,
                time_ms=time_ms,
                sender=identity,
                event_id=event_id,
                before=self.catalog,
                find_cell=self._find_cell,
            )
            assert commit.tx == self.tx + 1, "a transaction is missing"
            self.tx, self.catalog = commit.tx, commit.catalog
            commits.append(commit)
        return commits

    def close(self) -> None:
        self._file.rollback()
        self._file.close()

    def _rows(self) -> list[Any]:
        return self._file.rows(_AFTER, (self.tx,))

    def _find_cell(self, tx: TxId, entity: EntityId, attr_id: AttrId) -> Cell:
        return log.find_cell(self._file, self._newest.by_id[attr_id], tx, entity)


class FollowingEngine:
    """A `store.engine.Engine` that reads only; `catch_up` is its writer."""

    def __init__(self, path: Path, *, after: TxId = START) -> None:
        self.dialect: Dialect = SQLITE
        self._follower = Follower(path, after=after)
        self._listeners: list[Callable[[Sequence[Commit]], None]] = []

    def catch_up(self) -> list[Commit]:
        """Publish the new commits of the log."""
        commits = self._follower.read()
        if commits:
            for listener in self._listeners:
                listener(commits)
        return commits

    @property
    def tx(self) -> TxId:
        return self._follower.tx

    @property
    def catalog(self) -> Catalog:
        return self._follower.catalog

    @property
    def waiting(self) -> tuple[int, int]:
        return 0, 0

    def may_have_result(self, event_id: EventId) -> bool:
        return True

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        return work(self._follower.snapshot())

    async def read(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        return self.read_now(work)

    async def read_on_thread(
        self, work: Callable[[Snapshot], T], *, timeout_ms: int, turn_key: TurnKey = SERVER
    ) -> T:
        return self.read_now(work)

    async def write(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
    ) -> TxId:
        raise AssertionError("it only reads")

    def submit(
        self,
        work: Callable[[WriteTx], Commit],
        *,
        event_id: EventId | None = None,
        is_long: bool = False,
        turn_key: TurnKey = SERVER,
    ) -> Future[TxId]:
        raise AssertionError("it only reads")

    def on_commits(self, listener: Callable[[Sequence[Commit]], None]) -> None:
        self._listeners.append(listener)

    async def close(self) -> None:
        self._follower.close()
