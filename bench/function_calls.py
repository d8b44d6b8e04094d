"""Mutations: what a call costs beside the same done by hand, and what calls do to each other."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from connection import Connection
from data import Writer, new_ids, seed
from function_app import BY_HAND, SQLITE, FunctionApp, call, rate, times_ms, workers_cpu_s
from process import ServerProcess
from scale import Scale
from workloads import Cost, Row, percentile, rest

_ACK = b'"transact-ok"'
_LINGER_S = 1.0


async def one_client(server: ServerProcess, scale: Scale) -> list[Row]:
    """One client reads a todo and writes it, one call after the other."""
    key, label = "functions_one_p50", "one client, a read and a write, p50 (goal 3)"
    ours, by_hand = Row(key, label, "ms"), Row(key, label, "ms", column=BY_HAND)
    alone = Row(key, label, "ms", column=SQLITE)
    app = FunctionApp.make(server)
    (connection,) = await app.open(1)
    (todo,) = await seed(connection, todos=1, owners=[])
    writer = Writer(connection.attrs)

    async def touch(connection: Connection, _: int) -> None:
        await call(connection, "todos.touch", todo=todo)

    async def touch_by_hand(connection: Connection, _: int) -> None:
        await _read_and_write(connection, writer, todo)

    await touch(connection, 0)
    for _ in range(scale.rounds):
        await rest(server, scale)
        cost = Cost(server)
        took = await times_ms(connection, touch, scale.function_calls)
        ours.client_share.append(cost.client_share())
        ours.samples.append(percentile(took, 0.5))
        took = await times_ms(connection, touch_by_hand, scale.function_calls)
        by_hand.samples.append(percentile(took, 0.5))
        alone.samples.append(percentile(_sqlite_ms(scale.function_calls), 0.5))
    connection.close()
    return [ours, by_hand, alone]


async def many_clients(server: ServerProcess, scale: Scale) -> list[Row]:
    """Each client reads and writes a todo of its own."""
    count = scale.function_clients
    key, label = "functions_many", f"{count} clients, a read and a write each (goal 1,500)"
    ours, by_hand = Row(key, label, "1/s"), Row(key, label, "1/s", column=BY_HAND)
    alone = Row(key, label, "1/s", column=SQLITE)
    cpu = Row("functions_many_cpu", f"{count} clients: server CPU a call, without workers", "ms")
    workers = Row("functions_many_workers", f"{count} clients: workers' CPU a call", "ms")
    app = FunctionApp.make(server)
    connections = await app.open(count)
    todos = await seed(connections[0], todos=count, owners=[])
    writer = Writer(connections[0].attrs)

    async def touch(connection: Connection, number: int) -> None:
        await call(connection, "todos.touch", todo=todos[number])

    async def touch_by_hand(connection: Connection, number: int) -> None:
        await _read_and_write(connection, writer, todos[number])

    await rate(connections, touch, round_s=scale.function_warm_s)
    for _ in range(scale.rounds):
        await rest(server, scale)
        cost, spent_s, began = Cost(server), workers_cpu_s(server), time.perf_counter()
        ours.samples.append(await rate(connections, touch, round_s=scale.write_round_s))
        done = ours.samples[-1] * (time.perf_counter() - began)
        cpu.samples.append(cost.server_s() * 1000 / done)
        workers.samples.append((workers_cpu_s(server) - spent_s) * 1000 / done)
        ours.client_share.append(cost.client_share())
        by_hand.samples.append(await rate(connections, touch_by_hand, round_s=scale.write_round_s))
        took = _sqlite_ms(scale.function_calls)
        alone.samples.append(len(took) * 1000 / sum(took))
    for connection in connections:
        connection.close()
    return [ours, by_hand, alone, cpu, workers]


async def one_counter(server: ServerProcess, scale: Scale) -> list[Row]:
    """Everybody counts in the same row: by reading and writing it, where all must succeed, and by
    `increment`, beside transactions that only write it."""
    count = scale.function_clients
    read = Row(
        "functions_counter", f"{count} clients on one counter, by read and write (goal 300)", "1/s"
    )
    key = "functions_increment"
    label = f"{count} clients on one counter, by increment; beside: blind writes"
    blind = Row(key, label, "1/s", column=BY_HAND)
    added = Row(key, label, "1/s")
    app = FunctionApp.make(server)
    connections = await app.open(count)
    todos = await seed(connections[0], todos=2, owners=[])
    writer = Writer(connections[0].attrs)

    async def touch(connection: Connection, _: int) -> None:
        await call(connection, "todos.touch", todo=todos[0])

    async def increment(connection: Connection, _: int) -> None:
        await call(connection, "todos.count", todo=todos[1])

    async def write(connection: Connection, _: int) -> None:
        await connection.ask_raw(writer.retitle(todos[1].encode(), b"blind"), _ACK)

    await rate(connections, increment, round_s=scale.function_warm_s)
    for _ in range(scale.rounds):
        await rest(server, scale)
        read.samples.append(await rate(connections, touch, round_s=scale.write_round_s))
        added.samples.append(await rate(connections, increment, round_s=scale.write_round_s))
        blind.samples.append(await rate(connections, write, round_s=scale.write_round_s))
    for connection in connections:
        connection.close()
    return [read, added, blind]


async def beside_sleeper(server: ServerProcess, scale: Scale) -> list[Row]:
    """Some clients call one after the other, alone and beside a mutation that sleeps a second."""
    what = f"{scale.function_others} clients, a read and a write"
    rows = {
        (is_beside, share): Row(
            f"functions_{'beside' if is_beside else 'alone'}_p{share}",
            f"{what}, {'beside a mutation that sleeps 1 s' if is_beside else 'alone'}, p{share}",
            "ms",
        )
        for is_beside in (False, True)
        for share in (50, 99)
    }
    app = FunctionApp.make(server)
    sleeper, *connections = await app.open(1 + scale.function_others)
    own, *todos = await seed(sleeper, todos=1 + scale.function_others, owners=[])

    async def others() -> list[float]:
        took: list[float] = []

        async def touch(connection: Connection, number: int) -> None:
            began = time.perf_counter()
            await call(connection, "todos.touch", todo=todos[number])
            took.append((time.perf_counter() - began) * 1000)

        await rate(connections, touch, round_s=scale.function_beside_s)
        return took

    await others()
    for _ in range(scale.rounds):
        for is_beside in (False, True):
            await rest(server, scale)
            if is_beside:
                lingering = call(sleeper, "todos.linger", todo=own, seconds=_LINGER_S)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(lingering)
                    took = await others()
            else:
                took = await others()
            for share in (50, 99):
                rows[is_beside, share].samples.append(percentile(took, share / 100))
    for connection in (sleeper, *connections):
        connection.close()
    return list(rows.values())


async def _read_and_write(connection: Connection, writer: Writer, todo: str) -> None:
    """What `touch` does, as a client does it: a query, then a transaction."""
    q = {"todos": {"$": {"where": {"id": todo}}}}
    await connection.ask({"op": "add-query", "q": q})
    connection.send(orjson.dumps({"op": "remove-query", "q": q}))
    await connection.ask_raw(writer.retitle(todo.encode(), b"by hand"), _ACK)


def _sqlite_ms(count: int) -> list[float]:
    """A read and a write in one transaction, so many times, each one on the disk."""
    took: list[float] = []
    with TemporaryDirectory() as folder:
        base = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            base.execute(f"pragma {pragma}")
        base.execute("create table todos (id text primary key, priority real) without rowid")
        (todo,) = new_ids(1)
        base.execute("insert into todos values (?, 0)", (todo,))
        for _ in range(count):
            began = time.perf_counter()
            base.execute("begin immediate")
            (number,) = base.execute("select priority from todos where id = ?", (todo,)).fetchone()
            base.execute("update todos set priority = ? where id = ?", (number + 1, todo))
            base.execute("commit")
            took.append((time.perf_counter() - began) * 1000)
        base.close()
    return took


ALL = (one_client, many_clients, one_counter, beside_sleeper)
