"""A project whose actions reach out, on the stage of `trice.testing`: here, or in processes."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.function_stage import write_project
from trice.calls.workers.starter import Starter
from trice.calls.workers.workers import Workers
from trice.runtime import SystemRuntime
from trice.testing.app import App
from trice.testing.project import Project
from trice.testing.stage import Stage

SCHEMA = """
from trice.schema import Namespace, One, Schema, Streams, Table, link

class Message(Namespace):
    text: str
class Tokens(Streams):
    model: str | None = "small"
    message: One[Message] | None = link(back="streams")
class Db(Schema):
    messages: Table[Message]
    streams: Table[Tokens]
"""
ACTS = """
import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from schema import Db, Message
from trice.functions import Action, Files, Id, Query, RefusedError, Retry
from trice.functions import Change, Request, Response, action, http, internal, mutation, on_change
from trice.functions import query, seconds
from trice import sync

DO: dict[str, Callable[[Any], Awaitable[Any]]] = {}

@action(timeout=300)
async def do(ctx: Action[Db]) -> Any:
    return await DO["action"](ctx)

@query
async def look(ctx: Query[Db]) -> Any:
    return await DO["query"](ctx)

@action
async def ask(ctx: Action[Db], url: str) -> list[Any]:
    answer = await ctx.http.post(url, json={"a": 1})
    return [answer.status_code, answer.text]

@action
async def all_of_it(ctx: Action[Db], url: str, message: Id[Message]) -> list[Any]:
    import sys
    before = "httpx" in sys.modules
    async with ctx.http.stream("GET", url) as answer:
        kept = await ctx.files.upload("kept/a.bin", answer.aiter_bytes(), content_type="x/y")
    await ctx.mail.send("al@example.com", subject="Hi", text="Hello")
    async with ctx.stream(link={"message": message}, values={"model": "large"}) as out:
        async for piece in await ctx.files.open("kept/a.bin"):
            await out.write(piece.decode())
    return [before, kept.size, out.id]

@action
async def dies(ctx: Action[Db], message: Id[Message]) -> None:
    async with ctx.stream(link={"message": message}) as out:
        await out.write("half of ")
        await ctx.files.upload("never", slow())
        os._exit(1)

async def slow():
    yield b"x" * 1000
    os._exit(1)

@query
async def sneaks(ctx: Query[Db]) -> str:
    try:
        await Files(ctx._running).find("a")
    except RefusedError as failure:
        return failure.code
    return "found"

async def paid(amount: int) -> int:
    RAN.append(amount)
    return amount

RAN: list[int] = []

@internal.action(retry=Retry(times=3, first=seconds(1), jitter=0))
async def order(ctx: Action[Db]) -> list[Any]:
    first = await ctx.step("charge", paid, 5)
    second = await ctx.step("tell", paid, 6)
    return [first, second]

@action
def plainly(ctx: sync.Action[Db], message: Id[Message]) -> list[Any]:
    answer = ctx.http.post("https://a.example/", json={"a": 1})
    with ctx.http.stream("GET", "https://a.example/lines") as reply:
        lines = list(reply.iter_lines())
    with ctx.http.stream("GET", "https://a.example/bytes") as reply:
        kept = ctx.files.upload("a", reply.iter_bytes())
    ctx.mail.send("al@example.com", subject="Hi", text="x")
    with ctx.stream(link={"message": message}) as out:
        for piece in ctx.files.open("a"):
            out.write(piece.decode())
    found = ctx.files.find("a")
    return [
        *(answer.status_code, lines, kept.size, out.id, ctx.files.find("none")),
        *(found is not None, ctx.files.read("a").decode(), ctx.files.delete("a")),
    ]

@action
def fails_plainly(ctx: sync.Action[Db], how: str) -> Any:
    if how == "settle":
        return ctx.settle({})
    if how == "text":
        return ctx.files.upload("a", "text")
    if how == "get":
        return ctx.http.get("https://gone.example/")
    with ctx.stream() as out:
        out.write("half")
        with ctx.http.stream("GET", "https://gone.example/"):
            return None

@http.get("/plain/{name}", auth="none")
def plain_page(ctx: sync.Action[Db], request: Request, name: str) -> Response:
    return Response(f"{name} {ctx.run(count)}")

@query
def count(ctx: sync.Query[Db]) -> int:
    return ctx.db.messages.count()

@on_change(Message, create=True)
def follows(ctx: sync.Mutation[Db], change: Change[Message]) -> None:
    if change.after is not None and change.after.text == "first":
        ctx.db.messages.create(text="second")

@mutation
async def buy(ctx) -> None:
    ctx.later().run(order)
"""
ACTS = ACTS.replace("async def buy(ctx)", "async def buy(ctx: Mutation[Db])").replace(
    "from trice.functions import Action,", "from trice.functions import Action, Mutation,"
)
FILES = {"trice.toml": "", "schema.py": SCHEMA, "functions/acts.py": ACTS}


def acts() -> Any:
    """The module of the functions under test."""
    return importlib.import_module("functions.acts")


def load_reaching(folder: Path) -> Project:
    """The project, in a folder."""
    apps = folder / "apps"
    apps.mkdir()
    return Project(write_project(folder / "project", FILES), apps)


@asynccontextmanager
async def open_reaching(project: Project, *, is_apart: bool = False) -> AsyncIterator[Stage]:
    """An app of it. is_apart   its functions run in processes, which reach loopback"""
    stage = await Stage.open(project)
    workers = None
    if is_apart:
        runtime = SystemRuntime()
        starter = Starter(
            runtime, users=None, on_line=lambda app, level, text: None, allows_private=True
        )
        workers = Workers(starter, runtime=runtime, processes_max=2, cores=1)
        stage.runs.workers = workers
    try:
        yield stage
    finally:
        await stage.close()
        if workers is not None:
            await workers.close()


async def do(app: App, work: Any) -> Any:
    """Run something as an action of the app; what it returns."""
    kept: list[Any] = []

    async def noted(ctx: Any) -> None:
        kept.append(await work(ctx))

    acts().DO["action"] = noted
    await app.guest.run(acts().do)
    return kept[0]
