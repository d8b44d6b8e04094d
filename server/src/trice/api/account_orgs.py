"""Organisations over HTTP: members with roles, invitations, and the apps they share.

source   instant-http §4.3, §5.3, §5.11; spec/accounts.md AC70-AC77
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice.accounts.accounts import Credential
from trice.accounts.orgs import ROLES, Org, Role, check_role
from trice.accounts.sign_in import count_invite, send_invite
from trice.accounts.transfers import Transfers
from trice.api.account_apps import dash_rows, list_rows
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import account_caller, check_access, orgs_of, throttle_of
from trice.api.middleware import json_response
from trice.api.parameters import email_in, find_uuid_in, malformed, uuid_in
from trice.api.platform import title_in
from trice.apps.apps import Apps
from trice.background import Background
from trice.protocol.ids import AppId


async def list_orgs(request: Request) -> Response:
    """`GET /superadmin/orgs` → `{"orgs": [{"id", "title", "role", "created_at", …}]}`."""
    account = account_caller(request, "apps-read").account
    return json_response(
        {"orgs": [org.to_json(role) for org, role in orgs_of(request).of(account)]}
    )


async def list_apps(request: Request) -> Response:
    """`GET /superadmin/orgs/:org_id/apps?include=…` → `{"apps"}`, as those of an account."""
    org, _, _ = _member_of(request, "viewer", "apps-read")
    return await list_rows(request, await _apps(request).apps_of(org.id, of="org"))


async def get_org(request: Request) -> Response:
    """`GET /dash/orgs/:org_id` → `{"org", "apps", "members", "invites"}`."""
    org, role, credential = _member_of(request, "viewer", "apps-read")
    rows = await _apps(request).apps_of(org.id, of="org")
    everybody = orgs_of(request).members(org.id)
    return json_response(
        {
            "org": org.to_json(role),
            "apps": await dash_rows(request, rows, credential, role),
            "members": [each.to_json() for each in everybody if not each.is_invite],
            "invites": [each.to_json() for each in everybody if each.is_invite],
        }
    )


async def create_org(request: Request) -> Response:
    """`POST /dash/orgs {"title"}` → `{"org"}`, of which the account is the owner."""
    account = account_caller(request, "apps-write").account
    org = await orgs_of(request).create(account, title_in(await json_body(request)))
    return json_response({"org": org.to_json("owner")})


async def rename_org(request: Request) -> Response:
    """`POST /dash/orgs/:org_id/rename {"title"}` → `{"org"}`."""
    org, role, _ = _member_of(request, "admin", "apps-write")
    renamed = await orgs_of(request).rename(org.id, title_in(await json_body(request)))
    return json_response({"org": renamed.to_json(role)})


async def delete_org(request: Request) -> Response:
    """`DELETE /dash/orgs/:org_id` → `{"ok": true}`; only without apps."""
    org, _, _ = _member_of(request, "owner", "apps-write")
    await orgs_of(request).delete(org.id)
    return json_response({"ok": True})


async def invite(request: Request) -> Response:
    """`POST /dash/orgs/:org_id/invite/send {"invitee-email", "role"}` → `{"id"}`; an e-mail tells
    the person."""
    org, role, credential = _member_of(request, "admin", None)
    body = await json_body(request)
    email, wanted = email_in(body, "invitee-email"), _role_in(body)
    state, by = request.app.state, credential.account
    count_invite(throttle_of(request), email, by=by)
    made = await orgs_of(request).invite(org.id, email, wanted, by=role)
    # What a request says of its host is no address to send people to.
    url = None if state.settings.public_url is None else f"{state.settings.public_url}/dash"
    background: Background = state.background
    background.begin(send_invite(state.mail, org, email, by=by, url=url))
    return json_response({"id": made.id})


async def revoke_invite(request: Request) -> Response:
    """`DELETE /dash/orgs/:org_id/invite/revoke {"invite-id"}` → `{}`."""
    return await _end_membership(request, "invite-id")


async def remove_member(request: Request) -> Response:
    """`DELETE /dash/orgs/:org_id/members/remove {"id"}` → `{}`."""
    return await _end_membership(request, "id")


async def _end_membership(request: Request, key: str) -> Response:
    org, role, _ = _member_of(request, "admin", None)
    member_id = uuid_in(await json_body(request), key)
    await orgs_of(request).change_member(org.id, member_id, None, by=role)
    return json_response({})


async def update_member(request: Request) -> Response:
    """`POST /dash/orgs/:org_id/members/update {"id", "role"}` → `{}`."""
    org, role, _ = _member_of(request, "admin", None)
    body = await json_body(request)
    member_id, wanted = uuid_in(body, "id"), _role_in(body)
    await orgs_of(request).change_member(org.id, member_id, wanted, by=role)
    return json_response({})


async def accept_invite(request: Request) -> Response:
    """`POST /dash/invites/accept {"invite-id", "org_id"?}` → `{}`. An app that is offered becomes
    one of the account, or with `org_id` of an organisation that it administers."""
    account = account_caller(request).whole().account
    body = await json_body(request)
    invite_id, org_id = uuid_in(body, "invite-id"), find_uuid_in(body, "org_id")
    transfers = _transfers(request)
    offered = transfers.find(account, invite_id)
    if offered is None:
        await orgs_of(request).answer(account, invite_id, is_accepted=True)
        return json_response({})
    if org_id is not None:
        check_role(orgs_of(request).find_role(org_id, account), "admin")
    owner = account.id if org_id is None else None
    await transfers.accept(offered, owner=owner, org=org_id)
    return json_response({})


async def decline_invite(request: Request) -> Response:
    """`POST /dash/invites/decline {"invite-id"}` → `{}`, also for an app that is offered."""
    account = account_caller(request).whole().account
    invite_id = uuid_in(await json_body(request), "invite-id")
    offered = _transfers(request).find(account, invite_id)
    if offered is None:
        await orgs_of(request).answer(account, invite_id, is_accepted=False)
    else:
        await _transfers(request).decline(offered)
    return json_response({})


async def transfer_app(request: Request) -> Response:
    """`POST /dash/apps/:app_id/transfer_to_org/:org_id` → `{}`: the owner of an app hands it to an
    organisation that it administers."""
    org, _, credential = _member_of(request, "admin", None)
    app_id = AppId(uuid_in(request.path_params, "app_id", place="params"))
    check_access(request, _apps(request).get_row(app_id), credential, role="owner")
    await _apps(request).give(app_id, org=org.id)
    return json_response({})


def _member_of(request: Request, needed: Role, scope: str | None) -> tuple[Org, Role, Credential]:
    """The organisation in the path, and the caller's role in it.

    scope    what the token must be for; None: a token for everything, as members are changed
    raises   as `check_role` for somebody who is no member, also of one that does not exist
    """
    credential = account_caller(request, scope)
    if scope is None:
        credential.whole()
    org_id = uuid_in(request.path_params, "org_id", place="params")
    orgs = orgs_of(request)
    role = check_role(orgs.find_role(org_id, credential.account), needed)
    return orgs.get(org_id), role, credential


def _role_in(body: dict[str, Any]) -> Role:
    for role in ROLES:
        if body.get("role") == role:
            return role
    given = body.get("role")
    raise malformed("body", "role", given=given, accepted=f"one of {', '.join(ROLES)}")


def _transfers(request: Request) -> Transfers:
    transfers: Transfers = request.app.state.transfers
    return transfers


def _apps(request: Request) -> Apps:
    apps: Apps = request.app.state.apps
    return apps


_ORG: Final = "/dash/orgs/{org_id}"

ROUTES: Final = (
    Route("/superadmin/orgs", list_orgs, methods=["GET"]),
    Route("/superadmin/orgs/{org_id}/apps", list_apps, methods=["GET"]),
    Route("/dash/orgs", create_org, methods=["POST"], body=JSON),
    Route(_ORG, get_org, methods=["GET"]),
    Route(_ORG, delete_org, methods=["DELETE"]),
    Route(f"{_ORG}/rename", rename_org, methods=["POST"], body=JSON),
    Route(f"{_ORG}/invite/send", invite, methods=["POST"], body=JSON),
    Route(f"{_ORG}/invite/revoke", revoke_invite, methods=["DELETE"], body=JSON),
    Route(f"{_ORG}/members/remove", remove_member, methods=["DELETE"], body=JSON),
    Route(f"{_ORG}/members/update", update_member, methods=["POST"], body=JSON),
    Route("/dash/invites/accept", accept_invite, methods=["POST"], body=JSON),
    Route("/dash/invites/decline", decline_invite, methods=["POST"], body=JSON),
    Route("/dash/apps/{app_id}/transfer_to_org/{org_id}", transfer_app, methods=["POST"]),
)
