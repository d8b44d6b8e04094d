"""The chat in a process of its own: the same program, through frames."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.function_stage import PROJECTS, open_stage
from trice.calls.side import AppCode, CallFailed, CallRequest, Level
from trice.calls.workers.starter import Starter
from trice.calls.workers.workers import Workers
from trice.data_run import DataRun
from trice.functions import frames
from trice.functions.frames import Caller, Ready
from trice.functions.signature import Kind
from trice.identity import ADMIN
from trice.runtime import SystemRuntime

ID = "e0000001-0000-4000-8000-000000000000"


class Side:
    """What a mutation asks of the server, as `CallSide` has it."""

    def __init__(self, run: DataRun) -> None:
        self._run = run
        self.draft, self.sub, self.sub_end = run.draft, run.sub, run.sub_end

    async def read(self, query: Any, as_caller: bool) -> bytes:
        return await self._run.read(query, identity=ADMIN)

    async def page(self, asked: frames.Page) -> bytes:
        answer = await self._run.read(asked.query, identity=ADMIN)
        return b'{"next":null,"most":5,"answer":%b}' % answer

    async def run(self, function: str, args: bytes) -> bytes:
        raise AssertionError("only actions run functions")

    def log(self, level: Level, text: str) -> None:
        raise AssertionError(text)

    async def restart(self) -> None:
        raise AssertionError("the process ended")


@pytest.mark.rule("FN98")
async def test_a_program_runs_in_a_process_as_it_runs_here(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        user = await stage.user(ID, nickname="al")
        channel = await stage.call("channels.create", user=user, title="news")
        path = tmp_path / "bundle"
        shutil.copytree(PROJECTS / "chat", path, ignore=shutil.ignore_patterns("__pycache__"))
        code = AppCode("app", "hash", path)
        runtime = SystemRuntime()
        starter = Starter(runtime, users=None, on_line=lambda app, level, text: None)
        workers = Workers(starter, runtime=runtime, processes_max=2, cores=1, refusal=None)

        async def call(name: str, kind: Kind, **args: Any) -> Any:
            run = await DataRun.begin(stage.database)
            request = CallRequest(
                function=name,
                kind=kind,
                args=msgspec.json.encode(args),
                caller=Caller(user=user),
                now_ms=1,
                seed="",
                trace="0" * 32,
                timeout_ms=30_000,
            )
            try:
                done = await workers.call(code, request, Side(run))
                run.draft(done.steps)
                await run.commit(function=name, identity_name="user", value=done.value)
            finally:
                run.close()
            return msgspec.json.decode(done.value)

        try:
            loaded = await workers.check(path, {})
            assert isinstance(loaded, Ready), loaded
            assert loaded.functions == stage.program.signatures
            assert loaded.schema == stage.program.schema
            message = await call("messages.send", "mutation", channel=channel, text="hi")
            found = await call("messages.recent", "query", channel=channel)
            assert [each["id"] for each in found] == [message]
            page = await call("messages.history", "query", channel=channel, page={"size": 5})
            assert [each["id"] for each in page["items"]] == [message]
            assert page["next"] is None
            with pytest.raises(CallFailed) as raised:
                await call("messages.edit", "mutation", message=ID, text="hi")
            assert raised.value.code == "function-error"
            assert raised.value.hint == {"code": "not-yours", "data": None}
            with pytest.raises(CallFailed) as raised:
                await call("messages.recent", "query", channel="x")
            assert raised.value.code == "bad-args" and raised.value.hint["path"] == "channel"
        finally:
            await workers.close()
