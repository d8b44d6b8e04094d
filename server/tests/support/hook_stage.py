"""Hooks on a real database: a server that may end at any moment, and hooks written in tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support.engines import open_database
from support.job_stage import APP, SCHEMA, Body, Mortal, Server, Stage
from support.runtime import SteppedRuntime
from trice.calls.hooks.hooks import Hooks
from trice.functions.signature import HookPlan
from trice.store.commit import Commit

_TEXT = {"valueType": "string", "config": {"indexed": False, "unique": False}, "required": False}
ITEMS = {
    **SCHEMA,
    "entities": {
        **SCHEMA["entities"],  # type: ignore[dict-item]
        "items": {"attrs": {"a": _TEXT, "b": _TEXT}},
        "others": {"attrs": {"a": _TEXT}},
    },
}


class MortalHooks(Mortal):
    """A database that hooks read, too."""

    @property
    def tx(self) -> int:
        return self.real.tx

    @property
    def url_of(self) -> Callable[[str], str] | None:
        return self.real.url_of

    async def read_on_thread(self, work: Any, *, turn_key: Any) -> Any:
        return await self._between(lambda: self.real.read_on_thread(work, turn_key=turn_key))


class HookServer(Server):
    """One `Hooks`, and its host."""

    def __init__(self, stage: HookStage, *, dies_at: int = 0) -> None:
        super().__init__(stage, dies_at=dies_at, is_alone=True)
        self.mortal = MortalHooks(stage.database, dies_at=dies_at)
        self.hooks = Hooks(self, self.jobs, runtime=stage.runtime)

    def begin(self) -> None:
        super().begin()
        self.hooks.start(self.background)

    def _hear(self, commits: Sequence[Commit]) -> None:
        super()._hear(commits)
        if not self.mortal.is_dead:
            self.hooks.hear(APP, commits)

    async def stop(self) -> None:
        await self.hooks.close()
        await super().stop()

    @property
    def is_behind(self) -> bool:
        """Whether a hook has something to do."""
        newest = self.stage.database.tx
        lanes = self.hooks.lanes(APP)
        is_new = len(lanes) < len(self.stage.functions)
        return is_new or self.hooks.is_busy or any(lane.at.tx < newest for lane in lanes)


class HookStage(Stage):
    """A database with items.

    order   texts of notes, as their transactions were committed
    """

    def __init__(self, path: Path, runtime: Any, database: Any) -> None:
        super().__init__(path, runtime, database)
        self.order: list[str] = []
        database.on_commits(self._note_order)

    @classmethod
    async def open(cls, path: Path, runtime: Any = None) -> HookStage:
        runtime = runtime or SteppedRuntime()
        database = await open_database(path, runtime=runtime, schema=ITEMS)
        return cls(path, runtime, database)

    async def reopen(self) -> None:
        await super().reopen()
        self.database.on_commits(self._note_order)

    def _note_order(self, commits: Sequence[Commit]) -> None:
        for commit in commits:
            attr = commit.catalog.find_forward("notes", "text")
            assert attr is not None
            for change in commit.entities:
                if change.etype == "notes" and change.new is not None:
                    self.order.append(str(change.new.cells[attr.id]))

    def hook(self, kind: Any, name: str, body: Body, **plan: Any) -> None:
        """A function that follows items."""
        self.add(kind, name, body, hook=HookPlan(namespace="items", **plan))

    def hook_server(self, *, dies_at: int = 0) -> HookServer:
        """A server that has begun."""
        server = HookServer(self, dies_at=dies_at)
        server.begin()
        return server

    async def all_follow(self, server: HookServer) -> None:
        """Wait until every hook has a place."""
        await turns_until(lambda: len(server.hooks.lanes(APP)) == len(self.functions))

    async def all_done(self, server: HookServer) -> None:
        """Wait until no hook has anything to do."""
        await turns_until(lambda: not server.is_behind)

    async def hook_rows(self) -> dict[str, dict[str, Any]]:
        """The rows of hooks, by name."""
        found = await self.database.look(lambda look: look.find({"$hooks": {}}))
        return {row["name"]: row for row in found["$hooks"]}


async def turns_until(is_so: Callable[[], bool]) -> None:
    """Let turns of the loop pass until this is so."""
    for _ in iter(is_so, True):
        await asyncio.sleep(0)
