"""Functions over HTTP: called, watched as events, listed (spec/functions.md FN220-FN229).

    POST /runtime/functions/NAME           {"args"} → {"value", "tx"?}
    GET  /runtime/functions/NAME/live      ?args={…} → events {"value", "tx"} | {"error", "tx"}
                                           &pages=3 of a list → {"pages", "count", "tx"}
    GET  /runtime/functions                what there is to call
    GET  /runtime/functions/openapi.json   the same as OpenAPI 3.1

Who calls is in the headers: `app-id`, and `authorization: Bearer` with a refresh token of a user
or the app's admin token; without one it is a guest. With the admin token, `as-email` of a call
names the user who calls.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import function_limits as limits
from trice.api.bodies import JsonBody, Route, json_body
from trice.api.callers import (
    Lent,
    administered,
    app_id_of,
    asked_app,
    bearer_token,
    check_again,
    guest_of,
    is_of_account,
)
from trice.api.middleware import encoded_response, json_response
from trice.api.parameters import idempotency_key, malformed
from trice.api.pieces import Pieces
from trice.apps.apps import App, Apps
from trice.auth.tokens import hash_token, identify, identify_email
from trice.calls.discovery import listed, openapi, visible
from trice.calls.door import args_key, bad_args
from trice.calls.functions import Functions
from trice.calls.hooks.hooks import Hooks
from trice.calls.live import LiveFunctions
from trice.calls.page_list import ListNews, PageList, encoded_page
from trice.calls.side import CallFailed
from trice.calls.watch import Answer, Watch
from trice.errors import InvalidInput, NotFound, TriceError
from trice.identity import ADMIN, Identity
from trice.protocol.ids import EventId, TxId, find_uuid_bytes
from trice.protocol.quoting import brief

_TRACE: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_KEEP_ALIVE_S: Final = 15
"""Between events that say nothing, so that proxies keep the connection."""


@asynccontextmanager
async def _caller(request: Request) -> AsyncIterator[Lent]:
    """Lend the app to whom the token names; a guest without one. Accounts that the app belongs to
    are admins, as for the admin API.

    raises   InvalidInput, NotFound("record-not-found") for a token that is none of this app
    """
    guest, token = guest_of(request), bearer_token(request)
    if token is not None and is_of_account(request, token):
        async with administered(request) as app:
            yield Lent(app, ADMIN)
        return
    if token is not None and find_uuid_bytes(token) is None:
        accepted = '"Bearer <token>", with a refresh token of a user or the admin token of the app'
        raise malformed("headers", "authorization", given=None, accepted=accepted)
    async with asked_app(request, app_id_of(request)) as app:
        if token is None:
            yield Lent(app, guest)
            return
        try:
            app.check_admin_token(token)
            lent = Lent(app, ADMIN)
        except NotFound:
            identity = await identify(app.database, token, request=guest)
            lent = Lent(app, identity, hash_token(token))
        yield lent


async def _acting(request: Request, lent: Lent) -> Identity:
    """Who calls: an admin may act as the user that `as-email` names.

    raises   InvalidInput, NotFound("record-not-found")
    """
    email = request.headers.get("as-email")
    if email is None:
        return lent.identity
    if not lent.identity.is_admin:
        raise malformed("headers", "as-email", given=None, accepted="sent by an admin of the app")
    return await identify_email(lent.app.database, email, request=guest_of(request))


async def call(request: Request) -> Response:
    """`POST /runtime/functions/NAME {"args"}` → `{"value", "tx"?}`."""
    functions: Functions = request.app.state.functions
    guest = guest_of(request)
    async with _caller(request) as lent:
        body = await json_body(request)
        if others := sorted(body.keys() - {"args"}):
            told = f"`{brief(others[0])}` stands beside `args`: arguments stand in it."
            hint = {"path": brief(others[0]), "expected": '{"args": {…}}', "got": None}
            raise InvalidInput("bad-args", told, hint)
        args = body.get("args")
        if args is not None and not isinstance(args, dict):
            raise bad_args("an object", args)
        try:
            result = await functions.call(
                *(lent.app, request.path_params["name"], args_key(args or {})),
                identity=await _acting(request, lent),
                event_id=_event_id_of(request, functions, lent.app),
                ip=guest.ip,
                origin=guest.origin,
                trace=trace_of(request),
            )
        except CallFailed as failure:
            status = failure.fail.status
            if status is not None and 400 <= status <= 599:
                request.state.status = status
            raise
    tx = b"" if result.tx is None else b',"tx":%d' % result.tx
    return encoded_response(b'{"value":%b%b}' % (result.value, tx))


async def listing(request: Request) -> Response:
    """`GET /runtime/functions` → `{"functions"}`: those that the caller may know of."""
    functions: Functions = request.app.state.functions
    async with _caller(request) as lent:
        shown = visible(functions.signatures(lent.app), is_admin=lent.identity.is_admin)
        hooks: Hooks = request.app.state.hooks
        states = {lane.name: lane.state for lane in hooks.lanes(lent.app.id)}
        return json_response({"functions": [listed(each, states) for each in shown]})


async def openapi_document(request: Request) -> Response:
    """`GET /runtime/functions/openapi.json`: the same, as OpenAPI 3.1."""
    functions: Functions = request.app.state.functions
    async with _caller(request) as lent:
        shown = visible(functions.signatures(lent.app), is_admin=lent.identity.is_admin)
        base_url = request.app.state.settings.public_url or str(request.base_url)
        document = openapi(
            shown, title=lent.app.title, base_url=base_url.rstrip("/"), app_id=lent.app.id
        )
        return json_response(document)


async def live(request: Request) -> Response:
    """`GET /runtime/functions/NAME/live?args={…}`: an event for each answer, until either side
    ends it; the server does when the token that it was asked with ends. It counts as a session of
    the app."""
    watched: LiveFunctions = request.app.state.live_functions
    guest = guest_of(request)
    args, pages = _args_in_query(request), _pages_in_query(request)
    async with AsyncExitStack() as stack:
        lent = await stack.enter_async_context(_caller(request))
        apps: Apps = request.app.state.apps
        stack.callback(apps.give_back_socket, await apps.lend_socket(lent.app.id))
        events = _Events(_check_of(request, lent), pages)
        call = (lent.app, request.path_params["name"], args)
        who: dict[str, Any] = {"identity": lent.identity, "ip": guest.ip, "origin": guest.origin}
        if pages:
            found = PageList(*(watched, *call), on_news=events.on_pages, on_end=events.end, **who)
            stack.callback(found.close)
        else:
            watch = watched.watch(*call, on_news=events.on_news, on_end=events.end, **who)
            stack.callback(watched.unwatch, lent.app, watch)
        if lent.hashed_token is not None:
            lent.app.database.watch_token(lent.hashed_token, events.end)
            stack.callback(lent.app.database.unwatch_token, lent.hashed_token, events.end)
        events.held = stack.pop_all()
    return Pieces(
        events.pieces(),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"},
        on_end=events.close,
    )


def _check_of(request: Request, lent: Lent) -> Callable[[], None]:
    """What raises TriceError once the admin who asks is none any more."""
    token = bearer_token(request)
    if token is None or not lent.identity.is_admin:
        return lambda: None
    if getattr(request.state, "account_token", None) is not None:
        return lambda: check_again(request, lent.app.id, token)
    return lambda: lent.app.check_admin_token(token)


class _Events:
    """One client that watches one call: it skips answers that it was too slow for, but never the
    last one."""

    def __init__(self, check: Callable[[], None], pages_max: int) -> None:
        """
        check      called before each event; what it raises ends them
        pages_max  of a list: how many are loaded
        """
        self._check = check
        self._pages_max = pages_max
        self._pages: PageList | None = None
        self.held = AsyncExitStack()
        self._watch: Watch | None = None
        self._is_over = False
        self._change = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    def on_news(self, watch: Watch) -> None:
        self._watch = watch
        self._change.set()

    def on_pages(self, pages: PageList) -> None:
        self._pages = pages
        self._change.set()

    def end(self) -> None:
        """Send nothing more."""
        self._is_over = True
        self._change.set()

    def close(self) -> None:
        """Give back what the request held."""
        self._closing = asyncio.get_running_loop().create_task(self.held.aclose())

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        while not self._is_over:
            answer = None if self._watch is None else self._watch.answer
            if answer is not None and self._watch is not None:
                if not self._is_allowed():
                    return
                watch, self._watch = self._watch, None
                label = watch.label()
                watch.tell(answer)
                yield _event(answer, label)
                continue
            pages, self._pages = self._pages, None
            news = None if pages is None else pages.take()
            if pages is not None and news is not None:
                if not self._is_allowed():
                    return
                if len(pages) < self._pages_max:
                    with suppress(TriceError):  # then these are all
                        pages.more()
                yield _event_of_list(news)
                continue
            self._change.clear()
            try:
                await asyncio.wait_for(self._change.wait(), _KEEP_ALIVE_S)
            except TimeoutError:
                if not self._is_allowed():
                    return
                yield b": keep-alive\n\n"

    def _is_allowed(self) -> bool:
        try:
            self._check()
        except TriceError:
            return False
        return True


def _event(answer: Answer, tx: TxId) -> bytes:
    if answer.value is not None:
        return b'data: {"value":%b,"tx":%d}\n\n' % (answer.value, tx)
    assert answer.error is not None, "an answer is a value or an error"
    return b'data: {"error":%b,"tx":%d}\n\n' % (orjson.dumps(answer.error.body()), tx)


def _event_of_list(news: ListNews) -> bytes:
    return b'data: {"pages":[%b],"count":%d%b,"tx":%d}\n\n' % (
        b",".join(encoded_page(page) for page in news.pages),
        news.count,
        b',"whole":true' if news.is_whole else b"",
        news.tx,
    )


def _pages_in_query(request: Request) -> int:
    """How many pages of a list are asked for; 0: it is no list."""
    given = request.query_params.get("pages")
    if given is None:
        return 0
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= limits.PAGES_MAX:
        accepted = f"a whole number from 1 to {limits.PAGES_MAX}"
        raise malformed("params", "pages", given=brief(given), accepted=accepted)
    return int(given)


def _args_in_query(request: Request) -> bytes:
    given = request.query_params.get("args", "{}")
    try:
        args = orjson.loads(given)
    except orjson.JSONDecodeError as cause:
        accepted = "a JSON object"
        raise malformed("params", "args", given=brief(given), accepted=accepted) from cause
    if not isinstance(args, dict):
        raise bad_args("an object", args)
    return args_key(args)


def _event_id_of(request: Request, functions: Functions, app: App) -> EventId | None:
    """The event id that a mutation is recognised by. raises   InvalidInput, for actions too"""
    given = idempotency_key(request)
    if given is None:
        return None
    known = functions.door.deployed.signatures(app.id).get(request.path_params["name"])
    if known is not None and known.kind == "action":
        accepted = "no key: an action is not kept, and sent again it runs again; a mutation is"
        raise malformed("headers", "idempotency-key", given=brief(given), accepted=accepted)
    return given


def trace_of(request: Request) -> str | None:
    """The trace id of W3C's `traceparent`, if there is a good one."""
    found = _TRACE.fullmatch(request.headers.get("traceparent", "").strip().lower())
    return None if found is None or set(found[1]) == {"0"} else found[1]


_BODY: Final = JsonBody(bytes_max=limits.ARGS_BYTES_MAX + 1_024)

ROUTES: Final = (
    Route("/runtime/functions", listing, methods=["GET"]),
    Route("/runtime/functions/openapi.json", openapi_document, methods=["GET"]),
    Route("/runtime/functions/{name}", call, methods=["POST"], body=_BODY),
    Route("/runtime/functions/{name}/live", live, methods=["GET"]),
)
