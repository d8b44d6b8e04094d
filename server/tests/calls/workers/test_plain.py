"""Plain functions in processes: what one of them does, its neighbours do not feel."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import trice
from support.function_stage import PROJECTS, write_project
from support.worker_stage import TESTS, Side
from trice import function_limits as limits
from trice.calls.side import AppCode, CallRequest, CallSide
from trice.calls.workers.local import LocalWorkers
from trice.calls.workers.starter import Starter
from trice.calls.workers.users import Users
from trice.calls.workers.workers import Workers
from trice.errors import TriceError
from trice.functions import loading
from trice.functions.frames import Caller, Done
from trice.functions.signature import Kind
from trice.runtime import SystemRuntime

pytestmark = pytest.mark.uvloop
NOBODY = 65_534
SOURCE = Path(trice.__file__).parents[1]


class Rows(Side):
    """Answers as tables do; reads wait until `open` is set."""

    async def read(self, query: Any, as_caller: bool) -> bytes:
        self.waiting.set()
        await self.open.wait()
        return orjson.dumps({"notes": {"count": 0}})


def opened() -> Rows:
    side = Rows()
    side.open.set()
    return side


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    runtime = SystemRuntime()
    # Root may start threads whatever its limits say.
    users = Users(NOBODY, NOBODY)
    starter = Starter(runtime, users=users, on_line=lambda app, level, text: None)
    workers = Workers(starter, runtime=runtime, processes_max=2, cores=1)
    yield workers
    await workers.close()


CODE = AppCode("app", "hash", PROJECTS / "plain", {}, 1)


async def call(
    runs: Any,
    name: str,
    side: CallSide,
    *,
    timeout_ms: int = 30_000,
    kind: Kind = "query",
    **args: Any,
) -> Any:
    request = CallRequest(
        function=f"notes.{name}",
        kind=kind,
        args=orjson.dumps(args),
        caller=Caller(),
        now_ms=0,
        seed="seed",
        trace="0" * 32,
        timeout_ms=timeout_ms,
    )
    done: Done = await runs.call(CODE, request, side)
    return orjson.loads(done.value)


@pytest.mark.rule("FN170")
async def test_as_many_run_at_once_as_a_process_has_calls(workers: Workers) -> None:
    """Each prints into its own log; the process may start no thread by then."""
    sides = [Rows() for _ in range(limits.PURE_CALLS)]
    calls = [asyncio.create_task(call(workers, "prints", each, lines=2)) for each in sides]
    for side in sides:
        await side.waiting.wait()
    for side in sides:
        side.open.set()
    await asyncio.gather(*calls)
    assert all(side.lines == [("info", "line 0"), ("info", "line 1")] for side in sides)
    assert "can't start new thread" in (await failure_of(call(workers, "leaks", opened()))).cause


class Told:
    """How a call failed. cause: what the log has of it"""

    def __init__(self, failure: TriceError) -> None:
        self.code, self.message = failure.code, failure.message
        self.cause: str = getattr(getattr(failure, "fail", None), "traceback", "")


async def failure_of(call: Any) -> Told:
    with pytest.raises(TriceError) as failure:
        await call
    return Told(failure.value)


@pytest.mark.rule("FN651")
async def test_an_endless_loop_is_told_and_innocents_begin_again(workers: Workers) -> None:
    sides = {name: Rows() for name in ("prints", "count")}
    innocent = [
        asyncio.create_task(call(workers, "prints", sides["prints"], lines=1)),
        asyncio.create_task(call(workers, "count", sides["count"])),
    ]
    for side in sides.values():
        await side.waiting.wait()
    failure = await failure_of(call(workers, "spins", opened()))
    assert failure.code == "function-timeout"
    assert "functions/notes.py" in failure.message and "in spins" in failure.message
    for side in sides.values():
        side.open.set()
    assert await asyncio.gather(*innocent) == [None, 0]
    assert [side.restarts for side in sides.values()] == [1, 1]


@pytest.mark.rule("FN651")
async def test_one_whose_time_is_over_ends_where_it_waits(workers: Workers) -> None:
    innocent = Rows()
    beside = asyncio.create_task(call(workers, "count", innocent))
    await innocent.waiting.wait()
    failure = await failure_of(call(workers, "prints", Rows(), lines=1, timeout_ms=50))
    assert failure.code == "function-timeout"
    again = await asyncio.gather(
        *(failure_of(call(workers, "prints", Rows(), lines=1, timeout_ms=50)) for _ in range(20))
    )
    assert {each.code for each in again} == {"function-timeout"}
    innocent.open.set()
    assert await beside == 0
    assert innocent.restarts == 0, "their threads were free again, and their process went on"


@pytest.mark.rule("FN651")
async def test_one_that_does_not_end_when_it_is_told_to(workers: Workers) -> None:
    innocent = Rows()
    beside = asyncio.create_task(call(workers, "count", innocent))
    await innocent.waiting.wait()
    failure = await failure_of(call(workers, "stays", opened(), timeout_ms=50))
    assert failure.code == "function-timeout"
    innocent.open.set()
    assert await beside == 0
    assert innocent.restarts <= 1


@pytest.mark.rule("FN169")
async def test_the_same_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    workers = LocalWorkers(loading, runtime=SystemRuntime(), on_line=lambda *_: None)
    assert await call(workers, "prints", opened(), lines=1) is None
    assert capsys.readouterr().out == "line 0\n"
    assert "on the thread of its function" in await call(workers, "leaks", opened())
    failure = await failure_of(call(workers, "prints", Rows(), lines=1, timeout_ms=20))
    assert failure.code == "function-timeout"
    await workers.close()


DEBUGGED = """
import asyncio, sys
from pathlib import Path
from support.worker_stage import Side
from trice.calls.side import AppCode, CallRequest
from trice.calls.workers.local import LocalWorkers
from trice.functions import loading
from trice.functions.frames import Caller
from trice.runtime import SystemRuntime

async def main():
    runs = LocalWorkers(
        loading, runtime=SystemRuntime(), on_line=lambda *_: None, has_deadline=False
    )
    request = CallRequest(
        function="a.f", kind="query", args=b"{}", caller=Caller(), now_ms=0, seed="", trace="",
        timeout_ms=1,
    )
    done = await runs.call(AppCode("app", "hash", Path(sys.argv[1])), request, Side())
    print("value", done.value.decode())

asyncio.run(main())
"""


@pytest.mark.rule("FN169")
async def test_a_breakpoint_of_a_plain_function_stops_in_the_terminal(tmp_path: Path) -> None:
    source = "from trice import sync\nfrom trice.functions import query\n\n@query\n"
    source += "def f(ctx: sync.Query) -> int:\n    n = 41\n    breakpoint()\n    return n + 1\n"
    write_project(tmp_path, {"functions/a.py": source})
    typed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DEBUGGED, str(tmp_path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, TESTS)))},
    )
    told, _ = await typed.communicate(b"p n * 1000\nc\n")
    assert f"> {tmp_path}/functions/a.py(8)f()".encode() in told
    assert b"41000" in told and b"value 42" in told
