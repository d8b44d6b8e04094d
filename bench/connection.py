"""One WebSocket of the bench: frames by picows, so that the client costs little of a shared CPU.

A connection that offers compression inflates each payload once for all: all clients live in one
process, which would do nothing else when many of them get the same.
"""

from __future__ import annotations

import asyncio
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

FRAME_BYTES_MAX = 1 << 28
ANSWER_TIMEOUT_S = 60

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate"}

OnMessage = Callable[[bytes], None]


class Connection(WSListener):
    """A session; `on_message` gets every text frame as bytes, not parsed."""

    living: ClassVar[set[Connection]] = set()
    """Every session with an open socket, so that those of a failed workload can be closed."""
    inflated: ClassVar[tuple[bytes, bytes]] = (b"", b"")
    """The latest deflated payload, and its message."""

    def __init__(self) -> None:
        self.on_message: OnMessage = self._keep_for_ask
        self.attrs: dict[str, str] = {}
        self.received_bytes = 0
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    async def open(
        cls,
        url: str,
        app_id: str,
        token: str | None = None,
        *,
        is_deflated: bool = False,
        address: str | None = None,
        features: Sequence[str] = (),
    ) -> Connection:
        """Connect and `init`; afterwards `attrs` maps `namespace.label` to attr ids.

        token        refresh token of the user; None: a guest
        is_deflated  offer compression
        address      on loopback, where the connection comes from; None: any
        features     of trice beyond Instant's protocol that it asks for
        """
        place = {} if address is None else {"local_addr": (address, 0)}
        target = f"{url.replace('http', 'ws', 1)}/runtime/session?app_id={app_id}"
        _, connection = await ws_connect(
            cls,
            target,
            max_frame_size=FRAME_BYTES_MAX,
            extra_headers=OFFER if is_deflated else None,
            **place,
        )
        assert isinstance(connection, cls)
        init: dict[str, Any] = {"op": "init", "app-id": app_id, "versions": {}}
        if token is not None:
            init["refresh-token"] = token
        if features:
            init["trice"] = {"version": 1, "features": list(features)}
        ok = await connection.ask(init)
        for attr in ok["attrs"]:
            _, namespace, label = attr["forward-identity"]
            connection.attrs[f"{namespace}.{label}"] = attr["id"]
        return connection

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.living.add(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_bytes()
            self.received_bytes += len(payload)
            self.on_message(self._inflate(payload) if frame.rsv1 else payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.living.discard(self)
        for future in self._answers.values():
            if not future.done():
                future.set_exception(ConnectionError("the server closed the socket"))

    def send(self, message: bytes) -> None:
        self.transport.send(WSMsgType.TEXT, message)

    async def subscribe(self, queries: Sequence[Mapping[str, object]]) -> None:
        """Ask for all of `queries` without waiting in between; returns when all are answered."""
        missing = len(queries)
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def count(payload: bytes) -> None:
            nonlocal missing
            missing -= payload.count(b'"add-query-ok"')
            if b'"error"' in payload and not finished.done():
                finished.set_exception(RuntimeError(payload[:500].decode()))
            elif missing <= 0 and not finished.done():
                finished.set_result(None)

        before, self.on_message = self.on_message, count
        for q in queries:
            event_id = str(uuid.uuid4())
            self.send(orjson.dumps({"op": "add-query", "client-event-id": event_id, "q": q}))
        try:
            if queries:
                await asyncio.wait_for(finished, ANSWER_TIMEOUT_S)
        finally:
            self.on_message = before

    async def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send, and wait for the answer with the same client-event-id; raises on an `error`."""
        event_id = str(uuid.uuid4())
        future = asyncio.get_running_loop().create_future()
        self._answers[event_id] = future
        self.send(orjson.dumps({"client-event-id": event_id, **message}))
        try:
            answer: dict[str, Any] = await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        finally:
            del self._answers[event_id]
        if answer["op"] == "error":
            raise RuntimeError(f"{message['op']}: {answer['message']}")
        return answer

    async def ask_raw(self, message: bytes, marker: bytes) -> bytes:
        """Send, and wait for the frame that contains `marker`, so that timing includes no
        parsing."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def look(payload: bytes) -> None:
            if marker in payload and not future.done():
                future.set_result(payload)

        before, self.on_message = self.on_message, look
        self.send(message)
        try:
            return await asyncio.wait_for(future, ANSWER_TIMEOUT_S)
        finally:
            self.on_message = before

    def close(self) -> None:
        self.transport.disconnect()

    def drop(self) -> None:
        """Break the connection, as a network does: no closing frame, nothing flushed."""
        self.transport.underlying_transport.abort()

    def stop_reading(self) -> None:
        """Take nothing more from the socket, so that the server's bytes back up."""
        self.transport.underlying_transport.pause_reading()

    def start_reading(self) -> None:
        self.transport.underlying_transport.resume_reading()

    @classmethod
    def _inflate(cls, payload: bytes) -> bytes:
        if payload != cls.inflated[0]:
            inflater = zlib.decompressobj(wbits=-15)
            cls.inflated = (payload, inflater.decompress(payload + b"\x00\x00\xff\xff"))
        return cls.inflated[1]

    def _keep_for_ask(self, payload: bytes) -> None:
        parsed = orjson.loads(payload)
        for message in parsed if isinstance(parsed, list) else [parsed]:
            future = self._answers.get(message.get("client-event-id", ""))
            if future is not None and not future.done():
                future.set_result(message)
