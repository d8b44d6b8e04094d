"""OAuth clients: the providers that an app signs in with, and its credentials there.

    $oauthProviders {name}      "google", "apple", "github", … one of each name
    $oauthClients   {name, clientId, encryptedClientSecret, discoveryEndpoint, meta, redirectTo,
                     $oauthProvider}

source   instant-http §1.13, §5.7; spec/auth.md A140-A147
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from trice import auth_limits
from trice.auth.oauth.origins import check_redirect_to, read_url
from trice.auth.oauth.sealed import Seal
from trice.catalog.dates import iso_text
from trice.database import Change, Look
from trice.errors import InvalidInput, NotFound, invalid, no_record
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row
from trice.transact.merge import deep_merge

CLIENTS: Final = "$oauthClients"
PROVIDERS: Final = "$oauthProviders"
GITHUB: Final = "github"

CHANGEABLE: Final = (
    "client_id",
    "client_secret",
    "discovery_endpoint",
    "redirect_to",
    "meta",
    "use_shared_credentials",
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A row of `$oauthProviders`."""

    id: str
    name: str
    created_ms: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "provider_name": self.name,
            "created_at": iso_text(self.created_ms),
        }


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A row of `$oauthClients` with its provider.

    sealed_secret   as `Seal.seal` wrote it, or as it was imported; None: a public client
    """

    id: str
    name: str
    provider_id: str
    provider_name: str
    created_ms: int
    client_id: str | None = None
    sealed_secret: str | None = None
    discovery_endpoint: str | None = None
    redirect_to: str | None = None
    meta: Mapping[str, Any] | None = None

    @property
    def is_github(self) -> bool:
        return self.provider_name == GITHUB

    @property
    def allows_unverified_email(self) -> bool:
        """Whether `meta` allows it; only for clients without a secret."""
        wants = bool((self.meta or {}).get("allowUnverifiedEmail") is True)
        return wants and self.sealed_secret is None

    @property
    def audiences(self) -> frozenset[str] | None:
        """The audiences that tokens for this client may have; None: any, as none are known.

        They are `clientId` and the list `meta.allowedAudiences`, for an app on several platforms,
        which has a client id on each.
        """
        if self.client_id is None and self.sealed_secret is None:
            return None
        listed = (self.meta or {}).get("allowedAudiences")
        others = listed if isinstance(listed, list) else []
        known = (self.client_id, *others)
        return frozenset(each for each in known if isinstance(each, str) and each)

    def to_json(self) -> dict[str, Any]:
        """The client in the form of its management routes, without the secret."""
        return {
            "id": self.id,
            "client_name": self.name,
            "client_id": self.client_id,
            "provider_id": self.provider_id,
            "meta": self.meta,
            "discovery_endpoint": self.discovery_endpoint,
            "created_at": iso_text(self.created_ms),
            "redirect_to": self.redirect_to,
            "use_shared_credentials": False,
        }


# --- finding ------------------------------------------------------------------------------------


def get_client_named(look: Look, name: str) -> OAuthClient:
    """The client of this name. Raises NotFound(app-oauth-client)."""
    return _get(look, find_row(look, CLIENTS, "name", name), {"client-name": name})


def get_client(look: Look, client_id: str) -> OAuthClient:
    """The client with this id. Raises NotFound(app-oauth-client)."""
    raw = find_uuid_bytes(client_id)
    row = None if raw is None else find_row(look, CLIENTS, "id", raw)
    return _get(look, row, {"id": client_id})


def all_clients(look: Look) -> list[OAuthClient]:
    """Every client, oldest first."""
    found = look.find({CLIENTS: {"$": {"limit": auth_limits.OAUTH_CLIENTS_MAX}}})[CLIENTS]
    return [get_client(look, row["id"]) for row in found]


def all_providers(look: Look) -> list[Provider]:
    """Every provider, oldest first."""
    found = look.find({PROVIDERS: {"$": {"limit": auth_limits.OAUTH_CLIENTS_MAX}}})[PROVIDERS]
    return [_get_provider(look, row["id"]) for row in found]


def _get(look: Look, row: FoundRow | None, args: Mapping[str, Any]) -> OAuthClient:
    provider_id = None if row is None else row.fields.get("$oauthProvider")
    if row is None or provider_id is None:
        raise _missing("app-oauth-client", args)
    provider = _get_provider(look, provider_id)
    fields = row.fields
    meta = fields.get("meta")
    return OAuthClient(
        id=fields["id"],
        name=fields["name"],
        provider_id=provider.id,
        provider_name=provider.name,
        created_ms=row.created_ms,
        client_id=_text(fields.get("clientId")),
        sealed_secret=fields.get("encryptedClientSecret") or None,
        discovery_endpoint=fields.get("discoveryEndpoint"),
        redirect_to=fields.get("redirectTo"),
        meta=meta if isinstance(meta, dict) else None,
    )


def _text(value: Any) -> str | None:
    """A value as text: `clientId` has no type, so imported ones may be numbers."""
    return None if value is None else str(value)


def _get_provider(look: Look, provider_id: Any) -> Provider:
    raw = find_uuid_bytes(provider_id)
    row = None if raw is None else find_row(look, PROVIDERS, "id", raw)
    if row is None:
        raise _missing("oauth-service-provider", {"id": provider_id})
    return Provider(row.fields["id"], row.fields["name"], row.created_ms)


def _missing(record_type: str, args: Mapping[str, Any]) -> NotFound:
    (key,) = args
    return no_record(record_type, f"This app has none with this {key.replace('-', ' ')}.", args)


# --- changing -----------------------------------------------------------------------------------


def add_provider(change: Change, name: str, *, runtime: Runtime) -> Provider:
    """Make a provider. Raises Conflict from `Database.change` when there is one of this name."""
    if len(all_providers(change)) >= auth_limits.OAUTH_CLIENTS_MAX:
        raise _refuse(name, f"An app has at most {auth_limits.OAUTH_CLIENTS_MAX} providers.")
    provider = Provider(new_key(runtime), name, change.time_ms)
    change.write(["create", PROVIDERS, provider.id, {"name": name}])
    return provider


def add_client(
    change: Change,
    name: str,
    *,
    provider_id: str,
    given: Mapping[str, Any],
    seal: Seal,
    runtime: Runtime,
) -> OAuthClient:
    """Make an OAuth client.

    given    values of CHANGEABLE keys, as they were sent
    raises   InvalidInput, NotFound(oauth-service-provider); Conflict from `Database.change` when
             the name is taken
    """
    if len(all_clients(change)) >= auth_limits.OAUTH_CLIENTS_MAX:
        raise _refuse(name, f"An app has at most {auth_limits.OAUTH_CLIENTS_MAX} OAuth clients.")
    provider = _get_provider(change, provider_id)
    blank = OAuthClient(new_key(runtime), name, provider.id, provider.name, change.time_ms)
    client = _changed(blank, given, seal)
    change.write(["create", CLIENTS, client.id, {"name": name, "$oauthProvider": provider.id}])
    _write(change, client)
    return client


def update_client(
    change: Change, client_id: str, given: Mapping[str, Any], *, seal: Seal
) -> OAuthClient:
    """Change what `given` names: null clears, `meta` is merged. Raises as `add_client`."""
    client = _changed(get_client(change, client_id), given, seal)
    _write(change, client)
    return client


def delete_client(change: Change, client_id: str) -> OAuthClient:
    """Delete a client, and the sign-ins through it that are under way."""
    client = get_client(change, client_id)
    change.write(["delete", CLIENTS, client.id])
    return client


def _write(change: Change, client: OAuthClient) -> None:
    values = {
        "clientId": client.client_id,
        "encryptedClientSecret": client.sealed_secret,
        "discoveryEndpoint": client.discovery_endpoint,
        "redirectTo": client.redirect_to,
        "meta": client.meta,
    }
    change.write(["update", CLIENTS, client.id, values])


def _changed(client: OAuthClient, given: Mapping[str, Any], seal: Seal) -> OAuthClient:
    """`client` with the changes in `given`, checked."""
    texts = {
        key: _check_text(given[key], key, chars_max)
        for key, chars_max in (
            ("client_id", auth_limits.OAUTH_TEXT_CHARS_MAX),
            ("client_secret", auth_limits.OAUTH_SECRET_CHARS_MAX),
            ("discovery_endpoint", auth_limits.URL_CHARS_MAX),
            ("redirect_to", auth_limits.URL_CHARS_MAX),
        )
        if key in given
    }
    if given.get("use_shared_credentials") not in (None, False):
        raise _refuse(
            given["use_shared_credentials"],
            "This server has no shared credentials: register your app with the provider and enter"
            " client_id and client_secret.",
            "use_shared_credentials",
        )
    endpoint = texts.get("discovery_endpoint", client.discovery_endpoint)
    _check_endpoint(client, endpoint)
    redirect_to = texts.get("redirect_to", client.redirect_to)
    secret = texts.get("client_secret")
    sealed = None if secret is None else seal.seal(secret, holder=client.id)
    return replace(
        client,
        client_id=texts.get("client_id", client.client_id),
        sealed_secret=sealed if "client_secret" in given else client.sealed_secret,
        discovery_endpoint=endpoint,
        redirect_to=None if redirect_to is None else check_redirect_to(redirect_to),
        meta=_merged(client.meta, given["meta"]) if "meta" in given else client.meta,
    )


def _check_text(value: Any, key: str, chars_max: int) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > chars_max:
        raise _refuse(value, f"{key} must be text of at most {chars_max} characters.", key)
    return value.strip()


def _check_endpoint(client: OAuthClient, endpoint: str | None) -> None:
    if endpoint is None:
        if client.is_github:
            return
        raise _refuse(
            endpoint,
            "discovery_endpoint is required (for GitHub alone it is not), such as"
            " https://accounts.google.com/.well-known/openid-configuration.",
            "discovery_endpoint",
        )
    url = read_url(endpoint)
    if url is None or not url.is_web or url.fragment is not None:
        raise _refuse(endpoint, "discovery_endpoint must be an https URL.", "discovery_endpoint")


def _merged(meta: Mapping[str, Any] | None, patch: Any) -> Mapping[str, Any] | None:
    if patch is None:
        return None
    if not isinstance(patch, dict):
        raise _refuse(patch, "meta must be an object.", "meta")
    merged: Mapping[str, Any] = deep_merge(dict(meta or {}), patch)
    if len(orjson.dumps(merged)) > auth_limits.OAUTH_META_BYTES_MAX:
        raise _refuse(None, f"meta has at most {auth_limits.OAUTH_META_BYTES_MAX} bytes.", "meta")
    return merged


def _refuse(given: Any, message: str, key: str | None = None) -> InvalidInput:
    # The error never repeats a secret.
    shown = None if key == "client_secret" else given
    place = {} if key is None else {"in": [key]}
    return invalid("oauth-client", shown, [{"message": message, **place}])
