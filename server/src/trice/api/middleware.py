"""The layer around every request: CORS, trace id, failures as JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trice.errors import Bug, TriceError, Unavailable
from trice.log import fields
from trice.metrics import RequestCounts
from trice.protocol.errors import CODES
from trice.runtime import Runtime, new_uuid

logger: Final = logging.getLogger("trice.api")
request_logger: Final = logging.getLogger("trice.request")

_METHODS: Final = "GET, POST, PUT, PATCH, DELETE"
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin"),
)


_OWN_PAGES: Final = frozenset(
    f"/platform/oauth/{step}" for step in ("start", "claim", "grant", "deny")
)
"""Paths that only browsers open and pages of this server ask: those of others may not read them
(instant-http §4.9)."""

ENDPOINTS_PATH: Final = "/http/"
"""What begins so is answered by functions of apps, which say who may read it (`api.endpoints`)."""

_ON_ANSWER: Final = "trice.on-answer"
"""Key in a scope for the calls to make once its request is answered."""


_HEADERS: Final = "trice.headers"
"""Key in a scope for headers that its answer has, also when the request fails."""


def always_answer(scope: Scope, headers: Mapping[str, str]) -> None:
    """Give the answer of a request these headers, whatever becomes of it. With
    `access-control-expose-headers`, pages of other origins can read the ones that it names."""
    scope[_HEADERS] = headers


def when_answered(scope: Scope, call: Callable[[], object]) -> None:
    """Call `call` as soon as the answer of a request begins, or the client has left."""
    assert _ON_ANSWER not in scope, "a request holds one thing until it is answered"
    scope[_ON_ANSWER] = call


def _end_work(scope: Scope) -> None:
    call = scope.pop(_ON_ANSWER, None)
    if call is not None:
        call()


def prefix_of(scope: Scope) -> str:
    """What stands before the path of each route: `/trice` where the application is mounted in
    another one (`trice.asgi`), else nothing."""
    return str(scope.get("app_root_path", ""))


def json_response(body: object, *, status: int = 200) -> Response:
    """Any JSON value as a response; bytes inside `orjson.Fragment` go out as they are."""
    return encoded_response(orjson.dumps(body), status=status)


def encoded_response(body_json: bytes, *, status: int = 200) -> Response:
    """JSON as a response. What may be large was encoded on the thread that read it."""
    return Response(body_json, status, media_type="application/json; charset=utf-8")


def error_response(
    failure: TriceError,
    *,
    trace_id: str,
    more: Mapping[str, str] | None = None,
    status: int | None = None,
) -> Response:
    """The one place where a failure becomes an HTTP response (instant-http §0.9).

    more     what the body has besides
    status   that a function of the app asked for; None: that of the code
    """
    if failure.code == "oauth-error":
        # The person who signs in sees this body, the only one of another shape.
        body = {"type": failure.code, "error": failure.message}
    else:
        body = failure.body()
    if status is None:
        status = 401 if _is_signed_out(failure) else CODES[failure.code].http_status
    return json_response({**body, **(more or {}), "trace-id": trace_id}, status=status)


def _is_signed_out(failure: TriceError) -> bool:
    """Whether the token of a dashboard user is unknown; then clients sign in again."""
    args = failure.hint.get("args")
    return isinstance(args, list) and bool(args) and args[0] == {"auth?": True}


@dataclass(slots=True)
class _Answered:
    """How much of an answer has left; status 0: nothing."""

    trace_id: str
    status: int = 0
    bytes: int = 0


def _template(scope: Scope) -> str:
    """The path with names in place of the parameters that a route takes from it. So ids, and paths
    that no route has, stay out of the log."""
    if "endpoint" not in scope:
        return "/{path}"  # not even the route for all other paths matched
    path = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        if value:
            path = path.replace(str(value), f"{{{name}}}", 1)
    return path


class Boundary:
    """Outermost ASGI layer of the HTTP routes. WebSockets pass through untouched.

    counts      the counts that it adds to
    log_level   level of the line that is logged for each answered request
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Runtime,
        counts: RequestCounts | None = None,
        log_level: int = logging.DEBUG,
    ) -> None:
        self._app = app
        self._runtime = runtime
        self._counts = counts or RequestCounts()
        self._log_level = log_level

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"]
        is_ours = path not in _OWN_PAGES and not path.startswith(ENDPOINTS_PATH)
        origin = headers.get("origin") if is_ours else None
        if scope["method"] == "OPTIONS" and origin is not None and _asks_first(headers):
            await _preflight(headers, origin)(scope, receive, send)
            return
        answer = _Answered(new_uuid(self._runtime))
        began_ms = self._runtime.monotonic_ms()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                MutableHeaders(scope=message).update(scope.get(_HEADERS, {}))
                _add_headers(message, origin, answer.trace_id)
                _end_work(scope)
            await send(message)
            answer.bytes += len(message.get("body", b""))

        try:
            await self._answer(scope, receive, send_with_headers, answer)
        finally:
            _end_work(scope)
            self._counts.by_class[min(answer.status // 100, 5)] += 1
            if request_logger.isEnabledFor(self._log_level):
                self._log(scope, answer, self._runtime.monotonic_ms() - began_ms)

    async def _answer(
        self, scope: Scope, receive: Receive, send_with_headers: Send, answer: _Answered
    ) -> None:
        try:
            refusal = scope.get("state", {}).get("refusal")
            if refusal is not None:
                raise refusal  # the connection answers: see `bounded_http`
            await self._app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # Only the stop of the server cancels requests; a traceback would look like a bug.
            logger.info("request cut off by the stop %s", fields(path=scope["path"]))
            if not answer.status:
                stopping = Unavailable("overloaded", "The server is stopping; try again.")
                response = error_response(stopping, trace_id=answer.trace_id)
                await response(scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.debug("client left %s", fields(path=scope["path"]))
        except Exception as cause:
            response = self._explain(cause, scope, answer.trace_id)
            response.headers.update(scope.get("state", {}).get("error_headers", {}))
            if answer.status:
                raise
            await response(scope, receive, send_with_headers)

    def _log(self, scope: Scope, answer: _Answered, took_ms: float) -> None:
        line = fields(
            method=scope["method"],
            path=_template(scope),
            status=answer.status or "none",
            ms=round(took_ms, 1),
            bytes=answer.bytes,
            trace=answer.trace_id,
        )
        request_logger.log(self._log_level, "request %s", line)

    def _explain(self, cause: Exception, scope: Scope, trace_id: str) -> Response:
        failure = cause if isinstance(cause, TriceError) else _bug(cause)
        is_bug = isinstance(failure, Bug)
        logger.log(
            logging.ERROR if is_bug else logging.DEBUG,
            "request failed %s",
            fields(path=scope["path"], code=failure.code, trace=trace_id, message=failure.message),
            exc_info=cause if is_bug else None,
        )
        state = scope.get("state", {})
        more = None if is_bug else state.get("error_body")
        status = None if is_bug else state.get("status")
        return error_response(failure, trace_id=trace_id, more=more, status=status)


def _bug(cause: Exception) -> Bug:
    bug = Bug("unknown", "Something went wrong in the server. The log has the trace id.")
    bug.__cause__ = cause
    return bug


def _asks_first(headers: Headers) -> bool:
    """Whether a browser asks what a page may send, and not a page itself what a route takes."""
    return any(f"access-control-request-{what}" in headers for what in ("method", "headers"))


def _preflight(headers: Headers, origin: str) -> Response:
    return Response(
        status_code=200,
        headers={
            "access-control-allow-origin": origin,
            "access-control-allow-methods": _METHODS,
            "access-control-allow-headers": headers.get("access-control-request-headers", "*"),
            "access-control-max-age": "600",
            "cache-control": "public, max-age=600",
            "vary": "origin, Access-Control-Request-Headers",
        },
    )


def _add_headers(message: Message, origin: str | None, trace_id: str) -> None:
    raw = message["headers"]
    given = {name for name, _ in raw}
    raw.append((b"x-trace-id", trace_id.encode()))
    raw.extend(pair for pair in _SECURITY if pair[0] not in given)
    if origin is not None and b"access-control-allow-origin" not in given:
        headers = MutableHeaders(scope=message)
        headers["access-control-allow-origin"] = origin
        headers.setdefault("access-control-expose-headers", "x-trace-id")
        headers.add_vary_header("origin")
