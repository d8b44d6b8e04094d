"""What is deployed in the app of a test, and what runs it: the functions of the project, in this
process, by the same frames as in workers.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from trice.calls.side import AppCode, CallRequest, CallSide, Level, RunsCalls
from trice.calls.workers.local import LocalWorkers
from trice.calls.workers.starter import Starter
from trice.calls.workers.workers import Workers
from trice.data_run import Stale
from trice.errors import Unavailable
from trice.functions import frames
from trice.functions.loading import LoadErrors
from trice.functions.program import Program
from trice.functions.signature import Signature
from trice.protocol.ids import AppId
from trice.runtime import Runtime, SystemRuntime

_HASH: Final = "0" * 64


class Runs:
    """Implements `functions.Deployed` and `functions.Runs` for one test.

    env      the app's secrets by name, as the test sets them
    workers  what runs calls
    """

    def __init__(self, program: Program, app_id: AppId, *, runtime: Runtime) -> None:
        self.env: dict[str, str] = {}
        self._code = AppCode(app_id, _HASH, program.root, env=self.env)
        self._signatures: dict[str, Signature] = {
            name: each for each in program.signatures for name in (each.name, *each.also)
        }
        self._conflicts: dict[str, int] = {}
        self._crashes: dict[str, _Crash] = {}
        self._is_apart = False
        loaded = _Loaded(program)
        self.workers: RunsCalls = LocalWorkers(loaded, runtime=runtime, on_line=lambda *_: None)

    def work_apart(self) -> None:
        """Run calls in processes, as a server does, on the real clock."""
        runtime = SystemRuntime()
        starter = Starter(runtime, users=None, on_line=_show, asks_http=True)
        self.workers = Workers(starter, runtime=runtime, processes_max=2, cores=1)
        self._is_apart = True
        self._code = replace(self._code, env=dict(self.env))

    def current(self, app_id: AppId) -> AppCode | None:
        if self._is_apart and self._code.env != self.env:
            # A process is told of secrets when it starts.
            code = self._code
            self._code = replace(code, env=dict(self.env), version=code.version + 1)
        return self._code

    def signatures(self, app_id: AppId) -> Mapping[str, Signature]:
        return self._signatures

    def on_switch(self, listener: Callable[[AppId, AppCode | None], None]) -> None:
        """Nothing else is deployed as long as a test lasts."""

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        crash = self._crashes.pop(call.function, None)
        if crash is not None:
            return await self._die(app, call, side, crash)
        done = await self.workers.call(app, call, side)
        left = self._conflicts.get(call.function, 0)
        if left:
            self._conflicts[call.function] = left - 1
            raise Stale(None, ["as the test says"])
        return done

    def conflict(self, name: str, times: int) -> None:
        """Have the next runs of a mutation meet a commit that changed what they read."""
        self._conflicts[name] = times

    def crash(self, name: str, step: str, *, is_recorded: bool) -> None:
        """Have the process of the next run of an action end in a step, or right after it."""
        self._crashes[name] = _Crash(step, is_recorded)

    async def _die(
        self, app: AppCode, call: CallRequest, side: CallSide, crash: _Crash
    ) -> frames.Done:
        """Run a call whose process ends when the test says so."""
        dying = _Dying(side, crash)
        running = asyncio.ensure_future(self.workers.call(app, call, cast(CallSide, dying)))
        try:
            await asyncio.wait((running, dying.death), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.wait((running,))
        if not dying.death.done():
            self._crashes.setdefault(call.function, crash)  # it did not come to that step
            return running.result()
        hint = {"function": call.function}
        told = f"The worker of {call.function} ended: the test said so."
        raise Unavailable("worker-lost", told, hint)

    async def close(self) -> None:
        await self.workers.close()


class Shown:
    """Writes what functions in processes log to the output of the test."""

    def note(self, app_id: AppId, *, function: str, trace: str, level: Level, text: str) -> None:
        _show(app_id, level, text)


def _show(app_id: str, level: str, text: str) -> None:
    sys.stdout.write(f"{text}\n")


@dataclass(frozen=True, slots=True)
class _Crash:
    """When a process ends: in a step, or once that is recorded."""

    step: str
    is_recorded: bool


class _Dying:
    """The side of a call whose process will end. death   done when it has"""

    def __init__(self, side: CallSide, crash: _Crash) -> None:
        self._side = side
        self._crash = crash
        self.death: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._side, name)

    async def step_done(self, name: str, value: bytes) -> None:
        if name != self._crash.step:
            await self._side.step_done(name, value)
            return
        if self._crash.is_recorded:
            await self._side.step_done(name, value)
        self.death.set_result(None)
        await asyncio.Future()  # what has ended is told nothing


class _Loaded:
    """In place of `functions.loading`: the program that is loaded already."""

    LoadErrors: Any = LoadErrors

    def __init__(self, program: Program) -> None:
        self._program = program

    def load_program(self, path: Path, env: dict[str, str]) -> Program:
        return self._program
