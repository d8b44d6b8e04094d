"""Sessions as clients meet them: opening, queries, transactions, errors."""

from __future__ import annotations

import orjson
import pytest

from support.memory_client import refreshed, triples
from trice import limits

T1 = "e1000000-0000-4000-8000-000000000001"
T2 = "e1000000-0000-4000-8000-000000000002"
P1 = "e2000000-0000-4000-8000-000000000001"
NOBODY = "00000000-0000-4000-8000-000000000000"
TODOS = {"todos": {}}


@pytest.mark.rule("P1")
async def test_ops_before_init_are_refused(stage):
    client = stage.connect()
    for op in ("add-query", "remove-query", "transact"):
        event = client.say(op, q=TODOS, tx_steps=[])
        error = await client.hear("error")
        assert error["type"] == "validation-failed"
        assert "has not run" in error["message"]
        assert error["client-event-id"] == event


@pytest.mark.rule("P2")
async def test_init_ok_carries_session_catalog_and_status(stage):
    client, other = stage.connect(), stage.connect()
    opened = await client.init(stage.app.id)
    assert opened["app-status"] == {"status": "active"}
    names = {tuple(attr["forward-identity"][1:]) for attr in opened["attrs"]}
    assert {("todos", "title"), ("$users", "email"), ("$files", "path")} <= names
    assert opened["session-id"] != (await other.init(stage.app.id))["session-id"]


@pytest.mark.rule("P3")
@pytest.mark.parametrize(
    ("fields", "code", "hint"),
    [
        ({"app_id": NOBODY}, "record-not-found", {"record-type": "app"}),
        ({}, "param-missing", {"in": ["app-id"]}),
        ({"app_id": "x"}, "param-malformed", {"in": ["app-id"], "original-input": "x"}),
        ({"app_id": 5}, "param-malformed", {"in": ["app-id"], "original-input": 5}),
    ],
)
async def test_init_for_no_app_is_refused(stage, fields, code, hint):
    client = stage.connect()
    client.say("init", **fields)
    error = await client.hear("error")
    assert error["type"] == code
    assert hint.items() <= error["hint"].items()
    assert error["original-event"]["op"] == "init"


@pytest.mark.rule("P4")
@pytest.mark.parametrize(
    ("field", "record"),
    [("refresh-token", "app-user"), ("__admin-token", "app-admin-token")],
)
@pytest.mark.parametrize("token", [NOBODY, "nonsense", 7])
async def test_init_with_a_wrong_token_is_refused(stage, field, record, token):
    client = stage.connect()
    client.say_raw(orjson.dumps({"op": "init", "app-id": stage.app.id, field: token}))
    error = await client.hear("error")
    assert (error["type"], error["hint"]["record-type"]) == ("record-not-found", record)
    assert stage.app.users == 1, "the refused session gave the app back"


@pytest.mark.rule("P4")
async def test_the_admin_token_opens_an_admin_session(stage):
    client = stage.connect()
    client.say_raw(
        orjson.dumps({"op": "init", "app-id": stage.app.id, "__admin-token": stage.token})
    )
    await client.hear("init-ok")
    client.say("add-query", q={"todos": {"$": {"aggregate": "count"}}})
    answer = await client.hear()
    assert answer["result"][0]["data"]["aggregate"] == {"todos": {"count": 0}}


@pytest.mark.rule("P5")
async def test_a_second_init_is_refused(stage):
    client = await stage.client()
    client.say("init", app_id=stage.app.id)
    error = await client.hear()
    assert error["type"] == "validation-failed"
    assert "already run" in error["message"]


@pytest.mark.rule("P6")
async def test_messages_sent_before_init_ok_are_handled_after_it_in_order(stage):
    client = stage.connect()
    client.say("init", app_id=stage.app.id)
    client.say("add-query", q=TODOS)
    client.say("remove-query", q=TODOS)
    heard = [(await client.hear())["op"] for _ in range(3)]
    assert heard == ["init-ok", "add-query-ok", "remove-query-ok"]


@pytest.mark.rule("P7")
async def test_a_session_can_try_init_again(stage):
    client = stage.connect()
    client.say("init", app_id=NOBODY)
    await client.hear("error")
    await client.init(stage.app.id)


@pytest.mark.rule("P10")
async def test_the_query_is_echoed_as_sent(stage):
    client = await stage.client()
    query = {"todos": {"$": {"where": {"done": False}, "limit": None}, "owner": {}}}
    event = client.say("add-query", q=query)
    answer = await client.hear("add-query-ok")
    assert orjson.dumps(answer["q"]) == orjson.dumps(query)
    assert answer["client-event-id"] == event
    assert answer["processed-tx-id"] >= 1
    assert triples(answer) == []


@pytest.mark.rule("P11")
async def test_a_query_added_twice_is_answered_twice_in_full(stage):
    client = await stage.client()
    client.say("transact", tx_steps=stage.create("todos", T1, title="a"))
    await client.hear("transact-ok")
    for _ in range(2):
        event = client.say("add-query", q=TODOS)
        answer = await client.hear("add-query-ok")
        assert answer["client-event-id"] == event
        assert len(triples(answer)) == 4
    assert len(stage.app.database.live) == 1


@pytest.mark.rule("P12")
async def test_add_remove_add_leaves_the_query_live(stage):
    client = await stage.client()
    client.say("add-query", q=TODOS)
    client.say("remove-query", q=TODOS)
    client.say("add-query", q=TODOS)
    client.say("transact", tx_steps=stage.create("todos", T1, title="a"))
    refresh = await client.hear("refresh-ok")
    assert T1 in {triple[0] for triple in refreshed(refresh)}


@pytest.mark.rule("P13")
@pytest.mark.parametrize("query", [{"todos": {}}, None, 5])
async def test_removing_an_unknown_query_is_acknowledged(stage, query):
    client = await stage.client()
    event = client.say("remove-query", q=query)
    assert (await client.hear())["client-event-id"] == event


@pytest.mark.rule("P14")
@pytest.mark.parametrize("query", [{"todos": "x"}, {"todos": {"$": {"limit": 0}}}, None, [1], "q"])
async def test_a_query_that_fails_is_told_and_not_registered(stage, query):
    client = await stage.client()
    event = client.say("add-query", q=query)
    error = await client.hear()
    assert (error["op"], error["type"]) == ("error", "validation-failed")
    assert error["original-event"] == {
        "op": "add-query",
        "client-event-id": event,
        "q": query,
    }
    assert len(stage.app.database.live) == 0
    assert not client.session.state.subscriptions


@pytest.mark.rule("P15")
async def test_changes_arrive_whole_and_only_when_the_result_differs(stage):
    client = await stage.client()
    query = {"todos": {"$": {"where": {"done": True}}}}
    client.say("add-query", q=query)
    await client.hear("add-query-ok")
    client.say("transact", tx_steps=stage.create("todos", T1, title="a", done=False))
    last = client.say("transact", tx_steps=[["add-triple", T1, stage.attr("todos", "done"), True]])
    second = await client.hear_where(lambda m: m.get("client-event-id") == last)
    refresh = await client.hear("refresh-ok")
    assert refresh["processed-tx-id"] == second["tx-id"]
    assert refresh["computations"][0]["instaql-query"] == query
    assert {triple[0] for triple in refreshed(refresh)} == {T1}
    await stage.app.database.live.settled()
    assert [m["op"] for m in client.unheard()] == []


@pytest.mark.rule("P17")
async def test_return_type_tree_gives_nested_objects(stage):
    client = await stage.client()
    client.say("transact", tx_steps=stage.create("todos", T1, title="a"))
    await client.hear("transact-ok")
    client.say("add-query", q=TODOS, return_type="tree")
    answer = await client.hear("add-query-ok")
    assert [row["title"] for row in answer["result"]["todos"]] == ["a"]
    client.say("add-query", q=TODOS, return_type="rows")
    assert (await client.hear("error"))["type"] == "param-malformed"


@pytest.mark.rule("P20", "P21")
async def test_transactions_are_acknowledged_in_order_with_rising_ids(stage):
    client = await stage.client()
    title = stage.attr("todos", "title")
    events = [client.say("transact", tx_steps=stage.create("todos", T1))]
    events += [
        client.say("transact", tx_steps=[["add-triple", T1, title, str(n)]]) for n in range(20)
    ]
    acks = [await client.hear("transact-ok") for _ in events]
    assert [ack["client-event-id"] for ack in acks] == events
    first = acks[0]["tx-id"]
    assert [ack["tx-id"] for ack in acks] == list(range(first, first + 21))
    client.say("add-query", q=TODOS)
    answer = await client.hear("add-query-ok")
    assert [t[2] for t in triples(answer) if t[1] == title] == ["19"]


@pytest.mark.rule("P22")
async def test_a_rejected_transaction_is_told_and_results_follow(stage):
    client = await stage.client()
    client.say("transact", tx_steps=stage.create("todos", T1, slug="a"))
    await client.hear("transact-ok")
    client.say("add-query", q=TODOS)
    await client.hear("add-query-ok")
    steps = stage.create("todos", T2, slug="a")
    event = client.say("transact", tx_steps=steps)
    error = await client.hear("error")
    assert (error["type"], error["client-event-id"]) == ("record-not-unique", event)
    assert error["original-event"]["tx-steps"] == steps
    refresh = await client.hear("refresh-ok")
    assert {triple[0] for triple in refreshed(refresh)} == {T1}


@pytest.mark.rule("P23")
async def test_a_replay_is_applied_once_and_acknowledged_again(stage):
    client = await stage.client()
    steps = [[*step, {"mode": "create"}] for step in stage.create("todos", T1, title="a")]
    client.say("transact", tx_steps=steps, event_id="once")
    first = await client.hear("transact-ok")
    client.hang_up()
    again = await stage.client()
    again.say("transact", tx_steps=steps, event_id="once")
    assert (await again.hear("transact-ok"))["tx-id"] == first["tx-id"]
    assert stage.app.database.tx == first["tx-id"]


@pytest.mark.rule("P23", "T111")
async def test_a_client_that_counts_its_events_anew_in_each_session_loses_nothing(stage):
    title = stage.attr("todos", "title")
    told = []
    for number in range(3):
        client = await stage.client()
        steps = [*stage.create("todos", T1), ["add-triple", T1, title, str(number)]]
        client.say("transact", tx_steps=steps, event_id="1")
        told.append((await client.hear("transact-ok"))["tx-id"])
        client.hang_up()
    assert len(set(told)) == 3
    client = await stage.client()
    client.say("add-query", q=TODOS)
    assert [T1, title, "2"] in [t[:3] for t in triples(await client.hear("add-query-ok"))]


@pytest.mark.rule("P23", "T111")
async def test_the_event_id_of_somebody_else_is_no_replay(stage):
    steps = stage.create("todos", T1, title="a")
    guest, admin = await stage.client(), stage.connect()
    init = {"op": "init", "app-id": stage.app.id, "__admin-token": stage.token}
    admin.say_raw(orjson.dumps(init))
    await admin.hear("init-ok")
    for client in (guest, admin):
        client.say("transact", tx_steps=steps, event_id="same")
    told = [(await client.hear("transact-ok"))["tx-id"] for client in (guest, admin)]
    assert told[0] != told[1]


@pytest.mark.rule("P23", "T112")
async def test_a_replay_without_the_attrs_that_the_catalog_has_by_then_is_a_replay(stage):
    attr = "aa000000-0000-4000-8000-0000000000fe"
    new = {
        "id": attr,
        "forward-identity": ["ab000000-0000-4000-8000-0000000000fe", "todos", "color"],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": False,
        "isUnsynced": True,
    }
    steps = [*stage.create("todos", T1), ["add-triple", T1, attr, "red"]]
    steps = [[*step, {"mode": "create"}] for step in steps]
    client = await stage.client()
    client.say("transact", tx_steps=[["add-attr", new], *steps], event_id="once")
    first = await client.hear("transact-ok")
    # The acknowledgement is lost; `init-ok` shows the attr, and the client leaves it out.
    again = await stage.client()
    again.say("transact", tx_steps=steps, event_id="once")
    assert (await again.hear("transact-ok"))["tx-id"] == first["tx-id"]


@pytest.mark.rule("P23", "T110")
async def test_a_long_replay_is_a_replay(stage):
    client = await stage.client()
    text = "x" * limits.MESSAGE_BYTES_ON_LOOP
    steps = [[*step, {"mode": "create"}] for step in stage.create("people", T1, name=text)]
    for _ in range(2):
        client.say("transact", tx_steps=steps, event_id="once")
    told = [(await client.hear("transact-ok"))["tx-id"] for _ in range(2)]
    assert told[0] == told[1]


@pytest.mark.rule("P24")
async def test_new_attrs_reach_every_session_before_they_are_needed(stage):
    writer, idle, reader = [await stage.client() for _ in range(3)]
    reader.say("add-query", q=TODOS)
    await reader.hear("add-query-ok")
    attr = "aa000000-0000-4000-8000-0000000000ff"
    new = {
        "id": attr,
        "forward-identity": ["ab000000-0000-4000-8000-0000000000ff", "todos", "color"],
        "value-type": "blob",
        "cardinality": "one",
        "unique?": False,
        "index?": False,
        "isUnsynced": True,
    }
    steps = [["add-attr", new], *stage.create("todos", T1), ["add-triple", T1, attr, "red"]]
    writer.say("transact", tx_steps=steps)
    told = await idle.hear("refresh-ok")
    assert told["computations"] == []
    assert attr in {a["id"] for a in told["attrs"]}
    known: set[str] = set()
    refresh = await reader.hear_where(lambda m: bool(m.get("computations")))
    for message in reader.received[: reader.received.index(refresh) + 1]:
        known |= {a["id"] for a in message.get("attrs", [])}
    assert attr in known
    assert [T1, attr, "red"] in [t[:3] for t in refreshed(refresh)]


@pytest.mark.rule("P24")
async def test_attrs_come_before_the_answer_that_needs_them(stage):
    client = await stage.client()
    client.session.state.tell_catalog(0)
    client.say("add-query", q=TODOS)
    assert [(await client.hear())["op"] for _ in range(2)] == ["refresh-ok", "add-query-ok"]
