"""Answers in pieces: of any length, made no faster than the client reads them.

    source ──piece──> sent ──> waits while the socket has more than it takes ──> source ──> …

No piece is made before the socket took the last one (`bounded_http`). A client that does not read
is cut off, as with any answer (limits.HTTP_GRACE_MS); one that reads gets all of it, however long
that takes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Pieces(StreamingResponse):
    """Sends what a generator yields, and always closes it: at its end, or when the client leaves or
    does not read, or the server stops."""

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        """
        on_end   called at the end, even if the answer never began: then no code of the generator
                 runs, not even its `finally`
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
