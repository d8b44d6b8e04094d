"""Code of an app, for its developer: sent, put in force, gone back from; secrets; the log.

source   spec/functions.md FN260-FN295
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response

from trice import function_limits
from trice.api.bodies import JSON, Body, Route, json_body, whole_body
from trice.api.callers import developed, developer_email, turn_key_of
from trice.api.middleware import json_response
from trice.api.parameters import malformed
from trice.api.pieces import Pieces
from trice.calls.deployment_rows import Deployment, Secret
from trice.calls.deployments import Deployments
from trice.calls.log_ring import LEVELS, Line, Logs, Wanted
from trice.catalog.dates import iso_text

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_ZIP: Final = Body(bytes_max=function_limits.BUNDLE_BYTES_MAX, is_held=True)


async def take_bundle(request: Request) -> Response:
    """`POST /dash/apps/:app_id/bundles`, a zip file → `{"report": Report}`. Nothing changes."""
    async with developed(request) as app:
        raw = await whole_body(request)
        report = await _deployments(request).take(
            app, raw, by=developer_email(request), turn_key=turn_key_of(request, app.id)
        )
        return json_response({"report": msgspec.to_builtins(report)})


async def deploy(request: Request) -> Response:
    """`POST …/deployments {"bundle", "force"?}` → `{"deployment"}`, in force."""
    async with developed(request) as app:
        body = await json_body(request)
        made = await _deployments(request).deploy(
            app,
            body.get("bundle"),
            is_forced=_flag(body, "force"),
            by=developer_email(request),
            turn_key=turn_key_of(request, app.id),
        )
        return json_response({"deployment": _told(made)})


async def roll_back(request: Request) -> Response:
    """`POST …/deployments/rollback {"to"?, "force"?}` → `{"deployment"}`, in force again."""
    async with developed(request) as app:
        body = await json_body(request)
        to = body.get("to")
        if to is not None and type(to) is not int:
            raise malformed("body", "to", given=to, accepted="the number of a deployment")
        made = await _deployments(request).roll_back(
            app,
            to,
            is_forced=_flag(body, "force"),
            by=developer_email(request),
            turn_key=turn_key_of(request, app.id),
        )
        return json_response({"deployment": _told(made)})


async def list_deployments(request: Request) -> Response:
    """`GET …/deployments` → `{"current", "deployments"}`, newest first."""
    async with developed(request) as app:
        current, kept = await _deployments(request).listed(app)
        return json_response({"current": current, "deployments": [_told(each) for each in kept]})


async def list_secrets(request: Request) -> Response:
    """`GET …/env` → `{"env": [{"name", "updated_at"}]}`; values are told to nobody."""
    async with developed(request) as app:
        return json_response({"env": _names(_deployments(request).secrets(app))})


async def change_secrets(request: Request) -> Response:
    """`POST …/env {"set"?: {NAME: text}, "remove"?: [NAME]}` → as `list_secrets`."""
    async with developed(request) as app:
        body = await json_body(request)
        secrets = await _deployments(request).change_secrets(
            app, body.get("set"), body.get("remove"), by=developer_email(request)
        )
        return json_response({"env": _names(secrets)})


async def read_log(request: Request) -> Response:
    """`GET …/logs?function=&trace=&level=&after=` → `{"lines": [line], "place"}`: the newest 64
    KiB, or what comes after a place. A line is `{"at", "level", "function", "trace", "text"}`.

    follow=1   lines of JSON, as they come: {"lines", "place"} each; it ends after ten minutes
    """
    async with developed(request, role="collaborator") as app:
        logs: Logs = request.app.state.function_logs
        params = request.query_params
        level = params.get("level") or "debug"
        if level not in LEVELS:
            raise malformed("params", "level", given=level, accepted=", ".join(LEVELS))
        given = params.get("after")
        if given is not None and not _NUMBER.fullmatch(given):
            raise malformed("params", "after", given=given, accepted="a place that was answered")
        after = None if given is None else int(given)
        wanted = Wanted(params.get("function") or "", params.get("trace") or "", level)
        if params.get("follow") != "1":
            return json_response(_page(*await logs.read(app.id, after=after, wanted=wanted)))
        following = logs.follow(app.id, after=after, wanted=wanted)
        first = await anext(following)  # a refusal is an answer like any other
        return Pieces(_pages(first, following), media_type="application/x-ndjson")


async def _pages(
    first: tuple[list[Line], int], following: AsyncGenerator[tuple[list[Line], int], None]
) -> AsyncGenerator[bytes, None]:
    try:
        yield orjson.dumps(_page(*first)) + b"\n"
        async for each in following:
            yield orjson.dumps(_page(*each)) + b"\n"
    finally:
        await following.aclose()


def _page(lines: list[Line], place: int) -> dict[str, Any]:
    return {"lines": [msgspec.to_builtins(line) for line in lines], "place": place}


def _deployments(request: Request) -> Deployments:
    found: Deployments = request.app.state.deployments
    return found


def _flag(body: dict[str, Any], key: str) -> bool:
    given = body.get(key, False)
    if not isinstance(given, bool):
        raise malformed("body", key, given=given, accepted="true or false")
    return given


def _told(made: Deployment) -> dict[str, Any]:
    return {
        "number": made.number,
        "bundle": made.bundle,
        "created_at": iso_text(made.created_ms),
        "size_bytes": made.size_bytes,
        "functions": made.functions,
    }


def _names(secrets: Any) -> list[dict[str, Any]]:
    known: dict[str, Secret] = dict(secrets)
    return [
        {"name": name, "updated_at": iso_text(secret.updated_ms)}
        for name, secret in sorted(known.items())
    ]


_DASH: Final = "/dash/apps/{app_id}"

ROUTES: Final = (
    Route(f"{_DASH}/bundles", take_bundle, methods=["POST"], body=_ZIP),
    Route(f"{_DASH}/deployments", list_deployments, methods=["GET"]),
    Route(f"{_DASH}/deployments", deploy, methods=["POST"], body=JSON),
    Route(f"{_DASH}/deployments/rollback", roll_back, methods=["POST"], body=JSON),
    Route(f"{_DASH}/env", list_secrets, methods=["GET"]),
    Route(f"{_DASH}/env", change_secrets, methods=["POST"], body=JSON),
    Route(f"{_DASH}/logs", read_log, methods=["GET"]),
)
