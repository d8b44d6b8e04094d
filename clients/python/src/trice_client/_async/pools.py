"""Connections of HTTP in small pools.

httpcore looks at every connection of a pool, and asks the system about idle ones, at the begin and
at the end of each request: with fifty requests at once that takes longer than the requests.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx

_POOL_REQUESTS = 8
_POOL_CONNECTIONS = 16
"""More than its share, so that threads that choose one at the same moment need not wait."""
_POOLS_MAX = 12


class AsyncPools(httpx.AsyncBaseTransport):
    """12 pools at most for each of http and https. Where all are busy, a request may wait."""

    def __init__(self) -> None:
        self._pools: dict[bool, list[AsyncPool]] = {False: [], True: []}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As of httpx."""
        pool = self._pick(request.url.scheme == "https")
        pool.busy.add(request)
        try:
            answer = await pool.transport.handle_async_request(request)
        except BaseException:
            pool.busy.discard(request)
            raise
        assert isinstance(answer.stream, httpx.AsyncByteStream), "it is of this transport"
        answer.stream = AsyncAnswerBytes(answer.stream, pool, request)
        return answer

    async def aclose(self) -> None:
        """End all connections."""
        for pools in self._pools.values():
            for pool in pools:
                await pool.transport.aclose()

    def _pick(self, is_secure: bool) -> AsyncPool:
        """The first that has a connection left, so that few connections are used often."""
        pools = self._pools[is_secure]
        for pool in pools:
            if len(pool.busy) < _POOL_REQUESTS:
                return pool
        if len(pools) == _POOLS_MAX:
            return min(pools, key=lambda pool: len(pool.busy))
        context = pools[0].context if pools else _context(is_secure)
        pools.append(AsyncPool(context))
        return pools[-1]


class AsyncPool:
    """A pool. busy   requests whose answers are not closed; threads may change it at once"""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.busy: set[httpx.Request] = set()
        limits = httpx.Limits(max_connections=_POOL_CONNECTIONS)
        self.transport = httpx.AsyncHTTPTransport(verify=context, limits=limits)


class AsyncAnswerBytes(httpx.AsyncByteStream):
    """The bytes of an answer; its pool learns of their end."""

    def __init__(
        self, source: httpx.AsyncByteStream, pool: AsyncPool, request: httpx.Request
    ) -> None:
        self._source = source
        self._pool = pool
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._source:
            yield piece

    async def aclose(self) -> None:
        """As of httpx."""
        self._pool.busy.discard(self._request)
        await self._source.aclose()


def _context(is_secure: bool) -> ssl.SSLContext:
    """To read the certificates of authorities takes 20 ms, which plain HTTP need not pay: without
    them a context trusts nobody."""
    return httpx.create_ssl_context() if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
