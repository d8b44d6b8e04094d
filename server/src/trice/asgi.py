"""A server inside of another program: an ASGI application for Starlette, FastAPI, or alone.

    backend = trice.asgi.App(data_dir="trice-data", url="https://example.org/trice")
    app = FastAPI(lifespan=backend.lifespan)
    app.mount("/trice", backend)

It is the engine of `trice serve`, behind somebody else's port. The ASGI server frames WebSockets,
reads requests and bounds both: what picows and `api.bounded_http` do is not here. It needs asyncio
or uvloop, and one process: a data directory has one server.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import PathLike
from pathlib import Path
from types import FrameType
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from trice.config import Settings
from trice.errors import InvalidInput
from trice.server import Opened, Server

_URL: Final = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", re.IGNORECASE | re.ASCII)

_OF_THE_PORT: Final = frozenset(
    ("host", "port", "public_url", "websocket", "has_compression", "keep_alive_s")
)
"""Settings of a server that has a port of its own."""

_HANDED_ON: Final = frozenset(
    (
        *("type", "asgi", "http_version", "method", "scheme", "query_string", "headers"),
        *("client", "server", "subprotocols", "extensions"),
    )
)
"""What of a scope is the request's, and not the program's around us."""


class App:
    """An ASGI application that serves the apps of a data directory.

    Its `lifespan` opens the directory and closes it. Starlette runs no lifespan of what is mounted,
    so give it to the program, or enter it in the program's own:

        async with backend.lifespan(app):
            yield

    Alone (`uvicorn module:backend`) it runs by itself. It can be opened again after it was closed.
    """

    def __init__(
        self,
        data_dir: str | PathLike[str],
        *,
        url: str = "http://localhost:8000/trice",
        **settings: Any,
    ) -> None:
        """
        data_dir   everything the server keeps; made on first start
        url        what clients reach the mounted server by: URLs of files and of payloads of
                   webhooks begin with it
        settings   others of `trice.config.Settings`, but for those of the port
        raises     InvalidInput
        """
        wrong = sorted(_OF_THE_PORT.intersection(settings))
        if wrong:
            told = f"{', '.join(wrong)} is for a server with its own port; this one has `url`."
            raise InvalidInput("param-malformed", told)
        if not _URL.fullmatch(url):
            told = f"url is {url!r}, but must be like https://example.org/trice."
            raise InvalidInput("param-malformed", told)
        self.url = url.rstrip("/")
        self.settings = Settings(data_dir=Path(data_dir), websocket="asgi", **settings)
        self._opened: Opened | None = None

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """The server is at work until the block ends; sockets and event streams end with it.

        app      ignored: Starlette and FastAPI give theirs
        raises   OSError when another server has the data directory, also one of this process
        """
        if self._opened is not None:
            raise RuntimeError("this trice.asgi.App is open already")
        async with Server(self.settings).opened() as opened:
            opened.begin(self.url, door_url=self.url)
            self._opened = opened
            try:
                with _before_exit(opened.hub.stop):
                    yield
            finally:
                self._opened = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_alone(receive, send)
            return
        opened = self._opened
        if opened is None:
            raise RuntimeError(
                "the server is not open: give its lifespan to the program that it is mounted in,"
                " FastAPI(lifespan=backend.lifespan) or Starlette(lifespan=backend.lifespan)"
            )
        await opened.app(_inner(scope), receive, send)

    async def _run_alone(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol of ASGI."""
        await receive()
        is_open = False
        try:
            async with self.lifespan():
                is_open = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as failure:
            kind = "shutdown" if is_open else "startup"
            await send({"type": f"lifespan.{kind}.failed", "message": str(failure)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _inner(scope: Scope) -> Scope:
    """The scope as a server without a prefix sees it; `app_root_path` says what was cut off."""
    path, prefix = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    raw = scope.get("raw_path") or b""
    found = {name: value for name, value in scope.items() if name in _HANDED_ON}
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        path = path[len(prefix) :] or "/"
        # Without it, routes encode the path: the prefix may be written in more than one way.
        raw = raw[len(prefix) :] or b"/" if raw.startswith(prefix.encode()) else b""
    found.update(path=path, root_path="", app_root_path=prefix, state={})
    if raw:
        found["raw_path"] = raw
    return found


@contextmanager
def _before_exit(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` when the process is told to end, before who else handles the signal.

    uvicorn waits for event streams before it ends the lifespan, and they never end by themselves.
    Only the main thread may handle signals; elsewhere clients are told when the lifespan ends.
    """
    loop = asyncio.get_running_loop()
    replaced: list[tuple[signal.Signals, Any, Any]] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        if not callable(before):
            continue

        def handle(sig: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(stop)
            before(sig, frame)

        try:
            signal.signal(number, handle)
        except ValueError:
            break
        replaced.append((number, handle, before))
    try:
        yield
    finally:
        for number, handle, before in replaced:
            if signal.getsignal(number) is handle:
                signal.signal(number, before)
