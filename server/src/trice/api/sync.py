"""Lasting connections: WebSockets over plain ASGI, and server-sent events with their pushes.

GET  /runtime/session            WebSocket (uvicorn hands it to picows; this is the second way)
GET  /runtime/sse                events down; POST to the same path carries messages up
POST /admin/sse, /admin/sse/push the same for backends, signed in by headers
POST /admin/subscribe-query      one live query as a tree, events down only
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from trice import limits
from trice.api.account_streams import AccountStreams
from trice.api.bodies import (
    JSON,
    JsonBody,
    Route,
    check_json_type,
    is_long,
    json_body,
    read_long,
    whole_body,
)
from trice.api.callers import Lent, admin_caller, app_id_of, check_again, guest_of
from trice.api.middleware import json_response
from trice.api.parameters import flag_in, malformed, missing
from trice.api.pieces import Pieces
from trice.errors import InvalidInput, LimitExceeded, NotFound, Unavailable
from trice.identity import Identity
from trice.protocol import down
from trice.protocol.errors import GOING_AWAY, NORMAL, TOO_BIG, TRY_LATER
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import brief, why_no_json
from trice.protocol.shared import Frame, plain
from trice.runtime import Runtime, new_uuid
from trice.session.hub import Hub
from trice.session.session import Session
from trice.session.weigh import check_weight


class QueuedSocket:
    """A Socket over a transport that one task writes to: frames wait in a queue.

    `take` gives that task the queued frames; None means that the session closed the connection.
    """

    unfinished = None  # it gets whole messages only

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._is_sending = False
        self._change = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.closing: tuple[int, str] | None = None
        self.session: Session | None = None

    def send(self, frames: Sequence[Frame]) -> None:
        self.frames.extend(map(plain, frames))
        self._backlog_bytes += sum(map(len, frames))
        self._change.set()

    @property
    def backlog_bytes(self) -> int:
        return self._backlog_bytes

    def ping(self) -> None:
        """Send an empty event. There are no pongs here: a client is alive as long as earlier frames
        leave."""
        if self._is_sending or self.frames:
            return
        if self.session is not None:
            self.session.heard()
        self.send([b""])

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    async def may_read(self) -> None:
        """Wait until the session takes messages."""
        await self._may_read.wait()

    def close(self, code: int, reason: str) -> None:
        self.closing = (code, reason)
        self._may_read.set()
        self._change.set()

    async def take(self) -> list[bytes] | None:
        """Everything queued, or None once the session is closed and the queue is empty."""
        while not self.frames:
            if self.closing is not None:
                return None
            self._change.clear()
            await self._change.wait()
        frames = list(self.frames)
        self.frames.clear()
        self._is_sending = True
        return frames

    def sent(self, frames: Sequence[bytes]) -> None:
        """The transport took these frames."""
        self._backlog_bytes -= sum(map(len, frames))
        self._is_sending = False
        if self.session is not None:
            self.session.on_writable()


async def websocket(connection: WebSocket) -> None:
    """`/runtime/session` without picows. Here uvicorn pings, and notices dead clients."""
    hub: Hub = connection.app.state.hub
    guest = guest_of(connection)
    await connection.accept()
    if hub.is_stopping:
        await connection.close(GOING_AWAY, "server restarts")
        return
    if not hub.has_room(guest.ip):  # who mounts the application has no `bounded_http` before it
        await connection.close(TRY_LATER, "too many sessions are open")
        return
    socket = QueuedSocket()
    session = hub.open(socket, guest)
    socket.session = session

    async def write() -> None:
        while (frames := await socket.take()) is not None:
            for frame in frames:
                if frame:
                    await connection.send_text(frame.decode())
            socket.sent(frames)
        code, reason = socket.closing or (NORMAL, "")
        await connection.close(code, reason)

    writer = asyncio.create_task(write())
    try:
        while True:
            await socket.may_read()
            message = await connection.receive()
            if message["type"] == "websocket.disconnect":
                break
            text = message.get("text")
            raw = text.encode() if text is not None else message["bytes"]
            if len(raw) > limits.FRAME_BYTES_MAX:  # what uvicorn lets through is its own setting
                await connection.close(TOO_BIG, "a message is too large")
                break
            session.receive(raw)
    except (WebSocketDisconnect, UnicodeEncodeError):
        pass
    finally:
        writer.cancel()
        hub.closed(session)


class EventStream:
    """One server-sent-events connection and the session behind it.

    token           a push must present it; only this client knows it
    takes_messages  whether there are pushes at all. A live query takes none: who may read would
                    write through its session
    """

    takes_messages = True

    def __init__(self, hub: Hub, guest: Identity, *, runtime: Runtime, machine_id: str) -> None:
        self.socket = QueuedSocket()
        self.session = hub.open(self.socket, guest)
        self.socket.session = self.session
        self.token = new_uuid(runtime)
        self._hub = hub
        self._push_turn = asyncio.Lock()
        self._hello = down.sse_init(self.session.id, machine_id=machine_id, sse_token=self.token)

    async def receive(self, messages: Sequence[bytes]) -> None:
        """Hand over what one push holds, when the session takes it, and after earlier pushes.

        raises   NotFound("session-missing") when the stream ends meanwhile
        """
        async with self._push_turn:
            for message in messages:
                await self.socket.may_read()
                if self.session.is_closed:
                    raise _no_stream(self.session.id)
                self.session.receive(message)

    def response(self, *, has_retry: bool) -> Response:
        """Stream events until either side ends it."""
        return Pieces(
            self._events(has_retry),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"},
            on_end=lambda: self._hub.closed(self.session),
        )

    async def _events(self, has_retry: bool) -> AsyncGenerator[bytes, None]:
        if has_retry:
            yield b"retry: %d\n\n" % limits.SSE_RETRY_MS
        yield _event(self._hello)
        while (frames := await self.socket.take()) is not None:
            yield b"".join(map(_event, frames))
            self.socket.sent(frames)


def _event(frame: bytes) -> bytes:
    return b"data: %b\n\n" % frame if frame else b": keep-alive\n\n"


async def open_browser_events(request: Request) -> Response:
    """`GET /runtime/sse`: React clients use it if a WebSocket fails."""
    app_id_of(request)
    return _open_events(request).response(has_retry=False)


async def open_admin_events(request: Request) -> Response:
    """`POST /admin/sse`: a session signed in by its headers; no `init` follows."""
    async with admin_caller(request) as lent:
        stream = await _open_signed_in(request, lent)
        return stream.response(has_retry=True)


async def push_events(request: Request) -> Response:
    """Messages up, for an event stream of this server (instant-realtime §2.2)."""
    raw = await whole_body(request)
    check_json_type(request)
    if not is_long(raw):
        push = _read_push(raw)
    else:
        push = await read_long(request, raw, lambda: _read_long_push(raw), is_kept=False)
    stream = _find_stream(request, push.session_id, push.sse_token)
    await stream.receive(push.messages)
    return json_response({})


_NULL: Final = msgspec.Raw(b"null")


class _Push(msgspec.Struct):
    """The body of a push; null counts as absent."""

    machine_id: Any = None
    session_id: Any = None
    sse_token: Any = None
    messages: msgspec.Raw = _NULL


class _Object(msgspec.Struct):
    """An object whose keys are not read."""


class Push(NamedTuple):
    """The content of a push: the session of its stream, and messages as they came."""

    session_id: Any
    sse_token: Any
    messages: list[bytes]


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_PUSH: Final = msgspec.json.Decoder(_Push)
_OBJECTS: Final = msgspec.json.Decoder(list[_Object])
_MESSAGES: Final = msgspec.json.Decoder(list[msgspec.Raw])


def _read_push(raw: bytes) -> Push:
    """Split a body into messages, which stay as they came, or at least say the same. The session
    answers each message, even one that the decoder refuses, to its own event id.

    raises   InvalidInput
    """
    try:
        body = _PUSH.decode(raw or b"{}")
    except _UNREADABLE as cause:
        body = _read_leniently(raw, cause)
    for name in ("machine_id", "session_id", "sse_token"):
        if getattr(body, name) is None:
            raise missing("body", name)
    if body.messages == _NULL:
        raise missing("body", "messages")
    if find_uuid_bytes(body.machine_id) is None:
        raise malformed("body", "machine_id", given=body.machine_id, accepted="a uuid")
    try:
        _OBJECTS.decode(body.messages)  # so that a list of a million numbers is not kept
        messages = [bytes(message) for message in _MESSAGES.decode(body.messages)]
    except _UNREADABLE as cause:
        found = _find_messages(body.messages)
        if found is None:
            given = bytes(memoryview(body.messages)[:100]).decode(errors="replace")
            accepted = "a list of objects"
            raise malformed("body", "messages", given=given, accepted=accepted) from cause
        messages = found
    return Push(body.session_id, body.sse_token, messages)


def _read_leniently(raw: bytes, cause: Exception) -> _Push:
    """Read a body with something that most decoders refuse: half of a surrogate pair, which
    JavaScript sends, or NaN, which Python does. The answers to its messages then say so."""
    try:
        check_weight(raw, weight_max=limits.QUERY_WEIGHT_MAX)
        body = json.loads(raw)
    except (ValueError, RecursionError, LimitExceeded):
        body = None
    if not isinstance(body, dict):
        raise _no_object(raw) from cause
    names = ("machine_id", "session_id", "sse_token")
    texts = {name: body[name] for name in names if isinstance(body.get(name), str)}
    return _Push(messages=msgspec.Raw(json.dumps(body.get("messages")).encode()), **texts)


def _no_object(raw: bytes) -> InvalidInput:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as reason:
        message = f"The body is not valid JSON: {why_no_json(reason)}"
        return InvalidInput("param-malformed", message, {"in": ["body"]})
    return malformed("body", given=brief(body), accepted="a JSON object")


def _find_messages(raw: msgspec.Raw) -> list[bytes] | None:
    """The messages of such a body, one by one; None if they are not objects."""
    try:
        messages = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        return None
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        return None
    return [json.dumps(message).encode() for message in messages]


def _read_long_push(raw: bytes) -> Push:
    check_weight(raw)
    return _read_push(raw)


async def subscribe_query(request: Request) -> Response:
    """`POST /admin/subscribe-query {"query", "inference?"?}` → events (instant-realtime §2.4)."""
    body = await json_body(request)
    async with admin_caller(request) as lent:
        if "query" not in body:
            raise missing("body", "query")
        if not isinstance(body["query"], dict):
            raise malformed("body", "query", given=body["query"], accepted="an object")
        message = {
            "op": "add-query",
            "client-event-id": new_uuid(request.app.state.runtime),
            "q": body["query"],
            "return-type": "tree",
            "inference?": flag_in(body, "inference?"),
        }
        try:
            raw = orjson.dumps(message)
        except orjson.JSONEncodeError as cause:
            accepted = "an object that nests less deeply"
            raise malformed("body", "query", given=None, accepted=accepted) from cause
        # Nothing is refused from here on: who is refused leaves no session.
        stream = await _open_signed_in(request, lent)
        stream.takes_messages = False
        stream.session.receive(raw)
        return stream.response(has_retry=True)


def _open_events(request: Request) -> EventStream:
    state = request.app.state
    hub: Hub = state.hub
    if hub.is_stopping:
        raise Unavailable("overloaded", "The server is stopping; try again in a moment.")
    guest = guest_of(request)
    if not hub.has_room(guest.ip):
        raise Unavailable("overloaded", "Too many sessions are open; try again in a moment.")
    stream = EventStream(hub, guest, runtime=state.runtime, machine_id=state.machine_id)
    streams: dict[str, EventStream] = state.streams
    streams[stream.session.id] = stream

    def end() -> None:
        del streams[stream.session.id]
        _account_streams(request).forget(stream.session.id)
        stream.socket.resume_reading()  # pushes may wait for it

    stream.session.when_ended(end)
    return stream


async def _open_signed_in(request: Request, lent: Lent) -> EventStream:
    """Make an event stream whose session needs no `init`."""
    app = await request.app.state.apps.lend_socket(lent.app.id)
    try:
        stream = _open_events(request)
    except BaseException:
        request.app.state.apps.give_back_socket(app)
        raise
    stream.session.enter(app, lent.identity, hashed_token=lent.hashed_token)
    token = getattr(request.state, "account_token", None)
    if token is not None:
        check = partial(check_again, request, app.id, token)
        _account_streams(request).watch(stream.session, check)
    return stream


def _account_streams(request: Request) -> AccountStreams:
    streams: AccountStreams = request.app.state.account_streams
    return streams


def _find_stream(request: Request, session_id: Any, token: Any) -> EventStream:
    streams: dict[str, EventStream] = request.app.state.streams
    stream = streams.get(session_id) if isinstance(session_id, str) else None
    if (
        stream is None
        or not stream.takes_messages
        or not isinstance(token, str)
        or not hmac.compare_digest(token.encode(errors="replace"), stream.token.encode())
    ):
        raise _no_stream(session_id)
    return stream


def _no_stream(session_id: Any) -> NotFound:
    return NotFound(
        "session-missing",
        "There is no such event stream here; open a new one.",
        {"record-type": "session", "session-id": session_id},
    )


_QUERY_OF_STREAM: Final = JsonBody(weight_max=limits.QUERY_WEIGHT_MAX, is_kept=False)
_BROWSER_EVENTS: Final = Route("/runtime/sse", open_browser_events, methods=["GET"])
# Only GET: a HEAD would never end, so no later request on its connection would be answered.
_BROWSER_EVENTS.methods = {"GET"}

ROUTES: Final = (
    _BROWSER_EVENTS,
    Route("/runtime/sse", push_events, methods=["POST"], body=JSON),
    Route("/admin/subscribe-query", subscribe_query, methods=["POST"], body=_QUERY_OF_STREAM),
    Route("/admin/sse", open_admin_events, methods=["POST"]),
    Route("/admin/sse/push", push_events, methods=["POST"], body=JSON),
)
