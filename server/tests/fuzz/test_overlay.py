"""Random writes of functions over random data: what a run reads of its own writes is what everybody
reads once they are committed.

A failure names its seed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.aggregates import random_aggregate
from support.function_steps import random_steps
from support.queries import cut_by_hand, random_query, with_cuts
from support.ruled_world import RuledWorld, random_document
from support.seeds import seeds
from support.world import make_world
from trice.data_run import DataRun
from trice.errors import TriceError
from trice.identity import ADMIN, Identity

GROUPS = 4
Asked = tuple[Any, Identity]


class Story:
    """One world with runs; counts what happened, so that a test sees that something did."""

    def __init__(self, ruled: RuledWorld) -> None:
        self.ruled = ruled
        self.world = ruled.world
        self.compared = self.refused = self.undone = self.cut = 0

    async def answer(self, asked: Asked, run: DataRun | None) -> Any:
        """An answer, of the run or of everybody; a refusal is an answer too."""
        query, identity = asked
        try:
            if run is not None:
                return orjson.loads(await run.read(query, identity=identity))
            database = self.ruled.database
            whole = orjson.loads(
                await database.query_nested(query, identity=identity, is_inferring=True)
            )
            found = cut_by_hand(query, whole)
            self.cut += found != whole
            return found
        except TriceError as failure:
            return failure.code

    def ask(self) -> Asked:
        draw = self.world.random
        if draw.random() < 0.2:
            return random_aggregate(self.world), ADMIN
        query = random_query(self.world, {})
        if draw.random() < 0.5:
            query = with_cuts(self.world, query)
        return query, draw.choice((ADMIN, ADMIN, *self.ruled.callers))

    async def play(self) -> None:
        """One run: drafts, reads between, savepoints; then the same questions after its commit."""
        runtime, draw = self.ruled.runtime, self.world.random
        runtime.now += 1
        run = await DataRun.begin(self.ruled.database)
        randomness = runtime.randomness()
        depth, fault = 0, None
        for _ in range(draw.choice((1, 2, 3, 4))):
            if depth < 2 and draw.random() < 0.3:
                run.sub()
                depth += 1
            run.draft(random_steps(self.world))
            if depth and draw.random() < 0.5:
                is_kept = draw.random() < 0.5
                if not is_kept:
                    # What the snapshot had of it may have made ids; they are not made again.
                    self.undone += 1
                run.sub_end(is_kept)
                depth -= 1
            if draw.random() < 0.6:
                await self.answer(self.ask(), run)
        for _ in range(depth):
            run.sub_end(True)
        asked = [self.ask() for _ in range(5)]
        try:
            await run.read({})
        except TriceError as failure:
            fault = failure.code
        own = [await self.answer(one, run) for one in asked]
        runtime.draw_again(randomness)
        await self.compare(run, fault, asked, own)

    async def compare(
        self, run: DataRun, fault: str | None, asked: list[Asked], own: list[Any]
    ) -> None:
        committed = None
        try:
            await run.commit(function="a.b", identity_name="admin", value=b"null")
        except TriceError as failure:
            committed = failure
        if committed is not None or fault is not None:
            self.refused += 1
            is_lacking = committed is not None and "Missing required" in committed.message
            code = committed.code if committed is not None else None
            assert fault == code or (is_lacking and fault is None), (self.world.seed, fault, code)
            return
        for one, before in zip(asked, own, strict=True):
            after = await self.answer(one, None)
            story = f"seed {self.world.seed}: {orjson.dumps(one[0]).decode()} {one[1].name}"
            assert before == after, story
            self.compared += 1


async def history(seed: int, path: Path) -> Story:
    story = Story(await RuledWorld.open(make_world(seed), path))
    try:
        story.ruled.set_rules(random_document(story.world))
        for _ in range(14):
            await story.play()
    finally:
        await story.ruled.database.close()
    return story


@pytest.mark.rule("FN5", "FN6", "FN740")
@pytest.mark.parametrize("group", range(GROUPS))
def test_own_writes_read_as_they_are_once_committed(group: int, tmp_path: Path) -> None:
    compared = refused = undone = cut = 0
    for seed in seeds(range(24), group=group, groups=GROUPS):
        story = asyncio.run(history(seed, tmp_path / f"{seed}.db"))
        compared += story.compared
        refused += story.refused
        undone += story.undone
        cut += story.cut
    assert compared > 0 and refused > 0 and undone > 0 and cut > 0
