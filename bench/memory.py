"""Growth of the server's resident memory: sockets, subscriptions, broadcasts, a stuck client.

Each workload gets a server of its own, because memory once taken is seldom given back. So each row
has one sample, except in the idle group, which starts its servers anyway.
"""

from __future__ import annotations

import asyncio
import math
import time

from connection import Connection, OnMessage
from data import Writer, seed, seed_people
from process import ServerProcess
from scale import Scale
from workloads import (
    DELIVERY_LIMIT_S,
    Row,
    connect_many,
    labelled_query,
    own_query,
    rest,
    subscribe_each,
)

SHARED_ROWS = 10
WARM_UP_SOCKETS = 20

_REFRESH = b'"refresh-ok"'


async def sockets(server: ServerProcess, scale: Scale) -> list[Row]:
    """kB for each socket: after `init` only, then with one shared query, then with one query of its
    own; at the end, what remains after all have left."""
    count = scale.memory_sockets
    app_id = server.create_app()
    seeder = await Connection.open(server.url, app_id)
    owners = await seed_people(seeder, count)
    await seed(seeder, todos=count, owners=owners)
    await seed(seeder, todos=SHARED_ROWS, owners=[], label="shared")
    warm = await connect_many(server, app_id, WARM_UP_SOCKETS)
    await subscribe_each(warm, [labelled_query("shared")] * len(warm))
    for connection in warm:
        connection.close()

    before_mb = await _settled_mb(server, scale)
    connections = await connect_many(server, app_id, count)
    connected_mb = await _settled_mb(server, scale)
    await subscribe_each(connections, [labelled_query("shared")] * count)
    shared_mb = await _settled_mb(server, scale)
    await subscribe_each(connections, [own_query(owner) for owner in owners])
    own_mb = await _settled_mb(server, scale)
    for connection in connections:
        connection.close()
    await asyncio.sleep(scale.left_wait_s)
    left_mb = await _settled_mb(server, scale)
    seeder.close()

    each = f"memory, {count:,} sockets"
    return [
        Row(
            "memory_socket",
            f"{each}: an idle one",
            "kB",
            [(connected_mb - before_mb) * 1e3 / count],
        ),
        Row(
            "memory_shared",
            f"{each}: a shared query",
            "kB",
            [(shared_mb - connected_mb) * 1e3 / count],
        ),
        Row(
            "memory_own", f"{each}: a query of its own", "kB", [(own_mb - shared_mb) * 1e3 / count]
        ),
        Row("memory_left", f"{each}: stays after all left", "MB", [left_mb - before_mb]),
    ]


async def broadcast(server: ServerProcess, scale: Scale) -> list[Row]:
    """Many writes at once to a query that all clients watch: the peak, and what remains."""
    subscribers, writes = scale.broadcast_subscribers, scale.broadcast_writes
    app_id = server.create_app()
    seeder = await Connection.open(server.url, app_id)
    ids = await seed(seeder, todos=SHARED_ROWS, owners=[], label="shared")
    writer = Writer(seeder.attrs)
    connections = await connect_many(server, app_id, subscribers)
    await subscribe_each(connections, [labelled_query("shared")] * subscribers)
    before_mb = await _settled_mb(server, scale)
    server.forget_peak()
    watch = LastState(connections, b"broadcast last")
    for n in range(writes - 1):
        seeder.send(writer.retitle(ids[n % SHARED_ROWS].encode(), b"broadcast %d" % n))
    seeder.send(writer.retitle(ids[0].encode(), watch.marker))
    await watch.wait()
    peak_mb = server.peak_mb()
    after_mb = await _settled_mb(server, scale)
    for connection in (seeder, *connections):
        connection.close()
    label = f"memory, {writes} writes at once to {subscribers:,}"
    return [
        Row("memory_broadcast_peak", f"{label}: grows at its peak by", "MB", [peak_mb - before_mb]),
        Row("memory_broadcast_after", f"{label}: stays grown by", "MB", [after_mb - before_mb]),
    ]


async def stalled(server: ServerProcess, scale: Scale) -> list[Row]:
    """One subscriber stops reading while another reads on. Measures how much the server grows
    beside the bytes that it sent to the reader, and how soon the first subscriber has the newest
    state once it reads again.

    The same writes are made before with both reading, so that caches do not count as growth. The
    last row is missing if the server drops the client, which also bounds its memory.
    """
    rows, writes = scale.stalled_rows, scale.stalled_writes
    app_id = server.create_app()
    writer_connection = await Connection.open(server.url, app_id)
    ids = await seed(writer_connection, todos=rows, owners=[], label="stalled")
    writer = Writer(writer_connection.attrs)
    stuck, reader = await connect_many(server, app_id, 2)
    await subscribe_each([stuck, reader], [labelled_query("stalled")] * 2)

    async def write_all(name: bytes, readers: list[Connection]) -> int:
        """Write one at a time, the next when all `readers` have it; return the bytes each
        received."""
        received = 0
        for n in range(writes):
            watch = LastState(readers, b"%s %d." % (name, n))
            entity = ids[n % rows].encode()
            writer_connection.send(writer.retitle(entity, watch.marker))
            await watch.wait()
            received += watch.received_bytes
        return received // len(readers)

    await write_all(b"both", [stuck, reader])
    before_mb = await _settled_mb(server, scale)
    server.forget_peak()
    stuck.stop_reading()
    sent_bytes = await write_all(b"alone", [reader])
    grown_mb = server.peak_mb() - before_mb
    catch_up = LastState([stuck], b"alone %d." % (writes - 1))
    started = time.perf_counter()
    stuck.start_reading()
    await catch_up.wait()
    caught_up_ms = (
        (time.perf_counter() - started) * 1000 if stuck in Connection.living else math.nan
    )
    for connection in (writer_connection, stuck, reader):
        connection.close()
    label = f"client stops reading, {writes} writes"
    return [
        Row("stalled_memory", f"{label}: server grows by", "MB", [grown_mb]),
        Row("stalled_sent", f"{label}: a reading one receives", "MB", [sent_bytes / 1e6]),
        Row("stalled_catch_up", f"{label}: newest state after reading again", "ms", [caught_up_ms]),
    ]


class LastState:
    """Waits until all sessions have a state with `marker`, and counts the bytes they received."""

    def __init__(self, connections: list[Connection], marker: bytes) -> None:
        self.marker = marker
        self.received_bytes = 0
        self._waiting = {id(connection): connection for connection in connections}
        self._everyone = asyncio.Event()
        for connection in connections:
            connection.on_message = self._listener(connection)

    async def wait(self) -> None:
        """Return when all sessions have it or are disconnected; TimeoutError after a while."""
        deadline = time.perf_counter() + DELIVERY_LIMIT_S
        while any(connection in Connection.living for connection in self._waiting.values()):
            try:
                await asyncio.wait_for(self._everyone.wait(), 1)
                return
            except TimeoutError:
                if time.perf_counter() > deadline:
                    raise

    def _listener(self, connection: Connection) -> OnMessage:
        def on_message(payload: bytes) -> None:
            self.received_bytes += len(payload)
            if self.marker in payload and _REFRESH in payload:
                self._waiting.pop(id(connection), None)
                if not self._waiting:
                    self._everyone.set()

        return on_message


async def _settled_mb(server: ServerProcess, scale: Scale) -> float:
    await rest(server, scale)
    return server.rss_mb()


ALL = (sockets, broadcast, stalled)
