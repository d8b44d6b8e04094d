"""Accounts of people and programs that make apps here, and the tokens that prove them.

    $accounts       {email, createdAt, passwordHash?}
    $accountTokens  {account, tokenHash, kind, name, scopes?, expiresAt?}

Both are rows of the platform's database. A token is kept as its hash only, and looked up by it, so
the time that takes tells nothing about the tokens that exist. A look-up takes two reads of 10 µs.

source   instant-http §0.5, §4.1, §4.10, §5.2; spec/accounts.md AC1-AC16
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

from trice import account_limits, limits
from trice.auth.emails import find_email
from trice.background import Background
from trice.catalog.dates import iso_text
from trice.database import Change, Database, Look
from trice.errors import Conflict, LimitExceeded, NotFound, PermissionDenied, no_record
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import Runtime, new_uuid
from trice.system_rows import FoundRow, find_row, find_rows

Kind = Literal["personal", "session", "oauth"]

SCOPES: Final = (
    *("apps-read", "apps-write", "data-read", "data-write", "storage-read", "storage-write"),
)
"""What a token may be restricted to; a `-write` includes its `-read`."""

_ACCOUNTS: Final = "$accounts"
_TOKENS: Final = "$accountTokens"
_OAUTH_TOKENS: Final = "$oauthTokens"
_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may have apps."""

    id: str
    email: str
    created_ms: int

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "email": self.email, "created_at": iso_text(self.created_ms)}


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its account may see it; the token itself is known to its holder alone.

    kind        personal: made by hand. session: made by a sign-in of a command line or page. oauth:
                given to an application of others (`oauth_tokens`)
    scopes      what it may be used for; None: everything
    expires_ms  None: never
    """

    id: str
    account_id: str
    kind: Kind
    name: str
    scopes: tuple[str, ...] | None
    created_ms: int
    expires_ms: int | None

    def to_json(self) -> dict[str, Any]:
        """`{"id", "user_id", "name", "created_at"}` of Instant, with `scopes` and `expires_at`."""
        expires = None if self.expires_ms is None else iso_text(self.expires_ms)
        return {
            "id": self.id,
            "user_id": self.account_id,
            "name": self.name,
            "scopes": None if self.scopes is None else list(self.scopes),
            "created_at": iso_text(self.created_ms),
            "expires_at": expires,
        }


@dataclass(frozen=True, slots=True)
class Credential:
    """An account, and the token that proved it."""

    account: Account
    token: Token

    def demand(self, scope: str) -> None:
        """Refuse what the token is not for.

        raises   PermissionDenied with hint {"required-scope"} (instant-http §0.9)
        """
        scopes = self.token.scopes
        if scopes is None or scope in scopes or scope.replace("-read", "-write") in scopes:
            return
        problem = f"You are missing the {scope} scope. This token has: {', '.join(scopes)}."
        raise PermissionDenied("permission-denied", problem, {"required-scope": scope})

    def whole(self) -> Credential:
        """Refuse a token that is restricted to some scopes, for what would give it others."""
        if self.token.scopes is None:
            return self
        problem = "A token that is restricted to scopes cannot do this: it could get others so."
        raise PermissionDenied("permission-denied", problem, {"required-scope": None})


class Accounts:
    """The accounts of a server. Holds the platform's database, and no rows of it."""

    def __init__(self, platform: Database, *, runtime: Runtime) -> None:
        self._platform = platform
        self._runtime = runtime

    def start(self, background: Background) -> None:
        """Begin to delete tokens whose time is over."""
        interval_ms = limits.APP_SWEEP_INTERVAL_MS
        background.every("expired-tokens", interval_ms, lambda _: self.delete_expired())

    # --- accounts -------------------------------------------------------------------------------

    async def create(self, email: str, *, is_first: bool = False) -> Account:
        """Make an account.

        email      as `find_email` returns it
        is_first   only if there is none yet
        raises     Conflict("record-not-unique"), LimitExceeded
        """
        assert find_email(email) == email, "the caller checked the address"
        account_id = new_uuid(self._runtime)

        def work(change: Change) -> Account:
            if find_row(change, _ACCOUNTS, "email", email) is not None:
                raise _email_taken(email)
            if is_first and not _is_empty(change):
                raise Conflict(
                    "record-not-unique",
                    "There is an account already. Its owner, or `trice accounts create`, makes"
                    " more.",
                    {"record-type": "instant-user"},
                )
            if _has_most(change):
                raise _too_many("A server", "accounts", account_limits.ACCOUNTS_MAX)
            now_ms = change.time_ms
            fields = {"email": email, "createdAt": now_ms}
            change.write(["create", _ACCOUNTS, account_id, fields])
            return Account(account_id, email, now_ms)

        return await self._platform.change(work)

    async def all(self) -> list[Account]:
        """Every account, by e-mail address."""
        found = await self._platform.look(lambda look: look.find({_ACCOUNTS: {}}))
        return sorted(map(_account, found[_ACCOUNTS]), key=lambda account: account.email)

    def is_empty(self) -> bool:
        """Whether there is no account."""
        return self._platform.look_now(_is_empty)

    def find_by_email(self, email: str) -> Account | None:
        """The account with this address, in any spelling."""
        found = find_email(email)
        return None if found is None else self._find_account("email", found)

    def get_by_email(self, email: str) -> Account:
        """As `find_by_email`; raises NotFound."""
        account = self.find_by_email(email)
        if account is None:
            raise no_record("instant-user", "There is no account with this address.")
        return account

    def find(self, account_id: str) -> Account | None:
        """The account with this id."""
        return self._find_account("id", account_id)

    async def remove(self, account: Account) -> None:
        """Delete an account with its tokens. Its apps are the caller's business."""

        def work(change: Change) -> None:
            for row in _tokens_of(change, account.id):
                change.write(["delete", _TOKENS, row.fields["id"]])
            if find_row(change, _ACCOUNTS, "id", find_uuid_bytes(account.id)) is not None:
                change.write(["delete", _ACCOUNTS, account.id])

        await self._platform.change(work)
        # They work no more already, as their account is gone.
        await delete_rows(self._platform, _OAUTH_TOKENS, "account", account.id)

    def find_password(self, account: Account) -> str | None:
        """The hash of the account's password, if it has one."""
        key = find_uuid_bytes(account.id)
        row = self._platform.look_now(lambda look: find_row(look, _ACCOUNTS, "id", key))
        return None if row is None else row.fields.get("passwordHash")

    async def set_password(
        self, account: Account, hashed: str | None, *, keep: str | None = None
    ) -> None:
        """Replace the hash of the password, or remove it. Sign-ins end; personal tokens stay.

        keep     id of the sign-in that does it, which goes on
        raises   NotFound when the account was removed meanwhile
        """

        def work(change: Change) -> None:
            if find_row(change, _ACCOUNTS, "id", find_uuid_bytes(account.id)) is None:
                raise no_record("instant-user", "There is no such account any more.")
            change.write(["update", _ACCOUNTS, account.id, {"passwordHash": hashed}])
            for row in _tokens_of(change, account.id):
                if row.fields["kind"] == "session" and row.fields["id"] != keep:
                    change.write(["delete", _TOKENS, row.fields["id"]])

        await self._platform.change(work)

    # --- tokens ---------------------------------------------------------------------------------

    async def make_token(
        self,
        account: Account,
        *,
        name: str,
        kind: Kind = "personal",
        scopes: tuple[str, ...] | None = None,
        life_ms: int | None = None,
    ) -> tuple[Token, str]:
        """Make a token; return what is kept of it, and the token, which nobody can ask for again.

        name      1 to account_limits.TOKEN_NAME_CHARS_MAX characters without U+0000
        scopes    of SCOPES; None: everything
        life_ms   None: until it is revoked
        raises    LimitExceeded; NotFound when the account was removed meanwhile
        """
        if kind == "personal":
            secret = "per_" + self._runtime.random_bytes(_TOKEN_BYTES).hex()
        else:
            secret = new_uuid(self._runtime)
        token_id = new_uuid(self._runtime)

        def work(change: Change) -> Token:
            if find_row(change, _ACCOUNTS, "id", find_uuid_bytes(account.id)) is None:
                raise no_record("instant-user", "There is no such account any more.")
            _make_room(change, account.id)
            expires_ms = None if life_ms is None else change.time_ms + life_ms
            fields = {
                "account": account.id,
                "tokenHash": hash_token(secret),
                "kind": kind,
                "name": name,
                "scopes": None if scopes is None else " ".join(scopes),
                "expiresAt": expires_ms,
            }
            present = {label: value for label, value in fields.items() if value is not None}
            change.write(["create", _TOKENS, token_id, present])
            return Token(token_id, account.id, kind, name, scopes, change.time_ms, expires_ms)

        return await self._platform.change(work), secret

    def tokens(self, account: Account) -> list[Token]:
        """The tokens of an account, oldest first, expired ones left out."""
        found = self._platform.look_now(lambda look: _tokens_of(look, account.id))
        tokens = [_token(row) for row in found]
        return [token for token in tokens if not self._is_over(token)]

    async def revoke(self, account: Account, token_id: str) -> None:
        """End a token of an account; raises NotFound when it has none with this id."""

        def work(change: Change) -> None:
            row = find_row(change, _TOKENS, "id", find_uuid_bytes(token_id))
            if row is None or row.fields["account"] != account.id:
                raise no_record("personal-access-token", "This account has no such token.")
            change.write(["delete", _TOKENS, row.fields["id"]])

        await self._platform.change(work)

    def find_by_token(self, secret: str) -> Credential | None:
        """The account that a token proves; None for an unknown one.

        raises   NotFound("record-expired") for a token whose time is over
        """
        hashed = hash_token(secret)
        row = self._platform.look_now(lambda look: find_row(look, _TOKENS, "tokenHash", hashed))
        if row is None:
            return None
        token = _token(row)
        account = self.find(token.account_id)
        if account is None:
            return None
        if self._is_over(token):
            told = "The token's time is over; make another, or sign in again."
            raise NotFound(
                "record-expired",
                f"Record expired: instant-user. {told}",
                {"record-type": "instant-user", "args": []},
            )
        return Credential(account, token)

    async def delete_expired(self) -> None:
        """Delete tokens whose time is over, account_limits.EXPIRED_TOKENS_PER_SWEEP at most."""
        options = {
            "where": {"expiresAt": {"$lte": self._runtime.now_ms()}},
            "limit": account_limits.EXPIRED_TOKENS_PER_SWEEP,
            "fields": ["id"],
        }
        found = await self._platform.look(lambda look: look.find({_TOKENS: {"$": options}}))
        if found[_TOKENS]:
            steps = [["delete", _TOKENS, row["id"]] for row in found[_TOKENS]]
            await self._platform.change(lambda change: change.write(*steps))

    def _is_over(self, token: Token) -> bool:
        return token.expires_ms is not None and token.expires_ms <= self._runtime.now_ms()

    def _find_account(self, label: str, value: str) -> Account | None:
        key = find_uuid_bytes(value) if label == "id" else value
        if key is None:
            return None
        row = self._platform.look_now(lambda look: find_row(look, _ACCOUNTS, label, key))
        return None if row is None else _account(row.fields)


async def delete_rows(platform: Database, etype: str, label: str, value: str) -> None:
    """Delete all rows with a value, account_limits.OAUTH_ROWS_AT_ONCE in a transaction."""
    count = account_limits.OAUTH_ROWS_AT_ONCE
    is_over = False
    while not is_over:

        def work(change: Change) -> bool:
            rows = find_rows(change, etype, label, value, count=count)
            change.write(*(["delete", etype, row.fields["id"]] for row in rows))
            return len(rows) < count

        is_over = await platform.change(work)


def hash_token(secret: str) -> str:
    """The stored form, as hex: SHA-256 of the 16 bytes of a uuid, of the text of any other token
    (instant-http §0.5)."""
    raw = find_uuid_bytes(secret)
    return hashlib.sha256(secret.encode(errors="replace") if raw is None else raw).hexdigest()


def _account(fields: dict[str, Any]) -> Account:
    return Account(fields["id"], fields["email"], fields["createdAt"])


def _token(row: FoundRow) -> Token:
    fields = row.fields
    scopes = fields.get("scopes")
    return Token(
        id=fields["id"],
        account_id=fields["account"],
        kind=fields["kind"],
        name=fields["name"],
        scopes=None if scopes is None else tuple(scopes.split()),
        created_ms=row.created_ms,
        expires_ms=fields.get("expiresAt"),
    )


def _tokens_of(look: Look, account_id: str) -> list[FoundRow]:
    most = account_limits.ACCOUNT_TOKENS_MAX
    return find_rows(look, _TOKENS, "account", account_id, count=most)


def _make_room(change: Change, account_id: str) -> None:
    """See that an account may have one more token; sign-ins that were forgotten make room."""
    rows = _tokens_of(change, account_id)
    if len(rows) < account_limits.ACCOUNT_TOKENS_MAX:
        return
    over = [row for row in rows if 0 < (row.fields.get("expiresAt") or 0) <= change.time_ms]
    sessions = [row for row in rows if row.fields["kind"] == "session"]
    if not over and not sessions:
        raise _too_many("An account", "tokens", account_limits.ACCOUNT_TOKENS_MAX)
    change.write(["delete", _TOKENS, (over or sessions)[0].fields["id"]])


def _is_empty(look: Look) -> bool:
    return not look.find({_ACCOUNTS: {"$": {"fields": ["id"], "limit": 1}}})[_ACCOUNTS]


def _has_most(look: Look) -> bool:
    last = {"fields": ["id"], "limit": 1, "offset": account_limits.ACCOUNTS_MAX - 1}
    return bool(look.find({_ACCOUNTS: {"$": last}})[_ACCOUNTS])


def _email_taken(email: str) -> Conflict:
    return Conflict(
        "record-not-unique",
        f"There is an account with the address {email} already.",
        {"record-type": "instant-user", "value": email},
    )


def _too_many(owner: str, what: str, most: int) -> LimitExceeded:
    problem = f"{owner} has {most:,} {what}, the most there can be. Remove some."
    return LimitExceeded("parameter-limit-exceeded", problem)
