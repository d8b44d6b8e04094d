"""Bodies by route, over loopback: bounds of each, pieces taken one by one, answers in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest

from support.http_wire import PIECE_BYTES, SMALL_BYTES_MAX, Client, Wire, until, wire
from trice import limits

POST = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
CHUNKED = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
GET = b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n"
UPLOAD_BYTES = 24_000_000
IN_MEMORY_BYTES_MAX = 1_000_000
"""Far more than one read of a socket and what uvicorn keeps beside it, far less than an upload."""


# Transports differ between loops, and the server runs on this one.
pytestmark = pytest.mark.uvloop


class Lost:
    """A transport that uvloop has closed, of which it will tell in the next turn."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def is_closing(self) -> bool:
        return True

    def write(self, data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.fixture
async def open_wire() -> AsyncIterator[Callable[[], Awaitable[Wire]]]:
    """Opens the wire of a test. Nothing is counted for those who have left."""
    async with AsyncExitStack() as left:
        opened = []

        async def open_one() -> Wire:
            opened.append(await left.enter_async_context(wire()))
            return opened[-1]

        yield open_one
    assert all(made.connections.holds_nothing for made in opened)


@pytest.fixture
async def made(open_wire: Callable[[], Awaitable[Wire]]) -> Wire:
    return await open_wire()


async def answer(client: Client) -> tuple[int, Any]:
    head = await client.head()
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split()[1]), orjson.loads(await client.bytes(size))


async def sent(client: Client, data: bytes) -> None:
    """Send, and wait until all of it is with the server."""
    client.say(data)
    await until(lambda: client.writer.transport.get_write_buffer_size() == 0)


@pytest.mark.rule("H105")
async def test_each_route_has_its_own_bound_and_says_it(made: Wire) -> None:
    client = await made.client()
    client.say(POST % (b"/small", SMALL_BYTES_MAX) + b"x" * SMALL_BYTES_MAX)
    assert await answer(client) == (200, SMALL_BYTES_MAX)
    client.say(POST % (b"/other", SMALL_BYTES_MAX + 1) + b"x" * (SMALL_BYTES_MAX + 1))
    assert await answer(client) == (200, SMALL_BYTES_MAX + 1)
    client.say(POST % (b"/small", 1_234_567))
    status, told = await answer(client)
    assert (status, told["type"]) == (413, "message-too-big")
    assert told["hint"] == {"bytes": 1_234_567, "bytes-max": SMALL_BYTES_MAX}
    assert "1,234,567" in told["message"] and "1,000" in told["message"]


@pytest.mark.rule("H105")
async def test_a_body_that_does_not_tell_its_length_is_refused_where_it_is_too_long(
    made: Wire,
) -> None:
    client = await made.client()
    client.say(CHUNKED % b"/small" + b"384\r\n" + b"x" * 900 + b"\r\n")
    client.say(b"384\r\n" + b"x" * 900 + b"\r\n")
    status, told = await answer(client)
    assert (status, told["type"], told["hint"]["bytes-max"]) == (
        413,
        "message-too-big",
        SMALL_BYTES_MAX,
    )


@pytest.mark.rule("H106")
async def test_a_body_in_pieces_is_never_held_whole(open_wire: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_OF_NETWORK_MAX", IN_MEMORY_BYTES_MAX)
    made = await open_wire()
    client = await made.client()
    client.say(POST % (b"/stream", UPLOAD_BYTES) + b"x" * UPLOAD_BYTES)
    server = made.made[0]
    await until(lambda: server.flow is not None and server.flow.read_paused)
    assert 0 < made.connections.unfinished_bytes < IN_MEMORY_BYTES_MAX
    # Nobody takes it: it waits with the client, for as long as that lasts.
    made.pass_time(10 * limits.HTTP_GRACE_MS)
    waiting = client.writer.transport.get_write_buffer_size()
    assert waiting > UPLOAD_BYTES / 2
    assert made.taken == 0
    made.gate.set()
    assert await answer(client) == (200, UPLOAD_BYTES)
    assert made.taken == UPLOAD_BYTES
    # Where a route holds the body whole, as much is too much.
    held = await made.client()
    await sent(held, POST % (b"/other", 3_000_000) + b"x" * 900_000)
    await until(lambda: made.connections.unfinished_bytes > 800_000)
    await sent(held, b"x" * 200_000)
    assert b" 503 " in await held.head()


@pytest.mark.rule("H106")
async def test_who_leaves_in_the_middle_of_a_body_is_forgotten(made: Wire) -> None:
    client = await made.client()
    client.say(POST % (b"/stream", UPLOAD_BYTES) + b"x" * 1_000_000)
    await until(lambda: made.connections.unfinished_bytes)
    client.writer.transport.abort()
    made.gate.set()  # a socket that is not read does not tell that it ended
    await until(lambda: made.connections.unfinished_bytes == 0)
    await until(lambda: not made.made[0].tasks)


@pytest.mark.rule("H107")
async def test_who_sent_much_may_not_rest_for_long(made: Wire) -> None:
    made.gate.set()
    client = await made.client()
    await sent(client, POST % (b"/stream", UPLOAD_BYTES) + b"x" * 10_000_000)
    await until(lambda: made.taken == 10_000_000)
    made.pass_time(limits.HTTP_AHEAD_MS_MAX + limits.HTTP_GRACE_MS - 1_000)
    await sent(client, b"x" * 10_000)
    await until(lambda: made.taken == 10_010_000)
    made.pass_time(10_000)
    assert made.connections.counts.too_slow == 0
    made.pass_time(limits.HTTP_AHEAD_MS_MAX)
    assert made.connections.counts.too_slow == 1
    assert b" 408 " in await client.head()


@pytest.mark.rule("H107")
async def test_who_read_much_may_not_rest_for_long(made: Wire) -> None:
    client = await made.client()
    client.say(GET % b"/pieces/1000")
    await client.bytes(20_000_000)
    await until(lambda: made.made[0].flow.write_paused)
    made.pass_time(limits.HTTP_GRACE_MS + limits.HTTP_AHEAD_MS_MAX + 1_000)
    assert made.connections.counts.too_slow == 1


@pytest.mark.rule("H108")
async def test_an_answer_in_pieces_is_asked_for_no_faster_than_it_is_read(made: Wire) -> None:
    stuck = await made.client()
    stuck.say(GET % b"/pieces/1000")
    await until(lambda: made.made[0].flow.write_paused)
    asked = made.asked
    for _ in range(50):
        await asyncio.sleep(0)
    # One is made ahead; what the system and the other side took is the rest.
    assert made.asked <= asked + 1
    assert made.connections.unread_bytes < 2 * PIECE_BYTES
    reader = await made.client()
    reader.say(GET % b"/pieces/1000")
    head = await reader.head()
    assert b"transfer-encoding: chunked" in head.lower()
    chunk = b"%x\r\n" % PIECE_BYTES + b"x" * PIECE_BYTES + b"\r\n"
    assert await reader.bytes(len(chunk) * 1_000) == chunk * 1_000
    assert await reader.bytes(5) == b"0\r\n\r\n"
    assert (made.ended, made.asked <= 1_000 + asked + 1) == (1, True)
    made.pass_time(limits.HTTP_GRACE_MS + limits.HTTP_AHEAD_MS_MAX + 1_000)
    assert made.connections.counts.too_slow == 1
    await until(lambda: made.ended == 2)


@pytest.mark.rule("H108")
async def test_an_answer_in_pieces_ends_with_whoever_asked_for_it(made: Wire) -> None:
    client = await made.client()
    client.say(GET % b"/pieces/1000000")
    await client.bytes(1_000_000)
    client.writer.transport.abort()
    await until(lambda: made.ended == 1)
    assert made.asked < 1_000


@pytest.mark.rule("H120")
async def test_a_body_too_large_ends_an_answer_that_has_begun(made: Wire, caplog: Any) -> None:
    client = await made.client()
    client.say(b"GET /pieces/1000000 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    await client.bytes(1_000_000)
    chunk = b"x" * 1_000_000
    for _ in range(limits.MESSAGE_BYTES_MAX // len(chunk) + 1):
        client.say(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    await client.rest()
    await until(lambda: made.ended == 1)
    assert len(made.connections) == 0
    assert caplog.records == []


@pytest.mark.rule("H121")
async def test_who_was_lost_a_moment_ago_is_sent_nothing(made: Wire, caplog: Any) -> None:
    client = await made.client()
    client.say(GET % b"/wait")
    server = made.made[0]
    await until(lambda: server.cycle is not None)
    server.transport = server.cycle.transport = Lost(server.transport)
    made.gate.set()
    await until(lambda: server.cycle.disconnected)
    await asyncio.sleep(0)
    assert caplog.records == []
    server.abort()


@pytest.mark.rule("H122")
async def test_an_answer_ends_with_its_client_whatever_was_asked_behind_it(
    made: Wire, caplog: Any
) -> None:
    client = await made.client()
    client.say(GET % b"/silent")
    await client.head()
    client.say(GET % b"/large/1" * 3)
    server = made.made[0]
    await until(lambda: len(server.pipeline) == 3)
    server.transport.abort()
    await until(lambda: made.ended == 1)
    assert caplog.records == []


@pytest.mark.rule("H123")
@pytest.mark.parametrize("path", [b"/silent", b"/wait"])
async def test_no_socket_begins_before_an_earlier_request_is_answered(
    made: Wire, path: bytes, caplog: Any
) -> None:
    client = await made.client()
    client.say(GET % path)
    await until(lambda: made.made[0].cycle is not None)
    client.say(
        b"GET /runtime/session HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade"
        b"\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " not in await client.rest()
    made.gate.set()
    await until(lambda: made.made[0].cycle.disconnected)
    assert caplog.records == []


@pytest.mark.rule("H67")
async def test_cursors_of_pages_come_along_where_they_are_asked_for(stage):
    steps = [["update", "todos", f"e1000000-0000-4000-8000-00000000000{n}", {"n": n}] for n in "12"]
    await stage.ask("POST", "/admin/transact", {"steps": steps}, stage.admin())
    seen, after = [], {}
    for has_next in (True, False):
        body = {"query": {"todos": {"$": {"first": 1, **after}}}, "result-meta?": True}
        answer = (await stage.ask("POST", "/admin/query", body, stage.admin())).json()
        page = answer["result-meta"]["page-info"]["todos"]
        assert page["has-next-page?"] is has_next
        seen += answer["result"]["todos"]
        after = {"after": page["end-cursor"]}
    body = {"query": {"todos": {}}, "result-meta?": False}
    assert {"todos": seen} == (await stage.ask("POST", "/admin/query", body, stage.admin())).json()


@pytest.mark.rule("H68")
async def test_a_transaction_with_a_key_is_applied_once(stage):
    todo = "e1000000-0000-4000-8000-000000000001"
    body = {"steps": [["increment", "todos", todo, {"n": 1}]]}

    async def ask(key: str):
        headers = {**stage.admin(), "idempotency-key": key}
        return await stage.ask("POST", "/admin/transact", body, headers)

    first, again, other = [(await ask(key)).json()["tx-id"] for key in ("a", "a", "b")]
    assert first == again < other
    found = await stage.ask("POST", "/admin/query", {"query": {"todos": {}}}, stage.admin())
    assert found.json()["todos"][0]["n"] == 2
    refused = await ask("x" * 257)
    assert (refused.status, refused.json()["type"]) == (400, "param-malformed")
