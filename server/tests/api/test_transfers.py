"""Apps that are handed over to other accounts."""

from __future__ import annotations

import asyncio

import pytest

from support.account_http import account_of, bearer, problem_of
from support.mailbox import Mailbox
from trice import account_limits

GONE = (400, "record-not-found", "member-invite")


class Handover:
    """The app of ann, which she offers, and bob."""

    def __init__(self, stage):
        self.stage = stage
        self.headers = {}
        self.app_id = ""

    async def open(self):
        for name in ("ann", "bob", "eve"):
            _, self.headers[name] = await account_of(self.stage, f"{name}@example.com")
        made = await self.ask("ann", "POST", "/superadmin/apps", {"title": "shop"})
        self.app_id = made.json()["app"]["id"]
        self.token = made.json()["app"]["admin-token"]
        return self

    async def ask(self, name, method, path, body=None):
        return await self.stage.ask(method, path, body, self.headers[name])

    async def send(self, by="ann", to="bob", word="send"):
        path = f"/superadmin/apps/{self.app_id}/transfers/{word}"
        return await self.ask(by, "POST", path, {"dest_email": f"{to}@example.com"})

    async def accept(self, name, invite_id, **more):
        body = {"invite-id": invite_id, **more}
        return await self.ask(name, "POST", "/dash/invites/accept", body)

    async def invites(self, name):
        return (await self.ask(name, "GET", "/dash")).json()["invites"]

    async def owners(self):
        """Who of the three owns the app."""
        path = f"/superadmin/apps/{self.app_id}"
        return [name for name in self.headers if (await self.ask(name, "GET", path)).status == 200]

    async def make_org(self, name):
        made = await self.ask(name, "POST", "/dash/orgs", {"title": "Bakery"})
        return made.json()["org"]["id"]


@pytest.fixture
async def handover(stage):
    return await Handover(stage).open()


@pytest.mark.rule("AC120")
async def test_an_app_is_offered_and_taken(stage, handover):
    stage.asgi.state.mail = mailbox = Mailbox()
    sent = (await handover.send()).json()
    [invite] = await handover.invites("bob")
    assert (invite["id"], invite["title"]) == (sent["id"], "shop")
    assert (invite["inviter_email"], invite["org"]) == ("ann@example.com", None)
    assert await handover.owners() == ["ann"]
    await asyncio.sleep(0)
    assert mailbox.messages[0].to == "bob@example.com"
    assert "ann@example.com hands the app shop over to you" in mailbox.messages[0].body_text
    assert (await handover.accept("bob", sent["id"])).json() == {}
    assert await handover.owners() == ["bob"]
    assert await handover.invites("bob") == []
    [app] = (await handover.ask("bob", "GET", "/dash")).json()["apps"]
    assert (app["id"], app["user_app_role"]) == (handover.app_id, "owner")
    assert app["admin_token"] == handover.token
    assert problem_of(await handover.accept("bob", sent["id"])) == GONE


@pytest.mark.rule("AC120")
async def test_an_app_moves_between_accounts_and_organisations(handover):
    org = await handover.make_org("bob")
    sent = (await handover.send()).json()
    refused = await handover.accept("bob", sent["id"], org_id=await handover.make_org("eve"))
    assert refused.json()["type"] == "validation-failed"
    assert (await handover.accept("bob", sent["id"], org_id=org)).json() == {}
    path = f"/superadmin/apps/{handover.app_id}"
    row = (await handover.ask("bob", "GET", path)).json()["app"]
    assert (row["creator_id"], row["org_id"]) == (None, org)
    sent = (await handover.send(by="bob", to="eve")).json()
    assert (await handover.accept("eve", sent["id"])).json() == {}
    assert await handover.owners() == ["eve"]


@pytest.mark.rule("AC121")
async def test_only_the_owner_offers_an_app(stage, handover):
    org = await handover.make_org("ann")
    transfer = f"/dash/apps/{handover.app_id}/transfer_to_org/{org}"
    assert (await handover.ask("ann", "POST", transfer)).status == 200
    bob = stage.asgi.state.accounts.find_by_email("bob@example.com")
    invited = await stage.asgi.state.orgs.invite(org, bob.email, "admin", by="owner")
    await stage.asgi.state.orgs.answer(bob, invited.id, is_accepted=True)
    for word in ("send", "revoke"):
        assert (await handover.send(by="bob", to="eve", word=word)).json()["type"] == (
            "permission-denied"
        )
        assert problem_of(await handover.send(by="eve", word=word))[1] == "validation-failed"
        handover.headers["admin"] = bearer(handover.token)
        assert (await handover.send(by="admin", word=word)).status == 401
        _, handover.headers["scoped"] = await account_of(stage, scopes=("apps-write",))
        assert problem_of(await handover.send(by="scoped", word=word))[1] == "permission-denied"
    assert (await handover.send()).status == 200


@pytest.mark.rule("AC121")
async def test_the_own_address_is_refused(handover):
    assert (await handover.send(to="ann")).json()["type"] == "record-not-unique"


@pytest.mark.rule("AC122")
async def test_an_offer_is_for_its_address_and_ends(stage, handover):
    sent = (await handover.send()).json()
    assert problem_of(await handover.accept("eve", sent["id"])) == GONE
    assert (await handover.send(word="revoke")).json() == {"count": 1}
    assert (await handover.send(word="revoke")).json() == {"count": 0}
    assert problem_of(await handover.accept("bob", sent["id"])) == GONE

    sent = (await handover.send()).json()
    answer = await handover.ask("bob", "POST", "/dash/invites/decline", {"invite-id": sent["id"]})
    assert answer.json() == {}
    assert await handover.invites("bob") == []

    sent = (await handover.send()).json()
    stage.runtime.advance(account_limits.TRANSFER_MS - 1)
    again = (await handover.send()).json()  # which renews it
    assert again == sent
    stage.runtime.advance(account_limits.TRANSFER_MS)
    assert await handover.invites("bob") == []
    assert problem_of(await handover.accept("bob", sent["id"])) == GONE
    await stage.asgi.state.transfers.delete_expired()
    found = await stage.apps.platform.look(lambda look: look.find({"$appTransfers": {}}))
    assert found == {"$appTransfers": []}
    assert await handover.owners() == ["ann"]


@pytest.mark.rule("AC123")
async def test_an_offer_is_void_once_the_app_is_of_somebody_else(stage, handover):
    to_bob, to_eve = (await handover.send()).json(), (await handover.send(to="eve")).json()
    tries = [
        stage.start("POST", "/dash/invites/accept", {"invite-id": sent["id"]}, headers)
        for sent, headers in (
            (to_bob, handover.headers["bob"]),
            (to_eve, handover.headers["eve"]),
        )
    ]
    answers = [await each.whole() for each in tries]
    assert sorted(each.status for each in answers) == [200, 400]
    assert len(await handover.owners()) == 1
    assert await handover.invites("eve") == await handover.invites("bob") == []


@pytest.mark.rule("AC122")
async def test_an_offer_that_is_taken_back_as_it_is_accepted(stage, handover):
    sent = (await handover.send()).json()
    path = f"/superadmin/apps/{handover.app_id}/transfers/revoke"
    email = {"dest_email": "bob@example.com"}
    revoked = stage.start("POST", path, email, handover.headers["ann"])
    accepted = await handover.accept("bob", sent["id"])
    is_revoked = (await revoked.whole()).json() == {"count": 1}
    assert is_revoked == (accepted.status == 400)
    assert await handover.owners() == (["ann"] if is_revoked else ["bob"])


@pytest.mark.rule("AC123")
async def test_an_offer_is_void_while_its_app_is_deleted(handover):
    sent = (await handover.send()).json()
    path = f"/dash/apps/{handover.app_id}"
    await handover.ask("ann", "DELETE", path)
    assert await handover.invites("bob") == []
    assert problem_of(await handover.accept("bob", sent["id"])) == GONE
    await handover.ask("ann", "POST", f"{path}/restore")
    assert (await handover.accept("bob", sent["id"])).json() == {}
    # The one who had it cannot take it back by an offer of former times.
    assert problem_of(await handover.send())[1] == "validation-failed"


@pytest.mark.rule("AC124")
async def test_offers_are_bounded(handover, monkeypatch):
    monkeypatch.setattr(account_limits, "TRANSFERS_OF_APP_MAX", 1)
    assert (await handover.send()).status == 200
    answer = await handover.send(to="eve")
    assert answer.json()["type"] == "parameter-limit-exceeded"
    monkeypatch.setattr(account_limits, "TRANSFERS_OF_APP_MAX", 9)
    monkeypatch.setattr(account_limits, "TRANSFERS_TO_ADDRESS_MAX", 1)
    body = {"title": "other"}
    made = (await handover.ask("ann", "POST", "/superadmin/apps", body)).json()
    path = f"/superadmin/apps/{made['app']['id']}/transfers/send"
    answer = await handover.ask("ann", "POST", path, {"dest_email": "bob@example.com"})
    assert answer.json()["type"] == "parameter-limit-exceeded"
    for _ in range(account_limits.INVITES_TO_ADDRESS_PER_HOUR):
        answer = await handover.send()
    assert answer.json()["type"] == "rate-limited"


@pytest.mark.rule("AC124")
async def test_an_account_with_the_most_apps_keeps_the_offer(handover, monkeypatch):
    sent = (await handover.send()).json()
    await handover.ask("bob", "POST", "/superadmin/apps", {"title": "own"})
    monkeypatch.setattr(account_limits, "ACCOUNT_APPS_MAX", 1)
    answer = await handover.accept("bob", sent["id"])
    assert answer.json()["type"] == "parameter-limit-exceeded"
    assert await handover.owners() == ["ann"]
    monkeypatch.setattr(account_limits, "ACCOUNT_APPS_MAX", 2)
    assert (await handover.accept("bob", sent["id"])).json() == {}


@pytest.mark.rule("AC124")
async def test_who_is_offered_an_app_may_register_where_the_invited_may(open_stage):
    stage = await open_stage(registration="invited")
    handover = await Handover(stage).open()
    email = {"email": "zoe@example.com"}
    stage.asgi.state.mail = mailbox = Mailbox()
    await stage.ask("POST", "/dash/auth/send_magic_code", email)
    await asyncio.sleep(0)
    assert mailbox.messages == []
    await handover.send(to="zoe")
    await stage.ask("POST", "/dash/auth/send_magic_code", email)
    await asyncio.sleep(0)
    assert [message.to for message in mailbox.messages] == ["zoe@example.com"] * 2
    answer = await stage.ask(
        "POST", "/dash/auth/verify_magic_code", {**email, "code": mailbox.code()}
    )
    assert answer.json()["user"]["email"] == "zoe@example.com"
