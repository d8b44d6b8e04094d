"""The whole URL table on one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from trice.api import (
    admin,
    admin_users,
    auth,
    dash_auth,
    dash_settings,
    debug,
    health,
    oauth,
    passkeys,
    passwords,
    platform,
    sync,
)
from trice.api.middleware import Boundary
from trice.apps.apps import Apps
from trice.auth.magic_codes import MagicCodes
from trice.auth.oauth import OAuth
from trice.auth.passkeys import Passkeys
from trice.auth.passwords import Passwords
from trice.config import Settings
from trice.errors import NotFound, not_built
from trice.mail import make_mail
from trice.runtime import Runtime, new_uuid
from trice.session.hub import Hub

NOT_BUILT: Final = {
    "/storage": "File storage",
    "/admin/storage": "File storage",
    "/admin/rooms": "Rooms",
    "/admin/schema": "Reading the schema over HTTP",
    "/admin/soft_deleted_attrs": "Restoring deleted attrs over HTTP",
    "/dash": "The platform API",
    "/superadmin": "The platform API",
    "/platform": "The platform API",
    "/webhooks": "Webhooks",
}
"""Paths of Instant's API that this version answers with `not-built`, by longest prefix."""


def build_app(*, settings: Settings, apps: Apps, hub: Hub, runtime: Runtime) -> Starlette:
    """The ASGI application. Its state carries what the endpoints need.

    raises   InvalidInput when the setting of the mail server or of the secret key is malformed
    """
    app = Starlette(
        routes=[*_routes(settings.sample_dir)],
        middleware=[Middleware(Boundary, runtime=runtime)],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.apps = apps
    app.state.hub = hub
    app.state.runtime = runtime
    app.state.machine_id = new_uuid(runtime)
    app.state.streams = {}
    app.state.mail = make_mail(settings.smtp_url, sender=settings.mail_from, runtime=runtime)
    app.state.oauth = OAuth(
        data_dir=settings.data_dir,
        secret_key=settings.secret_key,
        allows_private_hosts=settings.allows_private_hosts,
        runtime=runtime,
    )
    app.state.magic_codes = codes = MagicCodes(app.state.oauth.seal, runtime=runtime)
    app.state.passwords = Passwords(codes=codes, runtime=runtime, buckets=apps.buckets)
    app.state.passkeys = Passkeys(runtime=runtime, buckets=apps.buckets)
    return app


def _routes(sample_dir: Path | None) -> Iterator[BaseRoute]:
    yield Route("/", health.welcome)
    yield Route("/health", health.health)
    yield Route("/health/system", health.system)
    yield WebSocketRoute("/runtime/session", sync.websocket)
    yield Route("/runtime/sse", sync.open_browser_events, methods=["GET"])
    yield Route("/runtime/sse", sync.push_events, methods=["POST"])
    yield Route("/runtime/framework/query", admin.framework_query, methods=["POST"])
    for module in (auth, oauth, passwords, passkeys, admin_users, dash_auth, dash_settings):
        yield from module.ROUTES
    yield Route("/admin/query", admin.query, methods=["POST"])
    yield Route("/admin/transact", admin.transact, methods=["POST"])
    yield from debug.ROUTES
    yield Route("/admin/subscribe-query", sync.subscribe_query, methods=["POST"])
    yield Route("/admin/sse", sync.open_admin_events, methods=["POST"])
    yield Route("/admin/sse/push", sync.push_events, methods=["POST"])
    yield Route("/dash/apps/ephemeral", platform.create_ephemeral, methods=["POST"])
    yield Route("/dash/apps/ephemeral/{app_id}", platform.get_ephemeral, methods=["GET"])
    for folder in sorted(sample_dir.iterdir()) if sample_dir is not None else ():
        if (folder / "dist").is_dir():
            yield Mount(f"/sample/{folder.name}", StaticFiles(directory=folder / "dist", html=True))
    yield Route("/{path:path}", _anything_else, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])


async def _no_route(request: Request, failure: Exception) -> Response:
    """What starlette refuses by itself: a method no route takes, a missing file."""
    raise _unknown(request.url.path) from failure


def _unknown(path: str) -> NotFound:
    return NotFound("route-not-found", "Oops! We couldn't match this route.", {"path": path})


async def _anything_else(request: Request) -> Response:
    """Say what is missing: a feature this version lacks, or a path nobody has (§7)."""
    path = request.url.path
    for prefix, feature in NOT_BUILT.items():
        if path == prefix or path.startswith(prefix + "/"):
            raise not_built(feature)
    raise _unknown(path)
