"""The answer of one endpoint, on its way from the worker to the socket.

    begin ──> whole: it is there        piece ──> waits ──> taken by the socket ──> the next piece
          └─> a stream: pieces follow

One piece at most is in memory: the worker makes the next when this one was taken. Knows neither
workers nor HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from trice.endpoint_limits import ANSWER_BYTES_MAX, PIECE_BYTES_MAX
from trice.errors import FunctionFailed, LimitExceeded
from trice.functions.frames import Reply
from trice.functions.http_headers import check_status, checked_headers


class Answering:
    """Holds the head of an answer, and the piece of its stream that nobody took yet."""

    def __init__(self) -> None:
        self._head: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._piece: bytes | None = None
        self._is_taken = asyncio.Event()
        self._change = asyncio.Event()
        self._has_place = asyncio.Lock()

    @property
    def has_begun(self) -> bool:
        return self._head.done()

    def begin(self, reply: Reply) -> None:
        """The worker answers. raises   FunctionFailed, LimitExceeded for what no answer may be"""
        if self._head.done():
            raise FunctionFailed("bad-result", "The request is answered already.")
        if len(reply.body) > ANSWER_BYTES_MAX:
            told = f"An answer has {ANSWER_BYTES_MAX:,} bytes at most, not {len(reply.body):,}."
            raise LimitExceeded("call-too-big", told)
        try:
            check_status(reply.status, has_body=bool(reply.body) or reply.is_stream)
            checked_headers(reply.headers)
        except (ValueError, TypeError) as failure:
            raise FunctionFailed("bad-result", f"{failure}.") from None
        self._head.set_result(reply)

    async def piece(self, data: bytes) -> None:
        """Hand over a piece; returns when the socket took it. raises   FunctionFailed"""
        if not self._head.done() or not self._head.result().is_stream:
            raise FunctionFailed("bad-result", "This answer is no stream.")
        if len(data) > PIECE_BYTES_MAX:
            raise LimitExceeded("call-too-big", f"A piece has {PIECE_BYTES_MAX:,} bytes at most.")
        if not data:
            return
        async with self._has_place:
            self._is_taken.clear()
            self._piece = data
            self._change.set()
            await self._is_taken.wait()

    async def head(self, call: asyncio.Task[None]) -> Reply:
        """What the endpoint answers; of one that is no stream, when its call has ended.

        call     that of the endpoint
        raises   what it raises
        """
        await asyncio.wait((call, self._head), return_when=asyncio.FIRST_COMPLETED)
        if not self._head.done() or not self._head.result().is_stream:
            await asyncio.shield(call)
        if not self._head.done():
            raise FunctionFailed("bad-result", "The endpoint ended without an answer.")
        return self._head.result()

    async def pieces(self, call: asyncio.Task[None]) -> AsyncGenerator[bytes, None]:
        """The stream. The piece before was taken when the next is asked for.

        raises   what the call raises, after the pieces before
        """
        call.add_done_callback(lambda _: self._change.set())
        while True:
            if self._piece is not None:
                piece, self._piece = self._piece, None
                yield piece
                self._is_taken.set()
            elif call.done():
                await call
                return
            else:
                self._change.clear()
                await self._change.wait()
