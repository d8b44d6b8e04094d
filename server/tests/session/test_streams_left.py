"""Writers of streams that leave all at once."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import UUID

import orjson
import pytest

from trice import file_limits, limits, stream_limits
from trice.streams.store_queue import StoreQueue


async def leave_many(stage, count):
    """One session writes a little to so many streams, and is gone."""
    client = stage.connect()
    init = {"op": "init", "app-id": stage.app.id, "__admin-token": stage.token}
    client.say_raw(orjson.dumps(init))
    await client.hear("init-ok")
    for n in range(count):
        client.say("start-stream", client_id=f"{n}", reconnect_token=str(UUID(int=7)))
        begun = await client.hear("start-stream-ok")
        client.say("append-stream", stream_id=begun["stream-id"], chunks=[f"text {n}"], offset=0)
    client.hang_up()


async def check_all_are_there(stage, count):
    query = {"$streams": {"$files": {}}}
    rows = (await stage.app.database.look(lambda look: look.find(query)))["$streams"]
    assert len(rows) == count
    assert all(
        [file["size"] for file in row["$files"]] == [len(f"text {row['clientId']}")] for row in rows
    )


@pytest.mark.rule("ST5", "ST18")
async def test_thousands_may_leave_at_once(stage, monkeypatch):
    """As many parts as there are streams are stored, a few at a time, instead of refused."""
    count = 2 * file_limits.KEPT_AT_ONCE
    monkeypatch.setattr(file_limits, "SPOOLINGS_MAX", file_limits.KEPT_AT_ONCE)
    monkeypatch.setattr(stream_limits, "STORES_AT_ONCE", 3)
    kept, running, most = stage.hub.streams.parts.kept, 0, 0

    @asynccontextmanager
    async def counted(app_id, data):
        nonlocal running, most
        running += 1
        most = max(most, running)
        async with kept(app_id, data) as hashed:
            yield hashed
        running -= 1

    monkeypatch.setattr(stage.hub.streams.parts, "kept", counted)
    await leave_many(stage, count)
    await stage.hub.streams.close()
    await check_all_are_there(stage, count)
    assert most == 3


@pytest.mark.rule("ST18")
async def test_what_writers_left_is_stored_though_the_app_has_all_the_callers_it_may(
    stage, monkeypatch
):
    await leave_many(stage, 5)
    monkeypatch.setattr(limits, "EPHEMERAL_USERS_MAX", 0)
    monkeypatch.setattr(type(stage.app), "is_ephemeral", True)
    stage.hub.apps.has_quotas = True
    await stage.hub.streams.close()
    await check_all_are_there(stage, 5)
    assert stage.hub.streams.counts.flushes_failed == 0


@pytest.mark.rule("ST18")
async def test_networks_take_turns_to_store(monkeypatch):
    """One network's many writers do not hold up another's."""
    monkeypatch.setattr(stream_limits, "STORES_AT_ONCE", 1)
    stored, work = [], []

    async def store(live):
        stored.append(live.name)

    def again(live):
        if live.name == "a0" and stored.count("a0") == 1:
            queue.put(live)

    queue = StoreQueue(store, on_stored=again, spawn=work.append)
    for name in ("a0", "a1", "a2", "a3", "b0"):
        live = SimpleNamespace(name=name, network=name[0], app_id="app", is_storing=False)
        queue.put(live)
        queue.put(live)  # it waits already
    assert len(work) == 1
    await work[0]
    assert stored == ["a0", "b0", "a1", "a2", "a3", "a0"]
    assert len(queue) == 0
