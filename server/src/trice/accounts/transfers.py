"""Apps that are handed over: offered to an e-mail address, and taken by its account.

    $appTransfers  {app, email, appAndEmail, by, sender, expiresAt}

    offered ──> accepted: the app is the account's, or its organisation's; other offers are void
       ├──────> declined, or revoked
       └──────> void once the app is not of who offered it any more, or after TRANSFER_MS

`by` is the id of the account or organisation that the app belonged to when it was offered.

source   instant-http §4.3; spec/accounts.md AC120-AC125
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from trice import account_limits, limits
from trice.accounts.accounts import Account
from trice.apps.apps import Apps
from trice.apps.registry import AppRow
from trice.background import Background
from trice.catalog.dates import iso_text
from trice.database import Change, Look
from trice.errors import Conflict, LimitExceeded, NotFound, no_record
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row, find_rows

_TRANSFERS: Final = "$appTransfers"


@dataclass(frozen=True, slots=True)
class Transfer:
    """An offer of an app to an address.

    by       id of the account or organisation that the app belonged to
    sender   address of the account that offered it
    """

    id: str
    app_id: AppId
    email: str
    by: str
    sender: str
    expires_ms: int

    def to_json(self, row: AppRow) -> dict[str, Any]:
        """As the account sees it that may accept it, among its invitations."""
        return {
            "id": self.id,
            "type": "app",
            "title": row.title,
            "app": {"id": row.id, "title": row.title},
            "org": None,
            "invitee_role": "creator",
            "inviter_email": self.sender,
            "expires_at": iso_text(self.expires_ms),
        }


class Transfers:
    """The offers of a server. Holds no rows."""

    def __init__(self, apps: Apps, *, runtime: Runtime) -> None:
        self._apps = apps
        self._platform = apps.platform
        self._runtime = runtime

    def start(self, background: Background) -> None:
        """Begin to delete offers whose time is over."""
        interval_ms = limits.APP_SWEEP_INTERVAL_MS
        background.every("app-transfers", interval_ms, lambda _: self.delete_expired())

    async def send(self, row: AppRow, email: str, *, sender: Account) -> Transfer:
        """Offer an app to an address; offering it again renews the offer.

        raises   Conflict for the address of its own account; LimitExceeded
        """
        by = row.owner or row.org
        if by is None or (row.owner == sender.id and email == sender.email):
            raise Conflict(
                "record-not-unique",
                f"The app belongs to {email} already.",
                {"record-type": "app", "value": email},
            )
        transfer_id, holder = new_key(self._runtime), by

        def work(change: Change) -> Transfer:
            key = f"{row.id}/{email}"
            expires_ms = change.time_ms + account_limits.TRANSFER_MS
            fields: dict[str, Any] = {"by": holder, "sender": sender.email, "expiresAt": expires_ms}
            known = find_row(change, _TRANSFERS, "appAndEmail", key)
            if known is not None:
                change.write(["update", _TRANSFERS, known.fields["id"], fields])
                found = known.fields["id"]
                return Transfer(found, row.id, email, holder, sender.email, expires_ms)
            most = account_limits.TRANSFERS_OF_APP_MAX
            if len(find_rows(change, _TRANSFERS, "app", row.id, count=most)) >= most:
                raise _too_many("An app", most)
            most = account_limits.TRANSFERS_TO_ADDRESS_MAX
            if len(find_rows(change, _TRANSFERS, "email", email, count=most)) >= most:
                raise _too_many("An address", most)
            fields |= {"app": row.id, "email": email, "appAndEmail": key}
            change.write(["create", _TRANSFERS, transfer_id, fields])
            return Transfer(transfer_id, row.id, email, holder, sender.email, expires_ms)

        return await self._platform.change(work)

    async def revoke(self, app_id: AppId, email: str) -> int:
        """Take the offer of an app to an address back; return how many there were."""

        def work(change: Change) -> int:
            row = find_row(change, _TRANSFERS, "appAndEmail", f"{app_id}/{email}")
            if row is None:
                return 0
            change.write(["delete", _TRANSFERS, row.fields["id"]])
            return 1

        return await self._platform.change(work)

    def to(self, email: str) -> list[tuple[Transfer, AppRow]]:
        """The offers to an address that hold, oldest first."""
        most = account_limits.TRANSFERS_TO_ADDRESS_MAX
        rows = self._platform.look_now(
            lambda look: find_rows(look, _TRANSFERS, "email", email, count=most)
        )
        found = ((transfer, self._find_app(transfer)) for transfer in map(_transfer, rows))
        return [(transfer, row) for transfer, row in found if row is not None]

    def find(self, account: Account, transfer_id: str) -> Transfer | None:
        """An offer to an account by its id, whether it holds or not."""

        def work(look: Look) -> Transfer | None:
            row = find_row(look, _TRANSFERS, "id", find_uuid_bytes(transfer_id))
            found = None if row is None else _transfer(row)
            return found if found is not None and found.email == account.email else None

        return self._platform.look_now(work)

    async def accept(self, transfer: Transfer, *, owner: str | None, org: str | None) -> None:
        """Take an app: it belongs to an account or an organisation from then on.

        raises   NotFound when the offer does not hold any more; LimitExceeded when the account or
                 organisation has the most apps
        """
        row = self._find_app(transfer)
        if row is None:
            raise _void()
        most = account_limits.TRANSFERS_OF_APP_MAX

        def also(change: Change, former: str | None) -> None:
            # Another offer may be accepted, or this one taken back, at the same moment.
            offers = find_rows(change, _TRANSFERS, "app", transfer.app_id, count=most)
            if former != transfer.by or transfer.id not in (each.fields["id"] for each in offers):
                raise _void()
            change.write(*(["delete", _TRANSFERS, each.fields["id"]] for each in offers))

        await self._apps.give(row.id, owner, org=org, also=also)

    async def decline(self, transfer: Transfer) -> None:
        """Refuse an offer."""
        await self.revoke(transfer.app_id, transfer.email)

    async def delete_expired(self) -> None:
        """Delete offers whose time is over, EXPIRED_TOKENS_PER_SWEEP at most."""
        options = {
            "where": {"expiresAt": {"$lte": self._runtime.now_ms()}},
            "limit": account_limits.EXPIRED_TOKENS_PER_SWEEP,
            "fields": ["id"],
        }
        found = await self._platform.look(lambda look: look.find({_TRANSFERS: {"$": options}}))
        if found[_TRANSFERS]:
            steps = [["delete", _TRANSFERS, row["id"]] for row in found[_TRANSFERS]]
            await self._platform.change(lambda change: change.write(*steps))

    def _find_app(self, transfer: Transfer) -> AppRow | None:
        """The app of an offer, if that holds."""
        if transfer.expires_ms <= self._runtime.now_ms():
            return None
        try:
            row = self._apps.get_row(transfer.app_id)
        except NotFound:
            return None
        return row if (row.owner or row.org) == transfer.by else None


def _transfer(row: FoundRow) -> Transfer:
    fields = row.fields
    return Transfer(
        id=fields["id"],
        app_id=AppId(fields["app"]),
        email=fields["email"],
        by=fields["by"],
        sender=fields["sender"],
        expires_ms=fields["expiresAt"],
    )


def _void() -> NotFound:
    return no_record("member-invite", "The offer of this app does not hold any more.")


def _too_many(owner: str, most: int) -> LimitExceeded:
    problem = f"{owner} has {most:,} offers that wait, the most there can be."
    return LimitExceeded("parameter-limit-exceeded", problem)
