"""Signing in with e-mail and password; beyond Instant's API (spec/auth.md A151-A170).

Errors are those of signing in with codes, and `record-not-found` of `app-user-password`.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import administered, app_of, guest_of
from trice.api.middleware import json_response
from trice.api.parameters import (
    email_in,
    extra_fields_in,
    find_email_in,
    find_uuid_in,
    malformed,
    missing,
    text_in,
    uuid_in,
)
from trice.auth.accounts import sign_up_check, user_object
from trice.auth.passwords.sign_in import Passwords


async def sign_up(request: Request) -> Response:
    """`POST /runtime/auth/password/sign_up {"app-id", "email", "code", "password", …}` → user.

    code: the one that `send_magic_code` sent
    {"refresh-token"?: that of the guest who signs up, "extra-fields"?: fields of the new user}
    """
    body = await json_body(request)
    email, code, password = email_in(body, "email"), text_in(body, "code"), password_in(body)
    guest_token = find_uuid_in(body, "refresh-token")
    extra_fields = extra_fields_in(body, "extra-fields")
    guest = guest_of(request)
    async with app_of(request, body) as app:
        signed_in = await _passwords(request).sign_up(
            app,
            sign_up_check(app.database, guest),
            email=email,
            code=code,
            password=password,
            ip=guest.ip,
            extra_fields=extra_fields,
            guest_token=guest_token,
        )
        return json_response(signed_in.body(app.id))


async def sign_in(request: Request) -> Response:
    """`POST /runtime/auth/password/sign_in {"app-id", "email", "password"}` → user, `created`."""
    body = await json_body(request)
    email, password = email_in(body, "email"), password_in(body)
    async with app_of(request, body) as app:
        signed_in = await _passwords(request).sign_in(
            app, email=email, password=password, ip=guest_of(request).ip
        )
        return json_response(signed_in.body(app.id))


async def change(request: Request) -> Response:
    """`POST /runtime/auth/password/change` → user; all other tokens of the user end.

    {"app-id", "refresh-token", "password": the present one, "new-password"}
    """
    body = await json_body(request)
    token = uuid_in(body, "refresh-token")
    password, new_password = password_in(body), password_in(body, "new-password")
    async with app_of(request, body) as app:
        user = await _passwords(request).change(
            app,
            token=token,
            password=password,
            new_password=new_password,
            ip=guest_of(request).ip,
        )
        return json_response({"user": user_object(app.id, user, refresh_token=token)})


async def reset(request: Request) -> Response:
    """`POST /runtime/auth/password/reset {"app-id", "email", "code", "password"}` → user.

    It can also set the first password of an account. All earlier tokens of the user end.
    """
    body = await json_body(request)
    email, code, password = email_in(body, "email"), text_in(body, "code"), password_in(body)
    async with app_of(request, body) as app:
        signed_in = await _passwords(request).reset(
            app, email=email, code=code, password=password, ip=guest_of(request).ip
        )
        return json_response(signed_in.body(app.id))


async def set_by_admin(request: Request) -> Response:
    """`POST /admin/users/password {"id" | "email", "password": text | null}` → user.

    null removes the password. Tokens stay; `POST /admin/sign_out` ends them.
    """
    body = await json_body(request)
    async with administered(request) as app:
        user_id = find_uuid_in(body, "id")
        email = None if user_id is not None else find_email_in(body, "email")
        if user_id is None and email is None:
            raise missing("body", "email")
        if "password" not in body:
            raise missing("body", "password")
        password = None if body["password"] is None else password_in(body)
        user = await _passwords(request).set_by_admin(
            app, id=user_id, email=email, password=password
        )
        return json_response({"user": user_object(app.id, user)})


def password_in(body: dict[str, Any], key: str = "password") -> str:
    """A required password, exactly as given, with its spaces. The error does not repeat it."""
    if body.get(key) is None:
        raise missing("body", key)
    if not isinstance(body[key], str):
        raise malformed("body", key, given=None, accepted="a string")
    return str(body[key])


def _passwords(request: Request) -> Passwords:
    found: Passwords = request.app.state.passwords
    return found


ROUTES: Final = (
    Route("/runtime/auth/password/sign_up", sign_up, methods=["POST"], body=JSON),
    Route("/runtime/auth/password/sign_in", sign_in, methods=["POST"], body=JSON),
    Route("/runtime/auth/password/change", change, methods=["POST"], body=JSON),
    Route("/runtime/auth/password/reset", reset, methods=["POST"], body=JSON),
    Route("/admin/users/password", set_by_admin, methods=["POST"], body=JSON),
)
