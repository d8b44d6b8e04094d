"""Kills a server of hooks again and again (`make kill`), and looks what was followed how often.

Rounds of `KILLS` kills have a database each. After the last kill of a round a process follows what
is left; then the mutation has noted every item once, and the action has done every one, in order.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from itertools import groupby
from pathlib import Path

from support import hook_worker
from support.killed import Killed
from support.patience import WAIT_S

KILLS = 25
WORDS_MAX = 20
"""Said by the process between its start and its kill."""
TURNS_MAX = 300_000
"""Of an empty loop, between what was said and the kill."""


class HookKills:
    """found   kills, items, and those that an action did again"""

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
        folder = self._folder / f"hooks {self._rounds}"
        folder.mkdir()
        for _ in range(kills):
            self._kill_one(folder)
        last = Killed(hook_worker.run, folder, 0, True)
        word = ""
        while word != "over":
            assert last.pipe.poll(WAIT_S), "items are left that nothing follows"
            word = last.pipe.recv()
        last.process.join(WAIT_S)
        self._check(folder)
        shutil.rmtree(folder)

    def _kill_one(self, folder: Path) -> None:
        worker = Killed(hook_worker.run, folder, self._choices.randrange(2**32), False)
        for _ in range(self._choices.randint(0, WORDS_MAX)):
            assert worker.pipe.poll(WAIT_S), "hooks stand still"
            worker.pipe.recv()
        for _ in range(self._choices.randrange(TURNS_MAX)):
            pass
        worker.kill()
        self.found["kills"] += 1

    def _check(self, folder: Path) -> None:
        items, notes = asyncio.run(hook_worker.found(folder))
        assert notes == items, "the mutation: once for each"
        outside = folder / "outside"
        lines = outside.read_text().splitlines() if outside.exists() else []
        once = [line for line, _ in groupby(lines)]
        assert sorted(once) == items, "the action: each at least once, again only at a kill"
        self.found["items"] += len(items)
        self.found["again"] += len(lines) - len(items)
