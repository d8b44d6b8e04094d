"""Random histories on two engines at once: the same outcomes, commits, answers and live answers.

All of the server above the store runs on both; only layout, SQL and transactions differ.
`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; a failure names its seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.engines import app_engine
from support.queries import Cursors, random_query
from support.ruled_world import random_document
from support.runtime import FakeRuntime
from support.seeds import seeds
from support.triples_engine import TriplesEngine, TriplesStore
from support.world import Step, make_world, random_transaction, schema_steps, seed_steps
from trice.catalog.attr import Attr
from trice.database import Database
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST, Identity
from trice.live.live_query import LiveQuery
from trice.rules.document import Rules
from trice.store.commit import Commit
from trice.store.engine import Engine

GROUPS = 4
FLAGS = ("unique?", "index?", "required?")


class Both:
    """One app on two engines; every method asserts that they agree."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = make_world(seed)
        self.draw = random.Random(seed)
        self.databases: list[Database] = []
        self.commits: list[list[Commit]] = [[], []]
        self.runtimes = (FakeRuntime(), FakeRuntime())
        self.cursors: Cursors = {}
        self.store = TriplesStore()

    async def open(self, path: Path) -> None:
        def sqlite(attrs: Iterable[Attr]) -> Engine:
            return self._heard(0, app_engine(path, self.runtimes[0], attrs=attrs))

        def triples(attrs: Iterable[Attr]) -> Engine:
            runtime = self.runtimes[1]
            return self._heard(1, TriplesEngine(self.store, runtime=runtime, system_attrs=attrs))

        self.databases = [
            await Database.open(opened, runtime=runtime, rules=Rules.parse(None))
            for opened, runtime in zip((sqlite, triples), self.runtimes, strict=True)
        ]

    def _heard(self, number: int, engine: Engine) -> Engine:
        engine.on_commits(self.commits[number].extend)
        return engine

    async def close(self) -> None:
        for database in self.databases:
            await database.close()

    async def same(self, told: Any, ask: Callable[[Database], Awaitable[Any]]) -> Any:
        """What both answer, or the code of the error that both raise: which of several entities
        it names, their order decides."""
        outcomes = []
        for database in self.databases:
            try:
                outcomes.append(await ask(database))
            except TriceError as failure:
                outcomes.append(failure.code)
        story = f"seed {self.seed}: {orjson.dumps(told).decode()}"
        assert outcomes[0] == outcomes[1], story
        return outcomes[0]

    async def transact(self, steps: list[Step], identity: Identity = ADMIN) -> bool:
        for runtime, commits in zip(self.runtimes, self.commits, strict=True):
            runtime.now += 1
            commits.clear()
        found = await self.same(steps, lambda one: one.transact(steps, identity=identity))
        first, second = (list(map(content, commits)) for commits in self.commits)
        assert first == second, f"seed {self.seed}: {orjson.dumps(steps).decode()}"
        return isinstance(found, int)

    async def change_attr(self) -> None:
        """Change an attr, delete it, or bring it back; a good part of that is refused."""
        attr = self.draw.choice(list(self.world.attrs.values()))
        change: dict[str, Any] = {}
        kind = self.draw.choice((*FLAGS, "cardinality", "checked-data-type", "delete", "restore"))
        if kind in ("delete", "restore"):
            await self.transact([[f"{kind}-attr", attr["id"]]])
            return
        if kind == "cardinality":
            change = {kind: "one" if attr["cardinality"] == "many" else "many"}
        elif kind == "checked-data-type":
            change = {kind: self.draw.choice((None, "string", "number", "boolean", "date"))}
        else:
            change = {kind: not attr[kind]}
        if await self.transact([["update-attr", {"id": attr["id"], **change}]]):
            attr.update(change)

    async def query(self, identity: Identity) -> None:
        query = random_query(self.world, self.cursors)
        await self.same(query, lambda one: one.query_nested(query, identity=identity))

        async def flat(one: Database) -> Any:
            found = await one.query_flat(query, identity=identity)
            return answer(found.result_json), orjson.loads(found.attrs_json)

        await self.same(query, flat)

    async def watch(self, query: Any, identity: Identity) -> list[LiveQuery]:
        return [
            await one.watch(one.question(query, identity=identity, shape="flat"), lambda _: None)
            for one in self.databases
        ]

    def set_rules(self) -> None:
        document = random_document(self.world)
        for database in self.databases:
            database.set_rules(Rules.parse(document))

    async def check_live(self, watches: list[list[LiveQuery]]) -> None:
        for database in self.databases:
            await database.live.settled()
        for number, pair in enumerate(watches):
            first, second = (live.answer and answer(live.answer.result_json) for live in pair)
            assert first == second, f"seed {self.seed}: live query {number}"


def content(commit: Commit) -> Any:
    """Everything a commit says, lists without their order."""
    pairs = sorted((p.attr_id, p.source, p.target, p.created_ms, p.is_added) for p in commit.pairs)
    entities = {(change.etype, change.id): change for change in commit.entities}
    assert len(entities) == len(commit.entities)
    return commit.tx, commit.time_ms, entities, pairs, commit.catalog.by_id


def answer(result_json: bytes) -> Any:
    """A flat result, its triples without their order."""
    return [
        (sorted(map(repr, node["data"].pop("datalog-result")["join-rows"][0])), node["data"])
        for node in orjson.loads(result_json)
    ]


async def history(seed: int, path: Path) -> None:
    """A schema and data; then changes by admins and guests, of data and attrs, and queries."""
    both = Both(seed)
    await both.open(path)
    try:
        assert await both.transact(schema_steps(both.world))
        assert any([await both.transact(steps) for steps in seed_steps(both.world)])
        watches = [
            await both.watch(random_query(both.world, {}), identity)
            for identity in (ADMIN, ADMIN, GUEST, GUEST)
        ]
        for turn in range(24):
            if turn % 8 == 7:
                both.set_rules()
            if both.draw.random() < 0.3:
                await both.change_attr()
            await both.transact(random_transaction(both.world), both.draw.choice((ADMIN, GUEST)))
            for identity in (ADMIN, GUEST):
                await both.query(identity)
            await both.check_live(watches)
    finally:
        await both.close()


@pytest.mark.rule("S190")
@pytest.mark.parametrize("group", range(GROUPS))
def test_engines_agree(group: int, tmp_path: Path) -> None:
    for seed in seeds((0, 1, 2, 3, 7, 9, 11, 15), group=group, groups=GROUPS):
        asyncio.run(history(seed, tmp_path / f"{seed}.db"))
