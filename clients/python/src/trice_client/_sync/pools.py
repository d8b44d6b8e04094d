# Made of `_async/pools.py` by `make gen`: change that file.
"""Connections of HTTP in small pools.

httpcore looks at every connection of a pool, and asks the system about idle ones, at the begin and
at the end of each request: with fifty requests at once that takes longer than the requests.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx

_POOL_REQUESTS = 8
_POOL_CONNECTIONS = 16
"""More than its share, so that threads that choose one at the same moment need not wait."""
_POOLS_MAX = 12


class Pools(httpx.BaseTransport):
    """12 pools at most for each of http and https. Where all are busy, a request may wait."""

    def __init__(self) -> None:
        self._pools: dict[bool, list[Pool]] = {False: [], True: []}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As of httpx."""
        pool = self._pick(request.url.scheme == "https")
        pool.busy.add(request)
        try:
            answer = pool.transport.handle_request(request)
        except BaseException:
            pool.busy.discard(request)
            raise
        assert isinstance(answer.stream, httpx.SyncByteStream), "it is of this transport"
        answer.stream = AnswerBytes(answer.stream, pool, request)
        return answer

    def close(self) -> None:
        """End all connections."""
        for pools in self._pools.values():
            for pool in pools:
                pool.transport.close()

    def _pick(self, is_secure: bool) -> Pool:
        """The first that has a connection left, so that few connections are used often."""
        pools = self._pools[is_secure]
        for pool in pools:
            if len(pool.busy) < _POOL_REQUESTS:
                return pool
        if len(pools) == _POOLS_MAX:
            return min(pools, key=lambda pool: len(pool.busy))
        context = pools[0].context if pools else _context(is_secure)
        pools.append(Pool(context))
        return pools[-1]


class Pool:
    """A pool. busy   requests whose answers are not closed; threads may change it at once"""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.busy: set[httpx.Request] = set()
        limits = httpx.Limits(max_connections=_POOL_CONNECTIONS)
        self.transport = httpx.HTTPTransport(verify=context, limits=limits)


class AnswerBytes(httpx.SyncByteStream):
    """The bytes of an answer; its pool learns of their end."""

    def __init__(self, source: httpx.SyncByteStream, pool: Pool, request: httpx.Request) -> None:
        self._source = source
        self._pool = pool
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._source:
            yield piece

    def close(self) -> None:
        """As of httpx."""
        self._pool.busy.discard(self._request)
        self._source.close()


def _context(is_secure: bool) -> ssl.SSLContext:
    """To read the certificates of authorities takes 20 ms, which plain HTTP need not pay: without
    them a context trusts nobody."""
    return httpx.create_ssl_context() if is_secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
