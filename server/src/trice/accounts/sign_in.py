"""Signing in to an account: with a code from an e-mail, or on behalf of a command line.

    code   asked ──> waiting ──> used | expired
    login  waiting ──> claimed ──> used        by a person on the page of the server
              └──────> voided

Codes and logins live for minutes, in memory: a restart ends those that wait, and people ask again.

source   instant-http §5.1; spec/accounts.md AC50-AC57
"""

from __future__ import annotations

import hashlib
import hmac
import html
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from trice import account_limits
from trice.accounts.accounts import Account, Accounts
from trice.accounts.orgs import Org, Orgs
from trice.accounts.transfers import Transfers
from trice.auth.magic_codes import new_code
from trice.auth.throttle import Throttle
from trice.background import Background
from trice.errors import InvalidInput, NotFound, TriceError, Unavailable, invalid, no_record
from trice.log import fields
from trice.mail import Mail, Message
from trice.rate_limit import RateLimit
from trice.runtime import Runtime, new_uuid

logger: Final = logging.getLogger("trice.accounts")

_HOUR_MS: Final = 3600 * 1000
_KIND: Final = "instant-cli-login"
_SECRET_BYTES: Final = 32
_PLATFORM: Final = "platform"
"""Stands for an app where tries to sign in are counted."""

LOGINS: Final = RateLimit(
    account_limits.LOGINS_OF_NETWORK_PER_HOUR, account_limits.LOGINS_OF_NETWORK_PER_HOUR, _HOUR_MS
)
INVITES_OF: Final = RateLimit(
    account_limits.INVITES_OF_ACCOUNT_PER_HOUR, account_limits.INVITES_OF_ACCOUNT_PER_HOUR, _HOUR_MS
)
INVITES_TO: Final = RateLimit(
    account_limits.INVITES_TO_ADDRESS_PER_HOUR, account_limits.INVITES_TO_ADDRESS_PER_HOUR, _HOUR_MS
)
FIRST_ACCOUNTS: Final = RateLimit(
    account_limits.FIRST_ACCOUNT_TRIES_PER_HOUR,
    account_limits.FIRST_ACCOUNT_TRIES_PER_HOUR,
    _HOUR_MS,
)

Issue = Literal["waiting-for-user", "user-voided-request", "user-already-claimed"]

_TOLD: Final[dict[Issue, str]] = {
    "waiting-for-user": "Nobody has confirmed this sign-in yet.",
    "user-voided-request": "The person refused this sign-in. Begin another.",
    "user-already-claimed": "This sign-in was completed before. Begin another.",
}


@dataclass(slots=True, eq=False)
class Login:
    """A command line that waits for a person.

    account   who confirmed it
    issue     what it is told when it asks; None: that it is signed in
    """

    ticket: str
    began_ms: int
    account: Account | None = None
    issue: Issue | None = "waiting-for-user"


class CliLogins:
    """The command lines that sign in now. Holds hashes of their secrets."""

    def __init__(self, accounts: Accounts, *, runtime: Runtime) -> None:
        self._accounts = accounts
        self._runtime = runtime
        self._by_secret: OrderedDict[str, Login] = OrderedDict()
        self._by_ticket: dict[str, Login] = {}

    def begin(self, throttle: Throttle, *, ip: str) -> tuple[str, str]:
        """Begin a login; return its secret, for the command line, and its ticket, for the person.

        raises   LimitExceeded("rate-limited"), Unavailable("overloaded")
        """
        problem = "Too many sign-ins of command lines from this network address."
        throttle.take_network("cli-login", ip, LOGINS, problem)
        self._forget_old()
        if len(self._by_secret) >= account_limits.LOGINS_MAX:
            raise Unavailable("overloaded", "Too many command lines sign in at once. Try later.")
        secret, ticket = new_uuid(self._runtime), new_uuid(self._runtime)
        login = Login(ticket, self._runtime.now_ms())
        self._by_secret[_hash(secret)] = login
        self._by_ticket[ticket] = login
        return secret, ticket

    def claim(self, account: Account, ticket: str) -> None:
        """Confirm a login as this account; raises NotFound, InvalidInput when it was answered."""
        login = self._get(self._by_ticket.get(ticket))
        if login.issue != "waiting-for-user":
            raise _told(login.issue or "user-already-claimed")
        login.account, login.issue = account, None

    def void(self, ticket: str) -> None:
        """Refuse a login; raises as `claim`."""
        login = self._get(self._by_ticket.get(ticket))
        if login.issue != "waiting-for-user":
            raise _told(login.issue or "user-already-claimed")
        login.issue = "user-voided-request"

    async def check(self, secret: str) -> tuple[str, str]:
        """The token and e-mail address that a login got; it gets them once.

        raises   InvalidInput while the person has not confirmed, or will not, with
                 `errors[0].issue`; NotFound
        """
        login = self._get(self._by_secret.get(_hash(secret)))
        if login.issue is not None or login.account is None:
            raise _told(login.issue or "waiting-for-user")
        login.issue = "user-already-claimed"
        name, life_ms = "sign-in of a command line", account_limits.SESSION_MS
        _, token = await self._accounts.make_token(
            login.account, name=name, kind="session", life_ms=life_ms
        )
        return token, login.account.email

    def _get(self, login: Login | None) -> Login:
        if login is None:
            raise no_record(_KIND, "There is no such sign-in; begin another.")
        if self._runtime.now_ms() - login.began_ms >= account_limits.LOGIN_MS:
            told = f"Record expired: {_KIND}. It took too long; begin another sign-in."
            raise NotFound("record-expired", told, {"record-type": _KIND, "args": []})
        return login

    def _forget_old(self) -> None:
        now_ms = self._runtime.now_ms()
        while self._by_secret:
            oldest = next(iter(self._by_secret.values()))
            if now_ms - oldest.began_ms < account_limits.LOGIN_KEPT_MS:
                return
            self._by_secret.popitem(last=False)
            del self._by_ticket[oldest.ticket]


@dataclass(frozen=True, slots=True)
class _Code:
    hashed: bytes
    ends_ms: int


class AccountCodes:
    """Codes that sign in to accounts: one an address, the newest. Holds hashes.

    may_register   whether an address without an account gets one by signing in
    """

    def __init__(
        self,
        accounts: Accounts,
        *,
        may_register: Callable[[str], bool],
        runtime: Runtime,
        background: Background,
    ) -> None:
        self._accounts = accounts
        self._may_register = may_register
        self._runtime = runtime
        self._background = background
        self._key = runtime.random_bytes(_SECRET_BYTES)
        self._codes: OrderedDict[str, _Code] = OrderedDict()

    async def send(self, email: str, *, throttle: Throttle, mail: Mail, ip: str) -> None:
        """Send a code to an account, or an address that may get one. To others nothing is sent, and
        nobody is told so, neither by the answer nor by how long it takes: the e-mail is handed over
        afterwards.

        raises   LimitExceeded
        """
        throttle.sign_in("send", ip)
        throttle.send(_PLATFORM, email, is_ephemeral=False)
        if self._accounts.find_by_email(email) is None and not self._may_register(email):
            return
        code = new_code(self._runtime)
        ends_ms = self._runtime.now_ms() + account_limits.CODE_MS
        self._codes[email] = _Code(self._hash(email, code), ends_ms)
        self._codes.move_to_end(email)
        if len(self._codes) > account_limits.CODES_MAX:
            self._codes.popitem(last=False)
        self._background.begin(_deliver(mail, _letter(email, code)))

    async def verify(self, email: str, code: str, *, throttle: Throttle, ip: str) -> Account:
        """Use a code up; return the account, which is made if the address may get one.

        raises   NotFound, LimitExceeded
        """
        throttle.sign_in("verify", ip)
        throttle.verify(_PLATFORM, email)
        kept = self._codes.get(email)
        account = self._accounts.find_by_email(email)
        is_right = kept is not None and hmac.compare_digest(kept.hashed, self._hash(email, code))
        is_known = account is not None or self._may_register(email)
        if kept is None or not is_known or not is_right:
            told = "The code is wrong, or was used already."
            raise no_record("instant-user-magic-code", told)
        del self._codes[email]
        if kept.ends_ms <= self._runtime.now_ms():
            told = "Record expired: instant-user-magic-code. Ask for a new code."
            hint = {"record-type": "instant-user-magic-code", "args": []}
            raise NotFound("record-expired", told, hint)
        return await self._accounts.create(email) if account is None else account

    def _hash(self, email: str, code: str) -> bytes:
        text = f"{email} {code}".encode(errors="replace")
        return hmac.digest(self._key, text, "sha256")


class FirstAccount:
    """The secret in the link that makes the first account of a server; a new one each start."""

    def __init__(self, accounts: Accounts, *, runtime: Runtime) -> None:
        self._accounts = accounts
        self._secret = runtime.random_bytes(_SECRET_BYTES).hex()

    def find_path(self) -> str | None:
        """Path and query of the link; None once there is an account."""
        return f"/dash?first={self._secret}" if self._accounts.is_empty() else None

    async def make(self, secret: str, email: str, *, throttle: Throttle, ip: str) -> Account:
        """Make the first account for somebody who has the link.

        raises   NotFound for a wrong secret, Conflict when there is an account, LimitExceeded
        """
        problem = "Too many tries to make the first account from this network address."
        throttle.take_network("first-account", ip, FIRST_ACCOUNTS, problem)
        if not hmac.compare_digest(secret.encode(errors="replace"), self._secret.encode()):
            told = "The link is not that of the latest start of this server; its log has that."
            raise no_record("first-account-link", told)
        return await self._accounts.create(email, is_first=True)


def make_may_register(registration: str, orgs: Orgs, transfers: Transfers) -> Callable[[str], bool]:
    """Whether an address gets an account by signing in, by the setting of the server."""
    if registration == "invited":
        return lambda email: orgs.has_invite(email) or bool(transfers.to(email))
    return lambda email: registration == "open"


def count_invite(throttle: Throttle, email: str, *, by: Account) -> None:
    """Count an invitation; raises LimitExceeded("rate-limited")."""
    problem = "Too many invitations were sent."
    throttle.take(("invites-of", by.id), INVITES_OF, problem)
    throttle.take(("invites-to", email), INVITES_TO, problem)


async def send_invite(mail: Mail, org: Org, email: str, *, by: Account, url: str | None) -> None:
    """Tell somebody of an invitation. A failure is the operator's business, in the log.

    url   of the page where it is accepted; None: unknown
    """
    await _offer(mail, f"{by.email} invites you to {org.title}", email, url=url)


async def send_transfer(
    mail: Mail, title: str, email: str, *, by: Account, url: str | None
) -> None:
    """Tell somebody that an app is offered to them. A failure is in the log.

    url   of the page where it is accepted; None: unknown
    """
    await _offer(mail, f"{by.email} hands the app {title} over to you", email, url=url)


async def _offer(mail: Mail, told: str, email: str, *, url: str | None) -> None:
    place = url or "at /dash of the server"
    text = f"{told}. Sign in as {email} to accept: {place}"
    message = Message(
        to=email,
        name="trice",
        subject=told,
        body_html=f"<p>{html.escape(text)}</p>",
        body_text=text,
    )
    await _deliver(mail, message)


async def _deliver(mail: Mail, message: Message) -> None:
    try:
        await mail.send(message)
    except TriceError as failure:
        told = fields(to=message.to, reason=failure.message)
        logger.warning("an e-mail about an account was not sent %s", told)


def _letter(email: str, code: str) -> Message:
    text = f"Your code is {code}. It signs you in to this trice server for ten minutes."
    return Message(
        to=email,
        name="trice",
        subject=f"{code} is your code to sign in to trice",
        body_html=f"<p>{text}</p>",
        body_text=text,
    )


def _told(issue: Issue) -> InvalidInput:
    errors = [{"issue": issue, "message": _TOLD[issue]}]
    return invalid("cli-login", None, errors, message=_TOLD[issue])


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
