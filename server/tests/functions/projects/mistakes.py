"""What mypy --strict finds wrong in functions of the chat; it is never run.

A line ends with the code of its error, or has none.
"""

from __future__ import annotations

from functions.channels import create, rename, tidy
from functions.messages import AuthorView, MessageView, history, recent, send

from schema import Channel, Db, Message, User
from trice import sync
from trice.functions import (
    Action,
    Change,
    Id,
    Mutation,
    Page,
    Paged,
    Query,
    Reader,
    Request,
    Response,
    http,
    mutation,
    on_change,
    query,
)


@query
async def reads(ctx: Query[Db, User], channel: Id[Channel], message: Id[Message]) -> str:
    views = await ctx.db.messages.find(MessageView, where={"channel": channel})
    text: str = views[0].text
    number: int = views[0].text  # error: assignment
    await ctx.db.messages.get(message)
    await ctx.db.messages.get(channel)  # error: arg-type
    row = await ctx.db.messages.first()
    text = row.text  # error: union-attr
    assert row is not None
    channel = row.channel.id
    message = row.channel.id  # error: assignment
    str(views[0].channel)  # error: attr-defined
    author = views[0].author
    if author is not None and author.nickname is not None:
        text = author.nickname
    nickname: str | None = ctx.me.nickname
    email: str | None = ctx.me.email
    str(ctx.me.age)  # error: attr-defined
    own = await ctx.db.users.get(ctx.me.id)
    str(ctx.db.posts)  # error: attr-defined
    str(ctx.now)  # error: attr-defined
    await ctx.run(send, channel, "hi")  # error: arg-type
    found = await ctx.run(recent, channel, limit=3)
    text = found[0].text
    number = len(await ctx.run(recent, channel))
    await ctx.run(recent, message)  # error: arg-type
    await ctx.run(recent, channel, limit="3")  # error: arg-type
    await ctx.run(recent, channel, most=3)  # error: call-arg
    page: Page[MessageView] = await ctx.run(history, channel, Paged())
    other: Page[AuthorView] = await ctx.run(history, channel, Paged())  # error: arg-type
    await helper(ctx, message)
    await helper(ctx, channel)  # error: arg-type
    return text if own is None and page and other and nickname and email and number else ""


async def helper(ctx: Reader[Db], message: Id[Message]) -> bool:
    return await ctx.db.messages.exists({"id": message})


@mutation
async def writes(ctx: Mutation[Db], channel: Id[Channel], message: Id[Message]) -> Id[Message]:
    made: Id[Message] = ctx.db.messages.create(text="", sent_at=ctx.now, channel=channel)
    wrong: Id[Channel] = ctx.db.messages.create(text="")  # error: assignment
    ctx.db.messages.update(message, text="")
    ctx.db.messages.update(channel, text="")  # error: arg-type
    ctx.db.channels.increment(channel, sent="1")  # error: arg-type
    await ctx.run(create, title=3)  # error: arg-type
    await ctx.run(tidy, channel)  # error: arg-type
    sent: Id[Message] = await ctx.run(send, channel, "hi")
    await helper(ctx, sent)
    return made if wrong else sent


@query  # error: arg-type
async def takes_another_ctx(ctx: Mutation[Db]) -> None:
    """Its decorator says which ctx it has."""


@mutation(auth="everybody")  # error: call-overload, untyped-decorator
async def says_what_is_not_there(ctx: Mutation[Db]) -> None:
    """auth has four words."""


@http.post("/pay")  # error: call-arg
async def says_not_who_may(ctx: Action[Db], request: Request) -> Response:
    """auth has no default."""
    return Response()


@http.get("/{name}", auth="none")
async def answers(ctx: Action[Db], request: Request, name: str) -> Response:
    number: int = request.headers["x"]  # error: assignment
    return Response(number)  # error: arg-type


@http.get("/text", auth="none")  # error: arg-type
async def answers_a_text(ctx: Action[Db], request: Request) -> str:
    return ""


async def acts(ctx: Action[Db], channel: Id[Channel], message: Id[Message]) -> None:
    await ctx.run(rename, channel, "title")
    await ctx.run(rename, message, "title")  # error: arg-type
    await ctx.run(answers, "name")  # error: arg-type
    str(ctx.db)  # error: attr-defined


LIMIT_S = 2.5


async def reaches(ctx: Action[Db], message: Id[Message]) -> str:
    answer = await ctx.http.post("https://a.example/", json={"a": message}, timeout=LIMIT_S)
    await ctx.http.get("https://a.example/", timeout="2")  # error: arg-type
    await ctx.http.get("https://a.example/", jsn={})  # error: call-arg
    await ctx.mail.send("al@example.com", subject="Hi", text=answer.text)
    await ctx.mail.send("al@example.com", text="x")  # error: call-arg
    async with ctx.http.stream("GET", "https://a.example/") as answer:
        kept = await ctx.files.upload("a", answer.aiter_bytes())
    await ctx.files.upload("a", "text")  # error: arg-type
    async with ctx.stream(link={"message": message}) as out:
        await out.write(1)  # error: arg-type
    wrong: Id[Message] = out.id  # error: assignment
    both = await ctx.settle({"a": ctx.files.read("a"), "b": ctx.files.read("b")}, timeout=LIMIT_S)
    size: int = both["a"].value  # error: assignment
    return answer.text if wrong and size and kept.size else ""


async def reaches_not(ctx: Mutation[Db]) -> None:
    str(ctx.http)  # error: attr-defined


@on_change(Message, create=True, update=["text"])
async def follows(ctx: Mutation[Db], change: Change[Message]) -> None:
    message: Id[Message] = change.id
    channel: Id[Channel] = change.id  # error: assignment
    text = change.after.text  # error: union-attr
    if change.kind == "updated" and change.after is not None:
        number: int = change.after.text  # error: assignment
        ctx.db.messages.update(change.id, text=text)
        ctx.db.channels.update(change.id, title=text)  # error: arg-type
        str((message, channel, number, change.tx + 1, change.time.year))


@on_change(Message, delete=True)
async def acts_on(ctx: Action[Db], change: Change[Message]) -> None:
    str(ctx.db)  # error: attr-defined


@on_change(Message, create=True)  # error: arg-type
async def follows_another(ctx: Mutation[Db], change: Change[Channel]) -> None:
    """The decorator says of which namespace a change is."""


@on_change(Message, create=True)  # error: arg-type
async def returns_something(ctx: Mutation[Db], change: Change[Message]) -> str:
    return ""


@query
def plainly(ctx: sync.Query[Db, User], channel: Id[Channel], message: Id[Message]) -> str:
    views = ctx.db.messages.find(MessageView, where={"channel": channel})
    text: str = views[0].text
    number: int = views[0].text  # error: assignment
    ctx.db.messages.get(channel)  # error: arg-type
    row = ctx.db.as_caller().messages.first()
    text = row.text  # error: union-attr
    asked: dict[str, object] = ctx.db.query({"messages": {}})
    nickname: str | None = ctx.me.nickname
    str(ctx.db.posts)  # error: attr-defined
    str(ctx.now)  # error: attr-defined
    found = ctx.run(recent, channel, limit=3)
    text = found[0].text
    text = recent(ctx, channel)[0].text
    ctx.run(recent, message)  # error: arg-type
    ctx.run(send, channel, "hi")  # error: arg-type
    plain_helper(ctx, channel)  # error: arg-type
    return text if asked and nickname and number and plain_helper(ctx, message) else ""


def plain_helper(ctx: sync.Reader[Db], message: Id[Message]) -> bool:
    return ctx.db.messages.exists({"id": message})


@mutation(auth="user")
def writes_plainly(ctx: sync.Mutation[Db], channel: Id[Channel]) -> Id[Message]:
    made: Id[Message] = ctx.db.messages.create(text="", sent_at=ctx.now, channel=channel)
    ctx.db.messages.update(channel, text="")  # error: arg-type
    number: int = ctx.run(plainly, channel, made)  # error: assignment
    ctx.later().run(tidy, channel)
    ctx.later().run(tidy, made)  # error: arg-type
    str(number)
    return made


@query  # error: arg-type
def takes_an_async_ctx(ctx: Query[Db]) -> None:
    """That of a plain function is of trice.sync."""


async def runs_plainly(ctx: Mutation[Db, User], channel: Id[Channel]) -> str:
    made: Id[Message] = await ctx.run(writes_plainly, channel)
    return await plainly(ctx, channel, made)
