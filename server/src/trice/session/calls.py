"""What one session has of functions: calls under way, and calls that it watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from trice import function_limits, limits
from trice.apps.app import App
from trice.calls.live import LiveFunctions
from trice.calls.together import Hold, is_refreshing
from trice.calls.watch import Answer, Watch
from trice.errors import LimitExceeded, TriceError, Unavailable
from trice.identity import Identity
from trice.live.live_query import NO_TX
from trice.protocol import down
from trice.protocol.ids import TxId
from trice.protocol.shared import Frame, SharedPart
from trice.session.outbox import Outbox
from trice.session.state import Owed

Fail = Callable[[TriceError, bytes, str | None], None]
"""Tells the client that a message failed: why, what it repeats of the message, its event id."""


@dataclass(slots=True, eq=False)
class LiveCall:
    """One watched call. `args_json` as the client sent them; `owed`: messages that wait for an
    answer."""

    name: str
    args_json: bytes
    owed: list[Owed] = field(default_factory=list)
    watch: Watch | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.name) + len(self.args_json)

    @property
    def echo(self) -> bytes:
        """`original-event` of its failures."""
        name = orjson.dumps(self.name)
        if len(self.args_json) > limits.ERROR_ECHO_QUERY_BYTES_MAX:
            return b'{"op":"add-call","name":%b}' % name
        return b'{"op":"add-call","name":%b,"args":%b}' % (name, self.args_json)


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
        self._calls: dict[tuple[str, bytes], LiveCall] = {}
        self._by_watch: dict[Watch, LiveCall] = {}
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
        owed: Owed,
        ip: str,
        origin: str,
    ) -> None:
        """Watch a call, or ask once more for one that is watched.

        args_key   equal for equal arguments
        owed       the message that asks
        raises     LimitExceeded, Unavailable; then it is not watched
        """
        known = self._calls.get((name, args_key))
        if known is not None and known.watch is not None:
            if len(known.owed) >= function_limits.SESSION_CALLS_MAX:
                raise Unavailable(
                    "overloaded",
                    f"{len(known.owed)} messages wait for the answer of this call already.",
                )
            known.owed.append(owed)
            self.live.ask_again(self._app, known.watch)
            return
        call = LiveCall(name, args_json, [owed])
        is_full = len(self._calls) >= function_limits.SESSION_LIVE_CALLS_MAX
        if is_full or self._bytes + call.size_bytes > function_limits.SESSION_LIVE_BYTES_MAX:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A session may watch {function_limits.SESSION_LIVE_CALLS_MAX:,} calls, of"
                f" {function_limits.SESSION_LIVE_BYTES_MAX:,} bytes together; remove some first.",
            )
        call.watch = self.live.watch(
            *(self._app, name, args_key),
            identity=self._identity,
            on_news=self._on_news,
            on_late=self._on_late,
            has_deltas=self._has_deltas,
            ip=ip,
            origin=origin,
        )
        self._calls[name, args_key] = call
        self._by_watch[call.watch] = call
        self._bytes += call.size_bytes

    def remove(self, name: str, args_key: bytes) -> None:
        """Watch a call no more; an unknown one is no error."""
        call = self._calls.pop((name, args_key), None)
        if call is None:
            return
        assert call.watch is not None, "it was added"
        self._bytes -= call.size_bytes
        self._news.pop(call, None)
        del self._by_watch[call.watch]
        self.live.unwatch(self._app, call.watch)
        self._late.pop(call.watch, None)
        self._look_again()

    def end(self) -> None:
        """The session is over."""
        by_watch, self._by_watch = self._by_watch, {}
        for watch in by_watch:
            self.live.unwatch(self._app, watch)
        self._calls, self._news = {}, {}
        self._end_hold()
        self._fail = _nothing

    @property
    def has_news(self) -> bool:
        """Whether there are answers that the client was not told."""
        return bool(self._news)

    def holds_back(self, news_tx: TxId) -> bool:
        """Whether news of the session have to wait for calls that the same commits change.

        news_tx   the newest state that queries among them show
        Whoever watches no call never waits; nobody waits longer than TOGETHER_MS, or for a call
        that takes longer.
        """
        is_any_due = bool(self._late) or is_refreshing(self._app.database)
        if not self._by_watch or not is_any_due or self._is_over:
            self._end_hold()
            return False
        watches = [call.watch for call in self._news if call.watch is not None]
        labels = [watch.label() for watch in watches if watch.answer is not None]
        self._wanted_tx = max([news_tx, *labels])
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
        if not watch.is_late or watch not in self._by_watch:
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
