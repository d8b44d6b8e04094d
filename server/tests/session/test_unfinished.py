"""Messages that come in fragments, slowly or many at once; sessions from one address."""

from __future__ import annotations

import pytest
from picows import WSMsgType

from support.picows_client import PicowsClient
from trice import limits
from trice.protocol.errors import TRY_LATER

CHECK_MS = limits.PING_INTERVAL_MS // 2


def dribble(client, payload=b"x"):
    kind = WSMsgType.TEXT if client.socket.unfinished is None else WSMsgType.CONTINUATION
    client.frame(payload, kind=kind, is_last=False)


@pytest.mark.rule("H46")
@pytest.mark.parametrize(("size", "is_late"), [(0, True), (100, True), (2_000, False)])
async def test_a_message_in_fragments_must_make_progress(stage, size, is_late):
    client = PicowsClient(stage.hub, None)
    client.say("init", **{"app-id": stage.app.id})
    await client.hear("init-ok")
    session = client.socket.session
    for _ in range(3 * limits.HTTP_GRACE_MS // CHECK_MS):
        dribble(client, b"x" * size)
        client.frame(b"", kind=WSMsgType.PING)  # life, but no progress
        stage.runtime.advance(CHECK_MS)
        session.check_time(stage.runtime.monotonic_ms())
    assert (client.closed == TRY_LATER) is is_late


@pytest.mark.rule("H46")
async def test_each_message_has_its_own_time(stage):
    client = PicowsClient(stage.hub, None)
    client.say("init", **{"app-id": stage.app.id})
    await client.hear("init-ok")
    for _ in range(3 * limits.HTTP_GRACE_MS // CHECK_MS):
        dribble(client, b"{")
        stage.runtime.advance(CHECK_MS)
        client.socket.session.check_time(stage.runtime.monotonic_ms())
        client.frame(b"}", kind=WSMsgType.CONTINUATION)
    assert client.closed is None


@pytest.mark.rule("H47")
async def test_messages_in_fragments_have_a_share_of_memory(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "UNFINISHED_BYTES_OF_NETWORK_MAX", 100_000)
    stage = await open_stage()

    def client():
        return PicowsClient(stage.hub, None)

    first, second, third = client(), client(), client()
    dribble(first, b"x" * 80_000)
    dribble(second, b"x" * 60_000)
    assert (first.closed, second.closed) == (None, TRY_LATER)
    first.frame(b"", kind=WSMsgType.CONTINUATION)  # whole now, and no longer counted
    dribble(third, b"x" * 80_000)
    assert third.closed is None
    for each in (first, second, third):
        each.socket.on_ws_disconnected(each.transport)
    assert stage.hub.unfinished_bytes == 0


@pytest.mark.rule("H45")
async def test_a_network_has_a_share_of_the_sessions(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSIONS_OF_NETWORK_MAX", 2)
    monkeypatch.setattr(limits, "SESSIONS_MAX", 3)
    stage = await open_stage()
    clients = [PicowsClient(stage.hub, None) for _ in range(2)]
    assert not stage.hub.has_room("127.0.0.1")
    assert stage.hub.has_room("127.0.0.2")
    clients.append(stage.connect())
    assert not stage.hub.has_room("127.0.0.2")
    stage.hub.closed(clients[0].socket.session)
    stage.hub.closed(clients[0].socket.session)
    assert stage.hub.has_room("127.0.0.1")
