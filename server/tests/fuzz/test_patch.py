"""Random commits on random live queries, patched in memory: each answer equals a fresh run.

`TRICE_FUZZ_SECONDS` makes it go on with new seeds for that long; without it a fixed set is run.
A failure names its seed; add it to `SEEDS_THAT_FAILED` with the mending commit.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live_world import live_story
from support.world import make_world

logger = logging.getLogger("fuzz")

SEEDS_THAT_FAILED: tuple[int, ...] = ()
FIXED_SEEDS = 5
ROUNDS = 50


def seeds() -> Iterator[int]:
    """The fixed seeds, or fresh ones until the time set is used up."""
    budget_s = float(os.environ.get("TRICE_FUZZ_SECONDS", "0"))
    if not budget_s:
        yield from (*range(8000, 8000 + FIXED_SEEDS), *SEEDS_THAT_FAILED)
        return
    deadline = time.monotonic() + budget_s
    seed = int(os.environ.get("TRICE_FUZZ_SEED", str(time.time_ns() % 10**9)))
    while time.monotonic() < deadline:
        yield seed
        seed += 1


@pytest.mark.rule("L14")
def test_patched_answers_equal_fresh_runs(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    for seed in seeds():
        path = tmp_path / f"{seed}.db"
        total += asyncio.run(live_story(seed, make_world(seed), path, rounds=ROUNDS))
        path.unlink()
    logger.info("%s", dict(total))
    # Each kind of refresh must occur, or agreement says little.
    kinds = ("patched", "rerun_node", "rerun_query", "silent")
    assert min(total[kind] for kind in kinds) > total["commits"] // 2, total
