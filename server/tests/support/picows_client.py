"""A client at the other end of a `PicowsSocket`, without a network."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import orjson
from multidict import CIMultiDict
from picows import WSMsgType

from support.described import check_frame
from support.patience import WAIT_S
from trice.session.deflate import Deflater
from trice.session.hub import Hub
from trice.session.picows_socket import PicowsSocket

TAIL = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class Sent:
    """One frame as it was on the wire."""

    first_byte: int
    payload: bytes

    @property
    def is_deflated(self) -> bool:
        return self.first_byte == 0xC1

    @property
    def is_message(self) -> bool:
        return self.first_byte in (0x81, 0xC1)

    @property
    def message(self) -> bytes:
        if self.first_byte == 0x81:
            return self.payload
        assert self.first_byte == 0xC1, hex(self.first_byte)
        return zlib.decompressobj(wbits=-15).decompress(self.payload + TAIL)


def frames_of(data: bytes) -> list[Sent]:
    """Cut a write of the server into its frames."""
    found = []
    while data:
        size, start = data[1], 2
        if size in (126, 127):
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        found.append(Sent(data[0], data[start : start + size]))
        data = data[start + size :]
    return found


def deflate(message: bytes) -> bytes:
    """Deflate as a client does, at another level than the server."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


class PicowsClient:
    """The transports of picows and of the loop in one; a test sends and receives over them.

    deflater   of the server, None when the client did not agree on compression
    """

    def __init__(self, hub: Hub, deflater: Deflater | None) -> None:
        self.writes: list[list[Sent]] = []
        self.closed: int | None = None
        self.pongs: list[bytes] = []
        self.backlog = 0
        self._seen = 0
        self._change = asyncio.Event()
        request: Any = SimpleNamespace(headers=CIMultiDict())
        self.socket = PicowsSocket(hub, request, deflater)
        self.transport: Any = self
        self.socket.on_ws_connected(self.transport)

    # --- transport -----------------------------------------------------------------------------

    @property
    def underlying_transport(self) -> Any:
        return self

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)

    def write(self, data: bytes) -> None:
        frames = frames_of(data)
        self.writes.append(frames)
        for frame in frames:
            if frame.is_message:
                check_frame(frame.message)
        self._change.set()

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def send_close(self, code: Any, reason: bytes) -> None:
        self.closed = int(code)

    def send_ping(self) -> None: ...

    def send_pong(self, payload: bytes) -> None:
        self.pongs.append(payload)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def disconnect(self) -> None: ...

    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    # --- what tests do -------------------------------------------------------------------------

    @property
    def sent(self) -> list[Sent]:
        return [frame for write in self.writes for frame in write]

    def frame(
        self,
        payload: bytes,
        *,
        kind: WSMsgType = WSMsgType.TEXT,
        is_last: bool = True,
        bits: tuple[int, int, int] = (0, 0, 0),
    ) -> None:
        """Let a frame arrive; `bits` are RSV1 to RSV3."""
        rsv1, rsv2, rsv3 = bits
        arrived: Any = SimpleNamespace(
            msg_type=kind,
            fin=int(is_last),
            rsv1=rsv1,
            rsv2=rsv2,
            rsv3=rsv3,
            get_payload_as_bytes=lambda: payload,
        )
        self.socket.on_ws_frame(self.transport, arrived)

    def say(self, op: str, **fields: Any) -> None:
        self.frame(orjson.dumps({"op": op, "client-event-id": op, **fields}))

    async def hear(self, op: str) -> Sent:
        """The next frame not heard yet whose message has this op."""
        return await self.hear_where(lambda message: message["op"] == op)

    async def hear_where(self, matches: Callable[[dict[str, Any]], bool]) -> Sent:
        async with asyncio.timeout(WAIT_S):
            while True:
                sent = self.sent
                while self._seen < len(sent):
                    self._seen += 1
                    if matches(orjson.loads(sent[self._seen - 1].message)):
                        return sent[self._seen - 1]
                self._change.clear()
                await self._change.wait()
