"""Random histories of hooks on servers that end between any two awaits: what ran how often.

A history has a seed; what fails prints it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from support.hook_histories import Model, add_hooks, check
from support.hook_stage import HookServer, HookStage
from support.seeds import seeds
from trice.runtime import new_uuid

GROUPS = 2
LIVES_MAX = 10


class History:
    """One history.

    lives   how many servers began
    """

    def __init__(self, stage: HookStage, seed: int) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.model = Model(self.random, lambda: new_uuid(stage.runtime))
        self.lives = 0
        self.server = self.begin(is_first=True)

    def begin(self, *, is_first: bool = False) -> HookServer:
        self.lives += 1
        is_mortal = not is_first and self.lives < LIVES_MAX
        dies_at = self.random.randint(1, 60) if is_mortal else 0
        return self.stage.hook_server(dies_at=dies_at)

    async def play(self) -> None:
        await self.server.rest()  # the hooks have places: they follow from now on
        commits = self.random.randint(5, 25)
        for _ in range(4_000):
            if commits and self.random.random() < 0.5:
                commits -= 1
                await self.commit(self.model.steps())
            await self.server.rest()
            if self.server.mortal.is_dead or self.random.random() < 0.05:
                await self.again()
            elif not commits and not self.server.is_behind:
                break
            else:
                await self.stage.runtime.pass_time(self.random.choice((10, 500, 3_000)))
        else:
            raise AssertionError(f"it never ended: {await self.stage.hook_rows()}")
        await self.server.stop()
        assert self.server.lent == 0
        check(self.model, self.stage.order, self.stage.effects)

    async def commit(self, steps: list[Any]) -> None:
        await self.stage.database.change(lambda change: change.write(*steps))

    async def again(self) -> None:
        """The server ends, and another one begins on the same file, opened anew."""
        if self.lives >= LIVES_MAX and not self.server.mortal.is_dead:
            return
        self.server.kill()
        await self.server.rest()
        await self.stage.reopen()
        self.server = self.begin()


async def play(path: Path, seed: int) -> History:
    """Play one history; returns it after its end was checked."""
    stage = await HookStage.open(path)
    try:
        add_hooks(stage, random.Random(-seed))
        history = History(stage, seed)
        try:
            await history.play()
        except BaseException as failure:
            failure.add_note(f"seed {seed}, {history.lives} lives")
            raise
        return history
    finally:
        await stage.database.close()


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.rule("FN550", "FN551", "FN552")
async def test_every_change_was_followed_as_often_as_it_should(tmp_path: Path, group: int) -> None:
    lives = 0
    for seed in seeds(range(55000, 55008), group=group, groups=GROUPS):
        lives += (await play(tmp_path / f"{seed}.db", seed)).lives
    assert lives > 4, "servers ended"
