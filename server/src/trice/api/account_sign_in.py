"""Signing in to an account, and its tokens: for command lines and the page of this server.

source   instant-http §4.10, §5.1-§5.3; spec/accounts.md AC50-AC59
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trice import account_limits
from trice.accounts.accounts import Account, Accounts
from trice.accounts.operator import token_wish
from trice.accounts.passwords import AccountPasswords
from trice.accounts.sign_in import AccountCodes, CliLogins, FirstAccount
from trice.api.account_apps import dashboard
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import account_caller, guest_of, throttle_of
from trice.api.dash_page import PAGE, page_headers
from trice.api.middleware import json_response
from trice.api.parameters import email_in, malformed, missing, text_in, uuid_in


async def dash(request: Request) -> Response:
    """`GET /dash`: the page where people sign in, for browsers; `dashboard` for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(PAGE, headers=page_headers(form_action="'none'"))
    return await dashboard(request)


async def me(request: Request) -> Response:
    """`GET /dash/me` → `{"user": {"id", "email", "created_at"}}`."""
    return json_response({"user": account_caller(request).account.to_json()})


# --- people -------------------------------------------------------------------------------------


async def send_code(request: Request) -> Response:
    """`POST /dash/auth/send_magic_code {"email"}` → `{"sent": true}`, also for strangers."""
    codes: AccountCodes = request.app.state.account_codes
    email = email_in(await json_body(request), "email")
    ip, mail = guest_of(request).ip, request.app.state.mail
    await codes.send(email, throttle=throttle_of(request), mail=mail, ip=ip)
    return json_response({"sent": True})


async def verify_code(request: Request) -> Response:
    """`POST /dash/auth/verify_magic_code {"email", "code"}` → `{"token", "user"}`."""
    codes: AccountCodes = request.app.state.account_codes
    body = await json_body(request)
    email, code = email_in(body, "email"), text_in(body, "code")
    ip = guest_of(request).ip
    account = await codes.verify(email, code, throttle=throttle_of(request), ip=ip)
    return await _signed_in(request, account)


async def sign_in_by_password(request: Request) -> Response:
    """`POST /dash/auth/password {"email", "password"}` → `{"token", "user"}`. Beyond Instant."""
    passwords: AccountPasswords = request.app.state.account_passwords
    body = await json_body(request)
    email, password = email_in(body, "email"), _password_in(body)
    ip = guest_of(request).ip
    account = await passwords.verify(email, password, throttle=throttle_of(request), ip=ip)
    return await _signed_in(request, account)


async def set_password(request: Request) -> Response:
    """`POST /dash/password {"password": text | null}` → `{}`. Other sign-ins of the account end."""
    credential = account_caller(request).whole()
    passwords: AccountPasswords = request.app.state.account_passwords
    body = await json_body(request)
    password = None if body.get("password") is None else _password_in(body)
    await passwords.set(credential.account, password, keep=credential.token.id)
    return json_response({})


def _password_in(body: dict[str, Any]) -> str:
    password = body.get("password")
    if password is None:
        raise missing("body", "password")
    if not isinstance(password, str):
        raise malformed("body", "password", given=None, accepted="a string")
    return password


async def make_first(request: Request) -> Response:
    """`POST /dash/first-account {"secret", "email"}` → `{"token", "user"}`. Beyond Instant."""
    first: FirstAccount = request.app.state.first_account
    body = await json_body(request)
    secret, email = text_in(body, "secret"), email_in(body, "email")
    ip = guest_of(request).ip
    account = await first.make(secret, email, throttle=throttle_of(request), ip=ip)
    return await _signed_in(request, account)


async def sign_out(request: Request) -> Response:
    """`POST /dash/signout` → `{}`; ends the token of the request."""
    credential = account_caller(request)
    await _accounts(request).revoke(credential.account, credential.token.id)
    return json_response({})


async def _signed_in(request: Request, account: Account) -> Response:
    _, token = await _accounts(request).make_token(
        account, name="sign-in of a page", kind="session", life_ms=account_limits.SESSION_MS
    )
    return json_response({"token": token, "user": account.to_json()})


# --- command lines ------------------------------------------------------------------------------


async def register_login(request: Request) -> Response:
    """`POST /dash/cli/auth/register` → `{"secret", "ticket"}`."""
    secret, ticket = _logins(request).begin(throttle_of(request), ip=guest_of(request).ip)
    return json_response({"secret": secret, "ticket": ticket})


async def claim_login(request: Request) -> Response:
    """`POST /dash/cli/auth/claim {"ticket"}`, by a person who signed in → `{"ticket"}`."""
    account = account_caller(request).whole().account
    ticket = uuid_in(await json_body(request), "ticket")
    _logins(request).claim(account, ticket)
    return json_response({"ticket": ticket})


async def void_login(request: Request) -> Response:
    """`POST /dash/cli/auth/void {"ticket"}`, by a person who signed in → `{}`."""
    account_caller(request).whole()
    _logins(request).void(uuid_in(await json_body(request), "ticket"))
    return json_response({})


async def check_login(request: Request) -> Response:
    """`POST /dash/cli/auth/check {"secret"}` → `{"token", "email"}`, once."""
    secret = uuid_in(await json_body(request), "secret")
    token, email = await _logins(request).check(secret)
    return json_response({"token": token, "email": email})


# --- personal access tokens ---------------------------------------------------------------------


async def list_tokens(request: Request) -> Response:
    """`GET /dash/personal_access_tokens` → `{"data": [{"id", "user_id", "name", "created_at",
    "scopes", "expires_at"}]}`."""
    account = account_caller(request).whole().account
    tokens = _accounts(request).tokens(account)
    return json_response({"data": [each.to_json() for each in tokens if each.kind == "personal"]})


async def add_token(request: Request) -> Response:
    """`POST /dash/personal_access_tokens {"name", "scopes"?, "days"?}` → `{"data"}` with `token`,
    which is shown this once."""
    account = account_caller(request).whole().account
    name, scopes, life_ms = token_wish(await json_body(request))
    token, secret = await _accounts(request).make_token(
        account, name=name, scopes=scopes, life_ms=life_ms
    )
    return json_response({"data": {**token.to_json(), "token": secret}})


async def delete_token(request: Request) -> Response:
    """`DELETE /dash/personal_access_tokens/:id` → `{}`."""
    account = account_caller(request).whole().account
    token_id = uuid_in(request.path_params, "id", place="params")
    await _accounts(request).revoke(account, token_id)
    return json_response({})


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


def _logins(request: Request) -> CliLogins:
    logins: CliLogins = request.app.state.cli_logins
    return logins


_TOKENS: Final = "/dash/personal_access_tokens"

ROUTES: Final = (
    Route("/dash", dash, methods=["GET"]),
    Route("/dash/me", me, methods=["GET"]),
    Route("/dash/first-account", make_first, methods=["POST"], body=JSON),
    Route("/dash/auth/send_magic_code", send_code, methods=["POST"], body=JSON),
    Route("/dash/auth/password", sign_in_by_password, methods=["POST"], body=JSON),
    Route("/dash/password", set_password, methods=["POST"], body=JSON),
    Route("/dash/auth/verify_magic_code", verify_code, methods=["POST"], body=JSON),
    Route("/dash/signout", sign_out, methods=["POST"]),
    Route("/dash/cli/auth/register", register_login, methods=["POST"]),
    Route("/dash/cli/auth/claim", claim_login, methods=["POST"], body=JSON),
    Route("/dash/cli/auth/void", void_login, methods=["POST"], body=JSON),
    Route("/dash/cli/auth/check", check_login, methods=["POST"], body=JSON),
    Route(_TOKENS, list_tokens, methods=["GET"]),
    Route(_TOKENS, add_token, methods=["POST"], body=JSON),
    Route(f"{_TOKENS}/{{id}}", delete_token, methods=["DELETE"]),
)
