"""uvicorn's HTTP connection, with bounds on what a client may send, hold, and leave unread.

This file bounds bytes and time; uvicorn parses. `_reading` says which part of a request comes next.
`api.connections` knows the network of each connection, and how connections share the bounds.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import Any, ClassVar, Final

import httptools
import orjson
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from trice import limits
from trice.api.connections import ALWAYS_ANSWERED, Connections
from trice.errors import NotFound, TriceError, Unavailable
from trice.identity import caller_ip

logger: Final = logging.getLogger("trice.http")


class _Reading(Enum):
    NOTHING = 1
    HEAD = 2
    BODY = 3


class _Refused(Exception):
    """Stops the parser in the middle of the bytes it was given."""


class BoundedHttp(HttpToolsProtocol):
    """One HTTP connection, until it ends or becomes a WebSocket.

    After a WebSocket was handed over, nothing refers to this object. uvicorn's own class would
    stay in memory, 2 kB for each socket, because it and its parser refer to each other.

    network   see `connections.Connection`
    """

    door: ClassVar[Connections]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.network: str | None = None
        # The network of the request under way; behind a proxy, each request may have another.
        self._asking_network: str | None = None
        # Whose answer is on its way; `cycle` is the request that came last.
        self._answered_cycle: RequestResponseCycle | None = None
        self._serve = self.app
        self.app = self._answer
        self._is_extra = False
        self._is_other_protocol = False
        self._is_ending = False
        self._is_over = False
        # The request being read: since when, until when more must come, how much has come.
        self._reading = _Reading.NOTHING
        self._since_ms = self.door.now_ms
        self._read_until_ms = self._grace_ms
        self._head_bytes = 0
        self.body_bytes = 0
        self._unfinished = self.door.unfinished()
        # Answers: how much waited at the last check, until when more must leave.
        self._backlog_bytes = 0
        self._unread_until_ms = self._grace_ms
        self._unread = self.door.unread()
        # Of the piece of an answer that is being made or has not left: it is in memory whole.
        self._piece_bytes = 0

    # --- the connection ----------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # Else the rest of a piece would stay, with all of its memory, beside the next.
        transport.set_write_buffer_limits(high=0)
        if not self.door.trusted_proxies:
            self.network = self._asking_network = self.door.network_of(self._peer, [])
        self._is_extra = not self.door.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._leave_answer()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        if not self._is_answered:
            self.abort()  # both would write to it, the second first
            return
        hosts = [v.decode("latin-1") for k, v in self.headers if k == b"host"]
        if any(map(self.door.is_own_host, hosts)):
            self.refuse(404, NotFound("route-not-found", "No sessions are at this host."))
            return
        address = caller_ip(
            self._peer, self._forwarded_for(), trusted_proxies=self.door.trusted_proxies
        )
        if self._is_extra or not self.door.has_room_for(address):
            self.refuse(503, _too_many())
            return
        self._end()
        super().handle_websocket_upgrade()
        # The parser refers to this protocol, so both would wait for a collection. Nothing is
        # parsed from here on, although uvicorn's type says that there is always a parser.
        self.parser = None  # type: ignore[assignment]

    def _end(self) -> None:
        """Give back everything that is counted for this connection."""
        self._is_over = True
        self.door.forget(self)
        self.app = self._serve  # else this object would refer to itself
        self._unfinished.note(0, self._asking_network)
        self._unread.note(0, self._asking_network)

    def close(self) -> None:
        if self.transport.get_write_buffer_size():
            # It would stay until the rest is read, and its deadlines are not checked any more.
            self.abort()
        else:
            self.transport.close()

    def abort(self) -> None:
        self._is_ending = True
        self._end()
        self.transport.abort()

    def refuse(self, status: int, failure: TriceError) -> None:
        """Answer with the failure, if an answer is still possible, and end the connection."""
        self._answer_last(status, b"application/json; charset=utf-8", orjson.dumps(failure.body()))

    def _leave_answer(self) -> None:
        """Whoever works on an answer hears that nobody waits any more. Requests that wait behind it
        are not begun then."""
        cycle = self._answered_cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        self._answer_last(400, b"text/plain; charset=utf-8", msg.encode())

    def _answer_last(self, status: int, media_type: bytes, body: bytes) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started:
                self.abort()  # another answer comes first, or is half sent
                return
            self._leave_answer()
        self._say_last(status, media_type, body)

    def _say_last(self, status: int, media_type: bytes, body: bytes) -> None:
        """Write a last answer. If the connection closed at once, a client that still sends would
        never read it."""
        self._is_ending = True
        self._since_ms = self.door.now_ms
        self._unfinished.note(0, self._asking_network)
        if self.transport.is_closing():
            return
        head = b"content-type: %b\r\ncontent-length: %d\r\n" % (media_type, len(body))
        self.transport.write(STATUS_LINE[status] + head + b"connection: close\r\n\r\n" + body)
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    def _forwarded_for(self) -> list[str]:
        return [v.decode("latin-1") for k, v in self.headers if k == b"x-forwarded-for"]

    # --- what comes --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        self._unset_keepalive_if_required()
        # Checked before this piece is parsed: it may hold the end of the headers and a body.
        is_in_head = self._reading is not _Reading.BODY
        if is_in_head and self._head_bytes > limits.HTTP_HEADER_BYTES_MAX:
            self.send_400_response(
                f"The headers are larger than {limits.HTTP_HEADER_BYTES_MAX} bytes."
            )
            return
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_other_protocol:
                self._read_without_upgrade(data[upgrade.args[0] :])
            elif not self._is_ending:
                self.handle_websocket_upgrade()
            return
        except httptools.HttpParserError:
            if not self._is_ending:
                # uvicorn would log a warning for each, so anybody could fill the log.
                self.door.counts.malformed += 1
                self.send_400_response("Invalid HTTP request received.")
            return
        if self._reading is not _Reading.NOTHING:
            self.body_bytes += len(data)
            if self._reading is _Reading.BODY and not self._is_answered:
                # Not for headers, which are small; nor for a body that no handler waits for.
                self._read_until_ms = self._prolonged(self._read_until_ms, len(data))
            self._hold()

    def _read_without_upgrade(self, rest: bytes) -> None:
        """Read a request again as if it had not asked for another protocol than WebSockets.

        A server that does not speak that protocol ignores the header (RFC 9110 §7.8). The parser
        takes no body of such a request, so it would be lost, or read as another request.

        rest   the bytes after the headers
        """
        version = self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        head += [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join((*head, b"\r\n", rest)))

    def _hold(self) -> None:
        """Count the bytes in memory of a request that is not whole yet."""
        amount = max(self._held_bytes - limits.UNFINISHED_FREE_BYTES, 0)
        if not self._unfinished.has_room(amount - self._unfinished.amount, self._asking_network):
            self.refuse(503, _too_much())
        else:
            self._unfinished.note(amount, self._asking_network)

    @property
    def _held_bytes(self) -> int:
        """The bytes that have come; for a body taken in pieces, those that wait to be taken."""
        if self._reading is _Reading.BODY and self.cycle is not None and not self._is_answered:
            body = self.cycle.scope["state"].get("body")
            if body is not None and not body.is_held:
                return len(self.cycle.body)
        return self.body_bytes

    def _read(self, reading: _Reading) -> None:
        """A part of a request begins, or the request is whole."""
        self._reading = reading
        self._since_ms = self.door.now_ms
        self._read_until_ms = self._grace_ms
        self._head_bytes = 0
        self.body_bytes = 0
        self._unfinished.note(0, self._asking_network)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= limits.HTTP_PIPELINED_MAX:
            # Nothing more is read by then, but bytes read already may hold thousands of them.
            self.refuse(503, _too_much())
            raise _Refused
        self.door.busy(self)
        head_bytes = self._head_bytes
        self._read(_Reading.HEAD)
        self._head_bytes = head_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        asks_for_more = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        self._is_other_protocol = asks_for_more and not self._should_upgrade()
        if self._is_other_protocol:
            return  # this is called again: see `_read_without_upgrade`
        if self.door.trusted_proxies:
            self._asking_network = self.door.network_of(self._peer, self._forwarded_for())
        self._read(_Reading.BODY)
        if self._is_extra and self.url.partition(b"?")[0].decode("latin-1") not in ALWAYS_ANSWERED:
            self.scope["state"]["refusal"] = _too_many()
        super().on_headers_complete()
        if not self.pipeline:
            self._answered_cycle = self.cycle
        if self._is_extra and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        if self._is_other_protocol:
            return
        self._read(_Reading.NOTHING)
        super().on_message_complete()
        if self._is_answered:
            self._look_idle()  # the request was answered before it was whole

    def on_response_complete(self) -> None:
        self._answered_cycle = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        if self._reading is _Reading.BODY and self._is_answered:
            # The rest of its body is dropped.
            self._read_until_ms = min(self._read_until_ms, self._grace_ms)
            self.body_bytes = 0
            self._hold()
        self._look_idle()

    @property
    def _is_answered(self) -> bool:
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    def _look_idle(self) -> None:
        if self._reading is _Reading.NOTHING and self._is_answered and not self._is_ending:
            self.door.idle(self)

    # --- what leaves -------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request. An answer that finds too many others unread gives way to a 503. What is
        refused once the answer has begun ends it, with the connection."""
        start: Message | None = None
        is_refused = False

        async def send_if_there(message: Message) -> None:
            if self.transport.is_closing():
                # A turn before we are told that it is lost, uvloop takes no more.
                self._leave_answer()
            await send(message)

        async def send_bounded(message: Message) -> None:
            nonlocal start, is_refused
            if message["type"] == "http.response.start":
                start = message  # sent together with the first piece of the body
                return
            size = len(message.get("body", b""))
            is_large = size > limits.HTTP_UNREAD_FREE_BYTES
            if start is not None:
                if is_large and not self._unread.has_room(size, self._asking_network):
                    start, message = _instead(start)
                    is_refused = True
                await send_if_there(start)
                start = None
            elif is_refused:
                return
            is_piece = message.get("more_body", False)
            is_noted = is_large or self._piece_bytes > 0
            self._piece_bytes = size if is_piece and is_large else 0
            await send_if_there(message)
            if is_noted:
                self._note_unread()
            if is_piece:
                # One piece in each turn: other tasks run, and a lost client is noticed before the
                # next.
                await asyncio.sleep(0)
                await self._room_for_next(size)

        try:
            await self._serve(scope, receive, send_bounded)
        except TriceError:
            # Only what nobody can be told any more comes here: a body too large, for instance.
            self._leave_answer()
            self.abort()
        finally:
            if self._piece_bytes:
                self._piece_bytes = 0
                self._note_unread()

    async def _room_for_next(self, size: int) -> None:
        """Wait until the client has taken what was written, and others of its network have left
        room for another piece of `size` bytes. Only then is it made."""
        await self.flow.drain()
        self._piece_bytes = 0
        self._note_unread()
        while not self._is_over and not self._unread.has_room(size, self._asking_network):
            # Those who do not read are cut off by the deadline that `check_time` looks at.
            await self.door.wait_ms(limits.HTTP_CHECK_MS)
        if size > limits.HTTP_UNREAD_FREE_BYTES:
            self._piece_bytes = size
            self._note_unread()

    def pause_writing(self) -> None:
        self._note_unread()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._note_unread()
        super().resume_writing()

    def _note_unread(self) -> None:
        """Count the bytes that wait to leave or are about to, and those that left since the last
        call."""
        if self._is_over:
            return  # a handler that still works on an answer must not count it again
        backlog = self.transport.get_write_buffer_size()
        left = max(self._backlog_bytes - backlog, 0)
        self._backlog_bytes = backlog
        self._unread.note(max(backlog, self._piece_bytes), self._asking_network)
        if backlog:
            self._unread_until_ms = self._prolonged(self._unread_until_ms, left)
        else:
            self._unread_until_ms = self._grace_ms

    # --- time --------------------------------------------------------------------------------

    @property
    def _grace_ms(self) -> float:
        """The deadline for something that begins now."""
        return self.door.now_ms + limits.HTTP_GRACE_MS

    def _prolonged(self, until_ms: float, progress_bytes: int) -> float:
        """The deadline `until_ms`, extended because so many bytes came or left."""
        earned_ms = progress_bytes * 1000 / limits.HTTP_BYTES_PER_SECOND_MIN
        return min(until_ms + earned_ms, self._grace_ms + limits.HTTP_AHEAD_MS_MAX)

    def check_time(self, now_ms: float) -> None:
        """End the connection if the client takes too long: to send, to read, or to begin."""
        self._note_unread()
        if now_ms > self._unread_until_ms:
            self.door.counts.too_slow += 1
            self.abort()
        elif self._is_ending:
            if now_ms - self._since_ms > limits.CLOSE_GRACE_MS:
                self.abort()
        elif self.transport.is_closing():
            return
        elif self._reading is _Reading.NOTHING:
            began_ms = now_ms - self._since_ms
            if self.cycle is None and began_ms > self.timeout_keep_alive * 1000:
                self.transport.close()  # the client never sent a request
        elif self.flow.read_paused:
            self._read_until_ms = self._grace_ms  # it is the server that does not read
        elif now_ms > self._read_until_ms:
            self.door.counts.too_slow += 1
            self.refuse(408, _too_late())
        else:
            self._hold()  # the handler may have taken some bytes


def make_http_class(connections: Connections) -> type[BoundedHttp]:
    """Make the class for `uvicorn.Config(http=…)`."""
    return type("Http", (BoundedHttp,), {"door": connections})


def _instead(start: Message) -> tuple[Message, Message]:
    """A refusal in place of an answer that began with `start`."""
    failure = Unavailable("overloaded", "Too many answers wait to be read; read them first.")
    body = orjson.dumps(failure.body())
    replaced = (b"content-type", b"content-length", b"transfer-encoding")
    headers = [pair for pair in start["headers"] if pair[0].lower() not in replaced]
    headers.append((b"content-type", b"application/json; charset=utf-8"))
    headers.append((b"content-length", b"%d" % len(body)))
    return (
        {**start, "status": 503, "headers": headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    )


def _too_many() -> Unavailable:
    return Unavailable("overloaded", "Too many connections are open; try again in a moment.")


def _too_much() -> Unavailable:
    return Unavailable("overloaded", "Too many unfinished requests; finish some first.")


def _too_late() -> Unavailable:
    return Unavailable(
        "timeout", "The request did not arrive in time; send it faster, or in parts."
    )
