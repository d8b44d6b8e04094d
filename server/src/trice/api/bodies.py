"""Bodies of requests: each row of the table of routes says how its route takes one.

none    the body is not read: what comes is dropped
whole   a form, or JSON: held until all of it has come. Short JSON is decoded on the loop, long
        JSON where long messages are read:
            body > limits.MESSAGE_BYTES_ON_LOOP ──> the network's lane (`session/long_messages`)
                ──> weighed, decoded on the thread ──> the route goes on ──> answered: it is over
pieces  of any size: the handler takes `request.stream()` piece by piece; while it does not ask for
        the next piece, the socket is not read
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import orjson
from starlette import routing
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from trice import limits
from trice.api.callers import guest_of
from trice.api.middleware import when_answered
from trice.api.parameters import malformed
from trice.errors import InvalidInput, LimitExceeded, Unavailable
from trice.identity import network_of
from trice.protocol.quoting import brief, why_no_json
from trice.session.long_messages import LongMessages
from trice.session.weigh import check_weight

T = TypeVar("T")

_OTHER_JSON: Final = re.compile(r"application/[^/ ]+\+json")
_BODY: Final = "body"
"""Key in the state of a scope for how its route takes the body (`bounded_http` reads it)."""


@dataclass(frozen=True, slots=True)
class Body:
    """How a route takes the body of a request.

    bytes_max  a larger body is refused: by its `content-length` before any of it is read, or once
               more has come
    is_held    the body stays in memory until the route has answered. If not, the handler cares for
               what it took, and only bytes that wait to be taken count as unfinished
    """

    bytes_max: int = limits.MESSAGE_BYTES_MAX
    is_held: bool = False

    def begin(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` for a request that this route takes.

        raises   LimitExceeded("message-too-big"), at once or when the returned function is called
        """
        scope.setdefault("state", {})[_BODY] = self
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self.bytes_max:
                raise self._too_big(f"{int(value):,} bytes", int(value))
        received_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self.bytes_max:
                raise self._too_big(f"{received_bytes:,} bytes and more", received_bytes)
            return message

        return receive_bounded

    def _too_big(self, given: str, given_bytes: int) -> LimitExceeded:
        return LimitExceeded(
            "message-too-big",
            f"The request body has {given}; {self.bytes_max:,} are accepted here.",
            {"bytes": given_bytes, "bytes-max": self.bytes_max},
        )


@dataclass(frozen=True, slots=True)
class JsonBody(Body):
    """A JSON object, read by `json_body`.

    weight_max  bound of its weight, see `session/weigh`
    also        other types that the route takes, for the message: `, or "application/…"`
    is_kept     the route needs the object until it answers; False: only when it begins
    """

    is_held: bool = True
    weight_max: int = limits.MESSAGE_WEIGHT_MAX
    also: str = ""
    is_kept: bool = True


NO_BODY: Final = Body()
JSON: Final = JsonBody()
JSON_QUERY: Final = JsonBody(weight_max=limits.QUERY_WEIGHT_MAX)


class Route(routing.Route):
    """A row of the table of routes."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        methods: list[str],
        body: Body = NO_BODY,
    ) -> None:
        super().__init__(path, endpoint, methods=methods)
        self._body = body

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(scope, self._body.begin(scope, receive), send)


async def whole_body(request: Request) -> bytes:
    """The body of a request, held by the caller only. `request.body()` would keep it with the
    request, and an event stream lasts for days."""
    return b"".join([piece async for piece in request.stream()])


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request whose route takes a JsonBody; an empty body of any type is an
    empty object.

    raises   InvalidInput for a body without the type of JSON: a browser lets a page of another
             site send text and forms here without asking first; LimitExceeded,
             Unavailable("overloaded")
    """
    body = request.scope["state"][_BODY]
    assert isinstance(body, JsonBody), f"{request.url.path} does not say that it takes JSON"
    raw = await whole_body(request)
    if not raw:
        return {}
    check_json_type(request, also=body.also)
    if not is_long(raw):
        return decode(raw)
    request.state.has_long_body = True

    def read() -> dict[str, Any]:
        check_weight(raw, weight_max=body.weight_max)
        return decode(raw)

    return await read_long(request, raw, read, is_kept=body.is_kept)


def is_long(raw: bytes) -> bool:
    """Whether a body takes too long to be read on the loop."""
    return len(raw) > limits.MESSAGE_BYTES_ON_LOOP


def had_long_body(request: Request) -> bool:
    """Whether the object of `json_body` takes too long to be worked on on the loop."""
    return getattr(request.state, "has_long_body", False)


async def read_long(
    request: Request, raw: bytes, read: Callable[[], T], *, is_kept: bool = True
) -> T:
    """Run `read` on the thread that reads long messages, when this caller has its turn.

    raw      the bytes it reads, counted among those that wait
    is_kept  the turn lasts until the request is answered, because its result is held so long
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
        if not done.done():  # else the caller was cancelled in this same turn of the loop
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
    """Raise InvalidInput unless the headers say that the body is JSON, not compressed."""
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
