"""One request of an endpoint: the function is run, and what it returns is told to the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from trice.endpoint_limits import PIECE_BYTES_MAX
from trice.functions.channel import Channel, RefusedError
from trice.functions.endpoints import Request, Response
from trice.functions.entries import Entry
from trice.functions.frames import Call


async def answer(
    entry: Entry, ctx: Any, args: dict[str, Any], call: Call, channel: Channel
) -> None:
    """Run an endpoint until its answer has left, the whole stream included.

    raises   what the function does; RefusedError("bad-result") for what is no Response
    """
    assert call.request is not None, "an endpoint is asked"
    response = await entry.function(ctx, Request(call.request), **args)
    if not isinstance(response, Response):
        name = entry.signature.name
        told = f"{name} returned {response!r:.200}, which is no Response"
        raise RefusedError("bad-result", f"{told}: Response.json(…) makes one.", {"function": name})
    is_stream = response.source is not None
    try:
        await channel.reply(
            *(call.call, response.status, response.headers, response.body), is_stream=is_stream
        )
        if response.source is not None:
            await _send(response.source, call.call, channel)
    finally:
        if isinstance(response.source, AsyncGenerator):
            await response.source.aclose()  # its own `finally` runs now, not when memory is freed


async def _send(source: AsyncIterable[bytes | str], call: int, channel: Channel) -> None:
    async for piece in source:
        if not isinstance(piece, bytes | str):
            raise TypeError(f"A stream yields bytes or text, not {piece!r:.200}")
        raw = piece.encode() if isinstance(piece, str) else piece
        for begin in range(0, len(raw), PIECE_BYTES_MAX):
            await channel.piece(call, raw[begin : begin + PIECE_BYTES_MAX])
