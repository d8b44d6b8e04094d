"""Organisations: accounts that share apps, each with a role.

    $orgs        {title}
    $orgMembers  {org, email, role, isInvite}     one row a member or invitation

    invited ──> member     by the person        viewer < collaborator < admin < owner
       └──────> gone

A member is an e-mail address, so that somebody can be invited before having an account.

source   instant-http §0.11, §4.3, §5.3; spec/accounts.md AC70-AC77
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from trice import account_limits
from trice.accounts.accounts import Account
from trice.apps.registry import AppRow
from trice.catalog.dates import iso_text
from trice.database import Change, Database, Look
from trice.errors import Conflict, LimitExceeded, PermissionDenied, invalid, no_record
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row, find_rows

Role = Literal["viewer", "collaborator", "admin", "owner"]

ROLES: Final[tuple[Role, ...]] = ("viewer", "collaborator", "admin", "owner")
"""Roles, from the weakest: read; change; manage apps and members; everything."""

_ORGS: Final = "$orgs"
_MEMBERS: Final = "$orgMembers"


@dataclass(frozen=True, slots=True)
class Org:
    """An organisation."""

    id: str
    title: str
    created_ms: int

    def to_json(self, role: Role) -> dict[str, Any]:
        """As its member sees it."""
        made = iso_text(self.created_ms)
        return {
            "id": self.id,
            "title": self.title,
            "role": role,
            "created_at": made,
            "updated_at": made,
            "paid": False,
        }


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an organisation, or somebody who is invited."""

    id: str
    org_id: str
    email: str
    role: Role
    is_invite: bool
    created_ms: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "email": self.email,
            "role": self.role,
            "created_at": iso_text(self.created_ms),
        }


def check_role(has: Role | None, needed: Role) -> Role:
    """Refuse a role that is missing or too weak; return the role (instant-http §0.11).

    raises   InvalidInput("validation-failed", data-type "user-role"), PermissionDenied
    """
    if has is None:
        problem = f"User is missing role {needed}. The app or organisation is of others."
        raise invalid("user-role", None, [{"message": problem}], message=problem)
    if ROLES.index(has) < ROLES.index(needed):
        problem = f"Permission denied: not allowed-member-role?. You are {has}; it takes {needed}."
        hint = {"input": has, "expected": "allowed-member-role?"}
        raise PermissionDenied("permission-denied", problem, hint)
    return has


class Orgs:
    """The organisations of a server. Holds the platform's database, and no rows of it."""

    def __init__(self, platform: Database, *, runtime: Runtime) -> None:
        self._platform = platform
        self._runtime = runtime

    async def create(self, account: Account, title: str) -> Org:
        """Make an organisation, of which the account is the owner. raises   LimitExceeded"""
        org_id, member_id = new_key(self._runtime), new_key(self._runtime)

        def work(change: Change) -> Org:
            _check_account_room(change, account.email)
            change.write(["create", _ORGS, org_id, {"title": title}])
            _write_member(change, member_id, org_id, account.email, "owner", is_invite=False)
            return Org(org_id, title, change.time_ms)

        return await self._platform.change(work)

    def get(self, org_id: str) -> Org:
        """The organisation with this id; raises NotFound."""
        return self._platform.look_now(lambda look: _get(look, org_id))

    def find_role(self, org_id: str, account: Account) -> Role | None:
        """The role of an account in an organisation; 10 µs."""

        def work(look: Look) -> Role | None:
            row = _find_member(look, org_id, account.email)
            return None if row is None or row.is_invite else row.role

        return self._platform.look_now(work)

    def role_in(self, row: AppRow, account: Account) -> Role | None:
        """The role of an account in an app: it owns it, or is a member of its organisation."""
        if row.owner == account.id:
            return "owner"
        return None if row.org is None else self.find_role(row.org, account)

    def of(self, account: Account) -> list[tuple[Org, Role]]:
        """The organisations of an account, with its roles, oldest first."""

        def work(look: Look) -> list[tuple[Org, Role]]:
            rows = _memberships(look, account.email)
            return [(_get(look, row.org_id), row.role) for row in rows if not row.is_invite]

        return self._platform.look_now(work)

    def invites_of(self, account: Account) -> list[tuple[Org, Member]]:
        """The invitations of an account."""

        def work(look: Look) -> list[tuple[Org, Member]]:
            rows = _memberships(look, account.email)
            return [(_get(look, row.org_id), row) for row in rows if row.is_invite]

        return self._platform.look_now(work)

    def has_invite(self, email: str) -> bool:
        """Whether an address is invited anywhere."""
        members = self._platform.look_now(lambda look: _memberships(look, email))
        return any(member.is_invite for member in members)

    def members(self, org_id: str) -> list[Member]:
        """Members and invitations, oldest first."""
        return self._platform.look_now(lambda look: _members(look, org_id))

    async def rename(self, org_id: str, title: str) -> Org:
        """Give an organisation another title; raises NotFound."""

        def work(change: Change) -> Org:
            org = _get(change, org_id)
            change.write(["update", _ORGS, org_id, {"title": title}])
            return Org(org_id, title, org.created_ms)

        return await self._platform.change(work)

    async def delete(self, org_id: str) -> None:
        """Delete an organisation without apps; raises NotFound, Conflict."""

        def work(change: Change) -> None:
            _get(change, org_id)
            options = {"where": {"org": org_id}, "fields": ["id"], "limit": 1}
            if change.find({"$apps": {"$": options}})["$apps"]:
                raise Conflict(
                    "record-not-unique",
                    "The organisation has apps. Hand them to somebody, or delete them and wait"
                    " until they are gone.",
                    {"record-type": "app"},
                )
            for member in _members(change, org_id):
                change.write(["delete", _MEMBERS, member.id])
            change.write(["delete", _ORGS, org_id])

        await self._platform.change(work)

    async def invite(self, org_id: str, email: str, role: Role, *, by: Role) -> Member:
        """Invite an address; inviting again changes the role of the invitation.

        by       role of who invites, which may not be weaker than the invitation's
        raises   NotFound, Conflict for members, LimitExceeded, PermissionDenied
        """
        check_role(by, role)
        member_id = new_key(self._runtime)

        def work(change: Change) -> Member:
            _get(change, org_id)
            known = _find_member(change, org_id, email)
            if known is not None and not known.is_invite:
                raise Conflict(
                    "record-not-unique",
                    f"{email} is a member already.",
                    {"record-type": "org-member", "value": email},
                )
            if known is not None:
                check_role(by, known.role)
                change.write(["update", _MEMBERS, known.id, {"role": role}])
                return Member(known.id, org_id, email, role, True, known.created_ms)
            if len(_members(change, org_id)) >= account_limits.ORG_MEMBERS_MAX:
                raise _too_many("An organisation", "members", account_limits.ORG_MEMBERS_MAX)
            _check_account_room(change, email)
            _write_member(change, member_id, org_id, email, role, is_invite=True)
            return Member(member_id, org_id, email, role, True, change.time_ms)

        return await self._platform.change(work)

    async def answer(self, account: Account, invite_id: str, *, is_accepted: bool) -> None:
        """Accept an invitation of the account, or decline it; raises NotFound."""

        def work(change: Change) -> None:
            row = find_row(change, _MEMBERS, "id", find_uuid_bytes(invite_id))
            member = None if row is None else _member(row)
            if member is None or not member.is_invite or member.email != account.email:
                raise no_record("member-invite", "This account has no such invitation.")
            if is_accepted:
                change.write(["update", _MEMBERS, member.id, {"isInvite": False}])
            else:
                change.write(["delete", _MEMBERS, member.id])

        await self._platform.change(work)

    async def change_member(
        self, org_id: str, member_id: str, role: Role | None, *, by: Role
    ) -> None:
        """Give a member, or an invitation, another role, or with None end it.

        by       role of who does it: no weaker than the member's, now and then
        raises   NotFound, PermissionDenied, Conflict for the last owner
        """

        def work(change: Change) -> None:
            row = find_row(change, _MEMBERS, "id", find_uuid_bytes(member_id))
            member = None if row is None else _member(row)
            if member is None or member.org_id != org_id:
                raise no_record("org-member", "The organisation has no such member.")
            check_role(by, member.role)
            if role is not None:
                check_role(by, role)
            if member.role == "owner" and role != "owner" and not member.is_invite:
                _check_other_owner(change, member)
            if role is None:
                change.write(["delete", _MEMBERS, member.id])
            else:
                change.write(["update", _MEMBERS, member.id, {"role": role}])

        await self._platform.change(work)

    async def leave_all(self, account: Account) -> None:
        """End all memberships of an account that is removed; raises Conflict for a last owner."""

        def work(change: Change) -> None:
            for member in _memberships(change, account.email):
                if member.role == "owner" and not member.is_invite:
                    _check_other_owner(change, member)
                change.write(["delete", _MEMBERS, member.id])

        await self._platform.change(work)


def _get(look: Look, org_id: str) -> Org:
    row = find_row(look, _ORGS, "id", find_uuid_bytes(org_id))
    if row is None:
        raise no_record("org", "There is no organisation with this id.")
    return Org(row.fields["id"], row.fields["title"], row.created_ms)


def _find_member(look: Look, org_id: str, email: str) -> Member | None:
    row = find_row(look, _MEMBERS, "orgAndEmail", f"{org_id}/{email}")
    return None if row is None else _member(row)


def _members(look: Look, org_id: str) -> list[Member]:
    rows = find_rows(look, _MEMBERS, "org", org_id, count=account_limits.ORG_MEMBERS_MAX)
    return [_member(row) for row in rows]


def _memberships(look: Look, email: str) -> list[Member]:
    most = account_limits.ORGS_OF_ACCOUNT_MAX
    return [_member(row) for row in find_rows(look, _MEMBERS, "email", email, count=most)]


def _member(row: FoundRow) -> Member:
    fields = row.fields
    return Member(
        id=fields["id"],
        org_id=fields["org"],
        email=fields["email"],
        role=cast(Role, fields["role"]),
        is_invite=fields["isInvite"],
        created_ms=row.created_ms,
    )


def _write_member(
    change: Change, member_id: str, org_id: str, email: str, role: Role, *, is_invite: bool
) -> None:
    fields = {
        "org": org_id,
        "email": email,
        "orgAndEmail": f"{org_id}/{email}",
        "role": role,
        "isInvite": is_invite,
    }
    change.write(["create", _MEMBERS, member_id, fields])


def _check_other_owner(change: Change, member: Member) -> None:
    others = (each for each in _members(change, member.org_id) if each.id != member.id)
    if not any(each.role == "owner" and not each.is_invite for each in others):
        raise Conflict(
            "record-not-unique",
            f"{member.email} is the last owner of an organisation. Make another member its owner"
            " first, or delete it.",
            {"record-type": "org-member"},
        )


def _check_account_room(change: Change, email: str) -> None:
    if len(_memberships(change, email)) >= account_limits.ORGS_OF_ACCOUNT_MAX:
        most = account_limits.ORGS_OF_ACCOUNT_MAX
        raise _too_many("An account", "organisations and invitations", most)


def _too_many(owner: str, what: str, most: int) -> LimitExceeded:
    return LimitExceeded(
        "parameter-limit-exceeded", f"{owner} has {most:,} {what}, the most there can be."
    )
