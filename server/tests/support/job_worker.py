"""A process that runs jobs until it is killed (`support/kill_jobs.py`).

It has the database to itself, as a server has. What actions do outside goes to a file, a line each,
written before they go on. Through a pipe it says `"."` for each commit and each line, and `"over"`
when every job is finished.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from support.job_histories import NAMES, add_functions
from support.job_stage import Server, Stage
from trice.runtime import SystemRuntime

UNFINISHED = 6
"""Jobs that are made while there are fewer."""


class Lines:
    """What was done outside, in a file."""

    def __init__(self, path: Path, pipe: Connection) -> None:
        self._path = path
        self._pipe = pipe
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, text: str) -> None:
        os.write(self._file, f"{text}\n".encode())
        self._pipe.send(".")

    def __iter__(self) -> Iterator[str]:
        return iter(self._path.read_text().splitlines())


def run(folder: Path, seed: int, is_last: bool, pipe: Connection) -> None:
    """Make jobs and run them; if `is_last`, make none and end when all are finished."""
    asyncio.run(_run(folder, random.Random(seed), is_last, pipe))


async def _run(folder: Path, choices: random.Random, is_last: bool, pipe: Connection) -> None:
    stage = await Stage.open(folder / "app.db", SystemRuntime())
    stage.effects = Lines(folder / "outside", pipe)
    add_functions(stage)
    committed = asyncio.Event()

    def hear(_: object) -> None:
        committed.set()
        pipe.send(".")

    stage.database.on_commits(hear)
    server = stage.server(is_alone=True)
    while True:
        committed.clear()
        left = sum(row["state"] in ("scheduled", "running") for row in await stage.rows())
        if is_last and not left:
            break
        if not is_last and left < UNFINISHED:
            await _make(stage, server, choices)
        await committed.wait()
    await server.stop()
    await stage.database.close()
    pipe.send("over")


async def _make(stage: Stage, server: Server, choices: random.Random) -> None:
    name = choices.choice(NAMES)
    args = {"left": choices.randint(0, 2), "in": choices.choice((0, 20)), "rest": 20}
    key = choices.choice((None, None, f"{name} a"))
    wait_ms = choices.choice((0, 0, 5, 30))
    await stage.schedule(server, name, args=args, in_ms=wait_ms, key=key)
