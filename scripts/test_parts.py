"""Run the tests in parts, one after the other, and tell how long each took (`make test`).

After a part that fails, the others still run. The exit code is 1 if any part failed.
"""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
TESTS = "server/tests"

PARTS: Mapping[str, tuple[str, ...]] = {
    "unit": (TESTS,),
    "fuzz": (f"{TESTS}/fuzz",),
    "oracle": (f"{TESTS}/fuzz/test_oracle.py",),
    "interop": (f"{TESTS}/interop", f"{TESTS}/cases/client"),
    "sdk": ("clients/js",),
    "pyclient": ("clients/python/tests",),
    "bench": (f"{TESTS}/bench",),
    "e2e": (f"{TESTS}/e2e",),
}
"""Each part and the folders or files it runs. A path belongs to the part with the longest match."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part ended.

    took_s   until it had ended
    cpu_s    of all its processes that were waited for; at most twice `took_s` on two cores
    """

    part: str
    is_passed: bool
    took_s: float
    cpu_s: float


def command(part: str, environment: Mapping[str, str]) -> list[str]:
    """The command that runs a part.

    environment  PYTEST_WORKERS, PYTEST_FLAGS and E2E_FLAGS, as `make` was given them
    """
    if part == "e2e":
        flags = shlex.split(environment.get("E2E_FLAGS", ""))
        return ["node_modules/.bin/playwright", "test", "--config", *PARTS[part], *flags]
    if part == "sdk":
        return ["npm", "test", "--silent", "--workspace", "tricedb"]
    elsewhere = (
        path
        for other, paths in PARTS.items()
        for path in paths
        if other != part and any(path.startswith(f"{own}/") for own in PARTS[part])
    )
    return [
        *(sys.executable, "-m", "pytest", *PARTS[part]),
        *(f"--ignore={path}" for path in elsewhere),
        *("-n", environment.get("PYTEST_WORKERS", "logical"), "--dist", "loadgroup"),
        *shlex.split(environment.get("PYTEST_FLAGS", "")),
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """A line for each part, and one for all: how it ended, its time and CPU time in minutes."""
    whole = Outcome(
        "all",
        all(outcome.is_passed for outcome in outcomes),
        sum(outcome.took_s for outcome in outcomes),
        sum(outcome.cpu_s for outcome in outcomes),
    )
    return "\n".join(
        f"{each.part:<8} {'passed' if each.is_passed else 'FAILED'} "
        f"{_minutes(each.took_s):>6}  CPU {_minutes(each.cpu_s):>6}"
        for each in (*outcomes, *([whole] if len(outcomes) > 1 else ()))
    )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(part: str) -> Outcome:
    started, used = time.monotonic(), _cpu_s()
    ended = subprocess.run(command(part, os.environ), cwd=ROOT, check=False)
    return Outcome(part, ended.returncode == 0, time.monotonic() - started, _cpu_s() - used)


def main(chosen: Sequence[str]) -> int:
    """Run the chosen parts, or all of them; return the exit code."""
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        click.echo(f"There is no part {unknown[0]!r}; there are: {', '.join(PARTS)}.", err=True)
        return 2
    outcomes: list[Outcome] = []
    try:
        for part in chosen or PARTS:
            click.echo(f"--- {part}")
            outcomes.append(run(part))
    finally:
        if outcomes:
            click.echo(f"\n{table(outcomes)}")
    return 0 if all(outcome.is_passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
