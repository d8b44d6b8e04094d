"""Random commits under random rules: what each caller's live queries show equals a fresh query.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.engines import open_database
from support.live_stage import IDS, SCHEMA
from support.runtime import FakeRuntime
from support.seeds import seeds
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN, Identity
from trice.live.live_query import LiveQuery
from trice.protocol.ids import EntityId
from trice.rules.document import Rules

logger = logging.getLogger("fuzz")

ROUNDS = 40

TODOS = [*(IDS[name] for name in ("t1", "t2", "t3")), "e7000000-0000-4000-8000-000000000000"]
PEOPLE, TAGS = [IDS["p1"], IDS["p2"]], [IDS["g1"], IDS["g2"]]
CALLERS = [
    ADMIN,
    Identity("guest", None),
    *(Identity("user", EntityId(bytes.fromhex(one.replace("-", "")))) for one in PEOPLE),
]

VIEWS = {
    "todos": (
        "true",
        "data.owner == auth.id",
        "data.rank < 3 || data.title == 'a'",
        "data.rank != null && data.rank < 3",
        "auth.role == 'boss' || data.title != 'b'",
        "auth.id in data.ref('owner.id')",
        "'red' in data.ref('tags.word') || data.owner == null",
        "data.title == null || size(data.title) < 2",
        "data.title in ['a', 'b'] && data.owner != auth.id",
    ),
    "people": ("true", "true", "data.name != 'Eve'", "data.id == auth.id"),
    "tags": ("true", "true", "data.word != 'blue'", "auth.role == 'boss'"),
}
FIELDS = (None, None, {"title": "data.owner == auth.id"}, {"name": "data.id == auth.id"})

QUERIES: list[dict[str, Any]] = [
    {"todos": {}},
    {"todos": {"$": {"order": {"rank": "desc"}, "limit": 2}}},
    {"todos": {"$": {"order": {"title": "asc"}, "limit": 2}, "owner": {}}},
    {"todos": {"$": {"last": 2}, "tags": {}}},
    {"todos": {"$": {"where": {"owner": PEOPLE[0]}}}},
    {"todos": {"$": {"where": {"owner.name": "Ada"}}, "owner": {}}},
    {"todos": {"$": {"where": {"rank": {"$gte": 2}}, "fields": ["title"]}}},
    {"people": {"todos": {"$": {"where": {"title": {"$like": "_%"}}}, "tags": {}}}},
    {"tags": {"todos": {"owner": {}}}},
    {"people": {"todos": {}}, "tags": {}},
]


def random_rules(draw: random.Random) -> Rules:
    document: dict[str, Any] = {
        etype: {"allow": {"view": draw.choice(views)}} for etype, views in VIEWS.items()
    }
    fields = draw.choice(FIELDS)
    if fields is not None:
        document["todos" if "title" in fields else "people"]["fields"] = fields
    return Rules.parse(document)


def random_step(draw: random.Random) -> list[Any]:
    todo, person, tag = draw.choice(TODOS), draw.choice(PEOPLE), draw.choice(TAGS)
    match draw.randrange(9):
        case 0 | 1:
            return ["update", "todos", todo, {"rank": draw.choice((0, 1, 2, 3, 4, None))}]
        case 2 | 3:
            return ["update", "todos", todo, {"title": draw.choice(("a", "b", "cc", None))}]
        case 4:
            kind = draw.choice(("link", "link", "unlink"))
            return [kind, "todos", todo, {"owner": person}]
        case 5:
            return [draw.choice(("link", "link", "unlink")), "todos", todo, {"tags": tag}]
        case 6:
            return ["delete", "todos", todo]
        case 7:
            return ["update", "people", person, {"name": draw.choice(("Ada", "Eve"))}]
        case _:
            role = draw.choice(("boss", "none"))
            return draw.choice(
                (
                    ["update", "$users", person, {"email": f"{person}@x.test", "role": role}],
                    ["update", "tags", tag, {"word": draw.choice(("red", "blue"))}],
                    ["delete", "people", person],
                )
            )


@dataclass(eq=False)
class Watched:
    query: dict[str, Any]
    caller: Identity
    live: LiveQuery | None = None

    def __call__(self, _: LiveQuery) -> None:
        """Hear of a change; the answer is looked at once all is settled."""

    async def watch(self, database: Database) -> None:
        question = database.question(self.query, identity=self.caller, shape="tree")
        self.live = database.follow(question, self)

    async def check(self, database: Database, story: str) -> None:
        if self.live is not None and self.live.is_outdated:
            database.unwatch(self.live, self)
            await self.watch(database)
            await database.live.settled()
        assert self.live is not None
        story = f"{story}: {self.query} of {self.caller.name}"
        try:
            fresh = orjson.loads(await database.query_nested(self.query, identity=self.caller))
        except TriceError as failure:
            assert self.live.error is not None and self.live.error.code == failure.code, story
            return
        assert self.live.answer is not None, f"{self.live.error}; {story}"
        assert orjson.loads(self.live.answer.result_json) == fresh, story


async def story(seed: int, path: Path) -> Counter[str]:
    draw = random.Random(seed)
    runtime = FakeRuntime()
    database = await open_database(
        path, runtime=runtime, rules=random_rules(draw), schema=SCHEMA, app_id="app"
    )
    try:
        await database.transact_admin(
            [["update", "$users", PEOPLE[0], {"email": "a@x.test", "role": "none"}]], identity=ADMIN
        )
        watched = [Watched(query, caller) for query in QUERIES for caller in CALLERS]
        for one in watched:
            await one.watch(database)
        for number in range(ROUNDS):
            if draw.random() < 0.05:
                database.set_rules(random_rules(draw))
            for _ in range(draw.choice((1, 1, 2))):
                runtime.advance(1)
                steps = [random_step(draw) for _ in range(draw.choice((1, 1, 2)))]
                try:
                    await database.transact_admin(steps, identity=ADMIN)
                except TriceError:
                    continue
            await database.live.settled()
            for one in watched:
                await one.check(database, f"seed {seed}, round {number}")
        counts = database.live.counts
        return Counter(
            commits=database.tx,
            patched=counts.patched,
            rerun_node=counts.rerun_node,
            rerun_query=counts.rerun_query,
            silent=counts.silent,
        )
    finally:
        await database.close()


@pytest.mark.rule("L14", "L32")
def test_what_callers_see_equals_fresh_queries(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in seeds(range(6)):
        path = tmp_path / f"{seed}.db"
        total += asyncio.run(story(seed, path))
        path.unlink()
    logger.info("%s", dict(total))
    # Each kind of refresh must occur, or agreement says little.
    kinds = ("patched", "rerun_node", "rerun_query", "silent")
    assert min(total[kind] for kind in kinds) > total["commits"], total
