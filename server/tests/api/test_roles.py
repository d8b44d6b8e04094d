"""Every route of an app, an organisation or an account, asked by everybody: who gets through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.account_http import account_of, bearer
from support.oauth_stage import Shop
from trice.accounts.accounts import SCOPES
from trice.accounts.orgs import ROLES

NOBODY = "00000000-0000-4000-8000-000000000000"

APP_ROLES = {
    "POST /superadmin/apps/{app_id}": "admin",
    "DELETE /superadmin/apps/{app_id}": "admin",
    "DELETE /dash/apps/{app_id}": "admin",
    "POST /dash/apps/{app_id}/restore": "admin",
    "POST /dash/apps/{app_id}/rename": "admin",
    "POST /dash/apps/{app_id}/tokens": "admin",
    "POST /dash/apps/{app_id}/transfer_to_org/{org_id}": "owner",
    "POST /superadmin/apps/{app_id}/transfers/send": "owner",
    "POST /superadmin/apps/{app_id}/transfers/revoke": "owner",
    "GET /dash/apps/{app_id}/oauth-apps": "collaborator",
    "DELETE /dash/apps/{app_id}/oauth-apps/{oauth_app_id}": "admin",
    "DELETE /dash/apps/{app_id}/oauth-app-clients/{client_id}": "admin",
    "GET /dash/apps/{app_id}/test_users": "collaborator",
    "DELETE /dash/apps/{app_id}/backups/{id}": "admin",
    "POST /dash/apps/{app_id}/schema/push/plan": "viewer",
    "POST /superadmin/apps/{app_id}/schema/push/plan": "viewer",
    "GET /dash/apps/{app_id}/logs": "collaborator",
}
"""The weakest role that a route of an app takes, where it is not viewer to read and collaborator to
change."""

WHOLE = re.compile(r".*/(tokens|transfer_to_org/.*|transfers/.*|oauth-app.*)")
"""Routes of an app that take a token for everything only, and no admin token."""

NO_ADMIN_TOKEN = ("DELETE /superadmin/apps/{app_id}", "DELETE /dash/apps/{app_id}")
NO_ADMIN_TOKEN = (*NO_ADMIN_TOKEN, "POST /dash/apps/{app_id}/restore")
"""Others that take no admin token."""

ANYBODY = {
    "GET /dash/apps/ephemeral/{app_id}",  # a throw-away app, without its token
    "POST /dash/apps/ephemeral/{app_id}/claim",  # takes the admin token in its body
    "POST /dash/apps/{app_id}/claim",
    "POST /dash/apps/{app_id}/track-import",  # does nothing
}

ORG_ROLES = {
    "GET /superadmin/orgs/{org_id}/apps": "viewer",
    "GET /dash/orgs/{org_id}": "viewer",
    "GET /dash/orgs/{org_id}/usage": "viewer",
    "DELETE /dash/orgs/{org_id}": "owner",
    "POST /dash/orgs/{org_id}/rename": "admin",
    "POST /dash/orgs/{org_id}/invite/send": "admin",
    "DELETE /dash/orgs/{org_id}/invite/revoke": "admin",
    "DELETE /dash/orgs/{org_id}/members/remove": "admin",
    "POST /dash/orgs/{org_id}/members/update": "admin",
}
ORG_SCOPES = {"GET": "apps-read", "DELETE": "apps-write", "POST": "apps-write"}
"""Those whose path has `invite` or `members` take a token for everything."""

ACCOUNT = {
    "GET /superadmin/apps": "apps-read",
    "POST /superadmin/apps": "apps-write",
    "GET /superadmin/orgs": "apps-read",
    "GET /dash/deleted-apps": "apps-read",
    "GET /dash/usage": "apps-read",
    "GET /superadmin/usage": "apps-read",
    "POST /dash/restores": "apps-write",
    "POST /dash/restores/zip": "apps-write",
    "PUT /dash/restores/{id}/bytes": "apps-write",
    "POST /dash/restores/{id}/start": "apps-write",
    "GET /dash/restore-jobs": "apps-write",
    "GET /dash/restore-jobs/{id}": "apps-write",
    "DELETE /dash/restore-jobs/{id}": "apps-write",
    "POST /dash/apps": "apps-write",
    "POST /dash/orgs": "apps-write",
    "GET /dash": "own apps-read",
    "GET /dash/me": "own",
    "POST /dash/signout": "own",
    "POST /dash/password": "whole",
    "POST /dash/cli/auth/claim": "whole",
    "POST /dash/cli/auth/void": "whole",
    "GET /dash/personal_access_tokens": "whole",
    "POST /dash/personal_access_tokens": "whole",
    "DELETE /dash/personal_access_tokens/{id}": "whole",
    "POST /dash/invites/accept": "whole",
    "POST /dash/invites/decline": "whole",
    "GET /dash/user/oauth_apps": "whole",
    "POST /dash/user/oauth_apps/revoke_access": "whole",
}
"""What a token must be for. own: any token of the person, but none of OAuth. whole: everything."""

STRANGERS = {
    "POST /dash/apps/ephemeral",
    "GET /dash/default-email-template",
    "POST /dash/first-account",
    "POST /dash/auth/send_magic_code",
    "POST /dash/auth/password",
    "POST /dash/auth/verify_magic_code",
    "POST /dash/cli/auth/register",
    "POST /dash/cli/auth/check",
}
"""Routes for people who have no token yet."""


def routes(stage: Any, has: str) -> Iterator[str]:
    """`METHOD /path` of every route of the dashboard or platform whose path has a parameter."""
    for route in stage.asgi.routes:
        path = getattr(route, "path", "")
        if path.startswith(("/dash", "/superadmin")) and has in path:
            for method in sorted(route.methods - {"HEAD"}):
                yield f"{method} {path}"


def is_refused(answer: Any) -> bool:
    """Whether an answer says that the caller may not; all others come from behind the gate."""
    if answer.status == 200:
        return False
    body = answer.json()
    hint = body.get("hint", {})
    return (
        answer.status == 401
        or body["type"] == "permission-denied"
        or hint.get("data-type") == "user-role"
        or hint.get("reason") == "admin-token-mismatch"
        or hint.get("in") == ["headers", "authorization"]
    )


class Everybody:
    """An organisation with a member of each role, a stranger, and tokens of all kinds."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.people: dict[str, dict[str, str]] = {}
        self.org = ""

    async def open(self) -> Everybody:
        stage = self.stage
        ann, self.people["owner"] = await account_of(stage, "owner@example.com")
        _, self.people["stranger"] = await account_of(stage, "stranger@example.com")
        self.org = (await stage.asgi.state.orgs.create(ann, "Bakery")).id
        for role in ROLES[:-1]:
            account, self.people[role] = await account_of(stage, f"{role}@example.com")
            invited = await stage.asgi.state.orgs.invite(self.org, account.email, role, by="owner")
            await stage.asgi.state.orgs.answer(account, invited.id, is_accepted=True)
        # Ann of `Shop` has the tokens that are restricted; she owns the organisation too.
        shop = await Shop(stage).open()
        email = "ann@example.com"
        invited = await stage.asgi.state.orgs.invite(self.org, email, "owner", by="owner")
        account = stage.asgi.state.accounts.find_by_email(email)
        await stage.asgi.state.orgs.answer(account, invited.id, is_accepted=True)
        given = await shop.tokens(scope=" ".join(SCOPES))
        self.people["oauth"] = bearer(given["access_token"])
        _, self.people["all scopes"] = await account_of(stage, email, scopes=SCOPES)
        _, self.people["reads storage"] = await account_of(stage, email, scopes=("storage-read",))
        self.people["nobody"] = {}
        return self

    async def may(self, route: str, who: str | dict[str, str], app_id: str = NOBODY) -> bool:
        method, _, path = route.partition(" ")
        path = path.replace("{app_id}", app_id).replace("{org_id}", self.org)
        path = re.sub(r"\{[^}]+\}", NOBODY, path)
        headers = self.people[who] if isinstance(who, str) else who
        body = None if method == "GET" else {}
        return not is_refused(await self.stage.ask(method, path, body, headers))

    async def make_app(self) -> tuple[str, dict[str, str]]:
        """A new app of the organisation; its id, and headers with its admin token."""
        body = {"title": "shop", "org_id": self.org}
        path = "/superadmin/apps"
        made = (await self.stage.ask("POST", path, body, self.people["owner"])).json()["app"]
        return made["id"], bearer(made["admin-token"])


@pytest.fixture
async def everybody(stage):
    return await Everybody(stage).open()


@pytest.mark.rule("AC126")
async def test_who_may_use_each_route_of_an_app(stage, everybody):
    asked = [each for each in routes(stage, "{app_id}") if each not in ANYBODY]
    assert set(asked) >= APP_ROLES.keys()
    _, other = await everybody.make_app()
    wrong = []
    for route in asked:
        is_whole = WHOLE.fullmatch(route) is not None
        default = "viewer" if route.startswith("GET") else "collaborator"
        needed = APP_ROLES.get(route, default)
        expected = {role: ROLES.index(role) >= ROLES.index(needed) for role in ROLES}
        expected |= {"nobody": False, "stranger": False, "oauth": not is_whole}
        expected |= {"all scopes": not is_whole, "reads storage": False, "other app": False}
        expected["admin token"] = not is_whole and route not in NO_ADMIN_TOKEN
        app_id, token = await everybody.make_app()
        for who, may in expected.items():
            if route.endswith("/restore"):
                app_id, token = await everybody.make_app()
                await stage.apps.hide(app_id)
                if who in ("admin token", "other app"):
                    continue  # it is none while its app is deleted
            caller = {"admin token": token, "other app": other}.get(who, who)
            is_let_through = await everybody.may(route, caller, app_id)
            if is_let_through and not route.startswith("GET"):
                app_id, token = await everybody.make_app()  # it may be another's now, or gone
            if is_let_through is not may:
                wrong.append(f"{route}: {who} {'may not' if may else 'may'}")
    assert wrong == []


@pytest.mark.rule("AC126")
async def test_who_may_use_each_route_of_an_organisation(stage, everybody):
    asked = [each for each in routes(stage, "/{org_id}") if "{app_id}" not in each]
    assert set(asked) == ORG_ROLES.keys()
    wrong = []
    for route in sorted(asked, key=lambda each: ORG_ROLES[each] == "owner"):
        is_whole = "/invite/" in route or "/members/" in route
        needed = ORG_ROLES[route]
        expected = {"nobody": False, "stranger": False, "reads storage": False}
        expected |= {"oauth": not is_whole, "all scopes": not is_whole}
        expected |= {role: ROLES.index(role) >= ROLES.index(needed) for role in ROLES}
        if route.startswith("DELETE /dash/orgs/{org_id}") and needed == "owner":
            # The first one who may ends it.
            expected = {who: may for who, may in expected.items() if not may} | {"owner": True}
        for who, may in expected.items():
            if await everybody.may(route, who) is not may:
                wrong.append(f"{route}: {who} {'may not' if may else 'may'}")
        real, everybody.org = everybody.org, NOBODY
        if await everybody.may(route, "stranger"):
            wrong.append(f"{route}: a stranger is told that an organisation does not exist")
        everybody.org = real
    assert wrong == []


@pytest.mark.rule("AC126")
async def test_who_may_use_each_route_of_an_account(stage, everybody):
    asked = {each for each in routes(stage, "") if not re.search(r"\{(app|org)_id\}", each)}
    assert asked - STRANGERS == ACCOUNT.keys()
    wrong = []
    for route, needed in ACCOUNT.items():
        is_any = needed == "own"
        expected = {
            "nobody": False,
            "owner": True,
            "stranger": True,
            "all scopes": needed != "whole",
            "reads storage": is_any,
            "oauth": needed.startswith("apps-"),
            "admin token": False,
        }
        for who, may in expected.items():
            caller = bearer(stage.token) if who == "admin token" else who
            if route == "POST /dash/signout" and may:
                email = "stranger@example.com"
                scopes = {"all scopes": SCOPES, "reads storage": ("storage-read",)}.get(who)
                _, caller = await account_of(stage, email, scopes=scopes)
            if await everybody.may(route, caller) is not may:
                wrong.append(f"{route}: {who} {'may not' if may else 'may'}")
    assert wrong == []
