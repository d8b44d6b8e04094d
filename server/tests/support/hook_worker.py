"""A process that makes items, and has hooks that follow them, until it is killed
(`support/kill_hooks.py`).

It has the database to itself, as a server has. What actions do outside goes to a file, a line each,
written before they go on. Through a pipe it says `"."` for each commit and each line, and `"over"`
when every item was followed.
"""

from __future__ import annotations

import asyncio
import random
from multiprocessing.connection import Connection
from pathlib import Path

from support.hook_stage import HookServer, HookStage
from support.job_stage import Ctx
from support.job_worker import Lines
from trice.runtime import SystemRuntime, new_uuid


async def note(ctx: Ctx) -> None:
    """A mutation."""
    ctx.note(ctx.job.args["change"]["after"]["a"])


async def send(ctx: Ctx) -> None:
    """An action."""
    await ctx.effect(ctx.job.args["change"]["after"]["a"])


def run(folder: Path, seed: int, is_last: bool, pipe: Connection) -> None:
    """Make items and follow them; if `is_last`, make none and end when all were followed."""
    asyncio.run(_run(folder, random.Random(seed), is_last, pipe))


async def _run(folder: Path, choices: random.Random, is_last: bool, pipe: Connection) -> None:
    stage = await HookStage.open(folder / "app.db", SystemRuntime())
    stage.effects = Lines(folder / "outside", pipe)
    stage.hook("mutation", "note", note, create=True)
    stage.hook("action", "send", send, create=True)
    committed = asyncio.Event()

    def hear(_: object) -> None:
        committed.set()
        pipe.send(".")

    stage.database.on_commits(hear)
    server = stage.hook_server()
    await stage.all_follow(server)
    number = len(await _items(stage))
    while not is_last:
        committed.clear()
        number = await _make(stage, server, choices, number)
        await committed.wait()
    await stage.all_done(server)
    await server.stop()
    await stage.database.close()
    pipe.send("over")


async def _make(stage: HookStage, server: HookServer, choices: random.Random, number: int) -> int:
    """Some items in one transaction; returns how many there are."""
    count = choices.choice((1, 1, 3))
    texts = [f"{number + each:06}" for each in range(count)]
    steps = [["update", "items", new_uuid(server.runtime), {"a": text}] for text in texts]
    await stage.database.change(lambda change: change.write(*steps))
    return number + count


async def _items(stage: HookStage) -> list[str]:
    found = await stage.database.look(lambda look: look.find({"items": {}}))
    return sorted(row["a"] for row in found["items"])


async def found(folder: Path) -> tuple[list[str], list[str]]:
    """The items that are there, and the notes of them."""
    stage = await HookStage.open(folder / "app.db", SystemRuntime())
    try:
        return await _items(stage), await stage.notes()
    finally:
        await stage.database.close()
