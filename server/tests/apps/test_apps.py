"""Apps that are opened, closed and deleted while somebody wants them."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from trice import limits
from trice.background import Background
from trice.database import Database
from trice.errors import InvalidInput, NotFound, PermissionDenied
from trice.identity import ADMIN, GUEST

T1 = "e1000000-0000-4000-8000-000000000001"
STEPS = [["update", "todos", T1, {"title": "a"}]]


@pytest.mark.rule("H16")
@pytest.mark.parametrize("turns", [0, 1, 2, 20])
async def test_an_app_deleted_while_it_is_opened_is_gone(stage, turns):
    app_id = await stage.make()
    await stage.reopen()
    lending = asyncio.ensure_future(stage.apps.lend(app_id))
    for _ in range(turns):
        await asyncio.sleep(0)
    await stage.apps.delete(app_id)
    await asyncio.gather(lending, return_exceptions=True)
    assert stage.files() == []
    with pytest.raises(NotFound):
        await stage.apps.lend(app_id)
    assert stage.files() == []


@pytest.mark.rule("H16")
async def test_a_database_is_not_opened_while_it_is_still_closing(open_stage, monkeypatch):
    monkeypatch.setattr(limits, "APPS_OPEN_MAX", 1)
    stage = await open_stage()
    first, second = await stage.make(), await stage.make()
    await stage.reopen()
    app = await stage.apps.lend(first)
    await app.database.transact_admin(STEPS, identity=ADMIN)
    # A write that nobody waits for any more, as of a session that was closed.
    steps = [["update", "todos", T1, {"title": "b"}]]
    orphan = asyncio.ensure_future(app.database.transact_admin(steps, identity=ADMIN))
    await asyncio.sleep(0)
    stage.apps.give_back(app)
    other, again = await asyncio.gather(stage.apps.lend(second), stage.apps.lend(first))
    tx = await again.database.transact_admin(STEPS, identity=ADMIN)
    assert tx == await orphan + 1
    stage.apps.give_back(other)
    stage.apps.give_back(again)


@pytest.mark.rule("H16")
async def test_making_room_spares_an_app_that_came_into_use(stage, monkeypatch):
    ids = [await stage.make() for _ in range(3)]
    third = await stage.make()
    await stage.reopen()
    for app_id in ids:
        stage.apps.give_back(await stage.apps.lend(app_id))
    monkeypatch.setattr(limits, "APPS_OPEN_MAX", 2)
    closing = asyncio.Event()
    close = Database.close

    async def slow_close(database):
        closing.set()
        await asyncio.sleep(0)
        await close(database)

    monkeypatch.setattr(Database, "close", slow_close)
    opening = asyncio.ensure_future(stage.apps.lend(third))
    await closing.wait()
    used = [await stage.apps.lend(app_id) for app_id in ids]
    await opening
    for app in used:
        assert orjson.loads(await app.database.query_nested({"todos": {}}, identity=ADMIN)) == {
            "todos": []
        }


@pytest.mark.rule("H6")
async def test_the_sweep_goes_on_after_an_app_it_cannot_delete(stage, monkeypatch, caplog):
    ids = [await stage.make(life_ms=1) for _ in range(2)]
    stage.runtime.advance(2)
    delete, deleted = stage.apps.delete, asyncio.Event()

    async def broken(app_id):
        if app_id == ids[0]:
            raise OSError("busy")
        await delete(app_id)
        deleted.set()

    monkeypatch.setattr(stage.apps, "delete", broken)
    background = Background(stage.runtime)
    stage.apps.start(background)
    await deleted.wait()
    await background.stop()
    assert not any(ids[1] in name for name in stage.files())
    assert "busy" in caplog.text


@pytest.mark.rule("R182")
async def test_an_app_opens_with_rules_that_would_be_refused_now(stage):
    app_id = await stage.make(rules={"todos": {"allow": {"view": "true"}}})
    old = {"todos": {"allow": {"view": "request.modifiedFields == 1", "create": "true"}}}
    with pytest.raises(InvalidInput):
        await stage.apps.set_rules(app_id, old)
    await stage.apps._registry.set_rules(app_id, old)
    await stage.reopen()
    app = await stage.apps.lend(app_id)
    try:
        await app.database.transact_admin(STEPS, identity=GUEST)
        with pytest.raises(PermissionDenied) as caught:
            await app.database.query_nested({"todos": {}}, identity=GUEST)
        assert caught.value.code == "permission-evaluation-failed"
    finally:
        stage.apps.give_back(app)
