"""Rooms of an app with `$rooms`, as clients meet them."""

from __future__ import annotations

import asyncio

import pytest

from support.runtime import settle
from trice import room_limits
from trice.rules.document import Rules

TASK = "a0000000-0000-4000-8000-000000000001"
OPEN = "room.ref('todos', 'done') == [false]"
RULES = {
    "$rooms": {
        "task": {
            "join": f"{OPEN} || data.key == 'k' || ruleParams.key == 'k'",
            "read": True,
            "presence": "data.name == null || size(data.name) < 4",
            "publish": {"wave": "data == 'hi' && ruleParams.key != 'x'"},
        },
        "lobby": {"join": True, "read": True},
    }
}


@pytest.fixture
async def ruled(stage):
    """An app with rules of rooms, and an open task."""
    stage.app.database.set_rules(Rules.parse(RULES))
    client = await stage.client(admin_token=stage.token)
    client.say("transact", tx_steps=stage.create("todos", TASK, done=False))
    await client.hear("transact-ok")
    stage.writer = client
    return stage


async def set_done(stage, done):
    steps = [["add-triple", TASK, stage.attr("todos", "done"), done]]
    stage.writer.say("transact", tx_steps=steps)
    await stage.writer.hear("transact-ok")


async def joined(stage, room=TASK, room_type="task", **more):
    client = await stage.client()
    client.say("join-room", room_type=room_type, room_id=room, **more)
    await client.hear("join-room-ok")
    client.state = (await client.hear("refresh-presence"))["data"]
    return client


async def refused(client, room=TASK, room_type="task", **more):
    event = client.say("join-room", room_type=room_type, room_id=room, **more)
    error = await client.hear()
    assert (error["op"], error["client-event-id"]) == ("join-room-error", event)
    empty = {"op": "refresh-presence", "room-id": room, "data": {}}
    assert await client.hear() == empty
    return error["error"]


@pytest.mark.rule("ROOM50")
async def test_a_join_that_the_rules_deny_is_refused_and_shows_nobody(ruled):
    ada = await joined(ruled)
    await set_done(ruled, True)
    bob = await ruled.client()
    assert "`$rooms.task.join` does not allow this" in await refused(bob)
    assert "`$rooms.other` has no rule for join" in await refused(bob, room_type="other")
    assert "`$rooms.` has no rule for join" in await refused(bob, room_type=None)
    bob.say("set-presence", room_id=TASK, data={})
    assert (await bob.hear())["message"].startswith("Validation failed")
    bob.say("join-room", room_type="task", room_id=TASK, rule_params={"key": "k"})
    await bob.hear("join-room-ok")
    assert ada.session.id not in (await bob.hear("refresh-presence"))["data"]


@pytest.mark.rule("ROOM50", "M107")
async def test_what_a_member_shows_and_says_is_judged(ruled):
    assert "presence" in await refused(await ruled.client(), data={"name": "too long"})
    ada, bob = await joined(ruled, data={"name": "Ada"}), await joined(ruled)
    await ada.hear("patch-presence")
    ada.say("set-presence", room_id=TASK, data={"name": "Adelaide"})
    error = await ada.hear("error")
    assert (error["type"], error["hint"]["input"]) == (
        "permission-denied",
        ["$rooms", "task", "presence"],
    )
    for topic, data, answer in (
        ("wave", "hi", "client-broadcast-ok"),
        ("wave", "ho", "error"),
        ("shout", "hi", "error"),
    ):
        ada.say("client-broadcast", room_id=TASK, topic=topic, data=data)
        assert (await ada.hear())["op"] == answer
    ada.say("set-presence", room_id=TASK, data={"name": "Al"})
    assert (await bob.hear("server-broadcast"))["data"]["data"] == "hi"
    assert (await bob.hear())["edits"] == [[[ada.session.id, "data", "name"], "r", "Al"]]


@pytest.mark.rule("ROOM51", "M111")
async def test_whoever_loses_the_right_leaves_at_once(ruled):
    ada, bob = await joined(ruled), await joined(ruled, data={"key": "k"})
    await ada.hear("patch-presence")
    bob.say("set-presence", room_id=TASK, data={})
    await bob.hear("set-presence-ok")
    await ada.hear("patch-presence")
    await set_done(ruled, True)
    error = await ada.hear()
    assert (error["op"], error["room-id"], error["client-event-id"]) == (
        "join-room-error",
        TASK,
        None,
    )
    assert (await ada.hear())["data"] == {}
    await bob.hear_where(lambda m: m.get("edits") == [[[ada.session.id], "-"]])
    ada.say("client-broadcast", room_id=TASK, topic="wave", data="hi")
    assert (await ada.hear("error"))["type"] == "validation-failed"
    assert len(ruled.app.database.room_rights) == 1


@pytest.mark.rule("ROOM52")
async def test_messages_are_carried_out_in_the_order_they_came(ruled):
    ada, bob = await joined(ruled), await ruled.client()
    events = [
        bob.say("join-room", room_type="task", room_id=TASK),
        bob.say("set-presence", room_id=TASK, data={"name": "Bo"}),
        bob.say("client-broadcast", room_id=TASK, topic="wave", data="hi"),
        bob.say("leave-room", room_id=TASK),
        bob.say("set-presence", room_id=TASK, data={"name": "no"}),
    ]
    heard = []
    while len(heard) < 5:
        message = await bob.hear()
        if message.get("client-event-id"):
            heard.append((message["op"], message["client-event-id"]))
    ops = ["join-room-ok", "set-presence-ok", "client-broadcast-ok", "leave-room-ok", "error"]
    assert heard == list(zip(ops, events, strict=True))
    said = await ada.hear("server-broadcast")
    assert said["data"]["peer-id"] == bob.session.id


@pytest.mark.rule("ROOM52")
async def test_too_much_that_waits_is_refused(ruled, monkeypatch):
    monkeypatch.setattr(room_limits, "WAITING_WORK_MAX", 2)
    bob = await ruled.client()
    events = [bob.say("leave-room", room_id=str(n)) for n in range(3)]
    error = await bob.hear()
    assert (error["type"], error["client-event-id"]) == ("overloaded", events[2])
    assert (await bob.hear())["client-event-id"] == events[0]
    assert (await bob.hear())["client-event-id"] == events[1]
    bob.say("join-room", room_type="task", room_id=TASK)
    bob.say("leave-room", room_id=TASK)
    bob.hang_up()
    await settle()
    assert len(ruled.hub.rooms) == 0
    assert len(ruled.app.database.room_rights) == 0


@pytest.mark.rule("ROOM53")
async def test_with_rules_rooms_of_different_types_are_different_rooms(ruled):
    ada, bob = await joined(ruled), await joined(ruled, room_type="lobby")
    assert list(bob.state) == [bob.session.id]
    bob.say("join-room", room_type="task", room_id=TASK)
    assert "leave it" in (await bob.hear("error"))["hint"]["errors"][0]["message"]
    ada.say("client-broadcast", room_id=TASK, topic="wave", data="hi")
    await ada.hear("client-broadcast-ok")
    await settle()
    assert bob.unheard() == []


@pytest.mark.rule("ROOM53", "M111")
async def test_when_rules_come_and_go_members_move_or_leave(stage):
    ada, bob = await joined(stage, "r"), await joined(stage, "r", "lobby", data={"b": 1})
    eve = await joined(stage, "r", "lobby")
    stage.app.database.set_rules(Rules.parse(RULES))
    await ada.hear("join-room-error")
    news = await eve.hear_where(lambda m: m["op"] == "refresh-presence" and len(m["data"]) == 2)
    assert news["data"][bob.session.id]["data"] == {"b": 1}
    ada.say("join-room", room_type="task", room_id="r", rule_params={"key": "k"})
    await ada.hear("join-room-ok")
    assert list((await ada.hear("refresh-presence"))["data"]) == [ada.session.id]
    stage.app.database.set_rules(Rules.parse(None))
    await ada.hear_where(lambda m: m["op"] == "refresh-presence" and len(m["data"]) == 3)
    assert len(stage.hub.rooms) == 1
    for client in (ada, bob, eve):
        client.hang_up()
    assert stage.hub.rooms.shown.holds_nothing
    assert len(stage.app.database.room_rights) == 0


@pytest.mark.rule("ROOM54")
async def test_rule_parameters_are_an_object_of_bounded_size_and_count(ruled):
    bob = await ruled.client()
    bob.say("join-room", room_type="lobby", room_id="r", rule_params=[1])
    assert (await bob.hear("error"))["type"] == "param-malformed"
    long = {"k": "x" * room_limits.RULE_PARAMS_BYTES_MAX}
    bob.say("join-room", room_type="lobby", room_id="r", rule_params=long)
    assert (await bob.hear("error"))["type"] == "parameter-limit-exceeded"
    before = ruled.hub.rooms.shown.used("all")
    ada = await joined(ruled, data={"k": "x"}, rule_params={"key": "k", "long": "x" * 1_000})
    size = len('{"k":"x"}') + room_limits.OVERHEAD_BYTES
    kept = len('{"key":"k","long":""}') + 1_000
    assert ruled.hub.rooms.shown.used("all") == before + 2 * size + kept
    ada.hang_up()
    assert ruled.hub.rooms.shown.used("all") == before


@pytest.mark.rule("ROOM51")
async def test_a_right_that_is_lost_while_the_join_is_judged_is_no_right(ruled, monkeypatch):
    rights = ruled.app.database.room_rights
    may, gate, asked = rights.may, asyncio.Event(), asyncio.Event()

    async def slow(identity, deed):
        asked.set()
        await gate.wait()
        await may(identity, deed)

    monkeypatch.setattr(rights, "may", slow)
    bob = await ruled.client()
    bob.say("join-room", room_type="task", room_id=TASK, data={"name": "Bob"})
    await asked.wait()
    await set_done(ruled, True)
    await settle()
    gate.set()
    assert (await bob.hear())["op"] == "join-room-error"
    assert len(ruled.hub.rooms) == 0
    assert len(rights) == 0
