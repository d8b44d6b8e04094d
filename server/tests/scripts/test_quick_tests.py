"""Which tests `make quick` runs, by what changed (scripts/quick_tests.py)."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
script = runpy.run_path(str(ROOT / "scripts" / "quick_tests.py"))

IMPORTERS = {"sharp": ["query/test_page.py", "fuzz/test_patch.py"]}
THERE = {
    *("query", "rules", "contract", "store", "live", "api", "session", "cases", "cel"),
    *("test_tidy.py", "test_debug.py", "test_mail.py", "cases/test_cases.py", "query/test_page.py"),
    *script["SHARED"],
}


def chosen(*changed: str) -> list[str]:
    """What is run besides the file that always is."""
    choice = script["choose"](changed, IMPORTERS, THERE)
    assert choice.run["test_tidy.py"] == "always"
    return sorted(choice.run.keys() - {"test_tidy.py"})


@pytest.mark.rule("CLI155")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("README.md", []),
        ("server/src/trice/query/plan.py", ["query"]),
        ("server/src/trice/query/sql/forms.py", ["query"]),
        ("server/src/trice/store/sqlite/log.py", ["contract", "store"]),
        ("server/src/trice/rules/judge.py", ["rules", "test_debug.py"]),
        ("server/src/trice/database.py", ["contract", "live"]),
        ("server/tests/query/test_page.py", ["query/test_page.py"]),
        ("server/tests/query/conftest.py", ["query"]),
        ("server/tests/support/sharp.py", ["query/test_page.py"]),
        ("server/tests/test_mail.py", ["test_mail.py"]),
        ("server/tests/conftest.py", sorted(script["SHARED"])),
        ("spec/cases/query/where.txt", ["cases/test_cases.py"]),
    ],
)
def test_a_changed_file_names_its_tests(changed: str, expected: list[str]) -> None:
    assert chosen(changed) == expected


@pytest.mark.rule("CLI155")
def test_a_module_that_everything_stands_on_is_tried_by_a_little_of_everything() -> None:
    assert set(chosen("server/src/trice/mail.py")) == {"test_mail.py", *script["SHARED"]}


@pytest.mark.rule("CLI155")
def test_a_folder_holds_its_files() -> None:
    changed = ("server/tests/query/test_page.py", "server/src/trice/query/plan.py")
    assert chosen(*changed) == chosen(*reversed(changed)) == ["query"]


@pytest.mark.rule("CLI155")
def test_what_is_never_quick_is_told() -> None:
    choice = script["choose"](["server/tests/interop/grid.test.mjs"], {}, {"interop"})
    assert list(choice.run) == ["test_tidy.py"]
    assert list(choice.left_out) == ["interop"]


@pytest.mark.rule("CLI155")
def test_what_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    budget_s = script["BUDGET_S"]
    costs = {"query": budget_s - 5, "rules": 10, "cel": 3}
    monkeypatch.setitem(script["choose"].__globals__, "COSTS_S", costs)
    changed = [f"server/src/trice/{part}/x.py" for part in ("query", "rules", "cel")]
    choice = script["choose"](changed, {}, THERE - {"test_debug.py"})
    assert list(choice.run) == ["test_tidy.py", "query", "cel"]
    assert "does not fit" in choice.left_out["rules"]


@pytest.mark.rule("CLI155")
def test_the_tables_name_what_is_there() -> None:
    tests = ROOT / "server" / "tests"
    named = [*script["SHARED"], *script["COSTS_S"], *script["NEVER"], script["ALWAYS"]]
    named += [target for besides in script["BESIDES"].values() for target in besides]
    assert [name for name in named if not (tests / name).exists()] == []
    folders = {path.name for path in tests.iterdir() if any(path.rglob("test_*.py"))}
    assert folders <= script["COSTS_S"].keys() | script["NEVER"]


@pytest.mark.rule("CLI155")
def test_users_of_a_support_module_are_found_by_way_of_others(tmp_path: Path) -> None:
    for path, text in {
        "support/world.py": "",
        "support/twin.py": "from support.world import World\n",
        "query/test_one.py": "from support.twin import Twin\n",
        "query/test_two.py": "import json\n",
        "live/conftest.py": "from support.world import World\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    found = script["find_importers"](tmp_path)
    assert found == {
        "world": ["live", "query/test_one.py"],
        "twin": ["query/test_one.py"],
    }


@pytest.mark.rule("CLI155")
def test_changes_are_those_since_the_fork_and_those_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    def write(name: str, text: str = "x") -> None:
        (tmp_path / name).write_text(text, encoding="utf-8")

    git("init", "--initial-branch", "main")
    write("old.py")
    git("add", ".")
    git("commit", "-m", "first")
    git("checkout", "-b", "mine")
    write("committed.py")
    git("add", ".")
    git("commit", "-m", "second")
    write("old.py", "changed")
    write("new.py")
    git("checkout", "main", "--force")
    write("of_others.py")
    git("add", "of_others.py")
    git("commit", "-m", "third")
    git("checkout", "mine")
    write("old.py", "changed")
    monkeypatch.setitem(script["changed_since"].__globals__, "ROOT", tmp_path)
    assert sorted(script["changed_since"]("main")) == ["committed.py", "new.py", "old.py"]
