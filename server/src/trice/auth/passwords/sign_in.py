"""Signing in with e-mail and password; beyond Instant, off until an app switches it on.

An e-mail address is proven before it gets a password: sign-up and reset need a magic code. So an
attacker cannot set a password on an account that the owner of the address will join later by code
or OAuth. The answers of sign-up may be plain, since only that owner has the code.

    $userPasswords {id, hash, $user}     one per user at most

source   spec/auth.md A151-A170
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trice import auth_limits
from trice.apps.apps import App
from trice.auth.accounts import (
    SignUpCheck,
    User,
    find_user,
    get_user,
    no_user,
    sign_up,
)
from trice.auth.magic_codes import MagicCodes, code_error
from trice.auth.passwords.hash import PasswordHashes
from trice.auth.passwords.policy import check_new_password, is_too_long, normalise
from trice.auth.sign_in import SignedIn
from trice.auth.throttle import Throttle
from trice.auth.tokens import drop_tokens, find_by_token, get_guest, mint_token
from trice.database import Change, Look
from trice.errors import Conflict, NotFound, invalid
from trice.protocol.ids import find_uuid_bytes
from trice.rate_limit import Buckets, RateLimit
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row

PASSWORDS: Final = "$userPasswords"

_HOUR_MS: Final = 3_600_000
_BY_ACCOUNT: Final = RateLimit(
    auth_limits.PASSWORD_TRIES_PER_HOUR, auth_limits.PASSWORD_TRIES_PER_HOUR, _HOUR_MS
)
_BY_IP: Final = RateLimit(
    auth_limits.PASSWORD_TRIES_PER_HOUR_OF_IP,
    auth_limits.PASSWORD_TRIES_PER_HOUR_OF_IP,
    _HOUR_MS,
)


class Passwords:
    """The operations on passwords, for every app of this server.

    Holds the hashes being computed and the number of tries. Does not hold passwords.
    """

    def __init__(self, *, codes: MagicCodes, runtime: Runtime, buckets: Buckets) -> None:
        self._codes = codes
        self._runtime = runtime
        self._throttle = Throttle(buckets, runtime)
        self.hashes = PasswordHashes(runtime)

    async def sign_up(
        self,
        app: App,
        check: SignUpCheck,
        *,
        email: str,
        code: str,
        password: str,
        ip: str,
        extra_fields: Mapping[str, Any] | None = None,
        guest_token: str | None = None,
    ) -> SignedIn:
        """Make an account with a password, or make a guest's account one.

        code         a magic code sent to `email`; it still works if anything fails
        guest_token  that of the guest who signs up; the token of another user is ignored
        raises       NotFound(app-user-magic-code), then Conflict if there is such a user; what a
                     sign-up by code raises; LimitExceeded; InvalidInput for a weak password
        """
        check_enabled(app)
        raw = check_new_password(password, email=email, path="password")
        self._take_code(app, email, ip=ip)
        hashed = await self.hashes.make(raw)

        def work(change: Change) -> SignedIn | NotFound:
            guest = get_guest(change, guest_token)
            consumed = self._codes.consume(change, email, code, settings=app.settings)
            if consumed != "right":
                # Returned, not raised, so that the use of an expired code is written.
                return code_error(consumed)
            if find_user(change, email=email) is not None:
                raise _exists(email)
            user = sign_up(
                change,
                check,
                runtime=self._runtime,
                email=email,
                extra_fields=extra_fields,
                user_type="user",
                guest=guest,
            )
            self._write(change, user, hashed=hashed)
            return SignedIn(user, mint_token(change, user.id, runtime=self._runtime), True)

        return _raised(await app.database.change(work))

    async def sign_in(self, app: App, *, email: str, password: str, ip: str) -> SignedIn:
        """Exchange a password for a refresh token.

        raises   NotFound(app-user-password) for an unknown e-mail address, a user without password
                 and a wrong password, always after the same work; LimitExceeded
        """
        check_enabled(app)
        self._take_try(app, email, ip=ip)
        # A second try if the hash changed meanwhile: another sign-in may have renewed it.
        for _ in range(2):
            user, stored = await app.database.look(lambda look: _find_hash(look, email))
            await self._check(password, stored)
            assert user is not None and stored is not None
            signed_in = await self._finish_sign_in(app, user, password, stored=stored)
            if signed_in is not None:
                return signed_in
        raise _wrong()

    async def change(
        self, app: App, *, token: str, password: str, new_password: str, ip: str
    ) -> User:
        """Replace the password of the signed-in user; all other tokens of the user end.

        raises   NotFound(app-user) for an unknown token, NotFound(app-user-password) if the old
                 password is wrong or there is none; InvalidInput for a weak new one
        """
        check_enabled(app)
        self._throttle.token_check(ip)
        user = await app.database.look(lambda look: find_by_token(look, token))
        if user is None:
            raise no_user()
        raw = check_new_password(new_password, email=user.email, path="new-password")
        self._take_try(app, user.email or user.id, ip=ip)
        stored = await app.database.look(lambda look: _hash_of(look, user))
        await self._check(password, stored)
        assert stored is not None
        hashed = await self.hashes.make(raw)

        def work(change: Change) -> User:
            now = find_by_token(change, token)
            if now is None:
                raise no_user()
            if _hash_of(change, now) != stored:
                raise _wrong()
            self._write(change, now, hashed=hashed)
            drop_tokens(change, now, keep=token)
            return now

        return await app.database.change(work)

    async def reset(self, app: App, *, email: str, code: str, password: str, ip: str) -> SignedIn:
        """Set a password by a magic code sent to the e-mail address; all earlier tokens end.

        code     it still works if anything fails
        raises   NotFound(app-user-magic-code), then NotFound(app-user) if no user has the address
        """
        check_enabled(app)
        raw = check_new_password(password, email=email, path="password")
        self._take_code(app, email, ip=ip)
        hashed = await self.hashes.make(raw)

        def work(change: Change) -> SignedIn | NotFound:
            consumed = self._codes.consume(change, email, code, settings=app.settings)
            if consumed != "right":
                return code_error(consumed)
            user = get_user(change, email=email)
            self._write(change, user, hashed=hashed)
            drop_tokens(change, user)
            return SignedIn(user, mint_token(change, user.id, runtime=self._runtime), False)

        return _raised(await app.database.change(work))

    async def set_by_admin(
        self, app: App, *, id: str | None, email: str | None, password: str | None
    ) -> User:
        """Set or remove a user's password; exactly one of id and e-mail is given. Tokens stay.

        password  None: remove it
        raises    NotFound(app-user); InvalidInput for a weak password
        """
        check_enabled(app)
        user = await app.database.look(lambda look: get_user(look, id=id, email=email))
        hashed = None
        if password is not None:
            raw = check_new_password(password, email=user.email, path="password")
            hashed = await self.hashes.make(raw)

        def work(change: Change) -> User:
            now = get_user(change, id=user.id)
            self._write(change, now, hashed=hashed)
            return now

        return await app.database.change(work)

    async def _finish_sign_in(
        self, app: App, user: User, password: str, *, stored: str
    ) -> SignedIn | None:
        """Make a token for a right password; None if another password is stored by now.

        stored   the hash it was compared with; replaced if its parameters are not today's
        """
        renewed = None
        if self.hashes.is_outdated(stored):
            renewed = await self.hashes.make(normalise(password))

        def work(change: Change) -> SignedIn | None:
            now = get_user(change, id=user.id)
            if _hash_of(change, now) != stored:
                return None
            if renewed is not None:
                self._write(change, now, hashed=renewed)
            return SignedIn(now, mint_token(change, now.id, runtime=self._runtime), False)

        return await app.database.change(work)

    async def _check(self, password: str, stored: str | None) -> None:
        """Raise unless `stored` is the hash of `password`. Compares once, even without a hash."""
        is_oversized = is_too_long(password)
        raw = b"" if is_oversized else normalise(password)
        if not await self.hashes.is_match(raw, stored) or is_oversized:
            raise _wrong()

    def _write(self, change: Change, user: User, *, hashed: str | None) -> None:
        """Store the password of a user, or remove it."""
        row = _password_row(change, user.id)
        if hashed is None:
            if row is not None:
                change.write(["delete", PASSWORDS, row.fields["id"]])
            return
        entity = new_key(self._runtime) if row is None else row.fields["id"]
        change.write(["update", PASSWORDS, entity, {"hash": hashed, "$user": user.id}])

    def _take_try(self, app: App, account: str, *, ip: str) -> None:
        """Count one try of a password for an account."""
        self._take_ip(ip)
        problem = "Too many passwords tried for this account; a magic code works all the same."
        self._throttle.take(("password", app.id, account), _BY_ACCOUNT, problem)

    def _take_code(self, app: App, email: str, *, ip: str) -> None:
        """Count one try of a magic code for an e-mail address, on any route."""
        self._take_ip(ip)
        self._throttle.verify(app.id, email)

    def _take_ip(self, ip: str) -> None:
        problem = "Too many passwords tried from this network address."
        self._throttle.take_network("password", ip, _BY_IP, problem)


def check_enabled(app: App) -> None:
    """Raise unless the app has switched passwords on."""
    if not app.settings.has_passwords:
        message = (
            "Sign-in with passwords is not enabled for this app. Its developer can switch it on:"
            ' POST /dash/apps/:app_id/sign-in-methods {"passwords": true}.'
        )
        raise invalid("sign-in-method", "passwords", [{"message": message}], message=message)


def _raised(outcome: SignedIn | NotFound) -> SignedIn:
    if isinstance(outcome, NotFound):
        raise outcome
    return outcome


def _password_row(look: Look, user_id: str) -> FoundRow | None:
    return find_row(look, PASSWORDS, "$user", find_uuid_bytes(user_id))


def _hash_of(look: Look, user: User) -> str | None:
    row = _password_row(look, user.id)
    return None if row is None else str(row.fields["hash"])


def _find_hash(look: Look, email: str) -> tuple[User | None, str | None]:
    user = find_user(look, email=email)
    return user, None if user is None else _hash_of(look, user)


def _wrong() -> NotFound:
    return NotFound(
        "record-not-found",
        "Record not found: app-user-password. The e-mail or the password is wrong, or the account"
        " has no password; a magic code works for every account.",
        {"record-type": "app-user-password", "args": []},
    )


def _exists(email: str) -> Conflict:
    return Conflict(
        "record-not-unique",
        "There is an account with this e-mail already. Sign in, or set a password for it with"
        " POST /runtime/auth/password/reset and the same code.",
        {"record-type": "app-user", "args": [{"email": email}]},
    )
