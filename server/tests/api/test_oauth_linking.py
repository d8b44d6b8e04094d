"""Whose account a sign-in with a provider opens: none yet, one, or two that meet."""

from __future__ import annotations

import asyncio

import pytest

USER = "e1000000-0000-4000-8000-000000000001"
OTHER = "e1000000-0000-4000-8000-000000000002"


async def users(stage):
    return {row["id"]: row for row in await stage.rows("$users")}


async def make_user(stage, user_id, **values):
    body = {"steps": [["create", "$users", user_id, values]]}
    answer = await stage.http.ask("POST", "/admin/transact", body, stage.http.admin())
    assert answer.status == 200, answer.json()


async def make_guest(stage):
    body = {"app-id": stage.http.app_id}
    answer = await stage.http.ask("POST", "/runtime/auth/sign_in_guest", body)
    assert answer.status == 200, answer.json()
    return answer.json()["user"]


async def enter(stage, **claims):
    answer = await stage.send_id_token(stage.idp.id_token(**claims))
    assert answer.status == 200, answer.json()
    return answer.json()


@pytest.mark.rule("A130")
async def test_nobody_yet_makes_an_account(oauth):
    oauth.idp.person = {"picture": "https://img.example/1"}
    made = await enter(oauth)
    assert made["created"] is True
    [row] = (await users(oauth)).values()
    assert (row["type"], row["email"]) == ("user", "ann@example.com")
    assert row["imageURL"] == "https://img.example/1"
    other = await enter(oauth, sub="sub-2", email="bob@example.com")
    assert other["created"] is True
    assert len(await oauth.rows("$oauthUserLinks")) == 2


@pytest.mark.rule("A130")
async def test_two_first_sign_ins_at_once_make_one_account(oauth):
    token = oauth.idp.id_token()
    answers = await asyncio.gather(*(oauth.send_id_token(token) for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    assert sorted(answer.json()["created"] for answer in answers) == [False] * 3 + [True]
    assert len(await users(oauth)) == 1
    assert len(await oauth.rows("$oauthUserLinks")) == 1


@pytest.mark.rule("A131")
async def test_an_account_with_the_address_is_joined(oauth):
    await make_user(oauth, USER, email="ann@example.com")
    oauth.idp.person = {"picture": "https://img.example/1"}
    found = await enter(oauth)
    assert (found["created"], found["user"]["id"]) == (False, USER)
    assert (await users(oauth))[USER]["imageURL"] == "https://img.example/1"
    assert len(await oauth.rows("$oauthUserLinks")) == 1
    # From now on the provider's id is enough.
    again = await enter(oauth, email=None)
    assert again["user"]["id"] == USER


@pytest.mark.rule("A131")
async def test_the_provider_keeps_address_and_picture_current(oauth):
    oauth.idp.person = {"picture": "https://img.example/1"}
    first = await enter(oauth)
    newer = await enter(oauth, email="ann@new.example", picture="https://img.example/2")
    assert newer["user"]["id"] == first["user"]["id"]
    [row] = (await users(oauth)).values()
    assert (row["email"], row["imageURL"]) == ("ann@new.example", "https://img.example/2")
    assert newer["user"]["email"] == "ann@new.example"
    # What it leaves out stays.
    silent = await enter(oauth, email=None, picture=None)
    assert silent["user"]["email"] == "ann@new.example"
    assert silent["user"]["imageURL"] == "https://img.example/2"


@pytest.mark.rule("A131")
async def test_a_sign_in_that_changes_nothing_writes_only_its_token(oauth):
    made = (await enter(oauth))["user"]
    token = oauth.idp.id_token()
    app = await oauth.http.apps.lend(oauth.http.app_id)
    before = await oauth.rows("$oauthUserLinks")
    await oauth.send_id_token(token, refresh_token=made["refresh_token"])
    assert await oauth.rows("$oauthUserLinks") == before
    assert len(await oauth.rows("$userRefreshTokens")) == 1
    oauth.http.apps.give_back(app)


@pytest.mark.rule("A132")
async def test_of_two_the_address_decides_and_the_link_moves(oauth):
    linked = (await enter(oauth, email="old@example.com"))["user"]["id"]
    await make_user(oauth, OTHER, email="ann@example.com")
    found = await enter(oauth, email="ann@example.com")
    assert (found["created"], found["user"]["id"]) == (False, OTHER)
    [link] = await oauth.rows("$oauthUserLinks")
    assert link["sub"] == "sub-1"
    rows = await users(oauth)
    assert rows[linked]["email"] == "old@example.com"
    again = await enter(oauth, email=None)
    assert again["user"]["id"] == OTHER


@pytest.mark.rule("A132")
async def test_another_provider_is_another_person(oauth):
    first = await enter(oauth, email=None)
    await oauth.add_client("second", "oidc2", client_id="web", client_secret="s" * 40)
    token = oauth.idp.id_token(email=None)
    second = (await oauth.send_id_token(token, client_name="oidc2")).json()
    assert second["created"] is True
    assert second["user"]["id"] != first["user"]["id"]


@pytest.mark.rule("A133")
@pytest.mark.parametrize("by", ["redirect", "id_token"])
async def test_a_guest_becomes_the_account(oauth, by):
    guest = await make_guest(oauth)
    token = guest["refresh_token"]
    if by == "redirect":
        body = await oauth.enter(refresh_token=token)
    else:
        answer = await oauth.send_id_token(oauth.idp.id_token(), refresh_token=token)
        body = answer.json()
        assert body["user"]["refresh_token"] == token
    assert body["created"] is True
    assert body["user"]["id"] == guest["id"]
    assert (body["user"]["type"], body["user"]["isGuest"]) == ("user", False)
    assert body["user"]["email"] == "ann@example.com"
    assert body["user"]["created_at"] == guest["created_at"]


@pytest.mark.rule("A133")
@pytest.mark.parametrize("by", ["redirect", "id_token"])
async def test_a_guest_is_linked_to_the_account_there_is(oauth, by):
    await make_user(oauth, USER, email="ann@example.com")
    guest = await make_guest(oauth)
    token = guest["refresh_token"]
    if by == "redirect":
        body = await oauth.enter(refresh_token=token)
    else:
        body = (await oauth.send_id_token(oauth.idp.id_token(), refresh_token=token)).json()
    assert (body["created"], body["user"]["id"]) == (False, USER)
    assert body["user"]["refresh_token"] != token
    query = {"$users": {"$": {"where": {"id": guest["id"]}}, "linkedPrimaryUser": {}}}
    answer = await oauth.http.ask("POST", "/admin/query", {"query": query}, oauth.http.admin())
    [row] = answer.json()["$users"]
    assert [each["id"] for each in row["linkedPrimaryUser"]] == [USER]


@pytest.mark.rule("A133")
async def test_the_token_of_a_user_is_no_guests(oauth):
    first = (await enter(oauth))["user"]
    body = await oauth.send_id_token(
        oauth.idp.id_token(sub="sub-2", email="bob@example.com"),
        refresh_token=first["refresh_token"],
    )
    assert body.json()["created"] is True
    assert body.json()["user"]["id"] != first["id"]
    [bob] = [row for row in (await users(oauth)).values() if row["id"] != first["id"]]
    assert "linkedPrimaryUser" not in bob


@pytest.mark.rule("A133")
async def test_the_token_of_nobody_is_refused(oauth):
    code = (await oauth.sign_in())["code"]
    answer = (await oauth.exchange(code, refresh_token=USER)).json()
    assert answer["hint"]["record-type"] == "app-user"
    assert await users(oauth) == {}


@pytest.mark.rule("A134")
async def test_without_an_address_the_providers_id_is_enough(oauth):
    first = await enter(oauth, email=None)
    assert first["created"] is True
    assert "email" not in first["user"]
    again = await enter(oauth, email=None)
    assert (again["created"], again["user"]["id"]) == (False, first["user"]["id"])
    # An address learnt later is added.
    later = await enter(oauth)
    assert later["user"]["id"] == first["user"]["id"]
    assert later["user"]["email"] == "ann@example.com"


@pytest.mark.rule("A134")
async def test_an_unverified_address_opens_nobodys_account(oauth):
    await make_user(oauth, USER, email="ann@example.com")
    body = await enter(oauth, sub="mallory", email_verified=False)
    assert body["created"] is True
    assert body["user"]["id"] != USER
    assert "email" not in body["user"]


@pytest.mark.rule("A135")
async def test_the_sign_up_rule_is_asked(oauth):
    rule = {"$users": {"allow": {"create": "data.email.endsWith('@example.com')"}}}
    await oauth.manage("POST", "rules", {"code": rule})
    refused = await oauth.send_id_token(oauth.idp.id_token(email="ann@evil.example"))
    assert refused.json()["type"] == "permission-denied"
    assert await users(oauth) == {}
    assert await oauth.rows("$oauthUserLinks") == []
    assert (await enter(oauth))["created"] is True
    # It is a rule about sign-up: who has an account enters, whatever it says now.
    await oauth.manage("POST", "rules", {"code": {"$users": {"allow": {"create": "false"}}}})
    assert (await enter(oauth))["created"] is False


@pytest.mark.rule("A135")
async def test_extra_fields_of_a_sign_up(oauth):
    extra = {"nickname": "Ann"}
    refused = await oauth.send_id_token(oauth.idp.id_token(), extra_fields=extra)
    assert refused.json()["hint"]["data-type"] == "extra-fields"
    steps = [["update", "$users", USER, {"nickname": "x"}]]
    await oauth.http.ask("POST", "/admin/transact", {"steps": steps}, oauth.http.admin())
    refused = await oauth.send_id_token(oauth.idp.id_token(), extra_fields=extra)
    assert refused.json()["type"] == "permission-denied"
    rule = {"$users": {"allow": {"create": "data.nickname == 'Ann'"}}}
    await oauth.manage("POST", "rules", {"code": rule})
    body = await oauth.enter(extra_fields=extra)
    assert body["user"]["nickname"] == "Ann"
    # Of somebody who has an account they are ignored, even wrong ones.
    answer = await oauth.send_id_token(oauth.idp.id_token(), extra_fields={"nope": 1})
    assert answer.json()["created"] is False
