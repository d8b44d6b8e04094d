"""Organisations over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from support.mailbox import Mailbox
from trice import account_limits
from trice.config import Settings
from trice.errors import InvalidInput

NOBODY = "00000000-0000-4000-8000-000000000000"


class Team:
    """An organisation, and people by the first part of their address."""

    def __init__(self, stage):
        self.stage = stage
        self.headers = {}
        self.org = ""

    async def join(self, *names):
        accounts = self.stage.asgi.state.accounts
        for name in names:
            account = await accounts.create(f"{name}@example.com")
            _, secret = await accounts.make_token(account, name="ci")
            self.headers[name] = {"authorization": f"Bearer {secret}"}

    async def ask(self, name, method, path, body=None):
        path = path.replace("ORG", f"/dash/orgs/{self.org}")
        return (await self.stage.ask(method, path, body, self.headers[name])).json()

    async def invite(self, by, name, role):
        self.stage.runtime.advance(1)  # members are told oldest first
        body = {"invitee-email": f"{name}@example.com", "role": role}
        return await self.ask(by, "POST", "ORG/invite/send", body)

    async def add(self, name, role):
        """Invite somebody, who accepts."""
        invited = await self.invite("ann", name, role)
        body = {"invite-id": invited["id"]}
        assert await self.ask(name, "POST", "/dash/invites/accept", body) == {}
        return invited["id"]

    async def make_app(self, name="ann"):
        body = {"title": "shared", "org_id": self.org}
        return (await self.ask(name, "POST", "/superadmin/apps", body))["app"]

    async def members(self):
        found = await self.ask("ann", "GET", "ORG")
        return [(each["email"].split("@")[0], each["role"]) for each in found["members"]]


@pytest.fixture
async def team(stage):
    team = Team(stage)
    await team.join("ann", "bob", "eve")
    made = await team.ask("ann", "POST", "/dash/orgs", {"title": "Bakery"})
    team.org = made["org"]["id"]
    return team


def kind_of(body):
    return body.get("type"), body.get("hint", {}).get("data-type")


NONE = ("validation-failed", "user-role")
WEAK = ("permission-denied", None)
OK = (None, None)


@pytest.mark.rule("AC70")
async def test_an_organisation_is_made_renamed_and_deleted(team):
    for path, key in [("/superadmin/orgs", "orgs"), ("/dash", "orgs")]:
        [listed] = (await team.ask("ann", "GET", path))[key]
        assert (listed["id"], listed["title"], listed["role"]) == (team.org, "Bakery", "owner")
        assert (await team.ask("eve", "GET", path))[key] == []
    renamed = await team.ask("ann", "POST", "ORG/rename", {"title": "Bakers"})
    assert renamed["org"]["title"] == "Bakers"
    app = await team.make_app()
    assert (app["org_id"], app["creator_id"]) == (team.org, None)
    refused = await team.ask("ann", "DELETE", "ORG")
    assert refused["type"] == "record-not-unique"
    await team.ask("ann", "DELETE", f"/dash/apps/{app['id']}")
    assert (await team.ask("ann", "DELETE", "ORG"))["type"] == "record-not-unique"
    await team.stage.apps.delete(app["id"])
    assert await team.ask("ann", "DELETE", "ORG") == {"ok": True}
    assert kind_of(await team.ask("ann", "GET", "ORG")) == NONE
    assert (await team.ask("ann", "GET", "/superadmin/orgs"))["orgs"] == []


@pytest.mark.rule("AC71")
@pytest.mark.parametrize(
    ("role", "reads", "changes", "manages", "owns"),
    [
        (None, NONE, NONE, NONE, NONE),
        ("viewer", OK, WEAK, WEAK, WEAK),
        ("collaborator", OK, OK, WEAK, WEAK),
        ("admin", OK, OK, OK, WEAK),
        ("owner", OK, OK, OK, OK),
    ],
)
async def test_roles_say_what_members_may_do(team, role, reads, changes, manages, owns):
    app = await team.make_app()
    spare, gone = await team.make_app(), await team.make_app()
    await team.ask("ann", "DELETE", f"/dash/apps/{gone['id']}")
    if role is not None:
        await team.add("bob", role)
    of_app, of_org = f"/dash/apps/{app['id']}", f"/superadmin/orgs/{team.org}"
    step = {"steps": [["delete-attr", NOBODY]]}
    asked = [
        (reads, "GET", of_app, None),
        (reads, "GET", f"{of_app}/schema/pull", None),
        (reads, "GET", f"{of_app}/perms/pull", None),
        (reads, "GET", f"{of_org}/apps?include=schema", None),
        (reads, "GET", "ORG", None),
        (changes, "POST", f"{of_app}/rules", {"code": {}}),
        (changes, "POST", f"{of_app}/schema/steps/apply", step),
        (manages, "POST", f"{of_app}/rename", {"title": "b"}),
        (manages, "POST", f"{of_app}/tokens", {}),
        (manages, "POST", "/superadmin/apps", {"title": "more", "org_id": team.org}),
        (manages, "POST", "ORG/rename", {"title": "b"}),
        (manages, "POST", "ORG/invite/send", {"invitee-email": "x@example.com", "role": "viewer"}),
        (manages, "DELETE", f"/dash/apps/{spare['id']}", None),
        (manages, "POST", f"/dash/apps/{gone['id']}/restore", {}),
    ]
    for expected, method, path, body in asked:
        found = kind_of(await team.ask("bob", method, path, body))
        if found == ("sql-raise", None):  # the step was looked at
            found = OK
        assert found == expected, (method, path)
    headers = team.headers["bob"] | {"app-id": app["id"]}
    for expected, path, body in [
        (reads, "/admin/query", {"query": {"todos": {}}}),
        (changes, "/admin/transact", {"steps": [["update", "todos", NOBODY, {"a": 1}]]}),
    ]:
        answer = await team.stage.ask("POST", path, body, headers)
        assert (answer.status == 200) is (expected == OK), path
    expected = OK if owns == OK else owns
    found = kind_of(await team.ask("bob", "DELETE", "ORG"))
    assert found == (("record-not-unique", None) if owns == OK else expected)


@pytest.mark.rule("AC71")
@pytest.mark.parametrize(("role", "is_shown"), [("viewer", False), ("collaborator", True)])
async def test_viewers_see_no_admin_tokens(team, role, is_shown):
    app = await team.make_app()
    await team.add("bob", role)
    [shown] = (await team.ask("bob", "GET", "ORG"))["apps"]
    assert shown["user_app_role"] == "collaborator"
    assert (shown["admin_token"] == app["admin-token"]) is is_shown
    assert (shown["admin_token"] is None) is not is_shown


@pytest.mark.rule("AC72")
async def test_who_is_invited_is_a_member_once_they_accept(team):
    invited = await team.invite("ann", "bob", "viewer")
    assert kind_of(await team.ask("bob", "GET", "ORG")) == NONE
    [shown] = (await team.ask("bob", "GET", "/dash"))["invites"]
    assert (shown["id"], shown["org"]["title"], shown["invitee_role"]) == (
        invited["id"],
        "Bakery",
        "viewer",
    )
    assert await team.invite("ann", "bob", "collaborator") == invited
    body = {"invite-id": invited["id"]}
    refused = await team.ask("eve", "POST", "/dash/invites/accept", body)
    assert refused["hint"]["record-type"] == "member-invite"
    assert await team.ask("bob", "POST", "/dash/invites/accept", body) == {}
    assert await team.members() == [("ann", "owner"), ("bob", "collaborator")]
    assert (await team.ask("bob", "POST", "/dash/invites/accept", body))["type"] == (
        "record-not-found"
    )
    assert (await team.invite("ann", "bob", "viewer"))["type"] == "record-not-unique"


@pytest.mark.rule("AC72")
async def test_invitations_end_without_a_member(team):
    declined = await team.invite("ann", "bob", "viewer")
    body = {"invite-id": declined["id"]}
    assert await team.ask("bob", "POST", "/dash/invites/decline", body) == {}
    revoked = await team.invite("ann", "late", "viewer")
    body = {"invite-id": revoked["id"]}
    assert await team.ask("ann", "DELETE", "ORG/invite/revoke", body) == {}
    await team.join("late")
    assert (await team.ask("late", "GET", "/dash"))["invites"] == []
    refused = await team.ask("late", "POST", "/dash/invites/accept", body)
    assert refused["type"] == "record-not-found"
    assert await team.members() == [("ann", "owner")]


@pytest.mark.rule("AC73", "AC74")
async def test_nobody_acts_above_their_role_and_the_last_owner_stays(team):
    bob = await team.add("bob", "admin")
    ann = (await team.ask("ann", "GET", "ORG"))["members"][0]["id"]
    update, remove = "ORG/members/update", "ORG/members/remove"
    for method, path, body in [
        ("POST", update, {"id": bob, "role": "owner"}),
        ("POST", update, {"id": ann, "role": "viewer"}),
        ("DELETE", remove, {"id": ann}),
    ]:
        assert kind_of(await team.ask("bob", method, path, body)) == WEAK
    assert kind_of(await team.invite("bob", "eve", "owner")) == WEAK
    for method, path, body in [
        ("POST", update, {"id": ann, "role": "admin"}),
        ("DELETE", remove, {"id": ann}),
    ]:
        refused = await team.ask("ann", method, path, body)
        assert refused["hint"]["record-type"] == "org-member"
    assert await team.ask("ann", "POST", update, {"id": bob, "role": "owner"}) == {}
    assert await team.ask("bob", "DELETE", remove, {"id": ann}) == {}
    assert kind_of(await team.ask("ann", "GET", "ORG")) == NONE
    other = await team.ask("eve", "POST", "/dash/orgs", {"title": "other"})
    team.org = other["org"]["id"]
    refused = await team.ask("eve", "DELETE", remove, {"id": bob})
    assert refused["hint"]["record-type"] == "org-member"


@pytest.mark.rule("AC73")
async def test_restricted_tokens_and_wrong_roles_change_no_members(team):
    accounts = team.stage.asgi.state.accounts
    ann = accounts.get_by_email("ann@example.com")
    _, secret = await accounts.make_token(ann, name="ci", scopes=("apps-write",))
    team.headers["ann"] = {"authorization": f"Bearer {secret}"}
    assert (await team.invite("ann", "bob", "viewer"))["type"] == "permission-denied"
    assert (await team.ask("ann", "GET", "ORG"))["org"]["title"] == "Bakery"
    await accounts.remove(ann)
    await team.join("ann")
    for role in ("boss", None, ["viewer"]):
        assert (await team.invite("ann", "bob", role))["type"] == "param-malformed"


@pytest.mark.rule("AC75")
async def test_the_owner_of_an_app_hands_it_to_their_organisation(team):
    made = (await team.ask("ann", "POST", "/superadmin/apps", {"title": "mine"}))["app"]
    path = f"/dash/apps/{made['id']}/transfer_to_org/{team.org}"
    assert kind_of(await team.ask("bob", "POST", path)) == NONE
    await team.add("bob", "admin")
    assert kind_of(await team.ask("bob", "POST", path)) == NONE
    assert await team.ask("ann", "POST", path) == {}
    assert (await team.ask("ann", "GET", "/superadmin/apps"))["apps"] == []
    assert (await team.ask("bob", "GET", f"/dash/apps/{made['id']}"))["app"]["org_id"] == team.org
    answer = await team.stage.ask(
        "POST",
        "/admin/query",
        {"query": {"todos": {}}},
        {"app-id": made["id"], "authorization": f"Bearer {made['admin-token']}"},
    )
    assert answer.status == 200


@pytest.mark.rule("AC76")
async def test_removed_accounts_leave_and_last_owners_are_not_removed(team):
    operator = team.stage.asgi.state.operator
    wish = {"do": "remove-account", "email": "ann@example.com"}
    await team.add("bob", "admin")
    answer = await team.stage.ask(
        "POST", "/operator", wish, {"authorization": f"Bearer {operator.secret}"}
    )
    assert "last owner" in answer.json()["message"]
    await operator.carry_out({**wish, "email": "bob@example.com"})
    assert await team.members() == [("ann", "owner")]


@pytest.mark.rule("AC77")
async def test_organisations_and_members_are_bounded(team, monkeypatch):
    monkeypatch.setattr(account_limits, "ORG_MEMBERS_MAX", 2)
    await team.add("bob", "viewer")
    assert (await team.invite("ann", "eve", "viewer"))["type"] == "parameter-limit-exceeded"
    monkeypatch.setattr(account_limits, "ORGS_OF_ACCOUNT_MAX", 1)
    refused = await team.ask("ann", "POST", "/dash/orgs", {"title": "more"})
    assert refused["type"] == "parameter-limit-exceeded"


@pytest.mark.rule("AC78")
async def test_an_invitation_is_told_by_e_mail(team):
    team.stage.asgi.state.mail = mailbox = Mailbox()
    await team.ask("ann", "POST", "ORG/rename", {"title": "<b>Bakery</b>"})
    await team.invite("ann", "bob", "viewer")
    await asyncio.sleep(0)
    [message] = mailbox.messages
    assert message.to == "bob@example.com" and "ann@example.com invites you" in message.subject
    assert "&lt;b&gt;Bakery" in message.body_html and "http" not in message.body_text
    for _ in range(account_limits.INVITES_TO_ADDRESS_PER_HOUR):
        answer = await team.invite("ann", "bob", "viewer")
    assert answer["type"] == "rate-limited"


@pytest.mark.rule("AC78")
async def test_the_link_of_an_invitation_is_the_public_url(open_stage):
    team = Team(await open_stage(public_url="https://api.example.com"))
    team.stage.asgi.state.mail = mailbox = Mailbox()
    await team.join("ann")
    team.org = (await team.ask("ann", "POST", "/dash/orgs", {"title": "x"}))["org"]["id"]
    await team.invite("ann", "bob", "viewer")
    await asyncio.sleep(0)
    assert mailbox.messages[0].body_text.endswith("accept: https://api.example.com/dash")


@pytest.mark.rule("AC57")
@pytest.mark.parametrize(
    ("registration", "is_invited", "may_register"),
    [
        ("closed", False, False),
        ("closed", True, False),
        ("invited", False, False),
        ("invited", True, True),
        ("open", False, True),
    ],
)
async def test_the_setting_says_who_gets_an_account_by_signing_in(
    open_stage, registration, is_invited, may_register
):
    stage = await open_stage(registration=registration)
    team = Team(stage)
    await team.join("ann")
    team.org = (await team.ask("ann", "POST", "/dash/orgs", {"title": "x"}))["org"]["id"]
    if is_invited:
        await team.invite("ann", "new", "viewer")
        await asyncio.sleep(0)
    stage.asgi.state.mail = mailbox = Mailbox()
    body = {"email": "new@example.com"}
    await stage.ask("POST", "/dash/auth/send_magic_code", body)
    await asyncio.sleep(0)
    assert len(mailbox.messages) == may_register
    body["code"] = mailbox.code() if may_register else "123456"
    answer = (await stage.ask("POST", "/dash/auth/verify_magic_code", body)).json()
    assert ("token" in answer) is may_register
    found = stage.asgi.state.accounts.find_by_email("new@example.com")
    assert (found is not None) is may_register
    if is_invited and may_register:
        team.headers["new"] = {"authorization": f"Bearer {answer['token']}"}
        [invite] = (await team.ask("new", "GET", "/dash"))["invites"]
        await team.ask("new", "POST", "/dash/invites/accept", {"invite-id": invite["id"]})
        assert ("new", "viewer") in await team.members()


@pytest.mark.rule("AC57")
def test_other_registrations_end_the_start():
    with pytest.raises(InvalidInput, match="closed, invited, open"):
        Settings(registration="maybe")
