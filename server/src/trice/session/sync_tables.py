"""The sync tables of one session: what of them was not sent yet, and in which order. No I/O.

load      batches, then `sync-init-finish`, one message each time the socket has room
changes   collected from the start on, sent once the load was sent, oldest first
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from trice import sync_limits
from trice.errors import LimitExceeded
from trice.live.sync_tables import LoadedTable, TableChange, TableChanges, too_far_behind
from trice.protocol import down
from trice.protocol.ids import TxId
from trice.protocol.shared import Frame
from trice.store.commit import Commit


class SyncedTable:
    """One sync table. Holds the entities and changes that were not sent yet.

    Bounds: sync_limits.SYNC_WAITING_TXES_MAX and SYNC_WAITING_BYTES_MAX for changes.
    """

    __slots__ = ("_bytes", "_changes", "_loaded", "_made", "_sent_rows", "id", "is_behind", "is_on")

    def __init__(self, table_id: str, made: TableChanges) -> None:
        self.id = table_id
        self.is_on = False
        self.is_behind = False
        self._made = made
        self._loaded: LoadedTable | None = None
        self._sent_rows = 0
        self._changes: deque[TableChange] = deque()
        self._bytes = 0

    @property
    def has_news(self) -> bool:
        return self.is_on and (self._loaded is not None or bool(self._changes))

    def add(self, commit: Commit) -> None:
        """Note what a commit changed."""
        if self.is_behind:
            return
        change = self._made.of(commit)
        if change is None:
            return
        self._changes.append(change)
        self._bytes += len(change.changes)
        if (
            len(self._changes) > sync_limits.SYNC_WAITING_TXES_MAX
            or self._bytes > sync_limits.SYNC_WAITING_BYTES_MAX
        ):
            self.is_behind = True
            self._changes.clear()

    def load(self, loaded: LoadedTable) -> None:
        """Begin with these entities. Their snapshot holds the changes up to its transaction."""
        self._skip(loaded.tx)
        self._loaded, self.is_on = loaded, True

    def replay(self, last: TxId, changes: Sequence[TableChange]) -> None:
        """Begin with these changes, which are those up to transaction `last`."""
        self._skip(last)
        self._changes.extendleft(reversed(changes))
        self._bytes += sum(len(change.changes) for change in changes)
        self.is_on = True

    def next_frame(self) -> bytes:
        """The next message. Call it while `has_news`."""
        loaded = self._loaded
        if loaded is None:
            return self._update()
        begin, end = self._sent_rows, self._sent_rows + sync_limits.SYNC_BATCH_ENTITIES
        rows = loaded.rows[begin:end]
        if rows:
            self._sent_rows = end
            return down.sync_load_batch(rows, table_id=self.id)
        self._loaded = None
        return down.sync_init_finish(loaded.tx, table_id=self.id)

    def _update(self) -> bytes:
        txes: list[tuple[TxId, bytes]] = []
        size = 0
        while self._changes and len(txes) < sync_limits.SYNC_UPDATE_TXES_MAX:
            change = self._changes.popleft()
            txes.append((change.tx, change.changes))
            size += len(change.changes)
            if size > sync_limits.SYNC_UPDATE_BYTES:
                break
        self._bytes -= size
        return down.sync_update_triples(txes, table_id=self.id)

    def _skip(self, tx: TxId) -> None:
        while self._changes and self._changes[0].tx <= tx:
            self._bytes -= len(self._changes.popleft().changes)


class SyncTables:
    """All sync tables of one session, by their ids; those with news take turns.

    when_news   called when there is something to send
    on_behind   called with the id of a table that ended because its client is too slow
    """

    def __init__(
        self,
        *,
        when_news: Callable[[], None],
        on_behind: Callable[[str, LimitExceeded], None],
    ) -> None:
        self._when_news = when_news
        self._on_behind = on_behind
        self._tables: dict[str, SyncedTable] = {}

    def add(self, table_id: str, made: TableChanges) -> SyncedTable:
        """Collect changes for a table from now on; an older one of the same id ends.

        raises   LimitExceeded
        """
        most = sync_limits.SYNC_TABLES_OF_SESSION_MAX
        if table_id not in self._tables and len(self._tables) >= most:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A session may hold {most} sync tables; remove some first.",
            )
        table = self._tables[table_id] = SyncedTable(table_id, made)
        return table

    def has(self, table: SyncedTable) -> bool:
        """Whether the table was not removed meanwhile."""
        return self._tables.get(table.id) is table

    def remove(self, table_id: str) -> None:
        self._tables.pop(table_id, None)

    def end(self) -> None:
        """The session is over."""
        self._tables.clear()

    def on_commits(self, commits: Sequence[Commit]) -> None:
        """Note what a group of commits changed."""
        for table in tuple(self._tables.values()):
            for commit in commits:
                table.add(commit)
            if table.is_behind and table.is_on:
                del self._tables[table.id]
                self._on_behind(table.id, too_far_behind())
        if self.has_news:
            self._when_news()

    @property
    def has_news(self) -> bool:
        return any(table.has_news for table in self._tables.values())

    def next_frames(self) -> list[Frame]:
        """The next message of the table whose turn it is."""
        for table in self._tables.values():
            if table.has_news:
                # It goes to the end, so that a large table does not hold up the others.
                self._tables[table.id] = self._tables.pop(table.id)
                return [table.next_frame()]
        return []
