"""How users sign in to an app, and what they may do: for its developer (instant-http §5.4, §5.7).

The routes set OAuth providers and clients, authorized origins and rules, with the admin token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trice import auth_limits
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import developed, turn_key_of
from trice.api.middleware import json_response
from trice.api.parameters import malformed, missing, text_in, uuid_in
from trice.apps.apps import App, Apps
from trice.apps.settings import Origin, Settings
from trice.auth.oauth import clients as oauth_clients
from trice.auth.oauth.clients import CHANGEABLE
from trice.auth.oauth.origins import check_origin
from trice.auth.oauth.sign_in import OAuth
from trice.catalog.dates import iso_text
from trice.database import Change
from trice.errors import NotFound, invalid, no_record
from trice.runtime import new_key

T = TypeVar("T")


# --- providers and clients ----------------------------------------------------------------------


async def get_auth(request: Request) -> Response:
    """`GET /dash/apps/:app_id/auth` → everything about sign-in with OAuth.

    {"oauth_service_providers": […], "oauth_clients": […], "authorized_redirect_origins": […],
     "default_sender_email"}
    """
    async with developed(request) as app:
        providers = await app.database.look(oauth_clients.all_providers)
        clients = await app.database.look(oauth_clients.all_clients)
        return json_response(
            {
                "oauth_service_providers": [provider.to_json() for provider in providers],
                "oauth_clients": [client.to_json() for client in clients],
                "authorized_redirect_origins": [_origin(each) for each in app.settings.origins],
                "default_sender_email": request.app.state.settings.mail_from,
            }
        )


async def add_provider(request: Request) -> Response:
    """`POST …/oauth_service_providers {"provider_name"}` → `{"provider"}`."""
    async with developed(request) as app:
        name = _name(await json_body(request), "provider_name")
        runtime = request.app.state.runtime
        provider = await app.database.change(
            lambda change: oauth_clients.add_provider(change, name, runtime=runtime)
        )
        return json_response({"provider": provider.to_json()})


async def add_client(request: Request) -> Response:
    """`POST …/oauth_clients {"provider_id", "client_name", "client_id"?, …}` → `{"client"}`."""
    async with developed(request) as app:
        body = await json_body(request)
        name = _name(body, "client_name")
        provider_id = uuid_in(body, "provider_id")
        state = request.app.state

        def add(change: Change) -> oauth_clients.OAuthClient:
            return oauth_clients.add_client(
                change,
                name,
                provider_id=provider_id,
                given=_changes(body),
                seal=_oauth(request).seal,
                runtime=state.runtime,
            )

        client = await app.database.change(add)
        return json_response({"client": client.to_json()})


async def update_client(request: Request) -> Response:
    """`POST …/oauth_clients/:id {…}` → `{"client"}`. Absent keys stay, null clears, `meta`
    merges."""
    async with developed(request) as app:
        body = await json_body(request)
        client_id = uuid_in(request.path_params, "id", place="params")
        seal = _oauth(request).seal
        client = await app.database.change(
            lambda change: oauth_clients.update_client(change, client_id, _changes(body), seal=seal)
        )
        return json_response({"client": client.to_json()})


async def delete_client(request: Request) -> Response:
    """`DELETE …/oauth_clients/:id` → `{"client"}` as it was."""
    async with developed(request) as app:
        client_id = uuid_in(request.path_params, "id", place="params")
        client = await app.database.change(
            lambda change: oauth_clients.delete_client(change, client_id)
        )
        return json_response({"client": client.to_json()})


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in CHANGEABLE if key in body}


# --- origins ------------------------------------------------------------------------------------


async def add_origin(request: Request) -> Response:
    """`POST …/authorized_redirect_origins {"service", "params": [text]}` → `{"origin"}`.

    An origin that is there already is answered as it is.
    """
    async with developed(request) as app:
        body = await json_body(request)
        service, params = check_origin(body.get("service"), body.get("params"))
        runtime = request.app.state.runtime
        made = Origin(new_key(runtime), service, params, runtime.now_ms())

        def add(settings: Settings) -> tuple[Settings, Origin]:
            for origin in settings.origins:
                if (origin.service, origin.params) == (service, params):
                    return settings, origin
            if len(settings.origins) >= auth_limits.ORIGINS_MAX:
                problem = f"An app has at most {auth_limits.ORIGINS_MAX} authorized origins."
                raise invalid("origin", None, [{"message": problem}])
            return msgspec.structs.replace(settings, origins=(*settings.origins, made)), made

        return json_response({"origin": _origin(await change_settings(request, app, add))})


async def delete_origin(request: Request) -> Response:
    """`DELETE …/authorized_redirect_origins/:id` → `{"origin"}` as it was."""
    async with developed(request) as app:
        origin_id = uuid_in(request.path_params, "id", place="params")

        def delete(settings: Settings) -> tuple[Settings, Origin]:
            for origin in settings.origins:
                if origin.id == origin_id:
                    left = tuple(each for each in settings.origins if each is not origin)
                    return msgspec.structs.replace(settings, origins=left), origin
            raise not_found("app-authorized-redirect-origin", origin_id)

        return json_response({"origin": _origin(await change_settings(request, app, delete))})


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "id": origin.id,
        "service": origin.service,
        "params": list(origin.params),
        "created_at": iso_text(origin.created_ms),
    }


# --- rules --------------------------------------------------------------------------------------


async def set_rules(request: Request) -> Response:
    """`POST /dash/apps/:app_id/rules {"code": rules}`
    → `{"rules": {"app_id", "code"}, "warnings": [{"message", "in", "hint"?}]}`."""
    async with developed(request) as app:
        body = await json_body(request)
        if "code" not in body:
            raise missing("body", "code")
        apps, turn_key = _apps(request), turn_key_of(request, app.id)
        row = await apps.set_rules(app.id, body["code"], turn_key=turn_key)
        saved = {"app_id": row.id, "code": row.rules}
        warnings = await apps.warnings(app, turn_key=turn_key)
        return json_response({"rules": saved, "warnings": warnings})


async def pull_rules(request: Request) -> Response:
    """`GET /dash/apps/:app_id/perms/pull` → `{"perms": rules | null}`."""
    async with developed(request) as app:
        return json_response({"perms": app.row.rules})


# --- for all of these ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Result:
    """The answer to a change of settings, besides the settings."""

    value: Any = None


async def change_settings(
    request: Request, app: App, change: Callable[[Settings], tuple[Settings, T]]
) -> T:
    """Change the app's settings; return what `change` returns besides them."""
    result = _Result()

    def work(settings: Settings) -> Settings:
        changed, result.value = change(settings)
        return changed

    await _apps(request).change_settings(app.id, work)
    value: T = result.value
    return value


def not_found(record_type: str, record_id: str) -> NotFound:
    """The error for a record that the app does not have."""
    return no_record(record_type, "This app has none with this id.", {"id": record_id})


def _name(body: dict[str, Any], key: str) -> str:
    name = text_in(body, key)
    if len(name) > auth_limits.OAUTH_TEXT_CHARS_MAX:
        accepted = f"a string of at most {auth_limits.OAUTH_TEXT_CHARS_MAX} characters"
        raise malformed("body", key, given=None, accepted=accepted)
    return name


def _apps(request: Request) -> Apps:
    apps: Apps = request.app.state.apps
    return apps


def _oauth(request: Request) -> OAuth:
    oauth: OAuth = request.app.state.oauth
    return oauth


_APP: Final = "/dash/apps/{app_id}"

ROUTES: Final = (
    Route(f"{_APP}/auth", get_auth, methods=["GET"]),
    Route(f"{_APP}/oauth_service_providers", add_provider, methods=["POST"], body=JSON),
    Route(f"{_APP}/oauth_clients", add_client, methods=["POST"], body=JSON),
    Route(f"{_APP}/oauth_clients/{{id}}", update_client, methods=["POST"], body=JSON),
    Route(f"{_APP}/oauth_clients/{{id}}", delete_client, methods=["DELETE"]),
    Route(f"{_APP}/authorized_redirect_origins", add_origin, methods=["POST"], body=JSON),
    Route(f"{_APP}/authorized_redirect_origins/{{id}}", delete_origin, methods=["DELETE"]),
    Route(f"{_APP}/rules", set_rules, methods=["POST"], body=JSON),
    Route(f"{_APP}/perms/pull", pull_rules, methods=["GET"]),
)
