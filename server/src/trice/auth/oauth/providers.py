"""The two dialects of sign-in providers: OpenID Connect, and GitHub's own.

source   instant-http §1.6; spec/auth.md A100-A109
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from trice.auth.emails import find_email
from trice.auth.oauth.clients import OAuthClient
from trice.auth.oauth.documents import Discovery, Documents
from trice.auth.oauth.id_tokens import (
    APPLE_ISSUERS,
    find_image,
    find_sub,
    is_for,
    read_claims,
)
from trice.auth.oauth.linking import Profile
from trice.auth.oauth.origins import add_parameters, read_url
from trice.auth.oauth.outgoing import Answer, Requests, oauth_error
from trice.auth.oauth.sealed import Seal
from trice.runtime import Runtime

_APPLE_SECRET_S: Final = 120
_MESSAGE_CHARS_MAX: Final = 200


class Provider(Protocol):
    """A provider that people sign in with, for one OAuth client."""

    async def authorization_url(self, *, state: str, redirect_uri: str, hd: str | None) -> str:
        """The page to send a person to.

        redirect_uri   the URL that it sends the person back to
        hd             the domain whose accounts Google shall offer
        raises         PermissionDenied("oauth-error")
        """
        ...

    async def exchange(self, code: str, *, redirect_uri: str) -> Profile:
        """The person who came back with `code`. Raises as `authorization_url`."""
        ...


class OpenId:
    """A provider that speaks OpenID Connect: Google, Apple, LinkedIn, Clerk, Firebase, …"""

    def __init__(
        self,
        client: OAuthClient,
        *,
        documents: Documents,
        outgoing: Requests,
        seal: Seal,
        runtime: Runtime,
    ) -> None:
        self._client = client
        self._documents = documents
        self._outgoing = outgoing
        self._seal = seal
        self._runtime = runtime

    async def discover(self) -> Discovery:
        if self._client.discovery_endpoint is None:
            raise oauth_error("The OAuth client has no discovery endpoint.")
        endpoint = self._client.discovery_endpoint
        return await self._documents.discovery(endpoint, self._outgoing)

    async def authorization_url(self, *, state: str, redirect_uri: str, hd: str | None) -> str:
        endpoint = (await self.discover()).authorization_endpoint
        url = read_url(endpoint)
        if url is None or not url.is_web:
            raise oauth_error("The sign-in provider names no page to sign in.")
        parameters = {
            "scope": "email openid",
            "response_type": "code",
            # A form, since Apple sends the e-mail address in no other way.
            "response_mode": "form_post",
            "state": state,
            "redirect_uri": redirect_uri,
            "client_id": self._client.client_id or "",
        }
        return add_parameters(endpoint, parameters | ({} if hd is None else {"hd": hd}))

    async def exchange(self, code: str, *, redirect_uri: str) -> Profile:
        discovery = await self.discover()
        form = {
            "client_id": self._client.client_id or "",
            "client_secret": self._secret(discovery.issuer),
            "code": code,
            "grant_type": "authorization_code",
            "redirect_uri": redirect_uri,
        }
        answer = await self._outgoing.post(discovery.token_endpoint, form)
        claims = await self._claims(_fields(answer), discovery)
        sub = find_sub(claims)
        # Apple sends a text, others a boolean.
        is_verified = claims.get("email_verified") in (True, "true")
        email = find_email(claims.get("email")) if is_verified else None
        if sub is None or email is None:
            raise oauth_error("Missing user info.")
        return Profile(sub, email, find_image(claims.get("picture")))

    async def _claims(self, fields: Mapping[str, Any], discovery: Discovery) -> Mapping[str, Any]:
        if fields.get("id_token") is not None:
            claims = read_claims(fields["id_token"])
            if claims is None:
                raise oauth_error("Invalid token exchanging code for token.")
            if not is_for(claims, self._client.audiences):
                raise oauth_error("The id_token was generated for the wrong OAuth client.")
            return claims
        token = fields.get("access_token")
        if not discovery.userinfo_endpoint or not isinstance(token, str):
            raise oauth_error("Missing user info.")
        return _fields(await self._outgoing.get(discovery.userinfo_endpoint, token=token))

    def _secret(self, issuer: str) -> str:
        sealed = self._client.sealed_secret
        secret = "" if sealed is None else self._seal.open(sealed, holder=self._client.id)
        if issuer not in APPLE_ISSUERS:
            return secret
        meta = self._client.meta or {}
        return apple_secret(
            secret,
            team_id=str(meta.get("teamId", "")),
            key_id=str(meta.get("keyId", "")),
            client_id=self._client.client_id or "",
            now_ms=self._runtime.now_ms(),
        )


def apple_secret(
    private_key: str, *, team_id: str, key_id: str, client_id: str, now_ms: int
) -> str:
    """Apple's client secret: a token of ours, signed with the key that Apple gave the developer."""
    # Imported by the first sign-in with Apple: it takes 8 MB.
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    now_s = now_ms // 1000
    claims = {
        "iss": team_id,
        "iat": now_s,
        "exp": now_s + _APPLE_SECRET_S,
        "aud": "https://appleid.apple.com",
        "sub": client_id,
    }
    try:
        key = ECKey.import_key(private_key)
        return jwt.encode({"alg": "ES256", "kid": key_id}, claims, key, algorithms=["ES256"])
    except (JoseError, ValueError, TypeError) as cause:
        raise oauth_error(
            "The client secret is not the private key that Apple gave (a text that begins with"
            " -----BEGIN PRIVATE KEY-----)."
        ) from cause


@dataclass(frozen=True, slots=True)
class GitHubUrls:
    """The URLs of GitHub."""

    authorize: str = "https://github.com/login/oauth/authorize"
    token: str = "https://github.com/login/oauth/access_token"
    user: str = "https://api.github.com/user"
    emails: str = "https://api.github.com/user/emails"


class GitHub:
    """GitHub: OAuth without OpenID, and an API that tells which user signed in."""

    def __init__(
        self, client: OAuthClient, *, urls: GitHubUrls, outgoing: Requests, seal: Seal
    ) -> None:
        self._client = client
        self._urls = urls
        self._outgoing = outgoing
        self._seal = seal

    async def authorization_url(self, *, state: str, redirect_uri: str, hd: str | None) -> str:
        parameters = {
            "scope": "read:user user:email",
            "response_type": "code",
            "state": state,
            "redirect_uri": redirect_uri,
            "client_id": self._client.client_id or "",
        }
        return add_parameters(self._urls.authorize, parameters)

    async def exchange(self, code: str, *, redirect_uri: str) -> Profile:
        sealed = self._client.sealed_secret
        form = {
            "client_id": self._client.client_id or "",
            "client_secret": ""
            if sealed is None
            else self._seal.open(sealed, holder=self._client.id),
            "code": code,
            "grant_type": "authorization_code",
            "redirect_uri": redirect_uri,
        }
        fields = _fields(await self._outgoing.post(self._urls.token, form))
        token = fields.get("access_token")
        if not isinstance(token, str):
            raise oauth_error("Error exchanging code for token.")
        user = _fields(await self._outgoing.get(self._urls.user, token=token))
        sub = find_sub({"sub": user.get("id")})
        if sub is None:
            raise oauth_error("Missing user info.")
        emails = await self._outgoing.get(self._urls.emails, token=token)
        return Profile(sub, _primary_email(emails), find_image(user.get("avatar_url")))


def _primary_email(answer: Answer) -> str | None:
    """The primary e-mail address of a GitHub account, if GitHub has verified it."""
    listed = answer.body if answer.is_ok and isinstance(answer.body, list) else []
    for each in listed:
        if isinstance(each, dict) and each.get("primary") is True and each.get("verified") is True:
            return find_email(each.get("email"))
    return None


def _fields(answer: Answer) -> Mapping[str, Any]:
    """The object that a provider answered; if it refused, raises with its words."""
    fields = answer.body if isinstance(answer.body, dict) else {}
    if answer.is_ok and "error" not in fields:
        return fields
    said = fields.get("error_description")
    # GitHub refuses with status 200, other providers with another status.
    if isinstance(said, str) and said.strip():
        raise oauth_error(said[:_MESSAGE_CHARS_MAX])
    raise oauth_error("Error exchanging code for token.")
