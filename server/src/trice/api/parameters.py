"""Reading requests: JSON bodies, app ids, tokens, who is asking (instant-http §0, §3.1)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
from starlette.requests import Request

from trice.apps.apps import App, Apps
from trice.errors import InvalidInput, NotFound
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import AppId, find_uuid_bytes

_PERSONAL_TOKEN: Final = re.compile("(per|pat)_[0-9a-f]{64}")


def missing(*path: str) -> InvalidInput:
    """A required parameter is absent."""
    return InvalidInput("param-missing", f"Missing parameter: {_vector(path)}", {"in": list(path)})


def malformed(*path: str, given: Any, accepted: str) -> InvalidInput:
    """A parameter has the wrong form; `accepted` says which would do: "a uuid"."""
    return InvalidInput(
        "param-malformed",
        f"Malformed parameter: {_vector(path)}. It must be {accepted}.",
        {"in": list(path), "original-input": given},
    )


def _vector(path: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{part}"' for part in path) + "]"


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty object."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as cause:
        raise InvalidInput(
            "param-malformed", f"The body is not valid JSON: {cause}.", {"in": ["body"]}
        ) from cause
    if not isinstance(body, dict):
        raise malformed("body", given="not an object", accepted="a JSON object")
    return body


def app_id_of(request: Request) -> AppId:
    """The app a request is about: header `app-id`, else query parameter `app_id`."""
    given = request.headers.get("app-id") or request.query_params.get("app_id")
    if given is None:
        raise missing("headers", "app-id")
    if find_uuid_bytes(given.strip()) is None:
        raise malformed("headers", "app-id", given=given, accepted="a uuid")
    return AppId(given.strip().lower())


def bearer_token(request: Request) -> str | None:
    """The text after the last `Bearer `; None when there is none, or JavaScript's `undefined`."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    token = header.rpartition("Bearer ")[2].strip()
    return None if token in ("", "undefined", "null") else token


def is_true(value: Any) -> bool:
    """Whether an optional JSON flag was given as true."""
    return value is True


@asynccontextmanager
async def admin_caller(request: Request, apps: Apps) -> AsyncIterator[tuple[App, Identity]]:
    """Lend the app to the request, with the identity its headers establish.

    The admin token alone acts as admin; with `as-guest` it, or nobody, acts as a guest. No user can
    be found yet (sign-in is not built), so `as-token` and `as-email` answer `record-not-found`.
    """
    app = await apps.lend(app_id_of(request))
    try:
        yield app, _identify(app, request)
    finally:
        apps.give_back(app)


@asynccontextmanager
async def runtime_caller(request: Request, apps: Apps) -> AsyncIterator[tuple[App, Identity]]:
    """Lend the app to a browser's request, which acts for a signed-in user or for nobody."""
    app = await apps.lend(app_id_of(request))
    try:
        # What has not the form of a token counts as nobody (instant-http §1.10).
        if find_uuid_bytes(bearer_token(request)) is not None:
            raise _no_user()
        yield app, GUEST
    finally:
        apps.give_back(app)


def _identify(app: App, request: Request) -> Identity:
    token = bearer_token(request)
    if token is not None:
        _check_form(token)
        app.check_admin_token(token)
    as_token = request.headers.get("as-token")
    if as_token is not None:
        if find_uuid_bytes(as_token.strip()) is None:
            raise malformed("asUser", "token", given=as_token, accepted="a uuid")
        raise _no_user()
    if request.headers.get("as-email") is not None:
        if token is None:
            raise missing("headers", "authorization")
        raise _no_user()
    if request.headers.get("as-guest") is not None:
        return GUEST
    if token is None:
        raise missing("headers", "authorization")
    return ADMIN


def _check_form(token: str) -> None:
    """Raise unless `token` is a uuid: only admin tokens are known (instant-http §0.5)."""
    if _PERSONAL_TOKEN.fullmatch(token):
        raise NotFound(
            "record-not-found",
            "Record not found: instant-user. Personal access tokens are not built yet in this"
            " version of trice; use the app's admin token.",
            {"record-type": "instant-user", "args": []},
        )
    if find_uuid_bytes(token) is None:
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["headers" "authorization"]; "Bearer <admin token>" with a uuid'
            " is accepted.",
            {"in": ["headers", "authorization"]},
        )


def _no_user() -> NotFound:
    return NotFound(
        "record-not-found",
        "Record not found: app-user",
        {"record-type": "app-user", "args": []},
    )
