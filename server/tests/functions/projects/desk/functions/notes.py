"""A function runs what a test gives it: `DO` is replaced by tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Annotated, Any

from schema import Db, Note, State, Tag, User
from trice.functions import (
    Action,
    FunctionError,
    Id,
    Mutation,
    Query,
    Sub,
    View,
    action,
    mutation,
    query,
)

DO: dict[str, Callable[[Any], Awaitable[Any]]] = {}


class TagView(View[Tag]):
    word: str


class OwnerView(View[User]):
    id: Id[User]
    first_name: str | None


class NoteView(View[Note]):
    id: Id[Note]
    text: str
    made_at: datetime
    owner: OwnerView | None
    tags: Annotated[
        list[TagView], Sub(where={"word": {"$ne": "b"}}, order={"word": "desc"}, limit=2)
    ]


class DatesView(View[Note]):
    made_at: datetime
    due: date | None


class BornView(View[Note]):
    text: str
    created_at: datetime


class JoinedView(View[User]):
    joined: datetime | None


class OwnerNotes(View[User]):
    notes: list[NoteView]


@query
async def look(ctx: Query[Db, User]) -> Any:
    return await DO["query"](ctx)


@query
async def all_views(ctx: Query[Db, User]) -> tuple[NoteView, OwnerNotes, DatesView] | None:
    """Names the views, so that loading checks them."""
    return None


@query
async def rows(ctx: Query[Db, User]) -> list[Note]:
    return await ctx.db.notes.find(order={"made_at": "asc"})


@mutation
async def change(ctx: Mutation[Db, User]) -> Any:
    return await DO["mutation"](ctx)


@mutation
async def refused(ctx: Mutation[Db, User], text: str) -> None:
    ctx.db.notes.create(text=text)
    raise FunctionError("refused", "No.", data={"state": State.OPEN})


@mutation
async def deeper(ctx: Mutation[Db, User], depth: int) -> int:
    return 1 + await ctx.run(deeper, depth - 1) if depth else 0


@action
async def act(ctx: Action[Db, User]) -> Any:
    return await DO["action"](ctx)
