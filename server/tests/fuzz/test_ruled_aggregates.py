"""Random histories through a whole database: rules, callers and their rows change, totals follow.

A failure names its seed.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.engines import open_database
from support.live_stage import SCHEMA
from support.runtime import FakeRuntime
from support.seeds import seeds
from trice.identity import ADMIN, GUEST, Identity
from trice.live.live_query import LiveQuery
from trice.protocol.ids import EntityId
from trice.rules.document import Rules

USERS = [f"e300000{n}-0000-4000-8000-000000000000" for n in range(2)]
TODOS = [f"e100000{n}-0000-4000-8000-000000000000" for n in range(8)]
PEOPLE = [*USERS, "e2000000-0000-4000-8000-000000000000"]
CALLERS = (
    ADMIN,
    GUEST,
    *(Identity("user", EntityId(bytes.fromhex(user.replace("-", "")))) for user in USERS),
)
VIEWS = (
    "true",
    "auth.id != null && data.title == auth.id",
    "auth.email == 'a' || data.rank == null",
    "data.rank != null && data.rank < 3",
    "data.title in auth.ref('$user.email')",
    "auth.id in data.ref('owner.id')",
    "size(data.ref('tags.word')) > 0",
    "request.time > timestamp('2001-01-01T00:00:00Z')",
)
FIELDS = ("true", "data.title == 'x'", "auth.email == 'a'", "auth.id in data.ref('owner.id')")
RANKS = (0, 1, 2.5, 0.1, -3, 1e16, None)
TITLES = ("x", "X", "é", *USERS, None)


def random_query(draw: random.Random) -> dict[str, Any]:
    asked: dict[str, Any] = {"count": True, "sum": "rank", "avg": "rank"}
    for op in ("min", "max"):
        if draw.random() < 0.5:
            asked[op] = draw.choice(("rank", "title", ["rank", "title"]))
    if draw.random() < 0.5:
        asked["groupBy"] = draw.choice(("title", "rank", "owner", "later"))
    wheres: tuple[dict[str, Any], ...] = (
        {},
        {"rank": {"$gt": 0}},
        {"owner": draw.choice(PEOPLE)},
        {"owner.name": "a"},
        {"or": [{"title": "x"}, {"rank": {"$isNull": True}}]},
    )
    return {"todos": {"$": {"where": draw.choice(wheres), "aggregate": asked}}}


def random_steps(draw: random.Random) -> list[list[Any]]:
    one = draw.choice(TODOS)
    match draw.randrange(9):
        case 0:
            return [["delete", "todos", one]]
        case 1:
            return [["link", "todos", one, {"owner": draw.choice(PEOPLE)}]]
        case 2:
            return [["unlink", "todos", one, {"owner": draw.choice(PEOPLE)}]]
        case 3:
            return [["update", "people", draw.choice(PEOPLE), {"name": draw.choice("ab")}]]
        case 4:
            number = draw.randrange(2)
            return [
                ["update", "$users", USERS[number], {"email": draw.choice(("ac", "bd")[number])}]
            ]
        case 5:
            return [["update", "todos", one, {"later": draw.choice(RANKS)}]]
        case _:
            fields = {"rank": draw.choice(RANKS), "title": draw.choice(TITLES)}
            kept = draw.choice((["rank"], ["title"], ["rank", "title"]))
            return [["update", "todos", one, {label: fields[label] for label in kept}]]


async def history(seed: int, path: Path) -> tuple[int, int]:
    """Returns how many answers were patched, and how many queries run."""
    draw = random.Random(seed)
    runtime = FakeRuntime()
    database = await open_database(path, runtime=runtime, rules=Rules.parse(None), schema=SCHEMA)
    try:
        for user, email in zip(USERS, "ab", strict=True):
            step = ["update", "$users", user, {"email": email}]
            await database.transact_admin([step], identity=ADMIN)
        document = {
            "todos": {
                "allow": {"view": draw.choice(VIEWS)},
                "fields": {label: draw.choice(FIELDS) for label in ("rank", "title", "owner")},
            }
        }
        database.set_rules(Rules.parse(document))
        watched: list[tuple[Any, Identity, LiveQuery]] = []
        for caller in CALLERS * 3:
            query = random_query(draw)
            question = database.question(query, identity=caller, shape="flat")
            live = await database.watch(question, lambda _: None)
            watched.append((query, caller, live))
        for _ in range(30):
            runtime.advance(1)
            for _ in range(draw.choice((1, 1, 3))):
                await database.transact_admin(random_steps(draw), identity=ADMIN)
            await database.live.settled()
            for query, caller, live in watched:
                story = f"seed {seed}: {orjson.dumps(query).decode()} of {caller.name} {document}"
                fresh = await database.query_flat(query, identity=caller)
                assert live.answer is not None, story
                assert live.answer.result_json == fresh.result_json, story
        return database.live.counts.patched, database.live.counts.rerun_query
    finally:
        await database.close()


@pytest.mark.rule("L62", "L63")
@pytest.mark.parametrize("group", range(4))
def test_totals_of_every_caller_are_those_of_a_fresh_run(group: int, tmp_path: Path) -> None:
    played = seeds(range(9000, 9012), group=group, groups=4)
    found = [asyncio.run(history(seed, tmp_path / f"{seed}.db")) for seed in played]
    assert sum(patched for patched, _ in found) > 0
    assert sum(runs for _, runs in found) > 0
