"""Functions over sessions: called, ordered among writes, watched, listed.

More than 600 lines, one file because all of it uses one stage of functions that run here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from support.call_stage import OURS, CallStage
from support.called_functions import PAGED, Ctx, FunctionRaised
from support.memory_client import MemoryClient, refreshed
from support.runtime import settle
from trice import function_limits, limits
from trice.protocol import down

T1, T2 = (f"e{number:07d}-0000-4000-8000-000000000000" for number in (1, 2))


@pytest.fixture
async def calls(open_stage: Callable[[], Awaitable[Any]]) -> AsyncIterator[CallStage]:
    stage = CallStage(await open_stage())
    stage.project.add(titles)
    stage.project.add(rename, kind="mutation")
    stage.deploy()
    yield stage
    await stage.live.close()


async def titles(ctx: Ctx) -> Any:
    where = ctx.args.get("where")
    options = {"where": where} if where else {}
    return sorted(row["title"] for row in await ctx.find("todos", **options))


async def rename(ctx: Ctx) -> Any:
    before = await ctx.find("todos", where={"id": ctx.args["id"]})
    ctx.write(["update", "todos", ctx.args["id"], {"title": ctx.args["title"]}])
    return before[0].get("title") if before else None


# --- agreement ------------------------------------------------------------------------------------


@pytest.mark.rule("FN200")
async def test_only_who_agreed_on_functions_may_call(calls: CallStage) -> None:
    plain = await calls.stage.client()
    for op in ("call", "add-call", "more-call", "remove-call"):
        plain.say(op, name="t.titles")
        error = await plain.hear("error")
        assert (error["type"], error["hint"]["data-type"]) == ("validation-failed", op)

    client = calls.stage.connect()
    agreed = await client.init(calls.app.id, trice=OURS)
    assert agreed["trice"]["features"] == ["functions"]
    event = client.say("call", name="t.titles")
    assert await client.hear() == {"op": "call-ok", "client-event-id": event, "value": []}


@pytest.mark.rule("FN200")
async def test_a_server_without_functions_says_so(calls: CallStage) -> None:
    calls.hub.functions = None
    client = await calls.client()
    client.say("call", name="t.titles")
    assert (await client.hear("error"))["type"] == "functions-off"


@pytest.mark.rule("FN200")
@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({}, "param-missing"),
        ({"name": 5}, "param-malformed"),
        ({"name": "t.titles", "args": [1]}, "bad-args"),
        ({"name": "t.titles", "args": {"a": 2**70}}, "bad-args"),
        ({"name": "t.none"}, "function-not-found"),
    ],
)
@pytest.mark.parametrize("op", ["call", "add-call"])
async def test_what_cannot_be_called_is_refused(
    calls: CallStage, op: str, message: Any, code: str
) -> None:
    client = await calls.client()
    event = "event"
    whole = {"op": op, "client-event-id": event, **message}
    client.say_raw(json.dumps(whole).encode())
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == (code, event)
    assert error["original-event"]["op"] == op
    assert (await _ping(client))["op"] == "add-query-ok"


async def _ping(client: MemoryClient) -> dict[str, Any]:
    client.say("add-query", q={"people": {}})
    return await client.hear("add-query-ok")


# --- calls ----------------------------------------------------------------------------------------


@pytest.mark.rule("FN220")
async def test_a_mutation_is_answered_with_its_transaction_and_once(calls: CallStage) -> None:
    client = await calls.client()
    event = client.say("call", name="t.rename", args={"id": T1, "title": "a"})
    first = await client.hear("call-ok")
    assert first == {
        "op": "call-ok",
        "client-event-id": event,
        "value": None,
        "tx-id": calls.app.database.tx,
    }
    other = await calls.client()
    other.say("call", event_id=event, name="t.rename", args={"title": "a", "id": T1})
    assert await other.hear("call-ok") == first
    assert calls.project.runs["t.rename"] == 1


@pytest.mark.rule("FN220")
async def test_what_a_function_raised_is_told(calls: CallStage) -> None:
    async def refuse(ctx: Ctx) -> Any:
        raise FunctionRaised("full", "The room is full.", {"room": 1})

    calls.project.add(refuse)
    calls.deploy()
    client = await calls.client()
    client.say("call", name="t.refuse", args={})
    error = await client.hear("error")
    assert (error["type"], error["message"]) == ("function-error", "The room is full.")
    assert error["hint"] == {"code": "full", "data": {"room": 1}}


@pytest.mark.rule("FN221")
async def test_writes_keep_their_order_around_a_mutation(calls: CallStage) -> None:
    async def slow(ctx: Ctx) -> Any:
        found = await ctx.find("todos")
        await calls.gate.wait()
        ctx.write(["update", "todos", T2, {"title": "by the mutation"}])
        return sorted(row["title"] for row in found)

    calls.project.add(slow, kind="mutation")
    calls.deploy()
    client, stage = await calls.client(), calls.stage
    events = [
        client.say("transact", tx_steps=stage.create("todos", T1, title="before")),
        client.say("call", name="t.slow"),
        client.say("transact", tx_steps=stage.create("todos", T2, title="after")),
        client.say("call", name="t.rename", args={"id": T2, "title": "last"}),
    ]
    client.say("add-query", q={"todos": {}})  # queries do not wait
    heard = {(await client.hear())["op"], (await client.hear())["op"]}
    assert heard == {"transact-ok", "add-query-ok"}
    await calls.quiet()
    told = [m for m in client.received if m.get("client-event-id") in events]
    assert [m["client-event-id"] for m in told] == events[:1]

    calls.gate.set()
    while len(told) < 4:
        await client.hear()
        told = [m for m in client.received if m.get("client-event-id") in events]

    assert [m["client-event-id"] for m in told] == events
    assert told[1]["value"] == ["before"]
    assert told[3]["value"] == "after"
    ids = [m["tx-id"] for m in told]
    assert ids == sorted(set(ids))


@pytest.mark.rule("FN221")
async def test_a_parallel_mutation_waits_for_nobody(calls: CallStage) -> None:
    async def slow(ctx: Ctx) -> Any:
        await calls.gate.wait()

    calls.project.add(slow, kind="mutation")
    calls.deploy()
    client = await calls.client()
    first = client.say("call", name="t.slow", parallel=True)
    second = client.say("call", name="t.rename", args={"id": T1, "title": "a"})
    assert (await client.hear("call-ok"))["client-event-id"] == second
    calls.gate.set()
    assert (await client.hear("call-ok"))["client-event-id"] == first


@pytest.mark.rule("FN221")
async def test_a_refused_write_that_waited_is_told_and_those_after_it_go_on(
    calls: CallStage,
) -> None:
    async def slow(ctx: Ctx) -> Any:
        await calls.gate.wait()
        raise FunctionRaised("no", "No.")

    calls.project.add(slow, kind="mutation")
    calls.deploy()
    client = await calls.client()
    events = [
        client.say("call", name="t.slow"),
        client.say("transact", tx_steps=[["no-such-step"]]),
        client.say("transact", tx_steps="none"),
        client.say("transact", tx_steps=calls.stage.create("todos", T1, title="good")),
    ]
    calls.gate.set()
    codes = {}
    while len(codes) < 4:
        message = await client.hear()
        codes[message["client-event-id"]] = message.get("type", message["op"])
    assert [codes[event] for event in events] == [
        "function-error",
        "validation-failed",
        "validation-failed",
        "transact-ok",
    ]
    client.say("transact", tx_steps=calls.stage.create("todos", T2, title="more"))
    await client.hear("transact-ok")


@pytest.mark.rule("FN222")
async def test_a_session_has_a_bound_of_calls_and_is_read_again(calls: CallStage) -> None:
    async def wait(ctx: Ctx) -> Any:
        await calls.gate.wait()

    calls.project.add(wait)
    calls.project.add(wait, "t.slow", kind="mutation")
    calls.deploy()
    client = await calls.client()
    for _ in range(function_limits.SESSION_CALLS_MAX):
        client.say("call", name="t.wait")
    client.say("call", name="t.wait")
    assert (await client.hear("error"))["type"] == "overloaded"
    for _ in range(limits.SESSION_TRANSACTS_MAX):
        client.say("call", name="t.slow")
    await settle()
    assert client.is_reading_paused
    calls.gate.set()
    for _ in range(function_limits.SESSION_CALLS_MAX + limits.SESSION_TRANSACTS_MAX):
        await client.hear("call-ok")
    assert not client.is_reading_paused


@pytest.mark.rule("FN222")
@pytest.mark.parametrize("kind", ["query", "action"])
async def test_calls_of_a_session_keep_so_many_bytes(
    calls: CallStage, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(function_limits, "SESSION_CALLS_BYTES_MAX", 10_000)

    async def wait(ctx: Ctx) -> Any:
        await calls.gate.wait()

    calls.project.add(wait, kind=kind)
    calls.deploy()
    client = await calls.client()
    args = {"text": "x" * 6_000}
    client.say("call", name="t.wait", args=args)
    client.say("call", name="t.wait", args=args)
    assert (await client.hear("error"))["type"] == "overloaded"
    client.say("call", name="t.wait")
    calls.gate.set()
    for _ in range(2):
        await client.hear("call-ok")
    client.say("call", name="t.wait", args={"text": "x" * 20_000})
    await client.hear("call-ok")


@pytest.mark.rule("FN223")
async def test_a_long_call_is_answered_and_those_after_it_wait(calls: CallStage) -> None:
    client = await calls.client()
    text = "x" * (limits.MESSAGE_BYTES_ON_LOOP + 1)
    events = [
        client.say("call", name="t.rename", args={"id": T1, "title": "a", "more": text}),
        client.say("call", name="t.rename", args={"id": T1, "title": "b", "more": text}),
        client.say("call", name="t.titles"),
    ]
    told = {}
    while len(told) < 3:
        message = await client.hear("call-ok")
        told[message["client-event-id"]] = message["value"]
    assert [told[event] for event in events[:2]] == [None, "a"]


@pytest.mark.rule("FN224")
async def test_a_session_that_ends_leaves_nothing(calls: CallStage) -> None:
    async def wait(ctx: Ctx) -> Any:
        await calls.gate.wait()
        ctx.write(["update", "todos", T1, {"title": "too late"}])

    calls.project.add(wait, kind="mutation")
    calls.deploy()
    client = await calls.client()
    client.say("add-call", name="t.titles")
    await client.hear("add-call-ok")
    client.say("call", name="t.wait")
    client.say("transact", tx_steps=calls.stage.create("todos", T1, title="never"))
    await settle()
    client.hang_up()
    calls.gate.set()
    await calls.quiet()
    assert len(calls.live) == 0
    assert calls.app.database.live_queries == 0
    other = await calls.client()
    other.say("call", name="t.titles")
    assert (await other.hear("call-ok"))["value"] == []


# --- watched --------------------------------------------------------------------------------------


@pytest.mark.rule("FN233")
async def test_a_watched_call_is_answered_and_refreshed(calls: CallStage) -> None:
    client = await calls.client()
    event = client.say("add-call", name="t.titles", args={"where": {"title": "a"}, "b": 1})
    assert await client.hear() == {
        "op": "add-call-ok",
        "client-event-id": event,
        "name": "t.titles",
        "args": {"where": {"title": "a"}, "b": 1},
        "value": [],
        "processed-tx-id": calls.app.database.tx,
    }
    tx = await calls.write(["update", "todos", T1, {"title": "a"}])
    refresh = await client.hear("refresh-ok")
    assert refresh["computations"] == []
    assert refresh["processed-tx-id"] >= tx
    assert refresh["calls"] == [
        {"name": "t.titles", "args": {"where": {"title": "a"}, "b": 1}, "value": ["a"]}
    ]
    # What was removed is told no more.
    client.say("remove-call", name="t.titles", args={"b": 1, "where": {"title": "a"}})
    client.say("remove-call", name="t.titles", args={"unknown": 1})
    await calls.write(["update", "todos", T2, {"title": "a"}])
    await calls.quiet()
    assert client.unheard() == []
    assert len(calls.live) == 0


@pytest.mark.rule("FN233")
async def test_an_error_of_a_watched_call_is_told_and_it_stays_watched(calls: CallStage) -> None:
    async def strict(ctx: Ctx) -> Any:
        found = await ctx.find("todos")
        if not found:
            raise FunctionRaised("empty", "There is none.")
        if len(found) > 1:
            raise FunctionRaised("full", "There are too many.")
        return len(found)

    calls.project.add(strict)
    calls.deploy()
    client = await calls.client()
    event = client.say("add-call", name="t.strict", args={"a": 1})
    error = await client.hear("error")
    assert (error["client-event-id"], error["hint"]["code"]) == (event, "empty")
    assert error["original-event"] == {"op": "add-call", "name": "t.strict", "args": {"a": 1}}

    await calls.write(["update", "todos", T1, {"title": "a"}])
    assert (await client.hear("refresh-ok"))["calls"][0]["value"] == 1
    await calls.write(["update", "todos", T2, {"title": "b"}])
    (told,) = (await client.hear("refresh-ok"))["calls"]
    assert told["error"] == {
        "type": "function-error",
        "message": "There are too many.",
        "hint": {"code": "full", "data": None},
    }
    assert "value" not in told


async def listed(ctx: Ctx) -> Any:
    return await ctx.page("todos", order={"title": "asc"}, fields=["title"])


def titles_of(page: Any) -> list[str]:
    return [row["title"] for row in page["value"]["items"]]


async def list_stage(calls: CallStage, count: int) -> None:
    """A function that lists the todos, which are so many."""
    calls.project.add(listed, types=PAGED)
    calls.deploy()
    for number in range(count):
        eid = T1.replace("e0000001", f"f{number:07d}")
        await calls.write(["update", "todos", eid, {"title": f"t{number}"}])


@pytest.mark.rule("FN612")
async def test_a_list_is_loaded_page_by_page(calls: CallStage) -> None:
    await list_stage(calls, 6)
    client = await calls.client()
    args = {"page": {"size": 2}}
    event = client.say("add-call", name="t.listed", args=args, paged=True)
    first = await client.hear("add-call-ok")
    assert (first["client-event-id"], first["args"], "value" in first) == (event, args, False)
    (page,) = first["pages"]
    assert (page["at"], page["new"], titles_of(page)) == (0, True, ["t0", "t1"])
    assert page["until"] == page["value"]["next"]

    client.say("more-call", name="t.listed", args=args)
    client.say("more-call", name="t.listed", args=args)  # one is under way: no effect
    (news,) = (await client.hear("refresh-ok"))["calls"]
    assert (news["count"], "whole" in news) == (2, False)
    (second,) = news["pages"]
    assert (second["at"], second["new"], titles_of(second)) == (1, True, ["t2", "t3"])

    # A page that changed comes alone, and its neighbours do not run.
    ran = calls.project.runs["t.listed"]
    tx = await calls.write(["update", "todos", T1, {"title": "t21"}])
    refresh = await client.hear("refresh-ok")
    (news,) = refresh["calls"]
    (changed,) = news["pages"]
    assert refresh["processed-tx-id"] >= tx and news["count"] == 2
    assert changed == {
        "at": 1,
        "until": second["until"],
        "value": {**second["value"], "items": changed["value"]["items"]},
    }
    assert titles_of(changed) == ["t2", "t21", "t3"]
    assert calls.project.runs["t.listed"] == ran + 1

    # Asked again, all of it is told; the last page ends with the list.
    client.say("more-call", name="t.listed", args=args)
    await client.hear("refresh-ok")
    client.say("add-call", name="t.listed", args=args, paged=True)
    whole = (await client.hear("add-call-ok"))["pages"]
    assert [titles_of(page) for page in whole] == [["t0", "t1"], ["t2", "t21", "t3"], ["t4", "t5"]]
    assert whole[2]["until"] == "" and whole[2]["value"]["next"] is None

    client.say("remove-call", name="t.listed", args=args)  # the call of these arguments is another
    client.say("remove-call", name="t.listed", args=args, paged=True)
    client.say("more-call", name="t.listed", args=args)  # of a list that is gone: no error
    await calls.write(["update", "todos", T2, {"title": "t0"}])
    await calls.quiet()
    assert client.unheard() == [] and len(calls.live) == 0


@pytest.mark.rule("FN613")
async def test_a_split_is_told_in_one_message(calls: CallStage) -> None:
    await list_stage(calls, 4)
    client = await calls.client()
    args = {"page": {"size": 2}}
    client.say("add-call", name="t.listed", args=args, paged=True)
    (page,) = (await client.hear("add-call-ok"))["pages"]
    ids = [T1.replace("e0000001", f"f000001{n}") for n in range(3)]
    await calls.write(*(["update", "todos", eid, {"title": "t0x"}] for eid in ids))
    (news,) = (await client.hear("refresh-ok"))["calls"]
    assert [titles_of(each) for each in news["pages"]] == [["t0", "t0x"], ["t0x", "t0x", "t1"]]
    assert [(each["at"], each.get("new")) for each in news["pages"]] == [(0, None), (1, True)]
    assert news["pages"][1]["until"] == page["until"] and news["count"] == 2


@pytest.mark.rule("FN248")
async def test_ends_of_pages_count_as_what_a_session_watches(calls: CallStage) -> None:
    """They were kept for calls that nobody answers, in any number and of any length."""
    client = await calls.client()
    longest = "x" * function_limits.CURSOR_CHARS_MAX
    client.say("add-call", name="t.no", args={"n": 0}, paged=True, pages=[longest + "x"])
    assert (await client.hear("error"))["type"] == "bad-args"
    pages = [longest] * function_limits.PAGES_MAX
    told = []
    for n in (1, 2):
        client.say("add-call", name="t.no", args={"n": n}, paged=True, pages=pages)
        heard = await client.hear("error" if n == 2 else "add-call-ok")
        told.append(heard.get("type"))
    assert told == [None, "parameter-limit-exceeded"]


@pytest.mark.rule("FN616")
async def test_a_client_that_comes_back_has_the_pages_that_it_had(calls: CallStage) -> None:
    await list_stage(calls, 6)
    client = await calls.client()
    args = {"page": {"size": 2}}
    client.say("add-call", name="t.listed", args=args, paged=True)
    ends = [(await client.hear("add-call-ok"))["pages"][0]["until"]]
    client.say("more-call", name="t.listed", args=args)
    ends.append((await client.hear("refresh-ok"))["calls"][0]["pages"][0]["until"])
    client.hang_up()
    await calls.write(["update", "todos", T1, {"title": "t11"}])

    again = await calls.client()
    again.say("add-call", name="t.listed", args=args, paged=True, pages=ends)
    pages = (await again.hear("add-call-ok"))["pages"]
    assert [page["until"] for page in pages] == ends
    assert [titles_of(page) for page in pages] == [["t0", "t1"], ["t11", "t2", "t3"]]
    for wrong in ("x", [1], [None, "x"], ["x"] * (function_limits.PAGES_MAX + 1)):
        again.say("add-call", name="t.listed", args=args, paged=True, pages=wrong)
        assert (await again.hear("error"))["type"] == "bad-args"


@pytest.mark.rule("FN614")
async def test_each_page_counts_as_a_watched_call(
    calls: CallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await list_stage(calls, 6)
    monkeypatch.setattr(function_limits, "SESSION_LIVE_CALLS_MAX", 2)
    client = await calls.client()
    args = {"page": {"size": 2}}
    client.say("add-call", name="t.listed", args=args, paged=True)
    await client.hear("add-call-ok")
    client.say("more-call", name="t.listed", args=args)
    await client.hear("refresh-ok")
    for op, asked in (("more-call", args), ("add-call", {})):
        client.say(op, name="t.listed", args=asked)
        error = await client.hear("error")
        assert error["type"] == "parameter-limit-exceeded"
        assert (error["original-event"]["op"], error["original-event"]["args"]) == (op, asked)


@pytest.mark.rule("FN246")
async def test_one_frame_has_the_news_of_queries_and_calls(calls: CallStage) -> None:
    client = await calls.client()
    client.say("add-query", q={"todos": {}})
    client.say("add-call", name="t.titles")
    await client.hear("add-call-ok")
    await calls.quiet()
    client.unheard()
    client.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    await calls.write(["update", "todos", T1, {"title": "a"}])
    tx = await calls.write(["update", "todos", T1, {"title": "b"}])
    await calls.quiet()
    assert client.unheard() == []

    client.backlog = 0
    client.session.on_writable()
    refresh = await client.hear("refresh-ok")
    assert refresh["processed-tx-id"] == tx
    assert "b" in [triple[2] for triple in refreshed(refresh)]
    assert [call["value"] for call in refresh["calls"]] == [["b"]]
    assert client.unheard() == []


@pytest.mark.rule("FN243")
async def test_who_asks_again_is_answered_again(calls: CallStage) -> None:
    client = await calls.client()
    for _ in range(2):
        event = client.say("add-call", name="t.titles")
        answer = await client.hear("add-call-ok")
        assert (answer["client-event-id"], answer["value"]) == (event, [])
    first, second = client.say("add-call", name="t.titles"), client.say("add-call", name="t.titles")
    assert {(await client.hear("add-call-ok"))["client-event-id"] for _ in range(2)} == {
        first,
        second,
    }
    assert calls.project.runs["t.titles"] == 1


@pytest.mark.rule("FN247")
async def test_an_answer_never_claims_a_transaction_that_it_does_not_have(
    calls: CallStage,
) -> None:
    client, writer = await calls.client(), await calls.client()
    client.say("add-call", name="t.titles")
    for number in range(30):
        writer.say("call", name="t.rename", args={"id": T1, "title": f"{number:03}"})
        if number % 3 == 0:
            await settle()
    written = {}
    for number in range(30):
        written[(await writer.hear("call-ok"))["tx-id"]] = f"{number:03}"
    await calls.quiet()
    newest = max(written)
    told = [
        (message["processed-tx-id"], value)
        for message in client.received
        for value in (
            [message["value"]]
            if message["op"] == "add-call-ok"
            else [call["value"] for call in message.get("calls", ())]
        )
    ]
    assert told[-1] == (newest, [written[newest]])
    for label, value in told:
        least = max((tx for tx in written if tx <= label), default=None)
        if least is not None:
            assert value >= [written[least]], (label, value)


@pytest.mark.rule("FN248")
async def test_a_session_has_bounds_of_watched_calls(
    calls: CallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_limits, "SESSION_LIVE_CALLS_MAX", 2)
    client = await calls.client()
    for number in range(3):
        client.say("add-call", name="t.titles", args={"n": number})
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"
    client.say("remove-call", name="t.titles", args={"n": 0})
    client.say("add-call", name="t.titles", args={"n": 2})
    while (await client.hear("add-call-ok"))["args"] != {"n": 2}:
        pass
    monkeypatch.setattr(function_limits, "SESSION_LIVE_CALLS_MAX", 100)
    monkeypatch.setattr(function_limits, "SESSION_LIVE_BYTES_MAX", 100)
    client.say("add-call", name="t.titles", args={"n": "x" * 90})
    assert (await client.hear("error"))["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("FN243")
async def test_who_asks_again_and_again_waits_so_often(calls: CallStage) -> None:
    client = await calls.client()
    for _ in range(function_limits.SESSION_CALLS_MAX + 1):
        client.say("add-call", name="t.titles")
    assert (await client.hear("error"))["type"] == "overloaded"
    for _ in range(function_limits.SESSION_CALLS_MAX):
        await client.hear("add-call-ok")


@pytest.mark.rule("FN725")
@pytest.mark.interpreted("frames are counted where they are joined")
async def test_what_many_are_told_alone_is_encoded_once_a_commit(
    calls: CallStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [await calls.client() for _ in range(20)]
    for client in clients:
        client.say("add-call", name="t.titles")
        await client.hear("add-call-ok")
    encoded: list[int] = []
    original = down.refresh_ok

    def refresh_ok(*given: Any, **options: Any) -> Any:
        encoded.append(options["tx"])
        return original(*given, **options)

    monkeypatch.setattr(down, "refresh_ok", refresh_ok)
    for number in range(3):
        await calls.write(["update", "todos", T1, {"title": f"t{number}"}])
        for client in clients:
            news = await client.hear("refresh-ok")
            assert [one["value"] for one in news["calls"]] == [[f"t{number}"]]
            assert (news["computations"], news["processed-tx-id"]) == ([], encoded[-1])
        assert len(encoded) == number + 1
