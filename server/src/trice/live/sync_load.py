"""The load of a sync table, page after page, each from a snapshot of its own. No I/O.

No snapshot is held while the client takes its time, so rows change between two pages. Each entity
is sent once, as of the snapshot of its page; what changes it later is told after the load.

    sent            behind │ cursor │ beyond                of an entity that a commit changes:
    ───────────────────────┼────────┼──────────────         behind → behind, beyond   told later
    `ahead`: sent, but moved beyond or deleted since        beyond → beyond           a later page
    `missed`: never sent, but moved or made behind          beyond → behind           `missed`

Those missed come in pages of their own at the end. Changes that come while a page is read count
against the old cursor if its snapshot has them, else against the new one.

A client that resumes after the transaction that `finish_tx` names is told of some changes that its
rows contain already. It ends with the right rows all the same: values of an attr replace each
other, and the last one is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from trice import sync_limits
from trice.errors import LimitExceeded
from trice.live.sync_tables import (
    Key,
    PageRow,
    TableChange,
    TableFeed,
    TablePage,
    TableView,
    too_far_behind,
)
from trice.protocol.ids import EntityId, TxId
from trice.store.commit import EntityChange, Image
from trice.store.engine import Snapshot


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What is to be read next: the `count` rows after a cursor, or these entities."""

    after: list[Any] | None
    count: int
    ids: tuple[EntityId, ...] | None

    def read(self, view: TableView, snapshot: Snapshot) -> TablePage | None:
        """Read it.

        returns   None when the snapshot holds transactions that are not published yet
        """
        if snapshot.newest_tx() != snapshot.tx:
            return None
        if self.ids is not None:
            return view.read_entities(snapshot, self.ids)
        count = self.count
        while True:
            try:
                return view.read_page(snapshot, after=self.after, count=count)
            except LimitExceeded:
                # So many rows are too large for one answer.
                if count == 1:
                    raise
                count = max(count // 8, 1)


class TableLoad:
    """What of a table was sent. Holds no rows.

    Bounds: sync_limits.SYNC_LOADING_ENTITIES_MAX entities of one commit, because each load looks at
    each of them; SYNC_WAITING_TXES_MAX commits during one read; SYNC_MOVED_MAX entities
    `ahead`, and as many `missed`. Beyond them the table is too far behind.

    is_reading   whether a page is under way
    """

    def __init__(self, view: TableView, feed: TableFeed) -> None:
        self._view = view
        self._feed = feed
        self._cursor: list[Any] | None = None
        self._key: Key | None = None
        self._is_at_end = False
        self._count = sync_limits.SYNC_BATCH_ENTITIES
        self._ahead: set[EntityId] = set()
        self._missed: dict[EntityId, None] = {}
        self._was_any_missed = False
        self._heard: deque[tuple[TxId, Sequence[EntityChange]]] = deque()
        self._request: PageRequest | None = None
        self._tx = TxId(0)
        self._first_told: TxId | None = None

    @property
    def is_reading(self) -> bool:
        return self._request is not None

    @property
    def is_over(self) -> bool:
        """Whether all rows were sent."""
        return self._is_at_end and not self._missed and not self.is_reading

    def begin_read(self) -> PageRequest:
        """The next page, which is read from now on; `take` ends that."""
        ids = None
        if self._is_at_end:
            ids = tuple(islice(self._missed, sync_limits.SYNC_BATCH_ENTITIES))
        self._request = PageRequest(self._cursor, self._count, ids)
        return self._request

    def hear(self, tx: TxId, changes: Sequence[EntityChange]) -> TableChange | None:
        """Note what a commit changed; return what is to be told after the load."""
        if len(changes) > sync_limits.SYNC_LOADING_ENTITIES_MAX:
            raise too_far_behind()
        if self.is_reading:
            self._heard.append((tx, changes))
            if len(self._heard) > sync_limits.SYNC_WAITING_TXES_MAX:
                raise too_far_behind()
            return None
        if self._key is None and not self._is_at_end:
            return None  # nothing was sent yet
        return self._tell(tx, changes)

    def take(self, page: TablePage) -> tuple[list[PageRow], list[TableChange]]:
        """A page was read: its rows that are to be sent, and what is to be told after the load."""
        request, self._request = self._request, None
        assert request is not None
        told = []
        while self._heard and self._heard[0][0] <= page.tx:
            told.append(self._tell(*self._heard.popleft()))
        self._tx = page.tx
        if request.ids is None:
            rows = [row for row in page.rows if row.id not in self._ahead]
            self._advance(page)
        else:
            rows = [row for row in page.rows if row.id in self._missed]
            found = {row.id for row in page.rows}
            for entity in request.ids:
                if entity in found or not page.has_more:
                    self._missed.pop(entity, None)
        while self._heard:
            told.append(self._tell(*self._heard.popleft()))
        return rows, [change for change in told if change is not None]

    def finish(self) -> tuple[TxId, TableChange | None]:
        """The transaction that the client is said to have, and a change without content that makes
        it sort its rows: None if they came in order."""
        if self._first_told is not None:
            return TxId(self._first_told - 1), None
        if self._was_any_missed:
            return TxId(self._tx - 1), TableChange(self._tx, b"")
        return self._tx, None

    def _advance(self, page: TablePage) -> None:
        if page.rows:
            self._cursor, self._key = page.cursor, page.rows[-1].key
            size = sum(len(row.json) for row in page.rows)
            fitting = len(page.rows) * sync_limits.SYNC_PAGE_BYTES // (2 * size)
            self._count = min(max(fitting, 1), sync_limits.SYNC_PAGE_ENTITIES)
        if not page.has_more:
            self._is_at_end = True
            self._ahead.clear()

    def _tell(self, tx: TxId, changes: Sequence[EntityChange]) -> TableChange | None:
        own = [change for change in changes if self._is_told(change)]
        change = self._feed.make(self._view, tx, own) if own else None
        if change is not None and self._first_told is None:
            self._first_told = tx
        return change

    def _is_told(self, change: EntityChange) -> bool:
        """Whether the client has the entity; notes where it is now."""
        entity = change.id
        is_behind = self._is_behind(change.id, change.new)
        if entity in self._ahead:
            if is_behind:
                self._ahead.discard(entity)
            return True
        if entity in self._missed:
            if not is_behind:
                del self._missed[entity]
            return False
        if self._is_at_end:
            return True
        if self._is_behind(entity, change.old):
            if not is_behind:
                self._ahead.add(entity)
                self._check_moved(len(self._ahead))
            return True
        if is_behind:
            self._missed[entity] = None
            self._was_any_missed = True
            self._check_moved(len(self._missed))
        return False

    def _is_behind(self, entity: EntityId, image: Image | None) -> bool | None:
        """Whether an entity is at the cursor or behind it; None: the table does not show it."""
        key = self._view.key_of_image(entity, image)
        if key is None:
            return None
        if self._is_at_end:
            return True
        if self._key is None:
            return False
        return key >= self._key if self._view.is_descending else key <= self._key

    def _check_moved(self, count: int) -> None:
        if count > sync_limits.SYNC_MOVED_MAX:
            raise too_far_behind()
