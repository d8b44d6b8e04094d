"""Processes that write and read a stream until they are killed (`support/kill_streams.py`).

Both know what the stream holds, and connect again by themselves, to the address that stands in the
file `url` of their folder. They say, through a pipe:

    ("flushed", N)   writer: N bytes are durable      ("have", N)   reader: it has N bytes
    ("done", N)      writer: so is the end            ("end", N)    reader: it has the end
    ("wrong", TEXT)  what must not be
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from support.patience import WAIT_S

LETTERS = "The quick brown fox – jüngst – 飛び越える 🦊 "
CHUNKS_MAX = (20, 60, 150, 500)
"""Of a stream, one of these: a long one has a dozen parts."""
SIZES = ((1, 30), (1, 30), (200, 3_000), (20_000, 250_000))
"""Of chunks, in characters; one of these, at random."""
CHUNKS_AT_ONCE = 4
AHEAD_BYTES = 3 << 20
"""How far a writer goes beyond what is durable; more than the server flushes at a time."""
RETRY_S = 0.02
"""How long a client that was cut off waits before it tries again, as clients do."""
BROKEN = (OSError, WebSocketException, httpx.TransportError)
"""What a client sees of a server that was killed."""


@dataclass(frozen=True, slots=True)
class Work:
    """A stream that is written and read.

    folder   has the address of the server in `url`
    name     its client id
    seed     of its text
    """

    folder: Path
    app_id: str
    admin_token: str
    name: str
    reconnect_token: str
    seed: int

    def chunks(self) -> list[str]:
        """What is written, in order."""
        choices = random.Random(self.seed)
        found = []
        for _ in range(choices.randrange(1, choices.choice(CHUNKS_MAX))):
            size, start = choices.randint(*choices.choice(SIZES)), choices.randrange(40)
            found.append((LETTERS * (size // len(LETTERS) + 2))[start : start + size])
        return found

    def data(self) -> bytes:
        """All of it."""
        return "".join(self.chunks()).encode()


class Refused(Exception):
    """The server answered with an error."""


def write(work: Work, pipe: Connection) -> None:
    """Write the stream to its end, from wherever the server is."""
    asyncio.run(_until_done(_Writer(work, pipe)))


def read(work: Work, offset: int, pipe: Connection) -> None:
    """Read the stream from `offset` to its end."""
    asyncio.run(_until_done(_Reader(work, offset, pipe)))


async def _until_done(worker: _Writer | _Reader) -> None:
    while True:
        try:
            async with _connected(worker.work) as socket:
                await worker.run(socket)
                return
        except BROKEN:
            await asyncio.sleep(RETRY_S)
        except (Refused, AssertionError) as problem:
            worker.pipe.send(("wrong", f"{worker.work.name}: {problem!r}"))
            return


@asynccontextmanager
async def _connected(work: Work) -> AsyncIterator[ClientConnection]:
    """A session of an admin; OSError if no server runs."""
    url = (work.folder / "url").read_text().replace("http", "ws", 1)
    target = f"{url}/runtime/session?app_id={work.app_id}"
    async with connect(target, max_size=None, compression=None) as socket:
        admin = {"__admin-token": work.admin_token}
        await _say(socket, {"op": "init", "app-id": work.app_id, "versions": {}, **admin})
        await _hear(socket, "init-ok")
        yield socket


async def _say(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(orjson.dumps({"client-event-id": message["op"], **message}).decode())


async def _hear(socket: ClientConnection, *ops: str) -> dict[str, Any]:
    """The next of these messages.

    raises   Refused for an error
    """
    async with asyncio.timeout(WAIT_S):
        while True:
            message: dict[str, Any] = orjson.loads(await socket.recv())
            if message["op"] == "error":
                raise Refused(message["message"])
            if message["op"] in ops:
                return message


class _Writer:
    """Sends chunks in order. After each connection it goes on from where the server is, which must
    be where a chunk begins."""

    def __init__(self, work: Work, pipe: Connection) -> None:
        self.work = work
        self.pipe = pipe
        self._chunks = [chunk.encode() for chunk in work.chunks()]
        self._starts = [0]
        for chunk in self._chunks:
            self._starts.append(self._starts[-1] + len(chunk))

    async def run(self, socket: ClientConnection) -> None:
        start = {"client-id": self.work.name, "reconnect-token": self.work.reconnect_token}
        await _say(socket, {"op": "start-stream", **start})
        try:
            ok = await _hear(socket, "start-stream-ok")
        except Refused as refused:
            # A writer before this one, or a connection that broke, sent the end already.
            if "Stream is closed" not in str(refused):
                raise
            self.pipe.send(("done", self._starts[-1]))
            return
        flushed = ok["offset"]
        assert flushed in self._starts, f"{flushed} is not where a chunk begins"
        self.pipe.send(("flushed", flushed))
        at, is_done = self._starts.index(flushed), False
        while True:
            while not is_done and self._starts[at] < flushed + AHEAD_BYTES:
                some = self._chunks[at : at + CHUNKS_AT_ONCE]
                is_done = at + len(some) == len(self._chunks)
                message = {
                    "op": "append-stream",
                    "stream-id": ok["stream-id"],
                    "offset": self._starts[at],
                    "chunks": [chunk.decode() for chunk in some],
                    "done": is_done,
                }
                await _say(socket, message)
                at += len(some)
            heard = await _hear(socket, "stream-flushed", "append-failed")
            assert heard["op"] == "stream-flushed", "the disk does not refuse here"
            flushed = heard["offset"]
            self.pipe.send(("done" if heard["done"] else "flushed", flushed))
            if heard["done"]:
                return


class _Reader:
    """Follows the stream, and compares each byte."""

    def __init__(self, work: Work, offset: int, pipe: Connection) -> None:
        self.work = work
        self.pipe = pipe
        self._have = offset
        self._data = work.data()

    async def run(self, socket: ClientConnection) -> None:
        subscribe = {"op": "subscribe-stream", "client-id": self.work.name, "offset": self._have}
        await _say(socket, subscribe)
        async with httpx.AsyncClient(timeout=WAIT_S) as client:
            while True:
                news = await _hear(socket, "stream-append")
                assert "error" not in news, news["error"]
                await self._take(client, news)
                if news.get("done"):
                    self.pipe.send(("end", self._have))
                    return

    async def _take(self, client: httpx.AsyncClient, news: dict[str, Any]) -> None:
        """Check what came, from its offset on, and keep what is new."""
        offset = news["offset"]
        assert offset <= self._have, f"told from {offset}, has {self._have}"
        for file in news.get("files", ()):
            response = await client.get(file["url"])
            assert response.status_code == 200, response.text
            assert len(response.content) == file["size"], file
            offset = self._compare(offset, response.content)
        offset = self._compare(offset, news.get("content", "").encode())
        self._have = max(self._have, offset)
        self.pipe.send(("have", self._have))

    def _compare(self, offset: int, data: bytes) -> int:
        assert data == self._data[offset : offset + len(data)], f"other bytes at {offset}"
        return offset + len(data)
