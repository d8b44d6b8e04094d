"""A reconnect storm: the network fails for a moment, and all clients reconnect and ask at once."""

from __future__ import annotations

import asyncio
import time

from connection import Connection
from data import seed, seed_people
from process import ServerProcess
from scale import Scale
from workloads import Cost, Row, connect_many, labelled_query, own_query, percentile, rest


async def storm(server: ServerProcess, scale: Scale, *, is_shared: bool) -> list[Row]:
    """Break all connections; measure the time until each client, and the last of them, has
    connected again, sent `init` and its query, and received the answer. An answer has
    `reconnect_rows` rows when the query is shared, else a tenth of them."""
    clients = scale.reconnect_clients
    what = "one query" if is_shared else "own queries"
    key = f"reconnect_{clients}_{'shared' if is_shared else 'own'}"
    label = f"{clients:,} reconnect, {what}"
    p50 = Row(f"{key}_p50", f"{label}: p50 until answered", "ms")
    last = Row(f"{key}_last", f"{label}: until all are answered", "ms")
    cpu = Row(f"{key}_cpu", f"{label}: server CPU a client", "ms")
    app_id = server.create_app()
    seeder = await Connection.open(server.url, app_id)
    if is_shared:
        await seed(seeder, todos=scale.reconnect_rows, owners=[], label="shared")
        queries = [labelled_query("shared")] * clients
    else:
        owners = await seed_people(seeder, clients)
        todos = max(scale.reconnect_rows // 10, 1) * clients
        await seed(seeder, todos=todos, owners=owners)
        queries = [own_query(owner) for owner in owners]
    seeder.close()

    delays: list[float] = []
    started = 0.0

    async def come_back(q: dict[str, object], connection: Connection | None = None) -> Connection:
        connection = connection or await Connection.open(server.url, app_id)
        await connection.subscribe([q])
        delays.append((time.perf_counter() - started) * 1000)
        return connection

    first = await connect_many(server, app_id, clients)
    pairs = zip(queries, first, strict=True)
    connections = await asyncio.gather(*(come_back(q, connection) for q, connection in pairs))
    for _ in range(scale.rounds):
        await rest(server, scale)
        delays.clear()
        cost = Cost(server)
        started = time.perf_counter()
        for connection in connections:
            connection.drop()
        connections = await asyncio.gather(*(come_back(q) for q in queries))
        p50.samples.append(percentile(delays, 0.5))
        last.samples.append(max(delays))
        last.client_share.append(cost.client_share())
        cpu.samples.append(cost.server_s() * 1000 / clients)
    for connection in connections:
        connection.close()
    return [p50, last, cpu]
