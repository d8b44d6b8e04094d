"""What sessions and subscriptions add to memory, counted in objects, and that they leave it."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

import pytest

from support.memory_client import MemoryClient
from trice import limits, memory
from trice.memory import GivingBack
from trice.session.hub import Hub
from trice.session.inbox import Inbox
from trice.session.outbox import Outbox
from trice.session.session import OpenedSession, Session
from trice.session.state import SessionState, Subscription

CLIENTS = 40
SHARED = {"todos": {"$": {"where": {"done": False}}, "owner": {}}}


def _containers() -> int:
    """Objects that the collector knows, once there is no garbage."""
    gc.collect()
    return len(gc.get_objects())


def _own(n: int) -> dict[str, object]:
    return {"todos": {"$": {"where": {"title": f"of client {n}"}}}}


async def _ask(client: MemoryClient, q: object) -> None:
    client.say("add-query", q=q)
    await client.hear("add-query-ok")
    _forget(client)


def _forget(client: MemoryClient) -> None:
    """Free what a test client heard, which is no memory of the server."""
    client.received.clear()
    client.raw.clear()
    client.seen = 0


async def _clients(stage: Any) -> list[MemoryClient]:
    clients = [await stage.client() for _ in range(CLIENTS)]
    for client in clients:
        _forget(client)
    return clients


@pytest.mark.rule("L80")
async def test_a_client_more_on_a_shared_query_adds_three_containers(stage):
    clients = await _clients(stage)
    for client in clients[:2]:  # the first to share one leaves something for all
        await _ask(client, SHARED)
    before = _containers()
    for client in clients[2:]:
        await _ask(client, SHARED)
    # The subscription, the list of what it is owed, its place in the session.
    assert (_containers() - before) / (CLIENTS - 2) <= 3
    asked = [one for c in clients for one in c.session.state.subscriptions.values()]
    assert len(asked) == CLIENTS
    assert len({id(one.question) for one in asked}) == 1


@pytest.mark.rule("L80")
async def test_a_question_of_another_text_keeps_its_own(stage):
    one, other = await stage.client(), await stage.client()
    await _ask(one, {"todos": {}, "people": {}})
    other.say("add-query", q={"people": {}, "todos": {}})
    answer = await other.hear("add-query-ok")
    assert list(answer["q"]) == ["people", "todos"]
    assert len(stage.app.database.live) == 1


@pytest.mark.rule("L84")
async def test_an_own_query_adds_at_most_45_containers(stage):
    clients = await _clients(stage)
    await _ask(clients[0], _own(0))
    before = _containers()
    for n, client in enumerate(clients[1:], start=1):
        await _ask(client, _own(n))
    assert len(stage.app.database.live) == CLIENTS
    assert (_containers() - before) / (CLIENTS - 1) <= 45


@pytest.mark.rule("L82")
@pytest.mark.parametrize("extension", [None, {"version": 1, "features": ["delta", "resume"]}])
async def test_an_ended_session_needs_no_collection(stage, extension):
    kinds = (Session, OpenedSession, SessionState, Inbox, Outbox, Subscription)
    others = {id(one): one for one in gc.get_objects() if type(one) in kinds}  # other tests'

    def alive() -> Counter[str]:
        mine = [one for one in gc.get_objects() if type(one) in kinds and id(one) not in others]
        return Counter(type(one).__name__ for one in mine)

    gc.collect()
    gc.disable()
    try:
        fields = {} if extension is None else {"trice": extension}
        clients = [await stage.client(**fields) for _ in range(3)]
        for n, client in enumerate(clients):
            await _ask(client, SHARED)
            await _ask(client, _own(n))
            client.say("no such op")
            await client.hear("error")
        assert alive() == {kind.__name__: 6 if kind is Subscription else 3 for kind in kinds}
        for client in clients:
            client.hang_up()
        del client
        clients.clear()
        assert alive() == {}
    finally:
        gc.enable()


@pytest.mark.rule("L83")
async def test_memory_is_given_back_once_as_many_left_as_are_open(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "SESSIONS_LEFT_MAX", 3)
    frees: list[int] = []
    stage = await open_stage()
    hub = Hub(
        apps=stage.hub.apps,
        runtime=stage.runtime,
        free_memory=lambda: frees.append(len(hub)),
    )
    cache = stage.app.database._cache
    writer = await stage.client()
    entity = "e1000000-0000-4000-8000-000000000001"
    writer.say("transact", **{"tx-steps": stage.create("todos", entity, title="a")})
    await writer.hear("transact-ok")
    clients = [MemoryClient(hub) for _ in range(10)]
    for client in clients:
        await client.init(stage.app.id)
        await _ask(client, {"todos": {}})
    assert len(cache) == 1
    for client in clients[:4]:
        client.hang_up()
    hub.settle()
    assert frees == []  # 6 are open, which a collection would look at for the sake of 4
    clients[4].hang_up()
    clients[4].hang_up()
    hub.settle()
    assert frees == [5] and len(cache) == 1
    hub.settle()
    assert frees == [5]
    for client in clients[5:]:
        client.hang_up()
    hub.settle()
    assert frees == [5, 0] and len(cache) == 0


@pytest.mark.rule("L85")
async def test_memory_is_given_back_when_much_is_there_and_as_long_as_it_helps():
    million = 1 << 20
    has, gives, trims = 70 * million, 0, 0

    def trim():
        nonlocal has, trims
        trims += 1
        has -= gives

    giving = GivingBack(lambda: has, trim, collect=lambda generation: None)

    async def look(times):
        for _ in range(times):
            await giving.look()

    has += memory.GROWN_BYTES - 1
    await look(10)
    assert trims == 0  # little is there
    has, gives = 400 * million, 100 * million
    await look(3)
    assert (trims, has) == (3, 100 * million)
    has, gives = 300 * million, 0
    await look(1 + 2 + 4 + 8)
    assert trims == 3 + 4  # it is in use: each time it waits twice as long
    await look(10 * memory.PAUSE_LOOKS_MAX)
    assert 10 <= trims - 7 <= 14
    has, gives = 290 * million, 100 * million
    trims = 0
    await look(1)
    assert (trims, has) == (1, 190 * million)  # something was freed: it looks at once
