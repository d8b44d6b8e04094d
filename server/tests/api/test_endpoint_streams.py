"""Answers of endpoints over real sockets: in pieces, cut off, refused; clients that do what no
client should.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.endpoint_stage import EndpointStage, open_endpoints
from support.http_wire import Client, until
from support.memory_client import MemoryClient
from support.runtime import settle
from trice import endpoint_limits, function_limits, limits

HOOKS = """
import asyncio
from trice.functions import *
from trice.functions import Action, Request, Response, action, http

GATE, ASKED = asyncio.Event(), asyncio.Event()
MADE: list[int] = []
ENDED: list[str] = []

@http.get("/pieces/{count}", auth="none")
async def pieces(ctx: Action, request: Request, count: int) -> Response:
    async def numbers():
        try:
            for number in range(count):
                MADE.append(number)
                yield f"{number};"
        finally:
            ENDED.append("numbers")
    return Response.stream(numbers(), media_type="text/plain", headers={"x-a": "b"})

@http.get("/endless", auth="none")
async def endless(ctx: Action, request: Request) -> Response:
    async def zeros():
        try:
            while True:
                MADE.append(0)
                yield b"0" * 200_000
        finally:
            ENDED.append("zeros")
    return Response.stream(zeros())

@http.get("/silent", auth="none")
async def silent(ctx: Action, request: Request) -> Response:
    async def waits():
        try:
            yield "first"
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ENDED.append("cancelled")
            raise
    return Response.stream(waits())

@http.get("/breaks/{how}", auth="none", timeout=5)
async def breaks(ctx: Action, request: Request, how: str) -> Response:
    async def some():
        yield "begun"
        if how == "bug":
            raise ZeroDivisionError("by nothing")
        if how == "told":
            raise FunctionError("sold-out", "Nothing is left.")
        if how == "late":
            await GATE.wait()
        yield 5
    return Response.stream(some())

@http.post("/waits", auth="none")
async def waits(ctx: Action, request: Request) -> Response:
    ASKED.set()
    await GATE.wait()
    ENDED.append("waits")
    return Response(str(len(request.body)))

@action
async def acts(ctx: Action) -> None:
    ASKED.set()
    try:
        await GATE.wait()
    finally:
        ENDED.append("acts" if GATE.is_set() else "cancelled")

@http.post("/size", auth="none")
async def size(ctx: Action, request: Request) -> Response:
    return Response(f"{len(request.body)} {len(request.headers.getall('x-a'))}")

@http.post("/mine", auth="user")
async def mine(ctx: Action, request: Request) -> Response:
    return Response()

@http.get("/injects", auth="none")
async def injects(ctx: Action, request: Request) -> Response:
    how = request.query["how"]
    if how == "checked":
        return Response(headers={"x-a": request.query["text"]})
    made = Response("x", headers={"x-a": "b"})
    if how == "header":
        made.headers.append(("x-b", request.query["text"]))
    elif how == "cookie":
        made.headers.append(("set-cookie", "a=b"))
    else:
        made.status = 101
    return made
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[EndpointStage]:
    async with open_endpoints(tmp_path, HOOKS) as stage:
        yield stage


async def begun(stage: EndpointStage, path: str, size: int) -> tuple[Client, bytes]:
    """A client that asked for a stream, and so many bytes of the first piece."""
    client = await stage.client()
    stage.say(client, "GET", path)
    head = await client.head()
    assert b" 200 " in head and b"transfer-encoding: chunked" in head.lower()
    return client, await client.bytes(size)


async def answer(stage: EndpointStage, *words: str, body: bytes = b"") -> bytes:
    """All that comes to a request on a connection of its own."""
    client = await stage.client()
    stage.say(client, *words, "connection: close", body=body)
    return await client.rest()


@pytest.mark.rule("FN531")
async def test_a_stream_arrives_whole(stage: EndpointStage) -> None:
    told = (await answer(stage, "GET", "/pieces/3")).decode()
    head, _, body = told.partition("\r\n\r\n")
    assert "x-a: b" in head and "content-type: text/plain" in head
    assert "content-security-policy: sandbox" in head
    assert body == "2\r\n0;\r\n2\r\n1;\r\n2\r\n2;\r\n0\r\n\r\n"
    assert (stage.module.MADE, stage.module.ENDED) == ([0, 1, 2], ["numbers"])


@pytest.mark.rule("FN524", "FN531")
async def test_a_stream_that_nobody_wants_is_ended(stage: EndpointStage) -> None:
    head, _, body = (await answer(stage, "HEAD", "/endless")).partition(b"\r\n\r\n")
    assert (b" 200 " in head, body) == (True, b"")
    await until(lambda: stage.app.users == 1)
    assert len(stage.module.MADE) <= 1


@pytest.mark.rule("FN531")
async def test_who_does_not_read_holds_up_its_stream_and_is_cut_off(stage: EndpointStage) -> None:
    await begun(stage, "/endless", 10)
    await until(stage.made[-1].transport.get_write_buffer_size)
    for _ in range(10):
        await settle()
    count = len(stage.module.MADE)
    for _ in range(10):
        await settle()
    assert len(stage.module.MADE) == count < 100
    await stage.pass_time(limits.HTTP_GRACE_MS + 2 * limits.HTTP_CHECK_MS)
    await until(lambda: stage.module.ENDED)
    assert (stage.module.ENDED, stage.app.users) == (["zeros"], 1)


@pytest.mark.rule("FN531")
async def test_a_stream_ends_with_its_client(stage: EndpointStage) -> None:
    for path, told in (("/endless", "zeros"), ("/silent", "cancelled")):
        client, _ = await begun(stage, path, 5)
        client.writer.transport.abort()
        await until(lambda: stage.module.ENDED)
        assert [told] == stage.module.ENDED
        await until(lambda: stage.app.users == 1)
        stage.module.ENDED.clear()


@pytest.mark.rule("FN535")
async def test_a_stream_has_a_place_among_actions_until_it_ends(
    stage: EndpointStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "CALLS_MAX", 1)
    first, _ = await begun(stage, "/silent", 5)
    second = await stage.client()
    stage.say(second, "GET", "/pieces/1", "connection: close")
    await until(lambda: stage.app.users == 4)  # the fixture, two calls, and who waits for one
    for _ in range(10):
        await settle()
    assert stage.module.MADE == []
    first.writer.transport.abort()
    assert (await second.rest()).endswith(b"2\r\n0;\r\n0\r\n\r\n")
    assert stage.module.ENDED == ["cancelled", "numbers"]


@pytest.mark.rule("FN532")
async def test_a_stream_that_fails_is_cut_off_and_logged(stage: EndpointStage) -> None:
    for how, line in (
        ("bug", "by nothing"),
        ("told", "function-error: Nothing is left."),
        ("number", "A stream yields bytes or text, not 5"),
        ("late", "function-timeout: hooks.breaks took longer than 5000 ms."),
    ):
        client, first = await begun(stage, f"/breaks/{how}", 10)
        assert first == b"5\r\nbegun\r\n"
        if how == "late":
            await stage.pass_time(5_000)
        assert await client.rest() == b"", "not even the end of the last chunk"
        await until(lambda: stage.app.users == 1)
        told = [text for level, text in await stage.lines() if level == "error"]
        assert any(line in text for text in told)
        assert told[-1].startswith("The answer was cut off: ")


@pytest.mark.rule("FN533")
async def test_what_does_not_stream_is_done_although_its_client_left(stage: EndpointStage) -> None:
    client = await stage.client()
    stage.say(client, "POST", "/waits", "content-length: 3", body=b"abc")
    await until(lambda: stage.module.ASKED.is_set())
    client.writer.transport.abort()
    await until(lambda: not len(stage.connections))
    assert (stage.module.ENDED, stage.app.users > 1) == ([], True)
    stage.module.GATE.set()
    await until(lambda: stage.app.users == 1)
    assert stage.module.ENDED == ["waits"]


@pytest.mark.rule("FN534")
@pytest.mark.parametrize("is_in_time", [True, False])
async def test_an_action_is_done_although_its_session_left(
    stage: EndpointStage, is_in_time: bool
) -> None:
    client = MemoryClient(stage.hub)
    await client.init(stage.app.id, trice={"version": 1, "features": ["functions"]})
    client.say("call", name="hooks.acts")
    await until(lambda: stage.module.ASKED.is_set())
    client.session.on_closed()
    await settle()
    assert (stage.module.ENDED, stage.app.users) == ([], 2), "the fixture has it, and the action"
    if is_in_time:
        stage.module.GATE.set()
    else:
        await stage.pass_time(function_limits.ACTION_MS)
    await until(lambda: stage.app.users == 1)
    assert ["acts" if is_in_time else "cancelled"] == stage.module.ENDED


@pytest.mark.rule("FN530")
async def test_bodies_are_bounded_before_they_are_there(
    stage: EndpointStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = endpoint_limits.BODY_BYTES_MAX
    length = f"content-length: {most}"
    assert (await answer(stage, "POST", "/size", length, body=b"x" * most)).endswith(b"8388608 0")
    told = await answer(stage, "POST", "/size", "content-length: 104857600")
    assert b" 413 " in told and b"message-too-big" in told
    early = await stage.client()
    stage.say(early, "POST", "/mine", length)
    assert b" 401 " in await early.head(), "who may not ask is told before the body is read"

    monkeypatch.setattr(endpoint_limits, "REQUESTS_OF_NETWORK_BYTES_MAX", 100_000)
    large = await answer(stage, "POST", "/size", "content-length: 200000", body=b"x" * 200_000)
    assert b" 503 " in large and b"overloaded" in large
    small = await answer(stage, "POST", "/size", "content-length: 60000", body=b"x" * 60_000)
    assert small.endswith(b"60000 0")


@pytest.mark.rule("FN530")
async def test_a_body_without_a_length_is_cut_off_and_a_slow_one_is_late(
    stage: EndpointStage,
) -> None:
    client = await stage.client()
    stage.say(client, "POST", "/size", "transfer-encoding: chunked")
    for _ in range(9):
        client.say(b"%x\r\n%b\r\n" % (1_000_000, b"x" * 1_000_000))
    assert b" 413 " in await client.head()

    slow = await stage.client()
    stage.say(slow, "POST", "/size", "content-length: 100000", body=b"x")
    await until(lambda: stage.app.users > 1)
    await stage.pass_time(limits.HTTP_GRACE_MS + 2 * limits.HTTP_CHECK_MS)
    assert b" 408 " in await slow.rest()
    await until(lambda: stage.app.users == 1)


@pytest.mark.rule("FN522", "FN530")
async def test_ten_thousand_headers(stage: EndpointStage) -> None:
    assert (await answer(stage, "POST", "/size", *["x-a: b"] * 10_000)).endswith(b"0 10000")
    client = await stage.client()
    stage.say(client, "POST", "/size", *[f"x-a: {'b' * 100}"] * 10_000)
    assert b" 400 " in await client.head()


@pytest.mark.rule("FN526")
async def test_no_header_begins_inside_another(stage: EndpointStage) -> None:
    for query, code in (
        ("how=checked&text=a%0D%0Aset-cookie:%20a=b", b"function-failed"),
        ("how=header&text=a%0D%0A%0D%0A%3Cscript%3E", b"bad-result"),
        ("how=header&text=%E2%82%AC", b"bad-result"),
        ("how=cookie", b"bad-result"),
        ("how=status", b"bad-result"),
    ):
        told = await answer(stage, "GET", f"/injects?{query}")
        head, _, body = told.partition(b"\r\n\r\n")
        assert b" 500 " in head and code in body
        assert b"set-cookie" not in head.lower() and b"x-a" not in head
