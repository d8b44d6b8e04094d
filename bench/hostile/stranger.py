"""One hostile client: HTTP requests and raw WebSockets, which count the answers they get.

Everything it sends goes to the server of the run, on the loopback interface.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
import orjson

ANSWER_LIMIT_S: Final = 30
"""How long an attack waits for an answer; then it counts as none."""

SILENT: Final = "no answer"


@dataclass(slots=True)
class Heard:
    """The server's answers to a stranger: how often each error code, `ok`, or none at all."""

    codes: Counter[str] = field(default_factory=Counter)
    received_bytes: int = 0

    def note(self, code: str, size_bytes: int = 0) -> None:
        self.codes[code] += 1
        self.received_bytes += size_bytes


class Stranger:
    """Makes apps of its own and speaks to them over every transport.

    Holds one HTTP client and what it heard. Does not hold the sockets it opens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.heard = Heard()
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(ANSWER_LIMIT_S),
            limits=httpx.Limits(max_connections=200),
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def post(
        self,
        path: str,
        body: Any,
        headers: Mapping[str, str] | None = None,
        *,
        is_setup: bool = False,
    ) -> Any:
        """Send JSON (bytes go as they are) and return the decoded answer; None if there was none.

        is_setup  the request prepares an attack; its answer is not counted
        """
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        sent = {"content-type": "application/json", **(headers or {})}
        return await self.send("POST", path, content, sent, is_setup=is_setup)

    async def send(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        is_setup: bool = False,
    ) -> Any:
        """Send a body of any kind; return the answer as `post` does, None if it is not JSON."""
        sent = headers or {}
        try:
            async with self._http.stream(method, path, content=content, headers=sent) as response:
                pieces, size = [], 0
                async for piece in response.aiter_raw():
                    size += len(piece)
                    if size <= 1 << 20:
                        pieces.append(piece)
        except httpx.HTTPError as failure:
            self.heard.note(f"{SILENT} ({type(failure).__name__})")
            return None
        try:
            answer = orjson.loads(b"".join(pieces))
        except orjson.JSONDecodeError:
            answer = None
        if not is_setup:
            self.heard.note(_code_of(answer, response.status_code), size)
        return answer

    async def upload(
        self, app: App, path: str, data: bytes, *, is_setup: bool = False, **headers: str
    ) -> Any:
        """Upload a file to an app that the stranger made."""
        sent = {"app-id": app.id, "authorization": f"Bearer {app.token}", "path": path, **headers}
        return await self.send("PUT", "/admin/storage/upload", data, sent, is_setup=is_setup)

    async def file_url(self, app: App, path: str) -> str:
        """Path and query of the URL of a file."""
        headers = {"app-id": app.id, "authorization": f"Bearer {app.token}"}
        target = f"/admin/storage/signed-download-url?filename={quote(path)}"
        answer = await self.send("GET", target, b"", headers, is_setup=True)
        if not answer or not answer.get("data"):
            raise RuntimeError(f"no URL for the attack: {answer}")
        parts = urlsplit(answer["data"])
        return f"{parts.path}?{parts.query}"

    async def new_app(self, schema: Any = None, rules: Any = None, **more: Any) -> App:
        """Make a throw-away app."""
        body = {"title": "hostile", **more}
        if schema is not None:
            body["schema"] = schema
        if rules is not None:
            body["rules"] = {"code": rules}
        answer = await self.post("/dash/apps/ephemeral", body, is_setup=True)
        if answer is None or "app" not in answer:
            raise RuntimeError(f"no app for the attack: {answer}")
        return App(answer["app"]["id"], answer["app"]["admin-token"])

    async def as_admin(self, app: App, path: str, body: Any, *, is_setup: bool = False) -> Any:
        """A request with the admin token of an app that the stranger made."""
        headers = {"app-id": app.id, "authorization": f"Bearer {app.token}"}
        return await self.post(path, body, headers, is_setup=is_setup)

    async def socket(self, app: App | None = None, *, is_deflated: bool = False) -> RawSocket:
        """A raw WebSocket; with an app, `init` is done."""
        return await RawSocket.open(self.url, self.heard, app, is_deflated=is_deflated)


@dataclass(frozen=True, slots=True)
class App:
    """An app that the stranger made."""

    id: str
    token: str


class RawSocket:
    """A WebSocket that sends every byte as given, without a library that corrects it.

    Frames are masked with zeros, so that large ones cost the attacker nothing.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Heard
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.attrs: dict[str, str] = {}
        self._heard = heard

    @classmethod
    async def open(
        cls, url: str, heard: Heard, app: App | None = None, *, is_deflated: bool = False
    ) -> RawSocket:
        host, port = address_of(url)
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 26)
        offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if is_deflated else b""
        writer.write(
            b"GET /runtime/session HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n" + offer + b"\r\n"
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_LIMIT_S)
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(head[:200].decode("latin-1"))
        opened = cls(reader, writer, heard)
        if app is not None:
            init = {"op": "init", "app-id": app.id, "versions": {}, "client-event-id": "init"}
            opened.say(orjson.dumps(init))
            answer = await opened.answer("init", is_setup=True)
            for attr in (answer or {}).get("attrs", ()):
                _, namespace, label = attr["forward-identity"]
                opened.attrs[f"{namespace}.{label}"] = attr["id"]
        return opened

    def say(self, payload: bytes, *, opcode: int = 1, is_deflated: bool = False) -> None:
        """Send one whole frame without waiting, so that a stranger need not read."""
        if is_deflated:
            payload = deflated(payload)
        first = 0x80 | opcode | (0x40 if is_deflated else 0)
        self.writer.write(frame_head(first, len(payload)) + payload)

    async def frame(self) -> tuple[int, bytes] | None:
        """The next frame as opcode and payload; None when the connection is over."""
        try:
            first, second = await self.reader.readexactly(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            payload = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if first & 0x40:
            payload = zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff")
        return first & 15, payload

    async def answer(self, event_id: str, *, is_setup: bool = False) -> Any:
        """Wait for the message that answers `event_id`; None if none came."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                while (frame := await self.frame()) is not None:
                    opcode, payload = frame
                    if opcode == 9:
                        self.say(payload, opcode=10)
                    if opcode == 8:
                        code = int.from_bytes(payload[:2], "big")
                        self._heard.note(f"closed {code}")
                        return None
                    if opcode != 1 or event_id.encode() not in payload:
                        continue
                    message = _read(payload)
                    if message.get("client-event-id") == event_id:
                        if not is_setup:
                            self._heard.note(_code_of(message, 200), len(payload))
                        return message
        except TimeoutError:
            self._heard.note(SILENT)
            return None
        self._heard.note("cut off")
        return None

    async def ask(self, message: Mapping[str, Any], *, is_deflated: bool = False) -> Any:
        """Send one message and wait for its answer."""
        event_id = os.urandom(8).hex()
        body = orjson.dumps({"client-event-id": event_id, **message})
        return await self.ask_bytes(body, event_id, is_deflated=is_deflated)

    async def ask_bytes(self, body: bytes, event_id: str, *, is_deflated: bool = False) -> Any:
        self.say(body, is_deflated=is_deflated)
        try:
            await asyncio.wait_for(self.writer.drain(), ANSWER_LIMIT_S)
        except (TimeoutError, ConnectionError):
            self._heard.note("cut off")
            return None
        return await self.answer(event_id)

    def close(self) -> None:
        self.writer.close()


def deflated(payload: bytes) -> bytes:
    """A payload for permessage-deflate, without context takeover."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frame_head(first: int, size: int) -> bytes:
    """Head of a client's frame, masked with zeros (RFC 6455 §5.2)."""
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4)


def address_of(url: str) -> tuple[str, int]:
    """Host and port of the server; never another machine's."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    if host not in ("127.0.0.1", "localhost") or port is None:
        raise ValueError(f"{url} is not a server on this machine")
    return host, port


def _read(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return json.loads(payload)  # it takes halves of surrogate pairs, as browsers do


def _code_of(answer: Any, status: int) -> str:
    if isinstance(answer, dict) and (answer.get("op") == "error" or status >= 400):
        return str(answer.get("type", status))
    return "ok" if status < 400 else str(status)
