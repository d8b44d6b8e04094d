"""A project of functions as people write it, in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

import trice
from support.worker_stage import Side
from trice.calls.side import AppCode, CallFailed, CallRequest
from trice.calls.workers.starter import Starter
from trice.calls.workers.workers import Workers
from trice.errors import FunctionFailed, TriceError
from trice.functions.frames import Broken, Caller, Ready
from trice.runtime import SystemRuntime

pytestmark = pytest.mark.uvloop

FUNCTIONS = """
from typing import Any

from trice.functions import FunctionError, Query, query

@query
async def twice(ctx: Query[Any], number: int) -> int:
    print("counting")
    return 2 * number

@query
async def refuse(ctx: Query[Any]) -> None:
    raise FunctionError("not-today", "Come back.", data={"day": ctx.env["DAY"]}, status=409)

@query
async def fail(ctx: Query[Any]) -> None:
    raise ZeroDivisionError("by nothing")

@query
async def grow(ctx: Query[Any]) -> None:
    bytearray(10 * 2**30)
"""


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    runtime = SystemRuntime()
    starter = Starter(runtime, users=None, on_line=lambda app, level, text: None)
    workers = Workers(starter, runtime=runtime, processes_max=2, cores=1)
    yield workers
    await workers.close()


@pytest.fixture
def code(tmp_path: Path) -> AppCode:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "sums.py").write_text(FUNCTIONS)
    return AppCode("app", "hash", tmp_path, {"DAY": "Sunday"}, 1)


async def call(
    workers: Workers, code: AppCode, name: str, side: Side | None = None, **args: object
) -> object:
    request = CallRequest(
        function=f"sums.{name}",
        kind="query",
        args=orjson.dumps(args),
        caller=Caller(),
        now_ms=0,
        seed="seed",
        trace="0" * 32,
        timeout_ms=30_000,
    )
    return orjson.loads((await workers.call(code, request, side or Side())).value)


@pytest.mark.rule("FN140")
async def test_a_project_runs(workers: Workers, code: AppCode) -> None:
    side = Side()
    assert await call(workers, code, "twice", side, number=21) == 42
    assert side.lines == [("info", "counting")]
    with pytest.raises(TriceError) as failure:
        await call(workers, code, "twice", number="x")
    assert failure.value.code == "bad-args"


@pytest.mark.rule("FN140")
async def test_what_functions_raise(workers: Workers, code: AppCode) -> None:
    with pytest.raises(CallFailed, match="Come back") as refused:
        await call(workers, code, "refuse")
    assert refused.value.code == "function-error"
    assert refused.value.hint == {"code": "not-today", "data": {"day": "Sunday"}}
    assert refused.value.fail.status == 409
    with pytest.raises(CallFailed) as failed:
        await call(workers, code, "fail")
    assert failed.value.code == "function-failed"
    assert "by nothing" in failed.value.fail.traceback
    assert "by nothing" not in failed.value.message, "only the log has it"


@pytest.mark.rule("FN151")
async def test_a_project_has_so_much_memory(workers: Workers, code: AppCode) -> None:
    with pytest.raises(FunctionFailed) as failure:
        await call(workers, code, "grow")
    assert failure.value.code == "function-memory"


@pytest.mark.rule("FN157")
async def test_a_project_is_checked(workers: Workers, code: AppCode) -> None:
    ready = await workers.check(str(code.path), code.env)
    assert isinstance(ready, Ready)
    assert [each.name for each in ready.functions] == [
        "sums.twice",
        "sums.refuse",
        "sums.fail",
        "sums.grow",
    ]
    (code.path / "functions" / "sums.py").write_text("def f(:")
    broken = await workers.check(str(code.path), code.env)
    assert isinstance(broken, Broken)
    assert [(each.file, each.line) for each in broken.errors] == [("functions/sums.py", 1)]
    ends = "import os\nos.write(2, b'no room\\n')\nos._exit(3)\n"
    (code.path / "functions" / "sums.py").write_text(ends)
    broken = await workers.check(str(code.path), code.env)
    assert isinstance(broken, Broken)
    assert broken.errors[0].message == (
        "Loading the bundle ended the process. Its last lines: no room"
    )


def test_a_process_imports_little_before_it_is_given_a_project() -> None:
    """Its start is imports for the most part: of 250 modules, a fifth of them ours, and of packages
    only those that read and write values."""
    program = "import sys, trice.functions.worker.__main__, trice.functions.loading;"
    told = subprocess.run(
        [sys.executable, "-P", "-c", f"{program} print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(Path(trice.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(told.stdout.split())
    packages = {name.partition(".")[0] for name in modules}
    servers = {"apsw", "icu", "uvicorn", "uvloop", "picows", "starlette", "httpx", "click", "re2"}
    assert not packages & servers
    assert len(modules) <= 300
    assert len({name for name in modules if name.startswith("trice.")}) <= 70
