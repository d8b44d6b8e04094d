"""The cost of rules: one query of 50 rows, and one write, under rules of each kind.

Every kind has an app of its own. The apps take turns, so that a difference compares the same
minute. Each query differs from the last in a condition that all rows meet, so that none shares an
answer.
"""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass
from typing import Any

from connection import Connection
from data import Writer, add_query, new_ids
from process import ServerProcess
from scale import Scale
from workloads import Cost, Row

OWNER = "auth.id != null && auth.id == data.owner"
VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "open": ("no rules", {}),
    "compiled": (f"`{OWNER}`", {"allow": {"view": OWNER}}),
    "judged": ("`size(data.title) > 2`, judged", {"allow": {"view": "size(data.title) > 2"}}),
    "reference": (
        "`data.ref('owner.name').exists(n, size(n) > 2)`, judged",
        {"allow": {"view": "data.ref('owner.name').exists(n, size(n) > 2)"}},
    ),
    "field": ("a field under the compiled rule", {"fields": {"title": OWNER}}),
}


@dataclass(slots=True)
class Tenant:
    """An app under one kind of rules, and a signed-in session on it."""

    connection: Connection
    ids: list[str]


async def _tenant(server: ServerProcess, section: dict[str, Any], count: int) -> Tenant:
    app_id = server.create_app({"todos": section} if section else None)
    token, user_id = server.sign_in(app_id)
    connection = await Connection.open(server.url, app_id, token)
    attrs = connection.attrs
    ids = new_ids(count)
    steps: list[list[object]] = [
        ["add-triple", user_id, attrs["people.id"], user_id],
        ["add-triple", user_id, attrs["people.name"], "person"],
    ]
    for n, entity in enumerate(ids):
        fields = {
            "id": entity,
            "title": f"todo {n}",
            "done": False,
            "priority": n,
            "owner": user_id,
        }
        steps += [["add-triple", entity, attrs[f"todos.{k}"], v] for k, v in fields.items()]
    await connection.ask({"op": "transact", "tx-steps": steps})
    return Tenant(connection, ids)


async def reads(server: ServerProcess, *, scale: Scale) -> list[Row]:
    """Some rows are asked for and answered: server CPU for each query."""
    count = scale.rules_rows
    tenants = {name: await _tenant(server, section, count) for name, (_, section) in VIEWS.items()}
    rows = {
        name: Row(f"rules_read_{name}", f"{count} rows, {label}: server CPU a query", "µs")
        for name, (label, _) in VIEWS.items()
    }
    serial = itertools.count()
    for _ in range(scale.rules_rounds):
        for name, tenant in tenants.items():
            queries = [
                {"todos": {"$": {"where": {"priority": {"$gt": -1 - next(serial)}}}}}
                for _ in range(scale.rules_queries)
            ]
            cost = Cost(server)
            for query in queries:
                answer = await tenant.connection.ask_raw(add_query(query), b"add-query-ok")
                assert answer.count(b"todo ") == count, answer[:500]
            rows[name].samples.append(cost.server_s() * 1e6 / scale.rules_queries)
            for query in queries:
                await tenant.connection.ask({"op": "remove-query", "q": query})
    for tenant in tenants.values():
        tenant.connection.close()
    return list(rows.values())


async def writes(server: ServerProcess, *, scale: Scale) -> list[Row]:
    """One field of one todo, one write at a time: median latency."""
    kinds = {
        "open": ("no rules", {}),
        "owner": (f"update `{OWNER}`", {"allow": {"update": OWNER}}),
    }
    count = scale.rules_rows
    tenants = {name: await _tenant(server, section, count) for name, (_, section) in kinds.items()}
    times = {
        name: Row(f"rules_write_{name}", f"a write, {label}: until acknowledged", "ms")
        for name, (label, _) in kinds.items()
    }
    cpu = {
        name: Row(f"rules_write_{name}_cpu", f"a write, {label}: server CPU", "µs")
        for name, (label, _) in kinds.items()
    }
    for _ in range(scale.rules_rounds):
        for name, tenant in tenants.items():
            writer = Writer(tenant.connection.attrs)
            delays = []
            cost = Cost(server)
            for n in range(scale.rules_writes):
                message = writer.retitle(tenant.ids[n % count].encode(), b"todo again %d" % n)
                started = time.perf_counter()
                await tenant.connection.ask_raw(message, b'"transact-ok"')
                delays.append((time.perf_counter() - started) * 1000)
            times[name].samples.append(statistics.median(delays))
            cpu[name].samples.append(cost.server_s() * 1e6 / scale.rules_writes)
    for tenant in tenants.values():
        tenant.connection.close()
    return [*times.values(), *cpu.values()]
