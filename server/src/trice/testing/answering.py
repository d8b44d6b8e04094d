"""Answers of a test, as a transport of httpx. Imported with the first request of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from trice.functions.connecting import bounded
from trice.testing.http import AppHttp


class AnsweringTransport(httpx.AsyncBaseTransport):
    """The same bounds hold as on a server."""

    def __init__(self, http: AppHttp) -> None:
        self._http = http

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self._http.requests.append(request)
        answer = self._http.find(request.method, str(request.url))
        if answer.error is not None:
            raise answer.error
        headers = httpx.Headers(answer.headers)
        return bounded(
            request, status=answer.status, headers=headers, stream=_Pieces(answer.pieces)
        )


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
