"""Jobs on a real database: a server that may end at any moment, and functions written in tests.

A server here is a `Jobs` with what it holds in memory. `kill` stops it as SIGKILL would: nothing
that it has begun goes on, but for what a database had accepted already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from support.engines import open_database
from support.patience import WAIT_S
from support.runtime import SteppedRuntime, settle
from trice.background import Background
from trice.calls.jobs.as_job import Within
from trice.calls.jobs.job import Job
from trice.calls.jobs.jobs import Jobs
from trice.calls.jobs.lane import Lane
from trice.calls.jobs.schedule import Wanted, schedule
from trice.calls.jobs.steps import JobSteps
from trice.database import Change, Database
from trice.functions.frames import Later
from trice.functions.signature import RetryPlan, Schedule, Signature
from trice.protocol.ids import AppId
from trice.runtime import new_uuid
from trice.store.commit import Commit

APP = AppId("00000000-0000-4000-8000-00000000a990")
SCHEMA = {
    "entities": {
        "notes": {
            "attrs": {
                "text": {
                    "valueType": "string",
                    "config": {"indexed": True, "unique": False},
                    "required": False,
                }
            }
        }
    },
    "links": {},
    "rooms": {},
}
__all__ = ["Later", "RetryPlan", "Schedule"]


class Mortal:
    """A database as a server sees it until it is killed. A kill may come at each `point`: before
    and after every transaction and read, and wherever a function of a test says. So may a stall:
    the server stands still until `resume`."""

    def __init__(self, database: Database, *, dies_at: int = 0, stalls_at: int = 0) -> None:
        self.real = database
        self.is_dead = False
        self.died = asyncio.Event()
        self.seen = 0
        self.under_way = 0
        self.is_stalled = False
        self._dies_at = dies_at
        self._stalls_at = stalls_at
        self._resumed = asyncio.Event()

    async def point(self) -> None:
        """A moment at which the server may end."""
        self.seen += 1
        if self.seen == self._stalls_at:
            self.is_stalled = True
        while self.is_stalled:
            await self._resumed.wait()
        if self.seen == self._dies_at:
            self.kill()
        if self.is_dead:
            await asyncio.get_running_loop().create_future()  # nothing goes on

    def resume(self) -> None:
        """The server goes on, as a machine that was suspended."""
        self.is_stalled = False
        self._resumed.set()

    def kill(self) -> None:
        """The server ends now."""
        self.resume()
        self.is_dead = True
        self.died.set()

    async def change(self, work: Any, *, is_long: bool = False) -> Any:
        return await self._between(lambda: self.real.change(work, is_long=is_long))

    async def look(self, work: Any) -> Any:
        return await self._between(lambda: self.real.look(work))

    async def _between(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do this between two points. What the database has accepted it finishes."""
        await self.point()
        self.under_way += 1
        try:
            found = await work()
        finally:
            self.under_way -= 1
        await self.point()
        return found


@dataclass
class Ctx:
    """What a function of a test works with.

    steps   of an action
    """

    server: Server
    job: Job
    steps: JobSteps | None = None
    writes: list[Any] = field(default_factory=list)
    jobs: list[Wanted] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Write a note, in the transaction of this mutation."""
        note_id = new_uuid(self.server.runtime)
        self.writes.append(["update", "notes", note_id, {"text": text}])

    async def effect(self, text: str) -> None:
        """Do something outside of the database, which nothing undoes."""
        await self.server.mortal.point()
        if not self.server.mortal.is_dead:
            self.server.stage.effects.append(text)
        await self.server.mortal.point()

    def later(self, function: str, args: dict[str, Any] | None = None, **options: Any) -> str:
        wanted = self.server.wanted(function, args or {}, **options)
        self.jobs.append(wanted)
        return wanted.id

    async def step(self, name: str, work: Callable[[], Awaitable[Any]], **options: Any) -> Any:
        assert self.steps is not None
        known = orjson.loads(await self.steps.step(name, is_once=options.get("is_once", False)))
        if "value" in known:
            return known["value"]
        value = await work()
        await self.steps.step_done(name, orjson.dumps(value))
        return value

    async def sleep(self, name: str, duration_ms: int) -> None:
        assert self.steps is not None
        if await self.steps.sleep(name, duration_ms) != b"true":
            raise Asleep


class Asleep(Exception):
    """The call ends, and comes again."""


Body = Callable[[Ctx], Awaitable[Any]]


class Watched(Background):
    """Knows its tasks, to drop them."""

    def __init__(self, runtime: Any) -> None:
        super().__init__(runtime)
        self.begun: list[asyncio.Task[None]] = []

    def begin(self, work: Any) -> asyncio.Task[None]:
        task = super().begin(work)
        self.begun.append(task)
        return task


class Server:
    """One `Jobs`, and its host."""

    def __init__(
        self, stage: Stage, *, dies_at: int = 0, stalls_at: int = 0, **options: Any
    ) -> None:
        self.stage = stage
        self.runtime = stage.runtime
        self.mortal = Mortal(stage.database, dies_at=dies_at, stalls_at=stalls_at)
        self.background = Watched(stage.runtime)
        self.jobs = Jobs(self, runtime=stage.runtime, **options)
        self.app_id = APP
        self.unheard: list[Sequence[Commit]] = []
        self.lent = 0
        self.running: list[str] = []
        stage.database.on_commits(self._hear)

    def begin(self) -> None:
        self.jobs.start(self.background)

    def _hear(self, commits: Sequence[Commit]) -> None:
        if self.mortal.is_stalled:
            self.unheard.append(commits)
        elif not self.mortal.is_dead:
            self.jobs.hear(APP, commits)

    async def wake(self) -> None:
        """Go on after a stall: what it was about to do first, and then it hears what happened."""
        self.mortal.resume()
        await self.rest()
        for commits in self.unheard:
            self.jobs.hear(APP, commits)
        self.unheard.clear()

    def kill(self) -> None:
        """End at once: tasks are dropped where they stand; what they do then reaches nothing."""
        self.mortal.kill()
        self.background.is_stopped = True
        for task in self.background.begun:
            task.cancel()

    async def stop(self) -> None:
        await self.jobs.close()
        await self.background.stop()

    async def rest(self) -> None:
        """Let it do all that it can do while time stands still."""
        while True:
            seen = self.mortal.seen
            await settle()
            if self.mortal.under_way == 0 and self.mortal.seen == seen:
                return

    @property
    def lane(self) -> Lane:
        """What it knows of its app."""
        return self.jobs.lanes()[APP]

    # --- as a host ------------------------------------------------------------------------------

    async def lend(self, app_id: AppId) -> Database:
        self.lent += 1
        database: Any = self.mortal
        return database

    def give_back(self, app_id: AppId) -> None:
        self.lent -= 1

    def apps(self) -> Sequence[AppId]:
        return [APP]

    def has_functions(self, app_id: AppId) -> bool:
        return True

    def signatures(self, app_id: AppId) -> Sequence[Signature] | None:
        return [signature for signature, _ in self.stage.functions.values()]

    def find(self, app_id: AppId, name: str) -> Signature | None:
        found = self.stage.functions.get(name)
        return None if found is None else found[0]

    async def mutate(self, app_id: AppId, job: Job, within: Within) -> None:
        ctx = Ctx(self, job)
        value = await self._run(ctx)

        def work(change: Change) -> None:
            change.write(*ctx.writes)
            schedule(change, ctx.jobs, kept=self.jobs.kept(APP))
            within(change, value)

        await self.mortal.change(work)

    async def act(self, app_id: AppId, job: Job, steps: JobSteps) -> bytes:
        return await self._run(Ctx(self, job, steps))

    async def _run(self, ctx: Ctx) -> bytes:
        self.stage.begun.append((ctx.job.function, ctx.job.id))
        self.running.append(ctx.job.id)
        try:
            await self.mortal.point()
            return orjson.dumps(await self.stage.functions[ctx.job.function][1](ctx))
        finally:
            self.running.remove(ctx.job.id)

    # --- for tests ------------------------------------------------------------------------------

    def wanted(
        self,
        function: str,
        args: dict[str, Any],
        *,
        in_ms: int = 0,
        key: str | None = None,
        keep: bool = False,
    ) -> Wanted:
        due_ms = self.runtime.now_ms() + in_ms
        kept = "keep" if keep else "replace"
        return Wanted(new_uuid(self.runtime), function, args, due_ms, key, kept)


class Stage:
    """A database, its functions, and what they did outside of it.

    effects   of actions, over all servers
    begun     function and job of every call that began
    """

    def __init__(self, path: Path, runtime: Any, database: Database) -> None:
        self.path = path
        self.runtime = runtime
        self.database = database
        self.functions: dict[str, tuple[Signature, Body]] = {}
        self.effects: Any = []
        self.begun: list[tuple[str, str]] = []
        self._committed = asyncio.Event()
        database.on_commits(lambda _: self._committed.set())

    @classmethod
    async def open(cls, path: Path, runtime: Any = None) -> Stage:
        runtime = runtime or SteppedRuntime()
        database = await open_database(path, runtime=runtime, schema=SCHEMA)
        return cls(path, runtime, database)

    async def reopen(self) -> None:
        """Close the database and open the same file, as a new process does."""
        await self.database.close()
        self.database = await open_database(self.path, runtime=self.runtime)
        self.database.on_commits(lambda _: self._committed.set())

    def add(self, kind: Any, name: str, body: Body, **options: Any) -> None:
        """A function."""
        signature = Signature(name=name, kind=kind, args={}, result={}, **options)
        self.functions[name] = (signature, body)

    def server(self, **options: Any) -> Server:
        """A server that has begun."""
        server = Server(self, **options)
        server.begin()
        return server

    async def schedule(self, server: Server, function: str, **options: Any) -> str:
        """A job, made in a transaction of its own."""
        args = options.pop("args", {})
        wanted = server.wanted(function, args, **options)
        kept = server.jobs.kept(APP)
        await self.database.change(lambda change: schedule(change, [wanted], kept=kept))
        return wanted.id

    async def rows(self) -> list[dict[str, Any]]:
        found = await self.database.look(lambda look: look.find({"$jobs": {}}))
        return found["$jobs"]

    async def row(self, job_id: str) -> dict[str, Any]:
        return next(row for row in await self.rows() if row["id"] == job_id)

    async def notes(self) -> list[str]:
        found = await self.database.look(lambda look: look.find({"notes": {}}))
        return sorted(row["text"] for row in found["notes"])

    async def wait(self, is_true: Callable[[], Awaitable[bool]], *, what: str = "") -> None:
        """Let everybody work until this is so; time stands still. Looks after every commit."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self._committed.clear()
                await settle()
                if await is_true():
                    return
                try:
                    await self._committed.wait()
                except asyncio.CancelledError as failure:
                    failure.add_note(f"waited for {what} in vain: {await self.rows()}")
                    raise

    async def states(self, *states: str) -> None:
        """Wait until the jobs have these states, in any order."""

        async def has() -> bool:
            return sorted(row["state"] for row in await self.rows()) == sorted(states)

        await self.wait(has, what=str(states))


# --- functions ------------------------------------------------------------------------------------

SURE = RetryPlan(times=2, first_ms=1_000, factor=3, most_ms=2_000, jitter=0)


async def note(ctx: Ctx) -> str:
    ctx.note(ctx.job.args.get("text", "noted"))
    return "fine"


class Gate:
    """A function that waits until a test lets it go on."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended: list[str] = []
        self.most = self.inside = 0

    async def wait(self, ctx: Ctx) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.began.set()
        try:
            await self.may_end.wait()
            self.ended.append(ctx.job.id)
        finally:
            self.inside -= 1
