"""A receiver of webhooks on loopback: it keeps what it gets, and answers as the test wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from support.loopback import Listener
from support.patience import WAIT_S

Answer = bytes | None
"""What is sent; None: nothing, and the connection stays open."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request: its path, headers by lower-case name, and raw body."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.raw)
        return found

    @property
    def isn(self) -> str:
        return str(self.body["payloadUrl"]).split("/", 7)[-1]


def answer(status: int, text: str = "", *, headers: str = "") -> bytes:
    """An answer of HTTP."""
    head = f"HTTP/1.1 {status} Told\r\ncontent-length: {len(text)}\r\n{headers}\r\n"
    return head.encode() + text.encode()


OK = answer(200, "thanks")


class Receiver:
    """Listens until `close`.

    answers   what it says next, in turn; then always OK
    choose    decides about each delivery instead, if it is set
    got       all deliveries, in the order in which they came
    open      how many have no answer yet
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.choose: Callable[[Delivery], Answer] | None = None
        self.got: list[Delivery] = []
        self.open = 0
        self._is_closed = False
        self._changed = asyncio.Event()
        self._listener = Listener(self._serve)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self._listener.port}{path}"

    async def close(self) -> None:
        """Break the connections that are open; none can be made any more."""
        if not self._is_closed:
            self._is_closed = True
            await self._listener.close()

    async def deliveries(self, count: int) -> list[Delivery]:
        """Wait until there are so many deliveries; return all."""
        async with asyncio.timeout(WAIT_S):
            while len(self.got) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.got

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        received = b""
        while True:
            head, end, body = received.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            if end and len(body) >= int(headers.get("content-length", "0")):
                break
            more = await loop.sock_recv(connection, 65_536)
            if not more:
                return
            received += more
        delivery = Delivery(lines[0].split(" ")[1], headers, body)
        self.open += 1
        try:
            said = self._choose(delivery)
            self.got.append(delivery)
            self._changed.set()
            if said is None:
                await loop.sock_recv(connection, 1)  # until the sender leaves
            else:
                await loop.sock_sendall(connection, said)
        finally:
            self.open -= 1

    def _choose(self, delivery: Delivery) -> Answer:
        if self.choose is not None:
            return self.choose(delivery)
        return self.answers.pop(0) if self.answers else OK


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver for the time of a block."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        await receiver.close()
