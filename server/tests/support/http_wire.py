"""HTTP connections over loopback, on a clock that the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.server import ServerState

from support.patience import WAIT_S
from support.runtime import FakeRuntime
from trice.api.bodies import Body, Route, whole_body
from trice.api.bounded_http import make_http_class
from trice.api.connections import Connections
from trice.api.middleware import Boundary, json_response
from trice.api.pieces import Pieces

STREAM_BYTES_MAX = 4 * 1024**3
SMALL_BYTES_MAX = 1_000
PIECE_BYTES = 50_000


async def _large(request: Request) -> Response:
    return json_response("x" * request.path_params["size"])


async def _count(request: Request) -> Response:
    return json_response(len(await whole_body(request)))


async def until(is_so: Callable[[], Any]) -> None:
    """Let the loop run until `is_so` returns a true value."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110 - no event tells what the others did
            await asyncio.sleep(0)


class Client:
    """One connection from the other side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        """The next status line and headers."""
        async with asyncio.timeout(WAIT_S):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def bytes(self, count: int) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self._reader.readexactly(count)

    async def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        async with asyncio.timeout(WAIT_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def get(self, path: str) -> bytes:
        """Send a request; return the head and body of the answer."""
        self.say(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode())
        head = await self.head()
        size = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await self.bytes(int(size))


class Wire:
    """A listening server whose app is made of the parts of ours.

    /large/N    N bytes
    /wait       answered once `gate` is set
    /pieces/N   a stream of N pieces of PIECE_BYTES each; `asked` counts them, `ended` streams
    /silent     a stream of one piece and no end
    /stream     a body in pieces, of STREAM_BYTES_MAX at most; each taken once `gate` is set, then
                it is counted in `taken`
    /small      a body of SMALL_BYTES_MAX at most
    any POST    is answered with the number of bytes that came
    """

    def __init__(self, **options: Any) -> None:
        self.runtime = FakeRuntime()
        self.gate = asyncio.Event()
        self.asked = self.ended = self.taken = 0
        self.connections = Connections(self.runtime, **options)
        self.made: list[Any] = []
        self.clients: list[Client] = []

    def _routes(self) -> list[Route]:
        both = ["GET", "POST"]
        stream, small = Body(STREAM_BYTES_MAX), Body(SMALL_BYTES_MAX, is_held=True)
        return [
            Route("/large/{size:int}", _large, methods=["GET"]),
            Route("/wait", self._wait, methods=["GET"]),
            Route("/pieces/{count:int}", self._pieces, methods=["GET"]),
            Route("/silent", self._silent, methods=["GET"]),
            Route("/stream", self._stream, methods=["POST"], body=stream),
            Route("/small", _count, methods=["POST"], body=small),
            Route("/{path:path}", _count, methods=both, body=Body(is_held=True)),
        ]

    async def _wait(self, request: Request) -> Response:
        await self.gate.wait()
        return json_response(0)

    async def _pieces(self, request: Request) -> Response:
        async def pieces() -> AsyncGenerator[bytes, None]:
            try:
                for _ in range(request.path_params["count"]):
                    self.asked += 1
                    yield b"x" * PIECE_BYTES
            finally:
                self.ended += 1

        return Pieces(pieces(), media_type="text/plain")

    async def _silent(self, request: Request) -> Response:
        async def pieces() -> AsyncGenerator[bytes, None]:
            try:
                yield b"x"
                await asyncio.Event().wait()
            finally:
                self.ended += 1

        return Pieces(pieces(), media_type="text/plain")

    async def _stream(self, request: Request) -> Response:
        async for piece in request.stream():
            await self.gate.wait()
            self.taken += len(piece)
        return json_response(self.taken)

    async def open(self) -> None:
        boundary = Middleware(Boundary, runtime=self.runtime)
        app = Starlette(routes=self._routes(), middleware=[boundary])
        config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_keep_alive=75)
        config.load()
        state, made = ServerState(), make_http_class(self.connections)

        def accept() -> asyncio.Protocol:
            self.made.append(made(config=config, server_state=state, app_state={}))
            return self.made[-1]

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(accept, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]

    async def client(self, address: str = "127.0.0.1") -> Client:
        """A new connection, from an address of this machine."""
        count = len(self.made)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(address, 0)
        )
        await until(lambda: len(self.made) > count and self.made[count].transport is not None)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    def pass_time(self, duration_ms: int) -> None:
        """Move the server's clock while its loop runs."""
        while duration_ms > 0:
            self.runtime.advance(min(duration_ms, 1_000))
            duration_ms -= 1_000
            self.connections.check()

    async def close(self) -> None:
        self.gate.set()
        for client in self.clients:
            client.writer.close()
        self._server.close()
        await until(lambda: not len(self.connections))
        await asyncio.sleep(0)


@asynccontextmanager
async def wire(**options: Any) -> AsyncIterator[Wire]:
    made = Wire(**options)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
