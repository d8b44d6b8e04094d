"""Webhooks: how fast events are delivered, and what they cost a writer."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import orjson

from connection import Connection
from data import Writer
from lasting import LastingApp, add_times, time_rows, timed_writes
from process import BENCH, ServerProcess
from scale import Scale
from workloads import DELIVERY_LIMIT_S, Row, rest

HOOKS = 10
_POLL_S = 0.02
_IN_FLIGHT = 32


@asynccontextmanager
async def _receiving() -> AsyncIterator[str]:
    """The URL of a receiver in a process of its own."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(BENCH / "hook_receiver.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None and child.stdout is not None
    port = int(await child.stdout.readline())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stdin.close()
        await child.wait()


def _make(app: LastingApp, url: str) -> str:
    body = {"url": url, "namespaces": ["todos"], "actions": ["create"]}
    hook: str = app.ask("POST", f"/dash/apps/{app.id}/webhooks", body)["webhook"]["id"]
    return hook


def _dead_url() -> str:
    """Where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/dead"


async def _create(connection: Connection, writer: Writer, number: int) -> None:
    steps = orjson.loads(writer.create(number))["tx-steps"]
    await connection.ask({"op": "transact", "tx-steps": steps})


async def _delivered(base: str, count: int, limit_s: float) -> None:
    """Wait until the receiver has so many quick deliveries."""
    async with httpx.AsyncClient(base_url=base) as client, asyncio.timeout(limit_s):
        while (await client.get("/count")).json().get("fast", 0) < count:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)


async def deliveries(server: ServerProcess, scale: Scale) -> list[Row]:
    """Todos are created many at a time; until a quick receiver has an event of each."""
    count = scale.hook_events
    rate = Row("hooks_rate", f"{count:,} events to one quick receiver", "1/s")
    app = LastingApp.make(server)
    connection = await Connection.open(server.url, app.id)
    writer = Writer(connection.attrs)
    async with _receiving() as base:
        _make(app, f"{base}/fast")
        for round_number in range(1, scale.rounds + 1):
            await rest(server, scale)
            began = time.perf_counter()
            for start in range(0, count, _IN_FLIGHT):
                some = range(start, min(start + _IN_FLIGHT, count))
                await asyncio.gather(*(_create(connection, writer, n) for n in some))
            await _delivered(base, count * round_number, DELIVERY_LIMIT_S * 4)
            rate.samples.append(count / (time.perf_counter() - began))
    connection.close()
    return [rate]


async def beside(server: ServerProcess, scale: Scale) -> list[Row]:
    """One client writes, one write at a time: without webhooks, with ten of a quick receiver, and
    with one more whose receiver is dead and one whose receiver takes three seconds."""
    app = LastingApp.make(server)
    connection = await Connection.open(server.url, app.id)
    none = time_rows("hooks_none", "a write without webhooks")
    quick = time_rows("hooks_quick", f"a write with {HOOKS} webhooks")
    slow = time_rows("hooks_slow", "a write with these, a dead and a slow one")
    for _ in range(scale.rounds):
        await rest(server, scale)
        add_times(none, (await timed_writes(connection, scale.hook_writes))[0])
        async with _receiving() as base:
            hooks = [_make(app, f"{base}/fast/{n}") for n in range(HOOKS)]
            add_times(quick, (await timed_writes(connection, scale.hook_writes))[0])
            hooks += [_make(app, _dead_url()), _make(app, f"{base}/slow")]
            add_times(slow, (await timed_writes(connection, scale.hook_writes))[0])
            expected = HOOKS * scale.hook_writes * 2
            await _delivered(base, expected, DELIVERY_LIMIT_S * 4)
            for hook in hooks:
                app.ask("DELETE", f"/dash/apps/{app.id}/webhooks/{hook}")
    connection.close()
    return [*none, *quick, *slow]


ALL = (deliveries, beside)
