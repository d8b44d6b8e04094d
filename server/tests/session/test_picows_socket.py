"""Sockets that agreed on compression: what leaves them, how often it was made, what they refuse."""

from __future__ import annotations

import asyncio
import socket

import orjson
import pytest
from picows import WSMsgType

from support.picows_client import PicowsClient, deflate
from support.wire import HANDSHAKE, Wire, masked
from trice import limits
from trice.session.deflate import Deflater
from trice.session.picows_socket import make_protocol_class

TODOS = {"todos": {}}
PEOPLE = {"people": {}}
DEFLATED = (1, 0, 0)
SUBSCRIBERS = 500
T1 = "e1000000-0000-4000-8000-000000000001"


async def seed(stage, count=20):
    """Todos and people enough for answers worth deflating."""
    writer = await stage.client()
    for n in range(count):
        todo = f"e1000000-0000-4000-8000-{n + 1:012d}"
        person = f"e2000000-0000-4000-8000-{n + 1:012d}"
        steps = stage.create("todos", todo, title=f"Buy milk {n}")
        writer.say("transact", tx_steps=steps + stage.create("people", person, name=f"Ann {n}"))
        await writer.hear("transact-ok")
    return writer


async def join_in(stage, deflater, *queries):
    client = PicowsClient(stage.hub, deflater)
    client.say("init", **{"app-id": stage.app.id})
    await client.hear("init-ok")
    for q in queries:
        client.say("add-query", q=q)
        await client.hear("add-query-ok")
    return client


async def retitle(stage, writer, title):
    writer.say("transact", tx_steps=[["add-triple", T1, stage.attr("todos", "title"), title]])
    await writer.hear("transact-ok")


@pytest.mark.rule("P92", "P93", "P98")
async def test_a_refresh_for_many_is_deflated_once(stage):
    writer, deflater = await seed(stage), Deflater()
    clients = [await join_in(stage, deflater, TODOS) for _ in range(SUBSCRIBERS)]
    plain = await join_in(stage, None, TODOS)
    before = deflater.counts.deflated
    writes = [len(client.writes) for client in clients]
    await retitle(stage, writer, "another")
    wanted = await plain.hear("refresh-ok")
    assert not wanted.is_deflated
    for client in clients:
        heard = await client.hear("refresh-ok")
        assert heard.is_deflated
        assert heard.message == wanted.payload
        assert len(heard.payload) < len(wanted.payload) / 2
    assert deflater.counts.deflated == before + 1
    assert [len(client.writes) for client in clients] == [count + 1 for count in writes]


@pytest.mark.rule("P93")
async def test_nothing_is_deflated_for_nobody(stage):
    writer, deflater = await seed(stage), Deflater()
    await join_in(stage, deflater)
    plain = await join_in(stage, None, TODOS)
    before = deflater.counts.deflated
    await retitle(stage, writer, "another")
    await plain.hear("refresh-ok")
    assert deflater.counts.deflated == before


@pytest.mark.rule("P93", "P36")
async def test_who_takes_it_later_finds_it_deflated(stage):
    writer, deflater = await seed(stage), Deflater()
    quick = await join_in(stage, deflater, TODOS)
    slow = await join_in(stage, deflater, TODOS)
    slow.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    await retitle(stage, writer, "one")
    await quick.hear("refresh-ok")
    await retitle(stage, writer, "two")
    newest = await quick.hear("refresh-ok")
    before = deflater.counts.deflated
    slow.backlog = 0
    slow.socket.resume_writing()
    assert (await slow.hear("refresh-ok")).payload == newest.payload
    assert deflater.counts.deflated == before


@pytest.mark.rule("P94")
async def test_a_result_is_deflated_once_for_all_who_ask(stage):
    writer, deflater = await seed(stage), Deflater()
    clients = [await join_in(stage, deflater) for _ in range(20)]
    for title, is_first in (("one", True), ("two", False)):
        await retitle(stage, writer, title)
        if not is_first:
            # A refresh and a result are two forms of the same answer.
            await clients[0].hear("refresh-ok")
        before = deflater.counts.deflated
        for client in clients:
            client.say("add-query", q=TODOS)
            heard = await client.hear("add-query-ok")
            assert heard.is_deflated
            assert f'"{title}"'.encode() in heard.message
        assert deflater.counts.deflated == before + 1


@pytest.mark.rule("P94")
async def test_elements_of_a_refresh_are_deflated_once(stage):
    writer, deflater = await seed(stage), Deflater()
    clients = [await join_in(stage, deflater, TODOS, PEOPLE) for _ in range(20)]
    before = deflater.counts.deflated
    person = "e2000000-0000-4000-8000-000000000001"
    steps = [
        ["add-triple", T1, stage.attr("todos", "title"), "new"],
        ["add-triple", person, stage.attr("people", "name"), "new"],
    ]
    writer.say("transact", tx_steps=steps)
    for client in clients:
        heard = await client.hear("refresh-ok")
        assert heard.is_deflated
        assert len(orjson.loads(heard.message)["computations"]) == 2
    assert deflater.counts.deflated == before + 2


@pytest.mark.rule("P94")
async def test_a_catalog_is_deflated_once(stage):
    deflater = Deflater()
    clients = [await join_in(stage, deflater) for _ in range(20)]
    assert deflater.counts.deflated == 1
    writer = await stage.client()
    attr = [
        "add-attr",
        {
            "id": "e3000000-0000-4000-8000-000000000001",
            "forward-identity": [T1, "todos", "color"],
            "value-type": "blob",
            "cardinality": "one",
            "unique?": False,
            "index?": False,
        },
    ]
    writer.say("transact", tx_steps=[attr])
    for client in clients:
        heard = await client.hear("refresh-ok")
        assert heard.is_deflated
        assert b'"color"' in heard.message
    assert deflater.counts.deflated == 2


@pytest.mark.rule("P98")
async def test_a_turn_leaves_in_one_write(stage):
    await seed(stage)
    client = await join_in(stage, Deflater())
    writes = len(client.writes)
    client.say("add-query", q=TODOS)
    client.say("remove-query", q=PEOPLE)
    client.say("add-query", q=PEOPLE)
    await client.hear("remove-query-ok")
    await client.hear("add-query-ok")
    (write,) = client.writes[writes:]
    assert [frame.is_deflated for frame in write] == [True, False, True]


@pytest.mark.rule("P95")
async def test_deflated_messages_are_answered(stage):
    client = await join_in(stage, Deflater())
    message = orjson.dumps({"op": "add-query", "client-event-id": "x", "q": TODOS})
    payload = deflate(message)
    client.frame(payload, bits=DEFLATED)
    await client.hear("add-query-ok")
    client.frame(payload, kind=WSMsgType.BINARY, bits=DEFLATED)
    await client.hear("add-query-ok")
    client.frame(payload[:3], is_last=False, bits=DEFLATED)
    client.frame(b"beat", kind=WSMsgType.PING)
    client.frame(payload[3:], kind=WSMsgType.CONTINUATION)
    await client.hear("add-query-ok")
    assert client.pongs == [b"beat"]
    client.frame(message)
    await client.hear("add-query-ok")
    assert client.closed is None


@pytest.mark.rule("P96", "P114")
@pytest.mark.parametrize("fill", [b" ", b"["])
async def test_a_bomb_is_answered_and_the_session_goes_on(stage, fill):
    client = await join_in(stage, Deflater())
    begin = b'{"op":"add-query","client-event-id":"bomb","q":'
    client.frame(deflate(begin + fill * 32 * 1024 * 1024), bits=DEFLATED)
    error = orjson.loads((await client.hear("error")).message)
    assert (error["type"], error["client-event-id"]) == ("message-too-big", "bomb")
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    assert client.closed is None


@pytest.mark.rule("P96")
async def test_rubbish_closes_the_socket(stage):
    client = await join_in(stage, Deflater())
    client.frame(b'{"op":"init"}', bits=DEFLATED)
    assert client.closed == 1007


@pytest.mark.rule("P97")
@pytest.mark.parametrize(
    ("has_agreed", "kind", "bits"),
    [
        (False, WSMsgType.TEXT, DEFLATED),
        (False, WSMsgType.BINARY, DEFLATED),
        (True, WSMsgType.PING, DEFLATED),
        (True, WSMsgType.PONG, DEFLATED),
        (True, WSMsgType.CLOSE, DEFLATED),
        (True, WSMsgType.CONTINUATION, DEFLATED),
        (True, WSMsgType.TEXT, (0, 1, 0)),
        (True, WSMsgType.TEXT, (1, 0, 1)),
        (False, WSMsgType.PING, (0, 0, 1)),
    ],
)
async def test_bits_nobody_agreed_on_close_the_socket(stage, has_agreed, kind, bits):
    client = await join_in(stage, Deflater() if has_agreed else None)
    client.frame(deflate(b'{"op":"add-query","q":{}}'), kind=kind, bits=bits)
    assert client.closed == 1002


@pytest.mark.rule("P97")
async def test_a_continuation_with_rsv1_closes_the_socket(stage):
    client = await join_in(stage, Deflater())
    client.frame(b"{", is_last=False)
    client.frame(b"}", kind=WSMsgType.CONTINUATION, bits=DEFLATED)
    assert client.closed == 1002


@pytest.mark.rule("P117")
async def test_pings_of_a_client_that_does_not_read_take_no_room(stage):
    client = await join_in(stage, None)
    client.frame(b"1", kind=WSMsgType.PING)
    client.backlog = limits.PONG_BACKLOG_BYTES_MAX + 1
    for number in range(1_000):
        client.frame(b"%d" % number, kind=WSMsgType.PING)
    assert client.pongs == [b"1"]
    client.backlog = 0
    client.socket.resume_writing()
    client.socket.resume_writing()
    assert client.pongs == [b"1", b"999"]
    client.frame(b"2", kind=WSMsgType.PING)
    assert client.pongs[-1] == b"2"
    assert client.closed is None


@pytest.mark.rule("P118")
@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1014, 3000, 4999])
async def test_a_close_is_answered_with_its_code(stage, code):
    client = await join_in(stage, None)
    client.frame(code.to_bytes(2, "big") + b"bye", kind=WSMsgType.CLOSE)
    assert client.closed == code
    client.frame(b"", kind=WSMsgType.PING)
    client.frame(b"", kind=WSMsgType.CLOSE)
    assert client.pongs == []


@pytest.mark.rule("P118")
async def test_a_close_without_a_code_is_answered_without(stage):
    client = await join_in(stage, None)
    client.frame(b"", kind=WSMsgType.CLOSE)
    assert client.closed is None
    assert (client.sent[-1].first_byte, client.sent[-1].payload) == (0x88, b"")


@pytest.mark.rule("P118")
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
async def test_a_code_that_may_not_be_sent_is_not_sent_back(stage, code):
    client = await join_in(stage, None)
    client.frame(code.to_bytes(2, "big"), kind=WSMsgType.CLOSE)
    assert client.closed == 1002


@pytest.mark.rule("P119")
@pytest.mark.parametrize(
    "frame",
    [
        masked(0x89, b"x" * 126),
        masked(0x8A, b"x" * 126),
        masked(0x88, b"x" * 126),
        masked(0x88, b"x"),
        masked(0x09, b"x"),
        masked(0x83, b"x"),
        b"\x89\x00",
        b"\x81\xff" + (limits.FRAME_BYTES_MAX + 1).to_bytes(8, "big") + bytes(4),
    ],
)
async def test_a_frame_that_breaks_the_protocol_ends_the_connection_once(stage, caplog, frame):
    caplog.set_level("INFO")
    with socket.socket() as peer:
        wire = Wire(peer)
        protocol = make_protocol_class(stage.hub, None)(None, None, None)
        protocol.connection_made(wire)
        protocol.data_received(HANDSHAKE)
        before = len(wire.written)
        protocol.data_received(frame)
        assert wire.written[before] == 0x88
        after = len(wire.written)
        await asyncio.sleep(0)
        assert (wire.is_reading, wire.is_closed) == (False, True)
        assert len(wire.written) == after
        assert [record for record in caplog.records if record.name == "picows"] == []
        protocol.connection_lost(None)
    assert len(stage.hub) == 0
