"""What one session has of functions: calls under way, and calls that it watches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from trice import function_limits, limits
from trice.apps.app import App
from trice.calls.live import LiveFunctions
from trice.calls.page_list import ListNews, PageList, encoded_page
from trice.calls.together import Hold, is_refreshing
from trice.calls.watch import Answer, Watch
from trice.errors import LimitExceeded, TriceError, Unavailable
from trice.identity import Identity
from trice.live.live_query import NO_TX
from trice.protocol import down
from trice.protocol.ids import TxId
from trice.protocol.shared import Frame, SharedPart
from trice.session.outbox import Outbox
from trice.session.state import Owed, SessionState

Fail = Callable[[TriceError, bytes, str | None], None]
"""Tells the client that a message failed: why, what it repeats of the message, its event id."""


@dataclass(slots=True, eq=False)
class LiveCall:
    """One watched call. `args_json` as the client sent them; `owed`: messages that wait for an
    answer; `ends_bytes`: of the ends of pages that the client sent; `pages`: of a list, in place of
    `watch`."""

    name: str
    args_json: bytes
    owed: list[Owed] = field(default_factory=list)
    ends_bytes: int = 0
    watch: Watch | None = None
    pages: PageList | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.name) + len(self.args_json) + self.ends_bytes

    @property
    def echo(self) -> bytes:
        """`original-event` of its failures."""
        name = orjson.dumps(self.name)
        if len(self.args_json) > limits.ERROR_ECHO_QUERY_BYTES_MAX:
            return b'{"op":"add-call","name":%b}' % name
        return b'{"op":"add-call","name":%b,"args":%b}' % (name, self.args_json)

    @property
    def labels(self) -> list[TxId]:
        """The states that what there is to tell of it shows."""
        if self.pages is not None:
            return self.pages.labels
        return [] if self.watch is None or self.watch.answer is None else [self.watch.label()]

    def part(self, news: ListNews) -> SharedPart:
        """News of its pages as an element of `refresh-ok`. One page that changed is the usual case:
        then it is encoded once for all who are told the same."""
        if len(news.pages) == 1 and not news.is_whole and not news.pages[0].is_new:
            (page,) = news.pages
            return page.answer.page_part(
                *(self.name, self.args_json), at=page.at, count=news.count, until=page.until
            )
        pages = [encoded_page(page) for page in news.pages]
        return SharedPart(
            down.list_news(
                self.name, self.args_json, pages, count=news.count, is_whole=news.is_whole
            )
        )


class SessionCalls:
    """Holds what the session watches, which of that has news or is late, whether news wait for
    that, and how many calls are under way, and the bytes of their messages; mutations in order left
    out.

    has_deltas   the client takes what changed in the place of values
    Does not hold answers (`calls.live` does).
    """

    __slots__ = (
        "_app",
        "_by_watch",
        "_bytes",
        "_calls",
        "_fail",
        "_has_deltas",
        "_hold",
        "_identity",
        "_is_over",
        "_late",
        "_news",
        "_outbox",
        "_wanted_tx",
        "live",
        "running",
        "running_bytes",
    )

    def __init__(
        self,
        live: LiveFunctions,
        app: App,
        identity: Identity,
        outbox: Outbox,
        fail: Fail,
        *,
        has_deltas: bool = False,
    ) -> None:
        self.live = live
        self.running = self.running_bytes = 0
        self._app = app
        self._identity = identity
        self._outbox = outbox
        self._fail = fail
        self._calls: dict[tuple[str, bytes, bool], LiveCall] = {}
        self._by_watch: dict[Watch | PageList, LiveCall] = {}
        self._news: dict[LiveCall, None] = {}
        self._bytes = 0
        self._has_deltas = has_deltas
        # Those that are answered anew; the news that wait for them, and whether they waited enough.
        self._late: dict[Watch, None] = {}
        self._hold: Hold | None = None
        self._is_over = False
        self._wanted_tx = NO_TX

    def add(
        self,
        name: str,
        args_key: bytes,
        args_json: bytes,
        *,
        ends: Sequence[str | None] | None,
        owed: Owed,
        ip: str,
        origin: str,
    ) -> None:
        """Watch a call, or ask once more for one that is watched.

        args_key   equal for equal arguments
        ends       of the pages of a list that are loaded already; None: it is no list
        owed       the message that asks
        raises     LimitExceeded, Unavailable, InvalidInput; then it is not watched
        """
        known = self._calls.get((name, args_key, ends is not None))
        if known is not None:
            if len(known.owed) >= function_limits.SESSION_CALLS_MAX:
                raise Unavailable(
                    "overloaded",
                    f"{len(known.owed)} messages wait for the answer of this call already.",
                )
            known.owed.append(owed)
            if known.pages is not None:
                known.pages.ask_again()
            elif known.watch is not None:
                self.live.ask_again(self._app, known.watch)
            return
        ends_bytes = sum(len(end or "") for end in ends or ())
        call = LiveCall(name, args_json, [owed], ends_bytes)
        self._check_room(call, pages=max(1, len(ends or ())))
        asked: dict[str, Any] = {
            "identity": self._identity,
            "on_late": self._on_late,
            "ip": ip,
            "origin": origin,
        }
        if ends is None:
            call.watch = self.live.watch(
                *(self._app, name, args_key),
                on_news=self._on_news,
                has_deltas=self._has_deltas,
                **asked,
            )
            self._by_watch[call.watch] = call
        else:
            call.pages = PageList(
                *(self.live, self._app, name, args_key),
                on_news=self._on_pages,
                ends=ends,
                **asked,
            )
            self._by_watch[call.pages] = call
        self._calls[name, args_key, ends is not None] = call
        self._bytes += call.size_bytes

    def more(self, name: str, args_key: bytes) -> None:
        """Load the next page of a list; an unknown list is no error, as `remove` may be under way.

        raises   LimitExceeded, Unavailable
        """
        call = self._calls.get((name, args_key, True))
        if call is not None and call.pages is not None:
            self._check_room(None, pages=1)
            call.pages.more()

    def _check_room(self, call: LiveCall | None, *, pages: int) -> None:
        """Each page of a list counts as a call. raises   LimitExceeded"""
        size_bytes = self._bytes + (0 if call is None else call.size_bytes)
        count = pages + sum(
            1 if each.pages is None else len(each.pages) for each in self._calls.values()
        )
        if (
            count > function_limits.SESSION_LIVE_CALLS_MAX
            or size_bytes > function_limits.SESSION_LIVE_BYTES_MAX
        ):
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A session may watch {function_limits.SESSION_LIVE_CALLS_MAX:,} calls, of"
                f" {function_limits.SESSION_LIVE_BYTES_MAX:,} bytes together; remove some first.",
            )

    def remove(self, name: str, args_key: bytes, *, is_paged: bool) -> None:
        """Watch a call no more; an unknown one is no error."""
        call = self._calls.pop((name, args_key, is_paged), None)
        if call is None:
            return
        self._bytes -= call.size_bytes
        self._news.pop(call, None)
        self._let_go(call)
        self._look_again()

    def _let_go(self, call: LiveCall) -> None:
        if call.pages is not None:
            del self._by_watch[call.pages]
            call.pages.close()
        elif call.watch is not None:
            del self._by_watch[call.watch]
            self.live.unwatch(self._app, call.watch)

    def end(self) -> None:
        """The session is over."""
        self._end_hold()
        for call in self._calls.values():
            self._let_go(call)
        self._calls, self._by_watch, self._news = {}, {}, {}
        self._fail = _nothing

    @property
    def has_news(self) -> bool:
        """Whether there are answers that the client was not told."""
        return bool(self._news)

    def holds_back(self, queries: SessionState) -> bool:
        """Whether news of the session have to wait for calls that the same commits change.

        queries   those of the session: which state their news show
        Whoever watches no call never waits; nobody waits longer than TOGETHER_MS, or for a call
        that takes longer.
        """
        is_any_due = bool(self._late) or is_refreshing(self._app.database)
        if not self._by_watch or not is_any_due or self._is_over:
            self._end_hold()
            return False
        self._wanted_tx = max([queries.news_tx, *(tx for call in self._news for tx in call.labels)])
        if not self._is_waiting:
            self._end_hold()
            return False
        if self._hold is None:
            self._hold = self.live.holds.begin(
                self._app.database, look_again=self._look_again, give_up=self._give_up
            )
        return True

    @property
    def _is_waiting(self) -> bool:
        """Whether a call is answered anew, or may have to be, that was not since `_wanted_tx`."""
        is_late = any(watch.label() < self._wanted_tx for watch in self._late)
        return is_late or is_refreshing(self._app.database)

    def _on_late(self, watch: Watch) -> None:
        if not watch.is_late or watch.is_ended:
            self._late.pop(watch, None)
        else:
            self._late[watch] = None
        self._look_again()

    def _look_again(self) -> None:
        if self._hold is not None and not self._is_waiting:
            self._end_hold()
            self._outbox.schedule_news(self.live)

    def _give_up(self) -> None:
        self._late = {}
        self._hold = None
        self._is_over = True
        self._outbox.schedule_news(self.live)

    def _end_hold(self) -> None:
        self._is_over = False
        if self._hold is not None:
            self._hold.is_over = True
            self._hold = None

    def take_news(self) -> dict[TxId, list[SharedPart]]:
        """The news, noted as told: elements of `refresh-ok` by their labels."""
        news, self._news = self._news, {}
        told: dict[TxId, list[SharedPart]] = {}
        for call in news:
            found = None if call.pages is None else call.pages.take()
            if found is not None:
                told.setdefault(found.tx, []).append(call.part(found))
            watch = call.watch
            answer = None if watch is None else watch.answer
            if watch is not None and answer is not None and answer.digest != watch.told:
                held = watch.held if self._has_deltas else None
                part = answer.part(call.name, call.args_json, held)
                told.setdefault(watch.label(), []).append(part)
                watch.tell(answer)
        return told

    def _on_news(self, watch: Watch) -> None:
        call, answer = self._by_watch.get(watch), watch.answer
        if call is None or answer is None:
            return
        if not call.owed:
            self._news[call] = None
            self._outbox.schedule_news(answer)
            return
        owed, call.owed = call.owed, []
        label = watch.label()
        watch.tell(answer)
        self._news.pop(call, None)
        for one in owed:
            self._answer(call, answer, label, one)

    def _on_pages(self, pages: PageList) -> None:
        call = self._by_watch.get(pages)
        if call is None:
            return
        if not call.owed:
            self._news[call] = None
            self._outbox.schedule_news(pages.lane)
            return
        news = pages.take()
        if news is None:
            return
        owed, call.owed = call.owed, []
        self._news.pop(call, None)
        said = SharedPart(down.call_pages(encoded_page(page) for page in news.pages))
        for one in owed:
            frame: Frame = down.add_call_ok(
                *(call.name, call.args_json), event_id=one.event_id, said=said, tx=news.tx
            )
            self._outbox.push(frame)

    def _answer(self, call: LiveCall, answer: Answer, label: TxId, owed: Owed) -> None:
        if answer.value is None:
            assert answer.error is not None, "an answer is a value or an error"
            self._fail(answer.error, call.echo, owed.event_id)
            return
        frame: Frame = down.add_call_ok(
            *(call.name, call.args_json),
            event_id=owed.event_id,
            said=answer.said(owed.held if self._has_deltas else None),
            tx=label,
        )
        self._outbox.push(frame)


def _nothing(failure: TriceError, echo: bytes, event_id: str | None) -> None:
    """The `fail` of a session that has ended."""
