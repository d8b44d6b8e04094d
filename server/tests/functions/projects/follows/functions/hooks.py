"""Functions that follow changes. Texts of messages say what is to happen."""

from __future__ import annotations

import asyncio
from typing import Any

from schema import Author, Db, Message, Tag
from trice.functions import Action, Change, Mutation, Query, internal, mutation, on_change, query

DONE: list[Any] = []
"""What actions did outside of the database."""

FAILS: set[str] = set()
"""Texts of messages for which hooks fail."""

GATES: dict[str, asyncio.Event] = {}
"""What an action waits for, by the text of the message."""


@on_change(Message, create=True)
async def counted(ctx: Mutation[Db], change: Change[Message]) -> None:
    """Once for each message, in order."""
    assert change.before is None and change.after is not None
    if change.after.text in FAILS:
        raise ValueError(f"no {change.after.text}")
    number = await ctx.db.seen.count({"what": "counted"})
    ctx.db.seen.create(what="counted", number=number, key=change.id)


@on_change(Message, create=True, update=["text"], delete=True)
async def told(ctx: Action[Db], change: Change[Message]) -> None:
    """At least once for each change of a text, in order."""
    row = change.after if change.after is not None else change.before
    assert row is not None
    if row.text in GATES:
        await GATES[row.text].wait()
    if row.text in FAILS:
        raise ValueError(f"no {row.text}")
    DONE.append((change.kind, row.text))


@on_change(Message, update=True)
async def echoed(ctx: Mutation[Db], change: Change[Message]) -> None:
    """It writes what it follows, and never sees that."""
    assert change.before is not None and change.after is not None
    if "likes" in change.changed:
        likes = change.after.likes or 0
        ctx.db.messages.update(change.id, likes=likes + 1)
    if "author" in change.changed:
        before, after = change.before.author, change.after.author
        name = "nobody" if after is None else str(after.id)
        was = "nobody" if before is None else str(before.id)
        ctx.db.seen.create(what=f"{was} then {name}", number=change.tx)


@on_change(Tag, create=True, stop=True)
async def strict(ctx: Action[Db], change: Change[Tag]) -> None:
    """It waits at what fails."""
    assert change.after is not None
    if change.after.name in FAILS:
        raise ValueError("no")
    DONE.append(change.after.name)


@on_change(Author, create=True)
async def greeted(ctx: Action[Db], change: Change[Author]) -> None:
    """Writes authors by a function that it runs."""
    assert change.after is not None
    DONE.append(f"author {change.after.name}")
    await ctx.run(add_author, f"{change.after.name}'s friend")


@internal.mutation
async def add_author(ctx: Mutation[Db], name: str) -> None:
    """An author."""
    ctx.db.authors.create(name=name)


@mutation
async def send(ctx: Mutation[Db], text: str) -> str:
    """A message."""
    return ctx.db.messages.create(text=text)


@query
async def seen(ctx: Query[Db]) -> list[str]:
    """What was seen."""
    rows = await ctx.db.seen.find(order={"number": "asc"}, limit=1000)
    return [row.what for row in rows]
