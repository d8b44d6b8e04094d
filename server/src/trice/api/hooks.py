"""Hooks of an app, for its developer: listed, resumed.

source   spec/functions.md FN568
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import Route
from trice.api.callers import developed
from trice.api.middleware import json_response
from trice.apps.app import App
from trice.calls.functions import Functions
from trice.calls.hooks import rows
from trice.calls.hooks.hooks import Hooks
from trice.calls.hooks.reading import Place
from trice.calls.hooks.rows import HookRow
from trice.catalog.dates import iso_text
from trice.functions.signature import HookPlan


async def list_hooks(request: Request) -> Response:
    """`GET /dash/apps/:app_id/hooks` → `{"hooks"}`, by name:

    {"name", "namespace", "follows", "stop", "state", "place", "behind", "failures", "due_at",
     "error", "parked"}
    """
    async with developed(request) as app:
        plans = _plans(request, app)
        found = await rows.listed(app.database)
        hooks: Hooks = request.app.state.hooks
        places = {lane.id: lane.at for lane in hooks.lanes(app.id)}
        told = [_told(app, row, plans, places.get(row.id, row.place)) for row in found]
        return json_response({"hooks": told})


async def resume_hook(request: Request) -> Response:
    """`POST …/hooks/:name/resume` → `{"state"}`, which it had: a broken one goes on from now, one
    that waits tries at once."""
    async with developed(request) as app:
        hooks: Hooks = request.app.state.hooks
        row = await hooks.resume(app.id, app.database, request.path_params["name"])
        return json_response({"state": row.state})


def _plans(request: Request, app: App) -> dict[str, HookPlan]:
    functions: Functions = request.app.state.functions
    return {each.name: each.hook for each in functions.signatures(app) if each.hook is not None}


def _told(app: App, row: HookRow, plans: dict[str, HookPlan], at: Place) -> dict[str, Any]:
    """at   how far it is: past the place in its row lies what does not concern it"""
    plan = plans.get(row.name)
    return {
        "name": row.name,
        "namespace": None if plan is None else plan.namespace,
        "follows": None if plan is None else plan.text(),
        "stop": plan is not None and plan.stop,
        "state": row.state,
        "place": row.place.tx,
        "behind": max(app.database.tx - max(at, row.place).tx, 0),
        "failures": row.failures,
        "due_at": iso_text(row.due_ms) if row.due_ms else None,
        "error": row.error,
        "parked": row.parked,
    }


_DASH: Final = "/dash/apps/{app_id}/hooks"

ROUTES: Final = (
    Route(_DASH, list_hooks, methods=["GET"]),
    Route(f"{_DASH}/{{name}}/resume", resume_hook, methods=["POST"]),
)
