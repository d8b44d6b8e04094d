"""Live functions beside live queries of the same rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import orjson

from connection import Connection
from data import Writer, seed
from function_app import BY_HAND, FunctionApp, call, times_ms
from process import ServerProcess
from scale import Scale
from workloads import (
    DELIVERY_LIMIT_S,
    PAUSE_S,
    Cost,
    Row,
    labelled_query,
    percentile,
    rest,
)

WHOLE = "whole values"
"""Column: clients that do not ask for `call-delta`."""

_REFRESH = b'"refresh-ok"'
_IN_FLIGHT = 64
_ROWS = 10
_WATCHED = {"name": "todos.labelled", "args": {"label": "fan"}}


async def cached(server: ServerProcess, scale: Scale) -> list[Row]:
    """A client begins to watch what somebody else watches already."""
    key, label = "functions_cached_p50", "a watched query, asked by one more, p50 (goal 0.3)"
    ours, by_hand = Row(key, label, "ms"), Row(key, label, "ms", column=BY_HAND)
    app = FunctionApp.make(server)
    keeper, asker = await app.open(2)
    await seed(keeper, todos=_ROWS, owners=[], label="fan")
    query = {"q": labelled_query("fan")}
    await keeper.ask({"op": "add-call", **_WATCHED})
    await keeper.ask({"op": "add-query", **query})

    for row, word, asked in ((ours, "call", _WATCHED), (by_hand, "query", query)):

        async def ask(connection: Connection, _: int, word: str = word, asked: Any = asked) -> None:
            await connection.ask({"op": f"add-{word}", **asked})

        for _ in range(scale.rounds):
            await rest(server, scale)
            took: list[float] = []
            for _ in range(scale.function_calls):
                took += await times_ms(asker, ask, 1)
                asker.send(orjson.dumps({"op": f"remove-{word}", **asked}))
            row.samples.append(percentile(took, 0.5))
    for connection in (keeper, asker):
        connection.close()
    return [ours, by_hand]


async def crowd(server: ServerProcess, scale: Scale) -> list[Row]:
    """One commit changes a row that everybody watches, by a function and then by a query."""
    count = scale.function_watchers
    app = FunctionApp.make(server)
    (teller,) = await app.open(1)
    todos = await seed(teller, todos=_ROWS, owners=[], label="fan")
    rows: list[Row] = []
    watched = {"op": "add-call", **_WATCHED}
    queried = {"op": "add-query", "q": labelled_query("fan")}
    for column, message in ((None, watched), (BY_HAND, queried)):
        connections = await app.open(count)
        for connection in connections:
            await connection.ask(message)
        rows += await _tell(app, scale, teller, todos, connections, column)
        for connection in connections:
            connection.close()
    teller.close()
    return rows


async def _tell(
    app: FunctionApp,
    scale: Scale,
    teller: Connection,
    todos: Sequence[str],
    connections: Sequence[Connection],
    column: str | None,
) -> list[Row]:
    label = f"one commit to all of {len(connections):,} watchers"
    p50 = Row("functions_crowd_p50", f"{label}, p50", "ms", column=column)
    p99 = Row("functions_crowd_p99", f"{label}, p99", "ms", column=column)
    cpu = Row("functions_crowd_cpu", f"{label}: server CPU a delivery", "µs", column=column)
    writer = Writer(teller.attrs)
    everyone = asyncio.Event()
    delays: list[float] = []
    sent_at, marker, missing = 0.0, b"", 0

    def on_message(payload: bytes) -> None:
        nonlocal missing
        if marker in payload and _REFRESH in payload:
            delays.append((time.perf_counter() - sent_at) * 1000)
            missing -= 1
            if missing == 0:
                everyone.set()

    for connection in connections:
        connection.on_message = on_message
    for round_number in range(scale.rounds):
        await rest(app.server, scale)
        delays.clear()
        cost = Cost(app.server)
        for number in range(scale.fan_out_writes):
            missing = len(connections)
            marker = b"%s %d.%d." % (b"call" if column is None else b"query", round_number, number)
            everyone.clear()
            sent_at = time.perf_counter()
            teller.send(writer.retitle(todos[number % _ROWS].encode(), marker))
            await asyncio.wait_for(everyone.wait(), DELIVERY_LIMIT_S)
            await asyncio.sleep(PAUSE_S)
        p50.samples.append(percentile(delays, 0.5))
        p99.samples.append(percentile(delays, 0.99))
        p50.client_share.append(cost.client_share())
        cpu.samples.append(cost.server_s() * 1e6 / (len(connections) * scale.fan_out_writes))
    return [p50, p99, cpu]


async def changed_row(server: ServerProcess, scale: Scale) -> list[Row]:
    """The bytes that one changed row of a thousand costs who watches all of them."""
    count = scale.function_rows
    key, label = "functions_changed_row", f"one changed row of {count:,} that are watched: sent"
    app = FunctionApp.make(server)
    (teller,) = await app.open(1)
    todos = await seed(teller, todos=count, owners=[], label="fan")
    writer = Writer(teller.attrs)
    watched = {"op": "add-call", "name": "todos.thousand", "args": {"label": "fan"}}
    queried = {"op": "add-query", "q": labelled_query("fan")}
    rows: list[Row] = []
    for column, features, message in (
        (None, ("call-delta",), watched),
        (WHOLE, (), watched),
        (BY_HAND, ("delta", "resume"), queried),
    ):
        row = Row(key, label, "bytes", column=column)
        (watcher,) = await app.open(1, *features)
        await watcher.ask(message)
        told: asyncio.Queue[bytes] = asyncio.Queue()
        watcher.on_message = told.put_nowait
        for number in range(scale.rounds):
            marker = b"%d %d." % (len(rows), number)
            teller.send(writer.retitle(todos[number].encode(), marker))
            payload = b""
            while marker not in payload:
                payload = await asyncio.wait_for(told.get(), DELIVERY_LIMIT_S)
            row.samples.append(len(payload))
        watcher.close()
        rows.append(row)
    teller.close()
    return rows


async def unconcerned(server: ServerProcess, scale: Scale) -> list[Row]:
    """Commits that change nothing of what is watched: others' rows, and titles as they were."""
    count = scale.function_commits
    label = f"{count:,} commits that change no answer, beside a watcher"
    ran = Row("functions_unconcerned_runs", f"{label}: runs of Python (goal 0)", "runs")
    key, what = "functions_unconcerned", f"{label}: commits"
    ours, by_hand = Row(key, what, "1/s"), Row(key, what, "1/s", column=BY_HAND)
    app = FunctionApp.make(server)
    watcher, teller = await app.open(2)
    todos = await seed(teller, todos=_ROWS, owners=[], label="fan")
    others = await seed(teller, todos=_ROWS, owners=[], label="other")
    writer = Writer(teller.attrs)
    await teller.ask_raw(writer.retitle(todos[0].encode(), b"same"), b'"transact-ok"')
    for row, watched in (
        (ours, {"op": "add-call", **_WATCHED}),
        (by_hand, {"op": "add-query", "q": labelled_query("fan")}),
    ):
        await watcher.ask(watched)
        before = await call(teller, "todos.runs")
        for _ in range(scale.rounds):
            await rest(server, scale)
            began = time.perf_counter()
            await _write_all(teller, writer, todos[0], others, count // scale.rounds)
            row.samples.append(count // scale.rounds / (time.perf_counter() - began))
        after = await call(teller, "todos.runs")
        if before[0] != after[0]:
            raise RuntimeError("runs were counted in a process that has ended")
        if row is ours:
            ran.samples.append(after[1] - before[1])
        watcher.send(orjson.dumps({**watched, "op": str(watched["op"]).replace("add", "remove")}))
    for connection in (watcher, teller):
        connection.close()
    return [ran, ours, by_hand]


async def _write_all(
    teller: Connection, writer: Writer, same: str, others: Sequence[str], count: int
) -> None:
    """So many commits, some in flight; each tenth writes a watched title as it is."""
    missing, next_one = count, min(count, _IN_FLIGHT)
    finished = asyncio.Event()

    def message(number: int) -> bytes:
        if number % _ROWS == 0:
            return writer.retitle(same.encode(), b"same")
        return writer.retitle(others[number % _ROWS].encode(), b"other %d" % number)

    def on_message(payload: bytes) -> None:
        nonlocal missing, next_one
        for _ in range(payload.count(b'"transact-ok"')):
            missing -= 1
            if next_one < count:
                teller.send(message(next_one))
                next_one += 1
        if missing == 0 or b'"error"' in payload:
            finished.set()

    before, teller.on_message = teller.on_message, on_message
    for number in range(next_one):
        teller.send(message(number))
    await asyncio.wait_for(finished.wait(), 2 * DELIVERY_LIMIT_S)
    teller.on_message = before
    if missing:
        raise RuntimeError("a write failed")


ALL = (cached, crowd, changed_row, unconcerned)
