"""Measures one Python client in this process: `measure.py CLIENT WORK OPTIONS`, figures as JSON.

CLIENT is `tricedb-client` or `instantdb`. OPTIONS are JSON: url, app, token, rows, times, queries.
CPU is of this process alone, all of its threads. What only some works need is imported there: the
import of a client is measured as in an empty Python.
"""

from __future__ import annotations

import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SOURCE = f"{os.path.dirname(os.path.abspath(__file__))}/../../clients/python/src"
"""Behind what is installed: the client that is measured is this tree's."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
AT_ONCE = 50


def resident_mb() -> float:
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * PAGE_BYTES / 2**20


def imported(ours: bool) -> Any:
    if ours:
        sys.path.append(SOURCE)
        import trice_client

        return trice_client
    import instantdb

    return instantdb


def make(ours: bool, given: dict[str, Any], *, is_async: bool) -> Any:
    module = imported(ours)
    if ours:
        kind = module.AsyncClient if is_async else module.Client
        return kind(given["app"], server=given["url"], admin_token=given["token"])
    kind = module.AsyncInstant if is_async else module.Instant
    return kind(app_id=given["app"], api_uri=given["url"], admin_token=given["token"])


class Stretch:
    """Wall clock and CPU of a piece of work. per   of how many things a figure is the share"""

    def __init__(self) -> None:
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()

    def rate(self, things: int) -> float:
        return things / (time.perf_counter() - self._wall_s)

    def cpu_us(self, things: int) -> float:
        return (time.process_time() - self._cpu_s) * 1e6 / things


def start(ours: bool, given: dict[str, Any]) -> dict[str, list[float]]:
    """Import, then a client and its first answer: CPU, and what the process has then."""
    stretch = Stretch()
    imported(ours)
    import_ms = stretch.cpu_us(1) / 1e3
    with make(ours, given, is_async=False) as db:
        db.query({"todos": {"$": {"limit": 1}}})
        first_ms = stretch.cpu_us(1) / 1e3
        return {"import": [import_ms], "first": [first_ms], "resident": [resident_mb()]}


def query(ours: bool, given: dict[str, Any]) -> dict[str, list[float]]:
    """The same rows again and again, by the sync client."""
    with make(ours, given, is_async=False) as db:
        assert len(db.query({"todos": {}})["todos"]) == given["rows"]
        stretch = Stretch()
        for _ in range(given["times"]):
            db.query({"todos": {}})
        return {
            "rate": [stretch.rate(given["rows"] * given["times"])],
            "cpu": [stretch.cpu_us(given["times"]) / 1e3],
        }


def writes(ours: bool, given: dict[str, Any]) -> dict[str, list[float]]:
    """Small transactions: one after the other, and fifty at once."""
    import asyncio
    import uuid

    calls = given["times"] * AT_ONCE

    def chunk(db: Any) -> Any:
        return db.tx.todos[str(uuid.uuid4())].update({"title": "small", "done": False})

    with make(ours, given, is_async=False) as db:
        db.transact(chunk(db))
        one = Stretch()
        for _ in range(calls):
            db.transact(chunk(db))
        alone = {"one_rate": [one.rate(calls)], "one_cpu": [one.cpu_us(calls)]}

    async def many() -> dict[str, list[float]]:
        async with make(ours, given, is_async=True) as db:
            await asyncio.gather(*(db.transact(chunk(db)) for _ in range(AT_ONCE)))
            stretch = Stretch()

            async def writer() -> None:
                for _ in range(given["times"]):
                    await db.transact(chunk(db))

            await asyncio.gather(*(writer() for _ in range(AT_ONCE)))
            return {"many_rate": [stretch.rate(calls)], "many_cpu": [stretch.cpu_us(calls)]}

    return {**alone, **asyncio.run(many())}


def live(ours: bool, given: dict[str, Any]) -> dict[str, list[float]]:
    """One of the rows of a live query changes, again and again: until the reader has it, and what
    that costs. The writes are another process's."""
    import asyncio
    import statistics

    came_s = [0.0]
    if ours:
        imported(ours)
        from trice_client._live import connection

        decode: Callable[[bytes], Any] = connection.decode

        def noted(raw: bytes) -> Any:
            came_s[0] = time.perf_counter()
            return decode(raw)

        connection.decode = noted  # type: ignore[assignment]

    async def work() -> dict[str, list[float]]:
        frame_ms, cpu_us = [], []
        async with (
            make(ours, given, is_async=True) as db,
            db.subscribe_query({"todos": {}}) as answers,
        ):
            todo = _rows(await anext(answers))[0]["id"]
            for number in range(given["times"]):
                stretch = Stretch()
                await _write_elsewhere(given, todo, f"live {number}")
                while not _has(await anext(answers), f"live {number}"):
                    pass
                frame_ms.append((time.perf_counter() - came_s[0]) * 1e3)
                cpu_us.append(stretch.cpu_us(1))
        found = {"change_cpu": [statistics.median(cpu_us) / 1e3]}
        return {**found, "frame": [statistics.median(frame_ms)]} if ours else found

    return asyncio.run(work())


def _rows(answer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        answer["data"]["todos"] if isinstance(answer, dict) else answer.data["todos"]
    )
    return found


def _has(answer: Any, title: str) -> bool:
    return any(row.get("title") == title for row in _rows(answer))


async def _write_elsewhere(given: dict[str, Any], todo: str, title: str) -> None:
    """One request without a client: its cost is the same beside both."""
    import asyncio

    steps = {"steps": [["update", "todos", todo, {"title": title}]]}
    body = json.dumps(steps).encode()
    host = given["url"].removeprefix("http://")
    head = (
        f"POST /admin/transact HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"App-Id: {given['app']}\r\nAuthorization: Bearer {given['token']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(head.encode() + body)
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    writer.close()


def many(ours: bool, given: dict[str, Any]) -> dict[str, list[float]]:
    """Live queries of one connection: memory, and the CPU of a commit that one or none of them
    finds. Only ours has them: the other opens a connection for each."""
    import asyncio
    import statistics
    import uuid

    assert ours, "instantdb opens a connection for each live query"

    async def work() -> dict[str, list[float]]:
        async with make(ours, given, is_async=True) as db:
            await db.query({"todos": {"$": {"limit": 1}}})
            before_mb = resident_mb()
            every = [
                db.subscribe_query({"todos": {"$": {"where": {"priority": number}}}})
                for number in range(given["queries"])
            ]
            for each in every:
                await anext(each)
            grown_kb = (resident_mb() - before_mb) * 1024 / given["queries"]
            cpu_us = []
            for number in range(given["times"]):
                watched = number % given["queries"]
                stretch = Stretch()
                chunk = db.tx.todos[str(uuid.uuid4())].update({"priority": watched})
                await db.transact(chunk)
                await anext(every[watched])
                cpu_us.append(stretch.cpu_us(1))
            return {"memory": [grown_kb], "commit_cpu": [statistics.median(cpu_us)]}

    return asyncio.run(work())


WORKS: dict[str, Callable[[bool, dict[str, Any]], dict[str, list[float]]]] = {
    each.__name__: each for each in (start, query, writes, live, many)
}


def main() -> None:
    client, work, options = sys.argv[1:]
    figures = WORKS[work](client == "tricedb-client", json.loads(options))
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
