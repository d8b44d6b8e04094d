"""Bodies of requests: short ones are decoded on the loop, long ones where long messages are read.

body > limits.MESSAGE_BYTES_ON_LOOP ──> the address's lane (`session/long_messages`)
    ──> weighed, decoded on the thread ──> the route goes on ──> answered: it is over
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import orjson
from starlette.requests import Request

from trice import limits
from trice.api.callers import guest_of
from trice.api.middleware import when_answered
from trice.api.parameters import malformed
from trice.errors import InvalidInput, Unavailable
from trice.identity import network_of
from trice.protocol.quoting import brief, why_no_json
from trice.session.long_messages import LongMessages
from trice.session.weigh import check_weight

T = TypeVar("T")

_OTHER_JSON: Final = re.compile(r"application/[^/ ]+\+json")


async def json_body(
    request: Request,
    *,
    also: str = "",
    weight_max: int = limits.MESSAGE_WEIGHT_MAX,
    is_kept: bool = True,
) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty object, whatever its type.

    also        what else the route takes, for the message: `, or "application/…"`
    weight_max  what the body may become, see `session/weigh`
    is_kept     the route needs the object until it answers; False: no longer than to begin
    raises      InvalidInput for a body that is not said to be JSON: a page of another site may send
                text and forms here without the browser asking first; LimitExceeded,
                Unavailable("overloaded")
    """
    # `request.body()` would keep it with the request: an event stream lasts for days.
    raw = b"".join([piece async for piece in request.stream()])
    if not raw:
        return {}
    check_json_type(request, also=also)
    if not is_long(raw):
        return decode(raw)
    request.state.has_long_body = True

    def read() -> dict[str, Any]:
        check_weight(raw, weight_max=weight_max)
        return decode(raw)

    return await read_long(request, raw, read, is_kept=is_kept)


def is_long(raw: bytes) -> bool:
    """Whether a body takes too long to read for the loop."""
    return len(raw) > limits.MESSAGE_BYTES_ON_LOOP


def had_long_body(request: Request) -> bool:
    """Whether what `json_body` returned takes too long to work on for the loop."""
    return getattr(request.state, "has_long_body", False)


async def read_long(
    request: Request, raw: bytes, read: Callable[[], T], *, is_kept: bool = True
) -> T:
    """Run `read` on the thread that reads long messages, when it is this caller's turn.

    raw      what it reads, counted among what waits
    is_kept  the turn lasts until the request is answered, as what was read is held so long
    raises   what `read` raises; Unavailable("overloaded")
    """
    long_messages: LongMessages = request.app.state.hub.long_messages
    caller = network_of(guest_of(request).ip)
    if long_messages.is_stopped:
        raise Unavailable("overloaded", "The server is stopping; try again in a moment.")
    if not long_messages.has_room(caller, len(raw)):
        raise Unavailable("overloaded", "Too many large requests wait; try again in a moment.")
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(result: Any) -> None:
        if not done.done():  # else whoever waited was cancelled in this very turn of the loop
            done.set_result(result)

    turn = long_messages.submit(caller, read, tell, size_bytes=len(raw))
    try:
        result = await done
    except BaseException:
        long_messages.release(turn)
        raise
    if isinstance(result, Exception):
        long_messages.release(turn)
        raise result
    if is_kept:
        when_answered(request.scope, lambda: long_messages.release(turn))
    else:
        long_messages.release(turn)
    return cast("T", result)


def decode(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as cause:
        raise InvalidInput(
            "param-malformed", f"The body is not valid JSON: {why_no_json(cause)}", {"in": ["body"]}
        ) from cause
    if not isinstance(body, dict):
        raise malformed("body", given=brief(body), accepted="a JSON object")
    return body


def check_json_type(request: Request, *, also: str = "") -> None:
    """Raise InvalidInput unless the body of a request is said to be JSON, and plain."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not _OTHER_JSON.fullmatch(kind):
        accepted = f'"application/json"{also}; the body is read as nothing else'
        raise malformed("headers", "content-type", given=brief(kind) or None, accepted=accepted)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise malformed(
            *("headers", "content-encoding"),
            given=brief(request.headers["content-encoding"]),
            accepted="absent: bodies of requests are read as they are",
        )
