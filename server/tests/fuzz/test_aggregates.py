"""Random aggregates of callers who may not see everything: against the model, and carried forward.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from model.aggregate import totals
from support.aggregates import comparable_totals, own_eyes, random_aggregate
from support.flat_results import flat_result
from support.seeds import seeds
from support.visibilities import Eyes, random_eyes
from support.visible_stage import VisibleStage as Stage
from support.world import make_world, random_transaction
from trice.live.aggregates import Aggregates, keep
from trice.live.answers import Encoded, encode_tree
from trice.live.changes import Changes
from trice.live.index.derive import read_set
from trice.live.index.subscriptions import Subscriptions
from trice.live.recent import RecentCommits
from trice.metrics import LiveCounts
from trice.query.encode import EntityCache, nested_result
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.query.tree import Tree
from trice.store.engine import Snapshot

GROUPS = 4
COMMITS = 25


def check_model(stage: Stage, query: Any, eyes: Eyes, tree: Tree) -> None:
    """The totals are those of the masked world."""
    seen = eyes.world(stage.model)
    found = nested_result(tree, is_inferring=False)
    for etype, form in query.items():
        story = f"seed {stage.world.seed}: {orjson.dumps(query).decode()} of {eyes}"
        wanted = comparable_totals(stage.world, etype, totals(seen, etype, form["$"]))
        assert comparable_totals(stage.world, etype, found[etype]) == wanted, story


async def history(seed: int, path: Path) -> None:
    world = make_world(seed)
    stage = Stage(world, path)
    try:
        await stage.fill()
        for _ in range(8):
            await stage.transact(random_transaction(world))
            eyes = random_eyes(world) if world.random.random() < 0.5 else own_eyes(world)
            for _ in range(6):
                query = random_aggregate(world)
                check_model(stage, query, eyes, stage.tree(query, eyes))
    finally:
        await stage.engine.close()


@pytest.mark.rule("Q123", "Q113", "Q116")
@pytest.mark.parametrize("group", range(GROUPS))
def test_totals_are_those_of_the_masked_world(group: int, tmp_path: Path) -> None:
    for seed in seeds(range(7000, 7016), group=group, groups=GROUPS, loops=2):
        asyncio.run(history(seed, tmp_path / f"{seed}.db"))


class Watching:
    """Aggregates of several eyes, carried forward as the live engine does."""

    def __init__(self, stage: Stage, asked: Sequence[tuple[Any, Eyes]]) -> None:
        self.stage = stage
        self.asked = asked
        self.counts = LiveCounts()
        self.index: Subscriptions[int] = Subscriptions()
        self.kept: Aggregates[int] = Aggregates(self.counts)
        self.answers: dict[int, bytes] = {}

    def run(self, number: int) -> None:
        """A fresh run."""
        query, eyes = self.asked[number]

        def work(snapshot: Snapshot) -> None:
            parsed = parse(query, snapshot.catalog, is_admin=False)
            visibility = eyes.visibility(snapshot.catalog)
            made = plan(parsed, snapshot.catalog, visibility, dialect=snapshot.dialect)
            tree = run(made, snapshot)
            self.index.put(number, read_set(tree))
            kept = keep(tree, snapshot.newest_tx(), _encoded)
            self.kept.adopt(number, kept, RecentCommits(), self.stage.engine.tx)
            self.answers[number] = _flat(tree)

        self.stage.engine.read_now(work)
        self.counts.rerun_query += 1

    def refresh(self, touched: set[int]) -> None:
        for number in touched:
            found = self.kept.refresh(number, self.stage.engine)
            if found is None:
                self.run(number)
            else:
                self.answers[number] = found.answer.result_json


def _encoded(tree: Tree) -> Encoded:
    return encode_tree(tree, "flat", EntityCache())


def _flat(tree: Tree) -> bytes:
    return flat_result(tree, EntityCache())


async def live_history(seed: int, path: Path) -> LiveCounts:
    """After every few commits each answer equals a fresh run, touched or not."""
    world = make_world(seed)
    stage = Stage(world, path)
    everybody = Eyes({}, {})
    try:
        await stage.fill()
        eyes = (everybody, everybody, own_eyes(world), own_eyes(world), random_eyes(world))
        watching = Watching(stage, [(random_aggregate(world), one) for one in eyes * 5])
        for number in range(len(watching.asked)):
            watching.run(number)
        waiting: set[int] = set()
        for step in range(COMMITS):
            stage.commits.clear()
            before = stage.engine.catalog
            await stage.transact(random_transaction(world))
            for commit in stage.commits:
                touched = watching.index.affected(Changes.of([commit]), commit.catalog)
                if commit.is_catalog_changed:
                    touched |= watching.index.affected_by_names(before, commit.catalog)
                    before = commit.catalog
                watching.kept.note(touched, commit)
                waiting |= touched
            if step % 3 == 1:
                continue  # commits pile up
            watching.refresh(waiting)
            waiting.clear()
            for number, (query, one) in enumerate(watching.asked):
                story = f"seed {seed}: {orjson.dumps(query).decode()} of {one}"
                fresh = stage.tree(query, one)
                assert watching.answers[number] == _flat(fresh), story
        return watching.counts
    finally:
        await stage.engine.close()


@pytest.mark.rule("L62", "L66")
@pytest.mark.parametrize("group", range(GROUPS))
def test_totals_carried_forward_are_those_of_a_fresh_run(group: int, tmp_path: Path) -> None:
    found = [
        asyncio.run(live_history(seed, tmp_path / f"{seed}.db"))
        for seed in seeds(range(8000, 8016), group=group, groups=GROUPS, loops=2)
    ]
    assert sum(one.patched for one in found) > 0
    assert sum(one.rerun_node for one in found) > 0
