"""Patch a page: rows enter, leave and move within its window; its page info follows. No I/O.

Seen in the direction in which the page was read (from its end, for `last`):

    before `after` │ the window, at most `limit` rows │ beyond: known to exist if `is_cut`, no more
                   └── bounds of the page ────────────┴──────────────│ behind `before`

A row that enters the window pushes the last row beyond it. When a row leaves and others are beyond,
the next one is not in memory: Undecided. Of the rows beyond one is known (`Node.beyond`), which
proves that there are some. Changes behind it are not seen here, so it may only move inwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trice.live.patch.kept import Level
from trice.live.patch.matching import Undecided, sort_of
from trice.live.patch.rows import Key, Window
from trice.protocol.ids import EntityId
from trice.query.ast import Page
from trice.query.cursor import Bound, page_bounds
from trice.query.run import no_rows, order_of, page_info
from trice.query.tree import PageInfo
from trice.store.engine import Row

Side = Literal[-1, 0, 1]
"""A side of a page's bounds, in its order: before `after`, between the bounds, behind `before`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A changed entity that meets the page's conditions, before or after.

    old_key  the key that ordered it; None: it did not meet them
    row      its row now; None: it does not meet them
    """

    id: EntityId
    old_key: Key | None
    row: Row | None


def patch_page(level: Level, window: Window, entries: Sequence[Entry]) -> None:
    """Apply changed entities to a page.

    raises   Undecided: the page must be read again
    """
    if not entries:
        return
    page = level.form.page
    assert page is not None
    if all(
        entry.row is not None and window.key_of(entry.row) == entry.old_key for entry in entries
    ):
        for entry in entries:
            if entry.id in window:
                level.set(entry.id, entry.row)
        info, rows = level.node.page, window.rows
        if info is not None and rows:
            # Equal keys may belong to values that differ as text: dates, letters with accents.
            level.node.page = page_info(
                level.form, rows, has_next=info.has_next, has_previous=info.has_previous
            )
        return
    if page.offset or page.limit == 0:
        raise Undecided
    _Moves(level, window, page).apply(entries)


class _Moves:
    """One round of rows that enter, leave and move.

    Holds what became certain and what became doubtful: about the row known to be beyond the window,
    and about rows outside of the page's bounds on either side.
    """

    def __init__(self, level: Level, window: Window, page: Page) -> None:
        self._level = level
        self._window = window
        self._page = page
        self._after, self._before = page_bounds(page, level.form.order)
        self._is_cut = level.node.is_cut
        self._is_up = window.is_descending == page.is_last
        rows = window.rows
        self._last = window.key_of(rows[0 if page.is_last else -1]) if self._is_cut else None
        self._beyond = level.node.beyond
        self._is_beyond_doubtful = False
        self._sure: set[Side] = set()
        self._doubtful: set[Side] = set()

    def apply(self, entries: Sequence[Entry]) -> None:
        was_empty = not self._window.rows
        for entry in entries:
            self._move(entry)
        limit = self._page.limit
        if limit is not None:
            self._cut(limit)
        has_bounds = self._after is not None or self._before is not None
        if was_empty and has_bounds and self._window.rows:
            raise Undecided
        node = self._level.node
        node.page = self._info(node.page)
        node.is_cut, node.beyond = self._is_cut, self._beyond

    def _move(self, entry: Entry) -> None:
        was_in = entry.id in self._window
        key = None if entry.row is None else self._window.key_of(entry.row)
        side = None if key is None else self._side(key)
        old_side = None if entry.old_key is None else self._side(entry.old_key)
        is_beyond = key is not None and side == 0 and self._is_beyond(key)
        if side == 0 and not is_beyond:
            self._level.set(entry.id, entry.row)
        elif was_in:
            self._level.set(entry.id, None)
        if self._beyond is not None and entry.id == self._beyond[1] and key != entry.old_key:
            self._is_beyond_doubtful = True
        if side is not None:
            self._sure.add(side)
        if old_side is not None and side != old_side:
            self._doubtful.add(old_side)

    def _cut(self, limit: int) -> None:
        rows = self._window.rows
        while len(rows) > limit:
            last = rows[0 if self._page.is_last else -1]
            entity: EntityId = last[0]  # type: ignore[assignment]
            self._level.set(entity, None)
            self._is_cut, self._is_beyond_doubtful = True, False
            self._beyond = (order_of(self._level.form, last), entity)
        if self._is_cut and (len(rows) < limit or self._is_beyond_doubtful):
            raise Undecided

    def _info(self, info: PageInfo | None) -> PageInfo:
        rows, page = self._window.rows, self._page
        assert info is not None
        if not rows:
            return no_rows(page)
        has_previous = self._is_cut and page.is_last
        has_next = self._is_cut and not page.is_last
        return page_info(
            self._level.form,
            rows,
            has_next=has_next or self._is_any(1, info.has_next),
            has_previous=has_previous or self._is_any(-1, info.has_previous),
        )

    def _is_any(self, side: Side, was_any: bool) -> bool:
        """Whether rows are outside of the bounds on this side; `was_any`: some were before."""
        if side in self._sure:
            return True
        if was_any and side in self._doubtful:
            raise Undecided
        return was_any

    def _is_beyond(self, key: Key) -> bool:
        """Whether a row lies beyond the window, where only the database knows the order."""
        last = self._last
        return last is not None and (key > last if self._is_up else key < last)

    def _side(self, key: Key) -> Side:
        after, before = self._after, self._before
        is_down = self._window.is_descending
        if after is not None and not _is_inside(key, after, is_above=not is_down):
            return -1
        if before is not None and not _is_inside(key, before, is_above=is_down):
            return 1
        return 0


def _is_inside(key: Key, bound: Bound, *, is_above: bool) -> bool:
    edge = (*sort_of(bound.order), bound.entity)
    if key == edge:
        return bound.is_inclusive
    return key > edge if is_above else key < edge
