"""What is deployed in the app of a test, and what runs it: the functions of the project, in this
process, by the same frames as in workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from trice.calls.side import AppCode, CallRequest, CallSide
from trice.calls.workers.local import LocalWorkers
from trice.data_run import Stale
from trice.functions import frames
from trice.functions.loading import LoadErrors
from trice.functions.program import Program
from trice.functions.signature import Signature
from trice.protocol.ids import AppId
from trice.runtime import Runtime

_HASH: Final = "0" * 64


class Runs:
    """Implements `functions.Deployed` and `functions.Runs` for one test.

    env   the app's secrets by name, as the test sets them
    """

    def __init__(self, program: Program, app_id: AppId, *, runtime: Runtime) -> None:
        self.env: dict[str, str] = {}
        self._code = AppCode(app_id, _HASH, program.root, env=self.env)
        self._signatures: dict[str, Signature] = {
            name: each for each in program.signatures for name in (each.name, *each.also)
        }
        self._conflicts: dict[str, int] = {}
        loaded = _Loaded(program)
        self._workers = LocalWorkers(loaded, runtime=runtime, on_line=lambda *_: None)

    def current(self, app_id: AppId) -> AppCode | None:
        return self._code

    def signatures(self, app_id: AppId) -> Mapping[str, Signature]:
        return self._signatures

    def on_switch(self, listener: Callable[[AppId, AppCode | None], None]) -> None:
        """Nothing else is deployed as long as a test lasts."""

    async def call(self, app: AppCode, call: CallRequest, side: CallSide) -> frames.Done:
        done = await self._workers.call(app, call, side)
        left = self._conflicts.get(call.function, 0)
        if left:
            self._conflicts[call.function] = left - 1
            raise Stale(None, ["as the test says"])
        return done

    def conflict(self, name: str, times: int) -> None:
        """Have the next runs of a mutation meet a commit that changed what they read."""
        self._conflicts[name] = times

    async def close(self) -> None:
        await self._workers.close()


class _Loaded:
    """In place of `functions.loading`: the program that is loaded already."""

    LoadErrors: Any = LoadErrors

    def __init__(self, program: Program) -> None:
        self._program = program

    def load_program(self, path: Path, env: dict[str, str]) -> Program:
        return self._program
