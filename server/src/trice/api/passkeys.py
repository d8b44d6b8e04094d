"""Passkeys; beyond Instant's API (spec/auth.md A175-A197).

`options` is the argument of a browser's `PublicKeyCredential.parseCreationOptionsFromJSON` or
`parseRequestOptionsFromJSON`, and `credential` is the result of `credential.toJSON()`. The `Origin`
header names the website.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice import auth_limits
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import app_of, guest_of
from trice.api.middleware import json_response
from trice.api.parameters import malformed, missing, uuid_in
from trice.auth.passkeys.ceremonies import Passkeys
from trice.auth.passkeys.read import check_size


async def begin_registration(request: Request) -> Response:
    """`POST /runtime/auth/passkey/register/begin` → `{"options"}`.

    {"app-id", "refresh-token", "rp-id"?: a parent domain of the origin}
    """
    body = await json_body(request)
    token = uuid_in(body, "refresh-token")
    rp_id = _rp_id_in(body)
    async with app_of(request, body) as app:
        options = await _passkeys(request).begin_registration(
            app, token=token, caller=guest_of(request), rp_id=rp_id
        )
        return json_response({"options": options})


async def finish_registration(request: Request) -> Response:
    """`POST /runtime/auth/passkey/register/finish` → `{"passkey"}`.

    {"app-id", "refresh-token", "credential", "name"?: the user's name for it}
    """
    body = await json_body(request)
    token = uuid_in(body, "refresh-token")
    credential = _credential_in(body)
    name = _name_in(body)
    async with app_of(request, body) as app:
        passkey = await _passkeys(request).finish_registration(
            app, token=token, credential=credential, name=name, caller=guest_of(request)
        )
        return json_response({"passkey": passkey})


async def begin_sign_in(request: Request) -> Response:
    """`POST /runtime/auth/passkey/sign_in/begin {"app-id", "rp-id"?}` → `{"options"}`."""
    body = await json_body(request)
    rp_id = _rp_id_in(body)
    async with app_of(request, body) as app:
        options = await _passkeys(request).begin_sign_in(app, caller=guest_of(request), rp_id=rp_id)
        return json_response({"options": options})


async def finish_sign_in(request: Request) -> Response:
    """`POST /runtime/auth/passkey/sign_in/finish {"app-id", "credential"}` → user, `created`."""
    body = await json_body(request)
    credential = _credential_in(body)
    async with app_of(request, body) as app:
        signed_in = await _passkeys(request).finish_sign_in(
            app, credential=credential, caller=guest_of(request)
        )
        return json_response(signed_in.body(app.id))


async def show_all(request: Request) -> Response:
    """`POST /runtime/auth/passkey/list {"app-id", "refresh-token"}` → `{"passkeys"}`."""
    body = await json_body(request)
    token = uuid_in(body, "refresh-token")
    async with app_of(request, body) as app:
        passkeys = await _passkeys(request).all_of(app, token=token, caller=guest_of(request))
        return json_response({"passkeys": passkeys})


async def delete(request: Request) -> Response:
    """`POST /runtime/auth/passkey/delete {"app-id", "refresh-token", "id"}` → `{}`."""
    body = await json_body(request)
    token, passkey_id = uuid_in(body, "refresh-token"), uuid_in(body, "id")
    async with app_of(request, body) as app:
        await _passkeys(request).delete(
            app, token=token, passkey_id=passkey_id, caller=guest_of(request)
        )
        return json_response({})


def _credential_in(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("credential") is None:
        raise missing("body", "credential")
    return check_size(body["credential"])


def _rp_id_in(body: dict[str, Any]) -> str | None:
    given = body.get("rp-id")
    if given is None:
        return None
    if not isinstance(given, str) or not given or len(given) > auth_limits.HOST_CHARS_MAX:
        raise malformed("body", "rp-id", given=None, accepted='a domain such as "example.com"')
    return given


def _name_in(body: dict[str, Any]) -> str | None:
    given = body.get("name")
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > auth_limits.PASSKEY_NAME_CHARS_MAX:
        accepted = f"a string of at most {auth_limits.PASSKEY_NAME_CHARS_MAX} characters"
        raise malformed("body", "name", given=None, accepted=accepted)
    return given.strip() or None


def _passkeys(request: Request) -> Passkeys:
    found: Passkeys = request.app.state.passkeys
    return found


ROUTES: Final = (
    Route("/runtime/auth/passkey/register/begin", begin_registration, methods=["POST"], body=JSON),
    Route(
        "/runtime/auth/passkey/register/finish", finish_registration, methods=["POST"], body=JSON
    ),
    Route("/runtime/auth/passkey/sign_in/begin", begin_sign_in, methods=["POST"], body=JSON),
    Route("/runtime/auth/passkey/sign_in/finish", finish_sign_in, methods=["POST"], body=JSON),
    Route("/runtime/auth/passkey/list", show_all, methods=["POST"], body=JSON),
    Route("/runtime/auth/passkey/delete", delete, methods=["POST"], body=JSON),
)
