"""Apps for people without an account: throw-away apps (instant-http §5.6)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice import limits
from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import guest_of, throttle_of, turn_key_of
from trice.api.middleware import json_response
from trice.api.parameters import malformed, missing
from trice.apps.apps import Apps
from trice.apps.registry import AppRow
from trice.errors import PermissionDenied, no_record
from trice.protocol.ids import find_uuid_bytes


async def create_ephemeral(request: Request) -> Response:
    """`POST /dash/apps/ephemeral {"title", "schema"?, "rules"?: {"code"}}`
    → `{"app", "expires_ms", "warnings": [{"message", "in", "hint"?}]}`, the token in the app.

    Whatever its rules do not speak about is allowed in this app, and it lives 14 days. `rules`
    without `code` are ignored, as Instant does, and `warnings` says so.
    """
    if not request.app.state.settings.has_ephemeral_apps:
        raise PermissionDenied("permission-denied", "Throw-away apps are switched off here.")
    apps: Apps = request.app.state.apps
    body = await json_body(request)
    title = title_in(body)
    rules, warnings = _rules_in(body.get("rules"))
    throttle_of(request).new_app(guest_of(request).ip, attrs=_attrs_in(body.get("schema")))
    turn_key = turn_key_of(request, "")
    app, token = await apps.create(
        title=title,
        schema=body.get("schema"),
        rules=rules,
        is_open=True,
        life_ms=limits.EPHEMERAL_APP_MS,
        turn_key=turn_key,
    )
    try:
        row = {**_row(app.row), "admin-token": token}
        warnings += await apps.warnings(app, turn_key=turn_key)
        return json_response({"app": row, "expires_ms": app.row.expires_ms, "warnings": warnings})
    finally:
        apps.give_back(app)


async def get_ephemeral(request: Request) -> Response:
    """`GET /dash/apps/ephemeral/:app_id` → the app without its token."""
    apps: Apps = request.app.state.apps
    app_id = request.path_params["app_id"]
    if find_uuid_bytes(app_id) is None:
        raise malformed("params", "app_id", given=app_id, accepted="a uuid")
    row = apps.get_row(app_id)
    if row.expires_ms is None:
        raise no_record("app", "There is no throw-away app with this id.", {"app-id": app_id})
    return json_response({"app": _row(row), "expires_ms": row.expires_ms})


def title_in(body: dict[str, Any]) -> str:
    """The title of an app in a body, trimmed."""
    if "title" not in body:
        raise missing("body", "title")
    title = body["title"]
    if isinstance(title, (int, float)) and not isinstance(title, bool):
        title = str(title)  # non-blank text may come as a number (instant-http §0.4)
    is_text = isinstance(title, str) and title.strip() and "\0" not in title
    if not is_text or len(title) > limits.APP_TITLE_CHARS_MAX:
        most = limits.APP_TITLE_CHARS_MAX
        accepted = f"a string of 1 to {most} characters that is not blank, without U+0000"
        raise malformed("body", "title", given=title, accepted=accepted)
    assert isinstance(title, str)
    return title.strip()


def _attrs_in(schema: Any) -> int:
    """How many attrs a schema declares, as far as it can be read; mistakes are told later."""
    entities = schema.get("entities") if isinstance(schema, dict) else None
    members = entities.values() if isinstance(entities, dict) else ()
    declared = (member.get("attrs") for member in members if isinstance(member, dict))
    return sum(len(attrs) for attrs in declared if isinstance(attrs, dict))


def _rules_in(given: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The rules document in a body, and warnings about it."""
    if given is None:
        return None, []
    if not isinstance(given, dict):
        raise malformed("body", "rules", given=given, accepted="an object")
    if "code" in given or not given:
        return given.get("code"), []
    message = (
        '`rules` has no `code`, so it was ignored and the app is open to everybody. Send {"rules":'
        ' {"code": {"todos": {"allow": {…}}}}}.'
    )
    return None, [{"in": ["rules"], "message": message}]


def short_iso_text(moment_ms: int) -> str:
    """A moment as clients' schemas expect it: text, UTC, whole seconds (instant-http §0.4)."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(row: AppRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "title": row.title,
        "created_at": short_iso_text(row.created_ms),
        "status": "active",
        "perms": None if row.rules is None else {"code": row.rules},
    }


ROUTES: Final = (
    Route("/dash/apps/ephemeral", create_ephemeral, methods=["POST"], body=JSON),
    Route("/dash/apps/ephemeral/{app_id}", get_ephemeral, methods=["GET"]),
)
