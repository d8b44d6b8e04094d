"""Is the server up: for people, load balancers and scripts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trice.api.middleware import json_response

_WELCOME = """<!doctype html>
<meta charset="utf-8">
<title>trice</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto }
  code { background: #f2f2f2; padding: .1em .3em; border-radius: 4px }
</style>
<h1>trice is running</h1>
<p>This is the API. Point an Instant client here:</p>
<p><code>init({ appId, apiURI: location, websocketURI: location + "/runtime/session" })</code></p>
<p>A new app to try: <code>POST /dash/apps/ephemeral {"title": "my app"}</code></p>
"""


async def health(request: Request) -> Response:
    """`GET /health` → 200 once the server answers requests; 503 while it stops."""
    if request.app.state.hub.is_stopping:
        return json_response({"status": "stopping"}, status=503)
    return json_response({"status": "ok"})


async def system(request: Request) -> Response:
    """`GET /health/system`, the form load balancers of Instant expect."""
    return json_response({"wal": "ok"})


async def welcome(request: Request) -> Response:
    """`GET /`."""
    return HTMLResponse(_WELCOME)
