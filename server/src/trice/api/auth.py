"""Signing in from browsers: codes, guests, refresh tokens (instant-http §1.3-1.5).

Anybody may call these routes; the body names the app. Calls are throttled by network.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import app_of, guest_of, throttle_of
from trice.api.middleware import json_response
from trice.api.parameters import email_in, extra_fields_in, find_uuid_in, text_in, uuid_in
from trice.auth.accounts import no_user, sign_up_check, user_object
from trice.auth.sign_in import send_code, sign_in_guest, verify_code
from trice.auth.tokens import drop_token, find_by_token


async def send_magic_code(request: Request) -> Response:
    """`POST /runtime/auth/send_magic_code {"app-id", "email"}` → `{"sent": true}`."""
    body = await json_body(request)
    email = email_in(body, "email")
    state = request.app.state
    async with app_of(request, body) as app:
        throttle = throttle_of(request)
        throttle.sign_in("send", guest_of(request).ip)
        await send_code(app, email, codes=state.magic_codes, throttle=throttle, mail=state.mail)
    return json_response({"sent": True})


async def verify_magic_code(request: Request) -> Response:
    """`POST /runtime/auth/verify_magic_code {"app-id", "email", "code", …}` → user and `created`.

    {"refresh-token"?: of the guest who signs in, "extra-fields"?: of a new user}
    """
    body = await json_body(request)
    email = email_in(body, "email")
    code = text_in(body, "code")
    guest_token = find_uuid_in(body, "refresh-token")
    extra_fields = extra_fields_in(body, "extra-fields")
    state = request.app.state
    guest = guest_of(request)
    async with app_of(request, body) as app:
        throttle = throttle_of(request)
        throttle.sign_in("verify", guest.ip)
        signed_in = await verify_code(
            app,
            email=email,
            code=code,
            guest_token=guest_token,
            extra_fields=extra_fields,
            check=sign_up_check(app.database, guest),
            codes=state.magic_codes,
            throttle=throttle,
            runtime=state.runtime,
        )
        return json_response(signed_in.body(app.id))


async def sign_in_as_guest(request: Request) -> Response:
    """`POST /runtime/auth/sign_in_guest {"app-id", "extra-fields"?}` → user."""
    body = await json_body(request)
    extra_fields = extra_fields_in(body, "extra-fields")
    state = request.app.state
    guest = guest_of(request)
    async with app_of(request, body) as app:
        throttle_of(request).sign_in("guest", guest.ip)
        signed_in = await sign_in_guest(
            app,
            extra_fields=extra_fields,
            check=sign_up_check(app.database, guest),
            runtime=state.runtime,
        )
        return json_response({"user": signed_in.body(app.id)["user"]})


async def verify_refresh_token(request: Request) -> Response:
    """`POST /runtime/auth/verify_refresh_token {"app-id", "refresh-token"}` → user."""
    body = await json_body(request)
    token = uuid_in(body, "refresh-token")
    async with app_of(request, body) as app:
        throttle_of(request).token_check(guest_of(request).ip)
        user = await app.database.look(lambda look: find_by_token(look, token))
        if user is None:
            raise no_user()
        return json_response({"user": user_object(app.id, user, refresh_token=token)})


async def sign_out(request: Request) -> Response:
    """`POST /runtime/signout {"app_id", "refresh_token"}` → `{}`, also for an ended token."""
    body = await json_body(request)
    token = uuid_in(body, "refresh_token")
    async with app_of(request, body, "app_id") as app:
        throttle_of(request).token_check(guest_of(request).ip)
        await app.database.change(lambda change: drop_token(change, token))
    return json_response({})


ROUTES: Final = (
    Route("/runtime/auth/send_magic_code", send_magic_code, methods=["POST"], body=JSON),
    Route("/runtime/auth/verify_magic_code", verify_magic_code, methods=["POST"], body=JSON),
    Route("/runtime/auth/sign_in_guest", sign_in_as_guest, methods=["POST"], body=JSON),
    Route("/runtime/auth/verify_refresh_token", verify_refresh_token, methods=["POST"], body=JSON),
    Route("/runtime/signout", sign_out, methods=["POST"], body=JSON),
)
