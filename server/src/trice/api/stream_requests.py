"""What requests and answers say about streams (spec/streams.md ST20-ST39)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import Request

from trice.api.callers import Lent, asked_app, bearer_token, guest_of
from trice.api.parameters import malformed, missing, uuid_in
from trice.auth.tokens import hash_token, identify
from trice.errors import Conflict, InvalidInput, NotFound, not_built
from trice.identity import ADMIN, network_of
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import brief
from trice.session.hub import Hub
from trice.streams import requests, rows
from trice.streams.live import Live
from trice.streams.stream import StreamMissing
from trice.streams.streams import Streams

TEXT_TYPE: Final = "text/plain; charset=utf-8"
_DIGITS: Final = 16
"""Of an offset in answers, so that offsets sort as text; 2^53 has as many."""

_UNBUILT_HEADERS: Final = {
    "stream-seq": "`Stream-Seq` (give `?offset=` instead)",
    "producer-id": "`Producer-Id` (give `?offset=` instead)",
    "stream-ttl": "`Stream-TTL`",
    "stream-expires-at": "`Stream-Expires-At`",
    "stream-forked-from": "`Stream-Forked-From`",
}
"""Headers of the protocol that this version refuses: to ignore them would break promises."""

_EXPOSED: Final = (
    "x-trace-id, etag, location, "
    "stream-next-offset, stream-offset, stream-up-to-date, stream-closed, stream-cursor"
)
_CURSOR_EPOCH_MS: Final = 1_728_432_000_000
_CURSOR_MS: Final = 20_000


@dataclass(frozen=True, slots=True)
class StreamCaller:
    """Who asks, about which stream.

    params   `ruleParams` for rules
    """

    lent: Lent
    streams: Streams
    name: str
    network: str
    params: dict[str, Any]


@asynccontextmanager
async def stream_caller(request: Request) -> AsyncIterator[StreamCaller]:
    """Lend the app in the path to the caller that its token names; a guest without a token.

    raises   NotFound("record-not-found") for an unknown token
    """
    hub: Hub = request.app.state.hub
    if hub.streams is None:
        raise not_built("Streams without files")
    guest, token = guest_of(request), bearer_token(request)
    params = _rule_params(request)
    if token is not None and find_uuid_bytes(token) is None:
        accepted = '"Bearer <token>", with the admin token of the app or a refresh token of a user'
        raise malformed("headers", "authorization", given=None, accepted=accepted)
    async with asked_app(request, uuid_in(request.path_params, "app_id", place="params")) as app:
        lent = Lent(app, guest)
        if token is not None:
            try:
                app.check_admin_token(token)
                lent = Lent(app, ADMIN)
            except NotFound:
                identity = await identify(app.database, token, request=guest)
                lent = Lent(app, identity, hash_token(token))
        name = request.path_params["name"]
        request.state.error_headers = cors_headers(request)
        try:
            yield StreamCaller(lent, hub.streams, name, network_of(guest.ip), params)
        except StreamMissing as failure:
            raise requests.not_found() from failure
        except Conflict as failure:
            request.state.error_headers |= _end_headers(failure)
            raise


def owner_of(request: Request, caller: StreamCaller) -> str:
    """What the row of the stream must have for this caller to write it."""
    token = request.headers.get("stream-token")
    if token is not None:
        if find_uuid_bytes(token) is None:
            raise malformed("headers", "stream-token", given=None, accepted="a uuid")
        return rows.hash_token(token)
    hashed = rows.hash_owner(caller.lent.identity)
    if hashed is None:
        raise missing("headers", "stream-token")
    return hashed


def _rule_params(request: Request) -> dict[str, Any]:
    given = request.query_params.get("rule-params")
    if given is None:
        return {}
    try:
        params = orjson.loads(given)
    except orjson.JSONDecodeError:
        params = None
    if not isinstance(params, dict):
        raise malformed("params", "rule-params", given=brief(given), accepted="a JSON object")
    return params


def refuse_unbuilt(request: Request) -> None:
    for name, feature in _UNBUILT_HEADERS.items():
        if name in request.headers:
            raise not_built(f"The header {feature}")


def other_type_of(request: Request) -> str | None:
    """The type of a body, if it is none that a stream takes."""
    given = request.headers.get("content-type")
    if given is None:
        return None
    kind, _, options = given.partition(";")
    charset = options.partition("charset=")[2].strip(' ";').lower()
    is_text = kind.strip().lower() == "text/plain" and charset in ("", "utf-8", "utf8", "us-ascii")
    return None if is_text else given


def is_closing(request: Request) -> bool:
    return request.headers.get("stream-closed", "").strip().lower() == "true"


def offset_of(request: Request) -> int | str | None:
    given = request.query_params.get("offset")
    return None if given is None else parse_offset(given)


def parse_offset(given: str) -> int | str | None:
    """An offset; "now"; None for the beginning."""
    if given == "-1":
        return None
    if given == "now":
        return given
    if not (given.isascii() and given.isdecimal()) or len(given) > _DIGITS:
        raise bad_offset(given)
    return int(given)


def bad_offset(given: str) -> InvalidInput:
    accepted = "an offset of bytes, as `Stream-Next-Offset` says it"
    return malformed("params", "offset", given=brief(given), accepted=accepted)


def shown(offset: int) -> str:
    return f"{offset:0{_DIGITS}d}"


def cursor_of(request: Request) -> str:
    """Changes every 20 s, and with every answer to a client that repeats it: so no cache between
    answers a live read for ever."""
    now = (request.app.state.runtime.now_ms() - _CURSOR_EPOCH_MS) // _CURSOR_MS
    given = request.query_params.get("cursor", "")
    seen = int(given) if given.isascii() and given.isdecimal() and len(given) <= _DIGITS else -1
    return str(max(now, seen + 1))


def headers_at(request: Request, live: Live, offset: int) -> dict[str, str]:
    """Headers of an answer after which a reader goes on at `offset`."""
    headers = {
        "stream-next-offset": shown(offset),
        "cache-control": "no-store",
        **cors_headers(request),
    }
    if offset == live.stream.end:
        headers["stream-up-to-date"] = "true"
        if live.stream.is_done:
            headers["stream-closed"] = "true"
    return headers


def cors_headers(request: Request) -> dict[str, str]:
    headers = {"cross-origin-resource-policy": "cross-origin"}
    origin = request.headers.get("origin")
    if origin is not None:
        headers |= {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": _EXPOSED,
            "vary": "origin",
        }
    return headers


def _end_headers(failure: Conflict) -> dict[str, str]:
    """What the headers of a conflict say: where the stream ends."""
    headers = {}
    if "next-offset" in failure.hint:
        headers["stream-next-offset"] = shown(failure.hint["next-offset"])
    if failure.hint.get("done"):
        headers["stream-closed"] = "true"
    return headers
