"""The sync tables of one session: what of them was not sent yet, and in which order.

load      a page at a time in messages of at most 100 entities; the next is read once they are sent
changes   collected from the start on, sent once the load was sent, oldest first
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from trice import sync_limits
from trice.errors import LimitExceeded
from trice.live.sync_load import TableLoad
from trice.live.sync_tables import (
    PageRow,
    TableChange,
    TableFeed,
    TablePage,
    TableView,
    attrs_changed,
    too_far_behind,
)
from trice.protocol import down
from trice.protocol.ids import TxId
from trice.protocol.shared import Frame
from trice.store.commit import Commit


class SyncedTable:
    """One sync table. Holds a page of entities, and the changes, that were not sent yet.

    load       None once it was sent, and of a table that was resumed
    is_on      whether its start was answered; until then nothing is sent
    failure    why it is at an end
    on_drained  called when there is room for the next page, and at the end
    """

    __slots__ = (
        "_changes",
        "_finish",
        "_rows",
        "_unsized",
        "failure",
        "id",
        "is_ended",
        "is_on",
        "load",
        "on_drained",
        "view",
        "waiting_bytes",
    )

    def __init__(self, table_id: str, view: TableView, load: TableLoad | None = None) -> None:
        self.id = table_id
        self.view = view
        self.load = load
        self.is_on = self.is_ended = False
        self.failure: LimitExceeded | None = None
        self.on_drained: Callable[[], None] = _nothing
        self.waiting_bytes = 0
        self._rows: deque[PageRow] = deque()
        self._finish: TxId | None = None
        self._changes: deque[TableChange] = deque()
        self._unsized: deque[TableChange] = deque()

    @property
    def has_news(self) -> bool:
        if not self.is_on:
            return False
        if self._rows or self.load is not None:
            return bool(self._rows)
        is_any_encoded = bool(self._changes) and self._changes[0].changes is not None
        return self._finish is not None or is_any_encoded

    def hear(self, commit: Commit, feed: TableFeed) -> None:
        """Note what a commit changed."""
        if self.failure is not None:
            return
        if not self.view.is_shown_alike(commit.catalog):
            self.fail(attrs_changed())
            return
        try:
            if self.load is None:
                self._keep(feed.of(commit, self.view))
            elif changes := feed.changes(commit, self.view.etype):
                self._keep(self.load.hear(commit.tx, changes))
        except LimitExceeded as failure:
            self.fail(failure)

    def take(self, page: TablePage) -> None:
        """A page was read."""
        load = self.load
        assert load is not None
        try:
            rows, told = load.take(page)
        except LimitExceeded as failure:
            self.fail(failure)
            return
        for change in told:
            self._keep(change)
        if self.is_ended:
            return
        self._rows.extend(rows)
        self.waiting_bytes += sum(len(row.json) for row in rows)
        self.is_on = True
        if load.is_over:
            self._finish, last = load.finish()
            self.load = None
            if last is not None:
                self._keep(last)
        elif not rows:
            self.on_drained()

    def replay(self, last: TxId, changes: Sequence[TableChange]) -> None:
        """Begin with these changes, which are those up to transaction `last`."""
        heard = [change for change in self._changes if change.tx > last]
        self._changes.clear()
        self._unsized.clear()
        self.waiting_bytes = 0
        for change in (*changes, *heard):
            self._keep(change)
        self.is_on = True

    def fail(self, failure: LimitExceeded) -> None:
        """The table cannot go on; what waits is dropped."""
        self.failure = failure
        self.end()

    def end(self) -> None:
        """Nothing of it is sent any more."""
        self.is_ended = True
        self._changes.clear()
        self._unsized.clear()
        self._rows.clear()
        self.waiting_bytes = 0
        self.on_drained()

    def count(self) -> None:
        """Count the changes that were encoded meanwhile."""
        while self._unsized and (changes := self._unsized[0].changes) is not None:
            self._unsized.popleft()
            self.waiting_bytes += len(changes)

    def next_frame(self) -> bytes:
        """The next message. Call it while `has_news`."""
        if self._rows:
            return self._batch()
        if self._finish is not None:
            tx, self._finish = self._finish, None
            return down.sync_init_finish(tx, table_id=self.id)
        return self._update()

    def _batch(self) -> bytes:
        rows: list[bytes] = []
        while self._rows and len(rows) < sync_limits.SYNC_BATCH_ENTITIES:
            rows.append(self._rows.popleft().json)
        self.waiting_bytes -= sum(map(len, rows))
        if not self._rows:
            self.on_drained()
        return down.sync_load_batch(rows, table_id=self.id)

    def _update(self) -> bytes:
        self.count()
        txes: list[tuple[TxId, bytes]] = []
        size = 0
        while self._changes and len(txes) < sync_limits.SYNC_UPDATE_TXES_MAX:
            changes = self._changes[0].changes
            if changes is None:
                break
            txes.append((self._changes.popleft().tx, changes))
            size += len(changes)
            if size > sync_limits.SYNC_UPDATE_BYTES:
                break
        self.waiting_bytes -= size
        return down.sync_update_triples(txes, table_id=self.id)

    def _keep(self, change: TableChange | None) -> None:
        if change is None:
            return
        self._changes.append(change)
        self._unsized.append(change)
        self.count()
        if len(self._changes) > sync_limits.SYNC_WAITING_TXES_MAX:
            self.fail(too_far_behind())


class SyncTables:
    """All sync tables of one session, by their ids; those with news take turns.

    Bounds: sync_limits.SYNC_TABLES_OF_SESSION_MAX and SYNC_TABLES_OF_APP_MAX;
    SYNC_WAITING_BYTES_MAX for what waits in all of them, beyond which the one with most of it ends.

    starting    how many starts and resumptions are under way, those of removed tables included
    replaying   held while the log is read for one of them
    loading     held while one of them is loaded
    when_news   called when there is something to send
    on_failed   called with the id of a table that ended because its client is too slow, or the
                attrs changed
    """

    def __init__(
        self,
        feed: TableFeed,
        *,
        when_news: Callable[[], None],
        on_failed: Callable[[str, LimitExceeded], None],
    ) -> None:
        self._feed = feed
        self._when_news = when_news
        self._on_failed = on_failed
        self._tables: dict[str, SyncedTable] = {}
        self.starting = 0
        self.replaying = asyncio.Lock()
        self.loading = asyncio.Lock()

    def has(self, table: SyncedTable) -> bool:
        """Whether the table was neither removed nor replaced meanwhile."""
        return self._tables.get(table.id) is table

    def add(self, table: SyncedTable) -> None:
        """Collect changes for a table from now on; an older one of the same id ends. It counts as
        `starting` until the caller says otherwise.

        raises   LimitExceeded
        """
        self.remove(table.id)
        if self.starting >= sync_limits.SYNC_STARTING_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                "Too many sync tables of this session are being started; wait for their answers.",
            )
        most = sync_limits.SYNC_TABLES_OF_SESSION_MAX
        if len(self._tables) >= most:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A session may hold {most} sync tables; remove some first.",
            )
        most = sync_limits.SYNC_TABLES_OF_APP_MAX
        if self._feed.tables >= most:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"All clients of an app may hold {most} sync tables; remove some first.",
            )
        self.starting += 1
        self._feed.tables += 1
        self._tables[table.id] = table

    def remove(self, table_id: str) -> None:
        table = self._tables.pop(table_id, None)
        if table is not None:
            self._feed.tables -= 1
            table.end()

    def end(self) -> None:
        """The session is over."""
        for table_id in list(self._tables):
            self.remove(table_id)

    def on_commits(self, commits: Sequence[Commit]) -> None:
        """Note what a group of commits changed; or, without any, that a change was encoded."""
        for commit in commits:
            for table in self._tables.values():
                table.hear(commit, self._feed)
        self.check()
        if self.has_news:
            self._when_news()

    @property
    def waiting_bytes(self) -> int:
        """The JSON of entities and changes that were not sent yet."""
        return sum(table.waiting_bytes for table in self._tables.values())

    def check(self) -> None:
        """End the tables that cannot go on, and those for which too much waits."""
        for table in self._tables.values():
            table.count()
        tables, waiting_bytes = self._tables.values(), self.waiting_bytes
        while waiting_bytes > sync_limits.SYNC_WAITING_BYTES_MAX:
            largest = max(tables, key=lambda table: table.waiting_bytes)
            waiting_bytes -= largest.waiting_bytes
            largest.fail(too_far_behind())
        for table in list(tables):
            # The start of others is not answered yet: that answer is then the error.
            if table.failure is not None and table.is_on:
                self.remove(table.id)
                self._on_failed(table.id, table.failure)

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


def _nothing() -> None:
    """The `on_drained` of a table for which nobody waits."""
