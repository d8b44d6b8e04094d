"""Streams over plain HTTP: `/streams/{app_id}/{name}` (spec/streams.md ST20-ST39, docs/streams.md).

GET follows when asked: by long polls, by events, or in one chunked answer. The protocol is that of
Durable Streams where it fits a stream of ours; what does not fit is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any, Final
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import stream_limits as limits
from trice.api.bodies import Body, Route, whole_body
from trice.api.parameters import malformed, missing
from trice.api.pieces import Pieces
from trice.api.stream_requests import (
    TEXT_TYPE,
    StreamCaller,
    bad_offset,
    cors_headers,
    cursor_of,
    headers_at,
    is_closing,
    offset_of,
    other_type_of,
    owner_of,
    parse_offset,
    refuse_unbuilt,
    shown,
    stream_caller,
)
from trice.errors import PermissionDenied, Unavailable
from trice.protocol.quoting import brief
from trice.streams import requests, rows
from trice.streams.live import Live
from trice.streams.requests import Step
from trice.streams.stream import StreamMissing

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


# --- writing --------------------------------------------------------------------------------------


async def create(request: Request) -> Response:
    """`PUT /streams/APP/NAME`, with text that it begins with, if any → 201, or 200 if it exists."""
    refuse_unbuilt(request)
    kind = other_type_of(request)
    async with stream_caller(request) as caller:
        rows.check_name(caller.name)
        if kind is not None:
            accepted = "text/plain: a stream is text"
            raise malformed("headers", "content-type", given=brief(kind), accepted=accepted)
        caller.streams.count_bytes(caller.network, limits.START_BYTES)
        live, is_new = await caller.streams.create(
            caller.lent.app,
            caller.lent.identity,
            client_id=caller.name,
            hashed=owner_of(request, caller),
            params=caller.params,
        )
        with live.used():
            is_closed = is_closing(request)
            stream = live.stream
            if not is_new and stream.is_done != is_closed and (stream.end or stream.is_done):
                told = "is done already" if stream.is_done else "is there already, and not done"
                raise requests.conflict(live, f"The stream {told}.")
            if not stream.is_done and stream.end == 0:
                # New, or made by a request whose text did not come through.
                await _append(request, caller, live, offset=0, may_be_empty=True)
            headers = {**headers_at(request, live, stream.end), "content-type": TEXT_TYPE}
        caller.streams.forget_if_idle(live)
    if is_new:
        headers["location"] = f"{request.base_url}streams/{live.app_id}/{quote(caller.name)}"
    return Response(None, 201 if is_new else 200, headers)


async def append(request: Request) -> Response:
    """`POST /streams/APP/NAME?offset=END`, text → 204 once it is durable."""
    refuse_unbuilt(request)
    offset = offset_of(request)
    if offset is not None and not isinstance(offset, int):
        raise bad_offset(offset)
    async with stream_caller(request) as caller:
        streams = caller.streams
        streams.count_bytes(caller.network, limits.START_BYTES)
        live = await streams.find_owned(
            caller.lent.app,
            caller.lent.identity,
            client_id=caller.name,
            hashed=owner_of(request, caller),
            params=caller.params,
        )
        with live.used():
            end = await _append(request, caller, live, offset=offset, may_be_empty=False)
            headers = headers_at(request, live, end)
        streams.forget_if_idle(live)
    return Response(None, 204, headers)


async def _append(
    request: Request, caller: StreamCaller, live: Live, *, offset: int | None, may_be_empty: bool
) -> int:
    """Append the body, and wait until it is durable; return where it ends."""
    is_done, length = is_closing(request), request.headers.get("content-length")
    is_short = length is not None and length.isdecimal() and int(length) <= limits.WHOLE_BYTES_MAX
    has_body = not (is_short and int(length or 0) == 0) and (
        length is not None or "transfer-encoding" in request.headers
    )
    if has_body and (kind := other_type_of(request)) is not None:
        raise requests.conflict(live, f"The stream is text/plain, and the body is {kind}.")
    if not has_body and not is_done:
        if may_be_empty:
            return live.stream.end
        raise requests.nothing_to_append()
    if not has_body and live.stream.is_done:
        end = live.stream.end
        await requests.durable(live, end, is_done=True, failures=live.failures)
        return end
    if is_short or not has_body:
        data = await whole_body(request) if has_body else b""
        failures = live.failures
        requests.append_whole(
            caller.streams, live, data, network=caller.network, offset=offset, is_done=is_done
        )
        end = live.stream.end
    else:
        failures = live.failures
        end = await requests.append_pieces(
            caller.streams,
            live,
            request.stream(),
            network=caller.network,
            offset=offset,
            is_done=is_done,
            may_be_empty=may_be_empty,
        )
    await requests.durable(live, end, is_done=is_done, failures=failures)
    return end


async def delete(request: Request) -> Response:
    """`DELETE /streams/APP/NAME`, for admins → 204. Its bytes are gone, and its name is free."""
    async with stream_caller(request) as caller:
        if not caller.lent.identity.is_admin:
            raise PermissionDenied(
                "permission-denied",
                "Permission denied: only the admin token of the app may delete streams.",
                {"input": [rows.STREAMS, "delete"], "expected": "admin?"},
            )
        if not await rows.delete(caller.lent.app.database, caller.name):
            raise requests.not_found()
    return Response(None, 204, cors_headers(request))


# --- reading --------------------------------------------------------------------------------------


async def read(request: Request) -> Response:
    """`GET /streams/APP/NAME?offset=…&live=…` → text from there on; `HEAD` → where it ends."""
    live_mode = request.query_params.get("live")
    if live_mode not in (None, "long-poll", "sse", "chunked"):
        accepted = '"long-poll", "sse" or "chunked", or left out'
        raise malformed("params", "live", given=brief(live_mode), accepted=accepted)
    offset = offset_of(request)
    if live_mode in ("long-poll", "sse") and "offset" not in request.query_params:
        raise missing("params", "offset")
    if live_mode == "sse" and (seen := request.headers.get("last-event-id")) is not None:
        offset = parse_offset(seen)
    async with stream_caller(request) as caller:
        try:
            live = await caller.streams.view(
                caller.lent.app,
                caller.lent.identity,
                stream_id=None,
                client_id=caller.name,
                params=caller.params,
            )
        except (StreamMissing, PermissionDenied) as failure:
            # Who may not read a stream is not told whether it exists.
            raise requests.not_found() from failure
        end = live.stream.end
        start = min(offset, end) if isinstance(offset, int) else end if offset == "now" else 0
        if request.method == "HEAD":
            headers = headers_at(request, live, end)
            return Response(None, 200, {**headers, "content-type": TEXT_TYPE})
        if live_mode == "long-poll":
            return await _long_poll(request, caller, live, start)
        if live_mode == "sse":
            return _events(request, caller, live, start)
        if live_mode == "chunked":
            return _chunked(request, caller, live, start)
        return _catch_up(request, caller, live, start, is_now=offset == "now")


def _catch_up(
    request: Request, caller: StreamCaller, live: Live, start: int, *, is_now: bool
) -> Response:
    """All that is there now."""
    stream = live.stream
    end = stream.end
    headers = headers_at(request, live, end)
    if not is_now:
        mark = ":done" if stream.is_done else ""
        headers["etag"] = f'"{stream.id}:{start}:{end}{mark}"'
        headers["cache-control"] = "private, no-cache"
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(None, 304, headers)
    if start == end:
        return Response(b"", 200, {**headers, "content-type": TEXT_TYPE})
    headers["content-length"] = str(end - start)
    source = requests.bytes_of(caller.streams, live.app_id, stream.id, start, end)
    return Pieces(source, media_type=TEXT_TYPE, headers=headers)


async def _long_poll(request: Request, caller: StreamCaller, live: Live, start: int) -> Response:
    """What is there, or else what comes within some seconds, or else 204."""
    stream, wait_ms = live.stream, limits.LONG_POLL_MS
    if stream.end == start and not stream.is_done:
        with live.used():
            steps = requests.follow(caller.streams, caller.lent.app, live, start, wait_ms=wait_ms)
            async for _step in steps:
                break
            await steps.aclose()
        caller.streams.forget_if_idle(live)
    response: Response
    if stream.end == start:
        response = Response(None, 204, headers_at(request, live, start))
    else:
        response = _catch_up(request, caller, live, start, is_now=False)
    if not stream.is_done:
        response.headers["stream-cursor"] = cursor_of(request)
    return response


def _chunked(request: Request, caller: StreamCaller, live: Live, start: int) -> Response:
    """What is there, then what comes, as one answer. It ends well only when the stream is done."""
    wait_ms = limits.FOLLOW_IDLE_MS

    async def source() -> AsyncGenerator[bytes, None]:
        steps = requests.followed(
            caller.streams, live.app_id, live.stream.id, start, wait_ms=wait_ms
        )
        try:
            yield b""  # the head leaves with the first piece; it is not to wait for bytes
            async for step in steps:
                if step.data:
                    yield step.data
                if step.is_done:
                    return
                if not step.data:
                    break
        finally:
            await steps.aclose()
        raise Unavailable("overloaded", "Nothing came for long, or the server stops.")

    headers = {**cors_headers(request), "cache-control": "no-store", "x-accel-buffering": "no"}
    headers["stream-offset"] = shown(start)
    return Pieces(source(), media_type=TEXT_TYPE, headers=headers)


def _events(request: Request, caller: StreamCaller, live: Live, start: int) -> Response:
    """What is there, then what comes, as events, for about a minute."""
    runtime = request.app.state.runtime
    until_ms = runtime.monotonic_ms() + limits.SSE_MS

    async def source() -> AsyncGenerator[bytes, None]:
        steps = requests.followed(
            caller.streams, live.app_id, live.stream.id, start, wait_ms=limits.KEEP_ALIVE_MS
        )
        try:
            at, rest = start, b""
            if start == live.stream.end and not live.stream.is_done:
                yield _control(request, Step(b"", start, True, False))
            async for step in steps:
                data, rest = _whole_characters(rest + step.data)
                at = step.offset - len(rest)
                if data or step.is_done:
                    told = Step(data, at, step.is_end and not rest, step.is_done and not rest)
                    yield _event(told) + _control(request, told)
                elif not step.data:
                    yield b": keep-alive\n\n"
                if step.is_done or runtime.monotonic_ms() >= until_ms:
                    return
        finally:
            await steps.aclose()

    headers = {
        **cors_headers(request),
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
    }
    return Pieces(source(), media_type="text/event-stream", headers=headers)


def _event(step: Step) -> bytes:
    if not step.data:
        return b""
    return b"event: data\n%bid: %b\n\n" % (_lines(step.data), shown(step.offset).encode())


def _control(request: Request, step: Step) -> bytes:
    told: dict[str, Any] = {"streamNextOffset": shown(step.offset)}
    if step.is_end:
        told["upToDate"] = True
    if step.is_done:
        told["streamClosed"] = True
    else:
        told["streamCursor"] = cursor_of(request)
    return b"event: control\ndata:%b\n\n" % orjson.dumps(told)


def _lines(data: bytes) -> bytes:
    """The `data:` lines of an event. Every kind of line end comes out as a line feed.

    Clients drop one space after the colon, so a line that begins with one gets another.
    """
    lines = _LINE_END.split(data)
    return b"".join(b"data:%b%b\n" % (b" " * line.startswith(b" "), line) for line in lines)


def _whole_characters(data: bytes) -> tuple[bytes, bytes]:
    """Split off the beginning of a character at the end, of 1 to 3 bytes."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            wanted = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (data[:-back], data[-back:]) if wanted > back else (data, b"")
        if byte < 0x80:
            break
    return data, b""


_PATH: Final = "/streams/{app_id}/{name:path}"
_TEXT: Final = Body(bytes_max=limits.REQUEST_BYTES_MAX)

ROUTES: Final = (
    Route(_PATH, read, methods=["GET"]),
    Route(_PATH, append, methods=["POST"], body=_TEXT),
    Route(_PATH, create, methods=["PUT"], body=_TEXT),
    Route(_PATH, delete, methods=["DELETE"]),
)
