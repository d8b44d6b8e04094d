"""A little of `make kill`: processes are killed at random moments, by a seed that is printed."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from support.kill_files import FileKills
from support.kill_hooks import HookKills
from support.kill_jobs import JobKills
from support.kill_streams import StreamKills

KILLS = 5
KILLS_MAX = 100
"""More than KILLS only if none of them met anything under way."""


@pytest.fixture
def seed() -> int:
    seed = random.SystemRandom().randrange(1_000_000)
    sys.stdout.write(f"seed {seed}\n")  # pytest shows it with a failure
    return seed


@pytest.mark.rule("F9")
@pytest.mark.rule("F20")
@pytest.mark.rule("F21")
@pytest.mark.rule("F42")
async def test_rows_and_bytes_agree_after_every_kill(tmp_path: Path, seed: int) -> None:
    kills = FileKills(tmp_path, seed)
    while not kills.met and kills.found["kills"] < KILLS_MAX:
        await kills.play(KILLS)
    assert kills.met and kills.found["checked"]


@pytest.mark.rule("ST2")
@pytest.mark.rule("ST5")
@pytest.mark.rule("ST7")
@pytest.mark.rule("ST12")
def test_no_flushed_byte_of_a_stream_is_lost_or_doubled(tmp_path: Path, seed: int) -> None:
    kills = StreamKills(tmp_path, seed)
    while not kills.found["met"] and kills.found["kills"] < KILLS_MAX:
        kills.play(KILLS)
    assert kills.found["met"] and kills.found["streams"]


@pytest.mark.rule("FN361", "FN364", "FN365")
def test_every_job_ran_as_often_as_it_should(tmp_path: Path, seed: int) -> None:
    kills = JobKills(tmp_path, seed)
    kills.play(2 * KILLS)
    assert kills.found["kills"] == 2 * KILLS and kills.found["note done"]


@pytest.mark.rule("FN550", "FN551")
def test_every_change_was_followed_as_often_as_it_should(tmp_path: Path, seed: int) -> None:
    kills = HookKills(tmp_path, seed)
    kills.play(2 * KILLS)
    assert kills.found["kills"] == 2 * KILLS and kills.found["items"]
