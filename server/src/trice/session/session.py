"""One connected client: its socket and, once `init` named its app, everything it has there.

socket ──> inbox ──message──> dispatch ──> handlers ──> state, database
database ──told──> OpenedSession ──> state.news ──> outbox ──one write a turn──> socket

Session is the connection, from its first byte to its last. OpenedSession is what it has in an app;
handlers of all ops but `init` get it. They are in one file because they know each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import orjson

from trice import limits
from trice.apps.apps import App, Apps
from trice.calls.live import LiveFunctions
from trice.catalog.catalog import Catalog
from trice.errors import Bug, TriceError
from trice.identity import GUEST, Identity, network_of
from trice.live.live_query import LiveQuery, Question
from trice.log import fields
from trice.protocol import down
from trice.protocol.errors import CODES, IDLE, SIGNED_OUT, TRY_LATER
from trice.protocol.ids import SessionId
from trice.protocol.shared import Frame
from trice.rooms.rooms import Rooms, Seat
from trice.runtime import Runtime, new_uuid
from trice.session.calls import SessionCalls
from trice.session.extension import PLAIN, Extension
from trice.session.first_answers import FirstAnswers
from trice.session.frames import calls_frame, refresh_frame
from trice.session.inbox import Inbox, LongReader
from trice.session.incoming import Incoming
from trice.session.long_messages import LongMessages
from trice.session.loop_turns import LoopTurns
from trice.session.outbox import Outbox
from trice.session.refused import outline
from trice.session.seats import Seats, Visitor
from trice.session.send_queue import SendQueue
from trice.session.socket import ENDED, Socket
from trice.session.state import Phase, SessionState, Subscription
from trice.session.streams import SessionStreams
from trice.session.sync_tables import SyncTables
from trice.session.write_order import WriteOrder
from trice.shares import Held
from trice.streams.streams import Streams

logger: Final = logging.getLogger("trice.session")


class Reader(LongReader, Protocol):
    """Turns messages into calls of handlers (`session/dispatch`)."""

    def on_message(self, session: Session, raw: bytes) -> None:
        """Decode and carry out a short message."""
        ...

    def on_read(self, session: Session, read: Any) -> None:
        """Carry out what `read_long` returned, or tell the client what it raised."""
        ...


class Session:
    """One connected client.

    Holds its socket, the tasks it started, and what it has in an app once it is opened. Does not
    hold: what it asked for (SessionState), messages that wait (Inbox), unsent frames (Outbox).

    opened  None before `init` was answered, and after the end
    guest   the identity before `init`: not signed in, with the address and origin of the client
    """

    __slots__ = (
        "_backlog_bytes",
        "_heard_ms",
        "_on_end",
        "_opened_ms",
        "_reader",
        "_unfinished",
        "apps",
        "first_answers",
        "functions",
        "guest",
        "id",
        "inbox",
        "make_held",
        "opened",
        "outbox",
        "rooms",
        "runtime",
        "socket",
        "state",
        "streams",
        "tasks",
    )

    def __init__(
        self,
        socket: Socket,
        *,
        apps: Apps,
        rooms: Rooms,
        runtime: Runtime,
        sends: SendQueue,
        first_answers: FirstAnswers,
        long_messages: LongMessages,
        reader: Reader,
        turns: LoopTurns,
        make_held: Callable[[], Held],
        guest: Identity = GUEST,
        streams: Streams | None = None,
        functions: LiveFunctions | None = None,
    ) -> None:
        """
        functions  those of all apps; None: the server runs none
        streams    those of the process; None: the server has no place for their bytes
        make_held  makes a counter of the bytes of live queries in the bounds of the network; few
                   sessions need one
        """
        self.id = SessionId(new_uuid(runtime))
        self.socket = socket
        self.apps = apps
        self.rooms = rooms
        self.runtime = runtime
        self.first_answers = first_answers
        self.make_held = make_held
        self.guest = guest
        self.streams = streams
        self.functions = functions
        self.opened: OpenedSession | None = None
        self.state = SessionState()
        self.inbox = Inbox(
            socket,
            self,
            state=self.state,
            reader=reader,
            caller=network_of(guest.ip) or self.id,
            long_messages=long_messages,
            turns=turns,
        )
        self.outbox = Outbox(
            socket,
            sends=sends,
            make_news=self._make_news,
            on_overflow=self._drop_slow_client,
        )
        self._opened_ms = self._heard_ms = runtime.monotonic_ms()
        self._backlog_bytes = 0
        # The message that had come in part at the last check, and when it was first seen.
        self._unfinished: tuple[int, float] | None = None
        self._reader = reader
        self.tasks: list[asyncio.Task[None]] = []
        self._on_end: Callable[[], object] = _nothing

    @property
    def is_closed(self) -> bool:
        return self.state.phase is Phase.CLOSED

    # --- called by the transport ---------------------------------------------------------------

    def receive(self, raw: bytes | Incoming) -> None:
        """Take one message. Never raises: every failure becomes an `error` message."""
        self._heard_ms = self.runtime.monotonic_ms()
        self.inbox.receive(raw)

    def heard(self) -> None:
        """Note that the client is alive."""
        self._heard_ms = self.runtime.monotonic_ms()

    def when_ended(self, call: Callable[[], object]) -> None:
        """Call `call` once the session is over."""
        self._on_end = call

    def on_writable(self) -> None:
        """The backlog shrank: build the refreshes that waited."""
        if self.opened is None:
            return
        if self.opened.has_news:
            self.outbox.schedule()
        if self.opened.streams is not None:
            self.opened.streams.on_writable()

    def on_closed(self) -> None:
        """The connection is gone: give back everything the session held. Safe to call twice.

        Invariant: afterwards nothing that the session holds refers to it. So its memory is free as
        soon as the transport drops it, without a collection, which would hold up all sessions.
        """
        if self.is_closed:
            return
        subscriptions = self.state.end()
        self.outbox.close()
        self.socket = ENDED
        for task in self.tasks:
            task.cancel()
        self.inbox.close()
        if self.opened is not None:
            self.opened.end(subscriptions)
            self.opened = None
        self._on_end()
        self._on_end = _nothing

    # --- called by the inbox ---------------------------------------------------------------------

    def on_message(self, raw: bytes) -> None:
        """Handle a short message, whose turn has come."""
        self._reader.on_message(self, raw)

    def on_read(self, read: Any) -> None:
        """Handle a long message that was read, or could not be read."""
        self._reader.on_read(self, read)

    # --- called by handlers ----------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Send an answer with the write of this turn."""
        self.outbox.push(frame)

    def fail(self, failure: TriceError, *, raw: bytes, event_id: str | None) -> None:
        """Tell the client that its message failed.

        raw   the message if it is short, else the part of it that the error repeats
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
        """Run `work` beside the session; it ends with it. What it raises ends the session: nobody
        knows what the client still waits for, and asked anew it is answered."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.append(task)
        task.add_done_callback(self._end_task)

    def enter(
        self,
        app: App,
        identity: Identity,
        *,
        hashed_token: str | None = None,
        extension: Extension = PLAIN,
    ) -> OpenedSession:
        """The session belongs to `app` from here on: watch its catalog, allow other ops.

        hashed_token   hash of the refresh token it signed in with; deleting that ends the session
        """
        self.inbox.share = app.share
        self.outbox.group = app.id
        self.opened = OpenedSession(
            self, app, identity, hashed_token=hashed_token, extension=extension
        )
        return self.opened

    def tell_again(self) -> None:
        """Send every answer again, because a write that the client shows already was refused."""
        self.state.note_news_everywhere()
        self.outbox.schedule()

    def close(self, code: int, reason: str) -> None:
        """End the session from this side."""
        self.socket.close(code, reason)
        self.on_closed()

    # --- inside ----------------------------------------------------------------------------------

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self.tasks.remove(task)
        cause = None if task.cancelled() else task.exception()
        if cause is not None:
            logger.error("session failed %s", fields(session=self.id), exc_info=cause)
            self.close(TRY_LATER, "try again")

    def _make_news(self) -> list[Frame]:
        return [] if self.opened is None else self.opened.make_news()

    def _drop_slow_client(self) -> None:
        logger.warning(
            "client too slow, dropped %s",
            fields(session=self.id, backlog_bytes=self.socket.backlog_bytes),
        )
        self.close(TRY_LATER, "client too slow")

    def check_time(self, now_ms: float, *, away_ms: float = 0.0) -> None:
        """Drop the session if it never sent `init` or fell silent; else ping the client.

        away_ms   part of the time since the last check in which no client could be heard
        """
        self._opened_ms = min(self._opened_ms + away_ms, now_ms)
        self._heard_ms = min(self._heard_ms + away_ms, now_ms)
        if self.state.phase is Phase.WAITING and now_ms - self._opened_ms > limits.INIT_TIMEOUT_MS:
            self.close(IDLE, "no init message")
            return
        if self._is_message_late(now_ms):
            # Pings between its fragments do not count as progress.
            self.close(TRY_LATER, "message not finished in time")
            return
        backlog_bytes = self.socket.backlog_bytes
        if backlog_bytes < self._backlog_bytes or self.inbox.is_paused:
            # A large answer on a slow line: pongs come only after it, but the client is reading it.
            # Or the server does not read the socket, and cannot hear the client.
            self.heard()
        self._backlog_bytes = backlog_bytes
        if now_ms - self._heard_ms > limits.IDLE_TIMEOUT_MS:
            self.close(IDLE, "nothing received")
        elif now_ms - self._heard_ms >= limits.PING_INTERVAL_MS / 2:
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


class OpenedSession:
    """What a session has in its app.

    Holds its identity, what was agreed on with its client, its seats in rooms, and how much its
    queries take of the bounds of its network. Does not hold subscriptions (SessionState) or answers
    (Live).
    The identity never changes: a client that signs in or out opens another session.
    """

    __slots__ = (
        "_hashed_token",
        "_queries",
        "_seats",
        "app",
        "calls",
        "database",
        "extension",
        "identity",
        "session",
        "state",
        "streams",
        "sync_tables",
        "writes",
    )

    def __init__(
        self,
        session: Session,
        app: App,
        identity: Identity,
        *,
        hashed_token: str | None,
        extension: Extension,
    ) -> None:
        """See `Session.enter`."""
        self.session = session
        self.state = session.state
        self.app = app
        self.database = app.database
        self.identity = identity
        self.extension = extension
        self.streams: SessionStreams | None = None
        self.calls: SessionCalls | None = None
        self.writes: WriteOrder | None = None
        self._queries: Held | None = None
        self._seats: Seats | None = None
        self._hashed_token = hashed_token
        self.sync_tables: SyncTables | None = None
        if hashed_token is not None:
            self.database.watch_token(hashed_token, self.on_signed_out)
        self.database.watch_catalog(self.on_catalog)
        self.state.open(self.on_answer, catalog_version=self.database.catalog.version)

    def end(self, subscriptions: list[Subscription]) -> None:
        """The session is over: stop watching, and give back the app.

        subscriptions   all subscriptions of the session
        """
        if self._seats is not None:
            self._seats.leave_all()
            self._seats = None
        if self._queries is not None:
            self._queries.note(0, self._queries.network)
        for subscription in subscriptions:
            self.disconnect(subscription)
        if self.streams is not None:
            self.streams.end()
        if self.writes is not None:
            self.writes.close()
        if self.calls is not None:
            self.calls.end()
            self.calls = None
        if self.sync_tables is not None:
            self.database.unwatch_commits(self.sync_tables.on_commits)
            self.sync_tables.end()
            self.sync_tables = None
        self.database.unwatch_catalog(self.on_catalog)
        if self._hashed_token is not None:
            self.database.unwatch_token(self._hashed_token, self.on_signed_out)
        self.session.apps.give_back_socket(self.app)

    # --- called by handlers ----------------------------------------------------------------------

    def tell_catalog_first(self) -> None:
        """Tell the catalog if the client does not know it: the next frame may name new attrs."""
        catalog = self.database.catalog
        if self.state.tell_catalog(catalog.version):
            self.session.push(
                down.refresh_ok(
                    [],
                    tx=self.database.tx,
                    attrs=catalog.wire_part,
                    catalog=catalog.wire_name if self.extension.has_resume else None,
                )
            )

    @property
    def seats(self) -> Seats:
        """The rooms it is in; most sessions are in none, and keep nothing for them."""
        if self._seats is None:
            session = self.session
            self._seats = Seats(
                Visitor(
                    app_id=self.app.id,
                    identity=self.identity,
                    network=network_of(session.guest.ip),
                    rooms=session.rooms,
                    rights=self.database.room_rights,
                    listener=self,
                    push=session.push,
                )
            )
        return self._seats

    def open_sync_tables(self) -> SyncTables:
        """The sync tables of this session, which from now on hear of commits."""
        if self.sync_tables is None:
            self.sync_tables = SyncTables(
                self.database.table_feed,
                when_news=self.on_table_news,
                on_failed=self.on_table_failed,
            )
            self.database.watch_commits(self.sync_tables.on_commits)
        return self.sync_tables

    def on_table_news(self) -> None:
        """A sync table has something to send."""
        self.session.outbox.schedule_news(self.database.table_feed)

    def on_table_failed(self, table_id: str, failure: TriceError) -> None:
        """A sync table cannot go on: the client starts it again."""
        told = {"op": "resync-table", "subscription-id": table_id}
        self.session.fail(failure, raw=orjson.dumps(told), event_id=None)

    def count_queries(self, more_bytes: int = 0) -> bool:
        """Count the bytes of the live queries of this session.

        more_bytes  size of a query that is to be added
        returns     whether the sum is within the bounds of its network and of all; if not, nothing
                    was counted
        """
        amount = self.state.queries_bytes + more_bytes - limits.SESSION_QUERIES_FREE_BYTES
        held = self._queries
        if held is None:
            if amount <= 0:
                return True
            held = self.session.make_held()
        amount = max(amount, 0)
        network = network_of(self.session.guest.ip) or None
        if not held.has_room(amount - held.amount, network):
            return False
        held.note(amount, network)
        self._queries = held if amount else None
        return True

    def find_streams(self) -> SessionStreams | None:
        """What the session has of streams; None if the server has no place for their bytes."""
        session = self.session
        if self.streams is None and session.streams is not None:
            self.streams = SessionStreams(session.streams, session.outbox, ip=session.guest.ip)
        return self.streams

    def find_calls(self) -> SessionCalls | None:
        """What the session has of functions; None if the server runs none."""
        session = self.session
        if self.calls is None and session.functions is not None:
            self.calls = SessionCalls(
                *(session.functions, self.app, self.identity, session.outbox),
                fail=lambda failure, echo, event_id: session.fail(
                    failure, raw=echo, event_id=event_id
                ),
                has_deltas=self.extension.has_call_delta,
            )
        return self.calls

    def order_writes(self) -> WriteOrder:
        """The order of its writes; sessions that call no mutations need none."""
        if self.writes is None:
            self.writes = WriteOrder(self.state.transacts)
        return self.writes

    def disconnect(self, subscription: Subscription) -> None:
        """Stop watching for a subscription that was removed, or has another question now."""
        live = subscription.let_go()
        if live is not None:
            self.database.unwatch(live, subscription)

    def want_deltas(self, question: Question) -> None:
        """Say that deltas of this question will be wanted, before its answer is made."""
        if self.extension.has_delta and question.shape == "flat":
            self.database.deltas.want(question)

    def ask_again(self, subscription: Subscription) -> None:
        """The rights of the identity changed: ask with the new ones, and follow that answer."""
        is_told = subscription.live is not None
        self.disconnect(subscription)
        old = subscription.question
        try:
            question = self.database.question(
                old.source, identity=self.identity, shape=old.shape, is_long=old.is_long
            )
        except TriceError as failure:
            # The subscription stays, and is asked again once attrs change (`on_catalog`).
            if is_told:
                self._fail_query(subscription, failure)
            return
        subscription.ask(question)
        self.want_deltas(question)
        if not subscription.owed:
            # Else its first answer is being computed, and `_watch` checks the question again.
            subscription.show(self.database.follow(question, subscription))

    # --- called by the database ------------------------------------------------------------------

    def on_answer(self, subscription: Subscription, live: LiveQuery) -> None:
        """A watched answer changed, or could not be computed."""
        if subscription.live is not live:
            return  # its first answer is not there yet
        if live.is_outdated:
            self.ask_again(subscription)
            return
        if live.error is not None:
            self._fail_query(subscription, live.error)
            return
        self.state.note_news(subscription)
        self.session.outbox.schedule_news(live)

    def on_catalog(self, catalog: Catalog) -> None:
        """Attrs changed: tell the client, even if it has no queries."""
        for subscription in self.state.unanswered():
            self.ask_again(subscription)
        self.session.outbox.schedule_news(self.app)

    def on_signed_out(self) -> None:
        """The refresh token was deleted, so the session may watch nothing any more: close it.

        The client connects again, is told that its token is unknown, and signs out on its side too.
        """
        self.session.close(SIGNED_OUT, "signed out")

    # --- called by rooms -------------------------------------------------------------------------

    def on_room_news(self, seat: Seat) -> None:
        """A room that the session is in has something for it."""
        self.seats.note_news(seat)
        self.session.outbox.schedule_news(seat.lane)

    # --- called by the outbox --------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """Whether there are changes that the client was not told yet."""
        has_room_news = self._seats is not None and self._seats.has_news
        has_sync_news = self.sync_tables is not None and self.sync_tables.has_news
        return has_room_news or has_sync_news or self._has_refresh

    @property
    def _has_refresh(self) -> bool:
        has_calls = self.calls is not None and self.calls.has_news
        return (
            has_calls
            or self.state.has_news
            or self.state.catalog_told != self.database.catalog.version
        )

    def make_news(self) -> list[Frame]:
        """The frames with all news: a refresh, what happened in rooms, one frame of sync tables."""
        frames = self.make_refreshes()
        if self._seats is not None and self._seats.has_news:
            frames += self._seats.take_news()
        tables = self.sync_tables
        if tables is not None and tables.has_news:
            # After the refresh: a new catalog may hold attrs that a table names.
            frames += tables.next_frames()
            if tables.has_news:
                self.session.outbox.schedule()
        return frames

    def make_refreshes(self) -> list[Frame]:
        """The frames with all news of queries and functions: a new catalog, and each changed answer
        once. A function whose answer is older than those of the queries comes in a frame of its
        own: its label must not make theirs lower. None while they wait for functions."""
        if not self._has_refresh:
            return []
        catalog = self.database.catalog
        if (
            self.calls is not None
            and self.state.catalog_told == catalog.version
            and self.calls.holds_back(self.state)
        ):
            return []
        is_catalog_new = self.state.tell_catalog(catalog.version)
        news = []
        for subscription in self.state.take_news():
            live = subscription.live
            if live is None or live.error is not None or subscription.owed:
                # The answer to an add-query is still owed, and starts from what the client held
                # when it asked: it must come first.
                continue
            if live.answer is None:
                self.database.recall(live)
            else:
                news.append((subscription, live))
        calls = {} if self.calls is None else self.calls.take_news()
        frames: list[Frame] = []
        if news or is_catalog_new:
            tx = min((live.tx for _, live in news), default=self.database.tx)
            together = [part for label in list(calls) if label >= tx for part in calls.pop(label)]
            told = catalog if is_catalog_new else None
            frames.append(
                refresh_frame(news, self.extension, self.database, catalog=told, calls=together)
            )
        frames += [calls_frame(calls[tx], tx=tx) for tx in sorted(calls)]
        return frames

    def _fail_query(self, subscription: Subscription, failure: TriceError) -> None:
        self.session.fail(failure, raw=echo_query(subscription.question), event_id=None)


def _nothing() -> None:
    """The call at the end of a session if none was set."""


def echo(raw: bytes) -> bytes:
    """`original-event` of a message: all of it if it is JSON, else what can be read of it.

    If `raw` is longer than limits.ERROR_ECHO_BYTES_MAX, it is the echo of a message already.
    """
    if len(raw) > limits.ERROR_ECHO_BYTES_MAX:
        return raw
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return outline(raw).echo()
    return raw


def echo_query(question: Question) -> bytes:
    """`original-event` for a failure of a live query, which clients recognise by its `q`."""
    if len(question.q_json) > limits.ERROR_ECHO_QUERY_BYTES_MAX:
        return b'{"op":"add-query"}'
    return b'{"op":"add-query","q":%b}' % question.q_json
