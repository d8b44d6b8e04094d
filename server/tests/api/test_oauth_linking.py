"""Whose account a sign-in with a provider opens: none yet, one, or two that meet."""

from __future__ import annotations

import asyncio

import pytest

from support.identity_provider import oauth_scene

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
def test_nobody_yet_makes_an_account(play):
    async def scene(stage):
        stage.idp.person = {"picture": "https://img.example/1"}
        made = await enter(stage)
        assert made["created"] is True
        [row] = (await users(stage)).values()
        assert (row["type"], row["email"]) == ("user", "ann@example.com")
        assert row["imageURL"] == "https://img.example/1"
        other = await enter(stage, sub="sub-2", email="bob@example.com")
        assert other["created"] is True
        assert len(await stage.rows("$oauthUserLinks")) == 2

    play(oauth_scene(scene))


@pytest.mark.rule("A130")
def test_two_first_sign_ins_at_once_make_one_account(play):
    async def scene(stage):
        token = stage.idp.id_token()
        answers = await asyncio.gather(*(stage.send_id_token(token) for _ in range(4)))
        assert [answer.status for answer in answers] == [200] * 4
        assert sorted(answer.json()["created"] for answer in answers) == [False] * 3 + [True]
        assert len(await users(stage)) == 1
        assert len(await stage.rows("$oauthUserLinks")) == 1

    play(oauth_scene(scene))


@pytest.mark.rule("A131")
def test_an_account_with_the_address_is_joined(play):
    async def scene(stage):
        await make_user(stage, USER, email="ann@example.com")
        stage.idp.person = {"picture": "https://img.example/1"}
        found = await enter(stage)
        assert (found["created"], found["user"]["id"]) == (False, USER)
        assert (await users(stage))[USER]["imageURL"] == "https://img.example/1"
        assert len(await stage.rows("$oauthUserLinks")) == 1
        # From now on the provider's id is enough.
        again = await enter(stage, email=None)
        assert again["user"]["id"] == USER

    play(oauth_scene(scene))


@pytest.mark.rule("A131")
def test_the_provider_keeps_address_and_picture_current(play):
    async def scene(stage):
        stage.idp.person = {"picture": "https://img.example/1"}
        first = await enter(stage)
        newer = await enter(stage, email="ann@new.example", picture="https://img.example/2")
        assert newer["user"]["id"] == first["user"]["id"]
        [row] = (await users(stage)).values()
        assert (row["email"], row["imageURL"]) == ("ann@new.example", "https://img.example/2")
        assert newer["user"]["email"] == "ann@new.example"
        # What it leaves out stays.
        silent = await enter(stage, email=None, picture=None)
        assert silent["user"]["email"] == "ann@new.example"
        assert silent["user"]["imageURL"] == "https://img.example/2"

    play(oauth_scene(scene))


@pytest.mark.rule("A131")
def test_a_sign_in_that_changes_nothing_writes_only_its_token(play):
    async def scene(stage):
        made = (await enter(stage))["user"]
        token = stage.idp.id_token()
        app = await stage.http.apps.lend(stage.http.app_id)
        before = await stage.rows("$oauthUserLinks")
        await stage.send_id_token(token, refresh_token=made["refresh_token"])
        assert await stage.rows("$oauthUserLinks") == before
        assert len(await stage.rows("$userRefreshTokens")) == 1
        stage.http.apps.give_back(app)

    play(oauth_scene(scene))


@pytest.mark.rule("A132")
def test_of_two_the_address_decides_and_the_link_moves(play):
    async def scene(stage):
        linked = (await enter(stage, email="old@example.com"))["user"]["id"]
        await make_user(stage, OTHER, email="ann@example.com")
        found = await enter(stage, email="ann@example.com")
        assert (found["created"], found["user"]["id"]) == (False, OTHER)
        [link] = await stage.rows("$oauthUserLinks")
        assert link["sub"] == "sub-1"
        rows = await users(stage)
        assert rows[linked]["email"] == "old@example.com"
        again = await enter(stage, email=None)
        assert again["user"]["id"] == OTHER

    play(oauth_scene(scene))


@pytest.mark.rule("A132")
def test_another_provider_is_another_person(play):
    async def scene(stage):
        first = await enter(stage, email=None)
        await stage.add_client("second", "oidc2", client_id="web", client_secret="s" * 40)
        token = stage.idp.id_token(email=None)
        second = (await stage.send_id_token(token, client_name="oidc2")).json()
        assert second["created"] is True
        assert second["user"]["id"] != first["user"]["id"]

    play(oauth_scene(scene))


@pytest.mark.rule("A133")
@pytest.mark.parametrize("by", ["redirect", "id_token"])
def test_a_guest_becomes_the_account(play, by):
    async def scene(stage):
        guest = await make_guest(stage)
        token = guest["refresh_token"]
        if by == "redirect":
            body = await stage.enter(refresh_token=token)
        else:
            answer = await stage.send_id_token(stage.idp.id_token(), refresh_token=token)
            body = answer.json()
            assert body["user"]["refresh_token"] == token
        assert body["created"] is True
        assert body["user"]["id"] == guest["id"]
        assert (body["user"]["type"], body["user"]["isGuest"]) == ("user", False)
        assert body["user"]["email"] == "ann@example.com"
        assert body["user"]["created_at"] == guest["created_at"]

    play(oauth_scene(scene))


@pytest.mark.rule("A133")
@pytest.mark.parametrize("by", ["redirect", "id_token"])
def test_a_guest_is_linked_to_the_account_there_is(play, by):
    async def scene(stage):
        await make_user(stage, USER, email="ann@example.com")
        guest = await make_guest(stage)
        token = guest["refresh_token"]
        if by == "redirect":
            body = await stage.enter(refresh_token=token)
        else:
            body = (await stage.send_id_token(stage.idp.id_token(), refresh_token=token)).json()
        assert (body["created"], body["user"]["id"]) == (False, USER)
        assert body["user"]["refresh_token"] != token
        query = {"$users": {"$": {"where": {"id": guest["id"]}}, "linkedPrimaryUser": {}}}
        answer = await stage.http.ask("POST", "/admin/query", {"query": query}, stage.http.admin())
        [row] = answer.json()["$users"]
        assert [each["id"] for each in row["linkedPrimaryUser"]] == [USER]

    play(oauth_scene(scene))


@pytest.mark.rule("A133")
def test_the_token_of_a_user_is_no_guests(play):
    async def scene(stage):
        first = (await enter(stage))["user"]
        body = await stage.send_id_token(
            stage.idp.id_token(sub="sub-2", email="bob@example.com"),
            refresh_token=first["refresh_token"],
        )
        assert body.json()["created"] is True
        assert body.json()["user"]["id"] != first["id"]
        [bob] = [row for row in (await users(stage)).values() if row["id"] != first["id"]]
        assert "linkedPrimaryUser" not in bob

    play(oauth_scene(scene))


@pytest.mark.rule("A133")
def test_the_token_of_nobody_is_refused(play):
    async def scene(stage):
        code = (await stage.sign_in())["code"]
        answer = (await stage.exchange(code, refresh_token=USER)).json()
        assert answer["hint"]["record-type"] == "app-user"
        assert await users(stage) == {}

    play(oauth_scene(scene))


@pytest.mark.rule("A134")
def test_without_an_address_the_providers_id_is_enough(play):
    async def scene(stage):
        first = await enter(stage, email=None)
        assert first["created"] is True
        assert "email" not in first["user"]
        again = await enter(stage, email=None)
        assert (again["created"], again["user"]["id"]) == (False, first["user"]["id"])
        # An address learnt later is added.
        later = await enter(stage)
        assert later["user"]["id"] == first["user"]["id"]
        assert later["user"]["email"] == "ann@example.com"

    play(oauth_scene(scene))


@pytest.mark.rule("A134")
def test_an_unverified_address_opens_nobodys_account(play):
    async def scene(stage):
        await make_user(stage, USER, email="ann@example.com")
        body = await enter(stage, sub="mallory", email_verified=False)
        assert body["created"] is True
        assert body["user"]["id"] != USER
        assert "email" not in body["user"]

    play(oauth_scene(scene))


@pytest.mark.rule("A135")
def test_the_sign_up_rule_is_asked(play):
    async def scene(stage):
        rule = {"$users": {"allow": {"create": "data.email.endsWith('@example.com')"}}}
        await stage.manage("POST", "rules", {"code": rule})
        refused = await stage.send_id_token(stage.idp.id_token(email="ann@evil.example"))
        assert refused.json()["type"] == "permission-denied"
        assert await users(stage) == {}
        assert await stage.rows("$oauthUserLinks") == []
        assert (await enter(stage))["created"] is True
        # It is a rule about sign-up: who has an account enters, whatever it says now.
        await stage.manage("POST", "rules", {"code": {"$users": {"allow": {"create": "false"}}}})
        assert (await enter(stage))["created"] is False

    play(oauth_scene(scene))


@pytest.mark.rule("A135")
def test_extra_fields_of_a_sign_up(play):
    async def scene(stage):
        extra = {"nickname": "Ann"}
        refused = await stage.send_id_token(stage.idp.id_token(), extra_fields=extra)
        assert refused.json()["hint"]["data-type"] == "extra-fields"
        steps = [["update", "$users", USER, {"nickname": "x"}]]
        await stage.http.ask("POST", "/admin/transact", {"steps": steps}, stage.http.admin())
        refused = await stage.send_id_token(stage.idp.id_token(), extra_fields=extra)
        assert refused.json()["type"] == "permission-denied"
        rule = {"$users": {"allow": {"create": "data.nickname == 'Ann'"}}}
        await stage.manage("POST", "rules", {"code": rule})
        body = await stage.enter(extra_fields=extra)
        assert body["user"]["nickname"] == "Ann"
        # Of somebody who has an account they are ignored, even wrong ones.
        answer = await stage.send_id_token(stage.idp.id_token(), extra_fields={"nope": 1})
        assert answer.json()["created"] is False

    play(oauth_scene(scene))
