"""A project of functions, run in this process on a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from support.engines import open_database
from support.runtime import FakeRuntime
from trice.calls.cursors import Cursors
from trice.calls.page_reads import PageReads
from trice.data_run import DataRun
from trice.database import Database
from trice.errors import TriceError
from trice.functions import frames
from trice.functions.channel import Level, RefusedError
from trice.functions.frames import Call, Caller, Done, Fail
from trice.functions.loading import load_program
from trice.functions.program import Program
from trice.identity import ADMIN, GUEST, Identity
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.schema.document import for_server

PROJECTS = Path(__file__).parents[1] / "functions" / "projects"


class Failed(Exception):
    """A call failed; `fail` is what was told of it."""

    def __init__(self, fail: Fail) -> None:
        super().__init__(f"{fail.code}: {fail.message} {fail.data}\n{fail.traceback}")
        self.fail = fail


@dataclass
class RunChannel:
    """The server of one call: a run of a real database.

    function, args   what is called
    asked   what was read, in order
    told    what else it was told, in order
    """

    stage: Stage
    run_: DataRun | None
    identity: Identity
    function: str = ""
    args: bytes = b"{}"
    asked: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)

    async def read(self, call: int, query: Any, *, as_caller: bool) -> bytes:
        assert self.run_ is not None, "an action reads by running functions"
        self.asked.append(query)
        try:
            return await self.run_.read(query, identity=self.identity if as_caller else ADMIN)
        except TriceError as failure:
            raise RefusedError(failure.code, failure.message, failure.hint) from None

    async def page(
        self, call: int, query: dict[str, Any], *, size: int, after: str | None, as_caller: bool
    ) -> bytes:
        asked = frames.Page(call=call, seq=1, query=query, size=size, after=after)
        signature = next(
            each for each in self.stage.program.signatures if each.name == self.function
        )
        cursors = Cursors(lambda: b"secret", AppId("app"), signature, self.args)
        try:
            return await PageReads(cursors).read(self, asked, self.identity if as_caller else ADMIN)
        except TriceError as failure:
            raise RefusedError(failure.code, failure.message, failure.hint) from None

    @property
    def run_on(self) -> DataRun:
        assert self.run_ is not None
        return self.run_

    async def read_as(self, query: Any, identity: Identity) -> bytes:
        self.asked.append(query)
        return await self.run_on.read(query, identity=identity)

    def unread(self, query: Any, identity: Identity) -> None:
        """A run that nobody watches depends on nothing."""

    def draft(self, call: int, steps: list[Any]) -> None:
        assert self.run_ is not None
        self.told.append(("draft", steps))
        self.run_.draft(steps)

    def sub(self, call: int) -> None:
        assert self.run_ is not None
        self.told.append("sub")
        self.run_.sub()

    def sub_end(self, call: int, is_kept: bool) -> None:
        assert self.run_ is not None
        self.told.append(("sub-end", is_kept))
        self.run_.sub_end(is_kept)

    async def run(self, call: int, function: str, args: bytes) -> bytes:
        self.told.append(("run", function, msgspec.json.decode(args)))
        try:
            done = await self.stage.outcome(function, args, user=self.stage.user_of(self.identity))
        except Failed as failure:
            fail = failure.fail
            raise RefusedError(fail.code, fail.message, fail.data) from None
        return done.value

    def log(self, call: int, level: Level, text: str) -> None:
        self.told.append(("log", level, text))


class Stage:
    """A loaded program, and a database with its schema.

    channel   that of the last call
    actions   those of all actions
    """

    def __init__(self, program: Program, database: Database, runtime: FakeRuntime) -> None:
        self.program = program
        self.database = database
        self.runtime = runtime
        self.channel: RunChannel
        self.actions: list[RunChannel] = []
        self._users: dict[bytes | None, dict[str, Any]] = {}
        self.calls = 0

    async def user(self, id: str, **values: Any) -> dict[str, Any]:
        """A row of `$users`, to call functions as."""
        await self.write(["create", "$users", id, {"email": f"{id[:8]}@example.com", **values}])
        row = {"id": id, "email": f"{id[:8]}@example.com", **values}
        self._users[find_uuid_bytes(id)] = row
        return row

    def user_of(self, identity: Identity) -> dict[str, Any] | None:
        return self._users.get(identity.user_id)

    async def write(self, *steps: list[Any]) -> None:
        """Steps of the admin API."""
        await self.database.transact_admin(list(steps), identity=ADMIN, throw_on_missing_attrs=True)

    async def ask(self, query: dict[str, Any]) -> Any:
        """What the database answers now."""
        answer = await self.database.query_nested(query, identity=ADMIN, is_inferring=True)
        return msgspec.json.decode(answer)

    async def call(self, name: str, *, user: dict[str, Any] | None = None, **args: Any) -> Any:
        """Call a function; what it wrote is committed. raises   Failed"""
        done = await self.outcome(name, msgspec.json.encode(args), user=user)
        return msgspec.json.decode(done.value)

    async def fail(self, name: str, *, user: dict[str, Any] | None = None, **args: Any) -> Fail:
        """Call a function that must fail."""
        try:
            value = await self.call(name, user=user, **args)
        except Failed as failure:
            return failure.fail
        raise AssertionError(f"{name} returned {value!r}")

    async def outcome(
        self, name: str, args: bytes, *, user: dict[str, Any] | None = None, seed: str = "s"
    ) -> Done:
        """Run once, and commit. raises   Failed, TriceError of the commit"""
        self.calls += 1
        signature = next(
            (each for each in self.program.signatures if name in (each.name, *each.also)), None
        )
        is_action = signature is not None and signature.kind == "action"
        run = None if is_action else await DataRun.begin(self.database)
        identity = GUEST if user is None else Identity("user", find_uuid_bytes(user["id"]))
        self.channel = channel = RunChannel(
            self, run, identity, "" if signature is None else signature.name, args
        )
        if is_action:
            self.actions.append(channel)
        try:
            call = Call(
                call=self.calls,
                function=name,
                args=args,
                caller=Caller(user=user, ip="192.0.2.1", origin="https://app.example"),
                left_ms=5_000,
                now_ms=self.runtime.now_ms(),
                seed=f"{seed} {self.calls}",
                trace="0" * 32,
            )
            outcome = await self.program.run(call, channel)
            if isinstance(outcome, Fail):
                raise Failed(outcome)
            if run is not None:
                run.draft(outcome.steps)
                await run.commit(function=name, identity_name=identity.name, value=outcome.value)
            return outcome
        finally:
            if run is not None:
                run.close()


@asynccontextmanager
async def open_stage(folder: Path, project: str | Path = "chat") -> AsyncIterator[Stage]:
    """Load a project of `functions/projects`, or one elsewhere, on a new database."""
    root = folder / "project"
    shutil.copytree(PROJECTS / project, root, ignore=shutil.ignore_patterns("__pycache__"))
    program = load_program(root, {"PUSH_KEY": "secret"})
    runtime = FakeRuntime()
    schema = None if program.schema is None else for_server(program.schema)
    database = await open_database(folder / "app.db", runtime=runtime, schema=schema)
    try:
        yield Stage(program, database, runtime)
    finally:
        await database.close()


def write_project(folder: Path, files: dict[str, str]) -> Path:
    """A project made of texts by file name."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
