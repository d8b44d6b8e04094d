"""A write while another one is being broadcast: how long it waits."""

from __future__ import annotations

import asyncio
import time

from connection import Connection
from data import Writer, seed
from process import ServerProcess
from scale import Scale
from workloads import (
    DELIVERY_LIMIT_S,
    PAUSE_S,
    Row,
    connect_many,
    labelled_query,
    percentile,
    subscribe_each,
)

_ACK = b'"transact-ok"'
_REFRESH = b'"refresh-ok"'


async def beside_broadcast(server: ServerProcess, scale: Scale) -> list[Row]:
    """A client writes as soon as the first of many subscribers has a change that goes to all of
    them. Measures the time until that write is acknowledged, and until its own listener has it; and
    the same without a broadcast. The subscribers do not read meanwhile: their bytes wait in the
    system, so that this process only receives what is measured."""
    count = scale.beside_subscribers
    label = f"a write beside a broadcast to {count:,}"
    ack = Row("beside_ack_p50", f"{label}: acknowledged p50", "ms")
    ack_most = Row("beside_ack_p99", f"{label}: acknowledged p99", "ms")
    news = Row("beside_news_p50", f"{label}: to its listener p50", "ms")
    alone = Row("beside_alone_p50", "the same write beside nothing: acknowledged p50", "ms")
    app_id = server.create_app()
    loud = await Connection.open(server.url, app_id)
    other = await Connection.open(server.url, app_id)
    loud_ids = await seed(loud, todos=10, owners=[], label="loud")
    (other_id,) = await seed(other, todos=1, owners=[], label="other")
    writer = Writer(loud.attrs)
    listener = await Connection.open(server.url, app_id)
    await listener.subscribe([labelled_query("other")])
    subscribers = await connect_many(server, app_id, count)
    await subscribe_each(subscribers, [labelled_query("loud")] * count)
    bell, *silent = subscribers
    arrivals = _Arrivals(count)
    for connection in subscribers:
        connection.on_message = arrivals.on_broadcast
    other.on_message, listener.on_message = arrivals.on_ack, arrivals.on_news

    async def write_other(title: bytes) -> tuple[float, float]:
        """Milliseconds to the acknowledgement and to the listener."""
        arrivals.expect_other()
        started = time.perf_counter()
        other.send(writer.retitle(other_id.encode(), title))
        acked, told = await asyncio.wait_for(arrivals.of_other(), DELIVERY_LIMIT_S)
        return (acked - started) * 1000, (told - started) * 1000

    for round_number in range(scale.rounds):
        acks, listened, quiet = [], [], []
        for n in range(scale.beside_writes):
            title = b"%d.%d" % (round_number, n)
            quiet.append((await write_other(b"alone " + title))[0])
            for connection in silent:
                connection.stop_reading()
            arrivals.expect_broadcast()
            loud.send(writer.retitle(loud_ids[n % 10].encode(), b"loud " + title))
            await asyncio.wait_for(arrivals.first.wait(), DELIVERY_LIMIT_S)
            acked_ms, told_ms = await write_other(b"beside " + title)
            acks.append(acked_ms)
            listened.append(told_ms)
            for connection in silent:
                connection.start_reading()
            await asyncio.wait_for(arrivals.everyone.wait(), DELIVERY_LIMIT_S)
            await asyncio.sleep(PAUSE_S)
        ack.samples.append(percentile(acks, 0.5))
        ack_most.samples.append(percentile(acks, 0.99))
        news.samples.append(percentile(listened, 0.5))
        alone.samples.append(percentile(quiet, 0.5))
    for connection in (loud, other, listener, bell, *silent):
        connection.close()
    return [ack, ack_most, news, alone]


class _Arrivals:
    """Notes when the measured frames arrive."""

    def __init__(self, subscribers: int) -> None:
        self._subscribers = subscribers
        self._missing = 0
        self.first = asyncio.Event()
        self.everyone = asyncio.Event()
        self.expect_other()

    def expect_broadcast(self) -> None:
        self._missing = self._subscribers
        self.first.clear()
        self.everyone.clear()

    def expect_other(self) -> None:
        loop = asyncio.get_running_loop()
        self._acked: asyncio.Future[float] = loop.create_future()
        self._told: asyncio.Future[float] = loop.create_future()

    async def of_other(self) -> tuple[float, float]:
        """When the other write was acknowledged, and when its listener had it."""
        return await self._acked, await self._told

    def on_broadcast(self, payload: bytes) -> None:
        if _REFRESH in payload:
            self.first.set()
            self._missing -= 1
            if self._missing == 0:
                self.everyone.set()

    def on_ack(self, payload: bytes) -> None:
        if _ACK in payload and not self._acked.done():
            self._acked.set_result(time.perf_counter())

    def on_news(self, payload: bytes) -> None:
        if _REFRESH in payload and not self._told.done():
            self._told.set_result(time.perf_counter())
