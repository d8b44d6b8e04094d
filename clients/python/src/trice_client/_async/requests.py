"""Requests to one server: encoded, sent again where that is safe, errors read."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from trice_client import _asked
from trice_client._asked import Asked, Body, decoded, refused
from trice_client._clock import sleep_async as sleep
from trice_client._errors import TriceError
from trice_client._retry import may_repeat, wait_s
from trice_client._users import Verified
from trice_client._webhooks import KnownKeys

if TYPE_CHECKING:
    import httpx

_CONNECT_S = 10.0
_CONNECTIONS_MAX = 100


class AsyncRequests:
    """Owns the connections. It is shared by all views of a client.

    timeout_s  how long an answer may say nothing
    retry_s    how long a request is tried again
    """

    def __init__(
        self, origin: str, *, timeout_s: float, retry_s: float, transport: Any = None
    ) -> None:
        self.origin = origin
        self.timeout_s = timeout_s
        self.retry_s = retry_s
        self._transport = transport
        self._pool: httpx.AsyncClient | None = None
        self._pid = 0
        self._inherited: list[object] = []
        self._is_closed = False
        self.verified = Verified()
        self.webhook_keys = KnownKeys()
        self.shapes: dict[type, Any] = {}
        """What is known of the schemas of `typed`, which all views share."""

    async def json(self, asked: Asked) -> Any:
        """The JSON of the answer. raises   TriceError"""
        async with self.open(asked) as answer:
            body = await self._whole(answer, _asked.ANSWER_BYTES_MAX)
            if body.is_over:
                raise _asked.too_large()
        return decoded(body.whole(), asked, answer.status_code)

    async def send(self, asked: Asked) -> dict[str, str]:
        """The headers of the answer, whose body is of no interest. raises   TriceError"""
        async with self.open(asked) as answer:
            await self._whole(answer, _asked.ERROR_BYTES_MAX)
        return {name.lower(): value for name, value in answer.headers.items()}

    @asynccontextmanager
    async def open(self, asked: Asked) -> AsyncGenerator[httpx.Response]:
        """An answer that is no error, its body unread. It is closed at the end.

        raises   TriceError: `offline` where no answer came
        """
        began_s, failures = time.monotonic(), 0
        while True:
            try:
                answer = await self._once(asked)
                break
            except TriceError as error:
                failures += 1
                if not may_repeat(error, asked.repeats):
                    raise
                pause_s = wait_s(failures, random.random(), error)
                if time.monotonic() - began_s + pause_s > self.retry_s:
                    raise
                await sleep(pause_s)
        try:
            yield answer
        finally:
            await _end(answer)

    async def aclose(self) -> None:
        """Ends the connections. A closed client raises `closed`."""
        self._is_closed = True
        pool, self._pool = self._pool, None
        if pool is not None and self._pid == os.getpid():
            await pool.aclose()

    async def _once(self, asked: Asked) -> httpx.Response:
        import httpx

        pool = self._connections()
        url = asked.path if "://" in asked.path else self.origin + asked.path
        timeout = httpx.Timeout(asked.timeout_s or self.timeout_s, connect=_CONNECT_S)
        request = pool.build_request(
            asked.method,
            url,
            params=asked.params or None,
            headers={"accept-encoding": "gzip", **asked.all_headers()},
            content=asked.body(),
            timeout=timeout,
        )
        try:
            answer = await pool.send(request, stream=True)
        except httpx.TransportError as cause:
            raise _lost(self.origin, cause) from cause
        if answer.status_code < 400:
            return answer
        try:
            body = await self._whole(answer, _asked.ERROR_BYTES_MAX)
        finally:
            await _end(answer)
        raise refused(body.whole(), answer.status_code)

    async def _whole(self, answer: httpx.Response, bytes_max: int) -> Body:
        """The body up to a bound, and a little more. raises   TriceError"""
        import httpx

        if answer.is_stream_consumed:  # by a transport that has its answers in memory
            body = Body("", bytes_max)
            body.add(answer.content)
            return body
        body = Body(answer.headers.get("content-encoding", ""), bytes_max)
        end_s = time.monotonic() + _asked.ANSWER_S_MAX
        try:
            async for piece in answer.aiter_raw():
                body.add(piece)
                if body.is_over:
                    break
                if time.monotonic() > end_s:
                    told = f"The answer of {self.origin} did not end in {_asked.ANSWER_S_MAX} s."
                    raise TriceError("offline", told)
        except httpx.TransportError as cause:
            raise _lost(self.origin, cause) from cause
        return body

    def _connections(self) -> httpx.AsyncClient:
        """Connections of this process: those of a parent are left to it."""
        from urllib.request import getproxies

        import httpx

        from trice_client._async.pools import AsyncPools

        if self._is_closed:
            raise TriceError("closed", "This client is closed.")
        if self._pool is None or self._pid != os.getpid():
            self._inherited.append(self._pool)
            self._pid = os.getpid()
            transport = self._transport
            if transport is None and not getproxies():  # which httpx reads where it has none
                transport = AsyncPools()
            self._pool = httpx.AsyncClient(
                limits=httpx.Limits(max_connections=_CONNECTIONS_MAX),
                transport=transport,
                follow_redirects=False,
            )
        return self._pool


async def _end(answer: httpx.Response) -> None:
    """Close an answer, and let it go at once. It and its stream hold each other, so that its body
    would stay until the garbage collector looks, which bodies of 1 MiB do not hurry."""
    import httpx

    try:
        await answer.aclose()
    finally:
        answer.stream = httpx.ByteStream(b"")


def _lost(origin: str, cause: httpx.TransportError) -> TriceError:
    import httpx

    told = f"The server at {origin} cannot be reached: {cause or type(cause).__name__}."
    error = TriceError("offline", told)
    unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
    error.is_unsent = isinstance(cause, unsent)
    error.is_silence = isinstance(cause, httpx.ReadTimeout)
    return error


async def reading(pieces: AsyncIterator[bytes], origin: str) -> AsyncIterator[bytes]:
    """Pieces of an answer. raises   TriceError("offline") where it breaks off"""
    import httpx

    try:
        async for piece in pieces:
            yield piece
    except httpx.TransportError as cause:
        raise _lost(origin, cause) from cause
