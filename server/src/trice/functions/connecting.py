"""How requests of actions leave: connections to addresses that were checked, answers that are
bounded. Imported with the first request of a process.

Code of an app may be told a URL by its users, which could lead to what only this machine reaches:
another program on it, or a metadata service of the cloud. So a name is looked up once, all of its
addresses must belong to the public internet, and these are connected to: a second look-up could
lead elsewhere. Redirects are requests, checked like any.

This protects code from URLs, not the machine from code: that opens sockets itself if it wants to.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import certifi
import httpcore
import httpx

from trice import reach_limits as limits
from trice.public_addresses import is_public, look_up

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → IP addresses; raises OSError."""

_ANY_HEADER: Final = zlib.MAX_WBITS | 32
"""gzip, or deflate as most send it."""


class Connector(httpcore.AsyncNetworkBackend):
    """Connects to hosts by name. Holds the threads that look up names."""

    def __init__(self, *, allows_private: bool, resolve: Resolve | None = None) -> None:
        """resolve   looks up names; None: the system does"""
        self._allows_private = allows_private
        self._resolve = resolve
        self._sockets = httpcore.AnyIOBackend()
        self._threads: ThreadPoolExecutor | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """raises   httpcore.ConnectError, ConnectTimeout"""
        addresses = await self._addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await self._sockets.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(
            addresses[-1], port, timeout, local_address, socket_options
        )

    async def connect_unix_socket(self, *_: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.UnsupportedProtocol("Requests go to hosts only")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await (self._resolve or self._look_up)(host, port)
        except (OSError, UnicodeError) as cause:
            raise httpcore.ConnectError(f"The host {host} is unknown") from cause
        if not found:
            raise httpcore.ConnectError(f"The host {host} has no address")
        # If one of several addresses is private, it would be reached now and then.
        if not self._allows_private and not all(map(is_public, found)):
            raise httpcore.ConnectError(
                f"The host {host} is not on the public internet. Whoever runs the server may allow"
                " private addresses: TRICE_FUNCTIONS_PRIVATE"
            )
        by_kind = sorted(set(found), key=lambda address: ":" in address)
        return by_kind[: limits.HTTP_ADDRESSES_TRIED]

    async def _look_up(self, host: str, port: int) -> list[str]:
        # Not on the threads of calls: a look-up cannot be stopped, and would hold up the end of its
        # call.
        if self._threads is None:
            self._threads = ThreadPoolExecutor(limits.HTTP_LOOKUPS, thread_name_prefix="names")
        return await asyncio.wrap_future(self._threads.submit(look_up, host, port))


class Transport(httpx.AsyncBaseTransport):
    """The requests of a process, on connections that are kept for a while."""

    def __init__(
        self,
        *,
        allows_private: bool,
        resolve: Resolve | None = None,
        cafile: str | None = None,
    ) -> None:
        """Reads certificates: 50 ms. cafile   whom TLS trusts; None: as browsers do"""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(cafile=cafile or certifi.where()),
            max_connections=limits.HTTP_CONNECTIONS_MAX,
            max_keepalive_connections=limits.HTTP_CONNECTIONS_KEPT,
            keepalive_expiry=limits.HTTP_KEPT_MS / 1000,
            network_backend=Connector(allows_private=allows_private, resolve=resolve),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """raises   httpx.TransportError"""
        assert isinstance(request.stream, httpx.AsyncByteStream), "the client is async"
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=_Sent(request),
            extensions=request.extensions,
        )
        with _as_httpx(request):
            answer = await self._pool.handle_async_request(asked)
        return bounded(
            request,
            status=answer.status,
            headers=httpx.Headers(answer.headers),
            stream=answer.stream,
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """End every connection. Clients of calls are not closed, as they share it."""
        await self._pool.aclose()


def bounded(
    request: httpx.Request,
    *,
    status: int,
    headers: httpx.Headers,
    stream: Any,
    extensions: Any = None,
) -> httpx.Response:
    """An answer whose body is unpacked and counted while it is read.

    stream   the body as it comes; an async iterable of bytes with `aclose`
    """
    kept = headers.copy()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        for name in ("content-encoding", "content-length"):
            kept.pop(name, None)
    most = request.extensions.get(limits.HTTP_BYTES_MAX_KEY, limits.HTTP_BYTES_MAX)
    body = _Body(request, stream, coding=coding, bytes_max=most)
    return httpx.Response(status, headers=kept, stream=body, extensions=extensions)


class _Sent(httpx.AsyncByteStream):
    """The body of a request. raises   httpx.WriteError when it has too many bytes"""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent, most = 0, limits.HTTP_PIECES_BYTES_MAX
        stream: Any = self._request.stream
        async for piece in stream:
            sent += len(piece)
            if sent > most:
                raise httpx.WriteError(f"The body has more than {most:,} bytes")
            yield piece


class _Body(httpx.AsyncByteStream):
    """The body of an answer. raises   httpx.ReadError, httpx.DecodingError"""

    def __init__(self, request: httpx.Request, stream: Any, *, coding: str, bytes_max: int) -> None:
        self._request = request
        self._stream = stream
        self._coding = coding
        self._bytes_max = bytes_max

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._coding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise httpx.DecodingError(
                f"The answer is packed as {self._coding[:40]}; gzip and deflate can be unpacked"
            )
        unpacker = None if self._coding == "identity" else _Unpacker()
        count = 0
        with _as_httpx(self._request):
            async for packed in self._stream:
                for piece in (packed,) if unpacker is None else unpacker.feed(packed):
                    count += len(piece)
                    if count > self._bytes_max:
                        raise httpx.ReadError(
                            f"The answer has more than {self._bytes_max:,} bytes; read it with"
                            " `async with ctx.http.stream(…)`"
                        )
                    yield piece
        if unpacker is not None:
            unpacker.end()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Unpacker:
    """Unpacks gzip or deflate, in pieces of reach_limits.HTTP_UNPACKED_BYTES at most."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_ANY_HEADER)
        self._is_empty = True

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """raises   httpx.DecodingError"""
        while packed:
            self._is_empty = False
            if self._member.eof:  # gzip may have several members
                self._member = zlib.decompressobj(_ANY_HEADER)
            try:
                piece = self._member.decompress(packed, limits.HTTP_UNPACKED_BYTES)
            except zlib.error as cause:
                raise httpx.DecodingError(f"The answer cannot be unpacked: {cause}") from None
            if piece:
                yield piece
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def end(self) -> None:
        """That was all. raises   httpx.DecodingError"""
        if not self._is_empty and not self._member.eof:
            raise httpx.DecodingError("The answer cannot be unpacked: it ends in the middle")


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Errors of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as cause:
        raise _named(cause)(str(cause) or type(cause).__name__, request=request) from cause
    except (httpcore.UnsupportedProtocol, httpcore.ProxyError) as cause:
        raise _named(cause)(str(cause), request=request) from cause


def _named(failure: Exception) -> type[httpx.TransportError]:
    found: type[httpx.TransportError] = getattr(httpx, type(failure).__name__, httpx.TransportError)
    return found
