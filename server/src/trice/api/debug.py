"""Routes that explain rules: `debugQuery` and `debugTransact` (instant-http §3.2, §3.3), and the
same for rooms (trice only)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import JSON, JSON_QUERY, Route, json_body
from trice.api.callers import Lent, admin_caller, required_token, turn_key_of
from trice.api.middleware import encoded_response, json_response
from trice.api.parameters import flag_in, malformed, missing
from trice.apps.apps import Apps
from trice.errors import invalid
from trice.rules.environments import ROOM_ACTIONS

if TYPE_CHECKING:
    from trice.debug import Explainer


async def query(request: Request) -> Response:
    """`POST /admin/query_perms_check {"query", "rules-override"?, "ip-override"?,
    "origin-override"?, "inference?"?}` → `{"result", "check-results", "warnings"}`."""
    async with admin_caller(request) as lent:
        body = await json_body(request)
        if "query" not in body:
            raise missing("body", "query")
        if not isinstance(body["query"], dict):
            raise malformed("body", "query", given=body["query"], accepted="an object")
        explainer = await _explainer(request, lent, body)
        found = await explainer.query(body["query"], is_inferring=flag_in(body, "inference?"))
        warnings = await _warnings(request, lent, explainer)
        return encoded_response(await asyncio.to_thread(found.wire_json, warnings))


async def transact(request: Request) -> Response:
    """`POST /admin/transact_perms_check {"steps", "throw-on-missing-attrs?"?, "rules-override"?,
    "ip-override"?, "origin-override"?, "dangerously-commit-tx"?}`
    → `{"tx-id", "all-checks-ok?", "committed?", "told", "check-results", "warnings"}`."""
    async with admin_caller(request) as lent:
        body = await json_body(request)
        if "steps" not in body:
            raise missing("body", "steps")
        explainer = await _explainer(request, lent, body)
        found = await explainer.transact(
            body["steps"],
            throw_on_missing_attrs=flag_in(body, "throw-on-missing-attrs?"),
            may_commit=flag_in(body, "dangerously-commit-tx"),
        )
        warnings = await _warnings(request, lent, explainer)
        return json_response({**found.wire(), "warnings": warnings})


async def room(request: Request) -> Response:
    """`POST /admin/room_perms_check {"action", "room-type", "room-id", "topic"?, "data"?,
    "rule-params"?, "rules-override"?, "ip-override"?, "origin-override"?}`
    → `{"has-rules?", "all-checks-ok?", "told", "check-results", "warnings"}`."""
    from trice.rules.room_rights import RoomDeed

    async with admin_caller(request) as lent:
        body = await json_body(request)
        action, topic = _text(body, "action"), _text(body, "topic")
        if action is None:
            raise missing("body", "action")
        if action not in ROOM_ACTIONS:
            accepted = f"one of {', '.join(ROOM_ACTIONS)}"
            raise malformed("body", "action", given=action, accepted=accepted)
        if (topic is not None) != (action == "publish"):
            accepted = "a text for `publish`, and nothing for other actions"
            raise malformed("body", "topic", given=topic, accepted=accepted)
        params = body.get("rule-params", {})
        if not isinstance(params, dict):
            raise malformed("body", "rule-params", given=params, accepted="an object")
        room_type, room_id = _text(body, "room-type"), _text(body, "room-id")
        if room_type is None or room_id is None:
            raise missing("body", "room-type" if room_type is None else "room-id")
        explainer = await _explainer(request, lent, body)
        deed = RoomDeed(action, room_type, room_id, topic, body.get("data"), params)
        found = await explainer.room(deed)
        warnings = await _warnings(request, lent, explainer)
        return json_response({**found.wire(), "warnings": warnings})


async def _explainer(request: Request, lent: Lent, body: dict[str, Any]) -> Explainer:
    """An explainer for the identity and the rules that a request names.

    raises   InvalidInput for admins, for requests without the admin token, and for wrong overrides
    """
    # Imported here: an idle server does not need the code that explains rules.
    from trice.debug import Explainer

    required_token(request)
    if lent.identity.is_admin:
        problem = (
            "Cannot test perms as admin. Act as somebody: send the header `as-email`, `as-token` "
            "or `as-guest` (in JavaScript, `db.asUser(…)`)."
        )
        raise invalid("non-admin", None, [{"message": problem}])
    identity = lent.identity
    ip = _text(body, "ip-override")
    origin = _text(body, "origin-override")
    if ip is not None:
        identity = replace(identity, ip=ip)
    if origin is not None:
        identity = replace(identity, origin=origin)
    rules = lent.app.database.rules
    document = body.get("rules-override")
    if document is not None:
        apps: Apps = request.app.state.apps
        turn_key = turn_key_of(request, lent.app.id)
        rules = await apps.compile_rules(document, is_open=rules.is_open, turn_key=turn_key)
    return Explainer(lent.app.database, identity, rules, runtime=request.app.state.runtime)


async def _warnings(request: Request, lent: Lent, explainer: Explainer) -> list[dict[str, Any]]:
    apps: Apps = request.app.state.apps
    turn_key = turn_key_of(request, lent.app.id)
    return await apps.warnings(lent.app, explainer.rules, turn_key=turn_key)


def _text(body: dict[str, Any], key: str) -> str | None:
    given = body.get(key)
    if given is None or isinstance(given, str):
        return given
    raise malformed("body", key, given=given, accepted="a string")


ROUTES: Final = (
    Route("/admin/query_perms_check", query, methods=["POST"], body=JSON_QUERY),
    Route("/admin/transact_perms_check", transact, methods=["POST"], body=JSON),
    Route("/admin/room_perms_check", room, methods=["POST"], body=JSON),
)
