"""Messages of a channel: sent by its members, read by whoever is signed in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from schema import Channel, Db, Kind, Message, User
from trice.functions import (
    FunctionError,
    Id,
    Le,
    MaxLen,
    Mutation,
    Page,
    Paged,
    Query,
    View,
    mutation,
    query,
)


class AuthorView(View[User]):
    id: Id[User]
    nickname: str | None


class MessageView(View[Message]):
    id: Id[Message]
    text: str
    kind: Kind
    sent_at: datetime
    author: AuthorView | None


@query(auth="user")
async def recent(
    ctx: Query[Db], channel: Id[Channel], limit: Annotated[int, Le(100)] = 50
) -> list[MessageView]:
    """The newest messages of a channel, newest first."""
    return await ctx.db.messages.find(
        MessageView, where={"channel": channel}, order={"sent_at": "desc"}, limit=limit
    )


@query
async def history(ctx: Query[Db], channel: Id[Channel], page: Paged) -> Page[MessageView]:
    """All messages of a channel, a page at a time."""
    return await ctx.db.messages.page(
        page, MessageView, where={"channel": channel}, order={"sent_at": "desc"}
    )


@mutation(auth="user", rate="10/minute per user")
async def send(
    ctx: Mutation[Db], channel: Id[Channel], text: Annotated[str, MaxLen(4000)]
) -> Id[Message]:
    """Send a message to a channel that the caller is a member of."""
    if not await ctx.db.channels.exists({"id": channel, "members": ctx.me.id}):
        raise FunctionError("not-a-member", "Join the channel first.", data={"channel": channel})
    message = ctx.db.messages.create(text=text, sent_at=ctx.now, channel=channel, author=ctx.me.id)
    ctx.db.channels.increment(channel, sent=1)
    return message


@mutation(auth="user")
async def edit(ctx: Mutation[Db], message: Id[Message], text: str) -> None:
    """Change the text of a message that the caller wrote."""
    found = await ctx.db.messages.get(message)
    if found is None or found.author is None or found.author.id != ctx.me.id:
        raise FunctionError("not-yours", "Only its author may edit a message.", status=403)
    ctx.db.messages.update(message, text=text)


@mutation(auth="user", also="messages.delete")
async def remove(ctx: Mutation[Db], message: Id[Message]) -> None:
    """Delete a message."""
    ctx.db.messages.delete(message)
