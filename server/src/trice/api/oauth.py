"""Signing in with providers (instant-http §1.6, §1.7). Anybody may call; requests name the app."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from trice import auth_limits
from trice.api.bodies import JSON, Body, JsonBody, Route, json_body, whole_body
from trice.api.callers import app_of, guest_of, throttle_of
from trice.api.middleware import json_response, prefix_of
from trice.api.parameters import extra_fields_in, find_uuid_in, malformed, missing, text_in, uuid_in
from trice.apps.apps import App
from trice.auth.oauth.origins import Url, read_url
from trice.auth.oauth.outgoing import oauth_error
from trice.auth.oauth.sign_in import Comer, OAuth, Start, opens_app, split_state
from trice.errors import InvalidInput, LimitExceeded, NotFound
from trice.protocol.ids import find_uuid_bytes
from trice.rate_limit import RateLimit

_CALLS: Final = RateLimit(
    auth_limits.OAUTH_CALLS_OF_NETWORK,
    auth_limits.OAUTH_CALLS_OF_NETWORK,
    auth_limits.OAUTH_CALLS_PERIOD_MS,
)
COOKIE: Final = "__session"
COOKIE_PREFIX: Final = "instantdb_"
"""A prefix of cookie names. Other sites of the host may set a cookie of the same name."""


async def openid_configuration(request: Request) -> Response:
    """`GET /runtime/:app_id/.well-known/openid-configuration` → the URLs that libraries sign in
    with."""
    app_id = uuid_in(request.path_params, "app_id", place="params")
    base = f"{base_url(request)}/runtime/{app_id}/oauth"
    return json_response(
        {"authorization_endpoint": f"{base}/start", "token_endpoint": f"{base}/token"}
    )


async def start(request: Request) -> Response:
    """`GET /runtime/oauth/start?app_id&client_name&redirect_uri…` → to the provider's page."""
    query = {**request.query_params, **request.path_params}
    if query.get("client_name") is None and query.get("client_id") is None:
        raise missing("params", "client_name")
    # Libraries for OAuth send no client_name.
    name = "client_name" if query.get("client_name") is not None else "client_id"
    wanted = Start(
        client_name=short_in(query, name) or "",
        redirect_uri=text_in(query, "redirect_uri", place="params"),
        state=short_in(query, "state"),
        code_challenge=short_in(query, "code_challenge"),
        code_challenge_method=short_in(query, "code_challenge_method"),
        hd=short_in(query, "hd"),
    )
    base = base_url(request)
    async with _app_of(request, query, place="params") as app:
        url, cookie = await _oauth(request).start(
            app, wanted, callback_url=f"{base}/runtime/oauth/callback"
        )
    response = send_to(url)
    response.headers["set-cookie"] = _cookie(cookie, read_url(base))
    return response


async def callback(request: Request) -> Response:
    """`GET|POST /runtime/oauth/callback`: from the provider back to the page of the app."""
    query: Mapping[str, str] = request.query_params
    if "test-redirect" in query:
        return page("Redirect", "<p>Your redirect works. You can close this page.</p>")
    fields = {**query, **(await read_form(request) if request.method == "POST" else {})}
    if fields.get("error"):
        raise oauth_error(fields["error"][: auth_limits.OAUTH_TEXT_CHARS_MAX])
    app_id, state = split_state(fields.get("state"))
    cookie = find_cookie(request)
    if cookie is None:
        raise oauth_error("Missing cookie.")
    try:
        async with _app_of(request, {"app_id": app_id}) as app:
            url = await _oauth(request).finish(
                app, state=state, cookie=cookie, code=fields.get("code")
            )
    except NotFound as failure:
        raise oauth_error("Could not find OAuth request.") from failure
    return _landing(url) if opens_app(url) else send_to(url)


async def token(request: Request) -> Response:
    """`POST /runtime/oauth/token {"app_id", "code", "code_verifier"?, …}`, JSON or a form.

    {"refresh_token"?: that of a guest, "extra_fields"?} in JSON only
    → {"user", "created", "refresh_token"}
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind == FORM_TYPE
    body = await read_form(request) if is_form else await json_body(request)
    values: dict[str, Any] = {**body, **request.path_params}
    code = uuid_in(values, "code")
    verifier = short_in(values, "code_verifier", place="body")
    comer = Comer(guest_of(request)) if is_form else _comer(request, body)
    async with _app_of(request, values) as app:
        return json_response(
            await _oauth(request).exchange(app, code, verifier=verifier, comer=comer)
        )


async def id_token(request: Request) -> Response:
    """`POST /runtime/oauth/id_token {"app_id", "id_token", "client_name", "nonce"?, …}`.

    {"refresh_token"?: that of the account used until now, "extra_fields"?} → {"user", "created"}
    """
    body = await json_body(request)
    given = text_in(body, "id_token")
    name = text_in(body, "client_name")
    nonce = short_in(body, "nonce", place="body")
    comer = _comer(request, body)
    async with _app_of(request, body) as app:
        return json_response(
            await _oauth(request).sign_in_with_id_token(app, name, given, nonce=nonce, comer=comer)
        )


# --- reading ------------------------------------------------------------------------------------

FORM_TYPE: Final = "application/x-www-form-urlencoded"
_OR_FORM: Final = f' or "{FORM_TYPE}"'


def _oauth(request: Request) -> OAuth:
    oauth: OAuth = request.app.state.oauth
    return oauth


@asynccontextmanager
async def _app_of(
    request: Request, values: Mapping[str, Any], *, place: str = "body"
) -> AsyncIterator[App]:
    """Lend the app that the request names, and count the request for its network."""
    problem = "Too many sign-ins from this network address."
    throttle_of(request).take_network("oauth", guest_of(request).ip, _CALLS, problem)
    async with app_of(request, values, "app_id", place=place) as app:
        yield app


def short_in(values: Mapping[str, Any], key: str, *, place: str = "params") -> str | None:
    """An optional text of bounded length; null and "" count as absent."""
    given = values.get(key)
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > auth_limits.OAUTH_TEXT_CHARS_MAX:
        accepted = f"a string of at most {auth_limits.OAUTH_TEXT_CHARS_MAX} characters"
        raise malformed(place, key, given=None, accepted=accepted)
    return given


def _comer(request: Request, body: Mapping[str, Any]) -> Comer:
    return Comer(
        guest_of(request),
        refresh_token=find_uuid_in(body, "refresh_token"),
        extra_fields=extra_fields_in(body, "extra_fields"),
    )


async def read_form(request: Request) -> dict[str, str]:
    """The fields of an urlencoded body; if several have one name, the first of them."""
    raw = await whole_body(request)
    if len(raw) > auth_limits.OAUTH_FORM_BYTES_MAX:
        raise LimitExceeded(
            "message-too-big",
            f"The form has {len(raw):,} bytes; {auth_limits.OAUTH_FORM_BYTES_MAX:,} are accepted.",
            {"bytes": len(raw), "bytes-max": auth_limits.OAUTH_FORM_BYTES_MAX},
        )
    try:
        pairs = parse_qsl(
            raw.decode(),
            keep_blank_values=True,
            max_num_fields=auth_limits.OAUTH_FORM_FIELDS_MAX,
        )
    except ValueError as cause:
        raise InvalidInput(
            "param-malformed",
            f"The body must be an urlencoded form of at most {auth_limits.OAUTH_FORM_FIELDS_MAX}"
            " fields, in UTF-8.",
            {"in": ["body"]},
        ) from cause
    return dict(reversed(pairs))


def base_url(request: Request) -> str:
    """The URL of this server for the caller: `https://api.example.com`, without a slash at the end.

    It is the operator's setting, or else made of the `Host` header. A proxy that ends TLS says so
    in `X-Forwarded-Proto`, which is believed if a proxy is configured.
    """
    if request.app.state.settings.public_url is not None:
        return str(request.app.state.settings.public_url)
    scheme = request.url.scheme
    if request.app.state.settings.trusted_proxies > 0:
        told = ",".join(request.headers.getlist("x-forwarded-proto")).rpartition(",")[2].strip()
        scheme = told if told in ("http", "https") else scheme
    base = f"{scheme}://{request.headers.get('host', '')}"
    url = read_url(base)
    if url is None or url.path:
        raise malformed("headers", "host", given=None, accepted="the name of this server")
    return base + prefix_of(request.scope)


# --- cookies and pages --------------------------------------------------------------------------


def _cookie(uuid: str, base: Url | None) -> str:
    """The cookie that shows the callback which browser began the sign-in.

    It is `SameSite=None`, since most providers come back with a form, a post from another site.
    Over plain http only localhost works, and some browsers keep no secure cookies for it.
    """
    is_plain_local = base is not None and base.scheme == "http" and base.is_local
    return (
        f"{COOKIE}={COOKIE_PREFIX}{uuid}; Path=/runtime/oauth"
        f"; Max-Age={auth_limits.OAUTH_COOKIE_SECONDS}; HttpOnly"
        f"{'' if is_plain_local else '; SameSite=None; Secure'}"
    )


def find_cookie(request: Request) -> str | None:
    """The uuid in our cookie; other cookies of that name are ignored."""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        uuid = value.strip().removeprefix(COOKIE_PREFIX)
        if name == COOKIE and uuid != value.strip() and find_uuid_bytes(uuid) is not None:
            return uuid
    return None


def send_to(url: str) -> Response:
    """Send the browser to a URL."""
    # The URL holds codes: no cache on the way may keep it.
    return RedirectResponse(url, 302, headers={"cache-control": "no-store"})


_SCRIPT: Final = "window.open(document.getElementById('open').href, '_self')"


def _landing(url: str) -> Response:
    """A page that opens a native app; after a redirect the browser would stay on an empty page."""
    href = html.escape(url, quote=True)
    body = f"""<p><a id="open" href="{href}">Open app</a></p>
<p>You are signed in. You can close this page.</p>
<script>{_SCRIPT}</script>"""
    return page("Signing in", body, head=f'<meta http-equiv="refresh" content="0; url={href}">')


def page(title: str, body: str, *, head: str = "", status: int = 200) -> Response:
    """A page that tells something; `body` and `head` are HTML."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{head}
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; background: light-dark(#fff, #161616);
    color: light-dark(#1a1a1a, #e8e8e8) }}
  body {{ font: 18px/1.5 system-ui, sans-serif; margin: 20vh auto; padding: 0 1rem;
          max-width: 32rem; text-align: center }}
</style>
<main>
{body}
</main>
</html>
""",
        status,
        headers={
            "cache-control": "no-store",
            "content-security-policy": "default-src 'none'; style-src 'unsafe-inline';"
            f" script-src 'sha256-{digest}'; img-src data:; base-uri 'none';"
            " frame-ancestors 'none'",
        },
    )


FORM: Final = Body(auth_limits.OAUTH_FORM_BYTES_MAX, is_held=True)
JSON_OR_FORM: Final = JsonBody(also=_OR_FORM)

ROUTES: Final = (
    Route(
        "/runtime/{app_id}/.well-known/openid-configuration", openid_configuration, methods=["GET"]
    ),
    Route("/runtime/oauth/start", start, methods=["GET"]),
    Route("/runtime/{app_id}/oauth/start", start, methods=["GET"]),
    Route("/runtime/oauth/callback", callback, methods=["GET", "POST"], body=FORM),
    Route("/runtime/oauth/token", token, methods=["POST"], body=JSON_OR_FORM),
    Route("/runtime/{app_id}/oauth/token", token, methods=["POST"], body=JSON_OR_FORM),
    Route("/runtime/oauth/id_token", id_token, methods=["POST"], body=JSON),
)
