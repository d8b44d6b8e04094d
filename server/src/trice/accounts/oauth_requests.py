"""Requests of OAuth clients that wait for a person, and the codes that a yes leads to. In memory.

    begun ──> shown ──> allowed: code ──> used: tokens        later than OAUTH_REQUEST_MS: gone
      │         └─────> refused
      └── by the browser that has the cookie, nobody else

A restart ends those that wait, and people begin again. All secrets are kept as hashes: the cookie,
which ties a request to one browser; the grant token, which only the page that was shown has; the
code.

source   instant-http §4.9; spec/accounts.md AC94-AC99
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from trice import account_limits
from trice.accounts.accounts import Account
from trice.accounts.oauth_apps import OAuthApps, OAuthClient
from trice.accounts.oauth_definitions import scopes_in
from trice.auth.oauth.origins import add_parameters, read_url
from trice.auth.throttle import Throttle
from trice.errors import InvalidInput, NotFound, PermissionDenied, Unavailable, no_record
from trice.rate_limit import RateLimit
from trice.runtime import Runtime, new_key, new_uuid

_HOUR_MS: Final = 3600 * 1000
_KIND: Final = "oauth-app-redirect"
_CODE_BYTES: Final = 32
_CHALLENGE: Final = re.compile("[A-Za-z0-9_-]{43}")

STARTS: Final = RateLimit(
    account_limits.OAUTH_STARTS_OF_NETWORK_PER_HOUR,
    account_limits.OAUTH_STARTS_OF_NETWORK_PER_HOUR,
    _HOUR_MS,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asks a person for.

    challenge   PKCE, S256; None: the client proves itself by its secret
    """

    client_id: str
    oauth_app_id: str
    redirect_url: str
    state: str
    scopes: tuple[str, ...]
    challenge: str | None


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for a person.

    account       who looks at it now
    hashed_grant  of the token that only the page has which was shown to that account
    """

    wish: Wish
    hashed_cookie: bytes
    began_ms: int
    account: Account | None = None
    hashed_grant: bytes | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """A code: what was allowed, by whom. `grant_id` names all that comes of it."""

    wish: Wish
    account: Account
    grant_id: str
    ends_ms: int
    was_used: bool = False


class Astray(Exception):
    """A request that cannot be answered by sending the browser back, as where to is not sure."""


class SentBack(Exception):
    """A request that is refused by sending the browser back to the client."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class OAuthRequests:
    """What waits now. Holds hashes of all secrets.

    is_member   whether an account is a member of an app
    """

    def __init__(
        self,
        oauth_apps: OAuthApps,
        *,
        is_member: Callable[[str, Account], bool],
        runtime: Runtime,
    ) -> None:
        self._oauth_apps = oauth_apps
        self._is_member = is_member
        self._runtime = runtime
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()
        self._codes: OrderedDict[bytes, Code] = OrderedDict()

    def begin(
        self, query: dict[str, str], *, issuer: str, throttle: Throttle, ip: str
    ) -> tuple[str, str]:
        """Begin a request; return its id, for the page, and the cookie, for the browser.

        query    of `GET /platform/oauth/start`
        raises   Astray; SentBack; LimitExceeded("rate-limited"), Unavailable("overloaded")
        """
        throttle.take_network("oauth-start", ip, STARTS, "Too many sign-ins from this network.")
        client, redirect_url = self._find_way_back(query)
        state = query.get("state", "")
        if not state or len(state) > account_limits.OAUTH_STATE_CHARS_MAX:
            raise Astray(
                f"The application sent no `state` of 1 to {account_limits.OAUTH_STATE_CHARS_MAX:,}"
                " characters."
            )
        try:
            wish = _read_wish(client, redirect_url, state, query)
        except _Refusal as refusal:
            answer = {"error": refusal.error, "error_description": str(refusal)}
            raise SentBack(_way_back(redirect_url, state, issuer, answer)) from refusal
        self._forget_old()
        if len(self._waiting) + len(self._codes) >= account_limits.OAUTH_REQUESTS_MAX:
            raise Unavailable("overloaded", "Too many sign-ins wait for people. Try later.")
        request_id, cookie = new_uuid(self._runtime), new_uuid(self._runtime)
        self._waiting[request_id] = Waiting(wish, _hash(cookie), self._runtime.now_ms())
        return request_id, cookie

    def _find_way_back(self, query: dict[str, str]) -> tuple[OAuthClient, str]:
        client = self._oauth_apps.find_client(query.get("client_id", ""))
        if client is None:
            raise Astray("There is no application with this client_id here.")
        redirect_url = query.get("redirect_uri", "")
        if redirect_url not in client.redirect_urls:
            raise Astray(
                "The redirect_uri is none of those that the application registered. They are"
                " compared letter by letter."
            )
        return client, redirect_url

    def origin_of(self, request_id: str) -> str | None:
        """Scheme and host that the browser will be sent to, as a policy of a page names them; None
        for an unknown request."""
        waiting = self._waiting.get(request_id)
        url = None if waiting is None else read_url(waiting.wish.redirect_url)
        return None if url is None else f"{url.scheme}://{url.host_and_port}"

    def show(self, request_id: str, cookie: str | None, account: Account) -> dict[str, Any]:
        """What the person must know to decide, with the grant token of the page that shows it.

        raises   NotFound; PermissionDenied for who may not use an OAuth app that is not public
        """
        waiting = self._get(request_id, cookie)
        client = self._get_client(waiting.wish)
        self.check_member(client, account)
        grant_token = self._runtime.random_bytes(_CODE_BYTES).hex()
        waiting.account, waiting.hashed_grant = account, _hash(grant_token)
        said = client.oauth_app.definition
        return {
            "appName": said.name,
            "userEmail": account.email,
            "supportEmail": said.support_email,
            "appPrivacyPolicyLink": said.privacy_policy,
            "appLogo": said.logo,
            "appTosLink": said.terms,
            "appHomePage": said.home_page,
            "redirectOrigin": self.origin_of(request_id),
            "scopes": list(waiting.wish.scopes),
            "grantToken": grant_token,
        }

    def allow(self, request_id: str, cookie: str | None, grant_token: str, *, issuer: str) -> str:
        """The person says yes: the URL to return to, with a code. raises   as `show`"""
        waiting = self._get(request_id, cookie)
        account = _check_grant(waiting, grant_token)
        client = self._get_client(waiting.wish)
        self.check_member(client, account)
        if waiting.wish.redirect_url not in client.redirect_urls:
            raise no_record(_KIND, "The application does not return there any more.")
        del self._waiting[request_id]
        code = self._runtime.random_bytes(_CODE_BYTES).hex()
        ends_ms = self._runtime.now_ms() + account_limits.OAUTH_REQUEST_MS
        grant_id = new_key(self._runtime)
        self._codes[_hash(code)] = Code(waiting.wish, account, grant_id, ends_ms)
        answer = {"code": code, "scope": " ".join(waiting.wish.scopes)}
        return _way_back(waiting.wish.redirect_url, waiting.wish.state, issuer, answer)

    def refuse(self, request_id: str, cookie: str | None, grant_token: str, *, issuer: str) -> str:
        """The person says no: the URL to return to. raises   as `allow`"""
        waiting = self._get(request_id, cookie)
        _check_grant(waiting, grant_token)
        client = self._get_client(waiting.wish)
        if waiting.wish.redirect_url not in client.redirect_urls:
            raise no_record(_KIND, "The application does not return there any more.")
        del self._waiting[request_id]
        answer = {"error": "access_denied"}
        return _way_back(waiting.wish.redirect_url, waiting.wish.state, issuer, answer)

    def take_code(self, text: str) -> Code:
        """Use a code up; return it as it was. It is remembered as used until its time is over.

        raises   NotFound
        """
        hashed = _hash(text)
        code = self._codes.get(hashed)
        if code is None:
            raise no_record("oauth-code", "There is no such code.")
        if code.ends_ms <= self._runtime.now_ms():
            told = "Record expired: oauth-code. The person has to allow it again."
            raise NotFound("record-expired", told, {"record-type": "oauth-code", "args": []})
        self._codes[hashed] = Code(code.wish, code.account, code.grant_id, code.ends_ms, True)
        return code

    def end_codes(self, account: Account, oauth_app_id: str) -> None:
        """Forget the codes that an account allowed an OAuth app."""
        for hashed, code in list(self._codes.items()):
            if code.account.id == account.id and code.wish.oauth_app_id == oauth_app_id:
                del self._codes[hashed]

    def check_member(self, client: OAuthClient, account: Account) -> None:
        """Refuse who may not use an OAuth app that is not public; raises PermissionDenied."""
        oauth_app = client.oauth_app
        if not oauth_app.definition.is_public and not self._is_member(oauth_app.app_id, account):
            raise PermissionDenied(
                "permission-denied",
                "This application is not public yet: only members of its own app may use it.",
                {"input": "oauth-app", "expected": "member?"},
            )

    def _get(self, request_id: str, cookie: str | None) -> Waiting:
        waiting = self._waiting.get(request_id)
        is_own = waiting is not None and cookie is not None
        if (
            waiting is None
            or not is_own
            or not hmac.compare_digest(waiting.hashed_cookie, _hash(cookie or ""))
        ):
            told = "There is no such sign-in in this browser. Begin again at the application."
            raise no_record(_KIND, told)
        if self._runtime.now_ms() - waiting.began_ms >= account_limits.OAUTH_REQUEST_MS:
            told = f"Record expired: {_KIND}. It took too long. Begin again at the application."
            raise NotFound("record-expired", told, {"record-type": _KIND, "args": []})
        return waiting

    def _get_client(self, wish: Wish) -> OAuthClient:
        client = self._oauth_apps.find_client(wish.client_id)
        if client is None:
            raise no_record("oauth-app-client", "The application was removed meanwhile.")
        if any(scope not in client.oauth_app.definition.scopes for scope in wish.scopes):
            raise no_record(_KIND, "The application may not ask for this any more.")
        return client

    def _forget_old(self) -> None:
        now_ms = self._runtime.now_ms()
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if now_ms - oldest.began_ms < account_limits.OAUTH_REQUEST_MS:
                break
            self._waiting.popitem(last=False)
        while self._codes and next(iter(self._codes.values())).ends_ms <= now_ms:
            self._codes.popitem(last=False)


class _Refusal(Exception):
    """Why a request is sent back, in the words of RFC 6749 §4.1.2.1."""

    def __init__(self, error: str, told: str) -> None:
        super().__init__(told)
        self.error = error


def _read_wish(client: OAuthClient, redirect_url: str, state: str, query: dict[str, str]) -> Wish:
    if query.get("response_type") != "code":
        raise _Refusal("unsupported_response_type", "response_type must be code")
    try:
        scopes = scopes_in(query.get("scope", ""))
    except InvalidInput as failure:
        raise _Refusal("invalid_scope", "scope must name known scopes") from failure
    if any(scope not in client.oauth_app.definition.scopes for scope in scopes):
        raise _Refusal("invalid_scope", "the application may not ask for these scopes")
    challenge = query.get("code_challenge") or None
    method = query.get("code_challenge_method") or None
    if (challenge is None) != (method is None) or method not in (None, "S256"):
        raise _Refusal("invalid_request", "code_challenge_method must be S256, with a challenge")
    if challenge is not None and _CHALLENGE.fullmatch(challenge) is None:
        raise _Refusal("invalid_request", "code_challenge must be the base64url of a SHA-256")
    return Wish(client.id, client.oauth_app.id, redirect_url, state, scopes, challenge)


def _check_grant(waiting: Waiting, grant_token: str) -> Account:
    is_right = waiting.hashed_grant is not None and hmac.compare_digest(
        waiting.hashed_grant, _hash(grant_token)
    )
    if waiting.account is None or not is_right:
        raise no_record("oauth-app-grant", "Reload the page, and decide there.")
    return waiting.account


def _way_back(redirect_url: str, state: str, issuer: str, answer: dict[str, str]) -> str:
    """`iss` lets a client of several servers see who answers (RFC 9207)."""
    return add_parameters(redirect_url, {**answer, "state": state, "iss": issuer})


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
