"""A client without a network: the Socket of a session, with which a test sends and receives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from support.described import check_close_code, check_frame
from support.patience import WAIT_S
from trice.identity import GUEST, Identity
from trice.protocol.shared import Frame, plain
from trice.session.hub import Hub


class MemoryClient:
    """Holds every message received. `backlog` plays a client that does not read."""

    def __init__(self, hub: Hub, guest: Identity = GUEST) -> None:
        self.received: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.writes = 0
        self.closed: tuple[int, str] | None = None
        self.is_reading_paused = False
        self.pings = 0
        self.backlog = 0
        self.seen = 0
        self._change = asyncio.Event()
        self._events = 0
        self._hub = hub
        self.session = hub.open(self, guest)

    # --- Socket ------------------------------------------------------------------------------

    def send(self, frames: Sequence[Frame]) -> None:
        self.writes += 1
        raw = [plain(frame) for frame in frames]
        self.raw.extend(raw)
        for frame in raw:
            check_frame(frame)
        self.received.extend(map(_read, raw))
        self._change.set()

    unfinished = None

    @property
    def backlog_bytes(self) -> int:
        return self.backlog

    def ping(self) -> None:
        self.pings += 1

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def close(self, code: int, reason: str) -> None:
        check_close_code(code)
        self.closed = (code, reason)
        self._change.set()

    # --- what tests do -----------------------------------------------------------------------

    def say(self, op: str, **fields: Any) -> str:
        """Send a message; underscores in names become hyphens. Returns its client-event-id."""
        self._events += 1
        event_id = fields.pop("event_id", f"event-{self._events}")
        body = {name.replace("_", "-"): value for name, value in fields.items()}
        self.say_raw(orjson.dumps({"op": op, "client-event-id": event_id, **body}))
        return str(event_id)

    def say_raw(self, raw: bytes) -> None:
        self.session.receive(raw)

    async def hear(self, op: str | None = None) -> dict[str, Any]:
        """The next message not heard yet; with `op`, the next of that kind, skipping others."""
        return await self.hear_where(lambda message: op is None or message["op"] == op)

    async def hear_where(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while True:
                while self.seen < len(self.received):
                    message = self.received[self.seen]
                    self.seen += 1
                    if matches(message):
                        return message
                self._change.clear()
                await self._change.wait()

    async def ended(self) -> None:
        """Wait until the server ends the connection."""
        async with asyncio.timeout(WAIT_S):
            while self.closed is None:
                self._change.clear()
                await self._change.wait()

    def unheard(self) -> list[dict[str, Any]]:
        """What arrived and was not heard yet; heard from now on."""
        messages = self.received[self.seen :]
        self.seen = len(self.received)
        return messages

    async def init(self, app_id: str, **fields: Any) -> dict[str, Any]:
        """Open the session and return `init-ok`."""
        self.say("init", app_id=app_id, **fields)
        return await self.hear("init-ok")

    def hang_up(self) -> None:
        """Break the connection."""
        self._hub.closed(self.session)


def _read(frame: bytes) -> Any:
    """Decode as a browser does: it takes what browsers may have sent (1e999, half of a pair)."""
    try:
        return orjson.loads(frame)
    except orjson.JSONDecodeError:
        return json.loads(frame)


def triples(message: dict[str, Any]) -> list[list[Any]]:
    """All triples of an `add-query-ok`."""
    return list(message["result"][0]["data"]["datalog-result"]["join-rows"][0])


def refreshed(message: dict[str, Any], position: int = 0) -> list[list[Any]]:
    """All triples of one computation of a `refresh-ok`."""
    result = message["computations"][position]["instaql-result"]
    return list(result[0]["data"]["datalog-result"]["join-rows"][0])
