"""A list of a function that somebody watches page by page: which stretches they have loaded.

    pages     │ (·, a] │ (a, b] │ (b, c] │         `more` adds (c, …]
    a commit  │ (·, a] runs again, and no other
    it grew   │ (·, m] │ (m, a] │ (a, b] │ (b, c] │     told at once, when all of it is known

Each page is a watched call of its own (`live.Group`), shared with all who have the same stretch.
Invariant: what is told begins with the first row, and each page begins where the one before ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from trice.apps.app import App
from trice.calls.cursors import is_bad_cursor
from trice.calls.live import LiveFunctions
from trice.calls.page_reads import OPEN, Stretch
from trice.calls.watch import Answer, Watch
from trice.errors import InvalidInput, LimitExceeded, TriceError
from trice.function_limits import PAGES_A_TOKEN, PAGES_MAX
from trice.functions.types import list_of
from trice.identity import Identity
from trice.protocol import down
from trice.protocol.ids import TxId


@dataclass(frozen=True, slots=True)
class PageNews:
    """A page that is new, or whose answer is another.

    at      its place
    is_new  it comes before what was at that place; else it is that
    until   where it ends: OPEN with the list; None: that is not known
    """

    at: int
    is_new: bool
    until: str | None
    answer: Answer


@dataclass(frozen=True, slots=True)
class ListNews:
    """What there is to tell of a list.

    pages     in order of their places
    count     how many pages there are
    is_whole  these are all of them, whatever was told before
    tx        these pages contain every transaction up to this one
    """

    pages: Sequence[PageNews]
    count: int
    is_whole: bool
    tx: TxId


@dataclass(slots=True, eq=False)
class _Page:
    """One page.

    is_gap   it is loaded as a page ends sooner than it did; until it is told
    """

    watch: Watch
    is_told: bool = False
    is_gap: bool = False

    @property
    def stretch(self) -> Stretch:
        """What was told, or what it was loaded for."""
        assert self.watch.stretch is not None, "every page is watched as a stretch"
        return self.watch.stretch

    @property
    def is_nowhere(self) -> bool:
        """Whether its places mean nothing any more. One that has none may fail alike, by a function
        that it runs: to begin anew would fail again, for ever."""
        answer = self.watch.answer
        return self.stretch != Stretch() and answer is not None and is_bad_cursor(answer.error)

    @property
    def end(self) -> str | None:
        """Where it ends now."""
        answer = self.watch.answer
        is_known = answer is not None and answer.until is not None
        return answer.until if answer is not None and is_known else self.stretch.until


class PageList:
    """Holds the pages of one who watches a list. Does not hold their answers (`watch` does)."""

    def __init__(
        self,
        live: LiveFunctions,
        app: App,
        name: str,
        args: bytes,
        *,
        identity: Identity,
        on_news: Callable[[PageList], None],
        ip: str = "",
        origin: str = "",
        on_end: Callable[[], None] = lambda: None,
        on_late: Callable[[Watch], None] | None = None,
        ends: Sequence[str | None] = (),
    ) -> None:
        """Watch a list: its first page, or the pages that end at `ends`. As `LiveFunctions.watch`.

        ends      as they were told; OPEN or None is the last
        on_news   called when `take` has something to tell, never before this returns
        on_late   see `Watch`; called with a page's
        raises    InvalidInput("bad-args") where there is no list; what `LiveFunctions.watch` raises
        """
        check_listed(live, app, name, args)
        self._live = live
        self._app = app
        self._call = (app, name, args)
        self._who: dict[str, Any] = {
            "identity": identity,
            "ip": ip,
            "origin": origin,
            "on_end": on_end,
            "on_late": on_late,
        }
        self._tell = on_news
        self._pages: list[_Page] = []
        self._told_count = 0
        self._is_whole = True
        self._is_ended = False
        after, runs = OPEN, 0
        try:
            for end in ends[:PAGES_MAX] or (None,):
                stretch = Stretch(after, end)
                runs += not live.is_run(*self._call, stretch)
                self._pages.append(self._load(stretch, is_counted=not self._pages))
                if not end:
                    break
                after = end
            if runs > PAGES_A_TOKEN:
                live.owe(app, self._pages[0].watch, (runs - 1) // PAGES_A_TOKEN)
        except TriceError:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._pages)

    @property
    def has_more(self) -> bool:
        """Whether the last page was told, and ends before the list does."""
        last = self._pages[-1]
        return last.is_told and bool(last.stretch.until)

    @property
    def lane(self) -> object:
        """Equal for many who are told the same at once (`outbox.schedule_news`)."""
        first = self._pages[0].watch
        return first.answer if first.answer is not None else self

    @property
    def labels(self) -> list[TxId]:
        """The states that the pages show of which there is something to tell."""
        return [page.watch.label() for page in self._pages if self._is_other(page)]

    def more(self) -> bool:
        """Load the page behind the last one; no effect, and False, while that is not known, or
        where it is the last of all.

        raises   LimitExceeded("parameter-limit-exceeded"), ("rate-limited"),
                 Unavailable("overloaded")
        """
        if not self.has_more:
            return False
        if len(self._pages) >= PAGES_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"{PAGES_MAX} pages of this list are loaded, the most. Ask for larger pages.",
            )
        after = self._pages[-1].stretch.until
        assert after is not None, "there is more"
        self._pages.append(self._load(Stretch(after), is_counted=True))
        return True

    def ask_again(self) -> None:
        """Tell all pages once more, as new as what is published now."""
        self._is_whole = True
        for page in self._pages:
            self._live.ask_again(self._app, page.watch)

    def take(self) -> ListNews | None:
        """What there is to tell, noted as told; None: nothing."""
        if not self._is_ready():
            return None
        is_whole, self._is_whole = self._is_whole, False
        news: list[PageNews] = []
        labels: list[TxId] = []
        for at, page in enumerate(self._pages):
            answer = page.watch.answer
            if answer is None:
                break  # the one that is being loaded
            is_new = is_whole or not page.is_told
            is_other = is_whole or self._is_other(page)
            label = page.watch.label()
            page.watch.tell(answer)
            page.is_told, page.is_gap = True, False
            if is_other:
                news.append(PageNews(at, is_new, page.stretch.until, answer))
                labels.append(label)
        count = sum(page.is_told for page in self._pages)
        was, self._told_count = self._told_count, count
        if not news and count == was:
            return None
        return ListNews(news, count, is_whole, min(labels, default=self._app.database.tx))

    def close(self) -> None:
        """Watch nothing any more."""
        self._is_ended = True
        self._drop(0)

    # --- inside ----------------------------------------------------------------------------------

    def _is_other(self, page: _Page) -> bool:
        answer = page.watch.answer
        is_same = page.is_told and not self._is_whole
        return answer is not None and not (is_same and answer.digest == page.watch.told)

    def _load(self, stretch: Stretch, *, is_counted: bool = False) -> _Page:
        return _Page(
            self._live.watch(
                *self._call,
                **self._who,
                on_news=self._on_news,
                stretch=stretch,
                is_counted=is_counted,
            )
        )

    def _drop(self, start: int, end: int | None = None) -> None:
        for page in self._pages[start:end]:
            self._live.unwatch(self._app, page.watch)
        del self._pages[start:end]

    def _on_news(self, _: Watch) -> None:
        if not self._is_ended and self._is_ready():
            self._tell(self)

    def _is_ready(self) -> bool:
        """Whether all pages are known, without a gap. Loads what is missing."""
        if any(page.is_nowhere for page in self._pages):
            self._begin_anew()
        self._close_gaps()
        known = self._pages
        last = known[-1]
        if self._told_count and not last.is_told and last.stretch.until is None:
            known = known[:-1]  # it is being loaded, and nobody has seen anything of it
        return all(page.watch.answer is not None for page in known)

    def _begin_anew(self) -> None:
        """The places mean nothing any more: the order is another, or the server's key."""
        with suppress(TriceError):  # then the error stands
            first = self._load(Stretch())
            self._drop(0)
            self._pages.append(first)
            self._told_count = 0
            self._is_whole = True

    def _close_gaps(self) -> None:
        """Where a page ends sooner than it did, load what is between it and the next. What cannot
        be loaded, or is too much, is left out with all that follows."""
        at = 0
        while at < len(self._pages):
            page, at = self._pages[at], at + 1
            # What was to close a gap that begins elsewhere now.
            while at < len(self._pages) and self._is_stray(self._pages[at], page.end):
                self._drop(at, at + 1)
            is_last = at == len(self._pages)
            goal = page.stretch.until if is_last else self._pages[at].stretch.after
            if None in (goal, page.end) or page.end == goal:
                continue
            try:
                gap = self._load(Stretch(page.end or OPEN, goal))
            except TriceError:
                self._drop(at)
                return
            gap.is_gap = True
            self._pages.insert(at, gap)
            self._drop(PAGES_MAX)

    def _is_stray(self, page: _Page, place: str | None) -> bool:
        return page.is_gap and page.stretch.after != place


def check_listed(live: LiveFunctions, app: App, name: str, args: bytes) -> None:
    """Check that a call lists something page by page. A function that is not there is told later.

    raises   InvalidInput("bad-args")
    """
    signature = live.functions.door.deployed.signatures(app.id).get(name)
    if signature is None:
        return
    listed = list_of(signature.types)
    if listed is None:
        raise InvalidInput(
            "bad-args",
            f"{name} is no list: that takes an argument of type `Paged`, and returns a `Page`.",
            {"function": name, "path": "", "expected": "a function that returns a Page"},
        )
    page = orjson.loads(args).get(listed[0])
    if isinstance(page, dict) and page.get("after") is not None:
        raise InvalidInput(
            "bad-args",
            f"{listed[0]}.after has no place here: a list that is watched begins with its first"
            " page, and goes on by `more-call`.",
            {"function": name, "path": f"{listed[0]}.after", "expected": "nothing"},
        )


def encoded_page(page: PageNews) -> bytes:
    """A page as clients are told it."""
    error = page.answer.error
    return down.call_page(
        page.at,
        until=page.until,
        is_new=page.is_new,
        value=page.answer.value,
        error=b"" if error is None else orjson.dumps(error.body()),
    )
