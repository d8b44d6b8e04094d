"""The messages the bench writes, as bytes made without a JSON encoder, and seeding."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence

import orjson

from connection import Connection

ENTITIES_PER_SEED_TRANSACTION = 100
SEED_TRANSACTIONS_IN_FLIGHT = 4


def new_ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


class Writer:
    """Builds `transact` messages for the attrs of one app."""

    def __init__(self, attrs: dict[str, str]) -> None:
        self._create = (
            b'{"op":"transact","client-event-id":"%s","tx-steps":['
            b'["add-triple","%s","' + attrs["todos.id"].encode() + b'","%s"],'
            b'["add-triple","%s","' + attrs["todos.title"].encode() + b'","Buy milk"],'
            b'["add-triple","%s","' + attrs["todos.done"].encode() + b'",false],'
            b'["add-triple","%s","' + attrs["todos.priority"].encode() + b'",%d]]}'
        )
        self._retitle = (
            b'{"op":"transact","client-event-id":"%s","tx-steps":['
            b'["add-triple","%s","' + attrs["todos.title"].encode() + b'","%s"]]}'
        )

    def create(self, priority: int) -> bytes:
        """Create a todo of four triples; its id doubles as the client-event-id."""
        e = str(uuid.uuid4()).encode()
        return self._create % (e, e, e, e, e, e, priority)

    def retitle(self, entity: bytes, title: bytes) -> bytes:
        """Change one field."""
        return self._retitle % (str(uuid.uuid4()).encode(), entity, title)


async def seed(
    connection: Connection,
    *,
    todos: int,
    owners: list[str],
    label: str | None = None,
    start: int = 0,
) -> list[str]:
    """Write `todos` todos, owned in turn by `owners`; returns their ids."""
    attrs = connection.attrs
    ids = new_ids(todos)
    batches = []
    for first in range(0, todos, ENTITIES_PER_SEED_TRANSACTION):
        steps: list[list[object]] = []
        for n in range(first, min(first + ENTITIES_PER_SEED_TRANSACTION, todos)):
            fields: dict[str, object] = {
                "id": ids[n],
                "title": f"todo {start + n}",
                "done": n % 3 == 0,
                "priority": start + n,
            }
            if label is not None:
                fields["label"] = label
            if owners:
                fields["owner"] = owners[n % len(owners)]
            steps.extend(
                ["add-triple", ids[n], attrs[f"todos.{name}"], value]
                for name, value in fields.items()
            )
        batches.append({"op": "transact", "tx-steps": steps})
    await _send_all(connection, batches)
    return ids


async def seed_people(connection: Connection, count: int) -> list[str]:
    """Write `count` people; returns their ids."""
    attrs = connection.attrs
    ids = new_ids(count)
    batches = []
    for first in range(0, count, ENTITIES_PER_SEED_TRANSACTION):
        steps: list[list[object]] = []
        for n in range(first, min(first + ENTITIES_PER_SEED_TRANSACTION, count)):
            steps.append(["add-triple", ids[n], attrs["people.id"], ids[n]])
            steps.append(["add-triple", ids[n], attrs["people.name"], f"person {n}"])
        batches.append({"op": "transact", "tx-steps": steps})
    await _send_all(connection, batches)
    return ids


async def _send_all(connection: Connection, messages: Sequence[Mapping[str, object]]) -> None:
    for first in range(0, len(messages), SEED_TRANSACTIONS_IN_FLIGHT):
        group = messages[first : first + SEED_TRANSACTIONS_IN_FLIGHT]
        await asyncio.gather(*(connection.ask(message) for message in group))


def add_query(q: Mapping[str, object]) -> bytes:
    return orjson.dumps({"op": "add-query", "client-event-id": str(uuid.uuid4()), "q": q})
