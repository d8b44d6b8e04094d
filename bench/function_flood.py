"""Callers of a function that should not be called: each again as soon as it was answered. A process
of its own, so that it takes no time of the loop that measures.

    python function_flood.py URL APP_ID FUNCTION CALLERS     until it is killed

It prints "calling" once all are connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

import uvloop

from connection import Connection

REST_S: Final = 0.01
"""Between two calls of one caller. What is refused at once (`functions-broken`) would else be a
flood of the socket, which `neighbour` measures."""


async def flood(url: str, app_id: str, function: str, callers: int) -> None:
    connections = [
        await Connection.open(url, app_id, address=f"127.0.2.{1 + n}", features=("functions",))
        for n in range(callers)
    ]
    sys.stdout.write("calling\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as tasks:
        for connection in connections:
            tasks.create_task(_again(connection, function))


async def _again(connection: Connection, function: str) -> None:
    while True:
        with contextlib.suppress(RuntimeError, TimeoutError):
            await connection.ask({"op": "call", "name": function, "args": {}})
        await asyncio.sleep(REST_S)


if __name__ == "__main__":
    uvloop.run(flood(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
