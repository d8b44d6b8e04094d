"""Shared by the tests of deltas and resume: todos to write, clients that come and come back."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from support.delta_client import DeltaClient
from trice.auth.tokens import mint_token
from trice.identity import ADMIN

IDS = [f"e1000000-0000-4000-8000-{number:012d}" for number in range(40)]
T1, T2, *_ = IDS
P1 = "e2000000-0000-4000-8000-000000000001"
ADA = "e3000000-0000-4000-8000-000000000001"
BOB = "e3000000-0000-4000-8000-000000000002"
TODOS = {"todos": {}}
OURS = {"version": 1, "features": ["delta", "resume"]}


async def write(stage: Any, *steps: list[Any]) -> None:
    await stage.app.database.transact(list(steps), identity=ADMIN)


async def quiet(stage) -> None:
    """Wait until no client has messages left to get."""
    for _ in range(3):
        await stage.app.database.live.settled()
        await asyncio.sleep(0)


def titled(stage, entity, title):
    return ["add-triple", entity, stage.attr("todos", "title"), title]


async def fill(stage, count=10) -> None:
    for number, entity in enumerate(IDS[:count]):
        stage.runtime.advance(1)
        await write(stage, *stage.create("todos", entity, title=f"t{number}", done=False))


async def join(stage, q=TODOS, **fields) -> DeltaClient:
    """A client of deltas that holds the answer to `q`."""
    client = DeltaClient(stage.hub)
    await client.connect(stage.app.id, **fields)
    client.ask(q)
    await client.hear("add-query-ok")
    return client


async def come_back(stage, client, q=TODOS, **fields):
    """Break the connection, open a new one, ask again; return the answer."""
    client.wire.hang_up()
    await client.connect(stage.app.id, **fields)
    client.ask(q)
    return await client.hear("add-query-ok")


async def sign_in(stage, user_id: str) -> str:
    def work(change):
        change.write(["update", "$users", user_id, {"email": f"{user_id}@x"}])
        return mint_token(change, user_id, runtime=stage.runtime)

    return await stage.app.database.change(work)


def new_attr(number: int) -> dict[str, object]:
    return {
        "id": f"a0000000-0000-4000-8000-{number:012d}",
        "forward-identity": [f"a1000000-0000-4000-8000-{number:012d}", "todos", f"extra{number}"],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": False,
    }


async def told(client) -> dict[str, object]:
    (computation,) = (await client.hear("refresh-ok"))["computations"]
    return computation


def held_of(client, q=TODOS):
    return list(client.answers[client.query_ids[orjson.dumps(q)]].triples.values())
