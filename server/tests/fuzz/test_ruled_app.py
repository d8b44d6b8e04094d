"""Random rules, callers, queries, commits and changes of rules, through a whole `Database`.

What anybody is told is the answer on the data that a naive judgement leaves to them, and after
every commit and change of rules each live answer is what a fresh run gives its watcher.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from model.masked import visible_triples
from model.query import run as run_model
from support.queries import Cursors, random_query
from support.ruled_world import NICKS, RuledWorld, random_document
from support.seeds import seeds
from support.visible_stage import plain, triples
from support.world import make_world, random_transaction
from trice.identity import Identity
from trice.live.live_query import LiveQuery


def asked(ruled: RuledWorld, cursors: Cursors) -> tuple[Any, dict[str, Any]]:
    """A query, some with parameters for the rules."""
    query = random_query(ruled.world, cursors)
    params = {"k": 1} if ruled.world.random.random() < 0.3 else {}
    return ({"$$ruleParams": params, **query} if params else query), params


async def check_answer(ruled: RuledWorld, identity: Identity, cursors: Cursors) -> None:
    query, params = asked(ruled, cursors)
    bare = {key: form for key, form in query.items() if key != "$$ruleParams"}
    story = f"seed {ruled.world.seed}, {identity.name}: {query} under {ruled.document}"
    seen = await ruled.seen_by(identity, params)
    expected = run_model(seen, bare)
    found = orjson.loads(await ruled.database.query_nested(query, identity=identity))
    assert plain(found) == plain(expected.tree), story
    answer = await ruled.database.query_flat(query, identity=identity)
    flat = orjson.loads(answer.result_json)
    assert plain(flat[0]["data"].get("page-info") or {}) == plain(expected.pages), story
    there = set(map(plain, visible_triples(seen)))
    leaked = [triple for triple in triples(flat) if plain(triple) not in there]
    assert not leaked, f"{leaked}; {story}"
    # Cursors of what one caller saw are used by all.
    for etype, page in expected.pages.items():
        order = bare[etype]["$"].get("order", {"serverCreatedAt": "asc"})
        ends = [cursor for cursor in (page["start-cursor"], page["end-cursor"]) if cursor]
        cursors.setdefault((etype, next(iter(order))), []).extend(ends)


async def check_refusal(ruled: RuledWorld, identity: Identity) -> None:
    """A refused write tells no id and no unique value that its sender did not send."""
    steps = random_transaction(ruled.world)
    known = {entity for entity, _ in ruled.model.created}
    codes = {
        value
        for (_, attr_id), value in ruled.model.ones.items()
        if ruled.model.attrs[attr_id]["unique?"] and isinstance(value, str)
    }
    refusal = await ruled.write(steps, identity)
    if refusal is None:
        return
    sent = orjson.dumps(steps).decode()
    told = orjson.dumps([refusal.message, refusal.hint], default=str).decode()
    for secret in (*known, *(f'"{code}"' for code in codes)):
        assert secret not in told or secret in sent, (
            f"seed {ruled.world.seed}, {identity.name}: {steps} under {ruled.document} tells {told}"
        )


async def history(seed: int, path: Path) -> None:
    ruled = await RuledWorld.open(make_world(seed), path)
    draw = ruled.world.random
    cursors: Cursors = {}
    try:
        for _ in range(4):
            ruled.set_rules(random_document(ruled.world))
            for _ in range(3):
                await ruled.write(random_transaction(ruled.world))
                await check_refusal(ruled, draw.choice(ruled.callers))
            for _ in range(8):
                await check_answer(ruled, draw.choice(ruled.callers), cursors)
    finally:
        await ruled.database.close()


@pytest.mark.rule("R90")
def test_nobody_is_told_what_is_hidden_from_them(tmp_path: Path) -> None:
    for seed in seeds(range(7000, 7008), loops=2):
        asyncio.run(history(seed, tmp_path / f"{seed}.db"))


class Watched:
    """A live query of one caller, asked again when it is told to."""

    def __init__(self, ruled: RuledWorld, query: Any, identity: Identity) -> None:
        self.ruled = ruled
        self.query = query
        self.identity = identity
        self.live: LiveQuery | None = None

    def told(self, live: LiveQuery) -> None:
        """Nothing is kept: the answer is looked at when all is quiet."""

    async def ask(self) -> None:
        database = self.ruled.database
        question = database.question(self.query, identity=self.identity, shape="tree")
        self.live = await database.watch(question, self.told)

    async def check(self) -> None:
        database = self.ruled.database
        assert self.live is not None
        if self.live.is_outdated:
            database.unwatch(self.live, self.told)
            await self.ask()
        story = (
            f"seed {self.ruled.world.seed}, {self.identity.name}: {self.query}"
            f" under {self.ruled.document}"
        )
        fresh = orjson.loads(await database.query_nested(self.query, identity=self.identity))
        assert self.live.error is None, story
        assert self.live.answer is not None, story
        assert plain(orjson.loads(self.live.answer.result_json)) == plain(fresh), story


async def live_history(seed: int, path: Path) -> None:
    ruled = await RuledWorld.open(make_world(seed), path)
    draw = ruled.world.random
    try:
        ruled.set_rules(random_document(ruled.world))
        watched = []
        for _ in range(6):
            query, _ = asked(ruled, {})
            watched += [Watched(ruled, query, identity) for identity in ruled.callers]
        for one in watched:
            await one.ask()
        for _ in range(12):
            match draw.choice(("rules", "nick", "write", "write", "write", "write")):
                case "rules":
                    ruled.set_rules(random_document(ruled.world))
                case "nick":
                    user = draw.choice(ruled.users)
                    await ruled.rename(user, f"{user}@a.b", draw.choice(NICKS))
                case _:
                    await ruled.write(random_transaction(ruled.world))
            await ruled.database.live.settled()
            for one in watched:
                await one.check()
    finally:
        await ruled.database.close()


@pytest.mark.rule("R91")
def test_live_answers_follow_commits_callers_and_rules(tmp_path: Path) -> None:
    for seed in seeds(range(8000, 8008), loops=2):
        asyncio.run(live_history(seed, tmp_path / f"{seed}.db"))
