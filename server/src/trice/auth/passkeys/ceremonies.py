"""Passkeys (WebAuthn): adding one while signed in, and signing in with one alone.

begin    a challenge is stored, options go to the browser
finish   the challenge is used up in any case, then the browser's answer is checked

A challenge names its purpose, the origin it was given to, the domain and, when a passkey is added,
the user. So an answer is void for another purpose, site, user or time.

    $userPasskeys {id, credentialId, publicKey, signCount, rpId, name?, lastUsedAt?, $user}
    $passkeyChallenges {id, challengeHash, purpose, origin, rpId, expiresAt, $user?}

source   spec/auth.md A175-A197
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

from trice import auth_limits
from trice.apps.apps import App
from trice.auth.accounts import User, get_user, no_user
from trice.auth.passkeys.read import (
    ClientData,
    credential_id,
    read_client_data,
    refused,
    relying_party,
    user_handle,
)
from trice.auth.passkeys.webauthn import (
    Expectation,
    check_registration,
    check_sign_in,
    creation_options,
    request_options,
)
from trice.auth.sign_in import SignedIn
from trice.auth.throttle import Throttle
from trice.auth.tokens import find_by_token, mint_token
from trice.catalog.dates import iso_text
from trice.database import Change, Look
from trice.errors import Conflict, LimitExceeded, NotFound, invalid
from trice.identity import Identity
from trice.protocol.ids import find_uuid_bytes
from trice.rate_limit import Buckets, RateLimit
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row, find_rows

PASSKEYS: Final = "$userPasskeys"
CHALLENGES: Final = "$passkeyChallenges"

_BY_IP: Final = RateLimit(
    auth_limits.PASSKEY_REQUESTS_PER_HOUR_OF_IP,
    auth_limits.PASSKEY_REQUESTS_PER_HOUR_OF_IP,
    3_600_000,
)

Purpose = Literal["register", "sign-in"]


class Passkeys:
    """The ceremonies and the management of passkeys, for every app of this server. Its only state
    is how often each network asked.

    `caller` is everywhere an identity that is not signed in, with the address and origin of the
    request.
    """

    def __init__(self, *, runtime: Runtime, buckets: Buckets) -> None:
        self._runtime = runtime
        self._throttle = Throttle(buckets, runtime)

    async def begin_registration(
        self, app: App, *, token: str, caller: Identity, rp_id: str | None = None
    ) -> dict[str, Any]:
        """Begin to add a passkey to the user whose token `token` is.

        rp_id     a parent domain of the origin, authorized as well; None: the origin's host
        returns   PublicKeyCredentialCreationOptionsJSON
        raises    NotFound(app-user), InvalidInput for guests and origins that are not authorized
        """
        self._enter(app, caller)
        rp_id = relying_party(app.settings, caller.origin, rp_id=rp_id)
        user = await app.database.look(lambda look: _account(look, token))
        challenge = await self._give_challenge(
            app, "register", origin=caller.origin, rp_id=rp_id, user=user
        )
        known = await app.database.look(lambda look: _passkeys_of(look, user))
        user_id = find_uuid_bytes(user.id)
        assert user_id is not None
        return await asyncio.to_thread(
            creation_options,
            rp_id=rp_id,
            rp_name=app.title,
            user_id=user_id,
            user_name=user.email or user.id,
            challenge=challenge,
            excluded=[row.fields["credentialId"] for row in known if row.fields["rpId"] == rp_id],
        )

    async def finish_registration(
        self,
        app: App,
        *,
        token: str,
        credential: Mapping[str, Any],
        name: str | None,
        caller: Identity,
    ) -> dict[str, Any]:
        """Store the passkey that the browser made.

        credential   RegistrationResponseJSON
        returns      the passkey as `all_of` shows it
        raises       NotFound(app-user, app-passkey-challenge), InvalidInput, Conflict when the
                     passkey is registered already, LimitExceeded
        """
        self._enter(app, caller)
        client = read_client_data(credential)
        row = await self._take_challenge(app, client.challenge, "register")
        user = await app.database.look(lambda look: _account(look, token))
        if row.fields.get("$user") != user.id:
            raise refused("the challenge was given to another user")
        made = await asyncio.to_thread(check_registration, credential, _expected(client, row))

        def work(change: Change) -> dict[str, Any]:
            owner = _account(change, token)
            if find_row(change, PASSKEYS, "credentialId", made.credential_id) is not None:
                raise _registered()
            if len(_passkeys_of(change, owner)) >= auth_limits.PASSKEYS_PER_USER_MAX:
                raise _too_many()
            values: dict[str, Any] = {
                "credentialId": made.credential_id,
                "publicKey": made.public_key,
                "signCount": made.sign_count,
                "rpId": row.fields["rpId"],
                "$user": owner.id,
            }
            if name:
                values["name"] = name
            passkey_id = new_key(self._runtime)
            change.write(["update", PASSKEYS, passkey_id, values])
            return passkey_object(FoundRow({**values, "id": passkey_id}, change.time_ms))

        return await app.database.change(work)

    async def begin_sign_in(
        self, app: App, *, caller: Identity, rp_id: str | None = None
    ) -> dict[str, Any]:
        """Begin to sign in with any passkey of the domain, which the person picks.

        returns   PublicKeyCredentialRequestOptionsJSON; the same for all callers, so it tells
                  nothing
        raises    InvalidInput for origins that are not authorized
        """
        self._enter(app, caller)
        rp_id = relying_party(app.settings, caller.origin, rp_id=rp_id)
        challenge = await self._give_challenge(
            app, "sign-in", origin=caller.origin, rp_id=rp_id, user=None
        )
        return await asyncio.to_thread(request_options, rp_id=rp_id, challenge=challenge)

    async def finish_sign_in(
        self, app: App, *, credential: Mapping[str, Any], caller: Identity
    ) -> SignedIn:
        """Exchange the browser's answer for a refresh token.

        credential   AuthenticationResponseJSON
        raises       NotFound(app-passkey-challenge, app-user-passkey), InvalidInput
        """
        self._enter(app, caller)
        client = read_client_data(credential)
        challenge = await self._take_challenge(app, client.challenge, "sign-in")
        passkey = await app.database.look(lambda look: _get_credential(look, credential))
        fields = passkey.fields
        if fields["rpId"] != challenge.fields["rpId"]:
            raise refused("the passkey belongs to another domain")
        if user_handle(credential) != find_uuid_bytes(fields["$user"]):
            raise refused("the passkey belongs to another user")
        count_before = fields["signCount"]
        count = await asyncio.to_thread(
            check_sign_in,
            credential,
            _expected(client, challenge),
            public_key=fields["publicKey"],
            sign_count=count_before,
        )

        def work(change: Change) -> SignedIn:
            now = find_row(change, PASSKEYS, "id", find_uuid_bytes(fields["id"]))
            if now is None:
                raise _no_passkey()
            if now.fields["signCount"] != count_before:
                raise refused("the passkey was used at the same time elsewhere")
            used = {"signCount": count, "lastUsedAt": change.time_ms}
            change.write(["update", PASSKEYS, fields["id"], used])
            user = get_user(change, id=fields["$user"])
            return SignedIn(user, mint_token(change, user.id, runtime=self._runtime), False)

        return await app.database.change(work)

    async def all_of(self, app: App, *, token: str, caller: Identity) -> list[dict[str, Any]]:
        """Every passkey of the user whose token `token` is, oldest first."""
        self._enter(app, caller)
        rows = await app.database.look(lambda look: _passkeys_of(look, _account(look, token)))
        return [passkey_object(row) for row in rows]

    async def delete(self, app: App, *, token: str, passkey_id: str, caller: Identity) -> None:
        """Remove a passkey of the signed-in user. Clients that signed in with it stay signed in.

        raises   NotFound(app-user-passkey) for unknown passkeys and those of other users
        """
        self._enter(app, caller)

        def work(change: Change) -> None:
            user = _account(change, token)
            row = find_row(change, PASSKEYS, "id", find_uuid_bytes(passkey_id))
            if row is None or row.fields["$user"] != user.id:
                raise _no_passkey()
            change.write(["delete", PASSKEYS, row.fields["id"]])

        await app.database.change(work)

    def _enter(self, app: App, caller: Identity) -> None:
        """Raise unless the app has passkeys and the network has not asked too often."""
        check_enabled(app)
        problem = "Too many passkey requests from this network address."
        self._throttle.take_network("passkeys", caller.ip, _BY_IP, problem)

    async def _give_challenge(
        self, app: App, purpose: Purpose, *, origin: str, rp_id: str, user: User | None
    ) -> bytes:
        """Store a new challenge, and remove some expired ones."""
        challenge = self._runtime.random_bytes(auth_limits.PASSKEY_CHALLENGE_BYTES)
        values = {
            "challengeHash": hashlib.sha256(challenge).hexdigest(),
            "purpose": purpose,
            "origin": origin,
            "rpId": rp_id,
            **({} if user is None else {"$user": user.id}),
        }

        def work(change: Change) -> None:
            _sweep(change)
            expires_ms = change.time_ms + auth_limits.PASSKEY_CHALLENGE_MS
            stored = {**values, "expiresAt": expires_ms}
            change.write(["update", CHALLENGES, new_key(self._runtime), stored])

        await app.database.change(work)
        return challenge

    async def _take_challenge(self, app: App, challenge: bytes, purpose: Purpose) -> FoundRow:
        """Use a challenge up, then raise unless it was good. So it cannot be tried twice."""
        hashed = hashlib.sha256(challenge).hexdigest()

        def work(change: Change) -> FoundRow | None:
            row = find_row(change, CHALLENGES, "challengeHash", hashed)
            if row is not None:
                change.write(["delete", CHALLENGES, row.fields["id"]])
            return row

        row = await app.database.change(work)
        if row is None or row.fields["purpose"] != purpose:
            raise _no_challenge()
        if row.fields["expiresAt"] <= self._runtime.now_ms():
            raise NotFound(
                "record-expired",
                "Record expired: app-passkey-challenge. Begin again.",
                {"record-type": "app-passkey-challenge", "args": []},
            )
        return row


def check_enabled(app: App) -> None:
    """Raise unless the app has switched passkeys on."""
    if not app.settings.has_passkeys:
        message = (
            "Sign-in with passkeys is not enabled for this app. Its developer can switch it on:"
            ' POST /dash/apps/:app_id/sign-in-methods {"passkeys": true}.'
        )
        raise invalid("sign-in-method", "passkeys", [{"message": message}], message=message)


def passkey_object(row: FoundRow) -> dict[str, Any]:
    """A passkey as its user sees it: `{id, name, rp_id, created_at, last_used_at}`.

    name, last_used_at   null if it has none
    """
    used_ms = row.fields.get("lastUsedAt")
    return {
        "id": row.fields["id"],
        "name": row.fields.get("name"),
        "rp_id": row.fields["rpId"],
        "created_at": iso_text(row.created_ms),
        "last_used_at": None if used_ms is None else iso_text(used_ms),
    }


def _expected(client: ClientData, challenge: FoundRow) -> Expectation:
    """The values that the answer must agree with. All come from the stored challenge."""
    return Expectation(client.challenge, challenge.fields["origin"], challenge.fields["rpId"])


def _sweep(change: Change) -> None:
    """Remove expired challenges, then the oldest while there are too many."""
    count = auth_limits.PASSKEY_CHALLENGES_SWEPT
    expired = {"where": {"expiresAt": {"$lte": change.time_ms}}, "limit": count}
    surplus = {
        "order": {"expiresAt": "desc"},
        "offset": auth_limits.PASSKEY_CHALLENGES_MAX - 1,
        "limit": count,
    }
    ids = {
        row["id"]
        for options in (expired, surplus)
        for row in change.find({CHALLENGES: {"$": options}})[CHALLENGES]
    }
    change.write(*(["delete", CHALLENGES, each] for each in sorted(ids)))


def _account(look: Look, token: str) -> User:
    """The signed-in user; raises for unknown tokens and guests."""
    user = find_by_token(look, token)
    if user is None:
        raise no_user()
    if user.is_guest:
        message = (
            "Guests have no passkeys: a guest account may become another one, which its passkey"
            " would not open. Sign up first."
        )
        raise invalid("passkey", None, [{"message": message}], message=message)
    return user


def _passkeys_of(look: Look, user: User) -> list[FoundRow]:
    count = auth_limits.PASSKEYS_PER_USER_MAX
    return find_rows(look, PASSKEYS, "$user", find_uuid_bytes(user.id), count=count)


def _get_credential(look: Look, credential: Mapping[str, Any]) -> FoundRow:
    row = find_row(look, PASSKEYS, "credentialId", credential_id(credential))
    if row is None:
        raise _no_passkey()
    return row


def _no_passkey() -> NotFound:
    return NotFound(
        "record-not-found",
        "Record not found: app-user-passkey. This app does not know the passkey, or no longer.",
        {"record-type": "app-user-passkey", "args": []},
    )


def _no_challenge() -> NotFound:
    return NotFound(
        "record-not-found",
        "Record not found: app-passkey-challenge. It was used already, or given out by another app"
        " or for another purpose. Begin again.",
        {"record-type": "app-passkey-challenge", "args": []},
    )


def _registered() -> Conflict:
    return Conflict(
        "record-not-unique",
        "This passkey is registered already.",
        {"record-type": "app-user-passkey", "args": []},
    )


def _too_many() -> LimitExceeded:
    return LimitExceeded(
        "parameter-limit-exceeded",
        f"A user has at most {auth_limits.PASSKEYS_PER_USER_MAX} passkeys. Delete one first.",
        {"passkeys-max": auth_limits.PASSKEYS_PER_USER_MAX},
    )
