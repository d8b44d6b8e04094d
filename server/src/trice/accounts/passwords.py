"""Passwords of accounts: beside codes, for servers that send no e-mail.

source   spec/accounts.md AC58, AC59
"""

from __future__ import annotations

from typing import Final

from trice import auth_limits
from trice.accounts.accounts import Account, Accounts
from trice.auth.passwords.hash import PasswordHashes
from trice.auth.passwords.policy import check_new_password, is_too_long, normalise
from trice.auth.throttle import Throttle
from trice.errors import no_record
from trice.rate_limit import RateLimit

_HOUR_MS: Final = 3600 * 1000

TRIES: Final = RateLimit(
    auth_limits.PASSWORD_TRIES_PER_HOUR, auth_limits.PASSWORD_TRIES_PER_HOUR, _HOUR_MS
)
TRIES_OF_NETWORK: Final = RateLimit(
    auth_limits.PASSWORD_TRIES_PER_HOUR_OF_IP, auth_limits.PASSWORD_TRIES_PER_HOUR_OF_IP, _HOUR_MS
)


class AccountPasswords:
    """Sets and compares passwords. Holds none: their hashes are rows of accounts."""

    def __init__(self, accounts: Accounts, hashes: PasswordHashes) -> None:
        self._accounts = accounts
        self._hashes = hashes

    async def set(self, account: Account, password: str | None, *, keep: str | None = None) -> None:
        """Set the password, or remove it. Other sign-ins than `keep` end.

        raises   InvalidInput for a weak one, Unavailable("overloaded"), NotFound
        """
        hashed = None
        if password is not None:
            raw = check_new_password(password, email=account.email, path="password")
            hashed = await self._hashes.make(raw)
        await self._accounts.set_password(account, hashed, keep=keep)

    async def verify(self, email: str, password: str, *, throttle: Throttle, ip: str) -> Account:
        """The account with this address and password.

        raises   NotFound for an unknown address, an account without password and a wrong one,
                 always after the same work; LimitExceeded, Unavailable("overloaded")
        """
        problem = "Too many passwords tried from this network address."
        throttle.take_network("account-password", ip, TRIES_OF_NETWORK, problem)
        problem = "Too many passwords tried for this account; a code works all the same."
        throttle.take(("account-password", email), TRIES, problem)
        account = self._accounts.find_by_email(email)
        stored = None if account is None else self._accounts.find_password(account)
        is_oversized = is_too_long(password)
        raw = b"" if is_oversized else normalise(password)
        is_match = await self._hashes.is_match(raw, stored)
        if account is None or not is_match or is_oversized:
            told = "The e-mail address or the password is wrong."
            raise no_record("instant-user-password", told)
        return account
