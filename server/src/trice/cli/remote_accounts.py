"""`trice tokens`, `orgs`, `members`: an account, and the organisations it shares apps in.

Exit codes: 0 done · 1 not · 2 wrong usage
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from trice.cli.options import option
from trice.cli.remote import Remote, in_path, json_option, on_server, yes_option
from trice.cli.terminal import confirm, note, print_json, print_table, printable, say

_SCOPES: Final = (
    *("apps-read", "apps-write", "data-read", "data-write", "storage-read", "storage-write"),
)
_ROLES: Final = ("viewer", "collaborator", "admin", "owner")
_org: Final[Callable[..., Any]] = option(
    "--org", "org_id", envvar="TRICE_ORG", required=True, help="The id of the organisation."
)


# --- tokens ---------------------------------------------------------------------------------------


@click.group("tokens")
def tokens() -> None:
    """Make, list and revoke access tokens of your account, for programs.

    Example: trice tokens create ci --scope apps-write --days 30
    """


@tokens.command("list")
@json_option
@on_server
def list_tokens(*, remote: Remote, is_json: bool) -> None:
    """List your access tokens; the tokens themselves are not shown again.

    Example: trice tokens list
    """
    found = remote.get("/dash/personal_access_tokens")["data"]
    if is_json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "scopes": " ".join(each.get("scopes") or ("all",)),
            "expires_at": each.get("expires_at") or "never",
        }
        for each in found
    ]
    columns = {"id": "id", "name": "name", "scopes": "scopes", "created_at": "created"}
    print_table(rows, {**columns, "expires_at": "expires"}, none="You have no access tokens.")


@tokens.command("create")
@click.argument("name")
@option("--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), help="Only for this.")
@option("--days", type=click.IntRange(1), help="How long it works; else until it is revoked.")
@json_option
@on_server
def create_token(
    *, remote: Remote, name: str, scopes: tuple[str, ...], days: int | None, is_json: bool
) -> None:
    """Make an access token and print it, this once.

    Example: trice tokens create ci --scope apps-write --days 30
    """
    body = {"name": name, "scopes": list(scopes) or None, "days": days}
    made = remote.post("/dash/personal_access_tokens", body)["data"]
    if is_json:
        print_json(made)
    else:
        say(printable(made["token"]))


@tokens.command("revoke")
@click.argument("token_id")
@yes_option
@on_server
def revoke_token(*, remote: Remote, token_id: str, is_agreed: bool) -> None:
    """End a token: programs that use it stop working.

    Example: trice tokens revoke 7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11
    """
    confirm(f"Programs that use {printable(token_id)} stop working. Go on?", is_agreed=is_agreed)
    remote.delete(f"/dash/personal_access_tokens/{in_path(token_id)}")
    note("It works no more.")


# --- organisations --------------------------------------------------------------------------------


@click.group("orgs")
def orgs() -> None:
    """List and make organisations, which share apps.

    Example: trice orgs create 'The bakers'
    """


@orgs.command("list")
@json_option
@on_server
def list_orgs(*, remote: Remote, is_json: bool) -> None:
    """List your organisations, and what you are in them.

    Example: trice orgs list
    """
    found = remote.get("/superadmin/orgs")["orgs"]
    if is_json:
        print_json(found)
    else:
        columns = {"id": "id", "title": "title", "role": "role"}
        print_table(found, columns, none="You are in no organisation.")


@orgs.command("create")
@click.argument("title")
@json_option
@on_server
def create_org(*, remote: Remote, title: str, is_json: bool) -> None:
    """Make an organisation, which you own, and print its id.

    Example: trice orgs create 'The bakers'
    """
    made = remote.post("/dash/orgs", {"title": title})["org"]
    if is_json:
        print_json(made)
    else:
        say(printable(made["id"]))


@click.group("members")
def members() -> None:
    """List, invite, change and remove the members of an organisation.

    Example: trice members invite bob@example.com --role collaborator --org $ORG
    """


@members.command("list")
@_org
@json_option
@on_server
def list_members(*, remote: Remote, org_id: str, is_json: bool) -> None:
    """List members, and who is invited.

    Example: trice members list --org $ORG
    """
    found = remote.get(f"/dash/orgs/{in_path(org_id)}")
    rows = [
        *({**each, "status": "member"} for each in found["members"]),
        *({**each, "status": "invited"} for each in found["invites"]),
    ]
    if is_json:
        print_json(rows)
    else:
        columns = {"email": "email", "role": "role", "status": "status", "created_at": "since"}
        print_table(rows, columns, none="It has no members.")


@members.command("invite")
@click.argument("email")
@option(
    "--role",
    type=click.Choice(_ROLES),
    default="collaborator",
    show_default=True,
    help="What the member may do.",
)
@_org
@on_server
def invite(*, remote: Remote, email: str, role: str, org_id: str) -> None:
    """Invite somebody, who accepts at /dash of the server.

    Example: trice members invite bob@example.com --role admin --org $ORG
    """
    body = {"invitee-email": email, "role": role}
    remote.post(f"/dash/orgs/{in_path(org_id)}/invite/send", body)
    note(f"{printable(email)} is invited as {role}.")


@members.command("role")
@click.argument("email")
@click.argument("role", type=click.Choice(_ROLES))
@_org
@on_server
def change_role(*, remote: Remote, email: str, role: str, org_id: str) -> None:
    """Give a member another role.

    Example: trice members role bob@example.com admin --org $ORG
    """
    member, _ = _find_member(remote, org_id, email, has_invites=False)
    body = {"id": member["id"], "role": role}
    remote.post(f"/dash/orgs/{in_path(org_id)}/members/update", body)
    note(f"{printable(email)} is {role} now.")


@members.command("remove")
@click.argument("email")
@yes_option
@_org
@on_server
def remove(*, remote: Remote, email: str, is_agreed: bool, org_id: str) -> None:
    """Remove a member, or take an invitation back.

    Example: trice members remove bob@example.com --org $ORG
    """
    member, is_invite = _find_member(remote, org_id, email, has_invites=True)
    confirm(f"Remove {printable(member['email'])}?", is_agreed=is_agreed)
    path = f"/dash/orgs/{in_path(org_id)}"
    if is_invite:
        remote.delete(f"{path}/invite/revoke", {"invite-id": member["id"]})
    else:
        remote.delete(f"{path}/members/remove", {"id": member["id"]})
    note(f"{printable(member['email'])} is removed.")


def _find_member(
    remote: Remote, org_id: str, email: str, *, has_invites: bool
) -> tuple[dict[str, Any], bool]:
    """A member, or an invitation, and whether it is one. raises   ClickException"""
    found = remote.get(f"/dash/orgs/{in_path(org_id)}")
    for kind in ("members", "invites") if has_invites else ("members",):
        for each in found[kind]:
            if each["email"].lower() == email.strip().lower():
                return each, kind == "invites"
    raise click.ClickException(f"{printable(email)} is no member of this organisation.")
