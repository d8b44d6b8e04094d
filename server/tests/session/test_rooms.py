"""Rooms as clients meet them: who is there, what they show, and messages to topics."""

from __future__ import annotations

import asyncio

import pytest

from support.runtime import settle
from trice import limits, room_limits


async def joined(stage, room="r", data=None, **init):
    """A client in a room, that has heard everything so far."""
    client = await stage.client(**init)
    client.say("join-room", room_type="chat", room_id=room, data=data)
    await client.hear("join-room-ok")
    client.state = (await client.hear("refresh-presence"))["data"]
    return client


def peer(client):
    return client.session.id


@pytest.mark.rule("ROOM1", "ROOM10")
async def test_joining_tells_all_members_and_the_others_the_new_one(stage):
    ada = await joined(stage, data={"name": "Ada"})
    entry = {"peer-id": peer(ada), "instance-id": "trice", "user": None, "data": {"name": "Ada"}}
    assert ada.state == {peer(ada): entry}
    bob = await joined(stage)
    other = {"peer-id": peer(bob), "instance-id": "trice", "user": None, "data": {}}
    assert bob.state == {peer(ada): entry, peer(bob): other}
    patch = await ada.hear("patch-presence")
    assert patch["edits"] == [[[peer(bob)], "+", other]]


@pytest.mark.rule("ROOM2")
async def test_joining_again_keeps_what_is_shown(stage):
    ada, bob = await joined(stage, data={"n": 1}), await joined(stage)
    await ada.hear("patch-presence")
    bob.say("join-room", room_id="r", data={"n": 2})
    await bob.hear("join-room-ok")
    bob.say("set-presence", room_id="r", data={"n": 3})
    assert (await ada.hear())["edits"] == [[[peer(bob), "data", "n"], "+", 3]]


@pytest.mark.rule("ROOM3")
async def test_set_presence_replaces_what_is_shown(stage):
    ada, bob = await joined(stage, data={"a": 1, "b": 1, "c": 1}), await joined(stage)
    event = ada.say("set-presence", room_id="r", data={"a": 1, "b": 2, "c": 1})
    ok = await ada.hear("set-presence-ok")
    assert (ok["room-id"], ok["client-event-id"]) == ("r", event)
    assert (await bob.hear())["edits"] == [[[peer(ada), "data", "b"], "r", 2]]
    ada.say("set-presence", room_id="r")
    assert (await bob.hear())["edits"] == [[[peer(ada), "data"], "r", {}]]


@pytest.mark.rule("ROOM4", "ROOM5")
async def test_members_leave_by_message_or_by_hanging_up(stage):
    ada, bob, eve = [await joined(stage) for _ in range(3)]
    eve.say("leave-room", room_id="r")
    await eve.hear("leave-room-ok")
    edits = (await ada.hear_where(lambda m: m.get("edits") == [[[peer(eve)], "-"]]))["edits"]
    assert edits
    bob.hang_up()
    assert (await ada.hear())["edits"] == [[[peer(bob)], "-"]]
    event = eve.say("leave-room", room_id="never joined")
    assert (await eve.hear())["client-event-id"] == event
    ada.hang_up()
    assert len(stage.hub.rooms) == 0


@pytest.mark.rule("ROOM6")
async def test_a_room_is_its_id_whatever_its_type(stage):
    ada = await joined(stage, room=" r ")
    bob = await stage.client()
    bob.say("join-room", room_type="another", room_id=" r ")
    assert (await bob.hear("refresh-presence"))["data"].keys() == {peer(ada), peer(bob)}
    bob.say("join-room", room_id="r")
    await bob.hear("join-room-ok")
    assert (await bob.hear("refresh-presence"))["data"].keys() == {peer(bob)}


@pytest.mark.rule("ROOM8")
async def test_a_burst_is_one_patch(stage):
    ada, bob = await joined(stage), await joined(stage)
    await ada.hear("patch-presence")
    before = stage.hub.rooms.counts.patches
    for x in range(20):
        ada.say("set-presence", room_id="r", data={"x": x})
    assert (await bob.hear())["edits"] == [[[peer(ada), "data", "x"], "+", 19]]
    assert stage.hub.rooms.counts.patches == before + 1
    ada.say("set-presence", room_id="r", data={"x": 19})
    ada.say("client-broadcast", room_id="r", topic="t")
    assert (await bob.hear())["op"] == "server-broadcast", "nothing differed"


@pytest.mark.rule("ROOM9")
async def test_a_slow_client_is_told_the_newest_state_when_it_reads(stage):
    ada, bob = await joined(stage), await joined(stage)
    await ada.hear("patch-presence")
    bob.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    for x in range(3 * room_limits.PATCHES_KEPT):
        ada.say("set-presence", room_id="r", data={"x": x})
        await ada.hear("patch-presence")
    assert bob.unheard() == []
    bob.backlog = 0
    bob.session.on_writable()
    news = await bob.hear()
    assert news["op"] == "refresh-presence"
    assert news["data"][peer(ada)]["data"] == {"x": 3 * room_limits.PATCHES_KEPT - 1}
    ada.say("set-presence", room_id="r", data={"x": "next"})
    assert (await bob.hear())["op"] == "patch-presence"


@pytest.mark.rule("ROOM20", "ROOM22")
async def test_messages_reach_all_others_in_order_after_their_sender(stage):
    bob, eve = await joined(stage), await joined(stage)
    await bob.hear("patch-presence")
    ada = await stage.client()
    ada.say("join-room", room_id="r", data={"name": "Ada"})
    events = [
        ada.say("client-broadcast", room_id="r", topic="emoji", roomType="chat", data={"n": n})
        for n in range(3)
    ]
    for client in (bob, eve):
        assert (await client.hear())["edits"][0][0] == [peer(ada)]
        for n in range(3):
            content = {"peer-id": peer(ada), "user": None, "data": {"n": n}}
            expected = {"op": "server-broadcast", "room-id": "r", "topic": "emoji", "data": content}
            assert await client.hear() == expected
    for event in events:
        assert (await ada.hear("client-broadcast-ok"))["client-event-id"] == event
    assert all(message["op"] != "server-broadcast" for message in ada.received)


@pytest.mark.rule("ROOM21")
async def test_messages_that_wait_too_long_are_dropped_and_counted(stage):
    ada, bob = await joined(stage), await joined(stage)
    bob.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    text = "x" * (room_limits.TOPIC_BYTES_MAX - 1_000)
    for n in range(20):
        ada.say("client-broadcast", room_id="r", topic="t", data={"n": n, "text": text})
        await ada.hear("client-broadcast-ok")
    bob.backlog = 0
    bob.session.on_writable()
    await bob.hear("server-broadcast")
    heard = [m for m in bob.received if m["op"] == "server-broadcast"]
    numbers = [m["data"]["data"]["n"] for m in heard]
    assert numbers == list(range(len(numbers)))
    counts = stage.hub.rooms.counts
    assert (counts.deliveries, counts.dropped) == (len(numbers), 20 - len(numbers))
    assert counts.dropped > 0


@pytest.mark.rule("ROOM30")
@pytest.mark.parametrize("op", ["join-room", "leave-room", "set-presence", "client-broadcast"])
@pytest.mark.parametrize(
    ("given", "code"),
    [(None, "param-missing"), (5, "param-malformed"), ("x" * 501, "param-malformed")],
)
async def test_a_room_id_that_is_none_is_refused(stage, op, given, code):
    client = await stage.client()
    client.say(op, room_id=given)
    error = await client.hear("error")
    assert (error["type"], error["hint"]["in"]) == (code, ["room-id"])


@pytest.mark.rule("ROOM31")
@pytest.mark.parametrize("op", ["set-presence", "client-broadcast"])
async def test_only_members_show_and_tell(stage, op):
    client = await stage.client()
    client.say(op, room_id="r", topic="t", data={})
    error = await client.hear("error")
    assert error["type"] == "validation-failed"
    assert "You have not entered this room yet." in error["message"]
    assert error["hint"]["in"] == ["room-id"]


@pytest.mark.rule("ROOM32")
async def test_what_is_too_much_is_refused_and_changes_nothing(stage, monkeypatch):
    ada = await joined(stage, data={"n": 1})
    ada.say("set-presence", room_id="r", data="x" * room_limits.PRESENCE_BYTES_MAX)
    assert (await ada.hear("error"))["type"] == "parameter-limit-exceeded"
    ada.say("client-broadcast", room_id="r", topic="t", data="x" * room_limits.TOPIC_BYTES_MAX)
    assert (await ada.hear("error"))["type"] == "parameter-limit-exceeded"
    monkeypatch.setattr(room_limits, "ROOM_MEMBERS_MAX", 1)
    bob = await stage.client()
    bob.say("join-room", room_id="r")
    assert "The room is full" in (await bob.hear("error"))["message"]
    monkeypatch.setattr(room_limits, "SESSION_ROOMS_MAX", 1)
    ada.say("join-room", room_id="another")
    assert "1 rooms" in (await ada.hear("error"))["message"]
    (member,) = stage.hub.rooms.members(("room", stage.app.id, "r"))
    assert member.data == {"n": 1}


@pytest.mark.rule("ROOM33")
async def test_too_many_changes_and_messages_are_refused(stage):
    ada, bob = await joined(stage), await joined(stage)
    for n in range(room_limits.PRESENCE_RATE.capacity):
        ada.say("set-presence", room_id="r", data={"n": n})
    error = await ada.hear("error")
    assert error["type"] == "rate-limited"
    assert error["hint"]["retry-after"] > 0
    stage.runtime.advance(60_000)
    ada.say("set-presence", room_id="r", data={})
    assert (await ada.hear_where(lambda m: m["op"] != "patch-presence"))["op"] == "set-presence-ok"
    bob.hang_up()


@pytest.mark.rule("ROOM33")
async def test_long_messages_and_full_rooms_cost_more(stage):
    ada, bob = await joined(stage), await joined(stage)
    long = "x" * (room_limits.TOPIC_BYTES_MAX - 1_000)
    each = 1 + (len(long) + 2) // room_limits.TOKEN_BYTES
    for _ in range(room_limits.DELIVERY_RATE.capacity // each + 1):
        bob.session.on_writable()
        ada.say("client-broadcast", room_id="r", topic="t", data=long)
    assert (await ada.hear("error"))["type"] == "rate-limited"
    shown = "x" * (room_limits.PRESENCE_BYTES_MAX - 100)
    each = 1 + (len(shown) + 2) // room_limits.TOKEN_BYTES
    for _ in range(room_limits.PRESENCE_RATE.capacity // each + 1):
        bob.say("set-presence", room_id="r", data=shown)
    assert (await bob.hear("error"))["type"] == "rate-limited"


@pytest.mark.rule("ROOM34")
async def test_what_a_network_shows_and_has_waiting_is_bounded(stage, monkeypatch):
    rooms = stage.hub.rooms
    ada, bob = await joined(stage), await joined(stage)
    used = rooms.shown.used("all")
    monkeypatch.setattr(room_limits, "PRESENCE_BYTES_OF_NETWORK_MAX", used + 1_000)
    ada.say("set-presence", room_id="r", data="x" * 900)
    await ada.hear("set-presence-ok")
    bob.say("set-presence", room_id="r", data="x" * 900)
    assert (await bob.hear("error"))["type"] == "parameter-limit-exceeded"
    ada.say("set-presence", room_id="r", data={})
    await ada.hear("set-presence-ok")
    bob.say("set-presence", room_id="r", data="x" * 900)
    await bob.hear("set-presence-ok")
    bob.backlog = limits.OUTBOX_REFRESH_BYTES_MAX
    monkeypatch.setattr(room_limits, "TOPIC_BACKLOG_BYTES_OF_NETWORK_MAX", 2_000)
    for _ in range(5):
        ada.say("client-broadcast", room_id="r", topic="t", data="x" * 700)
        await ada.hear("client-broadcast-ok")
    assert rooms.counts.dropped == 3
    for client in (ada, bob):
        client.hang_up()
    assert rooms.shown.holds_nothing
    assert rooms.waiting.holds_nothing


@pytest.mark.rule("ROOM35", "ROOM22")
async def test_a_full_room_rests_after_a_patch(open_stage, monkeypatch):
    monkeypatch.setattr(room_limits, "REST_MS_A_MEMBER", 5)
    stage = await open_stage()
    ada, bob = await joined(stage), await joined(stage)
    gate = asyncio.Event()
    slept = []

    async def sleep_ms(duration_ms):
        slept.append(duration_ms)
        await gate.wait()

    await settle()
    monkeypatch.setattr(stage.runtime, "sleep_ms", sleep_ms)
    bob.unheard()
    ada.say("set-presence", room_id="r", data={"x": 0})
    assert (await bob.hear("patch-presence"))["edits"][0][2] == 0
    assert slept == [10]
    for x in (1, 2):
        ada.say("set-presence", room_id="r", data={"x": x})
        await ada.hear("set-presence-ok")
    assert bob.unheard() == []
    ada.say("client-broadcast", room_id="r", topic="t", data="now")
    assert (await bob.hear())["edits"][0][2] == 2, "its presence comes first"
    assert (await bob.hear())["op"] == "server-broadcast"
    ada.say("set-presence", room_id="r", data={"x": 3})
    await ada.hear("set-presence-ok")
    assert bob.unheard() == []
    gate.set()
    assert (await bob.hear())["edits"][0][2] == 3
