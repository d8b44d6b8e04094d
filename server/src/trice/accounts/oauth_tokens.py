"""Tokens of OAuth clients: what an account allowed an application of others.

    $oauthTokens   {tokenHash, kind, client, account, holder, grant, scopes, expiresAt?}

    kind     access: `pat_…`, for OAUTH_ACCESS_TOKEN_MS. refresh: `prt_…`, until it is revoked
    holder   client and account in one text, to find what one client has of one account
    grant    what one permission of a person led to: all of it ends together

A look-up of an access token reads it, its account, and its client up to the app: five reads of
10 µs, so that whatever is removed or narrowed counts from then on.

source   instant-http §0.5, §4.9; spec/accounts.md AC100-AC109
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final, Literal

from trice import account_limits, limits
from trice.accounts.accounts import (
    Account,
    Accounts,
    Credential,
    Token,
    delete_rows,
    hash_token,
)
from trice.accounts.oauth_apps import OAuthApps, OAuthClient, check_client
from trice.accounts.oauth_definitions import scopes_in
from trice.accounts.oauth_requests import Code, OAuthRequests
from trice.apps.apps import Apps
from trice.background import Background
from trice.database import Change, Look
from trice.errors import LimitExceeded, NotFound, invalid, no_record
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row, find_rows

Kind = Literal["access", "refresh"]

_TOKENS: Final = "$oauthTokens"
_TOKEN_BYTES: Final = 32
_PREFIXES: Final[dict[Kind, str]] = {"access": "pat_", "refresh": "prt_"}
_MOST: Final[dict[Kind, int]] = {
    "access": account_limits.OAUTH_ACCESS_TOKENS_MAX,
    "refresh": account_limits.OAUTH_REFRESH_TOKENS_MAX,
}


@dataclass(frozen=True, slots=True)
class Given:
    """Tokens that a client got; they are shown this once."""

    access_token: str
    refresh_token: str | None
    scopes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Instant says `scopes` here and `scope` there (instant-http §4.9): both are always there.

        {"access_token", "token_type", "expires_in": seconds, "scope", "scopes", "refresh_token"?}
        """
        told = {
            "access_token": self.access_token,
            "token_type": "Bearer",
            "expires_in": account_limits.OAUTH_ACCESS_TOKEN_MS // 1000,
            "scope": " ".join(self.scopes),
            "scopes": " ".join(self.scopes),
        }
        return told if self.refresh_token is None else told | {"refresh_token": self.refresh_token}


class OAuthTokens:
    """The tokens of OAuth clients. Holds no rows."""

    def __init__(
        self,
        apps: Apps,
        *,
        accounts: Accounts,
        oauth_apps: OAuthApps,
        requests: OAuthRequests,
        runtime: Runtime,
    ) -> None:
        self._platform = apps.platform
        self._accounts = accounts
        self._oauth_apps = oauth_apps
        self._requests = requests
        self._runtime = runtime

    def start(self, background: Background) -> None:
        """Begin to delete tokens whose time is over."""
        interval_ms = limits.APP_SWEEP_INTERVAL_MS
        background.every("oauth-tokens", interval_ms, lambda _: self.delete_expired())

    # --- tokens for codes and refresh tokens ----------------------------------------------------

    async def exchange(
        self,
        code_text: str,
        *,
        client_id: str,
        redirect_url: str,
        secret: str | None,
        verifier: str | None,
    ) -> Given:
        """Use a code up. The first try uses it up, also one that fails; a second try ends what the
        first one got, as somebody else had the code too.

        secret     of the client; with it the client gets a refresh token
        verifier   what the challenge was made of, if the sign-in began with one
        raises     NotFound, InvalidInput, LimitExceeded
        """
        client = self._get_client(client_id)
        is_confidential = secret is not None and self._has_secret(client, secret)
        code = self._requests.take_code(code_text)
        if code.was_used:
            # In the writer's queue this stands behind the tokens of the first try.
            await delete_rows(self._platform, _TOKENS, "grant", code.grant_id)
            raise _bad_code("It was used before. What it gave access to has ended.")
        if code.wish.client_id != client.id or code.wish.redirect_url != redirect_url:
            raise _bad_code("It was made for another client, or another URL to return to.")
        _check_proof(code, verifier, is_confidential=is_confidential)
        account = self._accounts.find(code.account.id)
        if account is None:
            raise _bad_code("The account was removed meanwhile.")
        self._requests.check_member(client, account)
        kinds: tuple[Kind, ...] = ("access", "refresh") if is_confidential else ("access",)
        return await self._give(client, account, code.grant_id, code.wish.scopes, kinds)

    async def refresh(
        self, refresh_token: str, *, client_id: str, secret: str, scope: str | None
    ) -> Given:
        """Another access token for a refresh token, which stays.

        scope    fewer scopes than it has; None: all
        raises   NotFound, InvalidInput, PermissionDenied, LimitExceeded
        """
        client = self._get_client(client_id)
        self._has_secret(client, secret)
        row = self._find(refresh_token, "refresh")
        account = None if row is None else self._accounts.find(row.fields["account"])
        if row is None or account is None or row.fields["client"] != client.id:
            told = "It was revoked, or is of another client. Ask the person again."
            raise no_record("oauth-refresh-token", told)
        self._requests.check_member(client, account)
        has = tuple(row.fields["scopes"].split())
        wanted = has if scope is None else scopes_in(scope)
        if any(each not in has for each in wanted):
            problem = f"The refresh token is for {' '.join(has)}."
            raise invalid("scope", None, [{"message": problem, "in": ["scope"]}])
        return await self._give(
            client, account, row.fields["grant"], wanted, ("access",), behind=row.fields["id"]
        )

    async def _give(
        self,
        client: OAuthClient,
        account: Account,
        grant_id: str,
        scopes: tuple[str, ...],
        kinds: tuple[Kind, ...],
        *,
        behind: str | None = None,
    ) -> Given:
        """Make tokens; the oldest ones of the same client and account make room.

        behind   id of the token that must still be there
        """
        secrets: dict[Kind, str] = {
            kind: _PREFIXES[kind] + self._runtime.random_bytes(_TOKEN_BYTES).hex() for kind in kinds
        }
        ids = {kind: new_key(self._runtime) for kind in kinds}
        holder = f"{client.id}/{account.id}"

        def work(change: Change) -> None:
            if (
                behind is not None
                and find_row(change, _TOKENS, "id", find_uuid_bytes(behind)) is None
            ):
                raise no_record("oauth-refresh-token", "It was revoked.")
            check_client(change, client.id)
            if find_row(change, "$accounts", "id", find_uuid_bytes(account.id)) is None:
                raise no_record("instant-user", "The account was removed meanwhile.")
            _check_room(change, account.id)
            most = sum(_MOST.values())
            rows = find_rows(change, _TOKENS, "holder", holder, count=most)
            for kind in kinds:
                same = [row for row in rows if row.fields["kind"] == kind]
                for row in same[: max(len(same) + 1 - _MOST[kind], 0)]:
                    change.write(["delete", _TOKENS, row.fields["id"]])
                fields: dict[str, Any] = {
                    "tokenHash": hash_token(secrets[kind]),
                    "kind": kind,
                    "client": client.id,
                    "account": account.id,
                    "holder": holder,
                    "grant": grant_id,
                    "scopes": " ".join(scopes),
                }
                if kind == "access":
                    fields["expiresAt"] = change.time_ms + account_limits.OAUTH_ACCESS_TOKEN_MS
                change.write(["create", _TOKENS, ids[kind], fields])

        await self._platform.change(work)
        return Given(secrets["access"], secrets.get("refresh"), scopes)

    # --- tokens in use --------------------------------------------------------------------------

    def find_by_token(self, secret: str) -> Credential | None:
        """The account that an access token acts for; None for an unknown one. Its scopes are those
        that its OAuth app may still ask for.

        raises   NotFound("record-expired"); clients refresh after either
        """
        row = self._find(secret, "access")
        account = None if row is None else self._accounts.find(row.fields["account"])
        client = None if row is None else self._oauth_apps.find_client(row.fields["client"])
        if row is None or account is None or client is None:
            return None
        fields = row.fields
        if fields["expiresAt"] <= self._runtime.now_ms():
            raise NotFound(
                "record-expired",
                "Record expired: oauth-access-token. Refresh it, or ask the person again.",
                {"record-type": "oauth-access-token", "args": []},
            )
        allowed = client.oauth_app.definition.scopes
        token = Token(
            id=fields["id"],
            account_id=account.id,
            kind="oauth",
            name=client.oauth_app.definition.name,
            scopes=tuple(each for each in fields["scopes"].split() if each in allowed),
            created_ms=row.created_ms,
            expires_ms=fields["expiresAt"],
        )
        return Credential(account, token)

    def info(self, secret: str) -> dict[str, Any]:
        """What a client may know of its access token; raises as `find_by_token`, NotFound."""
        credential = self.find_by_token(secret)
        if credential is None or credential.token.expires_ms is None:
            raise no_record("oauth-access-token", "It was revoked, or never was.")
        left_ms = credential.token.expires_ms - self._runtime.now_ms()
        scopes = " ".join(credential.token.scopes or ())
        told = {"expires_in": left_ms // 1000, "token_type": "Bearer"}
        return told | {"scope": scopes, "scopes": scopes}

    # --- tokens that end ------------------------------------------------------------------------

    async def revoke(self, secret: str) -> None:
        """End an access token, or a refresh token with all that its grant led to. Unknown ones are
        ended already (RFC 7009)."""
        row = self._find(secret, "access")
        if row is not None:
            token_id = row.fields["id"]

            def work(change: Change) -> None:
                if find_row(change, _TOKENS, "id", find_uuid_bytes(token_id)) is not None:
                    change.write(["delete", _TOKENS, token_id])

            await self._platform.change(work)
        row = self._find(secret, "refresh")
        if row is not None:
            await delete_rows(self._platform, _TOKENS, "grant", row.fields["grant"])

    def allowed_by(self, account: Account) -> list[dict[str, Any]]:
        """The OAuth apps that have tokens of an account, by name, as JSON."""
        rows = self._platform.look_now(lambda look: _tokens_of(look, account.id))
        found = {}
        for client_id in dict.fromkeys(row.fields["client"] for row in rows):
            client = self._oauth_apps.find_client(client_id)
            if client is not None:
                said = client.oauth_app.definition
                found[client.oauth_app.id] = {
                    "id": client.oauth_app.id,
                    "name": said.name,
                    "logo": said.logo,
                    "homePage": said.home_page,
                    "privacyPolicyLink": said.privacy_policy,
                    "tosLink": said.terms,
                }
        return sorted(found.values(), key=lambda app: (str(app["name"]), str(app["id"])))

    async def end_access(self, account: Account, oauth_app_id: str) -> None:
        """End all that an account allowed an OAuth app, codes that wait included."""
        self._requests.end_codes(account, oauth_app_id)
        # Of every client, as one may just be getting tokens: these stand before in the queue.
        for client in self._oauth_apps.clients_of(oauth_app_id):
            await delete_rows(self._platform, _TOKENS, "holder", f"{client.id}/{account.id}")

    async def delete_expired(self) -> None:
        """Delete access tokens whose time is over, EXPIRED_TOKENS_PER_SWEEP at most."""
        options = {
            "where": {"expiresAt": {"$lte": self._runtime.now_ms()}},
            "limit": account_limits.EXPIRED_TOKENS_PER_SWEEP,
            "fields": ["id"],
        }
        found = await self._platform.look(lambda look: look.find({_TOKENS: {"$": options}}))
        if found[_TOKENS]:
            steps = [["delete", _TOKENS, row["id"]] for row in found[_TOKENS]]
            await self._platform.change(lambda change: change.write(*steps))

    def _find(self, secret: str, kind: Kind) -> FoundRow | None:
        if not secret.startswith(_PREFIXES[kind]):
            return None
        hashed = hash_token(secret)
        return self._platform.look_now(lambda look: find_row(look, _TOKENS, "tokenHash", hashed))

    def _get_client(self, client_id: str) -> OAuthClient:
        client = self._oauth_apps.find_client(client_id)
        if client is None:
            raise no_record("oauth-app-client", "There is no client with this id.")
        return client

    def _has_secret(self, client: OAuthClient, secret: str) -> bool:
        """True; raises NotFound for a wrong secret."""
        if not self._oauth_apps.has_secret(client, secret):
            raise no_record("oauth-app-client-secret", "The client has no such secret.")
        return True


def challenge_of(verifier: str) -> str:
    """The challenge that a verifier is for (RFC 7636 §4.2, S256)."""
    digest = hashlib.sha256(verifier.encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _check_proof(code: Code, verifier: str | None, *, is_confidential: bool) -> None:
    """See that who has the code is who began: by the verifier if there was a challenge, whatever
    else it has, else by the secret."""
    challenge = code.wish.challenge
    if challenge is not None:
        given = "" if verifier is None else challenge_of(verifier)
        if not hmac.compare_digest(given, challenge):
            raise _bad_code("The code_verifier is not what the code_challenge was made of.")
    elif verifier is not None:
        raise _bad_code("The sign-in began without a code_challenge, so no verifier proves it.")
    elif not is_confidential:
        raise no_record("oauth-app-client-secret", "Send client_secret, or begin with PKCE.")


def _check_room(change: Change, account_id: str) -> None:
    most = account_limits.OAUTH_TOKENS_OF_ACCOUNT_MAX
    last = {"where": {"account": account_id}, "fields": ["id"], "limit": 1, "offset": most - 1}
    if change.find({_TOKENS: {"$": last}})[_TOKENS]:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"Applications have {most:,} tokens of this account, the most there can be. Its owner"
            " ends the access of some first: trice oauth-apps revoke.",
        )


def _tokens_of(look: Look, account_id: str) -> list[FoundRow]:
    most = account_limits.OAUTH_TOKENS_OF_ACCOUNT_MAX
    return find_rows(look, _TOKENS, "account", account_id, count=most)


def _bad_code(told: str) -> NotFound:
    return no_record("oauth-code", told)
