"""Kill processes at random moments and look what is left (`make kill`).

Files: a server is killed while files are uploaded, replaced, moved and deleted, one kill a round.
Streams: a writer, a reader or the server is killed, half as often. Jobs: what runs them is killed,
as often as for files. Hooks: what follows changes is killed, half as often. At a failure it stops
and prints the seed. What happens when is not in the seed, so a failure may need several runs to
come again. The data is in TMPDIR, and what a failure left stays there.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server" / "tests"))

from support.kill_files import FileKills
from support.kill_hooks import HookKills
from support.kill_jobs import JobKills
from support.kill_streams import StreamKills

KILLS_A_LINE = 50


def run(name: str, kills: int, seed: int, play: Callable[[int], None], found: Counter[str]) -> bool:
    """Play so many kills, with a line now and then; return whether all went well."""
    started = time.monotonic()
    is_well = True
    for done in range(0, kills, KILLS_A_LINE):
        try:
            play(min(KILLS_A_LINE, kills - done))
        except Exception:
            click.echo(traceback.format_exc(), err=True)
            is_well = False
        counts = ", ".join(f"{what} {count:,}" for what, count in sorted(found.items()))
        click.echo(f"{name}, seed {seed}: {counts}; {time.monotonic() - started:,.0f} s")
        if not is_well:
            break
    return is_well


@click.command()
@click.option(
    *("--rounds",),
    type=int,
    default=1_000,
    help="Kills for files and jobs; half for streams and hooks.",
)
@click.option("--seed", type=int, help="Of what is done and who is killed.")
@click.option(
    "--only", type=click.Choice(("files", "streams", "jobs", "hooks")), help="Play one of them."
)
def main(rounds: int, seed: int | None, only: str | None) -> None:
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    is_well = True
    if only in (None, "files"):
        (folder / "files").mkdir()
        files = FileKills(folder / "files", seed)
        with asyncio.Runner() as runner:
            is_well = run("files", rounds, seed, lambda n: runner.run(files.play(n)), files.found)
    if only in (None, "streams"):
        (folder / "streams").mkdir()
        streams = StreamKills(folder / "streams", seed)
        is_well &= run("streams", (rounds + 1) // 2, seed, streams.play, streams.found)
    if only in (None, "jobs"):
        (folder / "jobs").mkdir()
        jobs = JobKills(folder / "jobs", seed)
        is_well &= run("jobs", rounds, seed, jobs.play, jobs.found)
    if only in (None, "hooks"):
        (folder / "hooks").mkdir()
        hooks = HookKills(folder / "hooks", seed)
        is_well &= run("hooks", (rounds + 1) // 2, seed, hooks.play, hooks.found)
    if not is_well:
        click.echo(f"What the server had and logged is in {folder}.", err=True)
        raise SystemExit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
