"""What single requests do with streams, for programs without a session: append and read bytes.

    append   checked ──> writer while the request lasts ──> its bytes are durable ──> answer
    read     parts, then memory ──> the end, or wait for more ──> …

The newest writer wins, as on sockets. source   spec/streams.md ST20-ST39
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from trice import stream_limits as limits
from trice.apps.apps import App
from trice.errors import Conflict, InvalidInput, NotFound, Unavailable
from trice.protocol.ids import AppId
from trice.streams.live import Live
from trice.streams.stream import News, Reader, Stream
from trice.streams.streams import Streams


class Appending:
    """A request as the writer of a stream. It is told nothing: it waits for what it appended."""

    has_room = True

    def __init__(self, network: str) -> None:
        self.network = network

    def on_flushed(self, stream: Stream, *, is_done: bool) -> None:
        """See `durable`."""

    def on_failed(self, stream: Stream) -> None:
        """See `durable`."""

    def on_news(self, reader: Reader, stream: Stream, news: News) -> None:
        raise AssertionError("it reads nothing")

    def on_gone(self, reader: Reader, stream: Stream) -> None:
        raise AssertionError("it reads nothing")


# --- writing --------------------------------------------------------------------------------------


def check_end(live: Live, offset: int | None) -> None:
    """Hold that bytes may be appended.

    offset   where the caller believes that the stream ends; None: wherever it does
    raises   NotFound("stream-not-found"), Conflict("stream-conflict")
    """
    stream = live.stream
    if live.is_gone:
        raise not_found()
    if stream.is_done:
        raise conflict(live, "The stream is done; nothing more can be appended.")
    if offset is not None and offset != stream.end:
        raise conflict(live, f"The stream ends at {stream.end}, not at {offset}.")


def append_whole(
    streams: Streams, live: Live, data: bytes, *, network: str, offset: int | None, is_done: bool
) -> None:
    """Append bytes at once, or none of them.

    raises   as `check_end`; InvalidInput if they are no UTF-8; LimitExceeded; Unavailable: too much
             waits for the disk
    """
    check_end(live, offset)
    try:
        data.decode()
    except UnicodeDecodeError as cause:
        raise no_text() from cause
    check_room(live, len(data), network)
    writer = Appending(network)
    streams.take_over(live, writer)
    try:
        append_text(streams, live, writer, data, is_done=is_done)
    finally:
        streams.leave(live, writer)


async def append_pieces(
    streams: Streams,
    live: Live,
    pieces: AsyncIterator[bytes],
    *,
    network: str,
    offset: int | None,
    is_done: bool,
    may_be_empty: bool = False,
) -> int:
    """Append bytes as they come; those that came stay if the rest does not.

    may_be_empty   whether nothing may come, though the stream is not to be done
    returns        where its bytes end
    raises         as `append_whole`; InvalidInput if nothing came and that may not be
    """
    check_end(live, offset)
    writer = Appending(network)
    streams.take_over(live, writer)
    failures, begin = live.failures, live.stream.end
    end = begin
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        async for piece in pieces:
            try:
                data = decoder.decode(piece).encode()
            except UnicodeDecodeError as cause:
                raise no_text() from cause
            if data:
                await wait_for_room(live, writer, failures)
                check_room(live, len(data), network)
                append_text(streams, live, writer, data, is_done=False)
                end = live.stream.end
        if decoder.getstate()[0]:
            raise no_text()
        if not (is_done or may_be_empty) and end == begin:
            raise nothing_to_append()
        if is_done:
            check_writes(live, writer, failures)
            append_text(streams, live, writer, b"", is_done=True)
            return live.stream.end
        return end
    finally:
        streams.leave(live, writer)


async def wait_for_room(live: Live, writer: Appending, failures: int) -> None:
    """Wait while the disk is behind. It holds up the socket of the request."""
    check_writes(live, writer, failures)
    while live.stream.held_bytes >= 4 * limits.FLUSH_BYTES:
        await live.stored.heard()
        check_writes(live, writer, failures)


def check_writes(live: Live, writer: Appending, failures: int) -> None:
    if live.failures != failures:
        raise lost()
    check_end(live, None)
    if live.stream.writer is not writer:
        raise conflict(live, "Another writer has taken over the stream.")


def check_room(live: Live, size: int, network: str) -> None:
    is_full = live.stream.buffered + size > limits.BUFFER_BYTES_MAX
    if is_full or not live.held.has_room(size + limits.APPEND_OVERHEAD_BYTES, network or None):
        raise Unavailable("overloaded", "Too much waits to be stored; try again in a moment.")


def append_text(
    streams: Streams, live: Live, writer: Appending, data: bytes, *, is_done: bool
) -> None:
    streams.append(
        live,
        writer,
        offset=live.stream.end,
        chunks=[data] if data else [],
        is_done=is_done,
        abort_reason=None,
    )


async def durable(live: Live, offset: int, *, is_done: bool, failures: int) -> None:
    """Wait until every byte before `offset` is durable, and with `is_done` the end of the stream.

    failures   those of the stream when the bytes were appended
    raises     NotFound: it was deleted; Unavailable: it could not be stored, and the bytes are lost
    """
    stream = live.stream
    while stream.flushed < offset or (is_done and not stream.is_stored):
        if live.is_gone:
            raise not_found()
        if live.failures != failures:
            raise lost()
        await live.stored.heard()


# --- reading --------------------------------------------------------------------------------------


async def read(
    streams: Streams, app: App, live: Live, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """The bytes from `start` up to `end`, which the stream has, in pieces.

    raises   NotFound: it was deleted; Unavailable: bytes that were in memory were lost
    """
    stream = live.stream
    while start < end:
        part = stream.part_at(start)
        if part is None:
            piece = stream.buffered_at(start, bytes_max=min(end - start, limits.READ_PIECE_BYTES))
            if not piece:
                raise lost()
            start += len(piece)
            yield piece
            continue
        at, to = start - part.start, min(end, part.end) - part.start
        try:
            async with aclosing(streams.parts.read(app, part.location_id, at, to)) as pieces:
                async for piece in pieces:
                    start += len(piece)
                    yield piece
        except NotFound:
            # A part that was merged with others meanwhile is read from where its bytes are now.
            if live.is_gone:
                raise not_found() from None
            if stream.part_at(start) is part:
                if not live.is_merging:
                    raise
                await live.stored.heard()


@dataclass(frozen=True, slots=True)
class Step:
    """What a request that follows a stream gets next.

    data     b"" if nothing came for a while, or nothing follows
    offset   of the byte after it
    is_end   there was no more at that moment
    is_done  there will never be more
    """

    data: bytes
    offset: int
    is_end: bool
    is_done: bool


async def follow(
    streams: Streams, app: App, live: Live, offset: int, *, wait_ms: int
) -> AsyncGenerator[Step, None]:
    """What is there from `offset` on, then what comes, until the stream is done or the server
    stops.

    offset    not past the end
    wait_ms   after so long without bytes there is a step without data
    raises    as `read`
    """
    stream = live.stream
    while True:
        end = stream.end
        if live.is_gone:
            raise not_found()
        if offset > end:
            raise lost()
        if offset < end:
            async with aclosing(read(streams, app, live, offset, end)) as pieces:
                async for piece in pieces:
                    offset += len(piece)
                    is_end = offset == stream.end
                    yield Step(piece, offset, is_end, is_end and stream.is_done)
            continue
        if stream.is_done:
            yield Step(b"", offset, True, True)
            return
        if streams.is_stopping:
            return
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await live.news.heard()
        except TimeoutError:
            yield Step(b"", offset, True, False)


async def followed(
    streams: Streams, app_id: AppId, stream_id: str, offset: int, *, wait_ms: int
) -> AsyncGenerator[Step, None]:
    """`follow`, which keeps app and stream in memory itself."""
    app = await streams.apps.lend(app_id)
    try:
        live = await streams.find(app, stream_id)
        with live.used():
            async with aclosing(follow(streams, app, live, offset, wait_ms=wait_ms)) as steps:
                async for step in steps:
                    yield step
        streams.forget_if_idle(live)
    finally:
        streams.apps.give_back(app)


async def bytes_of(
    streams: Streams, app_id: AppId, stream_id: str, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """`read`, which keeps app and stream in memory itself."""
    app = await streams.apps.lend(app_id)
    try:
        live = await streams.find(app, stream_id)
        with live.used():
            async with aclosing(read(streams, app, live, start, end)) as pieces:
                async for piece in pieces:
                    yield piece
        streams.forget_if_idle(live)
    finally:
        streams.apps.give_back(app)


# --- errors ---------------------------------------------------------------------------------------


def not_found() -> NotFound:
    """The error for a stream that is not there for this caller."""
    return NotFound(
        "stream-not-found",
        "There is no stream of this name, or the rule `view` of `$streams` does not let this caller"
        " read it.",
    )


def conflict(live: Live, message: str) -> Conflict:
    """The error for bytes that cannot be appended as things are."""
    stream = live.stream
    return Conflict("stream-conflict", message, {"next-offset": stream.end, "done": stream.is_done})


def lost() -> Unavailable:
    """The error for bytes that could not be stored."""
    return Unavailable(
        "overloaded",
        "The stream could not be stored; ask for its end, and send again what is missing.",
    )


def no_text() -> InvalidInput:
    """The error for bytes that are no text."""
    return InvalidInput(
        "param-malformed",
        "A stream is text: the body must be UTF-8, and end with a whole character.",
        {"in": ["body"]},
    )


def nothing_to_append() -> InvalidInput:
    """The error for an empty body."""
    return InvalidInput(
        "param-missing",
        "The body is empty: there is nothing to append. `Stream-Closed: true` ends the stream.",
        {"in": ["body"]},
    )
