"""Watched functions against fresh calls: after every commit each watcher was told what a call by
the same caller returns now, whole or as what changed in what it holds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.called_functions import Ctx, FunctionRaised
from support.seeds import seeds
from support.watched_calls import IDS, USERS, Stage, Watcher, user, watched_calls
from trice.errors import TriceError
from trice.identity import ADMIN, GUEST
from trice.rules.document import Rules

RULES = {
    "todos": {"allow": {"view": "data.room == 0 || auth.id in data.ref('owner.id')"}},
}
CALLERS = (
    *(user(number, ip=f"10.0.0.{number % 2}") for number in range(4)),
    GUEST,
    ADMIN,
)
ROLES = ("user", "admin", None)
FUZZ_SEEDS = tuple(range(24))


async def everything(ctx: Ctx) -> Any:
    return sorted(row["id"] for row in await ctx.find("todos"))


async def in_room(ctx: Ctx) -> Any:
    rows = await ctx.find("todos", where={"room": ctx.args.get("room", 0)}, order={"title": "asc"})
    return [row.get("title") for row in rows]


async def by_role(ctx: Ctx) -> Any:
    """Looks at one attr of its caller, and only then at its id."""
    if not ctx.is_signed_in():
        return "guest"
    if ctx.user("role") == "admin":
        return len(await ctx.find("todos"))
    mine = ctx.user("id")
    return [row.get("title") for row in await ctx.find("todos", where={"owner": mine})]


async def as_caller(ctx: Ctx) -> Any:
    return sorted(row["id"] for row in await ctx.find("todos", as_caller=True))


async def picky(ctx: Ctx) -> Any:
    """Fails, or looks further, by what it finds."""
    found = await ctx.find("todos", where={"done": True})
    if len(found) > 2:
        raise FunctionRaised("too-many", "Too many.", {"count": len(found)})
    if len(found) == 1:
        return [ctx.user("nickname"), ctx.ip()]
    return [len(found), len(await ctx.find("notes"))]


async def chained(ctx: Ctx) -> Any:
    """What it asks next depends on what it found."""
    (first, *_) = await ctx.find("todos", order={"title": "asc"}, limit=1) or [None]
    if first is None:
        return None
    return [row.get("title") for row in await ctx.find("todos", where={"room": first.get("room")})]


async def crowded(ctx: Ctx) -> Any:
    """Others commit while it runs: all it reads is one state even so."""
    todos = sorted(row["id"] for row in await ctx.find("todos"))
    await WORLDS[-1].pause()
    again = sorted(row["id"] for row in await ctx.find("todos", where={"id": {"$in": [*IDS[:8]]}}))
    await WORLDS[-1].pause()
    notes = [row.get("text") for row in await ctx.find("notes", order={"serverCreatedAt": "asc"})]
    return [todos == again, todos, notes, ctx.user("role")]


async def rows_by_role(ctx: Ctx) -> Any:
    """Rows, other ones for other roles, inside of something else."""
    where = {} if ctx.user("role") == "admin" else {"room": 0}
    rows = await ctx.find("todos", where=where, order={"title": "asc"})
    return {"all": {"items": rows}, "count": len(rows) // 3}


async def own_rows(ctx: Ctx) -> Any:
    """Rows that the caller may see, twice; fails while there are none."""
    rows = await ctx.find("todos", order={"title": "desc"}, as_caller=True)
    if not rows:
        raise FunctionRaised("none", "There are none.")
    if len(rows) == 5:
        return [*rows, rows[0]]
    return rows


FUNCTIONS = (
    *(everything, in_room, by_role, as_caller, picky, chained, crowded),
    *(rows_by_role, own_rows),
)
LISTS = {rows_by_role: ("all.items",), own_rows: ("",), everything: ("",)}
WORLDS: list[World] = []
"""The world that is played."""


async def everything_else(ctx: Ctx) -> Any:
    """What is deployed in place of `everything`."""
    return sorted(row.get("title") or "" for row in await ctx.find("todos"))


class World:
    """Random commits, and watchers who come and go."""

    def __init__(self, stage: Stage, draw: random.Random) -> None:
        self.stage = stage
        self.draw = draw
        self.watchers: list[tuple[str, dict[str, Any], Watcher]] = []
        self.pauses = 0

    async def pause(self) -> None:
        """In the middle of a run: perhaps somebody commits, a few times between two checks."""
        if self.pauses and self.draw.random() < 0.5:
            self.pauses -= 1
            await self.stage.write(self.step())
            if self.draw.random() < 0.5:
                await self.stage.app.database.live.settled()

    def step(self) -> list[Any]:
        draw = self.draw
        entity = IDS[draw.randrange(8)]
        match draw.randrange(8):
            case 0:
                return ["delete", "todos", entity]
            case 1:
                return ["update", "notes", IDS[draw.randrange(3)], {"text": str(draw.randrange(3))}]
            case 2:
                number = draw.randrange(4)
                return ["update", "$users", USERS[number], {"role": draw.choice(ROLES)}]
            case 3:
                number = draw.randrange(4)
                return ["update", "$users", USERS[number], {"nickname": str(draw.randrange(2))}]
            case 4:
                return ["link", "todos", entity, {"owner": USERS[draw.randrange(4)]}]
            case _:
                values = {
                    "title": f"t{draw.randrange(4)}",
                    "room": draw.randrange(2),
                    "done": draw.random() < 0.5,
                }
                label = draw.choice(list(values))
                return ["update", "todos", entity, {label: values[label]}]

    def come_or_go(self) -> None:
        draw = self.draw
        if len(self.watchers) > 12:
            *_, watcher = self.watchers.pop(draw.randrange(len(self.watchers)))
            watcher.stop()
            return
        function = draw.choice(FUNCTIONS)
        args = {"room": draw.randrange(2)} if function is in_room else {}
        name = f"t.{function.__name__}"
        has_deltas = draw.random() < 0.7
        watcher = self.stage.watch(name, draw.choice(CALLERS), has_deltas=has_deltas, **args)
        self.watchers.append((name, args, watcher))

    async def check(self) -> None:
        await self.stage.quiet()
        self.pauses = 0
        for name, args, watcher in self.watchers:
            try:
                result = await self.stage.functions.call(
                    *(self.stage.app, name, orjson.dumps(args)), identity=watcher.identity
                )
                expected = orjson.loads(result.value)
            except TriceError as failure:
                expected = failure.code
            assert watcher.told, (name, args, watcher.identity)
            assert watcher.told[-1] == expected, (name, args, watcher.identity)
            if name == "t.crowded":
                assert all(told[0] for told in watcher.told), watcher.told
            assert all(
                one != next_one or one == "function-error"
                for one, next_one in zip(watcher.told, watcher.told[1:], strict=False)
            ), (name, watcher.told)


def steps_of(world: World) -> list[Any]:
    return [world.step() for _ in range(world.draw.randrange(1, 4))]


@pytest.mark.rule("FN249", "FN590")
@pytest.mark.parametrize("group", range(4))
async def test_watchers_are_told_what_a_call_returns(tmp_path: Path, group: int) -> None:
    changes = 0
    for seed in seeds(FUZZ_SEEDS, group=group, groups=4):
        async with watched_calls(tmp_path / str(seed)) as stage:
            changes += await play(stage, random.Random(seed))
    assert changes > 10


async def play(stage: Stage, draw: random.Random) -> int:
    """Returns how often a watcher was told what changed in place of a value."""
    app = stage.app
    app.database.set_rules(Rules.parse(RULES))
    for function in FUNCTIONS:
        stage.project.add(function, lists=LISTS.get(function, ()))
    stage.project.deploy(app.id)
    await stage.write(*(["update", "$users", each, {"role": "user"}] for each in USERS[:4]))
    world = World(stage, draw)
    WORLDS[:] = [world]
    for number in range(25):
        world.pauses = 3
        world.come_or_go()
        if number in (9, 17):
            stage.project.add(everything_else if number == 9 else everything, "t.everything")
            stage.project.deploy(app.id)
        for _ in range(draw.randrange(1, 3)):
            await stage.write(*steps_of(world))
        if draw.random() < 0.3:
            world.come_or_go()
        await world.check()
    ran, tx = len(stage.project.requests), app.database.tx
    await stage.quiet()
    assert (len(stage.project.requests), app.database.tx) == (ran, tx)
    changes = sum(watcher.changes or 0 for *_, watcher in world.watchers)
    for *_, watcher in world.watchers:
        watcher.stop()
    assert (len(stage.live), app.database.live_queries) == (0, 0)
    return changes
