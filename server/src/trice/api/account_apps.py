"""The apps of an account: made, listed, renamed, deleted, restored, claimed.

`/superadmin/*` is what `@instantdb/platform` calls, `/dash/*` what `instant-cli` does.

source   instant-http §4.1-§4.3, §5.3, §5.6; spec/accounts.md AC20-AC29
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import account_limits
from trice.accounts.accounts import Account, Credential
from trice.accounts.orgs import Role, check_role
from trice.accounts.transfers import Transfers
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import (
    account_caller,
    check_access,
    developed,
    lent_app,
    orgs_of,
    turn_key_of,
)
from trice.api.dash_auth import set_rules
from trice.api.middleware import encoded_response, json_response
from trice.api.parameters import find_uuid_in, malformed, missing, uuid_in
from trice.api.platform import short_iso_text, title_in
from trice.apps.apps import App, Apps, SealToken, wrong_admin_token
from trice.apps.registry import AppRow
from trice.apps.schemas import Schemas
from trice.auth.oauth.sealed import Seal
from trice.errors import LimitExceeded, TriceError, no_record
from trice.log import fields
from trice.protocol.ids import AppId

logger: Final = logging.getLogger("trice.api")

Body = dict[str, Any]


# --- apps of an account -------------------------------------------------------------------------


async def list_apps(request: Request) -> Response:
    """`GET /superadmin/apps?include=perms,schema` → `{"apps": [row, "perms"?, "schema"?]}`."""
    account = account_caller(request, "apps-read").account
    return await list_rows(request, await _apps(request).apps_of(account.id))


async def list_rows(request: Request, rows: list[AppRow]) -> Response:
    """Apps as `/superadmin` lists them."""
    include = (request.query_params.get("include") or "").split(",")
    has_schema, has_perms = "schema" in include, "perms" in include
    if has_schema and len(rows) > account_limits.APPS_WITH_SCHEMA_MAX:
        raise LimitExceeded(
            "parameter-limit-exceeded",
            f"There are {len(rows):,} apps; the schemas of at most"
            f" {account_limits.APPS_WITH_SCHEMA_MAX} come at once. Ask for each app's own:"
            " GET /superadmin/apps/APP_ID/schema.",
        )
    told = []
    for row in rows:
        shown = _row(row)
        if has_perms:
            shown["perms"] = row.rules
        if has_schema:
            shown["schema"] = await _schema(request, row.id)
        told.append(shown)
    return json_response({"apps": told})


async def create_app(request: Request) -> Response:
    """`POST /superadmin/apps {"title", "schema"?, "perms"?, "org_id"?}`
    → `{"app": row with "admin-token", "perms", "schema"}`; all or nothing."""
    account = account_caller(request, "apps-write").account
    body = await json_body(request)
    app, token = await _create(request, account, body, rules=body.get("perms"))
    try:
        shown = {
            **_row(app.row),
            "admin-token": token,
            "perms": app.row.rules,
            "schema": await _schema(request, app.id),
        }
        return json_response({"app": shown})
    finally:
        _apps(request).give_back(app)


async def create_dash_app(request: Request) -> Response:
    """`POST /dash/apps {"id"?, "title", "admin_token"?, "org_id"?, "schema"?, "rules"?: {"code"}}`
    → `{"app": row}`. The caller may choose the id and the token; rules without `code` are ignored,
    as Instant does."""
    account = account_caller(request, "apps-write").account
    body = await json_body(request)
    given = body.get("rules")
    if given is not None and not isinstance(given, dict):
        raise malformed("body", "rules", given=given, accepted="an object")
    app, token = await _create(
        request,
        account,
        body,
        rules=None if given is None else given.get("code"),
        app_id=find_uuid_in(body, "id"),
        token=find_uuid_in(body, "admin_token"),
    )
    try:
        return json_response({"app": {**_row(app.row), "admin-token": token}})
    finally:
        _apps(request).give_back(app)


async def _create(
    request: Request, account: Account, body: Body, *, rules: Any, **options: Any
) -> tuple[App, str]:
    title, org_id = title_in(body), find_uuid_in(body, "org_id")
    if org_id is not None:
        check_role(orgs_of(request).find_role(org_id, account), "admin")
    return await _apps(request).create(
        title=title,
        schema=body.get("schema"),
        rules=rules,
        owner=account.id if org_id is None else None,
        org=org_id,
        seal=_seal(request),
        turn_key=turn_key_of(request, ""),
        **options,
    )


async def dashboard(request: Request) -> Response:
    """`GET /dash` → the account and its apps, with their admin tokens (instant-http §5.3)."""
    credential = account_caller(request)
    credential.demand("apps-read")
    account, orgs = credential.account, orgs_of(request)
    rows = await _apps(request).apps_of(account.id)
    invites = orgs.invites_of(account)
    transfers: Transfers = request.app.state.transfers
    offered = [transfer.to_json(row) for transfer, row in transfers.to(account.email)]
    return json_response(
        {
            "apps": await dash_rows(request, rows, credential, "owner"),
            "orgs": [org.to_json(role) for org, role in orgs.of(account)],
            "user": account.to_json(),
            "profile": None,
            "invites": [
                {"id": invite.id, "org": org.to_json(invite.role), "invitee_role": invite.role}
                for org, invite in invites
            ]
            + offered,
            "superuser": False,
        }
    )


async def dash_rows(
    request: Request, rows: list[AppRow], credential: Credential, role: Role
) -> list[Body]:
    """Rows as `instant-cli` decodes them: each app has a role, and a token if the caller, who has
    this role in them, may see it."""
    # Whoever has an admin token may do everything, so a token or role for less does not see it.
    is_shown = credential.token.scopes is None and role != "viewer"
    seal = _server_seal(request) if is_shown else None
    told = []
    for at, row in enumerate(rows):
        told.append(_dash_row(row, seal, role))
        if at % account_limits.ROWS_A_TURN == 0:
            await asyncio.sleep(0)
    return told


def _dash_row(row: AppRow, seal: Seal | None, role: Role) -> Body:
    """seal   None: no token. It is null too if the server's key was changed since it was made"""
    # The command line knows three roles, and fails on any other.
    told = "collaborator" if role == "viewer" else role
    shown = {**_row(row), "rules": row.rules, "user_app_role": told, "pro": False, "org": None}
    shown["admin_token"] = None
    if row.sealed_token is not None and seal is not None:
        try:
            shown["admin_token"] = seal.open(row.sealed_token, holder=row.id)
        except TriceError as failure:
            logger.debug("token not shown %s", fields(app=row.id, reason=failure.message))
    return shown


# --- one app ------------------------------------------------------------------------------------


async def get_app(request: Request) -> Response:
    """`GET /superadmin/apps/:app_id`, `GET /dash/apps/:app_id` → `{"app": row}`."""
    async with developed(request) as app:
        return json_response({"app": _row(app.row)})


async def rename_app(request: Request) -> Response:
    """`POST /superadmin/apps/:app_id {"title"}`, `POST /dash/apps/:app_id/rename {"title"}`
    → `{"app": row}`."""
    async with developed(request, role="admin") as app:
        title = title_in(await json_body(request))
        return json_response({"app": _row(await _apps(request).rename(app.id, title))})


async def delete_app(request: Request) -> Response:
    """`DELETE /superadmin/apps/:app_id`, `DELETE /dash/apps/:app_id` → `{"app": row, "ok": true}`.

    Only the account may, not the admin token. `restore` brings it back for 14 days.
    """
    credential = account_caller(request, "apps-write")
    app_id = AppId(uuid_in(request.path_params, "app_id", place="params"))
    apps = _apps(request)
    check_access(request, apps.get_row(app_id), credential, role="admin")
    row = await apps.hide(app_id)
    return json_response({"app": _row(row), "ok": True})


async def restore_app(request: Request) -> Response:
    """`POST /dash/apps/:app_id/restore` → `{"app": row}`. Beyond Instant."""
    credential = account_caller(request, "apps-write")
    app_id = AppId(uuid_in(request.path_params, "app_id", place="params"))
    apps = _apps(request)
    hidden = apps.find_hidden(app_id)
    if hidden is not None:
        check_access(request, hidden, credential, role="admin")
    return json_response({"app": _row(await apps.restore(app_id))})


async def list_deleted(request: Request) -> Response:
    """`GET /dash/deleted-apps` → `{"apps": [row with "ends_at"]}`, those of organisations that the
    account administers included. Beyond Instant."""
    account, apps = account_caller(request, "apps-read").account, _apps(request)
    rows = await apps.apps_of(account.id, is_deleted=True)
    for org, role in orgs_of(request).of(account):
        if role in ("admin", "owner"):
            rows += await apps.apps_of(org.id, of="org", is_deleted=True)
    told = [{**_row(row), "ends_at": short_iso_text(row.expires_ms or 0)} for row in rows]
    return json_response({"apps": told})


async def renew_token(request: Request) -> Response:
    """`POST /dash/apps/:app_id/tokens {"admin-token"?}` → `{"app_id", "token"}`. The former admin
    token works no more."""
    credential = account_caller(request).whole()
    app_id = uuid_in(request.path_params, "app_id", place="params")
    token = find_uuid_in(await json_body(request), "admin-token")
    async with lent_app(request, app_id) as app:
        check_access(request, app.row, credential, role="admin")
        made = await _apps(request).renew_admin_token(app.id, token, seal=_seal(request))
        return json_response({"app_id": app.id, "token": made})


async def claim_app(request: Request) -> Response:
    """`POST /dash/apps/ephemeral/:app_id/claim {"token": admin token}` → `{}`. A throw-away app
    becomes one of the caller's account, and lasts."""
    app_id = AppId(uuid_in(request.path_params, "app_id", place="params"))
    apps = _apps(request)
    row = apps.get_row(app_id)
    if row.expires_ms is None:
        raise no_record("app", "There is no throw-away app with this id.", {"app-id": app_id})
    token = uuid_in(await json_body(request), "token")
    async with lent_app(request, app_id) as app:
        try:
            app.check_admin_token(token)
        except TriceError as failure:
            raise wrong_admin_token() from failure
        account = account_caller(request, "apps-write").account
        await apps.renew_admin_token(app.id, token, seal=_seal(request))
    await apps.give(app_id, account.id)
    return json_response({})


async def track_import(request: Request) -> Response:
    """`POST /dash/apps/:app_id/track-import` → `{"ok": true}`. Nothing is tracked."""
    return json_response({"ok": True})


# --- rules --------------------------------------------------------------------------------------


async def get_perms(request: Request) -> Response:
    """`GET /superadmin/apps/:app_id/perms` → `{"perms": rules | null}`."""
    async with developed(request) as app:
        return json_response({"perms": app.row.rules})


# --- schema -------------------------------------------------------------------------------------


async def get_schema(request: Request) -> Response:
    """`GET /superadmin/apps/:app_id/schema` → `{"schema"}`."""
    async with developed(request) as app:
        return json_response({"schema": await _view(request, app)})


async def pull_schema(request: Request) -> Response:
    """`GET /dash/apps/:app_id/schema/pull` → `{"schema", "attrs", "app-title"}`."""
    async with developed(request) as app:
        turn_key = turn_key_of(request, app.id)
        return encoded_response(await _schemas(request).pulled(app, turn_key=turn_key))


async def plan_schema(request: Request) -> Response:
    """`POST …/schema/push/plan {"schema", "check_types"?, "supports_background_updates"?}`
    → `{"new-schema", "current-schema", "current-attrs", "steps"}`."""
    async with developed(request) as app:
        body = await _schema_body(request)
        turn_key = turn_key_of(request, app.id)
        return encoded_response(await _schemas(request).planned(app, body, turn_key=turn_key))


async def push_schema(request: Request) -> Response:
    """`POST …/schema/push/apply`, with the body of plan → its answer, and that of `apply_steps`."""
    async with developed(request) as app:
        body = await _schema_body(request)
        turn_key = turn_key_of(request, app.id)
        return encoded_response(await _schemas(request).pushed(app, body, turn_key=turn_key))


async def apply_steps(request: Request) -> Response:
    """`POST /dash/apps/:app_id/schema/steps/apply {"steps"}`
    → `{"transaction", "steps", "indexing-jobs": {"group-id", "jobs"} | null}`."""
    async with developed(request) as app:
        body = await json_body(request)
        if "steps" not in body:
            raise missing("body", "steps")
        turn_key = turn_key_of(request, app.id)
        schemas = _schemas(request)
        return encoded_response(await schemas.applied(app, body["steps"], turn_key=turn_key))


async def _schema_body(request: Request) -> Body:
    body = await json_body(request)
    if body.get("schema") is None:
        raise missing("body", "schema")
    return body


async def add_job(request: Request) -> Response:
    """`POST /dash/apps/:app_id/indexing-jobs {"attr-id", "job-type", "checked-data-type"?}`
    → `{"job"}`: one step of `apply_steps`, for the explorer."""
    async with developed(request) as app:
        body = await json_body(request)
        kind, turn_key = body.get("job-type"), turn_key_of(request, app.id)
        job = await _schemas(request).begin_job(app, kind, body, turn_key=turn_key)
        return json_response({"job": job.to_json()})


# --- for all of these ---------------------------------------------------------------------------


def _row(row: AppRow) -> Body:
    """The columns of an app that clients know (instant-http §4.2)."""
    deleted = None if row.deleted_ms is None else short_iso_text(row.deleted_ms)
    return {
        "id": row.id,
        "title": row.title,
        "creator_id": row.owner,
        "org_id": row.org,
        "created_at": short_iso_text(row.created_ms),
        "magic_code_expiry_minutes": row.settings.code_expiry_minutes,
        "status": "active",
        "deletion_marked_at": deleted,
    }


async def _schema(request: Request, app_id: AppId) -> orjson.Fragment:
    async with lent_app(request, app_id) as app:
        return await _view(request, app)


async def _view(request: Request, app: App) -> orjson.Fragment:
    turn_key = turn_key_of(request, app.id)
    return orjson.Fragment(await _schemas(request).view(app, turn_key=turn_key))


def _seal(request: Request) -> SealToken:
    seal = _server_seal(request)
    return lambda app_id, token: seal.seal(token, holder=app_id)


def _server_seal(request: Request) -> Seal:
    seal: Seal = request.app.state.oauth.seal
    return seal


def _apps(request: Request) -> Apps:
    apps: Apps = request.app.state.apps
    return apps


def _schemas(request: Request) -> Schemas:
    schemas: Schemas = request.app.state.schemas
    return schemas


_DASH: Final = "/dash/apps/{app_id}"
_PLATFORM: Final = "/superadmin/apps/{app_id}"

ROUTES: Final = (
    Route("/superadmin/apps", list_apps, methods=["GET"]),
    Route("/superadmin/apps", create_app, methods=["POST"], body=JSON),
    Route(_PLATFORM, get_app, methods=["GET"]),
    Route(_PLATFORM, rename_app, methods=["POST"], body=JSON),
    Route(_PLATFORM, delete_app, methods=["DELETE"]),
    Route(f"{_PLATFORM}/schema", get_schema, methods=["GET"]),
    Route(f"{_PLATFORM}/schema/push/plan", plan_schema, methods=["POST"], body=JSON),
    Route(f"{_PLATFORM}/schema/push/apply", push_schema, methods=["POST"], body=JSON),
    Route(f"{_PLATFORM}/perms", get_perms, methods=["GET"]),
    Route(f"{_PLATFORM}/perms", set_rules, methods=["POST"], body=JSON),
    Route("/dash/deleted-apps", list_deleted, methods=["GET"]),
    Route("/dash/apps", create_dash_app, methods=["POST"], body=JSON),
    Route("/dash/apps/ephemeral/{app_id}/claim", claim_app, methods=["POST"], body=JSON),
    Route(_DASH, get_app, methods=["GET"]),
    Route(_DASH, delete_app, methods=["DELETE"]),
    Route(f"{_DASH}/restore", restore_app, methods=["POST"]),
    Route(f"{_DASH}/rename", rename_app, methods=["POST"], body=JSON),
    Route(f"{_DASH}/tokens", renew_token, methods=["POST"], body=JSON),
    Route(f"{_DASH}/claim", claim_app, methods=["POST"], body=JSON),
    Route(f"{_DASH}/track-import", track_import, methods=["POST"]),
    Route(f"{_DASH}/schema/pull", pull_schema, methods=["GET"]),
    Route(f"{_DASH}/schema/push/plan", plan_schema, methods=["POST"], body=JSON),
    Route(f"{_DASH}/schema/push/apply", push_schema, methods=["POST"], body=JSON),
    Route(f"{_DASH}/schema/steps/apply", apply_steps, methods=["POST"], body=JSON),
    Route(f"{_DASH}/indexing-jobs", add_job, methods=["POST"], body=JSON),
)
