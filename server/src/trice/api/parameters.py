"""Reading requests: JSON bodies, app ids, tokens, who is asking (instant-http §0, §3.1)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import HTTPConnection, Request

from trice.apps.apps import App, Apps
from trice.auth.tokens import hash_token, identify, identify_email
from trice.errors import InvalidInput, NotFound
from trice.identity import ADMIN, Identity, caller_ip
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


def guest_of(request: HTTPConnection) -> Identity:
    """Nobody signed in, at the address and origin the request comes from."""
    headers = request.headers
    ip = caller_ip(
        request.client.host if request.client is not None else "",
        headers.get("x-forwarded-for"),
        trusted_proxies=request.app.state.settings.trusted_proxies,
    )
    return Identity("guest", ip=ip, origin=headers.get("origin", ""))


@dataclass(frozen=True, slots=True)
class Lent:
    """An app lent to a request, and who makes it.

    hashed_token  the refresh token that says so, if one does: the identity ends with it
    """

    app: App
    identity: Identity
    hashed_token: str | None = None


@asynccontextmanager
async def admin_caller(request: Request, apps: Apps) -> AsyncIterator[Lent]:
    """Lend the app to the request, with the identity its headers establish (instant-http §3.1).

    The admin token alone acts as admin; with `as-email` it acts as that user. `as-token` and
    `as-guest` need no admin token.
    """
    app = await apps.lend(app_id_of(request))
    try:
        yield await _identify(app, request)
    finally:
        apps.give_back(app)


@asynccontextmanager
async def runtime_caller(request: Request, apps: Apps) -> AsyncIterator[Lent]:
    """Lend the app to a browser's request, which acts for a signed-in user or for nobody."""
    app = await apps.lend(app_id_of(request))
    try:
        guest = guest_of(request)
        token = bearer_token(request)
        # Tokens that are malformed or unknown count as nobody (instant-http §1.10).
        lent = Lent(app, guest)
        if token is not None and find_uuid_bytes(token) is not None:
            with contextlib.suppress(NotFound):
                identity = await identify(app.database, token, request=guest)
                lent = Lent(app, identity, hash_token(token))
        yield lent
    finally:
        apps.give_back(app)


async def _identify(app: App, request: Request) -> Lent:
    token = bearer_token(request)
    if token is not None:
        _check_form(token)
        app.check_admin_token(token)
    guest = guest_of(request)
    as_token = request.headers.get("as-token")
    if as_token is not None:
        given = as_token.strip()
        if find_uuid_bytes(given) is None:
            raise malformed("asUser", "token", given=as_token, accepted="a uuid")
        identity = await identify(app.database, given, request=guest)
        return Lent(app, identity, hash_token(given))
    as_email = request.headers.get("as-email")
    if as_email is not None:
        if token is None:
            raise missing("headers", "authorization")
        identity = await identify_email(app.database, as_email, request=guest)
        return Lent(app, identity)
    if request.headers.get("as-guest") is not None:
        return Lent(app, guest)
    if token is None:
        raise missing("headers", "authorization")
    return Lent(app, ADMIN)


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
