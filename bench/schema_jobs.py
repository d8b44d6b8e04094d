"""A job that indexes a large table, beside a client that writes: how long its writes wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from connection import Connection
from data import Writer, seed
from process import ServerProcess
from scale import Scale
from workloads import Row, percentile

_ACK = b'"transact-ok"'
_POLL_S = 0.05


async def beside_job(server: ServerProcess, *, scale: Scale) -> list[Row]:
    """Fill a table with todos, then write one after another: for a while alone, and until a job has
    indexed their titles, texts whose order is kept too."""
    count = scale.job_rows
    label = f"a write beside a job that indexes {count:,} rows"
    rows = {
        "alone_p50": Row("job_alone_p50", "the same write beside nothing: p50", "ms"),
        "alone_p99": Row("job_alone_p99", "the same write beside nothing: p99", "ms"),
        "alone_max": Row("job_alone_max", "the same write beside nothing: longest", "ms"),
        "beside_p50": Row("job_beside_p50", f"{label}: p50", "ms"),
        "beside_p99": Row("job_beside_p99", f"{label}: p99", "ms"),
        "beside_max": Row("job_beside_max", f"{label}: longest", "ms"),
    }
    duration = Row("job_s", f"the job that indexes {count:,} rows", "s")
    app_id, token = server.create_app_with_token()
    connection = await Connection.open(server.url, app_id)
    await seed(connection, todos=count, owners=[])
    (one,) = await seed(connection, todos=1, owners=[])
    writer = Writer(connection.attrs)
    serial = iter(range(10**9))

    async def write_until(is_over: Callable[[], bool]) -> list[float]:
        """Write until something is over; milliseconds of each write."""
        found = []
        while not is_over():
            title = b"title %d" % next(serial)
            began = time.perf_counter()
            await connection.ask_raw(writer.retitle(one.encode(), title), _ACK)
            found.append((time.perf_counter() - began) * 1000)
        return found

    ends = time.perf_counter() + scale.job_alone_s
    quiet = await write_until(lambda: time.perf_counter() >= ends)
    steps = [["index", {"attr-id": connection.attrs["todos.title"]}]]
    began = time.perf_counter()
    job = server.ask(f"/dash/apps/{app_id}/schema/steps/apply", token, {"steps": steps})
    path = f"/dash/apps/{app_id}/indexing-jobs/{job['indexing-jobs']['jobs'][0]['id']}"

    async def follow() -> str:
        while True:
            told = await asyncio.to_thread(server.ask, path, token)
            if told["job"]["job_status"] not in ("waiting", "processing"):
                return str(told["job"]["job_status"])
            await asyncio.sleep(_POLL_S)

    following = asyncio.ensure_future(follow())
    busy = await write_until(following.done)
    duration.samples.append(time.perf_counter() - began)
    assert await following == "completed"
    for name, times in (("alone", quiet), ("beside", busy)):
        for part, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            rows[f"{name}_{part}"].samples.append(percentile(times, share))
    connection.close()
    return [*rows.values(), duration]
