"""Our Python client beside the official one, on the same server: `bench/pyclient/measure.py`.

Each figure is of a process of its own that holds one client. The two take turns, and who begins
changes from round to round.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import orjson

from connection import Connection
from data import seed
from process import BENCH, ServerProcess, environment
from scale import Scale
from sdk_clients import Figure
from workloads import Row

OURS, ORIGINAL = "tricedb-client", "instantdb"


def works(scale: Scale) -> list[Callable[[ServerProcess], Awaitable[list[Row]]]]:
    """The workloads of the group, each with its sizes."""
    s = scale
    start = [
        Figure("import", "python: import, CPU", "ms"),
        Figure("first", "python: import and first answer, CPU", "ms"),
        Figure("resident", "python: process after the first answer", "MB"),
    ]
    query = [
        Figure("rate", "python: query of {rows:,} rows", "rows/s"),
        Figure("cpu", "python: query of {rows:,} rows, CPU", "ms"),
    ]
    writes = [
        Figure("one_rate", "python: transactions, one after the other", "tx/s"),
        Figure("one_cpu", "python: a transaction, CPU", "µs"),
        Figure("many_rate", "python: transactions, 50 at once", "tx/s"),
        Figure("many_cpu", "python: a transaction of 50 at once, CPU", "µs"),
    ]
    change = [Figure("change_cpu", "python: one of {rows:,} live rows changed, CPU", "ms")]
    frame = [Figure("frame", "python: one of {rows:,} live rows changed: frame to reader", "ms")]
    many = [
        Figure("memory", "python: a live query of {queries:,} on one connection", "kB"),
        Figure("commit_cpu", "python: a commit beside {queries:,} live queries, CPU", "µs"),
    ]
    few_rows, many_rows = s.pyclient_rows
    return [
        partial(_work, scale=s, work="start", rows=few_rows, figures=start),
        partial(_work, scale=s, work="query", rows=few_rows, figures=query),
        partial(_work, scale=s, work="query", rows=many_rows, figures=query),
        partial(_work, scale=s, work="writes", rows=few_rows, figures=writes),
        partial(_work, scale=s, work="live", rows=few_rows, figures=change, ours_alone=frame),
        partial(_work, scale=s, work="many", rows=few_rows, figures=(), ours_alone=many),
    ]


def install() -> str | None:
    """The reason why the group cannot run, or None."""
    missing = [
        name
        for name in (ORIGINAL, "httpx", "msgspec", "anyio", "websockets")
        if importlib.util.find_spec(name) is None
    ]
    return f"needs {', '.join(missing)}: make setup" if missing else None


async def _work(
    server: ServerProcess,
    *,
    scale: Scale,
    work: str,
    rows: int,
    figures: Sequence[Figure],
    ours_alone: Sequence[Figure] = (),
) -> list[Row]:
    """A row for each figure and client; those of the original stand in a column of its own."""
    app_id, token = server.create_app_with_token()
    seeding = await Connection.open(server.url, app_id)
    await seed(seeding, todos=rows, owners=[], label="bench")
    seeding.close()
    options: dict[str, object] = {
        "url": server.url,
        "app": app_id,
        "token": token,
        "rows": rows,
        "times": scale.pyclient_times,
        "queries": scale.pyclient_queries,
    }
    column = ORIGINAL if server.name == "trice" else f"{ORIGINAL} on {server.name}"
    wanted = {OURS: [*figures, *ours_alone], ORIGINAL: list(figures)}
    found = {
        client: [
            Row(
                f"pyclient_{work}_{figure.name}_{rows}",
                figure.label.format(**options),
                figure.unit,
                column=None if client == OURS else column,
            )
            for figure in wanted[client]
        ]
        for client in wanted
    }
    if work == "start":  # bytecode is written by the first, as it is when a package is installed
        for client in (OURS, ORIGINAL):
            await _measure(client, work, options)
    for turn in range(scale.rounds):
        order = (OURS, ORIGINAL) if turn % 2 == 0 else (ORIGINAL, OURS)
        for client in order:
            if not wanted[client]:
                continue
            measured = await _measure(client, work, options)
            for row, figure in zip(found[client], wanted[client], strict=True):
                row.samples.append(statistics.median(measured[figure.name]))
    return [*found[OURS], *found[ORIGINAL]]


async def _measure(
    client: str, work: str, options: Mapping[str, object]
) -> Mapping[str, list[float]]:
    """Run measure.py once. Its process ends with the workload, however that ends."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, BENCH / "pyclient/measure.py", client, work, orjson.dumps(options)),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        printed, said = await child.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    if child.returncode != 0:
        raise RuntimeError(f"{client}, {work}: {said.decode()[-500:]}")
    measured: Mapping[str, list[float]] = orjson.loads(printed)
    return measured
