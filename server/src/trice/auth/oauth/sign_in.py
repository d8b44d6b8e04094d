"""Signing in with providers: by redirects, or by an id_token that the page got itself.

    start     → a `$oauthRedirects` row and a cookie; the person goes to the provider
    callback  → the row is consumed, the provider says who it is; a `$oauthCodes` row
    exchange  → the code is consumed: account and refresh token

Rows are consumed in a transaction of their own, before anything is compared. So nothing can be
tried twice, whatever fails later.

source   instant-http §1.6, §1.7; RFC 7636; spec/auth.md A100-A129
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trice import auth_limits
from trice.apps.apps import App
from trice.auth import tokens
from trice.auth.accounts import sign_up_check, user_object
from trice.auth.oauth import id_tokens
from trice.auth.oauth.clients import OAuthClient, get_client, get_client_named
from trice.auth.oauth.documents import Documents
from trice.auth.oauth.linking import Profile, sign_in
from trice.auth.oauth.origins import add_parameters, is_authorized, read_url
from trice.auth.oauth.outgoing import Outgoing, Requests, Resolve, oauth_error
from trice.auth.oauth.providers import GitHub, GitHubUrls, OpenId, Provider
from trice.auth.oauth.sealed import Seal
from trice.database import Change
from trice.errors import InvalidInput, NotFound, TriceError, invalid, no_record
from trice.identity import Identity
from trice.log import fields
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import Runtime, new_key, new_uuid
from trice.system_rows import FoundRow, find_row

logger: Final = logging.getLogger("trice.oauth")

REDIRECTS: Final = "$oauthRedirects"
CODES: Final = "$oauthCodes"

_FINISHED: Final = {"_instant_oauth_redirect": "true"}
"""The parameter that tells the browser SDK that a sign-in returns."""


@dataclass(frozen=True, slots=True)
class Start:
    """The request of an app's page to begin a sign-in.

    state            the page's own, returned to it with the code
    code_challenge   hash of a secret of the page (PKCE); `code_challenge_method` S256 or plain
    """

    client_name: str
    redirect_uri: str
    state: str | None = None
    code_challenge: str | None = None
    code_challenge_method: str | None = None
    hd: str | None = None


@dataclass(frozen=True, slots=True)
class Comer:
    """The caller who finishes a sign-in.

    identity        not signed in yet, with the address and origin of the request
    refresh_token   that of the account used until now; a guest's account is upgraded or linked
    extra_fields    fields of `$users`, for a sign-up
    """

    identity: Identity
    refresh_token: str | None = None
    extra_fields: Mapping[str, Any] | None = None


class OAuth:
    """Signs people in with providers.

    Holds the documents of providers, an HTTP client, the server's key. The state of each sign-in is
    in the database of its app.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        secret_key: str | None,
        allows_private_hosts: bool,
        runtime: Runtime,
        github: GitHubUrls | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """Prepare; no library is imported before the first sign-in.

        secret_key            hex; None: data-dir/secret.key
        allows_private_hosts  providers may be on http and private addresses
        github, resolve       replace those of the internet, for tests
        """
        self.seal = Seal(data_dir, secret_key=secret_key, runtime=runtime)
        self._outgoing = Outgoing(allows_private_hosts=allows_private_hosts, resolve=resolve)
        self._documents = Documents(runtime)
        self._github = github or GitHubUrls()
        self._runtime = runtime

    async def close(self) -> None:
        """Close the connections to providers."""
        await self._outgoing.close()

    async def start(self, app: App, request: Start, *, callback_url: str) -> tuple[str, str]:
        """Begin a sign-in.

        callback_url  the callback of this server
        returns       the provider's page, and the uuid for the cookie that `finish` requires
        raises        NotFound(app-oauth-client), InvalidInput("validation-failed", `redirect-uri`),
                      PermissionDenied("oauth-error") when the provider cannot be asked
        """
        client = await app.database.look(lambda look: get_client_named(look, request.client_name))
        if not is_authorized(request.redirect_uri, app.settings.origins):
            raise invalid(
                "redirect-uri",
                request.redirect_uri,
                [{"message": _INVALID_REDIRECT_URI}],
                message=_INVALID_REDIRECT_URI,
            )
        own_state = {} if request.state is None else {"state": request.state}
        redirect_url = request.redirect_uri
        if own_state:
            redirect_url = add_parameters(redirect_url, own_state)
        redirect_to = client.redirect_to or callback_url
        state, cookie = new_uuid(self._runtime), new_uuid(self._runtime)
        url = await self._provider(app, client).authorization_url(
            state=app.id + state, redirect_uri=redirect_to, hd=request.hd
        )
        challenge = _challenge(request)

        def begin(change: Change) -> None:
            _sweep(change, REDIRECTS, minutes=auth_limits.OAUTH_REDIRECT_MINUTES)
            values = {
                "stateHash": _hash(state),
                "cookieHash": _hash(cookie),
                "redirectUrl": redirect_url,
                "redirectTo": redirect_to,
                "$oauthClient": client.id,
                **challenge,
            }
            change.write(["create", REDIRECTS, new_key(self._runtime), values])

        await app.database.change(begin)
        return url, cookie

    async def finish(self, app: App, *, state: str, cookie: str, code: str | None) -> str:
        """Handle a person who comes back from the provider.

        state    the uuid after the app's id in the parameter `state`
        code     the code of the provider; None if it gave none
        returns  the URL to send the person to: the app's page with a code for `exchange`, or an
                 error
        raises   PermissionDenied("oauth-error") when no sign-in of this browser is under way
        """
        row = await app.database.change(lambda change: _consume(change, REDIRECTS, state))
        if row is None:
            raise oauth_error("Could not find OAuth request.")
        if self._is_older(row, auth_limits.OAUTH_REDIRECT_MINUTES):
            raise oauth_error("The request is expired.")
        expected = str(row.fields.get("cookieHash", ""))
        if not hmac.compare_digest(_hash(cookie), expected):
            raise oauth_error("Mismatch in OAuth request cookie.")
        url = str(row.fields["redirectUrl"])
        try:
            own_code = await self._receive(app, row, code)
        except TriceError as failure:
            # The person sees the message; the app's developer, or the operator, needs more.
            logger.info(
                "sign-in failed at the provider %s",
                fields(app=app.id, reason=failure.message, cause=repr(failure.__cause__)),
            )
            return add_parameters(url, {"error": failure.message, **_FINISHED})
        return add_parameters(url, {"code": own_code, **_FINISHED})

    async def _receive(self, app: App, redirect: FoundRow, code: str | None) -> str:
        """Ask the provider for the person who came back, and make a code for `exchange`."""
        if not code:
            raise oauth_error("Missing code param in OAuth redirect.")
        client_id = str(redirect.fields.get("$oauthClient"))
        client = await app.database.look(lambda look: get_client(look, client_id))
        provider = self._provider(app, client)
        profile = await provider.exchange(code, redirect_uri=str(redirect.fields["redirectTo"]))
        own_code = new_uuid(self._runtime)

        def keep(change: Change) -> None:
            _sweep(change, CODES, minutes=auth_limits.OAUTH_CODE_MINUTES)
            values = {
                "codeHash": _hash(own_code),
                "userInfo": {
                    "email": profile.email,
                    "sub": profile.sub,
                    "imageURL": profile.image_url,
                },
                "$oauthClient": client.id,
                **{
                    label: redirect.fields[label]
                    for label in ("codeChallenge", "codeChallengeMethod")
                    if redirect.fields.get(label) is not None
                },
            }
            change.write(["create", CODES, new_key(self._runtime), values])

        await app.database.change(keep)
        return own_code

    async def exchange(
        self, app: App, code: str, *, verifier: str | None, comer: Comer
    ) -> dict[str, Any]:
        """Turn a code into an account: `{"user", "created", "refresh_token"}`.

        code      the uuid that `finish` gave to the app's page; works once
        verifier  the secret behind the code challenge
        raises    NotFound(app-oauth-code), NotFound("record-expired"), InvalidInput; what a sign-up
                  raises
        """
        row = await app.database.change(lambda change: _consume(change, CODES, code))
        if row is None:
            told = "This app knows no such code, or it was used already; sign in again."
            raise no_record("app-oauth-code", told)
        if self._is_older(row, auth_limits.OAUTH_CODE_MINUTES):
            raise NotFound(
                "record-expired",
                "Record expired: app-oauth-code. Sign in again.",
                {"record-type": "app-oauth-code", "args": []},
            )
        check_verifier(
            row.fields.get("codeChallenge"), row.fields.get("codeChallengeMethod"), verifier
        )
        self._check_origin(app, comer.identity.origin)
        client_id = str(row.fields.get("$oauthClient"))
        client = await app.database.look(lambda look: get_client(look, client_id))
        info = row.fields["userInfo"]
        profile = Profile(info["sub"], info.get("email"), info.get("imageURL"))
        answer = await self._sign_in(app, client, profile, comer, reuses_token=False)
        return {**answer, "refresh_token": answer["user"]["refresh_token"]}

    async def sign_in_with_id_token(
        self, app: App, client_name: str, token: str, *, nonce: str | None, comer: Comer
    ) -> dict[str, Any]:
        """Sign in the person that a provider's id_token names: `{"user", "created"}`.

        raises   NotFound(app-oauth-client), InvalidInput("validation-failed"), PermissionDenied(
                 "oauth-error") when the provider cannot be asked; what a sign-up raises
        """
        client = await app.database.look(lambda look: get_client_named(look, client_name))
        self._check_origin(app, comer.identity.origin)
        if client.is_github:
            raise id_tokens.refused("GitHub OAuth does not support ID tokens.")
        claims = await self._verify(app, client, token, nonce)
        profile = id_tokens.profile_of(
            claims, allows_unverified_email=client.allows_unverified_email
        )
        return await self._sign_in(app, client, profile, comer, reuses_token=True)

    async def _verify(
        self, app: App, client: OAuthClient, token: str, nonce: str | None
    ) -> Mapping[str, Any]:
        discovery = await self._open_id(app, client).discover()
        if not discovery.jwks_uri or not discovery.issuer:
            raise id_tokens.refused("OAuth client does not support id_token.")
        header = id_tokens.read_header(token, discovery.algorithms)
        if header.algorithm == "HS256":
            sealed = client.sealed_secret
            secret = None if sealed is None else self.seal.open(sealed, holder=client.id)
            keys = id_tokens.secret_key(secret)
        else:
            requests = self._for(app)
            key_set = await self._documents.keys(discovery.jwks_uri, requests)
            keys = id_tokens.find_keys(header, key_set.keys)
            if not keys:
                # Providers change keys: a newer key may have signed the token.
                key_set = await self._documents.newer_keys(discovery.jwks_uri, requests)
                keys = id_tokens.find_keys(header, key_set.keys)
        expected = id_tokens.Expected(
            issuer=discovery.issuer,
            audiences=client.audiences,
            nonce=nonce,
            now_ms=self._runtime.now_ms(),
        )
        return id_tokens.verify(token, header, keys, expected)

    async def _sign_in(
        self, app: App, client: OAuthClient, profile: Profile, comer: Comer, *, reuses_token: bool
    ) -> dict[str, Any]:
        """Find or make the account, and a refresh token for it, in one transaction.

        reuses_token   the token used until now stays, if it belongs to the same account
        """

        def enter(change: Change) -> dict[str, Any]:
            current = comer.refresh_token
            guest = tokens.get_guest(change, current)
            user, is_created = sign_in(
                change,
                profile,
                provider_id=client.provider_id,
                check=sign_up_check(app.database, comer.identity),
                extra_fields=comer.extra_fields,
                guest=guest,
                runtime=self._runtime,
            )
            holder = tokens.find_by_token(change, current) if current is not None else None
            if reuses_token and current is not None and holder is not None and holder.id == user.id:
                token = current
            else:
                token = tokens.mint_token(change, user.id, runtime=self._runtime)
            shown = user_object(app.id, user, refresh_token=token)
            return {"user": shown, "created": is_created}

        return await app.database.change(enter)

    def _check_origin(self, app: App, origin: str) -> None:
        """Raise unless a page of `origin` may finish sign-ins. Programs send no origin ("")."""
        if origin and not is_authorized(origin, app.settings.origins):
            raise invalid(
                "origin",
                origin,
                [{"message": "Unauthorized origin."}],
                message="Unauthorized origin. Add it to the authorized origins of the app.",
            )

    def _provider(self, app: App, client: OAuthClient) -> Provider:
        if client.is_github:
            return GitHub(client, urls=self._github, outgoing=self._for(app), seal=self.seal)
        return self._open_id(app, client)

    def _open_id(self, app: App, client: OAuthClient) -> OpenId:
        return OpenId(
            client,
            documents=self._documents,
            outgoing=self._for(app),
            seal=self.seal,
            runtime=self._runtime,
        )

    def _for(self, app: App) -> Requests:
        return self._outgoing.of(app.id, is_ephemeral=app.is_ephemeral)

    def _is_older(self, row: FoundRow, minutes: int) -> bool:
        return _is_older(row, minutes, now_ms=self._runtime.now_ms())


_INVALID_REDIRECT_URI: Final = (
    "Invalid redirect_uri. If you're the developer, add your website to the authorized origins of"
    " the app."
)


def _challenge(request: Start) -> dict[str, str]:
    """The fields of a code challenge; empty without one."""
    method = request.code_challenge_method
    if method not in (None, "S256", "plain"):
        raise invalid("code-challenge-method", method, [{"message": "It must be S256 or plain."}])
    if request.code_challenge is None:
        return {}
    return {"codeChallenge": request.code_challenge, "codeChallengeMethod": method or "plain"}


def check_verifier(challenge: str | None, method: str | None, verifier: str | None) -> None:
    """Raise unless `verifier` is the secret behind a code challenge, or there is neither.

    method   "S256": the challenge is the hash of the secret · "plain": it is the secret
    """
    if challenge is None and verifier is None:
        return
    if challenge is None:
        raise _bad_verifier("A code_verifier was sent, but the sign-in began without a challenge.")
    if verifier is None:
        raise _bad_verifier("The sign-in began with a code challenge: send the code_verifier.")
    made = verifier
    if method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not hmac.compare_digest(made.encode(), challenge.encode()):
        raise _bad_verifier("The code_verifier does not belong to the code challenge.")


def _bad_verifier(message: str) -> InvalidInput:
    return invalid("code-verifier", None, [{"message": message, "in": ["code_verifier"]}])


def split_state(state: str | None) -> tuple[str, str]:
    """App id and uuid in the 72 characters of `state`. Raises PermissionDenied("oauth-error")."""
    if not state:
        raise oauth_error("Missing state param in OAuth redirect.")
    app_id, own = state[:36], state[36:]
    if find_uuid_bytes(app_id) is None or find_uuid_bytes(own) is None:
        raise oauth_error("Invalid state param in OAuth redirect.")
    return app_id, own


def opens_app(url: str) -> bool:
    """Whether a redirect leads into a native app; the browser then stays on its page."""
    read = read_url(url)
    return read is None or not read.scheme.startswith("http")


def _hash(uuid: str) -> str:
    """The stored form of a uuid that a client holds: hex SHA-256 of its 16 bytes."""
    raw = find_uuid_bytes(uuid)
    assert raw is not None, "callers check the form"
    return hashlib.sha256(raw).hexdigest()


def _consume(change: Change, etype: str, uuid: str) -> FoundRow | None:
    """Take the row of `uuid`, and delete it, so that it works only once."""
    label = "stateHash" if etype == REDIRECTS else "codeHash"
    row = find_row(change, etype, label, _hash(uuid))
    if row is not None:
        change.write(["delete", etype, row.fields["id"]])
    return row


def _sweep(change: Change, etype: str, *, minutes: int) -> None:
    """Delete the oldest of the rows that have expired."""
    page = {"limit": auth_limits.OAUTH_SWEEP_MAX, "order": {"serverCreatedAt": "asc"}}
    for each in change.find({etype: {"$": page}})[etype]:
        row = find_row(change, etype, "id", find_uuid_bytes(each["id"]))
        if row is None or not _is_older(row, minutes, now_ms=change.time_ms):
            return
        change.write(["delete", etype, each["id"]])


def _is_older(row: FoundRow, minutes: int, *, now_ms: int) -> bool:
    # In whole minutes, so that the last minute is included (instant-http §1.6).
    return (now_ms - row.created_ms) // 60_000 > minutes
