"""What apps use of their quotas, for their developers.

source   spec/quotas.md QT20-QT23
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice import quota_limits
from trice.accounts.orgs import check_role
from trice.api.bodies import Route
from trice.api.callers import account_caller, developed, lent_app, orgs_of
from trice.api.middleware import json_response
from trice.api.parameters import uuid_in
from trice.apps.apps import App, Apps
from trice.apps.quotas import APP_QUOTAS, Quotas
from trice.apps.registry import AppRow
from trice.errors import TriceError
from trice.files.files import Files

Body = dict[str, Any]


async def get_app_usage(request: Request) -> Response:
    """`GET /dash/apps/:app_id/usage`, `GET /superadmin/apps/:app_id/usage`
    → `{"usage": {"id", "title", QUOTA: {"used", "allowed", "set_by"}}}` for each quota."""
    async with developed(request) as app:
        return json_response({"usage": await _usage(request, app)})


async def get_account_usage(request: Request) -> Response:
    """`GET /dash/usage?after=…`, `GET /superadmin/usage?after=…`
    → `{"usage": {"apps": [usage], "total": {QUOTA: used}, "app-count": {"used", "allowed"},
    "after": id | null}}` of the apps of the account, oldest first."""
    account = account_caller(request, "apps-read").account
    rows = await _apps(request).apps_of(account.id)
    quotas = _apps(request).allowances.of_holder("owner", account.id)
    return json_response({"usage": await _usages(request, rows, quotas)})


async def get_org_usage(request: Request) -> Response:
    """`GET /dash/orgs/:org_id/usage?after=…`, the same of an organisation."""
    account = account_caller(request, "apps-read").account
    org_id = uuid_in(request.path_params, "org_id", place="params")
    check_role(orgs_of(request).find_role(org_id, account), "viewer")
    rows = await _apps(request).apps_of(org_id, of="org")
    quotas = _apps(request).allowances.of_holder("org", org_id)
    return json_response({"usage": await _usages(request, rows, quotas)})


async def _usages(request: Request, rows: list[AppRow], quotas: Quotas) -> Body:
    """One page; `total` is of the apps on it."""
    after = request.query_params.get("after")
    known = [at for at, row in enumerate(rows) if row.id == after]
    start = known[0] + 1 if known else 0
    page = rows[start : start + quota_limits.USAGE_APPS_A_PAGE]
    told, total = [], dict.fromkeys(APP_QUOTAS, 0)
    for row in page:
        try:
            async with lent_app(request, row.id) as app:
                usage = await _usage(request, app)
        except TriceError as failure:  # one that cannot be opened hides no other
            told.append({"id": row.id, "title": row.title, "problem": failure.message})
            continue
        told.append(usage)
        for name in APP_QUOTAS:
            total[name] += usage[name]["used"]
    is_last = start + len(page) >= len(rows)
    allowed = quotas.apps if isinstance(quotas.apps, int) else None
    return {
        "apps": told,
        "total": total,
        "app-count": {"used": len(rows), "allowed": allowed},
        "after": None if is_last else page[-1].id,
    }


async def _usage(request: Request, app: App) -> Body:
    """What one app uses, and may use; null: without bound."""
    files: Any = request.app.state.files
    stored = await app.database.engine.used()
    app.meter.turn()
    used = {
        "rows": stored.rows,
        "bytes": stored.bytes,
        "file-bytes": await files.quota.used(app) if isinstance(files, Files) else 0,
        "requests": app.meter.current,
        "sockets": app.sockets,
    }
    told: Body = {"id": app.id, "title": app.title}
    for name in APP_QUOTAS:
        told[name] = {
            "used": used[name],
            "allowed": app.allowed.find(name),
            "set_by": app.allowed.set_by.get(name),
        }
    told["requests"]["last_minute"] = app.meter.last
    return told


def _apps(request: Request) -> Apps:
    apps: Apps = request.app.state.apps
    return apps


ROUTES: Final = (
    Route("/dash/apps/{app_id}/usage", get_app_usage, methods=["GET"]),
    Route("/superadmin/apps/{app_id}/usage", get_app_usage, methods=["GET"]),
    Route("/dash/usage", get_account_usage, methods=["GET"]),
    Route("/superadmin/usage", get_account_usage, methods=["GET"]),
    Route("/dash/orgs/{org_id}/usage", get_org_usage, methods=["GET"]),
)
