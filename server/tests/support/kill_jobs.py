"""Kills a server of jobs again and again (`make kill`), and looks what ran how often.

Rounds of `KILLS` kills have a database each. After the last kill of a round a process finishes what
is left; then every job of a mutation has run once, and every one of an action as it says.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from pathlib import Path

from support import job_worker
from support.job_histories import check
from support.job_stage import Stage
from support.killed import Killed
from support.patience import WAIT_S
from trice.runtime import SystemRuntime

KILLS = 25
WORDS_MAX = 12
"""Said by the process between its start and its kill."""
TURNS_MAX = 300_000
"""Of an empty loop, between what was said and the kill."""


class JobKills:
    """found   kills, and jobs by function and state"""

    def __init__(self, folder: Path, seed: int) -> None:
        self.found = Counter[str]()
        self._folder = folder
        self._choices = random.Random(seed)
        self._rounds = 0

    def play(self, kills: int) -> None:
        """Kill so many times; raises AssertionError at what must not be."""
        while kills > 0:
            self._play_round(min(kills, KILLS))
            kills -= KILLS

    def _play_round(self, kills: int) -> None:
        self._rounds += 1
        folder = self._folder / f"{self._rounds}"
        folder.mkdir()
        for _ in range(kills):
            self._kill_one(folder)
        last = Killed(job_worker.run, folder, 0, True)
        word = ""
        while word != "over":
            assert last.pipe.poll(WAIT_S), "jobs are left that nothing finishes"
            word = last.pipe.recv()
        last.process.join(WAIT_S)
        self.found += asyncio.run(_check(folder))
        shutil.rmtree(folder)

    def _kill_one(self, folder: Path) -> None:
        worker = Killed(job_worker.run, folder, self._choices.randrange(2**32), False)
        for _ in range(self._choices.randint(0, WORDS_MAX)):
            assert worker.pipe.poll(WAIT_S), "jobs stand still"
            worker.pipe.recv()
        for _ in range(self._choices.randrange(TURNS_MAX)):
            pass
        worker.kill()
        self.found["kills"] += 1


async def _check(folder: Path) -> Counter[str]:
    stage = await Stage.open(folder / "app.db", SystemRuntime())
    try:
        outside = folder / "outside"
        lines = outside.read_text().splitlines() if outside.exists() else []
        return check(await stage.rows(), await stage.notes(), lines)
    finally:
        await stage.database.close()
