"""An HTTP client without a network: requests to the ASGI app, answers that may never end."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

from support.described import check_exchange, check_frame
from support.patience import WAIT_S


class Exchange:
    """One request, and the answer so far. An answer that never ends is ended by `hang_up`."""

    def __init__(
        self, app: ASGIApp, method: str, target: str, headers: dict[str, str], body: bytes
    ):
        path, _, query = target.partition("?")
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_over = False
        self._checked = 0
        self._route, self._sent = f"{method} {path}", body
        self._parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._gone = asyncio.Event()
        self._more = asyncio.Event()
        self._change = asyncio.Event()
        self._may_send = asyncio.Event()
        self._may_send.set()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [
                (k.lower().encode(), v.encode("utf-8", "surrogateescape"))
                for k, v in headers.items()
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        while not self._parts and not self._gone.is_set():
            self._more.clear()
            await self._more.wait()
        return self._parts.pop(0) if self._parts else {"type": "http.disconnect"}

    def send_piece(self, piece: bytes, *, is_last: bool = False) -> None:
        """Send a piece of a body that began with `leave_unsent`."""
        self._parts.append({"type": "http.request", "body": piece, "more_body": not is_last})
        self._more.set()

    def stop_reading(self) -> None:
        """From the next part on, let the server wait as it does for a client that never reads."""
        self._may_send.clear()

    def read_on(self) -> None:
        self._may_send.set()

    async def _send(self, message: Message) -> None:
        await self._may_send.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self.body += message.get("body", b"")
            self.is_over = not message.get("more_body", False)
        self._change.set()

    def leave_unsent(self) -> None:
        """Let the body never arrive; call it before the first turn of the loop."""
        self._parts.clear()

    async def whole(self) -> Exchange:
        """Wait until the answer is complete."""
        async with asyncio.timeout(WAIT_S):
            await self.task
        check_exchange(
            self._route, self._sent, status=self.status, headers=self.headers, answer=self.body
        )
        return self

    def json(self) -> Any:
        return orjson.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        """The complete events so far; each must be one JSON object."""
        blocks = self.body.split(b"\n\n")[:-1]
        frames = [b.removeprefix(b"data: ") for b in blocks if b.startswith(b"data: ")]
        for frame in frames[self._checked :]:
            check_frame(frame)
        self._checked = len(frames)
        return [orjson.loads(frame) for frame in frames]

    async def event(self, position: int) -> dict[str, Any]:
        """The event at this position; wait for it."""
        async with asyncio.timeout(WAIT_S):
            while len(self.events()) <= position:
                self._change.clear()
                await self._change.wait()
        return self.events()[position]

    async def changed(self) -> None:
        """Wait for the next part."""
        self._change.clear()
        async with asyncio.timeout(WAIT_S):
            await self._change.wait()

    async def hang_up(self) -> None:
        """Close the connection from the client's side."""
        self._gone.set()
        self._more.set()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(self.task, return_exceptions=True)
