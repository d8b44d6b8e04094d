"""What the operator does with accounts and apps: by a command on the data directory.

While no server has the directory, the command does it itself. Else it asks the server, which alone
writes its databases: it finds the server's URL and a secret of this start in `operator.json`, which
only the user that runs the server may read.

source   spec/accounts.md AC60-AC66
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from trice import account_limits
from trice.accounts.accounts import SCOPES, Account, Accounts
from trice.accounts.orgs import Orgs
from trice.accounts.passwords import AccountPasswords
from trice.apps.apps import Apps
from trice.apps.quotas import APP_QUOTAS
from trice.auth.emails import find_email
from trice.catalog.dates import iso_text
from trice.errors import Conflict, InvalidInput, invalid
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.runtime import Runtime

Wish = Mapping[str, Any]
"""A wish of the operator: `{"do": name, …}`, decoded JSON."""

_DAY_MS: Final = 24 * 3600 * 1000
_SECRET_BYTES: Final = 32


class Operator:
    """Carries out wishes. `secret` proves that a wish comes from the operator."""

    def __init__(
        self,
        accounts: Accounts,
        orgs: Orgs,
        passwords: AccountPasswords,
        apps: Apps,
        *,
        runtime: Runtime,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._orgs = orgs
        self._apps = apps
        self.secret = runtime.random_bytes(_SECRET_BYTES).hex()
        self._does: dict[str, Callable[[Wish], Awaitable[dict[str, Any]]]] = {
            "create-account": self._create_account,
            "list-accounts": self._list_accounts,
            "remove-account": self._remove_account,
            "create-token": self._create_token,
            "list-tokens": self._list_tokens,
            "revoke-token": self._revoke_token,
            "set-password": self._set_password,
            "give-app": self._give_app,
            "restore-app": self._restore_app,
            "app-quota": self._app_quota,
            "account-quota": self._account_quota,
        }

    def is_secret(self, given: str) -> bool:
        """Whether a text is the secret; compared in constant time."""
        return hmac.compare_digest(given.encode(errors="replace"), self.secret.encode())

    async def carry_out(self, wish: Wish) -> dict[str, Any]:
        """Do it; the answer is JSON. raises   InvalidInput, NotFound, Conflict, LimitExceeded"""
        do = self._does.get(str(wish.get("do")))
        if do is None:
            raise _wrong("do", f"There is {', '.join(self._does)}.")
        return await do(wish)

    async def _create_account(self, wish: Wish) -> dict[str, Any]:
        account = await self._accounts.create(_email(wish, "email"))
        answer: dict[str, Any] = {"account": account.to_json()}
        if wish.get("token") is not None:
            answer |= await self._make_token(account, wish["token"])
        return answer

    async def _list_accounts(self, _wish: Wish) -> dict[str, Any]:
        told = []
        for account in await self._accounts.all():
            apps = len(await self._apps.apps_of(account.id))
            tokens = len(self._accounts.tokens(account))
            told.append({**account.to_json(), "apps": apps, "tokens": tokens})
        return {"accounts": told}

    async def _remove_account(self, wish: Wish) -> dict[str, Any]:
        account = self._accounts.get_by_email(_email(wish, "email"))
        apps = await self._apps.apps_of(account.id)
        hidden = await self._apps.apps_of(account.id, is_deleted=True)
        heir = None
        if wish.get("give_apps_to") is not None:
            heir = self._accounts.get_by_email(_email(wish, "give_apps_to"))
            if heir.id == account.id:
                raise _wrong("give_apps_to", "The apps must go to another account.")
        elif apps:
            titles = ", ".join(row.title for row in apps[:5]) + (", …" if len(apps) > 5 else "")
            raise Conflict(
                "record-not-unique",
                f"{account.email} has {len(apps)} apps ({titles}). Say who gets them"
                " (--give-apps-to EMAIL), or delete them first.",
                {"record-type": "app"},
            )
        await self._orgs.leave_all(account)
        if heir is not None:
            for row in apps:
                await self._apps.give(row.id, heir.id)
            for row in hidden:
                await self._apps.give_hidden(row.id, heir.id)
        await self._accounts.remove(account)
        return {"account": account.to_json(), "apps": len(apps)}

    async def _create_token(self, wish: Wish) -> dict[str, Any]:
        account = self._accounts.get_by_email(_email(wish, "email"))
        return await self._make_token(account, wish.get("token"))

    async def _list_tokens(self, wish: Wish) -> dict[str, Any]:
        account = self._accounts.get_by_email(_email(wish, "email"))
        tokens = self._accounts.tokens(account)
        return {"tokens": [{**token.to_json(), "kind": token.kind} for token in tokens]}

    async def _revoke_token(self, wish: Wish) -> dict[str, Any]:
        account = self._accounts.get_by_email(_email(wish, "email"))
        token_id = wish.get("id")
        if not isinstance(token_id, str) or find_uuid_bytes(token_id) is None:
            raise _wrong("id", "The id of a token is a uuid, as `tokens list` shows it.")
        await self._accounts.revoke(account, token_id.lower())
        return {}

    async def _set_password(self, wish: Wish) -> dict[str, Any]:
        account = self._accounts.get_by_email(_email(wish, "email"))
        password = wish.get("password")
        if password is not None and not isinstance(password, str):
            raise _wrong("password", "It must be a string, or null for none.")
        await self._passwords.set(account, password)
        return {}

    async def _give_app(self, wish: Wish) -> dict[str, Any]:
        account = self._accounts.get_by_email(_email(wish, "email"))
        app_id = _app_id(wish)
        row = self._apps.get_row(app_id)
        await self._apps.give(app_id, account.id)
        return {"app": {"id": row.id, "title": row.title}}

    async def _restore_app(self, wish: Wish) -> dict[str, Any]:
        row = await self._apps.restore(_app_id(wish))
        return {"app": {"id": row.id, "title": row.title, "created_at": iso_text(row.created_ms)}}

    async def _app_quota(self, wish: Wish) -> dict[str, Any]:
        """`{"id", "quotas": {name: number | "unlimited" | null}}` → those of the app itself, and
        what is in force; with nothing to set, as it is."""
        app_id = _app_id(wish)
        await self._apps.set_quotas(app_id, wish.get("quotas"))
        row = self._apps.get_row(app_id)
        allowed = self._apps.allowances.of(row)
        return {
            "app": {"id": row.id, "title": row.title},
            "quotas": row.quotas.to_json(),
            "allowed": {
                name: {"allowed": allowed.find(name), "set_by": allowed.set_by.get(name)}
                for name in APP_QUOTAS
            },
        }

    async def _account_quota(self, wish: Wish) -> dict[str, Any]:
        """`{"email" | "org", "quotas"}` → what holds for each app of the account."""
        if wish.get("org") is not None:
            org_id = wish["org"]
            if not isinstance(org_id, str) or find_uuid_bytes(org_id) is None:
                raise _wrong("org", "The id of an organisation is a uuid.")
            org = self._orgs.get(org_id.lower())
            made = await self._apps.set_holder_quotas("org", org.id, wish.get("quotas"))
        else:
            account = self._accounts.get_by_email(_email(wish, "email"))
            made = await self._apps.set_holder_quotas("owner", account.id, wish.get("quotas"))
        return {"quotas": made.to_json()}

    async def _make_token(self, account: Account, given: Any) -> dict[str, Any]:
        name, scopes, life_ms = token_wish(given)
        token, secret = await self._accounts.make_token(
            account, name=name, scopes=scopes, life_ms=life_ms
        )
        return {"token": {**token.to_json(), "token": secret}}


def token_wish(given: Any) -> tuple[str, tuple[str, ...] | None, int | None]:
    """Read what a personal token shall be: `{"name", "scopes"?: [text], "days"?: int}`.

    returns   its name, scopes and life in ms
    raises    InvalidInput
    """
    if not isinstance(given, dict):
        raise _wrong("token", "It must be an object with `name`.")
    name, scopes, days = given.get("name"), given.get("scopes"), given.get("days")
    most = account_limits.TOKEN_NAME_CHARS_MAX
    if not isinstance(name, str) or not name.strip() or len(name) > most or "\0" in name:
        raise _wrong("name", f"A name has 1 to {most} characters, and no U+0000.")
    if not name.isascii() and name != name.encode(errors="ignore").decode():
        raise _wrong("name", "It holds half of a surrogate pair.")
    if scopes is not None and (
        not isinstance(scopes, list) or not scopes or any(each not in SCOPES for each in scopes)
    ):
        raise _wrong("scopes", f"Scopes are some of {', '.join(SCOPES)}.")
    longest = account_limits.TOKEN_DAYS_MAX
    if days is not None and (type(days) is not int or not 1 <= days <= longest):
        raise _wrong("days", f"A token lasts 1 to {longest} whole days, or has none given.")
    kept = None if scopes is None else tuple(each for each in SCOPES if each in scopes)
    return name.strip(), kept, None if days is None else days * _DAY_MS


def write_door(data_dir: Path, *, url: str, secret: str) -> None:
    """Tell commands on this data directory how to ask its server."""
    path = door_of(data_dir)
    made = path.with_suffix(".new")
    made.write_bytes(orjson.dumps({"url": url, "secret": secret}))
    made.chmod(0o600)
    os.replace(made, path)


def door_of(data_dir: Path) -> Path:
    """The file in which a running server says how to ask it."""
    return data_dir / "operator.json"


def _email(wish: Wish, key: str) -> str:
    email = find_email(wish.get(key))
    if email is None:
        raise _wrong(key, "It must be an e-mail address such as you@here.com.")
    return email


def _app_id(wish: Wish) -> AppId:
    app_id = wish.get("id")
    if not isinstance(app_id, str) or find_uuid_bytes(app_id) is None:
        raise _wrong("id", "The id of an app is a uuid.")
    return AppId(app_id.lower())


def _wrong(key: str, problem: str) -> InvalidInput:
    return invalid(key, None, [{"message": problem, "in": [key]}])
