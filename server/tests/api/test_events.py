"""Server-sent events: the fallback of browsers, and live queries of backends."""

from __future__ import annotations

import pytest

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
def test_a_browser_opens_a_session_by_events_and_pushes(play):
    async def scene(stage):
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

    play(scene)


@pytest.mark.rule("P50")
def test_pushes_must_know_the_token(play):
    async def scene(stage):
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

    play(scene)


@pytest.mark.rule("P53")
def test_subscribe_query_answers_and_refreshes_trees(play):
    async def scene(stage):
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

    play(scene)


@pytest.mark.rule("P53")
def test_a_bad_live_query_is_an_error_event_and_bad_callers_an_http_error(play):
    async def scene(stage):
        events = stage.start("POST", "/admin/subscribe-query", {"query": {"a": 5}}, stage.admin())
        error = await events.event(1)
        assert (error["op"], error["type"]) == ("error", "validation-failed")
        await events.hang_up()
        answer = await stage.ask(
            "POST", "/admin/subscribe-query", {"query": {}}, {"app-id": stage.app_id}
        )
        assert (answer.status, answer.json()["type"]) == (400, "param-missing")

    play(scene)


@pytest.mark.rule("P54", "P52")
def test_admin_events_are_signed_in_by_headers(play):
    async def scene(stage):
        events = stage.start("POST", "/admin/sse", {}, stage.admin())
        hello = await events.event(0)
        count = {"op": "add-query", "q": {"todos": {"$": {"aggregate": "count"}}}}
        await stage.ask("POST", f"/admin/sse/push?app_id={stage.app_id}", push(hello, count))
        answer = await events.event(1)
        assert answer["result"][0]["data"]["aggregate"] == {"todos": {"count": 0}}
        await events.hang_up()

    play(scene)


@pytest.mark.rule("P39")
def test_streams_end_when_the_server_stops(play):
    async def scene(stage):
        events = stage.start("GET", f"/runtime/sse?app_id={stage.app_id}")
        await events.event(0)
        stage.hub.stop()
        await events.whole()
        assert events.is_over
        answer = await stage.ask("GET", f"/runtime/sse?app_id={stage.app_id}")
        assert (answer.status, answer.json()["type"]) == (503, "overloaded")

    play(scene)
