"""Random histories on the engine and the naive model at once: same state, same answers.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.queries import random_query
from support.seeds import seeds
from support.twin import Twin
from support.world import make_world, random_transaction, schema_steps, seed_steps
from trice.identity import ADMIN
from trice.live.live_query import LiveQuery

GROUPS = 4


async def history(seed: int, path: Path) -> None:
    """A schema, data, then transactions and queries in turn."""
    world = make_world(seed)
    twin = await Twin.open(world, path)
    try:
        assert await twin.transact(schema_steps(world))
        accepted = [await twin.transact(steps) for steps in seed_steps(world)]
        assert any(accepted)
        await twin.check_state()
        for _ in range(12):
            await twin.transact(random_transaction(world))
            await twin.check_state()
            for _ in range(3):
                await twin.query(random_query(world, twin.cursors))
    finally:
        await twin.db.close()


@pytest.mark.parametrize("group", range(GROUPS))
def test_engine_and_model_agree(group: int, tmp_path: Path) -> None:
    for seed in seeds(range(16), group=group, groups=GROUPS, loops=2):
        asyncio.run(history(seed, tmp_path / f"{seed}.db"))


async def live_history(seed: int, path: Path) -> None:
    """Watch random queries; after every commit each equals a fresh run."""
    world = make_world(seed)
    twin = await Twin.open(world, path)
    try:
        assert await twin.transact(schema_steps(world))
        for steps in seed_steps(world)[::2]:
            await twin.transact(steps)
        queries = [random_query(world, twin.cursors) for _ in range(12)]
        told: set[int] = set()
        watches = [
            await twin.db.watch(
                twin.db.question(query, identity=ADMIN, shape="flat"),
                partial(hear, told, number),
            )
            for number, query in enumerate(queries)
        ]
        shown = [result(watch) for watch in watches]
        for _ in range(25):
            told.clear()
            await twin.transact(random_transaction(world))
            await twin.db.live.settled()
            for number, (query, watch) in enumerate(zip(queries, watches, strict=True)):
                fresh = await twin.flat(query)
                story = f"seed {seed}: {orjson.dumps(query).decode()}"
                assert triples(result(watch)) == triples(fresh), story
                is_changed = triples(shown[number]) != triples(fresh)
                assert not is_changed or number in told, f"watcher not told; {story}"
                shown[number] = result(watch)
    finally:
        await twin.db.close()


def hear(told: set[int], number: int, _: LiveQuery) -> None:
    told.add(number)


def result(watch: LiveQuery) -> list[dict[str, Any]]:
    """The answer that watchers were told last."""
    assert watch.answer is not None
    decoded: list[dict[str, Any]] = orjson.loads(watch.answer.result_json)
    return decoded


def triples(flat: list[dict[str, Any]]) -> tuple[list[str], str]:
    """A flat result without its order: the triples, and page info with aggregates."""
    data = flat[0]["data"]
    rows = data["datalog-result"]["join-rows"]
    rest = {key: value for key, value in data.items() if key != "datalog-result"}
    return sorted(orjson.dumps(triple).decode() for row in rows for triple in row), repr(rest)


@pytest.mark.rule("L14")
@pytest.mark.parametrize("group", range(GROUPS))
def test_live_results_equal_fresh_runs(group: int, tmp_path: Path) -> None:
    for seed in seeds(range(1000, 1016), group=group, groups=GROUPS, loops=2):
        asyncio.run(live_history(seed, tmp_path / f"{seed}.db"))
