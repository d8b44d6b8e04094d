"""What one program watches: the newest answer, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import anyio

from trice_client._errors import TriceError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueryAnswer(Generic[T]):
    """What a live query finds: the whole of it, each time.

    data        rows by form
    page_info   `{"start-cursor", "end-cursor", …}` by form, where the query pages
    tx          it contains every transaction up to this one
    """

    data: T
    page_info: dict[str, Any] | None
    tx: int


class Live(Generic[T]):
    """Answers as they change; `async for` reads them, `async with` ends it at the end of a block.

    A reader that is slow skips answers that were overtaken, never the newest. A failure is raised
    where the next answer would be; who goes on reading hears the answer after it. After `aclose`
    loops over it end.
    """

    def __init__(self, leave: Callable[[Live[T]], None]) -> None:
        """leave   called when nobody reads any more"""
        self._leave = leave
        self._newest: T | None = None
        self._failure: TriceError | None = None
        self._is_fresh = False
        self._is_over = False
        self._change = anyio.Event()

    @property
    def newest(self) -> T | None:
        """The newest answer; None before the first."""
        return self._newest

    @property
    def is_closed(self) -> bool:
        """Nothing more will come."""
        return self._is_over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._is_fresh:
            if self._is_over:
                raise StopAsyncIteration
            await self._change.wait()
        self._is_fresh = False
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        assert self._newest is not None, "it is fresh"
        return self._newest

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends it. Nothing waits for the server."""
        self.end()

    def end(self) -> None:
        """`aclose`, where nothing can be awaited."""
        if not self._is_over:
            self.finish(None)
            self._leave(self)

    # --- for the session --------------------------------------------------------------------------

    def tell(self, answer: T) -> None:
        """There is another answer."""
        self._newest, self._failure = answer, None
        self._wake()

    def fail(self, failure: TriceError) -> None:
        """There is none now."""
        self._failure = failure
        self._wake()

    def finish(self, failure: TriceError | None) -> None:
        """Nothing more will come."""
        self._is_over = True
        if failure is not None:
            self.fail(failure)
        else:
            self._change.set()

    def _wake(self) -> None:
        self._is_fresh = True
        change, self._change = self._change, anyio.Event()
        change.set()
