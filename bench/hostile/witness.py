"""An innocent user beside the attacks, in a process of its own: does the server still answer it?

It asks /health every 20 ms over a connection that it keeps. It holds a session with a live query on
an app of its own and, if it is given one, on the app under attack, and writes to each every 100 ms.
It ends when its standard input does, and prints one line of JSON:

    {"health_ms": [...], "ack_ms": [...], "sessions_lost": 0, "writes_lost": 0, "failures": 0}
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

import orjson

from connection import Connection
from data import Writer
from stranger import address_of

HEALTH_EVERY_S: Final = 0.02
WRITE_EVERY_S: Final = 0.1
HEALTH_LIMIT_S: Final = 30


class Witness:
    """Holds what one innocent user saw."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.health_ms: list[float] = []
        self.ack_ms: list[float] = []
        self.sessions_lost = 0
        self.writes_lost = 0
        self.failures = 0
        self.is_over = False

    async def look(self) -> None:
        """Ask /health again and again; a slow answer delays the next round."""
        host, port = address_of(self._url)
        writer: asyncio.StreamWriter | None = None
        while not self.is_over:
            started = time.perf_counter()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                async with asyncio.timeout(HEALTH_LIMIT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    lower = head.lower()
                    size = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
                    await reader.readexactly(size)
                if b" 200 " not in head[:20]:
                    self.failures += 1
                self.health_ms.append((time.perf_counter() - started) * 1000)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                # A connection that the server closed while idle is opened again, as clients do.
                if time.perf_counter() - started > 1 or writer is None:
                    self.failures += 1
                    self.health_ms.append((time.perf_counter() - started) * 1000)
                if writer is not None:
                    writer.close()
                writer = None
            await asyncio.sleep(HEALTH_EVERY_S)

    async def work(self, app_id: str) -> None:
        """Write, and wait for the acknowledgement, with a live query; reconnect when cut off."""
        connection: Connection | None = None
        while not self.is_over:
            try:
                if connection is None or connection not in Connection.living:
                    connection = await Connection.open(self._url, app_id)
                    await connection.subscribe([{"todos": {"$": {"limit": 5}}}])
                    steps = Writer(connection.attrs)
                started = time.perf_counter()
                message = orjson.loads(steps.create(1))
                await connection.ask({"op": "transact", "tx-steps": message["tx-steps"]})
                self.ack_ms.append((time.perf_counter() - started) * 1000)
            except (ConnectionError, OSError, TimeoutError):
                self.sessions_lost += 1
                connection = None
            except RuntimeError:
                self.writes_lost += 1
            await asyncio.sleep(WRITE_EVERY_S)
        if connection is not None:
            connection.close()

    def report(self) -> dict[str, Any]:
        return {
            "health_ms": self.health_ms,
            "ack_ms": self.ack_ms,
            "sessions_lost": self.sessions_lost,
            "writes_lost": self.writes_lost,
            "failures": self.failures,
        }


async def main(url: str, app_ids: list[str]) -> None:
    witness = Witness(url)
    works = [witness.look(), *(witness.work(app_id) for app_id in app_ids)]
    tasks = [asyncio.create_task(work) for work in works]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    witness.is_over = True
    _, late = await asyncio.wait(tasks, timeout=HEALTH_LIMIT_S)
    for task in late:
        task.cancel()
        witness.failures += 1
    sys.stdout.write(orjson.dumps(witness.report()).decode() + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
