"""Managing users from the app's own server, with the admin token (instant-http §3.4).

There is no impersonation: `as-…` headers are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import administered, throttle_of
from trice.api.middleware import json_response
from trice.api.parameters import email_in, extra_fields_in, find_email_in, find_uuid_in, text_in
from trice.auth.accounts import USERS, User, find_user, get_user, user_object
from trice.auth.sign_in import make_code, send_code, sign_in_guest, sign_in_trusted, verify_code
from trice.auth.tokens import drop_token, drop_tokens, find_by_token
from trice.database import Change, Look
from trice.errors import InvalidInput, invalid


async def create_token(request: Request) -> Response:
    """`POST /admin/refresh_tokens {"email" | "id", "extra-fields"?}` → user and `created`."""
    async with administered(request) as app:
        body = await json_body(request)
        email = find_email_in(body, "email")
        user_id = find_uuid_in(body, "id")
        if email is None and user_id is None:
            raise _none_given("body", body, "email", "id")
        signed_in = await sign_in_trusted(
            app,
            email=email,
            user_id=user_id,
            extra_fields=extra_fields_in(body, "extra-fields"),
            runtime=request.app.state.runtime,
        )
        return json_response(signed_in.body(app.id))


async def create_magic_code(request: Request) -> Response:
    """`POST /admin/magic_code {"email"}` → `{"code"}`, not sent."""
    async with administered(request) as app:
        email = email_in(await json_body(request), "email")
        code = await make_code(app, email, codes=request.app.state.magic_codes)
        return json_response({"code": code})


async def send_magic_code(request: Request) -> Response:
    """`POST /admin/send_magic_code {"email"}` → `{"code"}`, sent."""
    async with administered(request) as app:
        email = email_in(await json_body(request), "email")
        state = request.app.state
        code = await send_code(
            app,
            email,
            codes=state.magic_codes,
            throttle=throttle_of(request),
            mail=state.mail,
        )
        return json_response({"code": code})


async def verify_magic_code(request: Request) -> Response:
    """`POST /admin/verify_magic_code {"email", "code", …}` → user, `created`; no sign-up rule."""
    async with administered(request) as app:
        body = await json_body(request)
        signed_in = await verify_code(
            app,
            email=email_in(body, "email"),
            code=text_in(body, "code"),
            guest_token=find_uuid_in(body, "refresh-token"),
            extra_fields=extra_fields_in(body, "extra-fields"),
            check=None,
            codes=request.app.state.magic_codes,
            throttle=throttle_of(request),
            runtime=request.app.state.runtime,
        )
        return json_response(signed_in.body(app.id))


async def sign_in_as_guest(request: Request) -> Response:
    """`POST /admin/sign_in_guest {"extra-fields"?}` → user; no sign-up rule."""
    async with administered(request) as app:
        extra_fields = extra_fields_in(await json_body(request), "extra-fields")
        signed_in = await sign_in_guest(
            app, extra_fields=extra_fields, check=None, runtime=request.app.state.runtime
        )
        return json_response({"user": signed_in.body(app.id)["user"]})


async def sign_out(request: Request) -> Response:
    """`POST /admin/sign_out {"id" | "email" | "refresh_token"}` → `{"ok": true}`."""
    async with administered(request) as app:
        body = await json_body(request)
        user_id = find_uuid_in(body, "id")
        email = find_email_in(body, "email")
        token = find_uuid_in(body, "refresh_token")

        def work(change: Change) -> None:
            if user_id is not None:
                user = find_user(change, id=user_id)
                if user is not None:
                    drop_tokens(change, user)
            elif email is not None:
                drop_tokens(change, get_user(change, email=email))
            elif token is not None:
                drop_token(change, token)
            else:
                raise _none_given("body", body, "id", "email", "refresh_token")

        await app.database.change(work)
        return json_response({"ok": True})


async def find_one(request: Request) -> Response:
    """`GET /admin/users?email= | refresh_token= | id=` → `{"user"}`, null if there is none."""
    async with administered(request) as app:
        user = await app.database.look(lambda look: _named(look, request.query_params))
        return json_response({"user": None if user is None else user_object(app.id, user)})


async def delete_one(request: Request) -> Response:
    """`DELETE /admin/users?…`, as above → `{"deleted"}`; deletes tokens and linked guests too."""
    async with administered(request) as app:

        def work(change: Change) -> User | None:
            user = _named(change, request.query_params)
            if user is not None:
                change.write(["delete", USERS, user.id])
            return user

        user = await app.database.change(work)
        return json_response({"deleted": None if user is None else user_object(app.id, user)})


def _named(look: Look, params: Mapping[str, str]) -> User | None:
    """The user that the query parameters name."""
    email = find_email_in(params, "email", place="params")
    token = find_uuid_in(params, "refresh_token", place="params")
    user_id = find_uuid_in(params, "id", place="params")
    if email is not None:
        return find_user(look, email=email)
    if token is not None:
        return find_by_token(look, token)
    if user_id is not None:
        return find_user(look, id=user_id)
    raise _none_given("params", dict(params), "email", "refresh_token", "id")


def _none_given(data_type: str, given: Mapping[str, Any], *keys: str) -> InvalidInput:
    accepted = ", ".join(f"`{key}`" for key in keys)
    return invalid(data_type, dict(given), [{"message": f"One of {accepted} must be given."}])


ROUTES: Final = (
    Route("/admin/refresh_tokens", create_token, methods=["POST"], body=JSON),
    Route("/admin/magic_code", create_magic_code, methods=["POST"], body=JSON),
    Route("/admin/send_magic_code", send_magic_code, methods=["POST"], body=JSON),
    Route("/admin/verify_magic_code", verify_magic_code, methods=["POST"], body=JSON),
    Route("/admin/sign_in_guest", sign_in_as_guest, methods=["POST"], body=JSON),
    Route("/admin/sign_out", sign_out, methods=["POST"], body=JSON),
    Route("/admin/users", find_one, methods=["GET"]),
    Route("/admin/users", delete_one, methods=["DELETE"]),
)
