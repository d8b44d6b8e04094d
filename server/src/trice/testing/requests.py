"""Requests of the endpoints of a test's app, by the routes that a server has, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import Message

from trice.api.endpoints import ROUTES
from trice.api.middleware import Boundary
from trice.apps.app import App
from trice.calls.endpoints import Endpoints
from trice.config import Settings
from trice.functions.http_headers import Fields
from trice.functions.values import encoded
from trice.testing.stage import Stage

BYTES_MAX: Final = 9 * 1024 * 1024
"""Of an answer; a stream of more is taken for one without end."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an endpoint answered.

    headers   names in upper and lower case are the same
    body      raw bytes; of a stream, all of its pieces
    """

    status: int
    headers: Fields
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()


class _OneApp:
    """In place of `Apps`: the app of the test."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def lend(self, app_id: str, *, is_own: bool = False) -> App:
        self._app.users += 1
        return self._app

    def give_back(self, app: App) -> None:
        app.users -= 1


def _server(stage: Stage) -> Starlette:
    if stage.server is None:
        made = Starlette(routes=[*ROUTES], middleware=[Middleware(Boundary, runtime=stage.clock)])
        made.state.settings = Settings()
        made.state.apps = _OneApp(stage.app)
        made.state.endpoints = Endpoints(stage.functions)
        stage.server = made
    server: Starlette = stage.server
    return server


async def ask(
    stage: Stage,
    method: str,
    path: str,
    *,
    token: str | None,
    json: Any = ...,
    body: bytes | str = b"",
    headers: Mapping[str, str],
) -> HttpAnswer:
    """One request, with what is due because of it done before this returns.

    path   below the app, with a query if there is one
    raises AssertionError for an answer that is cut off, or has no end
    """
    if not path.startswith("/"):
        raise ValueError(f"The path of a request begins with /, as in '/stripe', not {path!r}")
    raw = body.encode() if isinstance(body, str) else body
    given = {name.lower(): value for name, value in headers.items()}
    if json is not ...:
        raw = orjson.dumps(json, default=encoded)
        given.setdefault("content-type", "application/json")
    if token is not None:
        given["authorization"] = f"Bearer {token}"
    given.setdefault("host", "testserver")
    given["content-length"] = str(len(raw))
    exchange = _Exchange(raw)
    target, _, query = path.partition("?")
    whole = f"/http/{stage.app.id}{target}"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method.upper(),
        "scheme": "http",
        "path": whole,
        "raw_path": whole.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        "state": {},
    }
    failure = None
    try:
        await _server(stage)(scope, exchange.receive, exchange.send)
    except Exception as cause:
        failure = cause
    finally:
        await stage.settle()
    if not exchange.is_whole:
        raise AssertionError(f"The answer was cut off: {failure}") from failure
    found = Fields(exchange.headers, is_folded=True)
    return HttpAnswer(
        exchange.status, found, b"" if method.upper() == "HEAD" else bytes(exchange.body)
    )


class _Exchange:
    """The other end: sends the body, and takes what comes."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.is_whole = False
        self._left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._never = asyncio.Event()

    async def receive(self) -> Message:
        if not self._left:
            await self._never.wait()  # it reads to the end
        return self._left.pop()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [
                (k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]
            ]
            return
        self.body += message.get("body", b"")
        self.is_whole = not message.get("more_body", False)
        if len(self.body) > BYTES_MAX:
            raise AssertionError(f"The answer has more than {BYTES_MAX:,} bytes: has it an end?")
