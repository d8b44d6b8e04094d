from __future__ import annotations

import pytest

from trice.accounts.operator import door_of, token_wish, write_door
from trice.errors import Conflict, InvalidInput, NotFound


@pytest.mark.rule("AC1", "AC10")
async def test_the_operator_makes_accounts_and_tokens(stage):
    wish = {"do": "create-account", "email": " Ann@example.com", "token": {"name": "ci"}}
    made = await stage.operator.carry_out(wish)
    assert made["account"]["email"] == "ann@example.com"
    secret = made["token"]["token"]
    assert stage.accounts.find_by_token(secret).account.email == "ann@example.com"
    wish = {
        "do": "create-token",
        "email": "ann@example.com",
        "token": {"name": "x", "scopes": ["data-read"], "days": 2},
    }
    token = (await stage.operator.carry_out(wish))["token"]
    assert token["scopes"] == ["data-read"]
    listed = await stage.operator.carry_out({"do": "list-tokens", "email": "ann@example.com"})
    assert [each["name"] for each in listed["tokens"]] == ["ci", "x"]
    assert not any("token" in each for each in listed["tokens"])
    wish = {"do": "revoke-token", "email": "ann@example.com", "id": token["id"].upper()}
    await stage.operator.carry_out(wish)
    assert stage.accounts.find_by_token(token["token"]) is None
    [ann] = (await stage.operator.carry_out({"do": "list-accounts"}))["accounts"]
    assert (ann["apps"], ann["tokens"]) == (0, 1)


@pytest.mark.rule("AC2")
async def test_apps_go_to_another_account_before_theirs_is_removed(stage):
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    kept, hidden = await stage.make_app(ann), await stage.make_app(ann)
    await stage.apps.hide(hidden.id)
    wish = {"do": "remove-account", "email": ann.email}
    with pytest.raises(Conflict, match="1 apps"):
        await stage.operator.carry_out(wish)
    for heir in ("nobody@example.com", "no address", ann.email):
        with pytest.raises((NotFound, InvalidInput)):
            await stage.operator.carry_out({**wish, "give_apps_to": heir})
    assert stage.accounts.find(ann.id) == ann
    answer = await stage.operator.carry_out({**wish, "give_apps_to": bob.email})
    assert answer["apps"] == 1
    assert stage.accounts.find(ann.id) is None
    assert [row.id for row in await stage.apps.apps_of(bob.id)] == [kept.id]
    await stage.apps.restore(hidden.id)
    assert len(await stage.apps.apps_of(bob.id)) == 2


@pytest.mark.rule("AC79")
async def test_the_operator_hands_apps_to_accounts(stage):
    ann, bob = await stage.account(), await stage.account("bob@example.com")
    imported, _ = await stage.apps.create(title="imported")
    thrown, _ = await stage.apps.create(title="thrown", life_ms=1_000)
    stage.apps.give_back(imported)
    stage.apps.give_back(thrown)
    for app in (imported, thrown):
        for email in (ann.email, bob.email):
            wish = {"do": "give-app", "id": app.id.upper(), "email": email}
            assert (await stage.operator.carry_out(wish))["app"]["title"] == app.title
    stage.runtime.advance(10_000)
    await stage.apps.delete_expired()
    assert await stage.apps.apps_of(ann.id) == []
    assert {row.id for row in await stage.apps.apps_of(bob.id)} == {imported.id, thrown.id}
    with pytest.raises(NotFound):
        await stage.operator.carry_out({**wish, "id": "00000000-0000-4000-8000-000000000000"})


@pytest.mark.rule("AC21")
async def test_the_operator_restores_apps(stage):
    app = await stage.make_app(await stage.account())
    with pytest.raises(NotFound):
        await stage.operator.carry_out({"do": "restore-app", "id": app.id})
    await stage.apps.hide(app.id)
    answer = await stage.operator.carry_out({"do": "restore-app", "id": app.id})
    assert answer["app"]["title"] == "shop"
    assert stage.apps.get_row(app.id).deleted_ms is None


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"do": "burn"},
        {"do": ["list-accounts"]},
        {"do": "create-account"},
        {"do": "create-account", "email": 3},
        {"do": "create-token", "email": "ann@example.com"},
        {"do": "revoke-token", "email": "ann@example.com", "id": "x"},
        {"do": "restore-app", "id": None},
        {"do": "give-app", "id": "x", "email": "ann@example.com"},
        {"do": "set-password", "email": "ann@example.com", "password": 3},
        {"do": "set-password", "email": "ann@example.com", "password": "short"},
    ],
)
@pytest.mark.rule("AC15")
async def test_wishes_in_no_form_are_refused(stage, wish):
    await stage.account()
    with pytest.raises(InvalidInput):
        await stage.operator.carry_out(wish)


@pytest.mark.rule("AC15")
@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"name": ""},
        {"name": " "},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": "apps-read"},
        {"name": "x", "scopes": ["all"]},
        {"name": "x", "scopes": [["apps-read"]]},
        {"name": "x", "days": 0},
        {"name": "x", "days": True},
        {"name": "x", "days": 1.5},
        {"name": "x", "days": 10**9},
    ],
)
def test_tokens_in_no_form_are_refused(given):
    with pytest.raises(InvalidInput):
        token_wish(given)


@pytest.mark.rule("AC61")
def test_only_the_user_of_the_server_can_read_its_door(tmp_path):
    write_door(tmp_path, url="http://127.0.0.1:1", secret="s")
    assert door_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["operator.json"]
