"""OAuth apps: applications of others that may act for accounts here, once a person allows it.

    $oauthApps     {app, definition}             of one app, whose developers manage it
    $oauthClients  {oauthApp, name, redirectUrls}
    $oauthSecrets  {client, secretHash, firstFour}

    app ─1:n─> OAuth app ─1:n─> client ─1:n─> secret
                                   └── tokens (`oauth_tokens`)

An OAuth app that is not public can be used by members of its app only. Deleting any of these ends
the tokens below it at once, as a look-up goes all the way up.

source   instant-http §4.9; spec/accounts.md AC90-AC93
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from trice import account_limits, limits
from trice.accounts.accounts import delete_rows, hash_token
from trice.accounts.oauth_definitions import (
    DEFINITIONS,
    Definition,
    check_name,
    check_redirect_url,
    read_definition,
)
from trice.apps.apps import Apps
from trice.background import Background
from trice.catalog.dates import iso_text
from trice.database import Change, Look
from trice.errors import LimitExceeded, NotFound, no_record
from trice.protocol.ids import find_uuid_bytes
from trice.runtime import Runtime, new_key
from trice.system_rows import FoundRow, find_row, find_rows

_OAUTH_APPS: Final = "$oauthApps"
_CLIENTS: Final = "$oauthClients"
_SECRETS: Final = "$oauthSecrets"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An OAuth app of the app `app_id`."""

    id: str
    app_id: str
    definition: Definition
    created_ms: int


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """A client of an OAuth app; its id is what programs send as `client_id`.

    redirect_urls   where people may be sent back to, compared as they are written
    """

    id: str
    name: str
    redirect_urls: tuple[str, ...]
    created_ms: int
    oauth_app: OAuthApp


@dataclass(frozen=True, slots=True)
class OAuthSecret:
    """A secret of a client; the secret itself is known to its holder alone."""

    id: str
    client_id: str
    first_four: str
    created_ms: int

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "clientId": self.client_id,
            "firstFour": self.first_four,
            "createdAt": iso_text(self.created_ms),
        }


class OAuthApps:
    """The OAuth apps of a server and their clients. Holds no rows."""

    def __init__(self, apps: Apps, *, runtime: Runtime) -> None:
        self._apps = apps
        self._platform = apps.platform
        self._runtime = runtime
        self._swept = ""

    def start(self, background: Background) -> None:
        """Begin to delete OAuth apps whose app is gone."""
        background.every("oauth-apps", limits.APP_SWEEP_INTERVAL_MS, lambda _: self.sweep())

    # --- OAuth apps -----------------------------------------------------------------------------

    def of_app(self, app_id: str) -> list[dict[str, Any]]:
        """The OAuth apps of an app, with clients and secrets, as JSON."""
        return self._platform.look_now(
            lambda look: [_app_json(look, row) for row in _apps_of(look, app_id)]
        )

    async def create(self, app_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Make an OAuth app. raises   InvalidInput, LimitExceeded"""
        definition = read_definition(Definition(""), given)
        oauth_app_id = new_key(self._runtime)

        def work(change: Change) -> OAuthApp:
            most = account_limits.OAUTH_APPS_OF_APP_MAX
            _check_room(_apps_of(change, app_id), "An app", "OAuth apps", most)
            change.write(["create", _OAUTH_APPS, oauth_app_id, _app_fields(app_id, definition)])
            return OAuthApp(oauth_app_id, app_id, definition, change.time_ms)

        made = await self._platform.change(work)
        return self._platform.look_now(lambda look: _app_json(look, made))

    async def update(self, app_id: str, oauth_app_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Change what `given` names of an OAuth app. raises   NotFound, InvalidInput"""

        def work(change: Change) -> OAuthApp:
            former = _get_app(change, app_id, oauth_app_id)
            definition = read_definition(former.definition, given)
            if definition.is_public:
                for client in _clients_of(change, former):
                    for url in client.redirect_urls:
                        check_redirect_url(url, is_public=True)
            fields = _app_fields(app_id, definition)
            change.write(["update", _OAUTH_APPS, former.id, fields])
            return OAuthApp(former.id, app_id, definition, former.created_ms)

        changed = await self._platform.change(work)
        return self._platform.look_now(lambda look: _app_json(look, changed))

    async def delete(self, app_id: str, oauth_app_id: str) -> dict[str, Any]:
        """Delete an OAuth app with its clients, secrets and tokens; raises NotFound."""

        def work(change: Change) -> tuple[list[str], dict[str, Any]]:
            found = _get_app(change, app_id, oauth_app_id)
            clients = _clients_of(change, found)
            told = _app_json(change, found)
            for client in clients:
                _delete_client(change, client.id)
            change.write(["delete", _OAUTH_APPS, found.id])
            return [client.id for client in clients], told

        client_ids, told = await self._platform.change(work)
        for client_id in client_ids:
            await self._end_tokens(client_id)
        return told

    # --- clients --------------------------------------------------------------------------------

    def find_client(self, client_id: str) -> OAuthClient | None:
        """The client with this id, if its app is there; 30 µs."""

        def work(look: Look) -> OAuthClient | None:
            row = find_row(look, _CLIENTS, "id", _key(client_id))
            found = None if row is None else _find_app(look, row.fields["oauthApp"])
            return None if row is None or found is None else _client(row, found)

        client = self._platform.look_now(work)
        if client is None:
            return None
        try:
            self._apps.get_row(client.oauth_app.app_id)
        except NotFound:
            return None
        return client

    def clients_of(self, oauth_app_id: str) -> list[OAuthClient]:
        """The clients of an OAuth app; none if it is unknown."""

        def work(look: Look) -> list[OAuthClient]:
            found = _find_app(look, oauth_app_id)
            return [] if found is None else _clients_of(look, found)

        return self._platform.look_now(work)

    def has_secret(self, client: OAuthClient, secret: str) -> bool:
        """Whether a text is a secret of a client; hashes are compared in constant time."""
        given = hash_token(secret)
        rows = self._platform.look_now(lambda look: _secrets_of(look, client.id))
        matches = [hmac.compare_digest(row.fields["secretHash"], given) for row in rows]
        return any(matches)

    async def create_client(
        self, app_id: str, oauth_app_id: str, name: Any, redirect_urls: list[Any]
    ) -> tuple[dict[str, Any], OAuthSecret, str]:
        """Make a client, with a secret that nobody can ask for again.

        raises   NotFound, InvalidInput, LimitExceeded
        """
        checked = check_name(name, "client_name")
        client_id, secret_id = new_key(self._runtime), new_key(self._runtime)
        secret = self._new_secret()

        def work(change: Change) -> tuple[OAuthClient, OAuthSecret]:
            found = _get_app(change, app_id, oauth_app_id)
            most = account_limits.OAUTH_CLIENTS_OF_OAUTH_APP_MAX
            _check_room(_clients_of(change, found), "An OAuth app", "clients", most)
            is_public = found.definition.is_public
            urls = tuple(
                dict.fromkeys(check_redirect_url(u, is_public=is_public) for u in redirect_urls)
            )
            _check_urls(urls)
            fields = {"oauthApp": found.id, "name": checked, "redirectUrls": _text(urls)}
            change.write(["create", _CLIENTS, client_id, fields])
            made = _write_secret(change, secret_id, client_id, secret)
            return OAuthClient(client_id, checked, urls, change.time_ms, found), made

        client, made = await self._platform.change(work)
        return self._client_json(client), made, secret

    async def update_client(
        self,
        app_id: str,
        client_id: str,
        *,
        name: Any,
        add: Any,
        remove: Any,
    ) -> dict[str, Any]:
        """Rename a client, add a URL to return to, remove one.

        raises   NotFound, InvalidInput, LimitExceeded
        """

        def work(change: Change) -> OAuthClient:
            client = _get_client(change, app_id, client_id)
            urls = [url for url in client.redirect_urls if url != remove]
            if add is not None and add not in urls:
                is_public = client.oauth_app.definition.is_public
                urls.append(check_redirect_url(add, is_public=is_public))
            _check_urls(urls)
            checked = client.name if name is None else check_name(name, "client_name")
            fields = {"name": checked, "redirectUrls": _text(urls)}
            change.write(["update", _CLIENTS, client.id, fields])
            return OAuthClient(client.id, checked, tuple(urls), client.created_ms, client.oauth_app)

        return self._client_json(await self._platform.change(work))

    async def delete_client(self, app_id: str, client_id: str) -> dict[str, Any]:
        """Delete a client with its secrets and tokens; raises NotFound."""

        def work(change: Change) -> dict[str, Any]:
            client = _get_client(change, app_id, client_id)
            told = _client_json(change, client)
            _delete_client(change, client.id)
            return told

        told = await self._platform.change(work)
        await self._end_tokens(told["clientId"])
        return told

    async def create_secret(self, app_id: str, client_id: str) -> tuple[OAuthSecret, str]:
        """Make one more secret of a client; raises NotFound, LimitExceeded."""
        secret_id, secret = new_key(self._runtime), self._new_secret()

        def work(change: Change) -> OAuthSecret:
            client = _get_client(change, app_id, client_id)
            most = account_limits.OAUTH_SECRETS_OF_CLIENT_MAX
            _check_room(_secrets_of(change, client.id), "A client", "secrets", most)
            return _write_secret(change, secret_id, client.id, secret)

        return await self._platform.change(work), secret

    async def delete_secret(self, app_id: str, secret_id: str) -> OAuthSecret:
        """End a secret of a client; raises NotFound."""

        def work(change: Change) -> OAuthSecret:
            row = find_row(change, _SECRETS, "id", _key(secret_id))
            if row is None or _find_client_of(change, app_id, row.fields["client"]) is None:
                raise no_record("oauth-app-client-secret", "This app has no such secret.")
            change.write(["delete", _SECRETS, row.fields["id"]])
            return _secret(row)

        return await self._platform.change(work)

    async def sweep(self) -> None:
        """Delete OAuth apps of apps that are gone for good; the rest waits for the next time."""
        options = {
            "where": {"app": {"$gt": self._swept}},
            "order": {"app": "asc"},
            "limit": account_limits.OAUTH_APPS_PER_SWEEP,
            "fields": ["app"],
        }
        found = await self._platform.look(lambda look: look.find({_OAUTH_APPS: {"$": options}}))
        rows = found[_OAUTH_APPS]
        is_last = len(rows) < account_limits.OAUTH_APPS_PER_SWEEP
        self._swept = "" if is_last else rows[-1]["app"]
        for row in rows:
            if not self._apps.has_row(row["app"]):
                await self.delete(row["app"], row["id"])

    async def _end_tokens(self, client_id: str) -> None:
        await delete_rows(self._platform, "$oauthTokens", "client", client_id)

    def _client_json(self, client: OAuthClient) -> dict[str, Any]:
        return self._platform.look_now(lambda look: _client_json(look, client))

    def _new_secret(self) -> str:
        return self._runtime.random_bytes(_SECRET_BYTES).hex()


# --- bounds -------------------------------------------------------------------------------------


def _check_urls(urls: tuple[str, ...] | list[str]) -> None:
    if len(urls) > account_limits.OAUTH_REDIRECT_URLS_MAX:
        most = account_limits.OAUTH_REDIRECT_URLS_MAX
        raise _too_many("A client", "URLs to return to", most)


def _check_room(rows: list[Any], owner: str, what: str, most: int) -> None:
    if len(rows) >= most:
        raise _too_many(owner, what, most)


def _too_many(owner: str, what: str, most: int) -> LimitExceeded:
    problem = f"{owner} has {most:,} {what}, the most there can be. Remove some."
    return LimitExceeded("parameter-limit-exceeded", problem)


def check_client(look: Look, client_id: str) -> None:
    """See that a client is still there; raises NotFound."""
    if find_row(look, _CLIENTS, "id", _key(client_id)) is None:
        raise no_record("oauth-app-client", "The client was deleted meanwhile.")


# --- rows ---------------------------------------------------------------------------------------


def _key(text: str) -> bytes | None:
    return find_uuid_bytes(text)


def _text(urls: tuple[str, ...] | list[str]) -> str:
    return orjson.dumps(urls).decode()


def _app_fields(app_id: str, definition: Definition) -> dict[str, Any]:
    return {"app": app_id, "definition": msgspec.json.encode(definition).decode()}


def _app(row: FoundRow) -> OAuthApp:
    fields = row.fields
    definition = DEFINITIONS.decode(fields["definition"])
    return OAuthApp(fields["id"], fields["app"], definition, row.created_ms)


def _apps_of(look: Look, app_id: str) -> list[OAuthApp]:
    most = account_limits.OAUTH_APPS_OF_APP_MAX
    return [_app(row) for row in find_rows(look, _OAUTH_APPS, "app", app_id, count=most)]


def _find_app(look: Look, oauth_app_id: str) -> OAuthApp | None:
    row = find_row(look, _OAUTH_APPS, "id", _key(oauth_app_id))
    return None if row is None else _app(row)


def _get_app(look: Look, app_id: str, oauth_app_id: str) -> OAuthApp:
    found = _find_app(look, oauth_app_id)
    if found is None or found.app_id != app_id:
        raise no_record("oauth-app", "This app has no such OAuth app.")
    return found


def _client(row: FoundRow, oauth_app: OAuthApp) -> OAuthClient:
    urls = tuple(orjson.loads(row.fields["redirectUrls"]))
    return OAuthClient(row.fields["id"], row.fields["name"], urls, row.created_ms, oauth_app)


def _clients_of(look: Look, oauth_app: OAuthApp) -> list[OAuthClient]:
    most = account_limits.OAUTH_CLIENTS_OF_OAUTH_APP_MAX
    rows = find_rows(look, _CLIENTS, "oauthApp", oauth_app.id, count=most)
    return [_client(row, oauth_app) for row in rows]


def _find_client_of(look: Look, app_id: str, client_id: str) -> OAuthClient | None:
    row = find_row(look, _CLIENTS, "id", _key(client_id))
    found = None if row is None else _find_app(look, row.fields["oauthApp"])
    if row is None or found is None or found.app_id != app_id:
        return None
    return _client(row, found)


def _get_client(look: Look, app_id: str, client_id: str) -> OAuthClient:
    client = _find_client_of(look, app_id, client_id)
    if client is None:
        raise no_record("oauth-app-client", "This app has no such client.")
    return client


def _delete_client(change: Change, client_id: str) -> None:
    for row in _secrets_of(change, client_id):
        change.write(["delete", _SECRETS, row.fields["id"]])
    change.write(["delete", _CLIENTS, client_id])


def _secrets_of(look: Look, client_id: str) -> list[FoundRow]:
    most = account_limits.OAUTH_SECRETS_OF_CLIENT_MAX
    return find_rows(look, _SECRETS, "client", client_id, count=most)


def _write_secret(change: Change, secret_id: str, client_id: str, secret: str) -> OAuthSecret:
    fields = {"client": client_id, "secretHash": hash_token(secret), "firstFour": secret[:4]}
    change.write(["create", _SECRETS, secret_id, fields])
    return OAuthSecret(secret_id, client_id, secret[:4], change.time_ms)


def _secret(row: FoundRow) -> OAuthSecret:
    fields = row.fields
    return OAuthSecret(fields["id"], fields["client"], fields["firstFour"], row.created_ms)


def _app_json(look: Look, oauth_app: OAuthApp) -> dict[str, Any]:
    """An OAuth app as the dashboard of Instant reads it, with its clients."""
    said = oauth_app.definition
    return {
        "id": oauth_app.id,
        "appId": oauth_app.app_id,
        "appName": said.name,
        "grantedScopes": list(said.scopes),
        "isPublic": said.is_public,
        "supportEmail": said.support_email,
        "appHomePage": said.home_page,
        "appPrivacyPolicyLink": said.privacy_policy,
        "appTosLink": said.terms,
        "appLogo": said.logo,
        "createdAt": iso_text(oauth_app.created_ms),
        "clients": [_client_json(look, client) for client in _clients_of(look, oauth_app)],
    }


def _client_json(look: Look, client: OAuthClient) -> dict[str, Any]:
    return {
        "clientId": client.id,
        "oauthAppId": client.oauth_app.id,
        "clientName": client.name,
        "authorizedRedirectUrls": list(client.redirect_urls),
        "createdAt": iso_text(client.created_ms),
        "clientSecrets": [_secret(row).to_json() for row in _secrets_of(look, client.id)],
    }
