"""`start-stream`, `append-stream`, `subscribe-stream`, `unsubscribe-stream`."""

from __future__ import annotations

import asyncio

from trice import stream_limits as limits
from trice.errors import Bug, InvalidInput, LimitExceeded, TriceError, not_built
from trice.protocol import down, up
from trice.session.incoming import Letter
from trice.session.session import OpenedSession
from trice.session.streams import SessionStreams
from trice.streams.stream import MISSING, Reader, refused


def start_stream(
    opened: OpenedSession, message: up.StartStream, raw: bytes, letter: Letter | None
) -> None:
    """Become the writer of a stream (instant-realtime §10.1)."""
    mine = _of(opened)
    if len(mine.writing) + mine.starting >= limits.WRITES_OF_SESSION_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"A session may write {limits.WRITES_OF_SESSION_MAX} streams; end some first.",
        )
    mine.starting += 1
    opened.session.spawn(_start(opened, mine, message, raw))


async def _start(
    opened: OpenedSession, mine: SessionStreams, message: up.StartStream, raw: bytes
) -> None:
    event_id = message.client_event_id
    try:
        live = await mine.streams.start(
            opened.app,
            opened.identity,
            mine,
            client_id=message.client_id,
            token=message.reconnect_token,
            params=message.rule_params or {},
        )
    except Exception as failure:
        opened.session.fail(_told(failure), raw=raw, event_id=event_id)
        return
    finally:
        mine.starting -= 1
    if mine.is_ended:
        mine.streams.leave(live, mine)
        return
    mine.writing[live.stream.id] = live
    opened.session.push(
        down.start_stream_ok(
            event_id=event_id,
            client_id=live.stream.client_id,
            stream_id=live.stream.id,
            offset=live.stream.flushed,
        )
    )
    mine.finish(live)


def append_stream(
    opened: OpenedSession, message: up.AppendStream, raw: bytes, letter: Letter | None
) -> None:
    """Add to a stream; there is no answer but what is flushed (instant-realtime §10.1)."""
    mine = _of(opened)
    reason = message.abort_reason
    if reason is not None and len(reason) > limits.ABORT_REASON_CHARS_MAX:
        raise refused(
            "append-stream",
            f"`abort-reason` may have {limits.ABORT_REASON_CHARS_MAX} characters.",
        )
    is_done = message.done is True
    chunks = [chunk.encode() for chunk in message.chunks]
    live = mine.writing.get(message.stream_id)
    try:
        if live is None:
            raise refused("append-stream", MISSING)
        mine.append(live, message.offset, chunks, is_done=is_done, abort_reason=reason)
    except InvalidInput:
        is_early = live is None or message.offset > live.stream.end
        if is_done and not any(chunks) and is_early:
            mine.note_end(message.stream_id, message.offset, reason)
        raise


def subscribe_stream(
    opened: OpenedSession, message: up.SubscribeStream, raw: bytes, letter: Letter | None
) -> None:
    """Read a stream from an offset on, and follow it (instant-realtime §10.2)."""
    mine = _of(opened)
    reader = Reader(message.offset or 0)
    mine.begin(message.client_event_id, reader)
    opened.session.spawn(_subscribe(opened, mine, message, reader, raw))


async def _subscribe(
    opened: OpenedSession,
    mine: SessionStreams,
    message: up.SubscribeStream,
    reader: Reader,
    raw: bytes,
) -> None:
    event_id = message.client_event_id
    try:
        await asyncio.sleep(limits.SUBSCRIBE_DELAY_MS / 1000)
        live = await mine.streams.subscribe(
            opened.app,
            opened.identity,
            mine,
            reader,
            stream_id=message.stream_id,
            client_id=message.client_id,
            params=message.rule_params or {},
        )
    except Exception as failure:
        if mine.reading.get(event_id) == (reader, None):
            mine.unsubscribe(event_id)
        opened.session.fail(_told(failure), raw=raw, event_id=event_id)
        return
    mine.follow(event_id, reader, live)


def unsubscribe_stream(
    opened: OpenedSession, message: up.UnsubscribeStream, raw: bytes, letter: Letter | None
) -> None:
    """End a subscription of this session."""
    if not _of(opened).unsubscribe(message.subscribe_event_id):
        raise refused("unsubscribe-stream", "Stream subscription is missing.")


def _of(opened: OpenedSession) -> SessionStreams:
    """What the session has of streams."""
    mine = opened.find_streams()
    if mine is None:
        raise not_built("Streams without files")
    return mine


def _told(failure: Exception) -> TriceError:
    if isinstance(failure, TriceError):
        return failure
    bug = Bug("unknown", "Something went wrong in the server with this stream.")
    bug.__cause__ = failure
    return bug
