"""OAuth for applications of others: a person allows them to act for an account here.

    GET start ──> the page of the server ──> POST claim ──> POST grant | deny ──> back, with a code
                                                            POST token ──> tokens

The page is that of `/dash`, so a person signs in there first. The cookie of `start` ties all steps
to one browser, and the token of `claim` the decision to the page that was shown: a page of
somebody else can neither send the form nor show ours in a frame.

source   instant-http §4.9; spec/accounts.md AC94-AC109
"""

from __future__ import annotations

import html
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trice import account_limits
from trice.accounts.oauth_requests import Astray, OAuthRequests, SentBack
from trice.accounts.oauth_tokens import OAuthTokens
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import account_caller, guest_of, throttle_of
from trice.api.dash_page import PAGE, page_headers
from trice.api.middleware import always_answer, json_response
from trice.api.oauth import (
    COOKIE,
    COOKIE_PREFIX,
    FORM,
    FORM_TYPE,
    JSON_OR_FORM,
    base_url,
    find_cookie,
    page,
    read_form,
    send_to,
    short_in,
)
from trice.api.parameters import malformed, missing, text_in, uuid_in
from trice.errors import InvalidInput, NotFound, PermissionDenied, TriceError, invalid

_PATH: Final = "/platform/oauth"


# --- the person ---------------------------------------------------------------------------------


async def start(request: Request) -> Response:
    """`GET /platform/oauth/start?client_id&redirect_uri&response_type=code&scope&state
    [&code_challenge&code_challenge_method=S256]` → to the page, which is this path with the id of
    the request. What is wrong is told there while it is not sure where to return to, else there."""
    query = request.query_params
    if "redirect-id" in query:
        return _consent_page(request, query["redirect-id"])
    repeated = [key for key in query if len(query.getlist(key)) > 1]
    base = base_url(request)
    try:
        if repeated:
            raise Astray(f"The parameter {repeated[0][:40]} is there twice.")
        request_id, cookie = _requests(request).begin(
            dict(query), issuer=base, throttle=throttle_of(request), ip=guest_of(request).ip
        )
    except Astray as failure:
        told = f"<h1>This sign-in cannot begin</h1><p>{html.escape(str(failure))}</p>"
        return page("Sign in", told, status=400)
    except SentBack as failure:
        return send_to(failure.url)
    response = send_to(f"{_PATH}/start?redirect-id={request_id}")
    response.headers["set-cookie"] = (
        f"{COOKIE}={COOKIE_PREFIX}{cookie}; Path={_PATH}; HttpOnly; SameSite=Lax"
        f"; Max-Age={account_limits.OAUTH_REQUEST_MS // 1000}"
        f"{'; Secure' if base.startswith('https:') else ''}"
    )
    return response


def _consent_page(request: Request, request_id: str) -> Response:
    """The page of the server. Its form may be sent here, which leads on to the application: some
    browsers hold the policy against where a form leads to in the end."""
    origin = _requests(request).origin_of(request_id)
    targets = "'self'" if origin is None else f"'self' {origin}"
    return HTMLResponse(PAGE, headers=page_headers(form_action=targets))


async def claim(request: Request) -> Response:
    """`POST /platform/oauth/claim {"redirect": id}`, by a person who signed in
    → `{"appName", "userEmail", "redirectOrigin", "scopes", "grantToken", …}`."""
    account = account_caller(request).whole().account
    request_id = uuid_in(await json_body(request), "redirect")
    shown = _requests(request).show(request_id, find_cookie(request), account)
    return json_response(shown)


async def grant(request: Request) -> Response:
    """`POST /platform/oauth/grant`, a form: `redirect_id`, `grant_token` → back, with a code."""
    return await _decide(request, is_allowed=True)


async def deny(request: Request) -> Response:
    """`POST /platform/oauth/deny`, as `grant` → back, with `error=access_denied`."""
    return await _decide(request, is_allowed=False)


async def _decide(request: Request, *, is_allowed: bool) -> Response:
    requests = _requests(request)
    decide = requests.allow if is_allowed else requests.refuse
    try:
        form = await read_form(request)
        request_id, token = text_in(form, "redirect_id"), text_in(form, "grant_token")
        url = decide(request_id, find_cookie(request), token, issuer=base_url(request))
    except (NotFound, InvalidInput, PermissionDenied) as failure:
        # A person sees this, in the window where they decided.
        told = f"<h1>This did not work</h1><p>{html.escape(failure.message)}</p>"
        return page("Sign in", told, status=400)
    return send_to(url)


# --- the client ---------------------------------------------------------------------------------


async def token(request: Request) -> Response:
    """`POST /platform/oauth/token`, JSON or a form → `{"access_token", "token_type", "expires_in",
    "scope", "scopes", "refresh_token"?}`.

    {"grant_type": "authorization_code", "code", "redirect_uri", "client_id",
     "client_secret" | "code_verifier"}
    {"grant_type": "refresh_token", "refresh_token", "client_id", "client_secret", "scope"?}
    An error has `error` and `error_description` of RFC 6749 besides `type` and `message`.
    """
    always_answer(request.scope, {"cache-control": "no-store"})
    try:
        return json_response(await _tokens_for(request, await _fields(request)))
    except TriceError as failure:
        told = {"error": _oauth_name(failure), "error_description": failure.message}
        request.state.error_body = told
        raise


async def _fields(request: Request) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return {**await read_form(request)} if kind == FORM_TYPE else await json_body(request)


async def _tokens_for(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    tokens = _tokens(request)
    kind = body.get("grant_type")
    if kind == "authorization_code":
        given = await tokens.exchange(
            _text(body, "code"),
            client_id=_text(body, "client_id"),
            redirect_url=_text(body, "redirect_uri"),
            secret=short_in(body, "client_secret", place="body"),
            verifier=short_in(body, "code_verifier", place="body"),
        )
    elif kind == "refresh_token":
        given = await tokens.refresh(
            _text(body, "refresh_token"),
            client_id=_text(body, "client_id"),
            secret=_text(body, "client_secret"),
            scope=short_in(body, "scope", place="body"),
        )
    else:
        accepted = '"authorization_code" or "refresh_token"'
        raise malformed("body", "grant_type", given=None, accepted=accepted)
    return given.to_json()


async def token_info(request: Request) -> Response:
    """`GET /platform/oauth/token-info?access_token` → `{"expires_in", "token_type", "scopes",
    "scope"}`."""
    secret = text_in(request.query_params, "access_token", place="params")
    if not secret.startswith("pat_"):
        problem = "An access token of OAuth begins with pat_."
        raise invalid("access_token", None, [{"message": problem, "in": ["access_token"]}])
    always_answer(request.scope, {"cache-control": "no-store"})
    return json_response(_tokens(request).info(secret))


async def revoke(request: Request) -> Response:
    """`POST /platform/oauth/revoke`, with `token` in a body or the query → `{}`, also for a token
    that nobody has."""
    given = {**request.query_params, **await _fields(request)}
    await _tokens(request).revoke(_text(given, "token"))
    return json_response({})


def _text(body: dict[str, Any], key: str) -> str:
    found = short_in(body, key, place="body")
    if found is None:
        raise missing("body", key)
    return found


def _oauth_name(failure: TriceError) -> str:
    """What RFC 6749 §5.2 calls a failure."""
    record = failure.hint.get("record-type")
    if record in ("oauth-app-client", "oauth-app-client-secret"):
        return "invalid_client"
    if isinstance(failure, NotFound):
        return "invalid_grant"
    if isinstance(failure, PermissionDenied):
        return "unauthorized_client"
    if failure.hint.get("data-type") == "scope":
        return "invalid_scope"
    if isinstance(failure, InvalidInput):
        # The one that says which kinds of grants there are has a name of its own.
        is_kind = failure.hint.get("in") == ["body", "grant_type"]
        return "unsupported_grant_type" if is_kind else "invalid_request"
    return "temporarily_unavailable"


def _requests(request: Request) -> OAuthRequests:
    requests: OAuthRequests = request.app.state.oauth_requests
    return requests


def _tokens(request: Request) -> OAuthTokens:
    tokens: OAuthTokens = request.app.state.oauth_tokens
    return tokens


ROUTES: Final = (
    Route(f"{_PATH}/start", start, methods=["GET"]),
    Route(f"{_PATH}/claim", claim, methods=["POST"], body=JSON),
    Route(f"{_PATH}/grant", grant, methods=["POST"], body=FORM),
    Route(f"{_PATH}/deny", deny, methods=["POST"], body=FORM),
    Route(f"{_PATH}/token", token, methods=["POST"], body=JSON_OR_FORM),
    Route(f"{_PATH}/token-info", token_info, methods=["GET"]),
    Route(f"{_PATH}/revoke", revoke, methods=["POST"], body=JSON_OR_FORM),
)
