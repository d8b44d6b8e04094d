"""WebSockets by picows inside uvicorn: HTTP and sockets on one port, 6 µs a message.

uvicorn hands a connection that asks for an upgrade to its `ws` class. The class here gives it to
picows' protocol object. The constructor of that object is not public, so picows is pinned to a
minor version, and `api.sync.websocket` is the tested second way (`TRICE_WEBSOCKET=asgi`).

Outgoing frames are framed here: a server's text frame has two to ten bytes before the payload.
Pushes are cheap because all frames of a turn, deflated or not, are joined into one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from trice import limits
from trice.identity import Identity, caller_ip, network_of
from trice.protocol.errors import PROTOCOL_ERROR, TRY_LATER
from trice.protocol.shared import Frame, JoinedFrame
from trice.session.deflate import Deflater, agree
from trice.session.fragments import Fragments
from trice.session.hub import Hub
from trice.session.pages import give_back_pages
from trice.session.session import Session
from trice.session.socket import MustClose
from trice.shares import Held

PATH: Final = b"/runtime/session"
_TEXT_FINAL: Final = 0x81
_RSV1: Final = 0x40
_CLOSE_WITHOUT_CODE: Final = b"\x88\x00"
_GIVEN_BACK_BYTES: Final = 256 * 1024
"""After a frame larger than this, the memory of picows' buffer is given back."""
_PEER_CODES: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))
"""Close codes that may stand in a frame (RFC 6455 §7.4 and its registry)."""
library_logger: Final = logging.getLogger("picows")  # a library: logged from warning up


class _Reports:
    """The logger that picows gets for one connection: how the socket hears of its failures.

    When a client breaks the protocol, picows logs that, sends a close frame, and goes on reading.
    Every further byte would cause another line and another close frame, so the socket ends then.
    """

    __slots__ = ("socket",)

    def __init__(self) -> None:
        self.socket: PicowsSocket | None = None

    def isEnabledFor(self, level: int) -> bool:
        return level >= logging.WARNING and library_logger.isEnabledFor(level)

    def error(self, message: str, *values: Any) -> None:
        """The client broke the protocol."""
        library_logger.debug(message, *values)
        if self.socket is not None:
            self.socket.on_broken()

    def exception(self, message: str, *values: Any) -> None:
        """The server, or picows, made a mistake."""
        library_logger.exception(message, *values)
        if self.socket is not None:
            self.socket.on_broken()

    def warning(self, message: str, *values: Any) -> None:
        library_logger.warning(message, *values)

    def info(self, *_: Any) -> None: ...
    def debug(self, *_: Any) -> None: ...
    def log(self, *_: Any) -> None: ...


def frame_header(size_bytes: int, *, is_deflated: bool) -> bytes:
    """The bytes before the payload of an unmasked, unfragmented text frame (RFC 6455 §5.2)."""
    first = _TEXT_FINAL | _RSV1 if is_deflated else _TEXT_FINAL
    if size_bytes < 126:
        return bytes((first, size_bytes))
    if size_bytes < 65536:
        return bytes((first, 126)) + size_bytes.to_bytes(2, "big")
    return bytes((first, 127)) + size_bytes.to_bytes(8, "big")


class PicowsSocket(WSListener):
    """One connection: picows' listener on one side, the session's Socket on the other.

    deflater      None when compression was not agreed on
    coming_bytes  roughly the bytes of a frame that is not whole yet, which picows keeps
    """

    def __init__(
        self,
        hub: Hub,
        request: WSUpgradeRequest,
        deflater: Deflater | None,
        reports: _Reports | None = None,
    ) -> None:
        self._hub = hub
        self._headers = request.headers
        self._deflater = deflater
        self._fragments = Fragments()
        self._held: Held | None = None
        self.coming_bytes = 0
        self._is_buffer_large = False
        self._is_closing = False
        self._unanswered_ping: bytes | None = None
        if reports is not None:
            reports.socket = self

    # --- Socket ------------------------------------------------------------------------------

    def send(self, frames: Sequence[Frame]) -> None:
        if self._is_closing:
            return
        parts: list[bytes] = []
        for frame in frames:
            deflated = self._deflater.find_deflated(frame) if self._deflater else None
            if deflated is not None:
                parts.append(frame_header(len(deflated), is_deflated=True))
                parts.append(deflated)
                continue
            parts.append(frame_header(len(frame), is_deflated=False))
            if isinstance(frame, JoinedFrame):
                parts += frame.plain_parts()
            else:
                parts.append(frame)
        self._raw.write(b"".join(parts))

    @property
    def backlog_bytes(self) -> int:
        return int(self._raw.get_write_buffer_size())

    @property
    def unfinished(self) -> tuple[int, int] | None:
        return self._fragments.unfinished

    @property
    def looks_after_reads(self) -> bool:
        """Whether `after_read` must follow even a small read."""
        return self._held is not None or self._is_buffer_large

    def ping(self) -> None:
        if not self._is_closing:
            self._transport.send_ping()

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def close(self, code: int, reason: str) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._transport.send_close(WSCloseCode(code), reason.encode())
            self._end()

    def _end(self) -> None:
        """Close the connection once what was sent before has left, or after a while, as a client
        that never reads would keep it open for ever."""
        self._unanswered_ping = None
        self._transport.disconnect()
        asyncio.get_running_loop().call_later(limits.CLOSE_GRACE_MS / 1000, self._raw.abort)

    def on_broken(self) -> None:
        """The client broke the protocol. picows sends the close frame; nothing else is read or
        sent."""
        if not self._is_closing:
            self._is_closing = True
            self._raw.pause_reading()
            asyncio.get_running_loop().call_soon(self._end)

    # --- WSListener --------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._raw: asyncio.Transport = transport.underlying_transport
        peer = self._raw.get_extra_info("peername") or ("",)
        self.session: Session = self._hub.open(
            self,
            Identity(
                "guest",
                ip=caller_ip(
                    peer[0],
                    self._headers.getall("x-forwarded-for", []),
                    trusted_proxies=self._hub.trusted_proxies,
                ),
                origin=self._headers.get("origin", ""),
            ),
        )

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.coming_bytes = 0
        if frame.rsv2 or frame.rsv3 or (frame.rsv1 and not self._may_be_deflated(frame)):
            self.close(PROTOCOL_ERROR, "reserved bit not agreed on")
            return
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.CONTINUATION:
                self._on_data(frame)
            case WSMsgType.PING:
                self._on_ping(frame.get_payload_as_bytes())
            case WSMsgType.PONG:
                self.session.heard()
                self.session.inbox.spend_turn()
            case WSMsgType.CLOSE:
                self._on_close(frame.get_payload_as_bytes())

    def _on_ping(self, payload: bytes) -> None:
        """Answer a ping. A client that does not read gets one answer, to its latest ping, once it
        reads again (RFC 6455 §5.5.3), so pings do not pile up."""
        if self._is_closing or self._raw.is_closing():
            return  # a pong cannot be sent, and each try would be a line of the log
        self.session.heard()
        self.session.inbox.spend_turn()
        if self.backlog_bytes > limits.PONG_BACKLOG_BYTES_MAX:
            self._unanswered_ping = payload
        else:
            self._transport.send_pong(payload)

    def _on_close(self, payload: bytes) -> None:
        """Answer the client's close frame with the same code, and end the connection."""
        if self._is_closing:
            self._transport.disconnect()
            return
        if payload and int.from_bytes(payload[:2], "big") not in _PEER_CODES:
            self.close(PROTOCOL_ERROR, "no such close code")
            return
        self._is_closing = True
        if payload:
            code = int.from_bytes(payload[:2], "big")
            self._transport.send_close(code, payload[2:])  # type: ignore[arg-type]
        else:
            self._raw.write(_CLOSE_WITHOUT_CODE)
        self._end()

    def _may_be_deflated(self, frame: WSFrame) -> bool:
        return self._deflater is not None and frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY)

    def _on_data(self, frame: WSFrame) -> None:
        if self._is_closing:
            return
        try:
            message = self._fragments.take(
                frame.get_payload_as_bytes(),
                is_first=frame.msg_type != WSMsgType.CONTINUATION,
                is_last=bool(frame.fin),
                is_deflated=bool(frame.rsv1),
            )
        except MustClose as end:
            self.close(end.code, end.reason)
            return
        if message is None or self._held is not None:
            self._hold()
            self.session.inbox.spend_turn()
        if message is not None:
            self.session.receive(message)

    def after_read(self, protocol: WSProtocol) -> None:
        """Count the bytes of a frame that is not whole, and free those that are unused again."""
        self._hold()
        if self.coming_bytes > _GIVEN_BACK_BYTES:
            self._is_buffer_large = True
        elif self._is_buffer_large:
            self._is_buffer_large = False
            give_back_pages(WSProtocol.get_buffer(protocol, -1))

    def _hold(self) -> None:
        """Count what came of an unfinished message or frame, for its network and for all."""
        size_bytes = 0
        if not self._is_closing:
            unfinished = self._fragments.unfinished
            size_bytes = self.coming_bytes + (0 if unfinished is None else unfinished[1])
        network = network_of(self.session.guest.ip)
        held = self._held or self._hub.unfinished()
        amount = max(size_bytes - limits.UNFINISHED_FREE_BYTES, 0)
        if held.has_room(amount - held.amount, network):
            held.note(amount, network)
            self._held = held if amount else None
        else:
            self.close(TRY_LATER, "too many unfinished messages")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._is_closing = True
        if self._held is not None:
            self._hold()
        self._hub.closed(self.session)

    def pause_writing(self) -> None:
        """The backlog passed the transport's mark. The outbox looks at `backlog_bytes` itself."""

    def resume_writing(self) -> None:
        if self._unanswered_ping is not None:
            self._transport.send_pong(self._unanswered_ping)
            self._unanswered_ping = None
        self.session.on_writable()


class CountedProtocol(WSProtocol):  # type: ignore[misc]
    """picows' protocol, which keeps a frame until it is whole; those bytes are counted.

    One read takes at most limits.SOCKET_READ_BYTES. Without a bound, picows' buffer would grow, and
    megabytes of empty frames would be handled in one go. Costs 120 ns a read.
    """

    __slots__ = ()

    def get_buffer(self, size_hint: int) -> memoryview:
        room: memoryview = WSProtocol.get_buffer(self, size_hint)
        return room if len(room) <= limits.SOCKET_READ_BYTES else room[: limits.SOCKET_READ_BYTES]

    def buffer_updated(self, size_bytes: int) -> None:
        socket = self.listener
        if socket is None:  # before the handshake; uvicorn has bounded the size of the request
            WSProtocol.buffer_updated(self, size_bytes)
            return
        socket.coming_bytes += size_bytes
        WSProtocol.buffer_updated(self, size_bytes)
        if socket.looks_after_reads or socket.coming_bytes > limits.UNFINISHED_FREE_BYTES:
            socket.after_read(self)


def make_protocol_class(hub: Hub, deflater: Deflater | None) -> type[asyncio.Protocol]:
    """Make the class for `uvicorn.Config(ws=…)`, whose sessions join `hub`.

    deflater   used for clients that offer compression; None: compression is switched off
    """

    def accept(request: WSUpgradeRequest, reports: _Reports) -> Any:
        if request.path.split(b"?", 1)[0] != PATH:
            return _refuse(HTTPStatus.NOT_FOUND, b"WebSockets are served at /runtime/session.")
        if hub.is_stopping:
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, b"The server is stopping.")
        answer = None
        if deflater is not None:
            answer = agree(request.headers.getall("sec-websocket-extensions", []))
        if answer is None:
            return PicowsSocket(hub, request, None, reports)
        return WSUpgradeResponseWithListener(
            WSUpgradeResponse.create_101_response({"Sec-WebSocket-Extensions": answer}),
            PicowsSocket(hub, request, deflater, reports),
        )

    class PicowsProtocol(asyncio.Protocol):
        """uvicorn makes one for each upgrade; it exists only until picows has taken over."""

        def __init__(self, config: Any, server_state: Any, app_state: Any, **_: Any) -> None:
            reports = _Reports()
            self._inner = CountedProtocol(
                None,  # host_port: clients only
                None,  # ws_path: clients only
                False,  # is_client_side
                lambda request: accept(request, reports),
                reports,
                True,  # disconnect_on_exception
                limits.INIT_TIMEOUT_MS / 1000,  # handshake timeout
                False,  # auto ping: the hub pings
                limits.IDLE_TIMEOUT_MS / 1000,
                limits.IDLE_TIMEOUT_MS / 1000,
                WSAutoPingStrategy.PING_WHEN_IDLE,
                False,  # auto pong: see on_ws_frame
                limits.FRAME_BYTES_MAX,
                None,  # extra headers
                2048,  # first size of the read buffer; it grows with the frames
            )

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = transport
            self._inner.connection_made(transport)

        def data_received(self, data: bytes) -> None:
            """uvicorn calls this once, with the request that it has parsed already."""
            position = 0
            while position < len(data):
                room = self._inner.get_buffer(-1)
                size = min(len(room), len(data) - position)
                room[:size] = data[position : position + size]
                self._inner.buffer_updated(size)
                position += size

    class Handover(PicowsProtocol):
        """uvicorn next calls `transport.set_protocol(this)`; picows' protocol must be set
        instead."""

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            asyncio.get_running_loop().call_soon(self._transport.set_protocol, self._inner)

        def connection_lost(self, exc: Exception | None) -> None:
            self._inner.connection_lost(exc)

    return Handover


def _refuse(status: HTTPStatus, body: bytes) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_error_response(status, body), None
    )
