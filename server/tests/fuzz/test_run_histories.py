"""Functions at once are as functions one after the other: random histories, each checked whole.

`TRICE_HISTORIES` says how many (`make histories`). A failure names its seed.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import fields
from pathlib import Path

import pytest

from support.run_histories import Counts, Violation, play_histories
from trice import data_run, function_limits

GROUPS = 4
EACH = 25
HISTORIES = int(os.environ.get("TRICE_HISTORIES", "600"))


def play(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counts:
    draw = random.Random(seed)
    monkeypatch.setattr(function_limits, "READ_KEYS_MAX", draw.choice((2, 8, 4_096, 4_096)))
    return asyncio.run(play_histories(seed, folder / f"{seed}.db", count=EACH, draw=draw))


@pytest.mark.rule("FN7", "FN8", "FN9")
@pytest.mark.parametrize("group", range(GROUPS))
def test_runs_could_have_run_one_after_the_other(
    group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = Counts()
    for seed in range(HISTORIES // EACH // GROUPS):
        counts = play(seed * GROUPS + group, tmp_path, monkeypatch)
        for each in fields(total):
            setattr(total, each.name, getattr(total, each.name) + getattr(counts, each.name))
        (tmp_path / f"{seed * GROUPS + group}.db").unlink()
    assert all(getattr(total, each.name) for each in fields(total)), total
    assert total.committed > total.stale, total


@pytest.mark.interpreted("the check is replaced")
@pytest.mark.rule("FN7")
def test_the_checker_finds_runs_that_were_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_run, "check_stands", lambda conflicts, commits: None)
    with pytest.raises(Violation):
        for seed in range(8):
            play(seed, tmp_path, monkeypatch)
