"""The parts of `make test` (scripts/test_parts.py)."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
script = runpy.run_path(str(ROOT / "scripts" / "test_parts.py"))


def ignored(part: str) -> set[str]:
    """What a part leaves to others."""
    words = script["command"](part, {})
    return {word.partition("=")[2] for word in words if word.startswith("--ignore=")}


@pytest.mark.rule("CLI156")
def test_every_test_is_in_one_part() -> None:
    for path in (ROOT / "server" / "tests").rglob("test_*.py"):
        if "node_modules" in path.parts:
            continue
        name = path.relative_to(ROOT).as_posix()
        covers = [
            part
            for part, paths in script["PARTS"].items()
            if part != "e2e"
            and any(f"{name}/".startswith(f"{own}/") for own in paths)
            and not any(f"{name}/".startswith(f"{other}/") for other in ignored(part))
        ]
        assert len(covers) == 1, (name, covers)


@pytest.mark.rule("CLI156")
def test_flags_reach_what_runs() -> None:
    environment = {"PYTEST_WORKERS": "3", "PYTEST_FLAGS": "-x -k 'a b'", "E2E_FLAGS": "--headed"}
    words = script["command"]("fuzz", environment)
    assert words[-3:] == ["-x", "-k", "a b"]
    assert words[words.index("-n") + 1] == "3"
    assert script["command"]("e2e", environment)[-1] == "--headed"


@pytest.mark.rule("CLI156")
def test_a_part_that_fails_keeps_none_from_running_and_each_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(part: str) -> object:
        took_s = {"unit": 151.4, "fuzz": 59.6}.get(part, 1)
        return script["Outcome"](part, part != "fuzz", took_s, 2 * took_s)

    monkeypatch.setitem(script["main"].__globals__, "run", run)
    assert script["main"](["unit", "fuzz", "oracle"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[-4:] == [
        "unit     passed   2:31  CPU   5:03",
        "fuzz     FAILED   1:00  CPU   1:59",
        "oracle   passed   0:01  CPU   0:02",
        "all      FAILED   3:32  CPU   7:04",
    ]
    assert script["main"](["unit"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "unit     passed   2:31  CPU   5:03"


@pytest.mark.rule("CLI156")
def test_an_unknown_part_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert script["main"](["units"]) == 2
    assert "'units'" in capsys.readouterr().err
