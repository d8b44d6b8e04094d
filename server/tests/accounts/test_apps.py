"""Apps that belong to accounts, as `Apps` keeps them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from trice import account_limits
from trice.apps.registry import Registry, hash_token
from trice.errors import Conflict, InvalidInput, LimitExceeded, NotFound

APP = "11111111-1111-4111-8111-111111111111"
TOKEN = "22222222-2222-4222-8222-222222222222"
TODOS = {"entities": {"todos": {"attrs": {"title": {"valueType": "string"}}}}, "links": {}}


@pytest.mark.rule("AC20")
@pytest.mark.parametrize(
    "wrong",
    [{"schema": {"entities": 3}}, {"rules": {"todos": {"allow": {"view": "nonsense("}}}}],
)
async def test_an_app_is_made_whole_or_not_at_all(stage, wrong):
    ann = await stage.account()
    with pytest.raises(InvalidInput):
        await stage.make_app(ann, **wrong)
    assert await stage.apps.apps_of(ann.id) == []
    assert list((stage.folder / "apps").iterdir()) == []


@pytest.mark.rule("AC21")
async def test_deleted_apps_are_restored_with_their_data(stage):
    ann = await stage.account()
    app = await stage.make_app(ann, schema=TODOS)
    gone = []
    stage.apps.on_delete = gone.append
    await stage.apps.hide(app.id)
    assert gone == [app.id]
    with pytest.raises(NotFound):
        await stage.apps.lend(app.id)
    assert await stage.apps.apps_of(ann.id) == []
    [hidden] = await stage.apps.apps_of(ann.id, is_deleted=True)
    assert hidden.id == app.id
    with pytest.raises(NotFound):
        await stage.apps.hide(app.id)
    stage.runtime.advance(account_limits.DELETED_APP_MS - 1)
    await stage.apps.delete_expired()
    await stage.apps.restore(app.id)
    lent = await stage.apps.lend(app.id)
    assert "todos" in lent.database.catalog.namespaces
    assert not lent.is_ephemeral
    stage.apps.give_back(lent)
    with pytest.raises(NotFound):
        await stage.apps.restore(app.id)


@pytest.mark.rule("AC21")
async def test_deleted_apps_are_gone_in_the_end(stage):
    ann = await stage.account()
    app = await stage.make_app(ann)
    await stage.apps.hide(app.id)
    stage.runtime.advance(account_limits.DELETED_APP_MS)
    assert await stage.apps.apps_of(ann.id, is_deleted=True) == []
    with pytest.raises(NotFound):
        await stage.apps.restore(app.id)
    await stage.apps.delete_expired()
    assert list((stage.folder / "apps").iterdir()) == []


@pytest.mark.rule("AC22")
async def test_an_id_that_is_or_was_in_use_is_refused(stage):
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    makes = [
        stage.make_app(account, app_id=APP, token=TOKEN, schema=TODOS) for account in (ann, bob)
    ]
    outcomes = await asyncio.gather(*makes, return_exceptions=True)
    assert [isinstance(each, Conflict) for each in outcomes] == [False, True]
    app = outcomes[0]
    app.check_admin_token(TOKEN)
    with pytest.raises(Conflict):
        await stage.make_app(bob, app_id=APP)
    await stage.apps.hide(app.id)
    with pytest.raises(Conflict):
        await stage.make_app(bob, app_id=APP)
    await stage.apps.delete(app.id)
    (stage.folder / "apps" / f"{APP}.db").write_bytes(b"left over")
    with pytest.raises(Conflict):
        await stage.make_app(bob, app_id=APP)


@pytest.mark.rule("AC22")
async def test_an_app_that_is_being_made_is_not_there_yet(stage):
    ann = await stage.account()
    making = asyncio.ensure_future(stage.make_app(ann, app_id=APP))
    found = []
    while not making.done():
        try:
            lent = await stage.apps.lend(APP)
        except NotFound:
            await asyncio.sleep(0)
        else:
            found.append(lent)
            stage.apps.give_back(lent)
            break
    app = await making
    assert all(lent is app for lent in found)


@pytest.mark.rule("AC26")
async def test_an_account_has_so_many_apps(stage, monkeypatch):
    monkeypatch.setattr(account_limits, "ACCOUNT_APPS_MAX", 2)
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    first, _ = await stage.make_app(ann), await stage.make_app(ann)
    await stage.apps.hide(first.id)
    with pytest.raises(LimitExceeded):
        await stage.make_app(ann)
    his = await stage.make_app(bob)
    with pytest.raises(LimitExceeded):
        await stage.apps.give(his.id, ann.id)
    assert len(list((stage.folder / "apps").glob("*.db"))) == 3


@pytest.mark.rule("AC2")
async def test_a_removed_account_gets_no_more_apps(stage):
    ann = await stage.account()
    app, _ = await stage.apps.create(title="of nobody")
    stage.apps.give_back(app)
    await stage.accounts.remove(ann)
    with pytest.raises(NotFound):
        await stage.make_app(ann)
    with pytest.raises(NotFound):
        await stage.apps.give(app.id, ann.id)
    assert len(list((stage.folder / "apps").glob("*.db"))) == 1


@pytest.mark.rule("AC27")
async def test_a_claimed_app_lasts_without_the_bounds_of_throw_away_apps(stage):
    ann = await stage.account()
    app, token = await stage.apps.create(title="thrown", life_ms=1_000)
    stage.apps.give_back(app)
    await stage.apps.give(app.id, ann.id)
    stage.runtime.advance(10_000)
    await stage.apps.delete_expired()
    lent = await stage.apps.lend(app.id)
    assert lent is not app and not lent.is_ephemeral
    lent.check_admin_token(token)
    assert stage.apps.files == 1
    stage.apps.give_back(lent)


@pytest.mark.rule("AC23")
async def test_a_token_that_an_import_replaced_is_not_shown(stage):
    ann = await stage.account()
    app = await stage.make_app(ann, seal=lambda app_id, token: f"sealed {token}")
    registry = Registry(stage.apps.platform)
    await registry.put(registry.find(app.id))
    assert registry.find(app.id).sealed_token is not None
    replaced = replace(registry.find(app.id), admin_token_hash=hash_token(TOKEN))
    await registry.put(replaced)
    assert registry.find(app.id).sealed_token is None
    assert registry.find(app.id).owner == ann.id
