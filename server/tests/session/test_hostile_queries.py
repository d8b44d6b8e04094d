"""Queries of strangers that are made to be expensive: no message holds the loop.

Metered in calls, not in time (`support.loop_meter`): 100,000 of them are well below 20 ms. What one
call decodes of a message is counted as one; its bytes are bounded before.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from support.loop_meter import metered
from support.memory_client import MemoryClient
from trice import limits
from trice.identity import Identity

CALLS_MAX = 100_000
SQL_CHARS_MAX = limits.READ_STEPS_ON_LOOP // 2
PATH_OF_FOUR = "owner.todos.owner.todos.title"
T1 = "e1000000-0000-4000-8000-000000000001"


def any_of(count: int, key: str = "title") -> dict[str, Any]:
    return {"or": [{key: f"t{number}"} for number in range(count)]}


def asking(where: dict[str, Any]) -> dict[str, Any]:
    return {"todos": {"$": {"where": where}}}


def nested(count: int, where: dict[str, Any]) -> dict[str, Any]:
    """So many forms, each with these conditions, in chains of 30."""
    chains: dict[str, Any] = {}
    for chain in range(-(-count // 30)):
        form: dict[str, Any] = {}
        for depth in range(min(30, count - chain * 30)):
            form = {"$": {"where": where}, "owner" if depth % 2 else "todos": form}
        chains[("todos", "people")[chain % 2] if chain < 2 else f"unknown{chain}"] = form
    return chains


def listing(count: int) -> dict[str, Any]:
    return {"title": {"$in": [f"t{number}" for number in range(count)]}}


IDS = [f"e1000000-0000-4000-8000-{number:012}" for number in range(29_000)]

QUERIES: dict[str, tuple[Any, str | None]] = {
    "nested forms with alternatives": (nested(200, any_of(300)), "message-too-big"),
    "alternatives": (asking(any_of(990)), None),
    "alternatives on a path of four": (asking(any_of(990, PATH_OF_FOUR)), None),
    "long paths": (
        asking({"and": [{"owner.todos." * 16 + "title": f"t{n}"} for n in range(120)]}),
        None,
    ),
    "more links than that": (
        asking({"and": [{"owner.todos." * 16 + "title": f"t{n}"} for n in range(130)]}),
        "validation-failed",
    ),
    "forms with long lists": (nested(40, listing(3_000)), "validation-failed"),
    "a long list": (asking(listing(29_000)), None),
    "a long list of ids": (asking({"id": {"$in": IDS}}), None),
    "a long list of ends": (asking({"owner": {"$in": IDS}}), None),
    "too long a list": (asking({"slug": {"$in": ["x"] * 400_000}}), "message-too-big"),
    "too many bytes": (asking({"title": "x" * limits.QUERY_BYTES_MAX}), "parameter-limit-exceeded"),
    "top forms with alternatives": (
        {f"unknown{number}": {"$": {"where": any_of(100)}} for number in range(450)},
        "message-too-big",
    ),
    "empty alternatives": (asking({"or": [{}] * 500_000}), "message-too-big"),
    "a path of dots": (asking({"." * 1_000_000: 1}), "validation-failed"),
    "fields": ({"todos": {"$": {"fields": ["title"] * 150_000}}}, "message-too-big"),
    "measures": (
        {"todos": {"$": {"aggregate": {"min": ["title"] * 150_000}}}},
        "message-too-big",
    ),
    "many forms": ({f"unknown{number}": {} for number in range(500)}, None),
    "too many forms": ({f"unknown{number}": {} for number in range(100_000)}, "message-too-big"),
    "patterns": (
        asking({"or": [{"title": {"$ilike": f"%é{n}" + "ab_" * 500}} for n in range(900)]}),
        None,
    ),
    "negations along a path": (
        {
            "people": {
                "$": {
                    "where": {
                        "todos.owner." * depth + label: {"$not": "x"}
                        for depth in range(1, 16)
                        for label in ("name", "id", "todos.title", "todos.slug")
                    }
                }
            }
        },
        None,
    ),
    "an unknown option of megabytes": (
        {"todos": {"$": {"x" * 1_000_000: 1}}},
        "validation-failed",
    ),
    "a wrong value of megabytes": (
        asking({"title": {"$gt": [[]] * 300_000}}),
        "message-too-big",
    ),
}


@pytest.mark.rule("P100", "P101")
@pytest.mark.interpreted("calls of Python functions are counted")
@pytest.mark.parametrize("name", QUERIES)
async def test_no_query_holds_the_loop(stage, monkeypatch, name):
    query, code = QUERIES[name]
    raw = orjson.dumps({"op": "add-query", "client-event-id": "e", "q": query})
    gone = orjson.dumps({"op": "remove-query", "client-event-id": "r", "q": query})
    client = await stage.client()
    await stage.app.database.transact(
        stage.create("todos", T1, title="t7", slug="s"), identity=client.session.opened.identity
    )
    with metered(monkeypatch) as meter:
        await asyncio.sleep(0)  # into a turn that is watched from its beginning
        client.say_raw(raw)
        answer = await client.hear_where(lambda message: message.get("client-event-id") == "e")
        assert (answer["op"] == "add-query-ok") == (code is None), answer
        assert answer.get("type") == code
        assert meter.calls < CALLS_MAX
        assert meter.sql_chars < SQL_CHARS_MAX
        meter.reset()
        await stage.app.database.transact(
            [["add-triple", T1, stage.attr("todos", "title"), "t8"]],
            identity=client.session.opened.identity,
        )
        await stage.app.database.live.settled()
        client.say_raw(gone)
        await client.hear_where(lambda message: message.get("client-event-id") == "r")
        assert meter.calls < CALLS_MAX, "when a commit touches it"
        assert meter.sql_chars < SQL_CHARS_MAX


@pytest.mark.rule("P102")
async def test_queries_of_a_session_are_bounded_in_bytes(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSION_QUERIES_BYTES_MAX", 10_000)

    def asked(letter):
        return asking({"title": letter * 3_000})

    stage = await open_stage()
    client = await stage.client()
    for letter in "abc":
        client.say("add-query", q=asked(letter))
        assert (await client.hear("add-query-ok"))["q"] == asked(letter)
    client.say("add-query", q=asked("c"))
    await client.hear("add-query-ok")
    for _ in range(3):
        client.say("add-query", q=asked("d"))
        assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"
    client.say("remove-query", q=asked("a"))
    await client.hear("remove-query-ok")
    client.say("add-query", q=asked("d"))
    await client.hear("add-query-ok")
    assert client.session.state.queries_bytes < 10_000
    for letter in "bcd":
        client.say("remove-query", q=asked(letter))
        await client.hear("remove-query-ok")
    assert client.session.state.queries_bytes == 0


@pytest.mark.rule("P165")
async def test_the_queries_of_an_address_are_bounded(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSION_QUERIES_FREE_BYTES", 1_000)
    monkeypatch.setattr(limits, "QUERIES_BYTES_OF_NETWORK_MAX", 50_000)

    def large(n):
        return {"todos": {"$": {"where": {"title": f"{n}{'x' * 10_000}"}}}}

    async def entered(stage, ip):
        client = MemoryClient(stage.hub, Identity("guest", ip=ip))
        client.say("init", **{"app-id": stage.app.id})
        await client.hear("init-ok")
        return client

    stage = await open_stage()
    first, second = await entered(stage, "192.0.2.1"), await entered(stage, "192.0.2.1")
    far = await entered(stage, "192.0.2.2")
    for n in range(4):
        first.say("add-query", q=large(n))
        await first.hear("add-query-ok")
    second.say("add-query", q={"todos": {}})
    await second.hear("add-query-ok")
    second.say("add-query", q=large(5))
    await second.hear("add-query-ok")
    second.say("add-query", q=large(6))
    assert (await second.hear("error"))["type"] == "parameter-limit-exceeded"
    far.say("add-query", q=large(7))
    await far.hear("add-query-ok")
    first.say("remove-query", q=large(0))
    await first.hear("remove-query-ok")
    second.say("add-query", q=large(6))
    await second.hear("add-query-ok")
    for client in (first, second, far):
        client.hang_up()
    assert stage.hub.queries_bytes == 0
