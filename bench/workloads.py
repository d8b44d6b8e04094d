"""The first workloads. Each takes a server and a scale, and returns rows: one sample a round.

Clients and subscribers live in this one process, so every latency is read from one clock. The CPU
of this process is measured beside the server's, and shown as the client's share.
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
from scale import Scale

PAUSE_S = 0.005
DELIVERY_LIMIT_S = 20
CONNECT_AT_ONCE = 50
REST_SHARE = 0.1

_ACK = b'"transact-ok"'
_REFRESH = b'"refresh-ok"'


@dataclass(slots=True)
class Row:
    """One line of the table: a sample for each round; it shows the median, min and max.

    column  where it stands, if not in that of the server; rows of one key stand side by side
    """

    key: str
    label: str
    unit: str
    samples: list[float] = field(default_factory=list)
    client_share: list[float] = field(default_factory=list)
    column: str | None = None


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


async def connect_many(
    server: ServerProcess, app_id: str, count: int, *, is_deflated: bool = False
) -> list[Connection]:
    """Open sessions, a bounded number at a time."""
    connections: list[Connection] = []
    while len(connections) < count:
        size = min(CONNECT_AT_ONCE, count - len(connections))
        opening = (
            Connection.open(server.url, app_id, is_deflated=is_deflated) for _ in range(size)
        )
        connections += await asyncio.gather(*opening)
    return connections


async def subscribe_each(connections: list[Connection], queries: list[dict[str, object]]) -> None:
    """Subscribe each session to one query, a bounded number at a time."""
    for first in range(0, len(connections), CONNECT_AT_ONCE):
        part = slice(first, first + CONNECT_AT_ONCE)
        pairs = zip(connections[part], queries[part], strict=True)
        await asyncio.gather(*(connection.subscribe([q]) for connection, q in pairs))


def own_query(owner: str) -> dict[str, object]:
    """The todos of one person: the query of a client with a filter of its own."""
    return {"todos": {"$": {"where": {"owner": owner}}}}


def labelled_query(label: str) -> dict[str, object]:
    """The todos with one label: a query that many clients share."""
    return {"todos": {"$": {"where": {"label": label}}}}


async def rest(server: ServerProcess, scale: Scale) -> None:
    """Wait until the server has finished earlier work, so that this does not count for the next
    workload. The wait is bounded; a server on another machine gets all of it."""
    deadline = time.perf_counter() + scale.rest_limit_s
    while time.perf_counter() < deadline:
        cost = Cost(server)
        started = time.perf_counter()
        await asyncio.sleep(scale.rest_window_s)
        if cost.server_s() <= REST_SHARE * (time.perf_counter() - started):
            return


# --- writes --------------------------------------------------------------------------------------


async def writes(server: ServerProcess, scale: Scale, *, clients: int, depth: int) -> list[Row]:
    """Acknowledged creates/s: `clients` sessions, with `depth` transactions in flight in each."""
    how = f", {depth} in flight" if depth > 1 else ""
    who = "1 client" if clients == 1 else f"{clients} clients"
    key = f"writes_{clients}x{depth}"
    row = Row(key, f"durable writes/s, {who}{how}", "1/s")
    cpu = Row(f"{key}_cpu", f"durable writes, {who}{how}: server CPU a write", "ms")
    app_id = server.create_app()
    connections = await connect_many(server, app_id, clients)
    for _ in range(scale.rounds):
        cost = Cost(server)
        rate, acked = await _write_round(connections, depth, round_s=scale.write_round_s)
        row.samples.append(rate)
        row.client_share.append(cost.client_share())
        cpu.samples.append(cost.server_s() * 1000 / acked)
    for connection in connections:
        connection.close()
    return [row, cpu]


async def _write_round(
    connections: list[Connection], depth: int, *, round_s: float
) -> tuple[float, int]:
    """Write for `round_s`, then wait for open writes; return writes/s, and the number of writes."""
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
    await asyncio.sleep(round_s)
    rate = acked / (time.perf_counter() - started)
    is_over = True
    await asyncio.wait_for(drained.wait(), DELIVERY_LIMIT_S)
    if failures:
        raise RuntimeError(failures[0][:500].decode())
    return rate, acked


# --- fan-out -------------------------------------------------------------------------------------


async def fan_out(
    server: ServerProcess, scale: Scale, *, subscribers: int, is_deflated: bool = False
) -> list[Row]:
    """One write, and many subscribers of one query of ten rows: time until each of them has it.

    is_deflated   they offer compression; a server without it sends plain frames
    """
    key = f"fan_out_{subscribers}" + ("_deflated" if is_deflated else "")
    label = f"write to all of {subscribers:,} on one query"
    label += ", offering compression" if is_deflated else ""
    p50 = Row(f"{key}_p50", f"{label}, p50", "ms")
    p99 = Row(f"{key}_p99", f"{label}, p99", "ms")
    cpu = Row(f"{key}_cpu", f"{label}: server CPU a delivery", "µs")
    size = Row(f"{key}_bytes", f"{label}: bytes a delivery", "B")
    app_id = server.create_app()
    writer_connection = await Connection.open(server.url, app_id)
    ids = await seed(writer_connection, todos=10, owners=[], label="fan")
    writer = Writer(writer_connection.attrs)
    connections = await connect_many(server, app_id, subscribers, is_deflated=is_deflated)
    await subscribe_each(connections, [labelled_query("fan")] * subscribers)

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
    for round_number in range(scale.rounds):
        delays.clear()
        cost = Cost(server)
        received_bytes = sum(connection.received_bytes for connection in connections)
        for n in range(scale.fan_out_writes):
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
        deliveries = subscribers * scale.fan_out_writes
        cpu.samples.append(cost.server_s() * 1e6 / deliveries)
        received_bytes = sum(each.received_bytes for each in connections) - received_bytes
        size.samples.append(received_bytes / deliveries)
    for connection in [writer_connection, *connections]:
        connection.close()
    return [p50, p99, cpu, size]


# --- own filters ---------------------------------------------------------------------------------


async def own_filter(
    server: ServerProcess, scale: Scale, *, clients: int, is_creating: bool = False
) -> list[Row]:
    """Each client, on a socket of its own, listens to the todos of its own owner; a write concerns
    one of them. `idle` is the CPU that the server spends on so many clients without writes.

    is_creating   a write creates a todo with its link, which enters an answer of about ten rows, as
                  in real apps; else it changes one field of an answer of one row
    """
    key = f"own_rows_{clients}" if is_creating else f"own_filter_{clients}"
    label = f"{clients:,} own filters" + (", each write creates a row" if is_creating else "")
    latency = Row(f"{key}_p50", f"{label}: write to client p50", "ms")
    cpu = Row(f"{key}_cpu", f"{label}: server CPU a write", "ms")
    idle = Row(f"{key}_idle", f"{label}: server CPU a second, no writes", "ms")
    app_id = server.create_app()
    writer_connection = await Connection.open(server.url, app_id)
    owners = await seed_people(writer_connection, clients)
    rows = clients * (scale.own_rows if is_creating else 1)
    ids = await seed(writer_connection, todos=rows, owners=owners)
    writer = Writer(writer_connection.attrs)

    def message(n: int) -> bytes:
        """A write that concerns client `n`, with the marker as title."""
        if is_creating:
            return writer.create_owned(owners[n].encode(), marker, rows + n)
        return writer.retitle(ids[n].encode(), marker)

    connections = await connect_many(server, app_id, clients)
    await subscribe_each(connections, [own_query(owner) for owner in owners])

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
    await rest(server, scale)
    idle.samples.append(await _idle_cpu(server, scale))
    chooser = random.Random(clients)
    for round_number in range(scale.rounds):
        delays = []
        cost = Cost(server)
        for n in range(scale.own_filter_writes):
            marker = b"own %d.%d." % (round_number, n)
            arrived.clear()
            write = message(chooser.randrange(clients))
            sent_at = time.perf_counter()
            writer_connection.send(write)
            await asyncio.wait_for(arrived.wait(), DELIVERY_LIMIT_S)
            delays.append((received_at - sent_at) * 1000)
        latency.samples.append(statistics.median(delays))
        cpu.samples.append(cost.server_s() * 1000 / scale.own_filter_writes)
        latency.client_share.append(cost.client_share())
    for connection in [writer_connection, *connections]:
        connection.close()
    return [latency, cpu, idle]


async def _idle_cpu(server: ServerProcess, scale: Scale) -> float:
    """CPU ms that the server uses in a second without requests."""
    cost = Cost(server)
    started = time.perf_counter()
    await asyncio.sleep(scale.quiet_s)
    return cost.server_s() * 1000 / (time.perf_counter() - started)


# --- reads ---------------------------------------------------------------------------------------


async def first_answer(server: ServerProcess, scale: Scale, *, rows: int) -> list[Row]:
    """A new session asks for `rows` todos with their owner: from add-query to add-query-ok."""
    row = Row(f"first_answer_{rows}", f"{rows:,} rows with nested owner, first answer", "ms")
    app_id = server.create_app()
    seeder = await Connection.open(server.url, app_id)
    owners = await seed_people(seeder, scale.first_answer_owners)
    await seed(seeder, todos=rows, owners=owners)
    seeder.close()
    for _ in range(scale.rounds * 2 + 1):
        connection = await Connection.open(server.url, app_id)
        cost = Cost(server)
        started = time.perf_counter()
        await connection.ask_raw(add_query({"todos": {"owner": {}}}), b"add-query-ok")
        row.samples.append((time.perf_counter() - started) * 1000)
        row.client_share.append(cost.client_share())
        connection.close()
        await asyncio.sleep(PAUSE_S)
    return [row]
