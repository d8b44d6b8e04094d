"""Channels: made and joined by users."""

from __future__ import annotations

from typing import Annotated

from functions.messages import MessageView, send

from schema import Channel, Db, Message, User
from trice.functions import (
    Action,
    Id,
    Mutation,
    Query,
    Sub,
    View,
    action,
    internal,
    mutation,
    query,
)

LIMIT_S = 30


class MemberView(View[User]):
    id: Id[User]
    nickname: str | None


class ChannelView(View[Channel]):
    id: Id[Channel]
    title: str
    sent: int | None
    members: list[MemberView]


class ChannelWithMessages(View[Channel]):
    id: Id[Channel]
    title: str
    messages: Annotated[list[MessageView], Sub(order={"sent_at": "desc"}, limit=10)]


@query
async def all_of_them(ctx: Query[Db]) -> list[ChannelView]:
    """Every channel with its members."""
    return await ctx.db.channels.find(ChannelView, order={"title": "asc"})


@query
async def with_messages(ctx: Query[Db], channel: Id[Channel]) -> ChannelWithMessages | None:
    """A channel with its newest messages."""
    return await ctx.db.channels.get(channel, ChannelWithMessages)


@mutation(auth="user")
async def create(ctx: Mutation[Db], title: str) -> Id[Channel]:
    """Make a channel; the caller is its first member."""
    return ctx.db.channels.create(title=title, members=[ctx.me.id])


@mutation(auth="user")
async def join(ctx: Mutation[Db], channel: Id[Channel]) -> None:
    """Become a member."""
    ctx.db.channels.link(channel, members=ctx.me.id)


@mutation(auth="user")
async def welcome(ctx: Mutation[Db], title: str) -> Id[Message]:
    """Make a channel with a first message, in one transaction."""
    channel = await ctx.run(create, title)
    return await ctx.run(send, channel, "Welcome!")


@internal.mutation
async def rename(ctx: Mutation[Db], channel: Id[Channel], title: str) -> None:
    """Called by other functions and admins only."""
    ctx.db.channels.update(channel, title=title)


@action(timeout=LIMIT_S)
async def tidy(ctx: Action[Db], channel: Id[Channel]) -> str:
    """Rename a channel to what it is called, in capitals."""
    found = await ctx.run(with_messages, channel)
    if found is None:
        return "gone"
    await ctx.run(rename, channel, found.title.upper())
    return found.title.upper()
