"""The workloads. Each takes a running server and returns rows of samples, one sample a round.

Clients and subscribers live in this one process, so every latency is read from one clock. What the
process itself costs is measured beside the server's CPU and shown as the client's share.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from connection import Connection
from data import Writer, add_query, seed, seed_people
from process import ServerProcess

WRITE_ROUND_S = 1.5
PIPELINE_DEPTH = 64
FAN_OUT_WRITES = 40
OWN_FILTER_WRITES = 150
GROWTH_WRITES = 200
PAUSE_S = 0.005
DELIVERY_LIMIT_S = 20
CONNECT_AT_ONCE = 50
SETTLE_S = 1
ROUNDS = 3

_ACK = b'"transact-ok"'
_REFRESH = b'"refresh-ok"'


@dataclass(slots=True)
class Row:
    """One line of the table: a sample per round; the median is quoted, min and max shown."""

    key: str
    label: str
    unit: str
    samples: list[float] = field(default_factory=list)
    client_share: list[float] = field(default_factory=list)


class Cost:
    """CPU of server and client over a stretch of work."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._server_s = server.cpu_s()
        self._client_s = time.process_time()

    def server_s(self) -> float:
        return self._server.cpu_s() - self._server_s

    def client_share(self) -> float:
        client = time.process_time() - self._client_s
        total = client + self.server_s()
        return client / total if total else 0.0


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def connect_many(server: ServerProcess, app_id: str, count: int) -> list[Connection]:
    """Open sessions, a bounded number at a time."""
    connections: list[Connection] = []
    while len(connections) < count:
        size = min(CONNECT_AT_ONCE, count - len(connections))
        opening = (Connection.open(server.url, app_id) for _ in range(size))
        connections += await asyncio.gather(*opening)
    return connections


# --- writes --------------------------------------------------------------------------------------


async def writes(server: ServerProcess, clients: int, depth: int = 1) -> list[Row]:
    """Creates acknowledged a second: `clients` sessions, `depth` transactions in flight in each."""
    how = f", {depth} in flight" if depth > 1 else ""
    who = "1 client" if clients == 1 else f"{clients} clients"
    row = Row(f"writes_{clients}x{depth}", f"durable writes/s, {who}{how}", "1/s")
    app_id = server.create_app()
    connections = await connect_many(server, app_id, clients)
    for _ in range(ROUNDS):
        cost = Cost(server)
        row.samples.append(await _write_round(connections, depth))
        row.client_share.append(cost.client_share())
    for connection in connections:
        connection.close()
    return [row]


async def _write_round(connections: list[Connection], depth: int) -> float:
    writer = Writer(connections[0].attrs)
    acked = 0
    failures: list[bytes] = []
    open_writes = 0
    is_over = False
    drained = asyncio.Event()

    def listener(connection: Connection) -> Callable[[bytes], None]:
        def on_message(payload: bytes) -> None:
            nonlocal acked, open_writes
            found = payload.count(_ACK)
            if not found:
                if b'"error"' in payload:
                    failures.append(payload)
                    drained.set()
                return
            acked += found
            open_writes -= found
            if is_over:
                if open_writes == 0:
                    drained.set()
                return
            open_writes += found
            for _ in range(found):
                connection.send(writer.create(acked))

        return on_message

    for connection in connections:
        connection.on_message = listener(connection)
    started = time.perf_counter()
    for connection in connections:
        for n in range(depth):
            open_writes += 1
            connection.send(writer.create(n))
    await asyncio.sleep(WRITE_ROUND_S)
    elapsed = time.perf_counter() - started
    rate = acked / elapsed
    is_over = True
    await asyncio.wait_for(drained.wait(), DELIVERY_LIMIT_S)
    if failures:
        raise RuntimeError(failures[0][:500].decode())
    return rate


# --- fan-out -------------------------------------------------------------------------------------


async def fan_out(server: ServerProcess, subscribers: int) -> list[Row]:
    """One write, every subscriber of one query of ten rows: time until each of them has it."""
    label = f"write to all of {subscribers} on one query"
    p50 = Row(f"fan_out_{subscribers}_p50", f"{label}, p50", "ms")
    p99 = Row(f"fan_out_{subscribers}_p99", f"{label}, p99", "ms")
    app_id = server.create_app()
    writer_connection = await Connection.open(server.url, app_id)
    ids = await seed(writer_connection, todos=10, owners=[], label="fan")
    writer = Writer(writer_connection.attrs)
    connections = await connect_many(server, app_id, subscribers)
    query = add_query({"todos": {"$": {"where": {"label": "fan"}}}})
    await asyncio.gather(*(c.ask_raw(query, b"add-query-ok") for c in connections))

    missing = 0
    delays: list[float] = []
    sent_at = 0.0
    marker = b""
    everyone = asyncio.Event()

    def on_message(payload: bytes) -> None:
        nonlocal missing
        if marker in payload and _REFRESH in payload:
            delays.append(time.perf_counter() - sent_at)
            missing -= 1
            if missing == 0:
                everyone.set()

    for connection in connections:
        connection.on_message = on_message
    for round_number in range(ROUNDS):
        delays.clear()
        cost = Cost(server)
        for n in range(FAN_OUT_WRITES):
            marker = b"fan %d.%d." % (round_number, n)
            missing = subscribers
            everyone.clear()
            sent_at = time.perf_counter()
            writer_connection.send(writer.retitle(ids[n % 10].encode(), marker))
            await asyncio.wait_for(everyone.wait(), DELIVERY_LIMIT_S)
            await asyncio.sleep(PAUSE_S)
        p50.samples.append(percentile(delays, 0.5) * 1000)
        p99.samples.append(percentile(delays, 0.99) * 1000)
        p50.client_share.append(cost.client_share())
    for connection in [writer_connection, *connections]:
        connection.close()
    return [p50, p99]


# --- own filters ---------------------------------------------------------------------------------


async def own_filter(server: ServerProcess, clients: int) -> list[Row]:
    """Each client listens to the todos of its own owner; a write concerns one of them."""
    latency = Row(f"own_filter_{clients}_p50", f"{clients} own filters: write to client p50", "ms")
    cpu = Row(f"own_filter_{clients}_cpu", f"{clients} own filters: server CPU a write", "ms")
    app_id = server.create_app()
    writer_connection = await Connection.open(server.url, app_id)
    owners = await seed_people(writer_connection, clients)
    ids = await seed(writer_connection, todos=clients, owners=owners)
    writer = Writer(writer_connection.attrs)
    connections = await connect_many(server, app_id, clients)
    for first in range(0, clients, CONNECT_AT_ONCE):
        group = range(first, min(first + CONNECT_AT_ONCE, clients))
        asks = (
            connections[n].ask_raw(
                add_query({"todos": {"$": {"where": {"owner": owners[n]}}}}), b"add-query-ok"
            )
            for n in group
        )
        await asyncio.gather(*asks)

    arrived = asyncio.Event()
    received_at = 0.0
    marker = b""

    def on_message(payload: bytes) -> None:
        nonlocal received_at
        if marker in payload and _REFRESH in payload:
            received_at = time.perf_counter()
            arrived.set()

    for connection in connections:
        connection.on_message = on_message
    await asyncio.sleep(SETTLE_S)
    chooser = random.Random(clients)
    for round_number in range(ROUNDS):
        delays = []
        cost = Cost(server)
        for n in range(OWN_FILTER_WRITES):
            marker = b"own %d.%d." % (round_number, n)
            arrived.clear()
            entity = ids[chooser.randrange(clients)].encode()
            sent_at = time.perf_counter()
            writer_connection.send(writer.retitle(entity, marker))
            await asyncio.wait_for(arrived.wait(), DELIVERY_LIMIT_S)
            delays.append((received_at - sent_at) * 1000)
        latency.samples.append(statistics.median(delays))
        cpu.samples.append(cost.server_s() * 1000 / OWN_FILTER_WRITES)
        latency.client_share.append(cost.client_share())
    for connection in [writer_connection, *connections]:
        connection.close()
    return [latency, cpu]


# --- reads ---------------------------------------------------------------------------------------


async def first_answer(server: ServerProcess, rows: int) -> list[Row]:
    """A new session asks for `rows` todos with their owner: from add-query to add-query-ok."""
    row = Row(f"first_answer_{rows}", f"{rows:,} rows with nested owner, first answer", "ms")
    app_id = server.create_app()
    seeder = await Connection.open(server.url, app_id)
    owners = await seed_people(seeder, 100)
    await seed(seeder, todos=rows, owners=owners)
    seeder.close()
    for _ in range(ROUNDS * 2 + 1):
        connection = await Connection.open(server.url, app_id)
        cost = Cost(server)
        started = time.perf_counter()
        await connection.ask_raw(add_query({"todos": {"owner": {}}}), b"add-query-ok")
        row.samples.append((time.perf_counter() - started) * 1000)
        row.client_share.append(cost.client_share())
        connection.close()
        await asyncio.sleep(PAUSE_S)
    return [row]


async def growth(server: ServerProcess, sizes: list[int]) -> list[Row]:
    """A page of 20 by an indexed attr, and a write beside 10 and 1,000 unrelated live queries."""
    table: list[Row] = []
    app_id = server.create_app()
    seeder = await Connection.open(server.url, app_id)
    owners = await seed_people(seeder, 100)
    page = {"todos": {"$": {"order": {"priority": "desc"}, "limit": 20}}}
    count = 0
    for size in sizes:
        ids = await seed(seeder, todos=size - count, owners=owners, start=count)
        count = size
        read = Row(f"page_{size}", f"page of 20 by an indexed attr, {size:,} rows", "ms")
        for _ in range(ROUNDS * 3):
            connection = await Connection.open(server.url, app_id)
            started = time.perf_counter()
            await connection.ask_raw(add_query(page), b"add-query-ok")
            read.samples.append((time.perf_counter() - started) * 1000)
            connection.close()
            await asyncio.sleep(PAUSE_S)
        table.append(read)
        for others in (10, 1_000):
            table.append(await _write_beside(server, app_id, ids, size, others))
    seeder.close()
    return table


async def _write_beside(
    server: ServerProcess, app_id: str, ids: list[str], size: int, others: int
) -> Row:
    row = Row(
        f"write_{size}_beside_{others}", f"write, {size:,} rows, {others:,} live queries", "ms"
    )
    listener = await Connection.open(server.url, app_id)
    for n in range(others):
        q = {"todos": {"$": {"where": {"label": f"nobody {n}"}, "limit": 20}}}
        await listener.ask_raw(add_query(q), b"add-query-ok")
    connection = await Connection.open(server.url, app_id)
    writer = Writer(connection.attrs)
    chooser = random.Random(size)
    for _ in range(ROUNDS):
        delays = []
        for n in range(GROWTH_WRITES):
            message = writer.retitle(chooser.choice(ids).encode(), b"grown %d" % n)
            started = time.perf_counter()
            await connection.ask_raw(message, _ACK)
            delays.append((time.perf_counter() - started) * 1000)
        row.samples.append(statistics.median(delays))
    connection.close()
    listener.close()
    return row
