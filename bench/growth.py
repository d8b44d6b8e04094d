"""Does a query, or a write, cost more when the table grows, or when more queries are live?"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time

from connection import Connection
from data import Writer, add_query, seed, seed_people
from process import ServerProcess
from scale import Scale
from workloads import PAUSE_S, Cost, Row, rest

PAGE = {"todos": {"$": {"order": {"priority": "desc"}, "limit": 20}}}
OWNERS = 100
LAST_S = 1
"""Growth ends this long before the deadline of the run, so that its rows are kept."""

_ACK = b'"transact-ok"'


async def growth(server: ServerProcess, scale: Scale, *, deadline: float) -> list[Row]:
    """A page of 20 by an indexed attr, and a write beside few and many live queries that it does
    not touch, at each size of one growing table. Sizes that are not reached within
    `growth_limit_s`, or before `deadline` (of time.perf_counter), are left out; the others are
    kept."""
    limit_s = min(scale.growth_limit_s, deadline - time.perf_counter() - LAST_S)
    table: list[Row] = []
    count = 0
    try:
        async with asyncio.timeout(limit_s):
            app_id = server.create_app()
            seeder = await Connection.open(server.url, app_id)
            owners = await seed_people(seeder, min(OWNERS, scale.growth_rows[0]))
            for size in scale.growth_rows:
                ids = await seed(seeder, todos=size - count, owners=owners, start=count)
                count = size
                await rest(server, scale)
                rows = [await _page(server, scale, app_id, size)]
                for queries in scale.growth_queries:
                    rows += await _write_beside(server, scale, app_id, ids, size, queries)
                table += rows
            seeder.close()
    except TimeoutError:
        sys.stderr.write(f"growth: {server.name} out of time after {count:,} rows\n")
        if not table:
            raise
    return table


async def _page(server: ServerProcess, scale: Scale, app_id: str, size: int) -> Row:
    row = Row(f"page_{size}", f"page of 20 by an indexed attr, {size:,} rows", "ms")
    for _ in range(scale.rounds * 3):
        connection = await Connection.open(server.url, app_id)
        started = time.perf_counter()
        await connection.ask_raw(add_query(PAGE), b"add-query-ok")
        row.samples.append((time.perf_counter() - started) * 1000)
        connection.close()
        await asyncio.sleep(PAUSE_S)
    return row


async def _write_beside(
    server: ServerProcess, scale: Scale, app_id: str, ids: list[str], size: int, others: int
) -> list[Row]:
    key = f"write_{size}_beside_{others}"
    label = f"write, {size:,} rows, {others:,} live queries"
    row = Row(key, label, "ms")
    cpu = Row(f"{key}_cpu", f"{label}: server CPU", "ms")
    listeners = []
    for first in range(0, others, scale.socket_queries):
        listener = await Connection.open(server.url, app_id)
        listeners.append(listener)
        await listener.subscribe(
            [
                {"todos": {"$": {"where": {"label": f"nobody {n}"}, "limit": 20}}}
                for n in range(first, min(first + scale.socket_queries, others))
            ]
        )
    await rest(server, scale)
    connection = await Connection.open(server.url, app_id)
    writer = Writer(connection.attrs)
    chooser = random.Random(size)
    for _ in range(scale.rounds):
        delays = []
        cost = Cost(server)
        for n in range(scale.growth_writes):
            message = writer.retitle(chooser.choice(ids).encode(), b"grown %d" % n)
            started = time.perf_counter()
            await connection.ask_raw(message, _ACK)
            delays.append((time.perf_counter() - started) * 1000)
        row.samples.append(statistics.median(delays))
        cpu.samples.append(cost.server_s() * 1000 / scale.growth_writes)
    for session in (connection, *listeners):
        session.close()
    return [row, cpu]
