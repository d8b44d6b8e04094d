"""Whether the server is up: for people, load balancers and scripts."""

from __future__ import annotations

import html
import ipaddress
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trice.api.callers import guest_of
from trice.api.middleware import json_response
from trice.api.scrape import may_see
from trice.errors import NotFound

_FORWARDED: Final = frozenset(
    ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
)
"""Headers that proxies add to a request."""

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
<h1>trice is running</h1>{new_app}
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

_NEW_APP = """
<p>Make an app; the answer holds its id and its admin token:</p>
<pre>curl -X POST {http}/dash/apps/ephemeral \\
  -H 'content-type: application/json' -d '{{"title": "my app"}}'</pre>"""


async def health(request: Request) -> Response:
    """`GET /health` → 200 once the server answers requests; 503 while it stops."""
    if request.app.state.hub.is_stopping:
        return json_response({"status": "stopping"}, status=503)
    return json_response({"status": "ok"})


async def system(request: Request) -> Response:
    """`GET /health/system`, in the form that load balancers of Instant expect."""
    return json_response({"wal": "ok"})


async def load(request: Request) -> Response:
    """`GET /health/load` → how busy the server is, for callers on this machine and callers with
    the token of `--metrics-token`. Cheap: figures that cost more are read once a second at most.

    `{"status", "loop-lag-ms": {"p50", "p99", "max"}, "sessions", "apps-open", "http-connections",
    "background-failing", "memory-bytes", "descriptors", "descriptors-max", "uptime-s"}`: the lag of
    the last minute, and the names of the work whose latest run failed
    """
    state = request.app.state
    if not (_is_local(request) or may_see(request)):
        raise NotFound("route-not-found", "Oops! We couldn't match this route.", {})
    return json_response(
        {
            "status": "stopping" if state.hub.is_stopping else "ok",
            "loop-lag-ms": state.load.lag.figures(),
            "sessions": len(state.hub),
            "apps-open": len(state.apps.in_memory),
            "http-connections": 0 if state.connections is None else len(state.connections),
            "background-failing": state.background.failing,
            **state.load.process(),
        }
    )


def _is_local(request: Request) -> bool:
    """Whether the caller is on this machine, and not a client behind an undeclared proxy on it."""
    if not request.app.state.settings.trusted_proxies and not _FORWARDED.isdisjoint(
        name.lower() for name in request.headers
    ):
        return False
    try:
        return ipaddress.ip_address(guest_of(request).ip).is_loopback
    except ValueError:
        return False


async def welcome(request: Request) -> Response:
    """`GET /`: how to reach this server, and how to make an app if anybody may."""
    settings = request.app.state.settings
    base = html.escape(settings.public_url or str(request.base_url).rstrip("/"))
    new_app = _NEW_APP.format(http=base) if settings.has_ephemeral_apps else ""
    page = _WELCOME.format(http=base, ws="ws" + base.removeprefix("http"), new_app=new_app)
    return HTMLResponse(page)
