"""The caller of a request, and the app it is about (instant-http §0.5, §0.6, §3.1, §5.2)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import HTTPConnection, Request

from trice.accounts.accounts import Account, Accounts, Credential
from trice.accounts.oauth_tokens import OAuthTokens
from trice.accounts.orgs import Orgs, Role, check_role
from trice.api.parameters import malformed, missing, uuid_in
from trice.apps.apps import App, Apps, wrong_admin_token
from trice.apps.registry import AppRow
from trice.auth.throttle import Throttle
from trice.auth.tokens import hash_token, identify, identify_email
from trice.errors import InvalidInput, NotFound, no_record
from trice.identity import ADMIN, Identity, TurnKey, caller_ip, network_of
from trice.protocol.ids import AppId, find_uuid_bytes

_PERSONAL_TOKEN: Final = re.compile("(per|pat)_[0-9a-f]{64}")
_COUNTED: Final = "trice.counted"
"""Key in the scope of a request that counted already."""

_BEARER: Final = re.compile("bearer ", re.IGNORECASE)


# --- from headers -------------------------------------------------------------------------------


def app_id_of(request: Request) -> AppId:
    """The app a request is about: header `app-id`, else query parameter `app_id`."""
    place = ("headers", "app-id")
    given = request.headers.get("app-id")
    if not given:
        place, given = ("params", "app_id"), request.query_params.get("app_id")
    if given is None:
        raise missing("headers", "app-id", possible=[["headers", "app-id"], ["params", "app_id"]])
    if find_uuid_bytes(given.strip()) is None:
        raise malformed(*place, given=given, accepted="a uuid")
    return AppId(given.strip().lower())


def bearer_token(request: Request) -> str | None:
    """The text after the last `Bearer `, in upper or lower case. None if there is none, or if it is
    JavaScript's `undefined`: then the request has no token."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    token = _BEARER.split(header.strip())[-1].strip()
    return None if token.lower() in ("", "bearer", "undefined", "null") else token


def required_token(request: Request) -> str:
    """The token of a request that must have one, in the form of an app's token or of a personal
    one.

    raises   InvalidInput without one
    """
    if request.headers.get("authorization") is None:
        raise missing("headers", "authorization")
    token = bearer_token(request)
    if token is None or not is_token(token):
        accepted = '"Bearer <admin token>", with the admin token of the app, a uuid'
        if token is None:
            accepted += "; here it is empty, as when a variable for it is not set"
        # The error does not repeat the header: it may hold a secret.
        raise malformed("headers", "authorization", given=None, accepted=accepted)
    return token


def is_token(token: str) -> bool:
    """Whether a text has the form of a token: of an app or sign-in, or of a person."""
    return find_uuid_bytes(token) is not None or _PERSONAL_TOKEN.fullmatch(token) is not None


def is_of_account(request: Request, token: str) -> bool:
    """Whether a token is of a person, not of an app or its users: personal, or of a sign-in."""
    if _PERSONAL_TOKEN.fullmatch(token) is not None:
        return True
    return find_uuid_bytes(token) is not None and find_credential(request, token) is not None


def guest_of(request: HTTPConnection) -> Identity:
    """The identity of a caller who is not signed in: the address and origin of the request."""
    headers = request.headers
    ip = caller_ip(
        request.client.host if request.client is not None else "",
        headers.getlist("x-forwarded-for"),
        trusted_proxies=request.app.state.settings.trusted_proxies,
    )
    return Identity("guest", ip=ip, origin=headers.get("origin", ""))


def turn_key_of(request: Request, app_id: str) -> TurnKey:
    """The turn of work on an app's rules: that of the app, in the network of the caller."""
    return network_of(guest_of(request).ip), app_id


def throttle_of(request: Request) -> Throttle:
    """The counter of tries to sign in to this server."""
    state = request.app.state
    return Throttle(state.apps.buckets, state.runtime)


# --- apps lent to requests ----------------------------------------------------------------------


@asynccontextmanager
async def lent_app(request: Request, app_id: str) -> AsyncIterator[App]:
    """Lend an app for the time of a request that its developer or the server makes."""
    apps: Apps = request.app.state.apps
    app = await apps.lend(app_id)
    try:
        yield app
    finally:
        apps.give_back(app)


@asynccontextmanager
async def asked_app(request: Request, app_id: str) -> AsyncIterator[App]:
    """Lend an app for the time of a request that counts among those that it may be sent.

    raises   as `Apps.lend`; LimitExceeded("rate-limited")
    """
    async with lent_app(request, app_id) as app:
        if _COUNTED not in request.scope:
            request.scope[_COUNTED] = True
            app.meter.take(app.allowed)
        yield app


@asynccontextmanager
async def app_of(
    request: Request, values: Mapping[str, Any], key: str = "app-id", *, place: str = "body"
) -> AsyncIterator[App]:
    """Lend the app that the request names, to any caller."""
    async with asked_app(request, uuid_in(values, key, place=place)) as app:
        yield app


@asynccontextmanager
async def administered(request: Request) -> AsyncIterator[App]:
    """Lend the app named by headers to a caller with its admin token; `as-…` headers are ignored.

    raises   InvalidInput without a token; NotFound for one that is not this app's
    """
    app_id = app_id_of(request)
    async with _lent_to_admin(request, app_id, required_token(request)) as app:
        yield app


@asynccontextmanager
async def _lent_to_admin(request: Request, app_id: AppId, token: str) -> AsyncIterator[App]:
    """Lend an app to a caller with its admin token, or a token of its owner (instant-http §5.5).

    raises   NotFound for a token that is not this app's, and for an unknown app. The error is the
             same, so that it does not tell which apps exist. PermissionDenied for a token of the
             owner that is for other things
    """
    is_personal = _PERSONAL_TOKEN.fullmatch(token) is not None
    credential = find_credential(request, token) if is_personal else None
    if is_personal and credential is None:
        raise _unknown_person(token)
    async with contextlib.AsyncExitStack() as stack:
        try:
            app = await stack.enter_async_context(asked_app(request, app_id))
        except NotFound as failure:
            raise wrong_admin_token() from failure
        if not is_personal:
            try:
                app.check_admin_token(token)
            except NotFound:
                credential = find_credential(request, token)
                if credential is None:
                    raise
        if credential is not None:
            if find_role(request, app.row, credential.account) is None:
                raise wrong_admin_token()
            check_access(request, app.row, credential)
            request.state.account_token = token
        yield app


def check_again(request: Request, app_id: AppId, token: str) -> None:
    """Judge a request that `_lent_to_admin` let through with a token of an account once more.

    raises   TriceError when it would be refused now
    """
    credential = find_credential(request, token)
    if credential is None:
        raise _unknown_person(token)
    apps: Apps = request.app.state.apps
    check_access(request, apps.get_row(app_id), credential)


@asynccontextmanager
async def developed(request: Request, *, role: Role | None = None) -> AsyncIterator[App]:
    """Lend the app in the path to its developer: a caller with its admin token, or with a token of
    an account that it belongs to (instant-http §4.1, §5.2).

    role     what the account must be; None: a viewer to read, a collaborator to change
    raises   InvalidInput without a token, for the token of another app, and for an account that
             the app does not belong to; NotFound, as 401, for an unknown token; PermissionDenied
             for a token that is for other things
    """
    app_id = uuid_in(request.path_params, "app_id", place="params")
    if request.headers.get("authorization") is None:
        raise missing("headers", "authorization")
    token = bearer_token(request)
    is_personal = token is not None and _PERSONAL_TOKEN.fullmatch(token) is not None
    credential = find_credential(request, token) if token is not None and is_personal else None
    # Clients of OAuth refresh their token when it is told to be unknown.
    is_told = request.url.path.startswith("/superadmin/") or (token or "").startswith("pat_")
    if token is not None and is_personal and credential is None and is_told:
        raise _unknown_person(token)
    if token is None or (credential is None and find_uuid_bytes(token) is None):
        accepted = '"Bearer <token>", with the admin token of the app or one of its account'
        raise malformed("headers", "authorization", given=None, accepted=accepted)
    async with lent_app(request, app_id) as app:
        if credential is None:
            credential = _admin_or_account(request, app, token)
        if credential is not None:
            check_access(request, app.row, credential, role=role)
            request.state.developer_email = credential.account.email
        yield app


def developer_email(request: Request) -> str | None:
    """Of the account whose token let a request through `developed`; None: the admin token did."""
    found: str | None = getattr(request.state, "developer_email", None)
    return found


def _admin_or_account(request: Request, app: App, token: str) -> Credential | None:
    """None for the app's admin token, else the account whose sign-in the token is."""
    try:
        app.check_admin_token(token)
        return None
    except NotFound as failure:
        credential = find_credential(request, token)
        if credential is not None:
            return credential
        apps: Apps = request.app.state.apps
        if apps.is_admin_token(token):
            raise _mismatch() from failure
        raise unknown_session() from failure


# --- accounts -----------------------------------------------------------------------------------


def find_credential(request: Request, token: str) -> Credential | None:
    """The account that a token proves; raises NotFound("record-expired")."""
    if token.startswith("pat_"):
        oauth_tokens: OAuthTokens = request.app.state.oauth_tokens
        return oauth_tokens.find_by_token(token)
    accounts: Accounts = request.app.state.accounts
    return accounts.find_by_token(token)


def account_caller(request: Request, scope: str | None = None) -> Credential:
    """The account whose token a request has: of a sign-in, or a personal one (instant-http §5.2).

    scope    what the token must be for; None: the account itself, which is nothing for the
             applications of others
    raises   InvalidInput without a token; NotFound, as 401 if it is that of an old sign-in;
             PermissionDenied
    """
    if request.headers.get("authorization") is None:
        raise missing("headers", "authorization")
    token = bearer_token(request)
    if token is None or not is_token(token):
        accepted = '"Bearer <token>", with a token of an account'
        raise malformed("headers", "authorization", given=None, accepted=accepted)
    credential = find_credential(request, token)
    if credential is None:
        if _PERSONAL_TOKEN.fullmatch(token):
            raise _unknown_person(token)
        raise unknown_session()
    if scope is not None:
        credential.demand(scope)
    elif credential.token.kind == "oauth":
        credential.whole()
    return credential


def check_access(
    request: Request, row: AppRow, credential: Credential, *, role: Role | None = None
) -> Role:
    """Refuse an account that may not do with an app what a request asks; return its role.

    role     what it must be; None: a viewer to read, a collaborator to change
    raises   InvalidInput("validation-failed", data-type "user-role"), PermissionDenied for a role
             that is too weak, or a token that is for other things (instant-http §0.11, §4.1)
    """
    scope = _scope_of(request)
    needed: Role = "viewer" if scope.endswith("-read") else "collaborator"
    has = check_role(find_role(request, row, credential.account), role or needed)
    credential.demand(scope)
    return has


def find_role(request: Request, row: AppRow, account: Account) -> Role | None:
    """The role of an account in an app."""
    return orgs_of(request).role_in(row, account)


def orgs_of(request: Request) -> Orgs:
    """The organisations of this server."""
    orgs: Orgs = request.app.state.orgs
    return orgs


def _scope_of(request: Request) -> str:
    """What a token of an account must be for, to make this request."""
    path = request.url.path
    is_read = request.method in ("GET", "HEAD") or path.endswith(_READS)
    # To read a backup is to read data; to make one is not.
    is_data = path.startswith(("/admin/", "/runtime/functions")) or "/webhooks" in path
    is_data = is_data or (is_read and "/backups" in path)
    of = "storage" if "/storage/" in path else "data" if is_data else "apps"
    return f"{of}-{'read' if is_read else 'write'}"


_READS: Final = (
    *("/admin/query", "/admin/query_perms_check", "/admin/subscribe-query", "/schema/push/plan"),
)


def _unknown_person(token: str) -> NotFound:
    """An unknown personal token, or one of OAuth, after which clients refresh it."""
    kind = "oauth-access-token" if token.startswith("pat_") else "instant-user"
    return no_record(kind, "No account here has this token, or it was revoked.")


def unknown_session() -> NotFound:
    """An unknown token of a sign-in; the answer is 401, so that clients sign in again."""
    return NotFound(
        "record-not-found",
        "Record not found: instant-user. The token is neither the admin token of this app nor one"
        " of an account.",
        {"record-type": "instant-user", "args": [{"auth?": True}]},
    )


def _mismatch() -> InvalidInput:
    """The token belongs to another app: the developer mixed two up (instant-http §4.1)."""
    return InvalidInput(
        "validation-failed",
        "Validation failed for admin-token: It is the admin token of another app. Check which app"
        " id and token belong together.",
        {"reason": "admin-token-mismatch"},
    )


@dataclass(frozen=True, slots=True)
class Lent:
    """An app lent to a request, and the caller's identity.

    hashed_token  hash of the refresh token that proves the identity, if one does: it ends with it
    """

    app: App
    identity: Identity
    hashed_token: str | None = None


@asynccontextmanager
async def admin_caller(request: Request) -> AsyncIterator[Lent]:
    """Lend the app to the request, with the identity that its headers prove (instant-http §3.1).

    The admin token alone acts as admin; with `as-email` it acts as that user. `as-token` and
    `as-guest` need no admin token.
    """
    app_id = app_id_of(request)
    # A caller that acts as a user or guest needs no admin token, but may not send a wrong one.
    is_acting = "as-token" in request.headers or (
        "as-guest" in request.headers and "as-email" not in request.headers
    )
    if is_acting and bearer_token(request) is None:
        async with asked_app(request, app_id) as app:
            yield await _identify(app, request)
    else:
        async with _lent_to_admin(request, app_id, required_token(request)) as app:
            yield await _identify(app, request)


@asynccontextmanager
async def runtime_caller(request: Request, *, app_id: str | None = None) -> AsyncIterator[Lent]:
    """Lend the app to a browser's request, whose caller is a signed-in user or a guest.

    app_id   None: the one that `app_id_of` finds
    """
    async with asked_app(request, app_id_of(request) if app_id is None else app_id) as app:
        guest = guest_of(request)
        token = bearer_token(request)
        # With a malformed or unknown token the caller is not signed in (instant-http §1.10).
        lent = Lent(app, guest)
        if token is not None and find_uuid_bytes(token) is not None:
            with contextlib.suppress(NotFound):
                identity = await identify(app.database, token, request=guest)
                lent = Lent(app, identity, hash_token(token))
        yield lent


async def _identify(app: App, request: Request) -> Lent:
    """The identity that the `as-…` headers name; without them the admin, whose token was
    checked."""
    guest = guest_of(request)
    as_token = request.headers.get("as-token")
    if as_token is not None:
        given = as_token.strip()
        if find_uuid_bytes(given) is None:
            raise malformed("asUser", "token", given=as_token, accepted="a uuid")
        identity = await identify(app.database, given, request=guest)
        return Lent(app, identity, hash_token(given))
    as_email = request.headers.get("as-email")
    if as_email is not None:
        identity = await identify_email(app.database, as_email, request=guest)
        return Lent(app, identity)
    if request.headers.get("as-guest") is not None:
        return Lent(app, guest)
    return Lent(app, ADMIN)
