"""What an attack has: the server, a stranger, an app that others use, and its force."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from process import SCHEMA
from stranger import App, Stranger


@dataclass(frozen=True, slots=True)
class Force:
    """How hard an attack tries: counts for a whole run, or for the short one in the tests.

    repeats      how often the same costly message is sent
    connections  opened at once
    apps         throw-away apps made
    megabytes    sent without reading the answers
    hold_s       how long unfinished requests are held open
    stall_s      how long the server's process is stopped
    """

    repeats: int
    connections: int
    apps: int
    megabytes: int
    hold_s: float
    stall_s: float


WHOLE = Force(repeats=5, connections=1_500, apps=1_000, megabytes=400, hold_s=45, stall_s=25)
QUICK = Force(repeats=1, connections=60, apps=15, megabytes=20, hold_s=1, stall_s=16)


@dataclass(slots=True)
class Stage:
    """The surroundings of one attack.

    pid      the server's process
    victim   id of an app that innocent users are on; the stranger is only a guest of it
    """

    url: str
    pid: int
    stranger: Stranger
    victim: str
    force: Force

    @property
    def guest_of_victim(self) -> App:
        """The app that others use, for a guest who only knows its id."""
        return App(self.victim, "")

    async def crowded_app(self, todos: int, owners: int = 1) -> App:
        """An app of the stranger's: `todos` todos, each with one of `owners` owners."""
        app = await self.stranger.new_app(SCHEMA)
        people = [_uuid() for _ in range(owners)]
        steps: list[list[Any]] = [["update", "people", one, {"name": "n"}] for one in people]
        for n in range(todos):
            todo = _uuid()
            fields = {"title": f"todo {n} {'a' * 40}", "done": False, "priority": n, "label": "x"}
            steps.append(["update", "todos", todo, fields])
            steps.append(["link", "todos", todo, {"owner": people[n % owners]}])
        for start in range(0, len(steps), 1_000):
            part = {"steps": steps[start : start + 1_000]}
            await self.stranger.as_admin(app, "/admin/transact", part, is_setup=True)
        return app

    async def at_once(self, count: int, make: Callable[[int], Awaitable[Any]]) -> None:
        """Run `make(0)` to `make(count - 1)` at once; one that is cut off ends no other."""
        results = await asyncio.gather(*map(make, range(count)), return_exceptions=True)
        for result in results:
            if isinstance(result, (OSError, TimeoutError, asyncio.IncompleteReadError)):
                self.stranger.heard.note(f"refused ({type(result).__name__})")
            elif isinstance(result, BaseException):
                raise result

    def open_files(self) -> int:
        """Descriptors that the server has open now."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    name      what it tries, in a few words
    play      plays it
    settings  variables that its server is started with, besides those of all
    """

    name: str
    play: Callable[[Stage], Awaitable[None]]
    settings: Mapping[str, str] = field(default_factory=dict)


def _uuid() -> str:
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:]}"
