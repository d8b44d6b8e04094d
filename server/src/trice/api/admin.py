"""Server-to-server routes: query and transact with an admin token (instant-http §3)."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import JSON, JSON_QUERY, Route, had_long_body, json_body
from trice.api.callers import admin_caller, runtime_caller
from trice.api.middleware import encoded_response, json_response
from trice.api.parameters import flag_in, idempotency_key, malformed, missing


async def query(request: Request) -> Response:
    """`POST /admin/query {"query", "inference?"?, "result-meta?"?}` → the result tree, or with
    `result-meta?` `{"result", "result-meta"}`."""
    async with admin_caller(request) as lent:
        body = await json_body(request)
        if "query" not in body:
            raise missing("body", "query")
        if not isinstance(body["query"], dict):
            raise malformed("body", "query", given=body["query"], accepted="an object")
        tree_json = await lent.app.database.query_nested(
            body["query"],
            identity=lent.identity,
            is_inferring=flag_in(body, "inference?"),
            has_meta=flag_in(body, "result-meta?"),
        )
        return encoded_response(tree_json)


async def transact(request: Request) -> Response:
    """`POST /admin/transact {"steps", "throw-on-missing-attrs?"?}` → `{"tx-id"}`. The header
    `Idempotency-Key` is the event id."""
    async with admin_caller(request) as lent:
        body = await json_body(request)
        if "steps" not in body:
            raise missing("body", "steps")
        tx = await lent.app.database.transact_admin(
            body["steps"],
            identity=lent.identity,
            throw_on_missing_attrs=flag_in(body, "throw-on-missing-attrs?"),
            is_long_text=had_long_body(request),
            event_id=idempotency_key(request),
        )
        return json_response({"tx-id": tx})


async def framework_query(request: Request) -> Response:
    """`POST /runtime/framework/query {"query"}` → flat result and catalog, for SSR (§1.10), and
    what a session goes on from (P87)."""
    body = await json_body(request)
    if "query" not in body:
        raise missing("body", "query")
    async with runtime_caller(request) as lent:
        flat = await lent.app.database.query_flat(body["query"], identity=lent.identity)
        parts = [
            b'"result":' + flat.result_json,
            b'"attrs":' + flat.attrs_json,
            b'"catalog":"%b"' % flat.catalog.encode(),
            b'"processed-tx-id":%d' % flat.tx,
            flat.names,
        ]
        return encoded_response(b"{%b}" % b",".join(part for part in parts if part))


ROUTES: Final = (
    Route("/admin/query", query, methods=["POST"], body=JSON_QUERY),
    Route("/admin/transact", transact, methods=["POST"], body=JSON),
    Route("/runtime/framework/query", framework_query, methods=["POST"], body=JSON_QUERY),
)
