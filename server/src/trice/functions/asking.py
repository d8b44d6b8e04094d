"""Requests of `ctx.http` in the process of a test's function: the test is asked (`frames.AskHttp`).
Imported by processes of tests only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec

from trice import reach_limits as limits
from trice.functions.connecting import bounded
from trice.functions.frames import AskHttp
from trice.functions.outgoing import Outgoing


class Asked(Outgoing):
    """In place of connections."""

    async def transport(self) -> httpx.AsyncBaseTransport:
        return _Asking()


class _Asking(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        ask = request.extensions[limits.HTTP_ASK_KEY]
        answer = msgspec.json.decode(
            await ask(
                AskHttp(
                    method=request.method,
                    url=str(request.url),
                    headers=list(request.headers.multi_items()),
                    body=await request.aread(),
                )
            )
        )
        if "error" in answer:
            name, message = answer["error"]
            known: Any = getattr(httpx, name, AssertionError)
            raise known(message)
        body = msgspec.convert(answer["body"], bytes, strict=False)
        headers = httpx.Headers([tuple(each) for each in answer["headers"]])
        return bounded(request, status=answer["status"], headers=headers, stream=_Whole(body))


class _Whole(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
