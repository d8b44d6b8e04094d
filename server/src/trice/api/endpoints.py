"""Endpoints of apps over HTTP (spec/functions.md FN520-FN549).

    ANY /http/APP/PATH   what a function of the app answers

    request ──> its app ──> its endpoint ──> who asks, how often ──> body ──> a call, which has a
    worker's place until the answer has left ──> whole, or piece by piece as the client reads

Nothing of an app may run, set or read anything on the origin of this server: see `_SANDBOX`,
`functions/http_headers`, and `TRICE_HTTP_HOST`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from trice import endpoint_limits as limits
from trice.api.bodies import Body, Route
from trice.api.callers import asked_app, bearer_token, guest_of
from trice.api.functions import trace_of
from trice.api.middleware import ENDPOINTS_PATH, always_answer, prefix_of
from trice.api.parameters import malformed
from trice.api.pieces import Pieces
from trice.apps.app import App
from trice.apps.apps import Apps
from trice.auth.tokens import identify
from trice.calls.answering import Answering
from trice.calls.door import Asked, args_key
from trice.calls.endpoints import Endpoints, Found
from trice.calls.side import CallFailed
from trice.config import Settings
from trice.errors import NotFound, PermissionDenied, TriceError
from trice.functions.frames import HttpRequest, Pairs, Reply
from trice.functions.signature import Signature
from trice.identity import ADMIN, Identity, network_of
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import bare, brief

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SANDBOX: Final = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"
"""A page has an origin that nobody else has: it reads no storage or cookies of this one, and what
it asks comes from `null`. Without `allow-same-origin`, whatever the app says itself."""


async def endpoint(request: Request) -> Response:
    """`ANY /http/APP/PATH`: what the endpoint of this method and path answers."""
    endpoints: Endpoints = request.app.state.endpoints
    app_id = request.path_params["app_id"]
    if find_uuid_bytes(app_id) is None:
        raise _nowhere(request)
    async with asked_app(request, app_id.lower()) as app:
        path, segments = _path_of(request)
        found = endpoints.find(app.id, segments)
        if not found.by_method:
            raise _nowhere(request)
        _answer_cors(request, found)
        if request.method == "OPTIONS" and _is_answered_here(request, found):
            return _options(request, found)
        meant = found.get(request.method)
        if meant is None:
            raise _not_taken(request, found)
        signature, args = meant
        asked = await _let_in(request, endpoints, app, signature, args)
        with ExitStack() as held:
            network = network_of(guest_of(request).ip)
            body = await _read(request, held.enter_context(endpoints.hold(app.id, network)))
            given = _request_of(request, path, body, is_open=signature.auth == "none")
            apps: Apps = request.app.state.apps
            held.callback(apps.give_back, await apps.lend(app.id, is_own=True))
            left = held.pop_all()
        return await _answer(request, asked, given, when_ended=left.close)


async def _read(request: Request, note: Callable[[int], None]) -> bytes:
    """The body; `note` is told of what the request has so far, and may refuse it."""
    body = bytearray()
    headers: list[tuple[bytes, bytes]] = request.scope["headers"]
    headers_bytes = sum(
        len(name) + len(value) + limits.HEADER_COST_BYTES for name, value in headers
    )
    note(headers_bytes)
    async for piece in request.stream():
        body += piece
        note(headers_bytes + len(body))
    return bytes(body)


async def _let_in(
    request: Request, endpoints: Endpoints, app: App, signature: Signature, args: dict[str, Any]
) -> Asked:
    """Who asks, and whether they may, before the body is read."""
    guest = guest_of(request)
    identity = await _identity_of(request, app, signature, guest)
    door = endpoints.functions.door
    try:
        asked = door.let_in(
            *(app, signature.name, args_key(args)),
            identity=identity,
            kind="endpoint",
            ip=guest.ip,
            origin=guest.origin,
            trace=trace_of(request),
        )
    except PermissionDenied as refusal:
        if refusal.code == "permission-denied":
            request.state.status = 403  # here nobody expects the 400 of Instant's clients
        raise
    door.take_token(asked)
    return asked


async def _identity_of(
    request: Request, app: App, signature: Signature, guest: Identity
) -> Identity:
    """raises   PermissionDenied("signed-out") for a token that is none of this app"""
    token = None if signature.auth == "none" else bearer_token(request)
    if token is None:
        return guest
    try:
        if find_uuid_bytes(token) is None:
            raise _unknown_token()
        try:
            app.check_admin_token(token)
        except NotFound:
            return await identify(app.database, token, request=guest)
        return ADMIN
    except NotFound:
        raise _unknown_token() from None


async def _answer(
    request: Request, asked: Asked, given: HttpRequest, *, when_ended: Callable[[], object]
) -> Response:
    """Run the call. It goes on when the client leaves, unless it streams."""
    functions = request.app.state.endpoints.functions
    answer = Answering()
    call = functions.outlive(functions.answer(asked, given, answer), then=when_ended)
    try:
        reply = await answer.head(call)
    except CallFailed as failure:
        status = failure.fail.status
        if status is not None and 400 <= status <= 599:
            request.state.status = status
        raise
    headers = _headers_of(request, reply)
    if reply.is_stream and request.method != "HEAD":
        pieces = Pieces(answer.pieces(call), media_type="", on_end=call.cancel)
        pieces.status_code, pieces.raw_headers = reply.status, headers
        return pieces
    call.cancel()
    response = Response(reply.body, reply.status)
    length = [pair for pair in response.raw_headers if pair[0] == b"content-length"]
    # Of a stream nobody knows how long it is: HEAD does not say.
    response.raw_headers = headers if reply.is_stream else length + headers
    return response


def _headers_of(request: Request, reply: Reply) -> list[tuple[bytes, bytes]]:
    """Those of the answer; a policy of its own holds beside ours, not in its place."""
    settings: Settings = request.app.state.settings
    policies = [value for name, value in reply.headers if name == "content-security-policy"]
    given = [pair for pair in reply.headers if pair[0] != "content-security-policy"]
    if settings.http_host is None:
        policies.insert(0, _SANDBOX)
    if policies:
        given.append(("content-security-policy", ", ".join(policies)))
    if getattr(request.state, "varies_by_origin", False):
        given.append(("vary", "origin"))
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given]


# --- what is asked --------------------------------------------------------------------------------


def _path_of(request: Request) -> tuple[str, list[str]]:
    """The path below the app, and its segments: an escaped slash is part of one.

    raises   NotFound for a slash before the app's path that is escaped: whoever stands before this
             server and looks at paths would take another one for the endpoint's
    """
    raw = _raw_path(request)
    if unquote("/".join(raw.split("/")[:3])) != f"{ENDPOINTS_PATH}{request.path_params['app_id']}":
        raise _nowhere(request)
    parts = raw.split("/")[3:]
    try:
        segments = [unquote(each, errors="strict") for each in parts]
    except UnicodeDecodeError as cause:
        accepted = "UTF-8 in its escapes"
        raise malformed("path", given=brief(request.url.path), accepted=accepted) from cause
    return "/" + "/".join(segments), [] if segments == [""] else segments


def _request_of(request: Request, path: str, body: bytes, *, is_open: bool) -> HttpRequest:
    """What the function is told. Cookies of this host are not the app's to read; nor is a token
    that was looked at here.

    is_open   no token was looked at: then what `authorization` says is the app's own business
    """
    hidden = ("cookie",) if is_open else ("cookie", "authorization")
    headers: Pairs = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in request.scope["headers"]
    ]
    return HttpRequest(
        method=request.method,
        url=_url_of(request),
        path=path,
        headers=[pair for pair in headers if pair[0] not in hidden],
        body=body,
    )


def _url_of(request: Request) -> str:
    """As the client asked it, as far as it is known here: proxies end TLS."""
    settings: Settings = request.app.state.settings
    scheme, _, host = (settings.public_url or "").partition("://")
    scheme, host = scheme or request.url.scheme, host or request.url.netloc
    query = request.scope["query_string"].decode("latin-1")
    own_host = settings.http_host_of(request.path_params["app_id"])
    base = f"{scheme}://{own_host or host}{prefix_of(request.scope)}"
    return f"{base}{_raw_path(request)}{'?' if query else ''}{query}"


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    return raw.decode("latin-1")


# --- methods, origins -----------------------------------------------------------------------------


def _asked_method(request: Request) -> str | None:
    """The method that a browser asks about, before a page may use it."""
    if "origin" not in request.headers:
        return None
    return request.headers.get("access-control-request-method")


def _is_answered_here(request: Request, found: Found) -> bool:
    return _asked_method(request) is not None or "OPTIONS" not in found.by_method


def _answer_cors(request: Request, found: Found) -> None:
    """Let pages of the origins that the endpoint names read the answer, also one that is an
    error. No cookies are ever part of it."""
    meant = found.get(_asked_method(request) or request.method)
    if meant is None or meant[0].route is None or not meant[0].route.cors:
        return
    accepted, origin = meant[0].route.cors, request.headers.get("origin")
    is_for_all = "*" in accepted
    if not is_for_all:
        request.state.varies_by_origin = True
        request.state.error_headers = {"vary": "origin"}
    if origin is None or not (is_for_all or origin in accepted):
        return
    headers = {
        "access-control-allow-origin": "*" if is_for_all else origin,
        "access-control-expose-headers": "*",
    }
    if request.method == "OPTIONS" and _asked_method(request) is not None:
        asked = request.headers.get("access-control-request-headers")
        headers["access-control-allow-methods"] = ", ".join(found.allowed)
        headers["access-control-max-age"] = str(limits.CORS_AGE_S)
        headers |= {} if asked is None else {"access-control-allow-headers": asked}
    always_answer(request.scope, headers)


def _options(request: Request, found: Found) -> Response:
    response = Response(status_code=204, headers={"allow": ", ".join(found.allowed)})
    if _asked_method(request) is not None:
        response.headers["vary"] = "origin, access-control-request-headers"
    return response


# --- refusals -------------------------------------------------------------------------------------


def _nowhere(request: Request) -> NotFound:
    """It names no other path: those of an app are nobody's business."""
    shown = bare(request.url.path)
    message = f"No endpoint is at {shown}. Is it written as in the code, and deployed?"
    return NotFound("route-not-found", message, {"path": brief(request.url.path)})


def _not_taken(request: Request, found: Found) -> TriceError:
    allowed = found.allowed
    request.state.status = 405
    known = getattr(request.state, "error_headers", {})
    request.state.error_headers = {**known, "allow": ", ".join(allowed)}
    message = f"{bare(request.method)} is not taken here, but {', '.join(allowed)}."
    return NotFound("route-not-found", message, {"methods": allowed})


def _unknown_token() -> PermissionDenied:
    return PermissionDenied(
        "signed-out",
        "The token is none of this app: send the refresh token of a user, or the admin token, as"
        ' "authorization: Bearer <token>".',
    )


_BODY: Final = Body(bytes_max=limits.BODY_BYTES_MAX, is_held=True)

ROUTES: Final = (
    Route(f"{ENDPOINTS_PATH}{{app_id}}", endpoint, methods=list(_METHODS), body=_BODY),
    Route(
        f"{ENDPOINTS_PATH}{{app_id}}/{{path:path}}", endpoint, methods=list(_METHODS), body=_BODY
    ),
)
