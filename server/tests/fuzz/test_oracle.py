"""Everything at once for some 2,000 commits; `make oracle` goes on for 200,000.

A failure names its seed.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from support.oracle import play

logger = logging.getLogger("fuzz")

GROUPS = 2
COMMITS = 2_000 // GROUPS


@pytest.mark.rule("L14", "L47")
@pytest.mark.parametrize("group", range(GROUPS))
def test_whatever_happens_everybody_sees_what_a_fresh_run_answers(
    group: int, tmp_path: Path
) -> None:
    total: Counter[str] = Counter()
    for seed in count(1 + group, GROUPS):
        total += play(seed, tmp_path / str(seed))
        if total["commits"] >= COMMITS:
            break
    logger.info("%s", dict(total))
    # Each kind of refresh and message must occur, or agreement says little.
    kinds = ("patched", "counted", "rerun_node", "rerun_query", "silent", "full", "delta", "same")
    assert min(total[kind] for kind in kinds) > COMMITS // 10, total
    assert total["compared"] > 5 * total["checks"], total
    assert total["restarts"] > 0, total
