"""A quiet app beside a noisy one on the same server: how much later it is served."""

from __future__ import annotations

import asyncio
import sys
import time

from connection import Connection
from data import Writer, add_query, seed
from process import BENCH, ServerProcess
from scale import Scale
from workloads import DELIVERY_LIMIT_S, Row, labelled_query, percentile, rest

STEP_S = 0.02
"""The quiet app is asked for something so often: a write, and every other time a query."""

_ACK = b'"transact-ok"'
_REFRESH = b'"refresh-ok"'
_ANSWER = b'"add-query-ok"'
_WHAT = {
    "ack": "a write: acknowledged",
    "news": "a write: to its listener",
    "query": "a query: first answer",
}
_WHEN = {
    "alone": "alone",
    "elsewhere": "beside a noisy app of another server",
    "beside": "beside a noisy app",
}


async def noisy_neighbour(server: ServerProcess, scale: Scale) -> list[Row]:
    """A client of a quiet app writes and asks at a fixed rate, and another listens: alone; while
    the clients of another app flood the server (`flood.py`); and while they flood another server on
    the same machine, whose processors and disk it takes as well."""
    rows = {
        (what, when, share): Row(
            f"neighbour_{what}_{when}_p{share}", f"{_WHAT[what]}, {_WHEN[when]}, p{share}", "ms"
        )
        for what in _WHAT
        for share in (50, 99)
        for when in _WHEN
    }
    quiet = await _Quiet.open(server, server.create_app())
    other = ServerProcess.start("trice")
    noisy = {"beside": server, "elsewhere": other}
    app_ids = {when: each.create_app() for when, each in noisy.items()}
    try:
        for _ in range(scale.rounds):
            for when in _WHEN:
                flood = None
                if when in noisy:
                    flood = await _start_flood(noisy[when], app_ids[when], scale.neighbour_sockets)
                try:
                    found = await quiet.measure(scale.neighbour_steps)
                finally:
                    if flood is not None:
                        flood.kill()
                        await flood.wait()
                for what, took_ms in found.items():
                    for share in (50, 99):
                        rows[what, when, share].samples.append(percentile(took_ms, share / 100))
                await rest(noisy.get(when, server), scale)
    finally:
        other.stop()
    quiet.close()
    return list(rows.values())


async def _start_flood(
    server: ServerProcess, app_id: str, sockets: int
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, BENCH / "flood.py", server.url, app_id, str(sockets)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), DELIVERY_LIMIT_S)
    if line.strip() != b"flooding":
        process.kill()
        raise RuntimeError("the flood did not begin")
    return process


class _Quiet:
    """The clients of the quiet app: one that writes and asks, one that listens."""

    def __init__(self, asker: Connection, listener: Connection, ids: list[str]) -> None:
        self._asker, self._listener = asker, listener
        self._writer = Writer(asker.attrs)
        self._ids = ids
        self._marker = b""
        self._count = 0
        asker.on_message, listener.on_message = self._on_answer, self._on_news
        self._expect()

    @classmethod
    async def open(cls, server: ServerProcess, app_id: str) -> _Quiet:
        asker = await Connection.open(server.url, app_id)
        ids = await seed(asker, todos=10, owners=[], label="quiet")
        listener = await Connection.open(server.url, app_id)
        await listener.subscribe([labelled_query("quiet")])
        return cls(asker, listener, ids)

    def close(self) -> None:
        self._asker.close()
        self._listener.close()

    async def measure(self, steps: int) -> dict[str, list[float]]:
        """Milliseconds until each answer, by what was asked."""
        found: dict[str, list[float]] = {what: [] for what in _WHAT}
        due = time.perf_counter()
        for _ in range(steps):
            due = max(due + STEP_S, time.perf_counter())
            await asyncio.sleep(due - time.perf_counter())
            self._count += 1
            self._marker = b"quiet %d." % self._count
            self._expect()
            entity = self._ids[self._count % len(self._ids)].encode()
            began = time.perf_counter()
            self._asker.send(self._writer.retitle(entity, self._marker))
            if self._count % 2:
                self._asker.send(
                    add_query({"todos": {"$": {"where": {"title": str(self._count)}}}})
                )
            for what in ("ack", "news", "query") if self._count % 2 else ("ack", "news"):
                at = await asyncio.wait_for(self._arrived[what], DELIVERY_LIMIT_S)
                found[what].append((at - began) * 1000)
        return found

    def _expect(self) -> None:
        loop = asyncio.get_running_loop()
        self._arrived = {what: loop.create_future() for what in _WHAT}

    def _arrive(self, what: str) -> None:
        if not self._arrived[what].done():
            self._arrived[what].set_result(time.perf_counter())

    def _on_answer(self, payload: bytes) -> None:
        if _ACK in payload:
            self._arrive("ack")
        if _ANSWER in payload:
            self._arrive("query")

    def _on_news(self, payload: bytes) -> None:
        if self._marker in payload and _REFRESH in payload:
            self._arrive("news")
