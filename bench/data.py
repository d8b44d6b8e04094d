"""The messages the bench writes, as bytes made without a JSON encoder, and seeding."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping

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
        self._create_owned = (
            b'{"op":"transact","client-event-id":"%s","tx-steps":['
            b'["add-triple","%s","' + attrs["todos.id"].encode() + b'","%s"],'
            b'["add-triple","%s","' + attrs["todos.title"].encode() + b'","%s"],'
            b'["add-triple","%s","' + attrs["todos.done"].encode() + b'",false],'
            b'["add-triple","%s","' + attrs["todos.priority"].encode() + b'",%d],'
            b'["add-triple","%s","' + attrs["todos.owner"].encode() + b'","%s"]]}'
        )
        self._retitle = (
            b'{"op":"transact","client-event-id":"%s","tx-steps":['
            b'["add-triple","%s","' + attrs["todos.title"].encode() + b'","%s"]]}'
        )

    def create(self, priority: int) -> bytes:
        """Create a todo of four triples; its id doubles as the client-event-id."""
        e = str(uuid.uuid4()).encode()
        return self._create % (e, e, e, e, e, e, priority)

    def create_owned(self, owner: bytes, title: bytes, priority: int) -> bytes:
        """Create a todo of one owner: four triples and a link."""
        e = str(uuid.uuid4()).encode()
        return self._create_owned % (e, e, e, e, title, e, e, priority, e, owner)

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

    def steps_of(n: int) -> list[list[object]]:
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
        return [
            ["add-triple", ids[n], attrs[f"todos.{name}"], value] for name, value in fields.items()
        ]

    await _send_all(connection, _transactions(todos, steps_of))
    return ids


async def seed_people(connection: Connection, count: int) -> list[str]:
    """Write `count` people; returns their ids."""
    attrs = connection.attrs
    ids = new_ids(count)

    def steps_of(n: int) -> list[list[object]]:
        return [
            ["add-triple", ids[n], attrs["people.id"], ids[n]],
            ["add-triple", ids[n], attrs["people.name"], f"person {n}"],
        ]

    await _send_all(connection, _transactions(count, steps_of))
    return ids


def _transactions(
    entities: int, steps_of: Callable[[int], list[list[object]]]
) -> Iterator[dict[str, object]]:
    """The messages that write so many entities. Each is built when it is needed, as a million at
    once would be gigabytes."""
    for first in range(0, entities, ENTITIES_PER_SEED_TRANSACTION):
        batch = range(first, min(first + ENTITIES_PER_SEED_TRANSACTION, entities))
        yield {"op": "transact", "tx-steps": [step for n in batch for step in steps_of(n)]}


async def _send_all(connection: Connection, messages: Iterator[dict[str, object]]) -> None:
    async def send_in_turn() -> None:
        for message in messages:
            await connection.ask(message)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(SEED_TRANSACTIONS_IN_FLIGHT):
            tasks.create_task(send_in_turn())


def add_query(q: Mapping[str, object]) -> bytes:
    return orjson.dumps({"op": "add-query", "client-event-id": str(uuid.uuid4()), "q": q})
