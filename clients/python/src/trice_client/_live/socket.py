"""A WebSocket over whichever loop runs: frames by `websockets`, bytes by anyio."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from trice_client._errors import TriceError

MESSAGE_BYTES_MAX = 256 * 1024 * 1024
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_CONNECT_S = 10.0
_READ_BYTES = 256 * 1024


class SocketLost(Exception):
    """The connection is gone. code   why the server closed it; 0: it did not say"""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Socket:
    """An open WebSocket of texts."""

    def __init__(self, stream: ByteStream, protocol: ClientProtocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._parts: list[bytes] = []
        self._lost: SocketLost | None = None
        self._sending = anyio.Lock()

    async def send(self, message: bytes) -> None:
        """Send a text. raises   SocketLost"""
        self._check()
        self._protocol.send_text(message)
        await self.flush()

    async def ping(self) -> None:
        """Ask for a sign of life. raises   SocketLost"""
        self._check()
        self._protocol.send_ping(b"?")
        await self.flush()

    def _check(self) -> None:
        """The server may have closed it, and the reader not have come so far."""
        if self._protocol.state.name != "OPEN":
            raise self._lost or SocketLost(0, "the connection is closing")

    async def receive(self) -> list[bytes]:
        """The texts that came with the next bytes; none for a ping or a pong.

        raises   SocketLost
        """
        texts = self._texts()  # they may have come with the answer to the handshake
        if not texts:
            await self.read()
            texts = self._texts()
        if self._lost is None:
            await self.flush()
        elif not texts:
            raise self._lost
        return texts

    def _texts(self) -> list[bytes]:
        texts: list[bytes] = []
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY):
                self._parts.append(bytes(event.data))
                if event.fin:
                    texts.append(b"".join(self._parts))
                    self._parts.clear()
        return texts

    async def close(self) -> None:
        """Say goodbye, if that can be said."""
        with anyio.move_on_after(1, shield=True):
            try:
                if self._protocol.state.name == "OPEN":
                    self._protocol.send_close(1000)
                    await self.flush()
            except SocketLost:
                pass
            finally:
                await self._stream.aclose()

    async def read(self) -> None:
        """Read bytes into the protocol. What came before an end is read first.

        raises   SocketLost
        """
        if self._lost is not None:
            raise self._lost
        try:
            received = await self._stream.receive(_READ_BYTES)
        except anyio.EndOfStream:
            self._protocol.receive_eof()
            code = self._protocol.close_rcvd.code if self._protocol.close_rcvd else 0
            raise SocketLost(code, "the server ended the connection") from None
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as cause:
            raise SocketLost(0, str(cause) or type(cause).__name__) from cause
        self._protocol.receive_data(received)
        closed = self._protocol.close_rcvd
        if self._protocol.parser_exc is not None:
            self._lost = SocketLost(0, str(self._protocol.parser_exc))
        elif closed is not None:
            self._lost = SocketLost(closed.code, closed.reason or "the server closed it")

    async def flush(self) -> None:
        """Send what the protocol wants to say. raises   SocketLost"""
        async with self._sending:
            try:
                for piece in self._protocol.data_to_send():
                    if piece:
                        await self._stream.send(piece)
            except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as cause:
                raise SocketLost(0, str(cause) or type(cause).__name__) from cause


@asynccontextmanager
async def open_socket(origin: str, path: str) -> AsyncGenerator[Socket]:
    """A WebSocket to a server; it is closed at the end.

    origin   `http://…` or `https://…`
    raises   SocketLost; TriceError("answer-malformed") for what speaks no WebSockets
    """
    uri = parse_uri("ws" + origin.removeprefix("http") + path)
    # To this machine bytes are cheaper than their compression.
    extensions = None if uri.host in _LOOPBACK else [ClientPerMessageDeflateFactory()]
    protocol = ClientProtocol(uri, extensions=extensions, max_size=MESSAGE_BYTES_MAX)
    stream: ByteStream
    try:
        with anyio.fail_after(_CONNECT_S):
            stream = await _connect(uri.host, uri.port, is_secure=uri.secure)
    except TimeoutError:
        raise SocketLost(0, f"no connection within {_CONNECT_S:.0f} s") from None
    except OSError as cause:
        raise SocketLost(0, str(cause)) from cause
    socket = Socket(stream, protocol)
    try:
        await _shake_hands(socket, protocol, origin)
        yield socket
    finally:
        await socket.close()


async def _connect(host: str, port: int, *, is_secure: bool) -> ByteStream:
    if not is_secure:
        return await anyio.connect_tcp(host, port)
    context = ssl.create_default_context()
    return await anyio.connect_tcp(host, port, ssl_context=context, tls_standard_compatible=False)


async def _shake_hands(socket: Socket, protocol: ClientProtocol, origin: str) -> None:
    protocol.send_request(protocol.connect())
    try:
        with anyio.fail_after(_CONNECT_S):
            await socket.flush()
            while protocol.state.name == "CONNECTING" and protocol.handshake_exc is None:
                await socket.read()
    except TimeoutError:
        raise SocketLost(0, f"no answer within {_CONNECT_S:.0f} s") from None
    failure = protocol.handshake_exc
    if failure is None:
        return
    status = getattr(getattr(failure, "response", None), "status_code", 0)
    if isinstance(failure, InvalidHandshake) and 200 <= status < 500 and status not in (408, 429):
        told = f"{origin} answered {status} where a trice server takes WebSockets."
        if 300 <= status < 400:
            told += " It sends elsewhere: give the client that address."
        raise TriceError("answer-malformed", told, status=status)
    raise SocketLost(0, str(failure))
