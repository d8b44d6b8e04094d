"""Random queries whose read sets are narrow, and changes at their edges: nothing is missed.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.aggregates import own_eyes, random_aggregate
from support.live_world import live_story
from support.seeds import seeds
from support.sharp import sharp_change, sharp_query, sharp_world
from support.visibilities import Eyes, random_eyes
from support.visible_stage import VisibleStage as Stage
from support.visible_stage import answer
from trice.live.changes import Changes
from trice.live.index.derive import read_set
from trice.live.index.subscriptions import Subscriptions

logger = logging.getLogger("fuzz")

GROUPS = 4
COMMITS = 40


async def history(seed: int, path: Path) -> Counter[str]:
    """After every commit, an answer that the commit does not touch equals a fresh run."""
    world = sharp_world(seed)
    stage = Stage(world, path)
    total: Counter[str] = Counter()
    try:
        await stage.fill()
        everybody = Eyes({}, {})
        asked: list[tuple[Any, Eyes]] = [
            (random_aggregate(world) if number == 7 else sharp_query(world, {}), eyes)
            for eyes in (everybody, everybody, own_eyes(world), random_eyes(world))
            for number in range(8)
        ]
        index: Subscriptions[int] = Subscriptions()
        shown: dict[int, Any] = {}

        def refresh(number: int) -> None:
            tree = stage.tree(*asked[number])
            index.put(number, read_set(tree))
            shown[number] = answer(stage, tree)

        for number in range(len(asked)):
            refresh(number)
        for _ in range(COMMITS):
            stage.commits.clear()
            before = stage.engine.catalog
            await stage.transact(sharp_change(world))
            touched = index.affected_by_names(before, stage.engine.catalog)
            for commit in stage.commits:
                touched |= index.affected(Changes.of([commit]), commit.catalog)
            total["touched"] += len(touched)
            total["spared"] += (len(asked) - len(touched)) * len(stage.commits)
            for number, (query, eyes) in enumerate(asked):
                if number not in touched:
                    fresh = answer(stage, stage.tree(query, eyes))
                    story = f"seed {seed}: {orjson.dumps(query).decode()} of {eyes}"
                    assert fresh == shown[number], story
                    continue
                was = shown[number]
                refresh(number)
                total["news"] += was != shown[number]
    finally:
        await stage.engine.close()
    for number in range(len(asked)):
        index.remove(number)
    # Compiled ones have no `__dict__`.
    kept = (getattr(index, name) for name in dir(index) if not name.startswith("__"))
    assert not any(held for held in kept if isinstance(held, dict))
    return total


@pytest.mark.rule("L14", "L70", "L72", "L76")
@pytest.mark.parametrize("group", range(GROUPS))
def test_what_a_commit_does_not_touch_stays_as_it_is(group: int, tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in seeds(range(9000, 9008), group=group, groups=GROUPS, loops=2):
        total += asyncio.run(history(seed, tmp_path / f"{seed}.db"))
    logger.info("%s", dict(total))
    # Most commits touch few queries, and most that are touched show something else.
    assert total["spared"] > 2 * total["touched"] > 0
    assert total["news"] * 5 > total["touched"]


@pytest.mark.rule("L14", "L72")
@pytest.mark.parametrize("group", range(GROUPS))
def test_patched_answers_with_narrow_read_sets_equal_fresh_runs(group: int, tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in seeds(range(9500, 9508), group=group, groups=GROUPS, loops=2):
        total += asyncio.run(
            live_story(
                seed,
                sharp_world(seed),
                tmp_path / f"{seed}.db",
                rounds=COMMITS,
                draw_query=sharp_query,
                draw_change=sharp_change,
            )
        )
    assert min(total[kind] for kind in ("patched", "rerun_node", "silent")) > 0, total
