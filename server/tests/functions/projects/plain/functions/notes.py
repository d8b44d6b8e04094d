"""Plain functions, and async ones that call them and are called."""

from __future__ import annotations

import threading

from schema import Db, Note, User
from trice.functions import FunctionError, Id, action, mutation, query
from trice.functions import Mutation as AsyncMutation
from trice.functions import Query as AsyncQuery
from trice.sync import Action, Mutation, Query, Reader


def _find(ctx: Reader[Db], text: str) -> Note | None:
    return ctx.db.notes.lookup(text=text)


@query
def texts(ctx: Query[Db]) -> list[str]:
    return [each.text for each in ctx.db.notes.find(order={"text": "asc"})]


@query
async def count(ctx: AsyncQuery[Db]) -> int:
    return await ctx.db.notes.count()


@query
def asks(ctx: Query[Db, User]) -> tuple[int, int, list[str], str | None]:
    """Every way of asking."""
    counted = ctx.run(count)
    also = count(ctx)
    nickname = None if ctx.user is None else ctx.user.nickname
    ctx.db.as_caller().notes.count()
    ctx.db.query({"notes": {}})
    return counted, also, ctx.run(texts), nickname


@mutation
def add(ctx: Mutation[Db], text: str) -> Id[Note]:
    if not text:
        raise FunctionError("empty", "Say something.", data={"text": text})
    made = ctx.db.notes.create(text=text)
    found = _find(ctx, text)
    assert found is not None and found.id == made and ctx.now and ctx.random.random() < 1
    return made


@mutation
async def add_two(ctx: AsyncMutation[Db], text: str, other: str) -> list[int]:
    """An async one that runs plain ones, which run async ones."""
    await ctx.run(add, text)
    try:
        await ctx.run(add, "")
    except FunctionError as failure:
        assert failure.code == "empty"
    await ctx.run(nested, other)
    return [await ctx.run(count), len(await ctx.run(texts))]


@mutation
def nested(ctx: Mutation[Db], text: str) -> None:
    """On one thread, however deep."""
    before = threading.get_ident()
    ctx.run(again, text, 3)
    assert threading.get_ident() == before


@mutation
async def again(ctx: AsyncMutation[Db], text: str, depth: int) -> None:
    if depth:
        await ctx.run(deeper, text, depth)
    else:
        await ctx.run(add, text)


@mutation
def deeper(ctx: Mutation[Db], text: str, depth: int) -> None:
    ctx.run(again, text, depth - 1)


@action
def acts(ctx: Action[Db], text: str) -> list[str]:
    ctx.run(add, text)
    return ctx.run(texts)


@query
def fails(ctx: Query[Db]) -> None:
    raise StopIteration("by nothing")


@query
def leaks(ctx: Query[Db]) -> str:
    """Another thread uses the ctx."""
    told: list[str] = []

    def ask() -> None:
        try:
            ctx.db.notes.count()
        except RuntimeError as failure:
            told.append(str(failure))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return told[0]


@query
def spins(ctx: Query[Db]) -> None:
    while True:
        pass


@query
def stays(ctx: Query[Db]) -> None:
    """Goes on although it is told to end."""
    while True:
        try:
            ctx.db.notes.count()
        except BaseException:
            continue


@query
def prints(ctx: Query[Db], lines: int) -> None:
    for number in range(lines):
        print(f"line {number}")  # noqa: T201
        ctx.db.notes.count()
