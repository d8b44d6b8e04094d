"""Our TypeScript client beside the original's, on the same server: `bench/sdk/measure.mjs`.

Each figure is of a Node process of its own that holds one client, so memory and warmth of one never
help the other. The two take turns, and who begins changes from round to round.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from connection import Connection
from data import seed
from process import BENCH, ServerProcess
from scale import Scale
from workloads import Row

OURS, ORIGINAL = "tricedb", "@instantdb/core"
ROOT = BENCH.parent
PACKAGE = ROOT / "clients/js"
HEAP_MB = 8_192


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table, by its name in what measure.mjs prints. `label` may name options."""

    name: str
    label: str
    unit: str


def works(scale: Scale) -> list[Callable[[ServerProcess], Awaitable[list[Row]]]]:
    """The workloads of the group, each with its sizes."""
    s = scale
    changed = "one of {rows:,} rows changed by another client"
    few, many = s.sdk_rows
    refresh = [
        Figure("frame", f"sdk: {changed}: frame to callback, p50", "ms"),
        Figure("delivery", f"sdk: {changed}: write to callback, p50", "ms"),
        Figure("first_frame", "sdk: first answer of {rows:,} rows: frame to callback", "ms"),
    ]
    write = [Figure("optimistic", "sdk: transact to shown, {rows:,} rows, p50", "ms")]
    queries = [
        Figure("frame", "sdk: {queries} queries of the same {rows:,} rows: thread a change", "ms")
    ]
    rate = "sdk: {rows:,} rows, {rate} changes a second"
    sent = [
        Figure("update", f"{rate}: received a change", "B"),
        Figure("busy", f"{rate}: thread a second", "ms"),
        Figure("reconnect", "sdk: reconnect, one of {rows:,} rows changed: received", "B"),
    ]
    heap = [Figure("heap", "sdk: heap, {queries} x {rows:,} rows", "MB")]
    crowd = [
        Figure("delivery", "sdk: {clients} clients, one query of {rows}: write to callback", "ms")
    ]
    return [
        *(partial(_work, scale=s, work="refresh", rows=n, figures=refresh) for n in (few, many)),
        *(partial(_work, scale=s, work="write", rows=n, figures=write) for n in (few, many)),
        partial(_work, scale=s, work="queries", rows=s.sdk_shared_rows, figures=queries),
        partial(_work, scale=s, work="bytes", rows=few, figures=sent),
        partial(_work, scale=s, work="memory", rows=many, figures=heap, queries=1),
        partial(_work, scale=s, work="memory", rows=few, figures=heap),
        partial(_work, scale=s, work="crowd", rows=s.sdk_crowd_rows, figures=crowd),
    ]


def install() -> str | None:
    """Build our client, if it is not; the reason why the group cannot run, or None."""
    if shutil.which("node") is None:
        return "needs Node"
    if not (ROOT / f"node_modules/{ORIGINAL}").exists():
        return "needs the npm packages of the tree: make setup"
    if not (PACKAGE / "dist/index.js").exists():
        compiler = ROOT / "node_modules/.bin/tsc"
        command = [compiler, "--project", PACKAGE / "tsconfig.build.json"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode != 0:
            return f"clients/js does not compile: {built.stdout[-300:]}"
    return None


async def _work(
    server: ServerProcess,
    *,
    scale: Scale,
    work: str,
    rows: int,
    figures: Sequence[Figure],
    queries: int | None = None,
) -> list[Row]:
    """A row for each figure and client; those of the original stand in a column of its own."""
    app_id = server.create_app()
    seeding = await Connection.open(server.url, app_id)
    await seed(seeding, todos=rows, owners=[], label="bench")
    seeding.close()
    options: dict[str, object] = {
        "url": server.url,
        "app": app_id,
        "rows": rows,
        "times": scale.sdk_times,
        "queries": queries or scale.sdk_queries,
        "clients": scale.sdk_clients,
        "rate": scale.sdk_rate,
        "seconds": scale.sdk_seconds,
    }
    column = ORIGINAL if server.name == "trice" else f"{ORIGINAL} on {server.name}"
    found = {
        client: [
            Row(
                f"sdk_{work}_{figure.name}_{rows}_{options['queries']}",
                figure.label.format(**options),
                figure.unit,
                column=None if client == OURS else column,
            )
            for figure in figures
        ]
        for client in (OURS, ORIGINAL)
    }
    for turn in range(scale.rounds):
        order = (OURS, ORIGINAL) if turn % 2 == 0 else (ORIGINAL, OURS)
        for client in order:
            measured = await _measure(client, work, options)
            for row, figure in zip(found[client], figures, strict=True):
                row.samples.append(statistics.median(measured[figure.name]))
    return [*found[OURS], *found[ORIGINAL]]


async def _measure(
    client: str, work: str, options: Mapping[str, object]
) -> Mapping[str, list[float]]:
    """Run measure.mjs once. Its process ends with the workload, however that ends."""
    flags = ["--expose-gc", f"--max-old-space-size={HEAP_MB}"]
    child = await asyncio.create_subprocess_exec(
        *("node", *flags, BENCH / "sdk/measure.mjs", client, work, orjson.dumps(options)),
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
