"""Compare live answers with fresh runs over many random histories (`make oracle`).

Plays seeds of `support.oracle`, one process on each core, until so many commits have been checked.
The first failure ends it, with the seed and the command that plays it again. To continue a run that
was stopped, start with the seed that its last line names. The databases are in TMPDIR.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server" / "tests"))

SEEDS_A_LINE = 50
MIX = (
    *("patched", "counted", "rerun_node", "rerun_query", "rerun_on_thread", "silent"),
    *("full", "delta", "same", "failures", "slow", "restarts"),
)


def play_one(seed: int) -> tuple[int, Counter[str], str]:
    """Play a seed; return it, the counts of what happened, and its failure, empty if none."""
    from support.oracle import play  # only in the processes that play

    try:
        with tempfile.TemporaryDirectory(prefix=f"oracle-{seed}-") as folder:
            return seed, play(seed, Path(folder)), ""
    except Exception:
        return seed, Counter(), traceback.format_exc()


def story(total: Counter[str], *, seeds: int, started: float, next_seed: int) -> str:
    """A line about what was checked so far, and what happened to live queries and clients."""
    mix = ", ".join(f"{name} {total[name]:,}" for name in MIX)
    return (
        f"{total['commits']:,} commits of {seeds:,} seeds, {total['compared']:,} answers compared"
        f" in {total['checks']:,} checks; {mix}; {time.monotonic() - started:,.0f} s;"
        f" next seed {next_seed}"
    )


@click.command()
@click.option("--commits", type=int, default=200_000, help="Check at least so many.")
@click.option("--seed", type=int, default=1, help="The first seed.")
@click.option("--processes", type=int, default=os.cpu_count(), help="How many play at a time.")
def main(commits: int, seed: int, processes: int) -> None:
    started, total, first = time.monotonic(), Counter[str](), seed
    with get_context("spawn").Pool(processes, maxtasksperchild=SEEDS_A_LINE) as pool:
        while total["commits"] < commits:
            for number, found, failure in pool.imap(play_one, range(seed, seed + SEEDS_A_LINE)):
                if failure:
                    pool.terminate()
                    click.echo(failure, err=True)
                    again = f"make oracle ORACLE_COMMITS=1 ORACLE_SEED={number}"
                    click.echo(f"seed {number} fails; to play it again: {again}", err=True)
                    raise SystemExit(1)
                total += found
                seed = number + 1
                if total["commits"] >= commits:
                    break
            told = story(total, seeds=seed - first, started=started, next_seed=seed)
            click.echo(told)
        pool.terminate()


if __name__ == "__main__":
    main()
