"""Random queries of callers who may not see everything, held against the model's masked world.

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

from model.client import evaluate
from model.masked import visible_triples
from model.query import Answer
from model.query import run as run_model
from support.queries import Cursors, is_exact_on_clients, random_query
from support.seeds import seeds
from support.visibilities import Eyes, random_eyes
from support.visible_stage import VisibleStage as Stage
from support.visible_stage import answer, plain, triples
from support.world import make_world, random_transaction
from trice.live.changes import Changes
from trice.live.index.derive import read_set
from trice.live.index.subscriptions import Subscriptions
from trice.query.encode import nested_result

GROUPS = 4


def check_answer(stage: Stage, query: Any, eyes: Eyes, cursors: Cursors) -> None:
    """The answer, however it is encoded, is the answer on the masked world."""
    story = f"seed {stage.world.seed}: {orjson.dumps(query).decode()} of {eyes}"
    seen = eyes.world(stage.model)
    expected = run_model(seen, query)
    tree = stage.tree(query, eyes)
    found = nested_result(tree, is_inferring=False)
    assert plain(found) == plain(expected.tree), story
    flat = stage.flat(tree)
    assert plain(flat[0]["data"].get("page-info") or {}) == plain(expected.pages), story
    there = set(map(plain, visible_triples(seen)))
    leaked = [triple for triple in triples(flat) if plain(triple) not in there]
    assert not leaked, f"{leaked}; {story}"
    if is_exact_on_clients(stage.world, query):
        shown = evaluate(flat, stage.engine.catalog.wire(), query)
        assert plain(shown) == plain(expected.tree), f"client; {story}"
    apart = stage.tree(query, eyes, is_apart=True)
    assert plain(nested_result(apart, is_inferring=False)) == plain(found), f"apart; {story}"
    assert answer(stage, apart) == answer(stage, tree), f"apart; {story}"
    remember(cursors, query, expected)


def remember(cursors: Cursors, query: Any, answer: Answer) -> None:
    for etype, page in answer.pages.items():
        order = query[etype]["$"].get("order", {"serverCreatedAt": "asc"})
        ends = [cursor for cursor in (page["start-cursor"], page["end-cursor"]) if cursor]
        cursors.setdefault((etype, next(iter(order))), []).extend(ends)


def check_count(stage: Stage, etype: str, where: Any, eyes: Eyes) -> None:
    query = {etype: {"$": {"aggregate": "count", "where": where}}}
    tree = stage.tree(query, eyes)
    expected = run_model(eyes.world(stage.model), query)
    assert stage.tree(query, eyes, is_apart=True).nodes[0].count == tree.nodes[0].count
    story = f"seed {stage.world.seed}: {orjson.dumps(query).decode()} of {eyes}"
    assert {etype: {"count": tree.nodes[0].count}} == expected.tree, story


async def history(seed: int, path: Path) -> None:
    world = make_world(seed)
    stage = Stage(world, path)
    try:
        await stage.fill()
        cursors: Cursors = {}
        for _ in range(8):
            await stage.transact(random_transaction(world))
            eyes = random_eyes(world)
            for _ in range(6):
                query = random_query(world, cursors)
                check_answer(stage, query, eyes, cursors)
                etype, form = next(iter(query.items()))
                check_count(stage, etype, form.get("$", {}).get("where", {}), eyes)
    finally:
        await stage.engine.close()


@pytest.mark.rule("Q93", "Q94", "Q95", "Q96", "Q170")
@pytest.mark.parametrize("group", range(GROUPS))
def test_answers_are_those_on_the_masked_world(group: int, tmp_path: Path) -> None:
    for seed in seeds(range(5000, 5016), group=group, groups=GROUPS, loops=2):
        asyncio.run(history(seed, tmp_path / f"{seed}.db"))


async def live_history(seed: int, path: Path) -> None:
    """After every commit, an answer that the commit does not touch equals a fresh run."""
    world = make_world(seed)
    stage = Stage(world, path)
    try:
        await stage.fill()
        asked: Sequence[tuple[Any, Eyes]] = [
            (random_query(world, {}), eyes)
            for eyes in (random_eyes(world), random_eyes(world), random_eyes(world))
            for _ in range(8)
        ]
        index: Subscriptions[int] = Subscriptions()
        shown: dict[int, tuple[list[str], str]] = {}

        def refresh(number: int) -> None:
            tree = stage.tree(*asked[number])
            index.put(number, read_set(tree))
            shown[number] = answer(stage, tree)

        for number in range(len(asked)):
            refresh(number)
        for _ in range(25):
            stage.commits.clear()
            before = stage.engine.catalog
            await stage.transact(random_transaction(world))
            touched = index.affected_by_names(before, stage.engine.catalog)
            for commit in stage.commits:
                touched |= index.affected(Changes.of([commit]), commit.catalog)
            for number, (query, eyes) in enumerate(asked):
                if number in touched:
                    refresh(number)
                    continue
                story = f"seed {seed}: {orjson.dumps(query).decode()} of {eyes}"
                assert answer(stage, stage.tree(query, eyes)) == shown[number], story
    finally:
        await stage.engine.close()


@pytest.mark.rule("L18")
@pytest.mark.parametrize("group", range(GROUPS))
def test_what_a_commit_does_not_touch_stays_as_it_is(group: int, tmp_path: Path) -> None:
    for seed in seeds(range(6000, 6016), group=group, groups=GROUPS, loops=2):
        asyncio.run(live_history(seed, tmp_path / f"{seed}.db"))
