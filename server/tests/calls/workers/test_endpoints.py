"""Endpoints in real processes: their answers, whole and in pieces, and what ends them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.endpoint_stage import EndpointStage, open_endpoints
from support.worker_stage import until
from trice.calls.workers.starter import Starter
from trice.calls.workers.workers import Workers
from trice.runtime import SystemRuntime

pytestmark = pytest.mark.uvloop

HOOKS = """
import asyncio, os, time
from trice.functions import *
from trice.functions import Action, Request, Response, http

@http.post("/echo", auth="none")
async def echo(ctx: Action, request: Request) -> Response:
    return Response(request.body, headers={"x-pid": str(os.getpid())})

@http.get("/stream/{how}", auth="none", timeout=0.5)
async def stream(ctx: Action, request: Request, how: str) -> Response:
    async def pieces():
        yield "begun"
        if how == "exit":
            os._exit(3)
        if how == "late":
            await asyncio.Event().wait()
        for _ in range(3):
            yield b"x" * 100_000
    return Response.stream(pieces())

@http.get("/left", auth="none")
async def left(ctx: Action, request: Request) -> Response:
    async def pieces():
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            open(request.query["file"], "w").close()
    return Response.stream(pieces())
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[EndpointStage]:
    runtime = SystemRuntime()
    starter = Starter(runtime, users=None, on_line=lambda app, level, text: None)
    workers = Workers(starter, runtime=runtime, processes_max=2, cores=1)
    async with open_endpoints(tmp_path, HOOKS, runs=workers) as stage:
        yield stage


@pytest.mark.rule("FN531", "FN532", "FN539")
async def test_an_endpoint_answers_from_its_process(stage: EndpointStage, tmp_path: Path) -> None:
    body = bytes(range(256)) * 16_384
    answers = [await stage.answer("POST", "/echo", body) for _ in range(2)]
    assert [each.body == body for each in answers] == [True, True]
    assert answers[0].headers["x-pid"] == answers[1].headers["x-pid"]

    whole = await stage.answer("GET", "/stream/whole")
    assert whole.body == b"begun" + b"x" * 300_000

    client = await stage.client()
    left = tmp_path / "left"
    stage.say(client, "GET", f"/left?file={left}")
    await client.head()
    assert await client.bytes(10) == b"5\r\nbegun\r\n"
    client.writer.transport.abort()
    await until(lambda: stage.app.users == 1 and left.exists())

    for how, told in (
        ("late", "function-timeout: hooks.stream took longer than 500 ms."),
        ("exit", "worker-lost: The worker of hooks.stream ended: it ended by itself."),
    ):
        client = await stage.client()
        stage.say(client, "GET", f"/stream/{how}")
        await client.head()
        assert await client.rest() == b"5\r\nbegun\r\n"
        assert any(told in text for _, text in await stage.lines())
