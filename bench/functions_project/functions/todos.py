"""What the bench calls."""

from __future__ import annotations

import asyncio
import os
import time

from schema import Db, Todo
from trice.functions import Mutation, Query, internal, mutation, query
from trice.schema import Id, View

RUNS = 0
"""Runs of `labelled` in this process."""


class TodoView(View[Todo]):
    id: Id[Todo]
    title: str | None
    done: bool | None
    priority: float | None
    label: str | None


@query
async def labelled(ctx: Query[Db], label: str) -> list[TodoView]:
    """The todos with one label."""
    global RUNS
    RUNS += 1
    return await ctx.db.todos.find(TodoView, where={"label": label}, limit=100)


@query
async def thousand(ctx: Query[Db], label: str) -> list[TodoView]:
    """Up to a thousand todos with one label."""
    return await ctx.db.todos.find(TodoView, where={"label": label}, limit=1_000)


@query
async def runs(ctx: Query[Db]) -> list[int]:
    """The process that this runs in, and the runs of `labelled` there."""
    return [os.getpid(), RUNS]


@mutation
async def touch(ctx: Mutation[Db], todo: Id[Todo]) -> float:
    """Read one todo and write it: one more."""
    found = await ctx.db.todos.get(todo)
    number = (found.priority or 0) + 1
    ctx.db.todos.update(todo, priority=number)
    return number


@mutation
async def count(ctx: Mutation[Db], todo: Id[Todo]) -> None:
    """One more, without reading."""
    ctx.db.todos.increment(todo, priority=1)


@mutation
async def linger(ctx: Mutation[Db], todo: Id[Todo], seconds: float) -> None:
    """Read, wait, write."""
    await ctx.db.todos.get(todo)
    await asyncio.sleep(seconds)
    ctx.db.todos.update(todo, title="lingered")


@internal.mutation
async def note(ctx: Mutation[Db], label: str) -> None:
    """Write when this began, by the clock of the machine."""
    ctx.db.todos.create(title="note", priority=time.time() * 1000, label=label)


@mutation
async def plan(ctx: Mutation[Db], label: str) -> None:
    """Have `note` run now."""
    ctx.later().run(note, label)
