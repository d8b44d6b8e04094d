"""What clients of ours may ask for: versions, deltas, resume. Nobody else meets any of it."""

from __future__ import annotations

import re

import orjson
import pytest

from support.delta_client import DeltaClient
from support.delta_stage import (
    IDS,
    OURS,
    P1,
    T1,
    T2,
    TODOS,
    fill,
    held_of,
    join,
    new_attr,
    quiet,
    titled,
    told,
    write,
)
from support.memory_client import refreshed
from trice import limits

# --- who does not ask ----------------------------------------------------------------------------


async def plain_traffic(stage, *, has_neighbours: bool) -> list[list[bytes]]:
    """All that a plain client is sent in a scripted life, each frame in its computations.

    Trace ids, which are drawn, are blanked. Computations of a frame come in no certain order.
    """
    await fill(stage, 3)
    client = await stage.client()
    for _ in range(2 if has_neighbours else 0):
        await join(stage)
    client.say("add-query", q=TODOS, held="00" * 16)
    client.say("add-query", q={"todos": {"$": {"limit": 2}, "owner": {}}})
    client.say("add-query", q={"todos": {"$": {"limit": 0}}})
    client.say("add-query", q=TODOS, return_type="tree")
    await quiet(stage)
    client.unheard()
    owner = stage.attr("todos", "owner")
    for steps in (
        [titled(stage, T1, "new")],
        [*stage.create("people", P1, name="Ada"), ["add-triple", T1, owner, P1]],
        [titled(stage, T2, 5)],
        [["delete-entity", T1, "todos"]],
    ):
        client.say("transact", tx_steps=steps)
        await client.hear_where(lambda message: message["op"] in ("transact-ok", "error"))
        await quiet(stage)
    client.say("remove-query", q=TODOS)
    await quiet(stage)
    frames = [re.sub(rb'"trace-id":"[^"]*"', b'"trace-id":""', frame) for frame in client.raw]
    pieces = [frame.removesuffix(b"]}").split(b'{"instaql-query"') for frame in frames]
    return [[head, *sorted(piece.rstrip(b",") for piece in rest)] for head, *rest in pieces]


@pytest.mark.rule("P70")
async def test_a_plain_client_gets_the_same_bytes_whoever_else_is_there(tmp_path, stage_at):
    found = []

    for has_neighbours in (False, True):
        async with stage_at(tmp_path / str(has_neighbours)) as stage:
            found.append(await plain_traffic(stage, has_neighbours=has_neighbours))
    assert found[0] == found[1]
    assert len(found[0]) == 14
    known = {
        "init-ok": {"op", "session-id", "client-event-id", "auth", "attrs", "app-status"},
        "add-query-ok": {"op", "client-event-id", "q", "result", "result-meta", "processed-tx-id"},
        "refresh-ok": {"op", "processed-tx-id", "computations"},
    }
    keys = {"instaql-query", "instaql-result", "result-meta", "result-changed?"}
    for head, *computations in found[0]:
        message = orjson.loads(head + b"]}" if head.endswith(b'"computations":[') else head)
        if message["op"] in known:
            assert set(message) == known[message["op"]]
        for computation in computations:
            assert set(orjson.loads(b'{"instaql-query"' + computation)) == keys


# --- who asks ------------------------------------------------------------------------------------


@pytest.mark.rule("P71", "P72")
@pytest.mark.parametrize(
    ("announced", "features"),
    [
        ({"version": 1, "features": ["delta"]}, ["delta"]),
        ({"version": 1, "features": ["telepathy", "resume", "delta"]}, ["delta", "resume"]),
        ({"version": 7, "features": ["resume"]}, ["resume"]),
        ({"version": 1}, []),
        ({"version": 1, "features": None, "tx": None, "catalog": None}, []),
    ],
)
async def test_init_ok_says_what_was_agreed_on(stage, announced, features):
    opened = await stage.connect().init(stage.app.id, trice=announced)
    agreed = opened["trice"]
    assert (agreed["version"], agreed["features"]) == (1, features)
    assert agreed["tx"] == stage.app.database.tx
    assert ("catalog" in agreed) == ("resume" in features)


@pytest.mark.rule("P73")
@pytest.mark.parametrize(
    ("announced", "place"),
    [
        (5, ["trice"]),
        ([], ["trice"]),
        ({}, ["trice", "version"]),
        ({"version": 0}, ["trice", "version"]),
        ({"version": True}, ["trice", "version"]),
        ({"version": 1.5}, ["trice", "version"]),
        ({"version": 1, "features": "delta"}, ["trice", "features"]),
        ({"version": 1, "features": [1]}, ["trice", "features"]),
        ({"version": 1, "features": ["x"] * 33}, ["trice", "features"]),
        ({"version": 1, "tx": -1}, ["trice", "tx"]),
        ({"version": 1, "tx": "4"}, ["trice", "tx"]),
        ({"version": 1, "catalog": 4}, ["trice", "catalog"]),
    ],
)
async def test_a_malformed_announcement_is_refused_with_its_place(stage, announced, place):
    client = stage.connect()
    client.say("init", app_id=stage.app.id, trice=announced)
    error = await client.hear("error")
    assert (error["type"], error["hint"]["in"]) == ("param-malformed", place)
    await client.init(stage.app.id, trice=OURS)


@pytest.mark.rule("P74")
async def test_a_client_ahead_of_the_app_is_told_that_history_was_put_back(stage):
    await fill(stage, 3)
    tx = stage.app.database.tx
    for seen, is_reset in ((0, False), (tx, False), (tx + 1, True)):
        opened = await stage.connect().init(stage.app.id, trice={**OURS, "tx": seen})
        assert opened["trice"].get("reset?", False) is is_reset


@pytest.mark.rule("P75")
async def test_a_catalog_that_is_held_is_not_sent_again(stage):
    client = DeltaClient(stage.hub)
    first = await client.connect(stage.app.id)
    assert first["attrs"]
    client.wire.hang_up()
    assert "attrs" not in await client.connect(stage.app.id)
    await write(stage, ["add-attr", new_attr(1)])
    refresh = await client.hear("refresh-ok")
    assert refresh["catalog"] != first["trice"]["catalog"]
    assert [attr for attr in client.attrs if attr["id"] == new_attr(1)["id"]]
    client.wire.hang_up()
    assert "attrs" not in await client.connect(stage.app.id)
    await write(stage, ["add-attr", new_attr(2)])
    client.wire.hang_up()
    assert "attrs" in await client.connect(stage.app.id)


# --- versions ------------------------------------------------------------------------------------


@pytest.mark.rule("P76")
async def test_versions_name_content_for_everybody(stage):
    await fill(stage, 3)
    admin = {"__admin-token": stage.token}
    clients = [stage.connect() for _ in range(3)]
    answers = []
    for client, fields in zip(clients, ({}, admin, {}), strict=True):
        await client.init(stage.app.id, trice=OURS, **fields)
        client.say("add-query", q=TODOS)
        answers.append(await client.hear("add-query-ok"))
    assert len({answer["version"] for answer in answers}) == 1
    assert len({answer["query-id"] for answer in answers}) == 1
    versions = []
    for title in ("x", "y", "x"):
        await write(stage, titled(stage, T1, title))
        ((computation,),) = [
            (await client.hear("refresh-ok"))["computations"] for client in clients[:1]
        ]
        assert computation["query-id"] == answers[0]["query-id"]
        versions.append(computation["version"])
    assert versions[0] == versions[2]
    assert len({answers[0]["version"], *versions}) == 3
    clients[0].say("add-query", q={"todos": {"$": {"limit": 100}}})
    other = await clients[0].hear("add-query-ok")
    assert other["query-id"] != answers[0]["query-id"]
    assert other["version"] not in versions, "it has page-info too"


# --- deltas --------------------------------------------------------------------------------------


@pytest.mark.rule("P77", "P78")
async def test_a_delta_names_what_changed_and_no_more(stage):
    await fill(stage)
    paged = {"todos": {"$": {"limit": 10}}}
    client = await join(stage, paged)
    version = client.answers[client.query_ids[orjson.dumps(paged)]].version
    title, slug, id_attr = (stage.attr("todos", name) for name in ("title", "slug", "id"))
    created = stage.runtime.now

    await write(stage, titled(stage, IDS[9], "new"))
    computation = await told(client)
    assert set(computation) == {"query-id", "from", "version", "delta"}
    assert computation["from"] == version
    assert computation["delta"] == {"changed": [[IDS[9], title, "new", created]]}

    await write(stage, ["add-triple", IDS[9], slug, "s"])
    await told(client)
    await write(stage, ["retract-triple", IDS[9], slug, "s"])
    delta = (await told(client))["delta"]
    assert delta in (
        {"removed": [[IDS[9], slug]]},
        {"changed": [[IDS[9], slug, None, created]]},
    )

    await write(stage, ["delete-entity", IDS[9], "todos"])
    delta = (await told(client))["delta"]
    assert {place[0] for place in delta["removed"]} == {IDS[9]}
    assert all(len(place) == 2 for place in delta["removed"])
    assert [IDS[9], id_attr] in delta["removed"]
    assert delta["data"]["page-info"]["todos"]["end-cursor"][0] == IDS[8]
    assert set(delta) == {"removed", "data"}


@pytest.mark.rule("P77")
async def test_a_link_among_several_goes_by_its_value(stage):
    await fill(stage)
    owner = stage.attr("todos", "owner")
    await write(
        stage,
        *stage.create("people", P1, name="Ada"),
        *(["add-triple", entity, owner, P1] for entity in IDS[:10]),
    )
    q = {"people": {"todos": {"$": {"fields": ["title"]}}}}
    client = await join(stage, q)
    await write(stage, ["retract-triple", T1, owner, P1])
    delta = (await told(client))["delta"]
    assert [T1, owner, P1] in delta["removed"] or [T1, owner] in delta["removed"]
    assert {place[0] for place in delta["removed"]} == {T1}
    assert "added" not in delta and "changed" not in delta


@pytest.mark.rule("P78")
async def test_a_slow_client_gets_one_delta_over_all_it_skipped(stage):
    await fill(stage)
    client = await join(stage)
    held = client.answers[client.query_ids[orjson.dumps(TODOS)]].version
    client.wire.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    for number in range(5):
        await write(stage, titled(stage, T1, f"skipped {number}"))
        await quiet(stage)
    await write(stage, titled(stage, T2, "kept"), titled(stage, T1, "t0"))
    await quiet(stage)
    assert client.take_in() == []
    client.wire.backlog = 0
    client.wire.session.on_writable()
    computation = await told(client)
    assert computation["from"] == held
    ((entity, _, title, _),) = computation["delta"]["changed"]
    assert (entity, title) == (T2, "kept"), "what came and went again is not told"
    await quiet(stage)
    assert client.take_in() == []


@pytest.mark.rule("P79")
async def test_the_full_form_comes_when_a_delta_is_not_smaller(stage):
    await fill(stage, 5)
    client = await join(stage)
    await write(
        stage,
        *(["delete-entity", entity, "todos"] for entity in IDS[:5]),
        *(step for entity in IDS[10:14] for step in stage.create("todos", entity, title="n")),
    )
    computation = await told(client)
    assert "instaql-result" in computation and "delta" not in computation
    assert {triple[0] for triple in refreshed({"computations": [computation]})} == {*IDS[10:14]}


@pytest.mark.rule("P79")
async def test_nested_objects_always_come_in_full(stage):
    await fill(stage)
    client = stage.connect()
    await client.init(stage.app.id, trice=OURS)
    client.say("add-query", q=TODOS, return_type="tree")
    answer = await client.hear("add-query-ok")
    for title in ("x", "y"):
        await write(stage, titled(stage, T1, title))
        (computation,) = (await client.hear("refresh-ok"))["computations"]
        assert computation["instaql-result"]["todos"][0]["title"] == title
        assert computation["version"] != answer["version"]
    again = stage.connect()
    await again.init(stage.app.id, trice=OURS)
    again.say("add-query", q=TODOS, return_type="tree", held=computation["version"])
    assert "result" not in await again.hear("add-query-ok")
    again.say("add-query", q=TODOS, return_type="tree", held=answer["version"])
    assert (await again.hear("add-query-ok"))["result"]["todos"]


@pytest.mark.rule("P80", "P22")
async def test_after_a_rejection_the_client_is_told_that_it_holds_the_answer(stage):
    await fill(stage)
    client = await join(stage)
    error = await client.write([titled(stage, T1, 5)])
    assert error["op"] == "error"
    refresh = await client.hear("refresh-ok")
    (computation,) = refresh["computations"]
    assert set(computation) == {"query-id", "from", "version"}
    assert computation["from"] == computation["version"]
    assert refresh["processed-tx-id"] == stage.app.database.tx


@pytest.mark.rule("P80", "P16")
async def test_a_query_that_recovers_leads_on_from_what_was_told(stage):
    await fill(stage)
    client = await join(stage)
    rules = {"todos": {"allow": {"view": "1 / (data.title == 'zero' ? 0 : 1) > 0"}}}
    await stage.hub.apps.set_rules(stage.app.id, rules)
    await quiet(stage)
    client.take_in()
    before = dict(client.forms)
    await write(stage, titled(stage, T1, "zero"))
    await client.hear("error")
    await write(stage, titled(stage, T1, "t0"))
    computation = await told(client)
    assert computation["from"] == computation["version"] and "delta" not in computation
    assert client.errors == {}
    assert client.forms["full"] == before["full"]


@pytest.mark.rule("P81", "P24")
async def test_new_attrs_travel_in_or_before_the_frame_with_the_delta(stage):
    await fill(stage)
    client = await join(stage)
    attr = new_attr(1)
    await write(stage, ["add-attr", attr], ["add-triple", T1, attr["id"], "x"])
    await quiet(stage)
    is_known = False
    for message in client.take_in():
        is_known = is_known or any(a["id"] == attr["id"] for a in message.get("attrs", ()))
        for computation in message["computations"]:
            if computation["delta"].get("added"):
                assert is_known
    assert [t[2] for t in held_of(client) if t[1] == attr["id"]] == ["x"]


# --- the first transaction -----------------------------------------------------------------------


@pytest.mark.rule("P10")
@pytest.mark.parametrize(("announced", "tx"), [(None, 1), ({"version": 1}, 1), (OURS, 0)])
async def test_before_the_first_transaction_only_our_clients_are_told_0(stage, announced, tx):
    app, _ = await stage.hub.apps.create(title="new", is_open=True)
    assert app.database.tx == 0
    client = stage.connect()
    await client.init(app.id, **({} if announced is None else {"trice": announced}))
    client.say("add-query", q=TODOS)
    answer = await client.hear("add-query-ok")
    assert answer["processed-tx-id"] == tx
    stage.hub.apps.give_back(app)
