"""Processes that the kernel confines; actions alone in theirs."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.worker_stage import Side
from trice.calls.side import AppCode, CallRequest
from trice.calls.workers.starter import Starter
from trice.calls.workers.workers import Workers
from trice.functions.frames import Caller, Ready
from trice.functions.signature import Kind
from trice.functions.worker.landlock import ABI_OF_SCOPES, ABI_OF_TCP, abi, lack
from trice.runtime import SystemRuntime

pytestmark = pytest.mark.uvloop
LACK = lack()
FUNCTIONS = """
import os, signal, socket, subprocess, sys, tempfile, zoneinfo
from trice import sync
from trice.functions import Action, Query, action, query

def _said(work):
    try:
        return str(work())
    except OSError as failure:
        return type(failure).__name__

def _look(path, port, pid):
    def connect():
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return "connected"
    def scratch():
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"mine")
            return os.path.dirname(file.name) == tempfile.gettempdir()
    return {
        "own": _said(lambda: open(__file__).read(0) == ""),
        "other": _said(lambda: open(path).read()),
        "folder": _said(lambda: os.listdir(os.path.dirname(path))),
        "write": _said(lambda: open(__file__ + ".new", "w")),
        "made": _said(lambda: open(path + ".made", "w")),
        "etc": _said(lambda: open("/etc/passwd").read(0)),
        "scratch": _said(scratch),
        "zone": str(zoneinfo.ZoneInfo("Europe/Berlin")),
        "signal": _said(lambda: os.kill(pid, 0)),
        "connect": _said(connect),
    }

@query
async def look(ctx: Query, path: str, port: int, pid: int) -> dict[str, str]:
    return _look(path, port, pid)

@action
def acts(ctx: sync.Action, path: str, port: int, pid: int) -> dict[str, str]:
    found = _look(path, port, pid)
    found["program"] = subprocess.run(
        [sys.executable, "-c", "print(1 + 1)"], capture_output=True, text=True
    ).stdout
    return found

@action(isolated=True)
async def alone(ctx: Action) -> int:
    return os.getpid()

@action
async def together(ctx: Action) -> int:
    return os.getpid()
"""


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    runtime = SystemRuntime()
    starter = Starter(
        runtime,
        users=None,
        on_line=lambda app, level, text: None,
        is_confined=LACK is None,
    )
    workers = Workers(starter, runtime=runtime, processes_max=6, cores=2)
    yield workers
    await workers.close()


@pytest.fixture
def code(tmp_path: Path) -> AppCode:
    (tmp_path / "app" / "functions").mkdir(parents=True)
    (tmp_path / "app" / "functions" / "a.py").write_text(FUNCTIONS)
    return AppCode("app", "hash", tmp_path / "app", {}, 1)


async def call(
    workers: Workers,
    code: AppCode,
    name: str,
    kind: Kind,
    *,
    is_isolated: bool = False,
    **args: Any,
) -> Any:
    request = CallRequest(
        function=f"a.{name}",
        kind=kind,
        args=orjson.dumps(args),
        caller=Caller(),
        now_ms=0,
        seed="seed",
        trace="0" * 32,
        timeout_ms=30_000,
        is_isolated=is_isolated,
    )
    return orjson.loads((await workers.call(code, request, Side())).value)


@pytest.mark.rule("FN662")
@pytest.mark.skipif(LACK is not None, reason=f"this kernel {LACK}")
async def test_a_process_that_is_confined(workers: Workers, code: AppCode, tmp_path: Path) -> None:
    """What its user may read, root even, it may not. Actions connect, and start programs."""
    secret = tmp_path / "secret"
    secret.write_text("of the server")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        about = {"path": str(secret), "port": listening.getsockname()[1], "pid": os.getpid()}
        found = await call(workers, code, "look", "query", **about)
        acted = await call(workers, code, "acts", "action", **about)
    denied = dict.fromkeys(("other", "folder", "write", "made", "etc"), "PermissionError")
    denied["signal"] = "PermissionError" if abi() >= ABI_OF_SCOPES else "None"
    allowed = {"own": "True", "scratch": "True", "zone": "Europe/Berlin"}
    keeps_tcp = abi() >= ABI_OF_TCP
    assert found == denied | allowed | {"connect": "PermissionError" if keeps_tcp else "connected"}
    assert acted == denied | allowed | {"connect": "connected", "program": "2\n"}


@pytest.mark.rule("FN665")
async def test_an_isolated_action_is_alone_in_its_process(workers: Workers, code: AppCode) -> None:
    ready = await workers.check(str(code.path), {})
    assert isinstance(ready, Ready)
    assert [each.name for each in ready.functions if each.is_isolated] == ["a.alone"]
    both = [call(workers, code, "alone", "action", is_isolated=True) for _ in range(2)]
    beside = [call(workers, code, "together", "action") for _ in range(4)]
    *others, first, second = await asyncio.gather(*beside, *both)
    assert not {first, second} & set(others)
