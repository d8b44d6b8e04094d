"""Is the server up: for people, load balancers and scripts."""

from __future__ import annotations

import html

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trice.api.middleware import json_response

_WELCOME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>trice</title>
<style>
  :root {{ color-scheme: light dark; background: light-dark(#fff, #161918);
    color: light-dark(#1b211f, #e7ecea); font: 16px/1.5 system-ui, sans-serif }}
  body {{ margin: 0 }}
  main {{ max-width: 42rem; margin: 0 auto; padding: 2rem 1rem }}
  pre {{ padding: 1rem; border-radius: 6px; background: light-dark(#f2f2f2, #242a28);
    white-space: pre-wrap; overflow-wrap: anywhere }}
</style>
</head>
<body>
<main>
<h1>trice is running</h1>
<p>Make an app; the answer holds its id and its admin token:</p>
<pre>curl -X POST {http}/dash/apps/ephemeral \\
  -H 'content-type: application/json' -d '{{"title": "my app"}}'</pre>
<p>Point an Instant client at it:</p>
<pre>init({{
  appId: "…",
  apiURI: "{http}",
  websocketURI: "{ws}/runtime/session",
}})</pre>
</main>
</body>
</html>
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
    base = html.escape(str(request.base_url).rstrip("/"))
    return HTMLResponse(_WELCOME.format(http=base, ws="ws" + base.removeprefix("http")))
