"""One connected client: its identity, its app, its socket, and everything it holds on to.

A little over 500 lines, one file because it is the one object that all parts of a session know.

socket ──receive──> worker ──> handlers ──> state, database
database ──told──> state.news ──> outbox ──one write a turn──> socket
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import orjson

from trice import limits
from trice.apps.apps import App, Apps
from trice.catalog.catalog import Catalog
from trice.errors import Bug, TriceError
from trice.identity import GUEST, Identity, network_of
from trice.live.live_query import LiveQuery, Question
from trice.log import fields
from trice.protocol import down
from trice.protocol.errors import CODES, IDLE, SIGNED_OUT, TRY_LATER
from trice.protocol.ids import SessionId
from trice.protocol.shared import Frame
from trice.runtime import Runtime, new_uuid
from trice.session.extension import PLAIN, Extension
from trice.session.first_answers import FirstAnswers
from trice.session.frames import refresh_frame
from trice.session.incoming import Incoming
from trice.session.long_messages import LongMessage, LongMessages
from trice.session.loop_turns import LoopTurns
from trice.session.outbox import Outbox
from trice.session.refused import outline
from trice.session.send_queue import SendQueue
from trice.session.socket import ENDED, MustClose, Socket
from trice.session.state import Phase, SessionState, Subscription
from trice.shares import Held

logger: Final = logging.getLogger("trice.session")

READING: Final = 1
"""Why a session is not read: a long message is, or its turn has not come."""
FULL: Final = 2
"""Why a session is not read: it has as many transactions under way as it may."""


class Reader(Protocol):
    """What turns messages into calls of handlers (`worker.py`)."""

    def on_message(self, session: Session, raw: bytes) -> None:
        """Decode and carry out a short message."""
        ...

    def read_long(self, incoming: Incoming) -> Any:
        """Read a long one, on a thread."""
        ...

    def on_read(self, session: Session, read: Any) -> None:
        """Carry out what `read_long` returned, or tell what it raised."""
        ...


class Session:
    """One connected client.

    Holds its identity, its app, its socket and the tasks it started. Does not hold: subscriptions
    (SessionState), unsent frames (Outbox), answers (Live).
    """

    __slots__ = (
        "_backlog_bytes",
        "_early",
        "_early_bytes",
        "_hashed_token",
        "_holds_long",
        "_is_reading",
        "_long",
        "_long_messages",
        "_make_held",
        "_pauses",
        "_queries",
        "_reader",
        "_spent_bytes",
        "_tasks",
        "_turn",
        "_turns",
        "_unfinished",
        "_waits_for_turn",
        "app",
        "apps",
        "extension",
        "first_answers",
        "guest",
        "heard_ms",
        "id",
        "identity",
        "on_end",
        "opened_ms",
        "outbox",
        "runtime",
        "socket",
        "state",
    )

    def __init__(
        self,
        socket: Socket,
        *,
        apps: Apps,
        runtime: Runtime,
        sends: SendQueue,
        first_answers: FirstAnswers,
        long_messages: LongMessages,
        reader: Reader,
        turns: LoopTurns,
        make_held: Callable[[], Held],
        guest: Identity = GUEST,
    ) -> None:
        self.id = SessionId(new_uuid(runtime))
        self.socket = socket
        self.apps = apps
        self.runtime = runtime
        self.first_answers = first_answers
        self.state = SessionState(self.on_answer)
        self.extension = PLAIN
        self.guest = guest
        self.identity = guest
        self._hashed_token: str | None = None
        self.app: App | None = None
        self.outbox = Outbox(
            socket,
            sends=sends,
            make_refresh=self._make_refresh,
            on_overflow=self._drop_slow_client,
        )
        self.opened_ms = runtime.monotonic_ms()
        self.heard_ms = self.opened_ms
        self._backlog_bytes = 0
        # The message that had come in part when last looked at, and when it was first seen so.
        self._unfinished: tuple[int, float] | None = None
        self._reader = reader
        self._long_messages = long_messages
        self._long: LongMessage | None = None
        self._holds_long = False
        self._is_reading = False
        self._pauses = 0
        self._turns = turns
        # What its queries take of the bounds of its address; few sessions ask for so much.
        self._make_held = make_held
        self._queries: Held | None = None
        self._turn = -1
        self._spent_bytes = 0
        self._waits_for_turn = False
        # A deque has 760 bytes; an empty list, as for tasks, 56.
        self._early: deque[bytes | Incoming] | None = None
        self._early_bytes = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.on_end: Callable[[], object] = _nothing

    @property
    def is_closed(self) -> bool:
        return self.state.phase is Phase.CLOSED

    # --- called by the transport ---------------------------------------------------------------

    def receive(self, raw: bytes | Incoming) -> None:
        """Take one message. Never raises: every failure becomes an `error` message."""
        self.heard_ms = self.runtime.monotonic_ms()
        if self.state.phase is Phase.OPENING or self._is_reading:
            self._keep_early(raw)
        elif self.state.phase is not Phase.CLOSED:
            if self._may_handle():
                self._receive_now(raw)
            else:
                self._keep_early(raw)
                self._wait_for_turn()

    def _may_handle(self) -> bool:
        """Whether this turn of the loop may handle another message of this session."""
        turn = self._turns.now()
        if turn != self._turn:
            self._turn, self._spent_bytes = turn, 0
        return self._spent_bytes < limits.SESSION_TURN_BYTES

    def _receive_now(self, raw: bytes | Incoming) -> None:
        size_bytes = len(raw)
        self._spent_bytes += size_bytes + limits.SESSION_TURN_OVERHEAD_BYTES
        if size_bytes > limits.MESSAGE_BYTES_ON_LOOP:
            self._read_long(raw)
        else:
            assert isinstance(raw, bytes), "what is Incoming is long"
            self._reader.on_message(self, raw)

    def _wait_for_turn(self) -> None:
        """Go on in the next turn of the loop."""
        self._is_reading = self._waits_for_turn = True
        self.pause(READING)
        asyncio.get_running_loop().call_soon(self._on_turn)

    def _on_turn(self) -> None:
        if self._waits_for_turn:  # else it went on already, maybe to a long message
            self._go_on()

    def heard(self) -> None:
        """The client is alive."""
        self.heard_ms = self.runtime.monotonic_ms()

    def spend_turn(self) -> None:
        """What arrived is no message (a ping, a pong, a fragment), and takes of the turn as one."""
        if self._is_reading or self.state.phase is Phase.CLOSED:
            return
        if self._may_handle():
            self._spent_bytes += limits.SESSION_TURN_OVERHEAD_BYTES
        else:
            self._wait_for_turn()

    def on_writable(self) -> None:
        """The backlog shrank: build the refreshes that waited."""
        if self.state.has_news or self._is_catalog_new:
            self.outbox.schedule()

    def on_closed(self) -> None:
        """The connection is gone: give back everything the session held. Safe to call twice.

        Invariant: nothing that the session holds then leads back to it, so that its memory is free
        as soon as the transport lets go, without a collection that would hold up everybody.
        """
        if self.state.phase is Phase.CLOSED:
            return
        subscriptions = self.state.end()
        if self._queries is not None:
            self._queries.note(0, self._queries.network)
        self.outbox.close()
        self.socket = ENDED
        for task in self._tasks:
            task.cancel()
        self._early = None
        if not self._holds_long:
            self.end_long()
        if self.app is not None:
            for subscription in subscriptions:
                if subscription.live is not None:
                    self.app.database.unwatch(subscription.live, subscription)
            self.app.database.unwatch_catalog(self.on_catalog)
            self._forget_token()
            self.apps.give_back(self.app)
        self.on_end()
        self.on_end = _nothing

    # --- called by handlers ----------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Send an answer with this turn's write."""
        self.outbox.push(frame)

    def fail(self, failure: TriceError, *, raw: bytes, event_id: str | None) -> None:
        """Tell the client that what it sent failed.

        raw   its message if that is short, else what is to be repeated of it
        """
        trace_id = new_uuid(self.runtime)
        level = logging.ERROR if isinstance(failure, Bug) else logging.DEBUG
        logger.log(
            level,
            "message failed %s",
            fields(session=self.id, code=failure.code, trace=trace_id, message=failure.message),
            exc_info=failure.__cause__ if isinstance(failure, Bug) else None,
        )
        self.push(
            down.error(
                failure.body(),
                status=CODES[failure.code].session_status,
                event_id=event_id,
                original_json=echo(raw),
                trace_id=trace_id,
            )
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the session; it ends with it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    def enter(
        self,
        app: App,
        identity: Identity,
        *,
        hashed_token: str | None = None,
        extension: Extension = PLAIN,
    ) -> None:
        """The session belongs to `app` from here on: hear of its catalog, allow other ops.

        hashed_token   the refresh token it signed in with; once that is deleted, so is the identity
        """
        self.app = app
        self.extension = extension
        self.identity = identity
        if hashed_token is not None:
            self._hashed_token = hashed_token
            app.database.watch_token(hashed_token, self.on_signed_out)
        app.database.watch_catalog(self.on_catalog)
        self.state.catalog_version_told = app.database.catalog.version
        self.state.phase = Phase.READY

    def handle_early(self) -> None:
        """Handle what arrived while the app was being opened, or something else was waited for."""
        while self._early and not self._is_reading:
            if self.state.phase not in (Phase.READY, Phase.WAITING):
                return
            if not self._may_handle():
                self._wait_for_turn()
                return
            raw = self._early.popleft()
            self._early_bytes -= len(raw) + limits.SESSION_HELD_OVERHEAD_BYTES
            self._receive_now(raw)
        if not self._early:
            self._early, self._early_bytes = None, 0

    def pause(self, reason: int) -> None:
        """Stop reading the socket; each of the reasons must be taken back."""
        if not self._pauses:
            self.socket.pause_reading()
        self._pauses |= reason

    def resume(self, reason: int) -> None:
        """A reason to stop is gone."""
        was_paused, self._pauses = self._pauses, self._pauses & ~reason
        if was_paused and not self._pauses:
            self.socket.resume_reading()

    def hold_long(self) -> None:
        """The long message that was just read is answered later; `end_long` must follow."""
        self._holds_long = True

    def end_long(self) -> None:
        """The long message under way is answered: the next one may be read."""
        self._holds_long = False
        if self._long is not None:
            message, self._long = self._long, None
            self._long_messages.release(message)
            if self._is_reading and self.state.phase is not Phase.CLOSED:
                self._go_on()

    def tell_again(self) -> None:
        """Send every answer again: a write that the client shows already was refused."""
        self.state.note_news_everywhere()
        self.outbox.schedule()

    @property
    def _is_catalog_new(self) -> bool:
        return (
            self.app is not None
            and self.app.database.catalog.version != self.state.catalog_version_told
        )

    def tell_catalog_first(self) -> None:
        """Make sure the client knows every attr that the next frame may name (trap 4)."""
        assert self.app is not None
        if self._is_catalog_new:
            catalog = self.app.database.catalog
            self.state.catalog_version_told = catalog.version
            self.push(
                down.refresh_ok(
                    [],
                    tx=self.app.database.tx,
                    attrs=catalog.wire_part,
                    catalog=catalog.wire_name if self.extension.has_resume else None,
                )
            )

    def count_queries(self, more_bytes: int = 0) -> bool:
        """Note how many bytes the live queries of this session have.

        more_bytes  of one that is to be added
        returns     whether that is within the bounds of its address and of all; else nothing was
                    noted
        """
        amount = self.state.queries_bytes + more_bytes - limits.SESSION_QUERIES_FREE_BYTES
        held = self._queries
        if held is None:
            if amount <= 0:
                return True
            held = self._make_held()
        amount = max(amount, 0)
        network = network_of(self.guest.ip) or None
        if not held.has_room(amount - held.amount, network):
            return False
        held.note(amount, network)
        self._queries = held if amount else None
        return True

    def disconnect(self, subscription: Subscription) -> None:
        """Stop watching for a subscription that was removed."""
        if subscription.live is not None and self.app is not None:
            self.app.database.unwatch(subscription.live, subscription)

    def want_deltas(self, question: Question) -> None:
        """Ask for what deltas need, before the answer is made."""
        assert self.app is not None
        if self.extension.has_delta and question.shape == "flat":
            self.app.database.live.deltas.want(question)

    def ask_again(self, subscription: Subscription) -> None:
        """What the client may see is decided anew: follow the answer that holds now."""
        assert self.app is not None
        is_told = subscription.live is not None
        self.disconnect(subscription)
        subscription.live = None
        database = self.app.database
        old = subscription.question
        try:
            question = database.question(
                old.source, identity=self.identity, shape=old.shape, is_long=old.is_long
            )
        except TriceError as failure:
            # It stays, and is asked again once attrs change (`on_catalog`).
            if is_told:
                self._fail_query(subscription, failure)
            return
        subscription.question = question
        self.want_deltas(question)
        if not subscription.owed:
            # Else its first answer is being computed, which looks at the question again.
            subscription.live = database.follow(question, subscription)

    def close(self, code: int, reason: str) -> None:
        """End the session from this side."""
        self.socket.close(code, reason)
        self.on_closed()

    # --- called by the database ------------------------------------------------------------------

    def on_answer(self, subscription: Subscription, live: LiveQuery) -> None:
        """A watched answer changed, or could not be computed."""
        if subscription.live is not live:
            return  # its answer is still being waited for
        if live.is_outdated:
            self.ask_again(subscription)
            return
        if live.error is not None:
            self._fail_query(subscription, live.error)
            return
        self.state.note_news(subscription)
        self.outbox.schedule_news(live)

    def on_catalog(self, catalog: Catalog) -> None:
        """Attrs changed: every session hears of it, with or without queries."""
        for subscription in self.state.unanswered():
            self.ask_again(subscription)
        self.outbox.schedule_news(self.app)

    def on_signed_out(self) -> None:
        """The refresh token is gone, and with it the right to all that is watched here.

        The client comes back, is told that its token is nobody's, and signs out on its side too.
        """
        self.close(SIGNED_OUT, "signed out")

    # --- inside ----------------------------------------------------------------------------------

    def _forget_token(self) -> None:
        if self._hashed_token is not None and self.app is not None:
            self.app.database.unwatch_token(self._hashed_token, self.on_signed_out)
            self._hashed_token = None

    def _fail_query(self, subscription: Subscription, failure: TriceError) -> None:
        self.fail(failure, raw=echo_query(subscription.question), event_id=None)

    def _keep_early(self, raw: bytes | Incoming, *, is_first: bool = False) -> None:
        if self._early is None:
            self._early = deque()
        if is_first:
            self._early.appendleft(raw)
        else:
            self._early.append(raw)
        self._early_bytes += len(raw) + limits.SESSION_HELD_OVERHEAD_BYTES
        if self.state.phase is Phase.OPENING:
            is_full = (
                len(self._early) > limits.SESSION_EARLY_MESSAGES_MAX
                or self._early_bytes > limits.SESSION_EARLY_BYTES_MAX
            )
        else:
            is_full = self._early_bytes > limits.SESSION_HELD_BYTES_MAX
        if is_full:
            self.close(TRY_LATER, "too many messages at once")

    def _read_long(self, raw: bytes | Incoming) -> None:
        """Have a message read on the thread; nothing after it is handled before. One at a time: a
        second one waits until the first is answered."""
        caller = network_of(self.guest.ip) or self.id
        if self._long is None and not self._long_messages.has_room(caller, len(raw)):
            self.close(TRY_LATER, "too many large messages wait")
            return
        self._is_reading = True
        self.pause(READING)
        if self._long is not None:
            self._keep_early(raw, is_first=True)
            return
        reader = self._reader
        incoming = Incoming(raw, size_bytes=len(raw)) if isinstance(raw, bytes) else raw
        self._long = self._long_messages.submit(
            caller,
            lambda: reader.read_long(incoming),
            self._on_read,
            size_bytes=len(raw),
        )

    def _on_read(self, read: Any) -> None:
        """Back on the loop: carry it out, then what came meanwhile."""
        self._is_reading = False
        if isinstance(read, MustClose):
            self.close(read.code, read.reason)
            return
        self._reader.on_read(self, read)
        if not self._holds_long:
            self.end_long()
        self._go_on()

    def _go_on(self) -> None:
        self._is_reading = self._waits_for_turn = False
        if self.state.phase is Phase.CLOSED:
            return
        self.handle_early()
        if not self._is_reading:
            self.resume(READING)

    def _make_refresh(self) -> Frame | None:
        """The frame with all news: a new catalog, and each changed answer once."""
        if self.app is None:
            return None
        catalog = self.app.database.catalog
        is_catalog_new = self._is_catalog_new
        if not is_catalog_new and not self.state.has_news:
            return None
        self.state.catalog_version_told = catalog.version
        news = []
        for subscription in self.state.take_news():
            live = subscription.live
            if live is None or live.error is not None or subscription.owed:
                # What is owed was asked for by what the client held then: it must come first.
                continue
            if live.answer is None:
                self.app.database.recall(live)
            else:
                news.append((subscription, live))
        if not news and not is_catalog_new:
            return None
        return refresh_frame(
            news, self.extension, self.app.database, catalog=catalog if is_catalog_new else None
        )

    def _drop_slow_client(self) -> None:
        logger.warning(
            "client too slow, dropped %s",
            fields(session=self.id, backlog_bytes=self.socket.backlog_bytes),
        )
        self.close(TRY_LATER, "client too slow")

    def check_time(self, now_ms: float, *, away_ms: float = 0.0) -> None:
        """Drop a session that never began or fell silent; else make the other side answer.

        away_ms   of the time since the last look, in which nothing could be heard
        """
        self.opened_ms = min(self.opened_ms + away_ms, now_ms)
        self.heard_ms = min(self.heard_ms + away_ms, now_ms)
        if self.state.phase is Phase.WAITING and now_ms - self.opened_ms > limits.INIT_TIMEOUT_MS:
            self.close(IDLE, "no init message")
            return
        if self._is_message_late(now_ms):
            # Pings between its fragments are no progress.
            self.close(TRY_LATER, "message not finished in time")
            return
        backlog_bytes = self.socket.backlog_bytes
        if backlog_bytes < self._backlog_bytes or self._pauses:
            # A large answer on a slow line: pongs come only after it, yet the client takes it. Or
            # it is not read, and could not be heard.
            self.heard()
        self._backlog_bytes = backlog_bytes
        if now_ms - self.heard_ms > limits.IDLE_TIMEOUT_MS:
            self.close(IDLE, "nothing received")
        elif now_ms - self.heard_ms >= limits.PING_INTERVAL_MS / 2:
            self.socket.ping()

    def _is_message_late(self, now_ms: float) -> bool:
        """Whether a message comes in fragments slower than limits.HTTP_BYTES_PER_SECOND_MIN."""
        unfinished = self.socket.unfinished
        if unfinished is None:
            self._unfinished = None
            return False
        which, size_bytes = unfinished
        if self._unfinished is None or self._unfinished[0] != which:
            self._unfinished = (which, now_ms)
        earned_ms = size_bytes * 1000 / limits.HTTP_BYTES_PER_SECOND_MIN
        return now_ms - self._unfinished[1] > limits.HTTP_GRACE_MS + earned_ms


def _nothing() -> None:
    """What happens at the end of a session of which nobody wants to know."""


def echo(raw: bytes) -> bytes:
    """`original-event` of a message: all of it if it is JSON, else what can be read of it.

    Beyond limits.ERROR_ECHO_BYTES_MAX it is no message, but what was made of one.
    """
    if len(raw) > limits.ERROR_ECHO_BYTES_MAX:
        return raw
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return outline(raw).echo()
    return raw


def echo_query(question: Question) -> bytes:
    """`original-event` for a failure of a live query: clients know it by its `q`."""
    if len(question.q_json) > limits.ERROR_ECHO_QUERY_BYTES_MAX:
        return b'{"op":"add-query"}'
    return b'{"op":"add-query","q":%b}' % question.q_json
