"""OAuth apps of an app, for its developers, and what an account allowed such apps of others.

Members of the app manage them by tokens of theirs: neither its admin token nor a token that is
restricted to scopes, as who adds a URL to return to gets the tokens of other people.

source   instant-http §4.9; spec/accounts.md AC90-AC93, AC109
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.accounts.oauth_apps import OAuthApps
from trice.accounts.oauth_tokens import OAuthTokens
from trice.accounts.orgs import Role
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import account_caller, check_access
from trice.api.middleware import json_response
from trice.api.parameters import malformed, uuid_in
from trice.apps.apps import Apps


async def list_apps(request: Request) -> Response:
    """`GET /dash/apps/:app_id/oauth-apps` → `{"apps": [{"id", "appName", …, "clients"}]}`."""
    return json_response({"apps": _oauth_apps(request).of_app(_app_id(request, "collaborator"))})


async def create_app(request: Request) -> Response:
    """`POST …/oauth-apps {"app_name", "granted_scopes"?, "support_email"?, "app_home_page"?,
    "app_privacy_policy_link"?, "app_tos_link"?, "app_logo"?}` → `{"app"}`."""
    app_id = _app_id(request, "collaborator")
    body = await json_body(request)
    if body.get("is_public"):
        app_id = _app_id(request, "admin")
    return json_response({"app": await _oauth_apps(request).create(app_id, body)})


async def update_app(request: Request) -> Response:
    """`POST …/oauth-apps/:oauth_app_id`, with keys of `create_app`; `is_public` makes it usable by
    everybody, which an admin may do → `{"app"}`."""
    app_id = _app_id(request, "collaborator")
    body = await json_body(request)
    if body.get("is_public"):
        app_id = _app_id(request, "admin")
    oauth_app_id = _in_path(request, "oauth_app_id")
    return json_response({"app": await _oauth_apps(request).update(app_id, oauth_app_id, body)})


async def delete_app(request: Request) -> Response:
    """`DELETE …/oauth-apps/:oauth_app_id` → `{"app"}` as it was. All its tokens end."""
    app_id = _app_id(request, "admin")
    oauth_app_id = _in_path(request, "oauth_app_id")
    return json_response({"app": await _oauth_apps(request).delete(app_id, oauth_app_id)})


async def create_client(request: Request) -> Response:
    """`POST …/oauth-apps/:oauth_app_id/clients {"client_name", "authorized_redirect_urls"?}`
    → `{"client", "clientSecret", "secretValue"}`; the secret is shown this once."""
    app_id = _app_id(request, "collaborator")
    body = await json_body(request)
    urls = body.get("authorized_redirect_urls")
    if urls is not None and not isinstance(urls, list):
        raise malformed("body", "authorized_redirect_urls", given=None, accepted="a list of URLs")
    client, secret, value = await _oauth_apps(request).create_client(
        app_id, _in_path(request, "oauth_app_id"), body.get("client_name"), urls or []
    )
    return json_response({"client": client, "clientSecret": secret.to_json(), "secretValue": value})


async def update_client(request: Request) -> Response:
    """`POST …/oauth-app-clients/:client_id {"client_name"?, "add_redirect_url"?,
    "remove_redirect_url"?}` → `{"client"}`."""
    app_id = _app_id(request, "collaborator")
    body = await json_body(request)
    client = await _oauth_apps(request).update_client(
        app_id,
        _in_path(request, "client_id"),
        name=body.get("client_name"),
        add=body.get("add_redirect_url"),
        remove=body.get("remove_redirect_url"),
    )
    return json_response({"client": client})


async def delete_client(request: Request) -> Response:
    """`DELETE …/oauth-app-clients/:client_id` → `{"client"}` as it was. Its tokens end."""
    app_id = _app_id(request, "admin")
    client_id = _in_path(request, "client_id")
    return json_response({"client": await _oauth_apps(request).delete_client(app_id, client_id)})


async def create_secret(request: Request) -> Response:
    """`POST …/oauth-app-clients/:client_id/client-secrets` → `{"clientSecret", "secretValue"}`."""
    app_id = _app_id(request, "collaborator")
    secret, value = await _oauth_apps(request).create_secret(app_id, _in_path(request, "client_id"))
    return json_response({"clientSecret": secret.to_json(), "secretValue": value})


async def delete_secret(request: Request) -> Response:
    """`DELETE …/oauth-app-client-secrets/:client_secret_id` → `{"clientSecret"}`."""
    app_id = _app_id(request, "collaborator")
    secret_id = _in_path(request, "client_secret_id")
    secret = await _oauth_apps(request).delete_secret(app_id, secret_id)
    return json_response({"clientSecret": secret.to_json()})


# --- of an account ------------------------------------------------------------------------------


async def list_allowed(request: Request) -> Response:
    """`GET /dash/user/oauth_apps` → `{"oauthApps": [{"id", "name", "logo", "homePage", …}]}`."""
    account = account_caller(request).whole().account
    return json_response({"oauthApps": _tokens(request).allowed_by(account)})


async def end_access(request: Request) -> Response:
    """`POST /dash/user/oauth_apps/revoke_access {"oauthAppId"}` → as `list_allowed`, without it."""
    account = account_caller(request).whole().account
    await _tokens(request).end_access(account, uuid_in(await json_body(request), "oauthAppId"))
    return json_response({"oauthApps": _tokens(request).allowed_by(account)})


# --- for all of these ---------------------------------------------------------------------------


def _app_id(request: Request, role: Role) -> str:
    """The app in the path, if the caller has this role in it and a token for everything."""
    credential = account_caller(request).whole()
    apps: Apps = request.app.state.apps
    row = apps.get_row(_in_path(request, "app_id"))
    check_access(request, row, credential, role=role)
    return row.id


def _in_path(request: Request, name: str) -> str:
    return uuid_in(request.path_params, name, place="params")


def _oauth_apps(request: Request) -> OAuthApps:
    oauth_apps: OAuthApps = request.app.state.oauth_apps
    return oauth_apps


def _tokens(request: Request) -> OAuthTokens:
    tokens: OAuthTokens = request.app.state.oauth_tokens
    return tokens


_APPS: Final = "/dash/apps/{app_id}/oauth-apps"
_CLIENT: Final = "/dash/apps/{app_id}/oauth-app-clients/{client_id}"
_SECRET: Final = "/dash/apps/{app_id}/oauth-app-client-secrets/{client_secret_id}"

ROUTES: Final = (
    Route(_APPS, list_apps, methods=["GET"]),
    Route(_APPS, create_app, methods=["POST"], body=JSON),
    Route(f"{_APPS}/{{oauth_app_id}}", update_app, methods=["POST"], body=JSON),
    Route(f"{_APPS}/{{oauth_app_id}}", delete_app, methods=["DELETE"]),
    Route(f"{_APPS}/{{oauth_app_id}}/clients", create_client, methods=["POST"], body=JSON),
    Route(_CLIENT, update_client, methods=["POST"], body=JSON),
    Route(_CLIENT, delete_client, methods=["DELETE"]),
    Route(f"{_CLIENT}/client-secrets", create_secret, methods=["POST"]),
    Route(_SECRET, delete_secret, methods=["DELETE"]),
    Route("/dash/user/oauth_apps", list_allowed, methods=["GET"]),
    Route("/dash/user/oauth_apps/revoke_access", end_access, methods=["POST"], body=JSON),
)
