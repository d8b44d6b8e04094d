"""Functions that schedule each other."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from schema import Db
from trice.functions import (
    Action,
    FunctionError,
    Mutation,
    Query,
    Retry,
    action,
    cron,
    days,
    every,
    internal,
    minutes,
    mutation,
    query,
    seconds,
)

DONE: list[str] = []
"""What actions did outside of the database."""


@query
async def notes(ctx: Query[Db]) -> list[str]:
    """All notes."""
    return sorted(note.text for note in await ctx.db.notes.find(limit=1000))


@internal.mutation
async def note(ctx: Mutation[Db], text: str) -> None:
    """Write one."""
    ctx.db.notes.create(text=text)


@mutation
async def plan(ctx: Mutation[Db], text: str, key: str | None = None, keep: bool = False) -> str:
    """Schedule a note."""
    if_exists: Any = "keep" if keep else "replace"
    return ctx.later(seconds(5), key=key, if_exists=if_exists).run(note, text)


@mutation
async def plan_within(ctx: Mutation[Db]) -> None:
    """A mutation inside of it fails: what that scheduled is gone."""
    try:
        await ctx.run(plan_and_fail)
    except FunctionError:
        ctx.later().run(note, text="after")


@mutation
async def plan_and_fail(ctx: Mutation[Db]) -> None:
    ctx.later().run(note, text="never")
    raise FunctionError("no")


@mutation
async def plan_many(ctx: Mutation[Db], count: int) -> None:
    for number in range(count):
        ctx.later(days(1)).run(note, f"{number}")


@action
async def act_and_plan(ctx: Action[Db]) -> None:
    """An action schedules in a transaction of its own."""
    await ctx.later(timedelta(0)).run(note, "from an action")


@action
async def step_outside(ctx: Action[Db]) -> None:
    await ctx.step("one", charge)


async def charge() -> datetime:
    DONE.append("charged")
    return datetime.fromisoformat("2026-01-02T03:04:05.678+00:00")


def pack(count: int) -> dict[str, int]:
    DONE.append("packed")
    return {"count": count}


@internal.action(retry=Retry(times=3))
async def order(ctx: Action[Db]) -> list[Any]:
    """Steps, of every kind."""
    DONE.append("begun")
    when = await ctx.step("charge", charge, once=True)
    assert isinstance(when, datetime)
    await ctx.sleep(days(3))
    packed = await ctx.step("pack", pack, count=2)
    await ctx.step("note", note, f"packed {packed['count']}")
    if DONE.count("begun") < 3:
        raise FunctionError("again")
    return [when, packed, ctx.scheduled_for]


@mutation
async def plan_order(ctx: Mutation[Db]) -> str:
    return ctx.later().run(order)


@cron("0 2 * * *", tz="Europe/Berlin")
async def sweep(ctx: Mutation[Db]) -> None:
    ctx.db.notes.create(text=f"swept {ctx.scheduled_for.isoformat()}")


@every(minutes(5))
async def poll(ctx: Action[Db]) -> None:
    DONE.append(f"polled {ctx.scheduled_for.isoformat()}")
