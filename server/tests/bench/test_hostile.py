"""Plays every attack of bench/hostile, a little of each, against live servers."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.patience import SUITE_WAIT_S

RUN = Path(__file__).resolve().parents[3] / "bench/hostile/run"
PEAK_MB_MAX = 400
"""Far above what the attacks come to (`make hostile` prints it), far below what they came to when
nothing bounded them: gigabytes, or the end of the process."""


PARTS = 3
"""So many processes play a share of the attacks each: they wait most of the time."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each attack did; see `Result` in bench/hostile/main.py."""
    folder = tmp_path_factory.mktemp("hostile")
    found: list[dict[str, Any]] = []
    with ThreadPoolExecutor(PARTS) as threads:
        for part in threads.map(lambda number: play(folder, number), range(1, PARTS + 1)):
            found += part
    return found


def play(folder: Path, number: int) -> list[dict[str, Any]]:
    """Play one of the parts."""
    path = folder / f"{number}.json"
    command = [str(RUN), "--quick", "--part", f"{number}/{PARTS}", "--json", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SUITE_WAIT_S, check=False)
    assert path.exists(), f"{run.stdout}\n{run.stderr[-4_000:]}"
    part: list[dict[str, Any]] = orjson.loads(path.read_bytes())
    return part


@pytest.mark.rule("H80")
def test_no_attack_ends_the_server(results: list[dict[str, Any]]) -> None:
    assert {result["attack"]: result["ended"] for result in results if result["ended"]} == {}


@pytest.mark.rule("H81")
def test_nobody_else_loses_a_session_a_write_or_an_answer(results: list[dict[str, Any]]) -> None:
    assert {result["attack"]: result["lost"] for result in results if result["lost"]} == {}


@pytest.mark.rule("H82")
def test_every_message_of_the_stranger_is_answered(results: list[dict[str, Any]]) -> None:
    unheard = {
        result["attack"]: result["heard"]
        for result in results
        if any(code.startswith(("no answer", "unknown", "5")) for code in result["heard"])
    }
    assert unheard == {}


@pytest.mark.rule("H83")
def test_memory_stays_bounded(results: list[dict[str, Any]]) -> None:
    peaks = {result["attack"]: result["memory_mb"][1] for result in results}
    assert {attack: peak for attack, peak in peaks.items() if not peak < PEAK_MB_MAX} == {}


HOOKS = ("webhooks", "receivers", "a storm of events")


@pytest.mark.rule("WH60", "WH61")
def test_webhooks_reach_nothing_and_cost_nobody_else(results: list[dict[str, Any]]) -> None:
    """An attack that reaches a service of this machine ends as failed."""
    found = {each["attack"]: each for each in results if each["attack"].startswith(HOOKS)}
    assert len(found) == 7
    assert {name: each["ended"] for name, each in found.items() if each["ended"]} == {}
    assert {name: each["lost"] for name, each in found.items() if each["lost"]} == {}
    assert "ok" in found["a storm of events"]["heard"]
    assert found["webhooks to this machine"]["heard"]["validation-failed"] > 50
