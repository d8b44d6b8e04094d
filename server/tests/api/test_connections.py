"""Connections that send, read and hold on to things slower or more than they should."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack

import orjson
import pytest

from support.http_wire import PIECE_BYTES, until, wire
from trice import limits
from trice.api.connections import descriptors_for_sockets

GRACE_MS = limits.HTTP_GRACE_MS
HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
OTHER = "127.0.0.2"


# Transports differ between loops, and the server runs on this one.
pytestmark = pytest.mark.uvloop


@pytest.fixture
async def open_wire():
    """Opens the wire of a test. Whatever happened, nothing is counted for those who have left."""
    async with AsyncExitStack() as left:
        opened = []

        async def open_one(**options):
            opened.append(await left.enter_async_context(wire(**options)))
            return opened[-1]

        yield open_one
    assert all(made.connections.holds_nothing for made in opened)


@pytest.fixture
async def made(open_wire):
    return await open_wire()


def code(answer: bytes) -> tuple[int, str]:
    """Status and error type of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(body).get("type")


async def says(made, client, data):
    """Send, and wait until the server has it."""
    server = made.made[made.clients.index(client)]
    before = server.body_bytes
    client.say(data)
    await until(lambda: server.body_bytes != before)


@pytest.mark.rule("H35")
@pytest.mark.parametrize("beginning", [HEAD, b"GET /"])
async def test_headers_that_never_end_are_given_up(made, beginning):
    client = await made.client()
    await says(made, client, beginning)
    for _ in range(GRACE_MS // 1000):
        await says(made, client, b"x")  # a byte now and then prolongs nothing
        made.pass_time(1_000)
    assert len(made.connections) == 1
    made.pass_time(1_000)
    assert code(await client.rest()) == (408, "timeout")


@pytest.mark.rule("H35")
async def test_a_body_must_make_progress(made):
    slow, steady = await made.client(), await made.client()
    for client in (slow, steady):
        await says(made, client, POST % 200_000)
    for _ in range(40):
        if made.connections.counts.too_slow == 0:
            await says(made, slow, b"x" * 100)
        await says(made, steady, b"x" * 1_000)
        made.pass_time(1_000)
    assert made.connections.counts.too_slow == 1
    assert code(await slow.rest()) == (408, "timeout")
    steady.say(b"x" * 160_000)
    assert b"200 OK" in await steady.head()


@pytest.mark.rule("H35")
async def test_a_body_that_nobody_waits_for_gets_no_more_time(made):
    client = await made.client()
    size = limits.MESSAGE_BYTES_MAX + 1
    client.say(POST % size)
    assert b" 413 " in await client.head()
    for _ in range(GRACE_MS // 1000 + 1):
        client.say(b"x" * 10_000)
        await until(lambda: client.writer.transport.get_write_buffer_size() == 0)
        made.pass_time(1_000)
    assert made.connections.counts.too_slow == 1


@pytest.mark.rule("H36")
async def test_an_answer_must_be_read(made):
    stuck, reader = await made.client(), await made.client()
    for client in (stuck, reader):
        client.say(b"GET /large/20000000 HTTP/1.1\r\nhost: x\r\n\r\n")
    ends = made.made
    await until(lambda: all(end.transport.get_write_buffer_size() for end in ends))
    for _ in range(3):
        made.pass_time(GRACE_MS // 2)
        backlog = ends[1].transport.get_write_buffer_size()
        await reader.bytes(5_000_000)
        await until(lambda b=backlog: ends[1].transport.get_write_buffer_size() < b)
    assert made.connections.counts.too_slow == 1
    assert len(await stuck.rest()) < 20_000_000
    assert len(await reader.bytes(5_000_000)) == 5_000_000


@pytest.mark.rule("H37")
async def test_a_stall_of_the_server_throws_nobody_out(made):
    client = await made.client()
    await says(made, client, HEAD)
    made.runtime.advance(10 * GRACE_MS)
    made.connections.check()
    client.say(b"\r\n")
    assert b"200 OK" in await client.head()


@pytest.mark.rule("H38")
async def test_who_never_asks_is_closed_as_who_asked(made):
    silent, asked = await made.client(), await made.client()
    await asked.get("/")
    made.pass_time(75_000)
    assert len(made.connections) == 2
    made.pass_time(1_000)
    assert await silent.rest() == b""
    assert made.made[1].timeout_keep_alive_task is not None


@pytest.mark.rule("H39")
async def test_at_its_share_a_network_loses_its_oldest_idle_connection(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_OF_NETWORK_MAX", 2)
    made = await open_wire()
    first, second, other = await made.client(), await made.client(), await made.client(OTHER)
    await first.get("/")  # idle since later than the second
    third = await made.client()
    assert await second.rest() == b""
    for client in (first, third, other):
        assert b"200 OK" in await client.get("/")
    assert made.connections.counts.closed_idle == 1


@pytest.mark.rule("H39")
async def test_all_together_the_network_with_most_idle_ones_makes_room(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_MAX", 3)
    made = await open_wire()
    other, first, second = await made.client(OTHER), await made.client(), await made.client()
    await made.client("127.0.0.3")
    assert await first.rest() == b""
    assert b"200 OK" in await other.get("/")
    assert b"200 OK" in await second.get("/")


@pytest.mark.rule("H39", "H40")
async def test_beyond_the_bounds_only_health_is_answered(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_OF_NETWORK_MAX", 1)
    made = await open_wire()
    busy = await made.client()
    await says(made, busy, HEAD)
    turn_key, other = await made.client(), await made.client(OTHER)
    assert code(await turn_key.get("/admin/query")) == (503, "overloaded")
    assert await turn_key.rest() == b""
    assert b"200 OK" in await (await made.client()).get("/health")
    socket = await made.client()
    socket.say(HEAD + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert code(await socket.rest()) == (503, "overloaded")
    assert b"200 OK" in await other.get("/")
    busy.say(b"\r\n")
    assert b"200 OK" in await busy.head()
    assert made.connections.counts.refused == 3


@pytest.mark.rule("H40")
async def test_connections_beyond_the_bounds_are_few(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_OF_NETWORK_MAX", 1)
    monkeypatch.setattr(limits, "HTTP_EXTRA_CONNECTIONS_MAX", 2)
    made = await open_wire()
    busy = await made.client()
    await says(made, busy, HEAD)
    clients = [await made.client() for _ in range(5)]
    assert len(made.connections) == 3
    for client in clients[:3]:
        assert await client.rest() == b""
    assert b"200 OK" in await clients[4].get("/health")


@pytest.mark.rule("H41")
async def test_unfinished_requests_have_a_share_each_and_all_together(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_OF_NETWORK_MAX", 100_000)
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_MAX", 150_000)
    made = await open_wire()

    async def upload(address, size):
        client = await made.client(address)
        count = made.connections.unfinished_bytes
        client.say(POST % 1_000_000 + b"x" * size)
        await until(lambda: made.connections.unfinished_bytes != count or made.made[-1].cycle)
        return client

    await upload("127.0.0.1", 100_000)
    await until(lambda: made.connections.unfinished_bytes > 80_000)
    greedy = await upload("127.0.0.1", 60_000)
    assert code(await greedy.rest()) == (503, "overloaded")
    await upload(OTHER, 60_000)
    await until(lambda: made.connections.unfinished_bytes > 120_000)
    late = await upload("127.0.0.3", 60_000)
    assert code(await late.rest()) == (503, "overloaded")
    # A small one passes whatever the others hold.
    small = await made.client()
    small.say(POST % 10_000 + b"x" * 10_000)
    assert b"200 OK" in await small.head()
    for client in made.clients:
        client.writer.close()
    await until(lambda: made.connections.unfinished_bytes == 0)


@pytest.mark.rule("H42")
async def test_an_answer_gives_way_when_too_much_is_unread(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_UNREAD_BYTES_OF_NETWORK_MAX", 20_000_000)
    made = await open_wire()
    stuck, turn_key, other = await made.client(), await made.client(), await made.client(OTHER)
    stuck.say(b"GET /large/19000000 HTTP/1.1\r\nhost: x\r\norigin: https://a.b\r\n\r\n")
    await until(lambda: made.connections.unread_bytes > 5_000_000)
    refused = await turn_key.get("/large/18000000")
    assert code(refused) == (503, "overloaded")
    assert b"x-content-type-options: nosniff" in refused
    assert b"200 OK" in await turn_key.get("/large/60000")
    assert b"200 OK" in await other.get("/large/1000000")
    stuck.writer.transport.abort()
    await until(lambda: made.connections.unread_bytes == 0)
    assert b"200 OK" in await turn_key.get("/large/18000000")


@pytest.mark.rule("H42")
async def test_answers_in_pieces_wait_for_room(made, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_UNREAD_FREE_BYTES", PIECE_BYTES - 1)
    all_of_it = 1_000 * PIECE_BYTES
    client, other = await made.client(), await made.client(OTHER)
    client.say(b"GET /pieces/1000 HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: made.made[0].flow.write_paused)
    # All of the piece is in memory as long as a byte of it is there.
    assert made.connections.unread_bytes == PIECE_BYTES
    greedy = made.connections.unread()
    greedy.note(limits.HTTP_UNREAD_BYTES_OF_NETWORK_MAX, made.made[0].network)
    asked = made.asked
    await client.bytes(asked * PIECE_BYTES)
    for _ in range(50):
        await asyncio.sleep(0)
    assert (made.asked, made.made[0].flow.write_paused) == (asked, False)
    other.say(b"GET /pieces/1000 HTTP/1.1\r\nhost: x\r\n\r\n")
    await other.bytes(all_of_it)
    assert made.asked == 1_000 + asked
    greedy.note(0, None)
    await client.bytes(all_of_it - asked * PIECE_BYTES)
    await until(lambda: made.connections.unread_bytes == 0)


@pytest.mark.rule("H43")
async def test_requests_sent_ahead_are_few(made):
    fine, many = await made.client(), await made.client()
    fine.say(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * limits.HTTP_PIPELINED_MAX)
    for _ in range(limits.HTTP_PIPELINED_MAX):
        assert b"200 OK" in await fine.head()
        await fine.bytes(1)
    many.say(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n" * 5_000)
    assert await many.rest() == b""
    assert len(made.made[1].pipeline) <= limits.HTTP_PIPELINED_MAX


@pytest.mark.rule("H44")
@pytest.mark.parametrize("noise", [b"\x16\x03\x01", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
async def test_what_is_no_http_is_answered_and_not_logged(made, noise, caplog):
    client = await made.client()
    client.say(noise)
    assert (await client.rest()).startswith(b"HTTP/1.1 400 ")
    assert made.connections.counts.malformed == 1
    assert caplog.records == []


@pytest.mark.rule("H41")
async def test_behind_a_proxy_shares_are_of_who_it_names(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_OF_NETWORK_MAX", 1)
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_OF_NETWORK_MAX", 60_000)
    made = await open_wire(trusted_proxies=1)

    async def upload(forwarded):
        client = await made.client()
        head = POST.replace(b"\r\n\r\n", b"\r\nx-forwarded-for: %b\r\n\r\n" % forwarded)
        client.say(head % 1_000_000)
        await until(lambda: made.made[-1].cycle)
        client.say(b"x" * 60_000)
        return client

    await upload(b"192.0.2.1")
    await until(lambda: made.connections.unfinished_bytes > 40_000)
    greedy = await upload(b"192.0.2.1")
    assert code(await greedy.rest()) == (503, "overloaded")
    await upload(b"192.0.2.2")
    await until(lambda: made.connections.unfinished_bytes > 80_000)


@pytest.mark.rule("H45")
async def test_a_socket_too_many_is_told_so(open_wire):
    made = await open_wire(has_room_for=lambda ip: ip != "127.0.0.1")
    client = await made.client()
    client.say(HEAD + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert code(await client.rest()) == (503, "overloaded")


@pytest.mark.rule("F115")
async def test_the_host_of_files_has_no_sockets(open_wire):
    made = await open_wire(is_own_host=lambda host: host == "x")
    client = await made.client()
    client.say(HEAD + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    assert code(await client.rest()) == (404, "route-not-found")


@pytest.mark.rule("H39")
async def test_who_makes_room_does_not_stay_for_what_it_has_not_read(open_wire, monkeypatch):
    monkeypatch.setattr(limits, "HTTP_CONNECTIONS_OF_NETWORK_MAX", 1)
    made = await open_wire()
    stuck = await made.client()
    stuck.say(b"GET /large/16000000 HTTP/1.1\r\nhost: x\r\n\r\n")
    await until(lambda: made.connections.unread_bytes)
    await until(lambda: made.made[0].cycle.response_complete)
    assert b"200 OK" in await (await made.client()).get("/")
    assert len(await stuck.rest()) < 16_000_000


@pytest.mark.rule("H35")
async def test_a_body_that_the_server_does_not_read_yet_is_not_late(made):
    client = await made.client()
    client.say(POST.replace(b"/ ", b"/wait ") % 300_000 + b"x" * 200_000)
    await until(lambda: made.made[0].cycle and made.made[0].flow.read_paused)
    held = made.connections.unfinished_bytes
    made.pass_time(3 * GRACE_MS)
    assert made.connections.unfinished_bytes == held
    made.gate.set()
    client.say(b"x" * 100_000)
    assert b"200 OK" in await client.head()


@pytest.mark.rule("H39")
@pytest.mark.parametrize(
    ("allowed", "sockets"),
    [
        (256, (96, 16)),
        (1_024, (384, 64)),
        (20_000, (13_680, 256)),
        (100_000, (69_680, 256)),
        (resource.RLIM_INFINITY, (24_000, 256)),
    ],
)
def test_files_keep_their_part_of_the_descriptors(monkeypatch, allowed, sockets):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    assert descriptors_for_sockets() == sockets


@pytest.mark.rule("H88")
async def test_silent_connections_beyond_the_bound_leave_descriptors_for_others(
    open_wire, monkeypatch
):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    room, extra = descriptors_for_sockets()
    assert room + extra <= 28
    made = await open_wire()
    for _ in range(room):
        await says(made, await made.client(), HEAD)
    silent = [await made.client() for _ in range(extra + 3)]
    assert len(made.connections) == room + extra
    for client in silent[:3]:
        assert await client.rest() == b""
    turn_key = await made.client()
    turn_key.say(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await turn_key.head()).startswith(b"HTTP/1.1 ")
    assert len(made.connections) <= room + extra


UPGRADES = (
    b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\n",
    b"connection: upgrade\r\nupgrade: other\r\n",
)


@pytest.mark.rule("H89")
@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("is_split", [False, True])
async def test_another_protocol_is_not_taken_and_the_request_is(made, upgrade, is_split):
    hidden = b"GET /large/7 HTTP/1.1\r\nhost: x\r\n\r\n"
    client = await made.client()
    head = POST.replace(b"\r\n\r\n", b"\r\n" + upgrade + b"\r\n") % len(hidden)
    if is_split:
        await says(made, client, head[:-5])
        client.say(head[-5:])
        await until(lambda: made.made[0].cycle)
        client.say(hidden + HEAD + b"\r\n")
    else:
        client.say(head + hidden + HEAD + b"\r\n")
    # The body is a body: one answer to it, and one to the request behind it.
    size = b"%d" % len(hidden)
    assert b"200 OK" in await client.head()
    assert await client.bytes(len(size)) == size
    assert b"200 OK" in await client.head()
    assert await client.bytes(1) == b"0"
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    client.say(chunked + upgrade + b"\r\n3\r\nabc\r\n0\r\n\r\n")
    assert b"200 OK" in await client.head()
    assert await client.bytes(1) == b"3"
    assert made.connections.unfinished_bytes == 0


@pytest.mark.rule("H89")
async def test_a_tunnel_is_refused_once(made):
    client = await made.client()
    client.say(b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n" + HEAD + b"\r\n")
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
