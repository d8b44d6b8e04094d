"""The page that one run reads.

    asked by its cursor   after ─┬─ size rows ─┬─ next, if more follow
    a stretch of a list   after ─┴─ all rows ──┴─ until       fixed once it was read the first time

A stretch that has more than twice `size` rows ends behind the first `size` of them from then on:
what follows is a stretch of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from trice.calls.cursors import Cursors, Mark, bad_cursor
from trice.data_run import DataRun
from trice.errors import InvalidInput
from trice.function_limits import FIND_ROWS_MAX
from trice.functions.frames import Page
from trice.identity import Identity

OPEN: str = ""
"""In the place of a cursor: before the first row, or behind the last."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a list between two places, by their cursors: behind `after`, up to and with `until`.

    after   OPEN: from the first row on
    until   OPEN: to the last row; None: not known before it was read, `size` rows or so
    """

    after: str = OPEN
    until: str | None = None


class Reading(Protocol):
    """What reads for the run (`sides.DataSide`)."""

    @property
    def run_on(self) -> DataRun: ...

    async def read_as(self, query: Any, identity: Identity) -> bytes:
        """Answer a query, and depend on the answer."""
        ...

    def unread(self, query: Any, identity: Identity) -> None:
        """Depend on an answer no more."""
        ...


class PageReads:
    """Which page a run reads.

    stretch   None: by the cursor that the function was given. Else the stretch, as it was read
    rows      how many rows it has; None: the run read no page
    size      how many were asked for
    """

    def __init__(self, cursors: Cursors, stretch: Stretch | None = None) -> None:
        self.stretch = stretch
        self.rows: int | None = None
        self.size = 0
        self._given = stretch
        self._cursors = cursors

    def restart(self) -> None:
        """The run begins anew, on another snapshot."""
        self.stretch, self.rows = self._given, None

    async def read(self, side: Reading, asked: Page, identity: Identity) -> bytes:
        """Answer with a page: JSON `{"next", "most", "answer"}`.

        next     the cursor behind it; null: no rows follow
        most     only the first so many rows of `answer` are in it
        raises   InvalidInput("bad-args") for a place that is none of this list
        """
        ((etype, form),) = asked.query.items()
        if not 1 <= asked.size <= FIND_ROWS_MAX:
            hint = {"path": "page.size", "expected": f"1 to {FIND_ROWS_MAX:,}", "got": asked.size}
            raise InvalidInput("bad-args", f"The size of a page is 1 to {FIND_ROWS_MAX:,}.", hint)
        one = _OnePage(side, self._cursors, identity, etype, form, asked.size)
        self.size = asked.size
        if self.stretch is None:
            following, answer = await one.by_cursor(asked.after)
        else:
            self.stretch, self.rows, answer = await one.stretch(self.stretch)
            following = self.stretch.until or None
        return b'{"next":%b,"most":%d,"answer":%b}' % (
            orjson.dumps(following),
            asked.size if self.stretch is None else 2 * asked.size,
            answer,
        )


@dataclass(slots=True)
class _OnePage:
    side: Reading
    cursors: Cursors
    identity: Identity
    etype: str
    form: dict[str, Any]
    size: int

    async def by_cursor(self, after: str | None) -> tuple[str | None, bytes]:
        """The page behind a cursor, and the cursor behind it."""
        start = self._after(after or OPEN)
        answer = await self.side.read_as(self._query(**start, limit=self.size + 1), self.identity)
        is_cut = self._count(answer) > self.size
        return (await self._end(start))[0] if is_cut else None, answer

    async def stretch(self, stretch: Stretch) -> tuple[Stretch, int, bytes]:
        """The rows of a stretch, with their number, and the stretch as it is from now on."""
        start = self._after(stretch.after)
        if stretch.until is None:
            end, has_more = await self._end(start)
            stretch = replace(stretch, until=end if has_more and end is not None else OPEN)
        query = self._stretch_query(stretch, start)
        answer = await self.side.read_as(query, self.identity)
        rows = self._count(answer)
        if rows <= 2 * self.size:
            return stretch, rows, answer
        self.side.unread(query, self.identity)
        end, _ = await self._end(start)
        stretch = replace(stretch, until=end)
        answer = await self.side.read_as(self._stretch_query(stretch, start), self.identity)
        return stretch, self._count(answer), answer

    def _stretch_query(self, stretch: Stretch, start: dict[str, Any]) -> dict[str, Any]:
        end = {}
        if stretch.until:
            end = {"before": self._row(stretch.until), "beforeInclusive": True}
        return self._query(**start, **end, limit=2 * self.size + 1)

    def _after(self, after: str) -> dict[str, Any]:
        return {"after": self._row(after)} if after else {}

    def _row(self, text: str) -> list[Any]:
        mark = self.cursors.open(text)
        if mark.etype != self.etype or mark.order != self.form["$"]["order"]:
            raise bad_cursor(text, "the order of the list is another now")
        return mark.row

    async def _end(self, start: dict[str, Any]) -> tuple[str | None, bool]:
        """The cursor behind the first `size` rows, and whether more follow. The run does not depend
        on it while it is watched: an end stays where it is."""
        asked = self.form["$"]
        bare = {word: asked[word] for word in ("where", "order") if word in asked}
        query = {self.etype: {"$": {**bare, **start, "limit": self.size, "fields": ["id"]}}}
        row, has_more = await self.side.run_on.read_end(query, identity=self.identity)
        if row is None:
            return None, False
        order = self.form["$"]["order"]
        return self.cursors.seal(Mark(self.etype, order, row)), has_more

    def _query(self, **page: Any) -> dict[str, Any]:
        return {self.etype: {**self.form, "$": {**self.form["$"], **page}}}

    def _count(self, answer: bytes) -> int:
        return len(orjson.loads(answer)[self.etype])
