"""Webhooks: for the developer of an app, and for receivers of deliveries (instant-http §6.5)."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from trice.api.bodies import JSON, Route, json_body
from trice.api.callers import bearer_token, developed, lent_app, turn_key_of
from trice.api.middleware import encoded_response, json_response
from trice.api.parameters import malformed, uuid_in
from trice.apps.apps import App
from trice.webhooks.event import find_tx, isn_of
from trice.webhooks.keys import Claim
from trice.webhooks.webhooks import Webhooks

_NOT_KEPT: Final = {
    "Cache-Control": "no-store, private",
    "Pragma": "no-cache",
    "Expires": "0",
    "Vary": "Authorization",
}


def _webhooks(request: Request) -> Webhooks:
    found: Webhooks = request.app.state.webhooks
    return found


def _id(request: Request) -> str:
    return uuid_in(request.path_params, "id", place="params")


# --- definitions --------------------------------------------------------------------------------


async def list_webhooks(request: Request) -> Response:
    """`GET /dash/apps/:app_id/webhooks` → `{"webhooks": [wh]}`, newest first."""
    async with developed(request) as app:
        found = await _webhooks(request).all_of(app)
        return json_response({"webhooks": [webhook.to_json() for webhook in found]})


async def create_webhook(request: Request) -> Response:
    """`POST …/webhooks {"url", "namespaces", "actions"}` → `{"webhook": wh}`."""
    async with developed(request) as app:
        made = await _webhooks(request).create(app, await json_body(request))
        return json_response({"webhook": made.to_json()})


async def update_webhook(request: Request) -> Response:
    """`POST …/webhooks/:id`, any of url, namespaces and actions → `{"webhook": wh}`."""
    async with developed(request) as app:
        body = await json_body(request)
        changed = await _webhooks(request).update(app, _id(request), body)
        return json_response({"webhook": changed.to_json()})


async def delete_webhook(request: Request) -> Response:
    """`DELETE …/webhooks/:id` → `{"webhook": wh}` as it was."""
    async with developed(request) as app:
        gone = await _webhooks(request).delete(app, _id(request))
        return json_response({"webhook": gone.to_json()})


async def enable_webhook(request: Request) -> Response:
    """`POST …/webhooks/:id/enable` → `{"webhook": wh}`."""
    async with developed(request) as app:
        changed = await _webhooks(request).enable(app, _id(request))
        return json_response({"webhook": changed.to_json()})


async def disable_webhook(request: Request) -> Response:
    """`POST …/webhooks/:id/disable {"reason"?}` → `{"webhook": wh}`."""
    async with developed(request) as app:
        body = await json_body(request)
        changed = await _webhooks(request).disable(app, _id(request), body)
        return json_response({"webhook": changed.to_json()})


# --- events -------------------------------------------------------------------------------------


async def list_events(request: Request) -> Response:
    """`GET …/webhooks/:id/events?after=CURSOR` → `{"events": [ev], "pageInfo"}`, newest first."""
    async with developed(request) as app:
        after = request.query_params.get("after")
        before = None if after is None else find_tx(after)
        if after is not None and before is None:
            raise malformed("params", "after", given=after, accepted="a cursor of an earlier page")
        page = await _webhooks(request).events(app, _id(request), before=before)
        events = [event.to_json(is_processing=event.tx in page.processing) for event in page.events]
        info = {
            "startCursor": isn_of(page.events[0].tx) if page.events else None,
            "endCursor": isn_of(page.events[-1].tx) if page.events else None,
            "hasNextPage": page.has_more,
        }
        return json_response({"events": events, "pageInfo": info})


async def get_event(request: Request) -> Response:
    """`GET …/webhooks/:id/events/<isn>` → `{"event": ev}`. The isn has slashes."""
    async with developed(request) as app:
        isn = request.path_params["isn"]
        event = await _webhooks(request).event_json(app, _id(request), isn)
        return json_response({"event": event})


async def resend_event(request: Request) -> Response:
    """`POST …/webhooks/:id/events/<isn>` → `{"event": ev}`, which waits for delivery again."""
    async with developed(request) as app:
        isn = request.path_params["isn"]
        event = await _webhooks(request).resend(
            app, _id(request), isn, turn_key=turn_key_of(request, app.id)
        )
        return json_response({"event": event})


# --- for receivers ------------------------------------------------------------------------------


async def get_payload(request: Request) -> Response:
    """`GET /webhooks/payload/:app_id/:id/<isn>` → `{"data": [record], "idempotencyKey"}`.

    With the token of a delivery, or any that manages webhooks.
    """
    app_id = uuid_in(request.path_params, "app_id", place="params")
    webhook_id, isn = _id(request), request.path_params["isn"]
    token = bearer_token(request)
    if token is not None and token.startswith("eyJ"):
        now_ms = request.app.state.runtime.now_ms()
        claim = Claim(app_id, webhook_id, isn)
        _webhooks(request).keys.check_token(token, claim, now_ms=now_ms)
        async with lent_app(request, app_id) as app:
            return await _payload(request, app, webhook_id, isn)
    async with developed(request) as app:
        return await _payload(request, app, webhook_id, isn)


async def _payload(request: Request, app: App, webhook_id: str, isn: str) -> Response:
    turn_key = turn_key_of(request, app.id)
    content = await _webhooks(request).payload(app, webhook_id, isn, turn_key=turn_key)
    response = encoded_response(content)
    response.headers.update(_NOT_KEPT)
    return response


async def get_keys(request: Request) -> Response:
    """`GET /.well-known/webhooks/jwks.json` → the public key of deliveries."""
    return json_response(_webhooks(request).keys.jwks())


_ALL: Final = "/dash/apps/{app_id}/webhooks"
_ONE: Final = _ALL + "/{id}"

ROUTES: Final = (
    Route(_ALL, list_webhooks, methods=["GET"]),
    Route(_ALL, create_webhook, methods=["POST"], body=JSON),
    Route(_ONE + "/enable", enable_webhook, methods=["POST"], body=JSON),
    Route(_ONE + "/disable", disable_webhook, methods=["POST"], body=JSON),
    Route(_ONE + "/events", list_events, methods=["GET"]),
    Route(_ONE + "/events/{isn:path}", get_event, methods=["GET"]),
    Route(_ONE + "/events/{isn:path}", resend_event, methods=["POST"], body=JSON),
    Route(_ONE, update_webhook, methods=["POST"], body=JSON),
    Route(_ONE, delete_webhook, methods=["DELETE"]),
    Route("/webhooks/payload/{app_id}/{id}/{isn:path}", get_payload, methods=["GET"]),
    Route("/.well-known/webhooks/jwks.json", get_keys, methods=["GET"]),
)
