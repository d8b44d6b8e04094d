"""Rooms over HTTP, for the app's own server (`trice.api.admin_rooms`)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from support.memory_client import MemoryClient
from support.sign_in import SignIns, problem
from trice import room_limits


def target(room="r", **more):
    params = {"room-type": "chat", "room-id": room, **more}
    pairs = "&".join(f"{name}={quote(str(value))}" for name, value in params.items())
    return f"/admin/rooms/presence?{pairs}"


async def member(stage, data, **init):
    """A client in the room, which has heard everything so far."""
    client = MemoryClient(stage.hub)
    await client.init(stage.app_id, **init)
    client.say("join-room", room_id="r", data=data)
    await client.hear("refresh-presence")
    return client


def service(**more):
    return {"room-type": "chat", "room-id": "r", "peer-id": "bot", **more}


@pytest.mark.rule("ROOM40")
async def test_members_with_their_users_in_full(stage):
    user = (await SignIns(stage).sign_in())["user"]
    ann = await member(stage, {"n": 1}, **{"refresh-token": user["refresh_token"]})
    guest = await member(stage, {})
    answer = (await stage.ask("GET", target(), None, stage.admin())).json()
    assert answer["sessions"].keys() == {ann.session.id, guest.session.id}
    shown = answer["sessions"][ann.session.id]
    assert (shown["peer-id"], shown["data"]) == (ann.session.id, {"n": 1})
    assert (shown["user"]["id"], shown["user"]["email"]) == (user["id"], user["email"])
    assert "refresh_token" not in shown["user"]
    assert answer["sessions"][guest.session.id]["user"] is None
    empty = await stage.ask("GET", target("another"), None, stage.admin())
    assert empty.json() == {"sessions": None}


@pytest.mark.rule("ROOM40")
async def test_blank_and_missing_parameters_are_refused(stage):
    answer = await stage.ask("GET", target(room=" "), None, stage.admin())
    assert problem(answer) == (400, "param-malformed", ["params", "room-id"])
    answer = await stage.ask("GET", "/admin/rooms/presence?room-id=r", None, stage.admin())
    assert problem(answer) == (400, "param-missing", ["params", "room-type"])
    answer = await stage.ask("GET", target(), None, {"app-id": stage.app_id})
    assert problem(answer) == (400, "param-missing", ["headers", "authorization"])


@pytest.mark.rule("ROOM41")
async def test_who_left_lately(stage):
    clients = [await member(stage, {"n": n}) for n in range(3)]
    for client in clients[:2]:
        stage.runtime.advance(60_000)
        client.hang_up()
    answer = (await stage.ask("GET", target(**{"last-seen": 1}), None, stage.admin())).json()
    assert [one["data"] for one in answer["last-seen"]] == [{"n": 1}, {"n": 0}]
    assert answer["last-seen"][0]["left-at"] == stage.runtime.now_ms()
    stage.runtime.advance(30_000)
    answer = (await stage.ask("GET", target(**{"last-seen": 1}), None, stage.admin())).json()
    assert [one["data"] for one in answer["last-seen"]] == [{"n": 1}]
    assert answer["sessions"].keys() == {clients[2].session.id}
    for wrong in ("0", "61", "x", ""):
        answer = await stage.ask("GET", target(**{"last-seen": wrong}), None, stage.admin())
        assert problem(answer) == (400, "param-malformed", ["params", "last-seen"])


@pytest.mark.rule("ROOM42")
async def test_a_service_stays_for_its_time(stage):
    client = await member(stage, {})
    shown = {"peer-id": "bot", "instance-id": "trice", "user": None, "data": {"busy": True}}
    body = service(data={"busy": True}, **{"ttl-s": 10})
    for _ in range(2):
        answer = await stage.ask("POST", "/admin/rooms/presence", body, stage.admin())
        assert (answer.status, answer.json()) == (200, {})
        stage.hub.services.end_old()
        stage.runtime.advance(9_000)
    assert (await client.hear("patch-presence"))["edits"] == [[["bot"], "+", shown]]
    stage.hub.services.end_old()
    stage.runtime.advance(1_000)
    stage.hub.services.end_old()
    assert (await client.hear())["edits"] == [[["bot"], "-"]]
    await stage.ask("POST", "/admin/rooms/presence", service(), stage.admin())
    assert (await client.hear())["edits"][0][0] == ["bot"]
    for _ in range(2):
        gone = await stage.ask("DELETE", target(**{"peer-id": "bot"}), None, stage.admin())
        assert gone.status == 200
    assert (await client.hear())["edits"] == [[["bot"], "-"]]


@pytest.mark.rule("ROOM32", "ROOM42", "ROOM43")
async def test_what_a_service_may_not_do(stage, monkeypatch):
    client = await member(stage, {})

    async def refused(**more):
        answer = await stage.ask("POST", "/admin/rooms/presence", service(**more), stage.admin())
        assert answer.status == 400
        return answer.json()["type"]

    assert await refused(**{"peer-id": client.session.id}) == "validation-failed"
    assert await refused(**{"ttl-s": 0}) == "param-malformed"
    big = "x" * room_limits.PRESENCE_BYTES_MAX
    assert await refused(data=big) == "parameter-limit-exceeded"
    monkeypatch.setattr(room_limits, "SERVICE_PEERS_MAX", 0)
    assert await refused() == "parameter-limit-exceeded"
    assert len(stage.hub.rooms.members(("room", stage.app_id, "r"))) == 1


@pytest.mark.rule("ROOM44")
async def test_the_server_sends_to_everybody(stage):
    clients = [await member(stage, {}) for _ in range(2)]
    body = {"room-type": "chat", "room-id": "r", "topic": "news", "data": {"n": 1}}
    answer = await stage.ask("POST", "/admin/rooms/broadcast", body, stage.admin())
    assert (answer.status, answer.json()) == (200, {})
    for client in clients:
        message = await client.hear("server-broadcast")
        assert (message["room-id"], message["topic"]) == ("r", "news")
        assert message["data"] == {"peer-id": None, "user": None, "data": {"n": 1}}
    long = {**body, "data": "x" * room_limits.TOPIC_BYTES_MAX}
    answer = await stage.ask("POST", "/admin/rooms/broadcast", long, stage.admin())
    assert answer.json()["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("ROOM34")
async def test_what_services_show_counts_for_their_network(stage, monkeypatch):
    monkeypatch.setattr(room_limits, "PRESENCE_BYTES_OF_NETWORK_MAX", 1_000)

    async def status(peer, data):
        body = service(data=data, **{"peer-id": peer})
        return (await stage.ask("POST", "/admin/rooms/presence", body, stage.admin())).status

    assert [await status("a", "x" * 700), await status("b", "x" * 700)] == [200, 400]
    assert [await status("a", ""), await status("b", "x" * 600)] == [200, 200]
    stage.runtime.advance(60_000)
    stage.hub.services.end_old()
    assert stage.hub.rooms.shown.holds_nothing
