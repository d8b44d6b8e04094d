"""Server-sent events: the fallback of browsers, and live queries of backends."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from trice import limits

NOBODY = "00000000-0000-4000-8000-000000000000"
T1 = "e1000000-0000-4000-8000-000000000001"


def push(hello, *messages):
    return {
        "machine_id": hello["machine-id"],
        "session_id": hello["session-id"],
        "sse_token": hello["sse-token"],
        "messages": list(messages),
    }


@pytest.mark.rule("P50", "P51", "P52")
async def test_a_browser_opens_a_session_by_events_and_pushes(stage):
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    hello = await events.event(0)
    assert hello["op"] == "sse-init"
    init = {"op": "init", "app-id": stage.app_id, "client-event-id": "1"}
    query = {"op": "add-query", "q": {"todos": {}}, "client-event-id": "2"}
    target = f"/runtime/sse?app_id={stage.app_id}"
    assert (await stage.ask("POST", target, push(hello, init, query))).json() == {}
    assert (await events.event(1))["session-id"] == hello["session-id"]
    assert (await events.event(2))["client-event-id"] == "2"
    assert events.headers["content-type"].startswith("text/event-stream")
    await events.hang_up()
    assert len(stage.hub) == 0


@pytest.mark.rule("P50")
async def test_pushes_must_know_the_token(stage):
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    hello = await events.event(0)
    target = f"/runtime/sse?app_id={stage.app_id}"
    for wrong in (
        {"sse-token": NOBODY},
        {"sse-token": 5},
        {"session-id": NOBODY},
        {"session-id": []},
    ):
        answer = await stage.ask("POST", target, push({**hello, **wrong}))
        assert (answer.status, answer.json()["type"]) == (400, "session-missing")
    answer = await stage.ask("POST", target, {})
    assert answer.json()["type"] == "param-missing"
    answer = await stage.ask("POST", target, {**push(hello), "messages": 5})
    assert answer.json()["type"] == "param-malformed"
    await events.hang_up()
    answer = await stage.ask("POST", target, push(hello))
    assert answer.json()["type"] == "session-missing"


@pytest.mark.rule("P53")
async def test_subscribe_query_answers_and_refreshes_trees(stage):
    query = {"todos": {"$": {"limit": 10}}}
    events = stage.start("POST", "/admin/subscribe-query", {"query": query}, stage.admin())
    assert (await events.event(0))["op"] == "sse-init"
    first = await events.event(1)
    assert (first["op"], first["q"], first["result"]) == ("add-query-ok", query, {"todos": []})
    steps = [["update", "todos", T1, {"title": "a"}]]
    await stage.ask("POST", "/admin/transact", {"steps": steps}, stage.admin())
    refresh = await events.event(2)
    assert refresh["op"] == "refresh-ok"
    assert refresh["computations"][0]["instaql-result"] == {"todos": [{"id": T1, "title": "a"}]}
    info = refresh["computations"][0]["result-meta"]["page-info"]["todos"]
    assert info["start-cursor"][0] == T1
    assert events.body.startswith(b"retry: 500\n\n")
    await events.hang_up()


@pytest.mark.rule("P53")
async def test_a_bad_live_query_is_an_error_event_and_bad_callers_an_http_error(stage):
    events = stage.start("POST", "/admin/subscribe-query", {"query": {"a": 5}}, stage.admin())
    error = await events.event(1)
    assert (error["op"], error["type"]) == ("error", "validation-failed")
    await events.hang_up()
    answer = await stage.ask(
        "POST", "/admin/subscribe-query", {"query": {}}, {"app-id": stage.app_id}
    )
    assert (answer.status, answer.json()["type"]) == (400, "param-missing")


@pytest.mark.rule("P54", "P52")
async def test_admin_events_are_signed_in_by_headers(stage):
    events = stage.start("POST", "/admin/sse", {}, stage.admin())
    hello = await events.event(0)
    count = {"op": "add-query", "q": {"todos": {"$": {"aggregate": "count"}}}}
    await stage.ask("POST", f"/admin/sse/push?app_id={stage.app_id}", push(hello, count))
    answer = await events.event(1)
    assert answer["result"][0]["data"]["aggregate"] == {"todos": {"count": 0}}
    await events.hang_up()


@pytest.mark.rule("P55")
@pytest.mark.parametrize("turns", range(6))
async def test_a_client_that_leaves_at_once_leaves_no_session(stage, turns):
    for path, method in (
        (f"/runtime/sse?app_id={stage.app_id}", "GET"),
        ("/admin/sse", "POST"),
        ("/admin/subscribe-query", "POST"),
    ):
        events = stage.start(method, path, {"query": {"todos": {}}}, stage.admin())
        for _ in range(turns):
            await asyncio.sleep(0)
        await events.hang_up()
        assert len(stage.hub) == 0
        assert stage.asgi.state.streams == {}
    app = await stage.apps.lend(stage.app_id)
    assert app.users == 1
    assert len(app.database.live) == 0
    stage.apps.give_back(app)


@pytest.mark.rule("P55")
async def test_a_reader_that_stops_is_dropped_and_gets_no_more_comments(stage):
    reading = stage.start("POST", "/admin/sse", {}, stage.admin())
    stuck = stage.start("POST", "/admin/sse", {}, stage.admin())
    hello = await stuck.event(0)
    await reading.event(0)
    session = stage.hub.find(hello["session-id"])
    socket = session.socket
    stuck.stop_reading()
    for _ in range(8):
        stage.runtime.advance(limits.PING_INTERVAL_MS / 2)
        stage.hub.look()
        for _ in range(5):
            await asyncio.sleep(0)
    assert session.is_closed
    assert len(socket.frames) <= 1
    assert reading.body.count(b": keep-alive") >= 4
    for events in (reading, stuck):
        await events.hang_up()
    assert len(stage.hub) == 0


@pytest.mark.rule("P50", "P6")
async def test_pushes_while_init_is_opening_wait_their_turn(stage):
    target = f"/runtime/sse?app_id={stage.app_id}"
    events = stage.start("GET", target)
    hello = await events.event(0)
    init = {"op": "init", "app-id": stage.app_id, "client-event-id": "1"}
    query = {"op": "add-query", "q": {"todos": {}}, "client-event-id": "2"}
    first = stage.start("POST", target, push(hello, init))
    second = stage.start("POST", target, push(hello, query))
    await first.whole()
    await second.whole()
    assert [(await events.event(n))["client-event-id"] for n in (1, 2)] == ["1", "2"]
    deep = orjson.dumps(push(hello, 5)).replace(b"5]", b"[" * 300 + b"]" * 300 + b"]")
    answer = await stage.ask("POST", target, deep)
    assert (answer.status, answer.json()["type"]) == (400, "param-malformed")
    await events.hang_up()


@pytest.mark.rule("H4", "P53")
async def test_event_streams_carry_cors_headers_too(stage):
    headers = stage.admin(origin="https://app.example")
    events = stage.start("POST", "/admin/subscribe-query", {"query": {}}, headers)
    await events.event(0)
    assert events.headers["access-control-allow-origin"] == "https://app.example"
    await events.hang_up()


@pytest.mark.rule("P39")
async def test_streams_end_when_the_server_stops(stage):
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    await events.event(0)
    stage.hub.stop()
    await events.whole()
    assert events.is_over
    for method, path in (
        ("GET", f"/runtime/sse?app_id={stage.app_id}"),
        ("POST", "/admin/sse"),
    ):
        answer = await stage.ask(method, path, {}, stage.admin())
        assert (answer.status, answer.json()["type"]) == (503, "overloaded")
    app = await stage.apps.lend(stage.app_id)
    assert app.users == 1


@pytest.mark.rule("H20")
@pytest.mark.parametrize("name", ["machine_id", "session_id", "sse_token", "messages"])
async def test_a_push_says_what_it_lacks(stage, name):
    target = f"/runtime/sse?app_id={stage.app_id}"
    events = stage.start("GET", target)
    body = push(await events.event(0))
    for lacking in ({**body, name: None}, {key: body[key] for key in body if key != name}):
        answer = await stage.ask("POST", target, lacking)
        assert (answer.status, answer.json()["type"]) == (400, "param-missing")
        assert answer.json()["hint"]["in"] == ["body", name]
    await events.hang_up()


@pytest.mark.rule("H20")
@pytest.mark.parametrize(
    "wrong",
    [
        {"machine_id": 5},
        {"machine_id": "x"},
        {"messages": 5},
        {"messages": {}},
        {"messages": [5]},
        {"messages": [{}, [1]]},
        {"messages": [1] * limits.MESSAGE_BYTES_ON_LOOP},
    ],
)
async def test_a_malformed_push_is_refused_with_what_is_accepted(stage, wrong):
    target = f"/runtime/sse?app_id={stage.app_id}"
    events = stage.start("GET", target)
    body = push(await events.event(0)) | wrong
    answer = await stage.ask("POST", target, body)
    assert (answer.status, answer.json()["type"]) == (400, "param-malformed")
    assert "It must be a" in answer.json()["message"]
    assert answer.json()["hint"]["in"] == ["body", *wrong]
    await events.hang_up()


@pytest.mark.rule("H20")
async def test_a_push_that_would_become_too_much_is_refused_undecoded(stage):
    target = f"/runtime/sse?app_id={stage.app_id}"
    events = stage.start("GET", target)
    body = push(await events.event(0), {"op": "add-query", "q": [[]] * 400_000})
    answer = await stage.ask("POST", target, body)
    assert (answer.status, answer.json()["type"]) == (413, "message-too-big")
    await events.hang_up()


@pytest.mark.rule("P121", "P115")
@pytest.mark.parametrize("padding", [0, limits.MESSAGE_BYTES_ON_LOOP])
async def test_a_message_that_no_decoder_takes_is_answered_as_an_event(stage, padding):
    target = f"/runtime/sse?app_id={stage.app_id}"
    events = stage.start("GET", target)
    hello = await events.event(0)
    init = {"op": "init", "app-id": stage.app_id, "client-event-id": "1"}
    write = {"op": "transact", "client-event-id": "2", "tx-steps": ["HALF"]}
    query = {"op": "add-query", "client-event-id": "3", "q": {"todos": {}}}
    body = orjson.dumps(push(hello, init, write, query)).replace(b"HALF", b"\\ud83d")
    assert (await stage.ask("POST", target, body + b" " * padding)).json() == {}
    error = await events.event(2)
    assert (error["type"], error["client-event-id"]) == ("validation-failed", "2")
    assert error["hint"]["errors"][0]["in"] == ["tx-steps", 0]
    answers = [await events.event(3)]
    assert answers[0]["client-event-id"] == "3"
    await events.hang_up()


@pytest.mark.rule("P213")
async def test_pushes_that_wait_are_answered_when_their_stream_ends(stage):
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    hello = await events.event(0)
    target = f"/runtime/sse?app_id={stage.app_id}"
    await stage.ask("POST", target, push(hello, {"op": "init", "app-id": stage.app_id}))
    await events.event(1)
    long = {"op": "add-query", "q": {"x" * (limits.MESSAGE_BYTES_ON_LOOP + 1): {}}}
    session = stage.hub.find(hello["session-id"])
    waiting = stage.start("POST", target, push(hello, long, long))
    while not session.inbox.is_paused:  # noqa: ASYNC110 - nobody tells of it by an event
        await asyncio.sleep(0)
    await events.hang_up()
    answer = await waiting.whole()
    assert (answer.status, answer.json()["type"]) == (400, "session-missing")


@pytest.mark.rule("P214")
@pytest.mark.parametrize(
    "body",
    [
        b'{"query":{},"inference?":"yes"}',
        b'{"query":%b1%b}' % (b'{"a":' * 400, b"}" * 400),
        b'{"query":%b1%b}' % (b"[" * 400, b"]" * 400),
        b"{}",
    ],
)
async def test_who_is_refused_an_event_stream_leaves_no_session(stage, body):
    answer = await stage.ask("POST", "/admin/subscribe-query", body, stage.admin())
    assert answer.status == 400
    assert answer.json()["hint"]["in"][0] == "body"
    assert len(stage.hub) == 0
    assert stage.asgi.state.streams == {}


@pytest.mark.rule("H63", "P50")
@pytest.mark.parametrize("name", ["sse_token", "session_id", "machine_id"])
async def test_half_of_a_surrogate_pair_knows_no_stream(stage, name):
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    hello = await events.event(0)
    body = orjson.dumps({**push(hello), name: "HALF"}).replace(b"HALF", b"\\ud800")
    answer = await stage.ask("POST", f"/runtime/sse?app_id={stage.app_id}", body)
    assert answer.status == 400
    await events.hang_up()


@pytest.mark.rule("P215")
async def test_pushes_that_wait_are_handed_over_one_after_the_other(stage):
    events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
    hello = await events.event(0)
    target = f"/runtime/sse?app_id={stage.app_id}"
    await stage.ask("POST", target, push(hello, {"op": "init", "app-id": stage.app_id}))
    await events.event(1)
    long = {"a": {"$": {"where": {"b": "x" * limits.MESSAGE_BYTES_ON_LOOP}}}}
    ids = [[f"{number}-{place}" for place in range(3)] for number in range(3)]
    pushes = [
        stage.start(
            "POST",
            target,
            push(hello, *({"op": "add-query", "q": long, "client-event-id": each} for each in own)),
        )
        for own in ids
    ]
    for each in pushes:
        assert (await each.whole()).json() == {}
    await events.event(10)
    answered = [event["client-event-id"] for event in events.events()[2:]]
    assert sorted(ids, key=lambda own: answered.index(own[0])) == [
        answered[at : at + 3] for at in (0, 3, 6)
    ]
    await events.hang_up()
