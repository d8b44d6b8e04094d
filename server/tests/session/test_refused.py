"""Messages that no decoder takes: each is answered to its own event id, with the place."""

from __future__ import annotations

import json

import orjson
import pytest

from trice import limits
from trice.session import dispatch
from trice.session.refused import outline

T1 = "e1000000-0000-4000-8000-000000000001"
DEEP = "[" * 1_000 + "]" * 1_000


def write(value, *, is_last=False):
    steps = f'"tx-steps":[["add-triple","{T1}","{T1}",{value}]]'
    event = '"client-event-id":"e"'
    return '{"op":"transact",%s}' % (f"{steps},{event}" if is_last else f"{event},{steps}")


def query(value):
    q = '{"todos":{"$":{"where":{"a":VALUE}}}}'.replace("VALUE", value)
    return '{"client-event-id":"e","op":"add-query","q":%s}' % q  # noqa: UP031 - it has braces


@pytest.mark.rule("P115")
@pytest.mark.parametrize(
    "value", ['"\\ud83d"', "1e999", "-1e999", "NaN", "Infinity", "tru", '"\n"']
)
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("padding", [0, limits.MESSAGE_BYTES_ON_LOOP])
async def test_a_write_that_cannot_be_read_is_rejected_by_its_event_id(
    stage, value, is_last, padding
):
    client = await stage.client()
    client.say("add-query", q={"todos": {}})
    await client.hear("add-query-ok")
    client.say_raw(write(value, is_last=is_last).encode() + b" " * padding)
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == ("validation-failed", "e")
    assert error["hint"]["data-type"] == "tx-steps"
    assert error["hint"]["errors"][0]["in"] == ["tx-steps", 0, 3]
    assert error["original-event"] == {"op": "transact", "client-event-id": "e"}
    # The client shows the write already: it is told what it holds again.
    await client.hear("refresh-ok")
    assert client.closed is None


@pytest.mark.rule("P115")
@pytest.mark.parametrize("value", ["1e999", "NaN"])
async def test_a_query_that_cannot_be_read_is_an_error_of_its_event_id(stage, value):
    client = await stage.client()
    client.say_raw(query(value).encode())
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == ("validation-failed", "e")
    assert error["hint"]["errors"][0]["in"] == ["q", "todos", "$", "where", "a"]
    client.say("add-query", q={"todos": {}})
    await client.hear("add-query-ok")


@pytest.mark.rule("P115")
def test_a_query_that_is_json_to_who_sent_it_is_repeated():
    """Browsers know a failed query by its `q` alone. What follows the fault is read too, and what
    precedes it may take more bytes than characters."""
    raw = query('"é😀\\ud83d","b":[]').encode()
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(raw)
    refusal = dispatch.explain(raw, ValueError())
    assert refusal.event_id == "e"
    assert json.loads(refusal.echo) == json.loads(raw)
    assert refusal.failure.hint["errors"][0]["in"] == ["q", "todos", "$", "where", "a"]


@pytest.mark.rule("P115")
async def test_what_nests_too_deeply_is_answered_with_the_place(stage):
    client = await stage.client()
    client.say_raw(write(DEEP).encode())
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == ("validation-failed", "e")
    assert error["hint"]["errors"][0]["in"][:3] == ["tx-steps", 0, 3]
    assert str(limits.JSON_VALUE_DEPTH_MAX) in error["message"]


@pytest.mark.rule("P115")
@pytest.mark.parametrize("value", [DEEP, "1e999"])
def test_a_query_that_is_json_is_repeated_as_it_came(value):
    raw = query(value).encode()
    found = outline(raw)
    assert found.text("client-event-id") == "e"
    assert found.members["q"] == raw[raw.index(b'"q":') + 4 : -1]
    assert b'"q":' + found.members["q"] in found.echo()


@pytest.mark.rule("P115")
def test_half_of_a_surrogate_pair_is_repeated_to_who_sent_it():
    """Browsers know a failed query by its `q` alone, and what they send they can read."""
    raw = query('"\\ud83d"').encode()
    assert json.loads(outline(raw).echo())["q"] == json.loads(raw)["q"]


@pytest.mark.rule("P115")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[",
        b"{",
        b'{"client-event-id"',
        b'{"client-event-id":}',
        b'{"client-event-id":"\\ud800"',
        b'{"client-event-id":"\xff"',
        b'{"client-event-id":5',
        b'["client-event-id","e"]',
        b'{"a":{"client-event-id":"e"}',
        b'{"a":{"client-event-id":"e"}}',
        b'{"a":[1,"client-event-id","e"',
        b'{"tx-steps":[NaN,{"client-event-id":"e"}]}',
        b'{"a":"\\"client-event-id\\":\\"e\\"}"',
        b'{"a" "client-event-id":"e"}'[:-1],
        b'"client-event-id":"e"}' + b" " * 5_000,
        b'{"q":' + b"[" * 100_000,
        b'{"q":"' + b"\\" * 100_000,
    ],
)
def test_no_event_id_is_made_up(raw):
    found = outline(raw)
    assert found.text("client-event-id") is None
    assert json.loads(found.echo()) == {}


@pytest.mark.rule("P115")
@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"a":[1,{"b":x', ["a", 1, "b"]),
        (b'{"a":[1,2 3', ["a", 1]),
        (b'{"a":[[],[],tru', ["a", 2]),
        (b'{"a":{},"b":', ["b"]),
        (b'{"a":{"b":1]', ["a", "b"]),
        (b'{"a":1}}', []),
        (b"[1,,", [1]),
    ],
)
def test_the_path_leads_to_where_it_breaks(raw, path):
    assert outline(raw).path == path


@pytest.mark.rule("P115")
async def test_the_event_id_is_found_at_both_ends_of_a_message_that_is_too_big(stage):
    client = await stage.client()
    filling = '"x":"%s"' % ("x" * limits.MESSAGE_BYTES_MAX)
    client.say_raw(b'{"client-event-id":"first","op":"add-query",%b}' % filling.encode())
    assert (await client.hear("error"))["client-event-id"] == "first"
    client.say("add-query", q={"todos": {}})
    await client.hear("add-query-ok")
