"""Workers with real processes, and calls of `support.worker_program` in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from support import worker_program
from support.patience import POLL_S
from trice.calls.side import AppCode, CallRequest, Level, RunsCalls
from trice.calls.workers.local import LocalWorkers
from trice.calls.workers.starter import Starter
from trice.calls.workers.users import Users
from trice.calls.workers.workers import Workers
from trice.errors import InvalidInput
from trice.functions.frames import Caller
from trice.functions.signature import Kind
from trice.runtime import Runtime, SystemRuntime

TESTS = Path(__file__).resolve().parents[1]


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what another process does, of which nobody tells."""
    while not is_true():  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)


class Side:
    """What a call asked of the server.

    asked   all of it, in order
    open    reads of "wait" are answered when it is set; `waiting` is set by the first of them
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.lines: list[tuple[str, str]] = []
        self.restarts = 0
        self.open = asyncio.Event()
        self.waiting = asyncio.Event()

    async def read(self, query: Any, as_caller: bool) -> bytes:
        self.asked.append(("read", query, as_caller))
        if query == "wait":
            self.waiting.set()
            await self.open.wait()
        if query == "refuse":
            raise InvalidInput("param-malformed", "Not so.", {"at": "query"})
        return orjson.dumps({"answer": self.restarts if query == "restarts" else query})

    def draft(self, steps: list[Any]) -> None:
        self.asked.append(("draft", steps))

    def sub(self) -> None:
        self.asked.append("sub")

    def sub_end(self, is_kept: bool) -> None:
        self.asked.append(("sub-end", is_kept))

    async def run(self, function: str, args: bytes) -> bytes:
        if function == "refuse":
            raise InvalidInput("param-malformed", "Not so.")
        return function.encode()

    def log(self, level: Level, text: str) -> None:
        self.lines.append((level, text))

    async def restart(self) -> None:
        self.asked.clear()
        self.restarts += 1


class MovedRuntime(SystemRuntime):
    """The real clock, and what a test moves it by."""

    def __init__(self) -> None:
        self.shift_ms = 0.0

    def monotonic_ms(self) -> float:
        return super().monotonic_ms() + self.shift_ms


class LocalStage:
    """Calls of an app (`code`) whose functions are those of `support.worker_program`."""

    def __init__(self, runs: RunsCalls, folder: Path) -> None:
        self.runs = runs
        self._folder = folder
        self.code = self.bundle("app")

    def bundle(self, app_id: str, *, load: str = "well", version: int = 1) -> AppCode:
        """The functions of an app. load   how loading them goes"""
        path = self._folder / f"{app_id}-{version}"
        path.mkdir(exist_ok=True)
        (path / "load").write_text(load)
        return AppCode(app_id, "hash", path, {"SECRET_OF_APP": "s3cret"}, version)

    async def call(
        self,
        function: str,
        *,
        side: Side | None = None,
        code: AppCode | None = None,
        kind: Kind = "query",
        timeout_ms: int = 30_000,
        **args: Any,
    ) -> Any:
        """What a function returns."""
        request = CallRequest(
            function=function,
            kind=kind,
            args=orjson.dumps(args),
            caller=Caller(),
            now_ms=0,
            seed="seed",
            trace="0" * 32,
            timeout_ms=timeout_ms,
        )
        done = await self.runs.call(code or self.code, request, side or Side())
        return orjson.loads(done.value)

    async def waits(self, *, kind: Kind = "query") -> tuple[Side, asyncio.Task[Any]]:
        """An innocent call that is under way: it waits for an answer to `side.open.set()`."""
        side = Side()
        task = asyncio.create_task(self.call("ask", side=side, kind=kind, query="wait"))
        await side.waiting.wait()
        return side, task


class WorkerStage(LocalStage):
    """The same in processes.

    lines   what processes wrote outside of calls
    """

    def __init__(self, workers: Workers, starter: Starter, folder: Path, lines: list[str]) -> None:
        super().__init__(workers, folder)
        self.workers = workers
        self.lines = lines
        self._starter = starter

    @property
    def has_spare(self) -> bool:
        return self._starter.has_spare

    async def spare_is_there(self) -> None:
        """Wait until a process waits for an app."""
        await until(lambda: self.has_spare)


def starter_of(
    runtime: Runtime, on_line: Callable[[str, str, str], None], users: Users | None = None
) -> Starter:
    """A starter of processes that run `support.worker_program`."""
    return Starter(
        runtime,
        users=users,
        on_line=on_line,
        loading="support.worker_program",
        python_path=(TESTS,),
    )


@asynccontextmanager
async def open_workers(
    folder: Path,
    *,
    users: Users | None = None,
    processes_max: int = 4,
    cores: int = 2,
    runtime: Runtime | None = None,
) -> AsyncIterator[WorkerStage]:
    """Workers in a folder that everybody may read."""
    runtime = runtime or SystemRuntime()
    lines: list[str] = []
    starter = starter_of(runtime, lambda app, level, text: lines.append(text), users)
    workers = Workers(
        starter, runtime=runtime, processes_max=processes_max, cores=cores, refusal=None
    )
    try:
        yield WorkerStage(workers, starter, folder, lines)
    finally:
        await workers.close()


@asynccontextmanager
async def open_local(folder: Path, *, root: Path | None = None) -> AsyncIterator[LocalStage]:
    """The same in this process. root   the project to load in place of bundles"""
    runs = LocalWorkers(
        worker_program, runtime=SystemRuntime(), on_line=lambda app, level, text: None, root=root
    )
    try:
        yield LocalStage(runs, folder)
    finally:
        await runs.close()


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only its end is not known yet."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
