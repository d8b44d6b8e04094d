"""Calls of an app beside hostile functions of another app on the same server: how much later they
are answered."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Final

from connection import Connection
from data import seed
from function_app import FunctionApp, call
from process import BENCH, ServerProcess, functions_command
from scale import Scale
from workloads import DELIVERY_LIMIT_S, Row, percentile, rest

STEP_S: Final = 0.02
"""A call begins so often: a mutation and a query, in turns."""

HOSTILE: Final = {
    "spin": "an endless loop",
    "hog": "ten gigabytes",
    "fork": "processes without end",
    "shout": "a gigabyte of prints",
    "large": "a result of 100 MB",
}
"""Function of `functions_project/functions/hostile.py` → what it tries."""


async def hostile_functions(server: ServerProcess, scale: Scale) -> list[Row]:
    """A client calls at a fixed rate: alone; while others call a hostile function of another app;
    and while they do so at another server of the machine, whose processors it takes as well."""
    alone = _row("alone", "alone")
    rows = [alone]
    other = ServerProcess.start("trice", functions_command)
    innocent = FunctionApp.make(server)
    hostile = {"beside": FunctionApp.make(server), "elsewhere": FunctionApp.make(other)}
    (connection,) = await innocent.open(1)
    (todo,) = await seed(connection, todos=1, owners=[])
    try:
        await _measure(connection, todo, scale.function_steps)
        for _ in range(scale.rounds):
            took_ms = await _measure(connection, todo, scale.function_steps)
            alone.samples.append(percentile(took_ms, 0.99))
        for function, tries in HOSTILE.items():
            found = {
                "elsewhere": _row(f"{function}_elsewhere", f"beside {tries}, of another server"),
                "beside": _row(f"{function}_beside", f"beside {tries}"),
            }
            for _ in range(scale.rounds):
                for where, row in found.items():
                    app = hostile[where]
                    flood = await _start_flood(app, function, scale.function_hostile)
                    try:
                        took_ms = await _measure(connection, todo, scale.function_steps)
                    finally:
                        flood.kill()
                        await flood.wait()
                    row.samples.append(percentile(took_ms, 0.99))
                    await rest(app.server, scale)
            rows += found.values()
    finally:
        other.stop()
    connection.close()
    return rows


def _row(key: str, where: str) -> Row:
    return Row(f"functions_hostile_{key}", f"calls at a fixed rate, p99: {where}", "ms")


async def _measure(connection: Connection, todo: str, steps: int) -> list[float]:
    """Milliseconds of each call. They begin at a fixed rate, whether those before are answered or
    not: else one that is late would leave out those that it holds up."""
    took_ms: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        async with asyncio.timeout(DELIVERY_LIMIT_S):
            if number % 2:
                await call(connection, "todos.touch", todo=todo)
            else:
                await call(connection, "todos.labelled", label="none")
        took_ms.append((time.perf_counter() - began) * 1000)

    due = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(steps):
            due += STEP_S
            await asyncio.sleep(max(0, due - time.perf_counter()))
            tasks.create_task(one(number))
    return took_ms


async def _start_flood(app: FunctionApp, function: str, callers: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, BENCH / "function_flood.py", app.server.url, app.id),
        *(f"hostile.{function}", str(callers)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DELIVERY_LIMIT_S)
    if line.strip() != b"calling":
        process.kill()
        raise RuntimeError("the hostile calls did not begin")
    return process


ALL: Final = (hostile_functions,)
