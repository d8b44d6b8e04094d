"""Apps that last, of an account on the server of the bench: throw-away apps have no backups, and
few webhooks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from connection import Connection
from data import Writer
from process import SCHEMA, ServerProcess
from workloads import PAUSE_S, Row, percentile

_ACK = b'"transact-ok"'
_OPEN = {"$default": {"allow": {"$default": "true"}}}
_ROWS_AT_ONCE = 500
COMMAND_LIMIT_S = 100


@dataclass(slots=True)
class LastingApp:
    """An app and the token of its account."""

    server: ServerProcess
    id: str
    token: str

    @classmethod
    def make(cls, server: ServerProcess) -> LastingApp:
        email = f"{uuid.uuid4()}@example.com"
        options = ["--print-token", "--data-dir", server.directory]
        told = trice("accounts", "create", email, *options)
        token = told.split()[-1]
        body = {"title": "bench", "schema": SCHEMA, "perms": _OPEN}
        app = cls(server, "", token)
        app.id = app.ask("POST", "/superadmin/apps", body)["app"]["id"]
        return app

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the account."""
        headers = {"authorization": f"Bearer {self.token}", "app-id": self.id}
        url = self.server.url + path
        answer = httpx.request(method, url, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    async def fill(self, size: int) -> None:
        """Write todos whose titles take so many bytes."""
        left = size
        while left > 0:
            steps = []
            for number in range(_ROWS_AT_ONCE):
                title = os.urandom(750).hex()
                fields = {"title": title, "done": False, "priority": number, "label": "x"}
                steps.append(["create", "todos", str(uuid.uuid4()), fields])
                left -= len(title)
                if left <= 0:
                    break
            await asyncio.to_thread(self.ask, "POST", "/admin/transact", {"steps": steps})


def trice(*words: str) -> str:
    """Run a command of trice to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "trice", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_LIMIT_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"trice {words[0]}: {done.stderr[-500:]}")
    return done.stdout


async def timed_writes(
    connection: Connection, least: int, until: Awaitable[Any] | None = None
) -> tuple[list[float], float]:
    """Write one todo after the other, at least so many, and until something is over.

    returns   the time of each in ms, and how long `until` took in seconds
    """
    writer = Writer(connection.attrs)
    took_ms: list[float] = []
    began = time.perf_counter()
    ended: list[float] = []
    task: asyncio.Future[Any] | None = None
    if until is not None:
        task = asyncio.ensure_future(until)
        task.add_done_callback(lambda _: ended.append(time.perf_counter() - began))
    while len(took_ms) < least or (task is not None and not task.done()):
        started = time.perf_counter()
        await connection.ask_raw(writer.create(len(took_ms)), _ACK)
        took_ms.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(PAUSE_S)
    if task is not None:
        await task
    return took_ms, ended[0] if ended else 0.0


def add_times(rows: Sequence[Row], took_ms: list[float]) -> None:
    """Add the median and the 99th percentile to two rows."""
    for row, share in zip(rows, (0.5, 0.99), strict=True):
        row.samples.append(percentile(took_ms, share))


def time_rows(key: str, label: str) -> list[Row]:
    """The two rows of `add_times`."""
    return [Row(f"{key}_{name}", f"{label}: {name}", "ms") for name in ("p50", "p99")]
