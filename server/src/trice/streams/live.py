"""Streams in memory while somebody uses them, and who waits for what happens to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from weakref import ReferenceType

from trice.database import Database
from trice.protocol.ids import AppId
from trice.shares import Held
from trice.streams.stream import News, Reader, Stream


class Party(Protocol):
    """A session, as writer or reader of streams, or a request that appends."""

    @property
    def network(self) -> str:
        """Whose share of the memory its bytes take."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether more may be told to it now."""
        ...

    def on_flushed(self, stream: Stream, *, is_done: bool) -> None:
        """As the writer: everything up to `stream.flushed` is durable."""
        ...

    def on_failed(self, stream: Stream) -> None:
        """As the writer: what was not flushed is lost; start again."""
        ...

    def on_news(self, reader: Reader, stream: Stream, news: News) -> None:
        """As a reader: this is new. After the last of it the reader is forgotten."""
        ...

    def on_gone(self, reader: Reader, stream: Stream) -> None:
        """As a reader: the stream was deleted."""
        ...


class Bell:
    """Wakes those who wait for the next time that something happens."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def heard(self) -> None:
        """Wait until it rings."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def ring(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


@dataclass(slots=True, eq=False)
class Live:
    """A stream in memory.

    database     of its app when it was loaded
    parties      the session of each reader
    held         its share of the memory for buffers
    news         rings for requests that read: something was appended, or it ended
    stored       rings for requests that append: something is durable, or was lost
    is_storing   it is in the `StoreQueue`, or being stored
    failures     how often what was in memory was lost
    uses         requests that need it
    """

    app_id: AppId
    stream: Stream
    held: Held
    database: ReferenceType[Database]
    parties: dict[Reader, Party] = field(default_factory=dict)
    writer: Party | None = None
    network: str | None = None
    is_telling: bool = False
    is_gone: bool = False
    is_merging: bool = False
    is_storing: bool = False
    news: Bell = field(default_factory=Bell)
    stored: Bell = field(default_factory=Bell)
    failures: int = 0
    uses: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether nobody would notice if it were forgotten."""
        is_busy = self.uses or self.is_merging or self.is_storing
        return self.stream.is_idle and not is_busy

    def leave(self, writer: Party) -> None:
        """The writer is gone. What it wrote stays, and the stream stays open."""
        self.stream.leave(writer)
        if self.stream.writer is None:
            self.writer = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it in memory for the time of a block."""
        self.uses += 1
        try:
            yield
        finally:
            self.uses -= 1
