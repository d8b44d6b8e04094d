"""An app of the bench with functions: `functions_project`, deployed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from connection import Connection
from lasting import LastingApp
from peers import family
from process import BENCH, ServerProcess
from trice.calls.bundles import Bundle, Manifest, pack, project_files
from workloads import CONNECT_AT_ONCE

PROJECT = BENCH / "functions_project"
FEATURES = ("functions",)
BY_HAND, SQLITE = "InstaQL, InstaML", "SQLite, 1 process"
"""Columns: the same done by the client with queries and transactions, on the same server; the same
statements in one process, each transaction durable."""

Act = Callable[[Connection, int], Awaitable[object]]
"""What a client does once; it gets its connection and its number."""


def bundle() -> Bundle:
    """The project, packed."""
    return pack(project_files(PROJECT), Manifest())


@dataclass(frozen=True, slots=True)
class FunctionApp:
    """An app whose functions can be called."""

    server: ServerProcess
    id: str

    @classmethod
    def make(cls, server: ServerProcess) -> FunctionApp:
        lasting = LastingApp.make(server)
        headers = {"authorization": f"Bearer {lasting.token}", "content-type": "application/zip"}
        url = f"{server.url}/dash/apps/{lasting.id}"
        sent = httpx.post(f"{url}/bundles", content=bundle().raw, headers=headers, timeout=60)
        sent.raise_for_status()
        body = {"bundle": sent.json()["report"]["bundle"]}
        lasting.ask("POST", f"/dash/apps/{lasting.id}/deployments", body)
        return cls(server, lasting.id)

    async def open(self, count: int, *more_features: str) -> list[Connection]:
        """Sessions that may call, a bounded number at a time."""
        features = (*FEATURES, *more_features)
        opened: list[Connection] = []
        while len(opened) < count:
            size = min(CONNECT_AT_ONCE, count - len(opened))
            url = self.server.url
            opening = (Connection.open(url, self.id, features=features) for _ in range(size))
            opened += await asyncio.gather(*opening)
        return opened


def workers_cpu_s(server: ServerProcess) -> float:
    """CPU time so far of the processes that run functions."""
    workers = {pid for root in server.pids for pid in family(root)} - {*server.pids}
    return replace(server, pids=tuple(workers)).cpu_s()


async def call(connection: Connection, name: str, **args: Any) -> Any:
    """Call a function; what it returned."""
    answer = await connection.ask({"op": "call", "name": name, "args": args})
    return answer["value"]


async def rate(connections: Sequence[Connection], act: Act, *, round_s: float) -> float:
    """How often a second all of them together do it, each the next when the last is answered. Any
    that fails is raised."""
    done = 0
    ends = time.perf_counter() + round_s

    async def client(connection: Connection, number: int) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await act(connection, number)
            done += 1

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, connection in enumerate(connections):
            tasks.create_task(client(connection, number))
    return done / (time.perf_counter() - began)


async def times_ms(connection: Connection, act: Act, count: int) -> list[float]:
    """How long each of so many takes, one after the other."""
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await act(connection, 0)
        took.append((time.perf_counter() - began) * 1000)
    return took
