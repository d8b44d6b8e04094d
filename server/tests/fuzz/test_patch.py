"""Random commits on random live queries, patched in memory: each answer equals a fresh run.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from pathlib import Path

import pytest

from support.live_world import live_story
from support.seeds import seeds
from support.world import make_world
from trice.live.live_query import OF_FUNCTION

logger = logging.getLogger("fuzz")

ROUNDS = 50


@pytest.mark.rule("L14")
def test_patched_answers_equal_fresh_runs(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in seeds(range(8000, 8005)):
        path = tmp_path / f"{seed}.db"
        total += asyncio.run(live_story(seed, make_world(seed), path, rounds=ROUNDS))
        path.unlink()
    logger.info("%s", dict(total))
    # Each kind of refresh must occur, or agreement says little.
    kinds = ("patched", "rerun_node", "rerun_query", "silent")
    assert min(total[kind] for kind in kinds) > total["commits"] // 2, total


@pytest.mark.rule("FN740", "FN741")
def test_answers_with_nested_limits_equal_whole_ones_cut_by_hand(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in seeds(range(8100, 8105)):
        path, world = tmp_path / f"{seed}.db", make_world(seed)
        total += asyncio.run(live_story(seed, world, path, rounds=ROUNDS, shapes=(OF_FUNCTION,)))
        path.unlink()
    logger.info("%s", dict(total))
    kinds = ("patched", "rerun_node", "rerun_query", "silent")
    assert min(total[kind] for kind in kinds) > total["commits"] // 2, total
