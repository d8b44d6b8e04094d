"""Run the tests of what changed, in under a minute (`make quick`).

The files that changed since the branch left another one, committed or not, decide which folders and
files of tests run. Slow parts do not run, nor tests that do not fit into the time. The script
prints what runs and why, and what is left out. `make test` runs everything.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "server/src/trice/"
TESTS = "server/tests/"

ALWAYS = "test_tidy.py"
SHARED = (
    *("api/test_routes.py", "session/test_session.py", "live/test_live.py", "query/test_where.py"),
    *("rules/test_judge.py", "transact/test_writes.py", "contract/test_transactions.py"),
)
"""A few tests of every part, for a change of what all parts use."""

BESIDES = {
    "store": ("contract",),
    "transact": ("contract",),
    "protocol": ("session",),
    "catalog": ("query",),
    "rules": ("test_debug.py",),
    "database": ("live", "contract"),
    "debug": ("test_debug.py",),
    "server": ("cli",),
    "files": ("kill",),
    "streams": ("kill",),
    "spec/cases": ("cases/test_cases.py",),
    "scripts": ("scripts",),
}
"""Tests of a part of the server besides the folder or file of its name."""

NEVER = frozenset(("fuzz", "interop", "bench", "e2e", "react-18", "cases/client"))
"""Parts of `make test` without quick tests."""

COSTS_S: Mapping[str, int] = {
    "accounts": 4,
    "api": 30,
    "archive": 20,
    "backups": 55,
    "app_backups": 30,
    "files": 12,
    "imports": 20,
    "rooms": 2,
    "streams": 3,
    "kill": 11,
    "apps": 6,
    "auth": 4,
    "calls": 42,
    "cases": 3,
    "catalog": 1,
    "cel": 6,
    "cli": 35,
    "contract": 3,
    "functions": 40,
    "live": 11,
    "model": 1,
    "protocol": 1,
    "query": 8,
    "rules": 11,
    "schema": 25,
    "scripts": 1,
    "session": 23,
    "store": 6,
    "test_tidy.py": 6,
    "testing": 25,
    "transact": 4,
    "webhooks": 6,
}
"""Measured seconds of one core that a folder takes. A single file counts 2."""

BUDGET_S = 75
"""Seconds of tests for two cores within a minute, a quarter of which starting takes."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Tests to run, and tests left out, each with the reason."""

    run: dict[str, str]
    left_out: dict[str, str]


def choose(
    changed: Iterable[str], importers: Mapping[str, Sequence[str]], there: set[str]
) -> Choice:
    """Choose the tests that check the files that changed.

    changed    paths from the root of the project
    importers  for each module of tests/support, the files of tests that use it
    there      folders and files of tests that exist, from `server/tests`; no others are chosen
    """
    wanted: dict[str, str] = {ALWAYS: "always"}
    left_out: dict[str, str] = {}
    for path in sorted(changed, key=lambda path: not path.startswith(TESTS)):
        for target in targets(path, importers):
            folder = target.partition("/")[0]
            if target in NEVER or folder in NEVER:
                left_out.setdefault(folder, f"{path}; `make test` runs it")
            elif target in there and folder not in wanted:
                wanted.setdefault(target, path)
    run: dict[str, str] = {}
    spent_s = 0
    for target, why in wanted.items():
        if target.partition("/")[0] in wanted and "/" in target:
            continue
        spent_s += COSTS_S.get(target, 2)
        if spent_s <= BUDGET_S:
            run[target] = why
        else:
            left_out[target] = f"{why}; it does not fit into a minute"
            spent_s -= COSTS_S.get(target, 2)
    return Choice(run, left_out)


def targets(path: str, importers: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """The tests of one path, as paths from `server/tests`."""
    if path.startswith(f"{TESTS}support/"):
        return importers.get(Path(path).stem, SHARED)
    if path.startswith(f"{TESTS}model/"):
        return ("model",)
    if path.startswith(TESTS):
        folder, _, file = path.removeprefix(TESTS).rpartition("/")
        is_test = file.startswith("test_") and file.endswith(".py")
        if not folder:
            return (file,) if is_test else SHARED
        return (f"{folder}/{file}" if is_test else folder.partition("/")[0],)
    if path.startswith(SOURCE):
        part = path.removeprefix(SOURCE).partition("/")[0].removesuffix(".py")
        own = (part, f"test_{part}.py", *BESIDES.get(part, ()))
        return own if "/" in path.removeprefix(SOURCE) or part in BESIDES else (*own, *SHARED)
    for folder, besides in BESIDES.items():
        if path.startswith(f"{folder}/"):
            return besides
    if path in ("Makefile", "pyproject.toml"):
        return ("scripts", *SHARED)
    return ("bench",) if path.startswith("bench/") else ()


def find_importers(tests: Path) -> dict[str, list[str]]:
    """For each module of `support`, the files of tests that use it, directly or through others."""
    uses = {
        path: {name for name in imported(path) if name.startswith("support.")}
        for path in tests.rglob("*.py")
        if "node_modules" not in path.parts
    }
    found: dict[str, list[str]] = {}
    for module in (tests / "support").glob("*.py"):
        waiting, seen = [f"support.{module.stem}"], set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            waiting += [
                f"support.{path.stem}"
                for path, names in uses.items()
                if name in names and path.parent.name == "support"
            ]
        found[module.stem] = sorted(
            path.relative_to(tests).as_posix().removesuffix("/conftest.py")
            for path, names in uses.items()
            if names & seen and path.parent.name != "support"
        )
    return found


def imported(path: Path) -> set[str]:
    """Modules that a file imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def changed_since(branch: str) -> list[str]:
    """Paths that differ from the commit where this branch left another, with untracked ones."""

    def git(*arguments: str) -> list[str]:
        answer = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if answer.returncode != 0:
            raise click.ClickException(f"git {arguments[0]}: {answer.stderr.strip()}")
        return answer.stdout.splitlines()

    (fork,) = git("merge-base", "HEAD", branch)
    return [
        *git("diff", "--name-only", "--no-renames", fork),
        *git("ls-files", "--others", "--exclude-standard"),
    ]


@click.command()
@click.option("--since", default="main", help="The branch that this one left.")
def main(since: str) -> None:
    tests = ROOT / TESTS
    there = {
        path.relative_to(tests).as_posix()
        for path in (*tests.iterdir(), *tests.rglob("test_*.py"))
        if path.suffix == ".py" or (path.is_dir() and any(path.rglob("test_*.py")))
    }
    choice = choose(changed_since(since), find_importers(tests), there)
    for target, why in choice.run.items():
        click.echo(f"run       {target:<32} {why}")
    for target, why in choice.left_out.items():
        click.echo(f"left out  {target:<32} {why}")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-n", "logical", "--dist", "loadgroup"),
            *(f"{TESTS}{target}" for target in choice.run),
        ],
        cwd=ROOT,
        check=False,
    )
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
