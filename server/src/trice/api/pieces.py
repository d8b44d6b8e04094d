"""Answers in pieces: of any length, made no faster than the other side reads them.

    source ──piece──> sent ──> waits while the socket has more than it takes ──> source ──> …

One piece is made ahead of what the socket took. Who does not read is cut off as with any answer
(limits.HTTP_GRACE_MS); who reads gets all, however long that takes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Pieces(StreamingResponse):
    """Sends what a generator yields, and closes it however that ends: at its end, or because the
    other side left, did not read, or the server stops."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        """
        on_end   called at the end, also of an answer that never began: then nothing of the
                 generator runs, its `finally` included
        """
        super().__init__(source, media_type=media_type, headers=headers)
        self._source = source
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()
            await self._source.aclose()
