"""Processes of functions: their start, their memory; and when a job that is due begins."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

from data import add_query
from function_app import FunctionApp, bundle, call
from process import ServerProcess
from scale import Scale
from trice.calls.bundles import unpack
from trice.calls.side import AppCode
from trice.calls.workers.starter import Starter
from trice.functions.frames import Ready
from trice.runtime import SystemRuntime
from workloads import DELIVERY_LIMIT_S, Row, labelled_query, percentile, rest

_POLL_S = 0.005


async def starts(server: ServerProcess, scale: Scale) -> list[Row]:
    """Processes as the server starts them, by the bench itself: until the project is loaded."""
    cold = Row("functions_start", "worker, start from nothing until loaded (goal 400)", "ms")
    spare = Row("functions_spare", "worker, from the spare until loaded (goal 60)", "ms")
    size = Row("functions_memory", "worker, resident once loaded (goal 45)", "MB")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bundle"
        unpack(bundle(), path)
        code = AppCode("app", "hash", path)
        starter = Starter(SystemRuntime(), users=None, on_line=lambda app, level, text: None)

        async def start() -> tuple[float, float]:
            began = time.perf_counter()
            process, loaded = await starter.start(code, is_pure=True, in_use=())
            took_ms = (time.perf_counter() - began) * 1000
            if not isinstance(loaded, Ready):
                raise RuntimeError(str(loaded))
            size_mb = process.size_bytes() / 1e6
            process.kill("it is measured")
            return took_ms, size_mb

        patience_s = socket.getdefaulttimeout()
        socket.setdefaulttimeout(None)  # the processes inherit sockets that block
        try:
            for _ in range(scale.function_starts):
                await rest(server, scale)
                starter.rest()
                took_ms, size_mb = await start()
                cold.samples.append(took_ms)
                size.samples.append(size_mb)
                while not starter.has_spare:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_S)
                await asyncio.sleep(scale.idle_s)  # it imports what it needs
                spare.samples.append((await start())[0])
        finally:
            socket.setdefaulttimeout(patience_s)
            await starter.close()
    return [cold, spare, size]


async def first_call(server: ServerProcess, scale: Scale) -> list[Row]:
    """The first call of an app, when the server has run functions before."""
    row = Row("functions_first", "first call of an app, from the spare", "ms")
    for _ in range(scale.rounds):
        app = FunctionApp.make(server)
        (connection,) = await app.open(1)
        await asyncio.sleep(scale.idle_s)
        await rest(server, scale)
        began = time.perf_counter()
        await call(connection, "todos.runs")
        row.samples.append((time.perf_counter() - began) * 1000)
        connection.close()
    return [row]


async def due_jobs(server: ServerProcess, scale: Scale) -> list[Row]:
    """A mutation schedules a job for now. Its row tells when it began, by the machine's clock."""
    begun = Row("functions_job", "a job due now: scheduled until it begins, p50 (goal 10)", "ms")
    seen = Row("functions_job_seen", "a job due now: scheduled until its row is seen, p50", "ms")
    app = FunctionApp.make(server)
    connection, listener = await app.open(2)
    for _ in range(scale.rounds):
        await rest(server, scale)
        waits, sights = [], []
        for _ in range(scale.function_jobs):
            label = str(uuid.uuid4())
            told = asyncio.Event()
            await listener.ask_raw(add_query(labelled_query(label)), b"add-query-ok")
            before = listener.on_message
            listener.on_message = lambda payload, told=told: (  # type: ignore[misc]
                told.set() if b'"refresh-ok"' in payload else None
            )
            await call(connection, "todos.plan", label=label)
            acked_s = time.time()
            await asyncio.wait_for(told.wait(), DELIVERY_LIMIT_S)
            sights.append((time.time() - acked_s) * 1000)
            listener.on_message = before
            (row,) = await call(connection, "todos.labelled", label=label)
            waits.append(row["priority"] - acked_s * 1000)
            await listener.ask({"op": "remove-query", "q": labelled_query(label)})
        begun.samples.append(percentile(waits, 0.5))
        seen.samples.append(percentile(sights, 0.5))
    for each in (connection, listener):
        each.close()
    return [begun, seen]


ALL = (starts, first_call, due_jobs)
