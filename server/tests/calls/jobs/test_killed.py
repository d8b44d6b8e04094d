"""Random histories of jobs on servers that end between any two awaits: what ran how often.

A history has a seed; what fails prints it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from support.job_histories import NAMES, add_functions, check, note
from support.job_stage import Schedule, Server, Stage
from support.seeds import seeds

GROUPS = 4
FOUND = (2005084712,)
"""Seeds of failures: a time of a cron that ran again was taken for the next one."""
LIVES_MAX = 12


TICK = Schedule(every_ms=500, missed="all")


class History:
    """One history: jobs and a cron, one or two servers that end, and what is true in the end.

    lives   how many servers began
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.random = random.Random(seed)
        self.lives = 0
        self.servers: list[Server] = []
        self.is_alone = self.random.random() < 0.6
        self.has_stalls = not self.is_alone and self.random.random() < 0.5
        # A step that stands still for longer than a lease may run beside its next try.
        self.names = [name for name in NAMES if not (self.has_stalls and name == "shop")]

    def begin(self) -> None:
        """A server, with another end than the one before; the last one lives."""
        self.lives += 1
        is_last = self.lives >= LIVES_MAX
        dies_at = 0 if is_last else self.random.choice((self.random.randint(1, 40), 0))
        is_alone = self.is_alone and self.random.random() < 0.5
        options: dict[str, Any] = {"is_alone": is_alone, "lease_ms": 3_000, "renew_ms": 1_000}
        if self.has_stalls and not is_last:
            dies_at, stalls_at = 0, self.random.randint(8, 40)
            options |= {"stalls_at": stalls_at}
        self.servers.append(self.stage.server(dies_at=dies_at, **options))

    async def play(self) -> None:
        self.begin()
        if not self.is_alone:
            self.begin()
        for _ in range(self.random.randint(2, 6)):
            name = self.random.choice(self.names)
            args = {"left": self.random.randint(0, 2), "in": self.random.choice((0, 500))}
            key = self.random.choice((None, None, f"{name} a"))
            in_ms = self.random.choice((0, 0, 300, 1_500))
            await self.stage.schedule(self.servers[0], name, args=args, in_ms=in_ms, key=key)
        for _ in range(4_000):
            for server in self.servers:
                await server.rest()
            ended = [each for each in self.servers if each.mortal.is_dead]
            stalled = [each for each in self.servers if each.mortal.is_stalled]
            if ended or self.random.random() < 0.02:
                await self.again(ended[0] if ended else self.random.choice(self.servers))
            elif stalled and (self.random.random() < 0.1 or await self.is_over()):
                await stalled[0].wake()
            elif await self.is_over():
                break
            else:
                await self.stage.runtime.pass_time(self.random.choice((10, 100, 400)))
        else:
            raise AssertionError(f"it never ended: {await self.stage.rows()}")
        for server in self.servers:
            await server.stop()
            assert server.lent == 0

    async def again(self, server: Server) -> None:
        """A server ends, and another one begins: alone on the same file, opened anew, or beside the
        other."""
        if self.lives >= LIVES_MAX and not server.mortal.is_dead:
            return
        server.kill()
        await server.rest()
        self.servers.remove(server)
        if self.is_alone:
            await self.stage.reopen()
        self.begin()

    async def is_over(self) -> bool:
        """Whether nothing is left but the next time of the cron."""
        states = ("done", "failed", "cancelled")
        left = [row for row in await self.stage.rows() if row["state"] not in states]
        return [row.get("cron") and row["state"] for row in left] == ["scheduled"]

    async def check(self) -> None:
        stage = self.stage
        rows = await stage.rows()
        waiting = [row for row in rows if row["state"] == "scheduled"]
        assert [row["function"] for row in waiting] == ["tick"], waiting
        finished = [row for row in rows if row["state"] != "scheduled"]
        check(finished, await stage.notes(), stage.effects)
        times = sorted(row["scheduledFor"] for row in rows if row["function"] == "tick")
        assert times == list(range(times[0], times[-1] + 1, 500)), "each time of the cron, once"


async def play(path: Path, seed: int) -> History:
    """Play one history; returns it after its end was checked."""
    stage = await Stage.open(path)
    try:
        add_functions(stage)
        stage.add("mutation", "tick", note, schedule=TICK)
        history = History(stage, seed)
        try:
            await history.play()
            await history.check()
        except BaseException as failure:
            failure.add_note(f"seed {seed}, {history.lives} lives")
            raise
        return history
    finally:
        await stage.database.close()


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.rule("FN361", "FN363", "FN364", "FN365", "FN381")
async def test_every_job_ran_as_often_as_it_should(tmp_path: Path, group: int) -> None:
    lives = 0
    for seed in seeds((*range(36000, 36060), *FOUND), group=group, groups=GROUPS):
        lives += (await play(tmp_path / f"{seed}.db", seed)).lives
    assert lives, "servers ended"
