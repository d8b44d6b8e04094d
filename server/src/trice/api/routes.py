"""The whole URL table on one page."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles

from trice import file_limits
from trice.accounts.accounts import Account, Accounts
from trice.accounts.oauth_apps import OAuthApps
from trice.accounts.oauth_requests import OAuthRequests
from trice.accounts.oauth_tokens import OAuthTokens
from trice.accounts.operator import Operator
from trice.accounts.orgs import Orgs
from trice.accounts.passwords import AccountPasswords
from trice.accounts.sign_in import AccountCodes, CliLogins, FirstAccount, make_may_register
from trice.accounts.transfers import Transfers
from trice.api import (
    account_apps,
    account_orgs,
    account_sign_in,
    account_transfers,
    admin,
    admin_rooms,
    admin_users,
    app_backups,
    auth,
    dash_auth,
    dash_settings,
    debug,
    deployments,
    downloads,
    endpoints,
    files,
    functions,
    health,
    hooks,
    imports,
    jobs,
    oauth,
    oauth_apps,
    operator,
    passkeys,
    passwords,
    platform,
    platform_oauth,
    schema_jobs,
    scrape,
    streams,
    sync,
    tus,
    usage,
    webhooks,
)
from trice.api.account_streams import AccountStreams
from trice.api.bodies import Route
from trice.api.connections import Connections
from trice.api.load import Load
from trice.api.middleware import Boundary
from trice.api.own_hosts import OwnHosts
from trice.apps.apps import Apps
from trice.apps.schemas import make_schemas
from trice.auth.magic_codes import MagicCodes
from trice.auth.oauth.sign_in import OAuth
from trice.auth.passkeys.ceremonies import Passkeys
from trice.auth.passwords.sign_in import Passwords
from trice.auth.throttle import Throttle
from trice.background import Background
from trice.calls.bundle_store import KEPT_IN
from trice.calls.deployments import Deployments
from trice.calls.endpoints import Endpoints
from trice.calls.functions import Functions
from trice.calls.hooks.host import open_hooks
from trice.calls.jobs.host import open_jobs
from trice.calls.live import LiveFunctions
from trice.calls.log_ring import Logs
from trice.calls.packages import Packages
from trice.calls.side import RunsCalls
from trice.calls.workers.opening import open_workers
from trice.calls.workers.starter import OnLine
from trice.config import Settings
from trice.errors import NotFound, not_built
from trice.files.files import Files
from trice.files.resumable import ResumableUploads
from trice.files.threads import FileThreads
from trice.files.variants import Variants
from trice.imports.imports import Imports
from trice.mail import make_mail
from trice.metrics import RequestCounts
from trice.protocol.quoting import bare
from trice.reach.mailing import Mailing
from trice.reach.reach import ServerReach
from trice.runtime import Runtime, new_uuid
from trice.session.hub import Hub
from trice.slow_log import SlowLog
from trice.webhooks.webhooks import Webhooks

NOT_BUILT: Final = {
    "/admin/schema": "Reading the schema over HTTP",
    "/dash/orgs": "This route of organisations",
    "/dash": "This route of the dashboard",
    "/superadmin/orgs": "This route of organisations",
    "/superadmin": "This route of the platform API",
    "/platform": "This route of OAuth",
}
"""Paths of Instant's API that this version answers with `not-built`, by longest prefix."""


_NOT_BUILT_OF_APP: Final = {
    "invite": "Members of apps",
    "members": "Members of apps",
    "clear": "Deleting everything in an app at once",
    "status": "Making an app read-only",
}
"""The same, below the path of an app."""


_SOCKET_PATH: Final = "/runtime/session"
_BELOW_APP: Final = re.compile("/(?:dash|superadmin)/apps/[^/]+/([^/]+)")
_CATCH_ALL: Final = "/{path:path}"
_MODULES: Final = (
    *(sync, admin, admin_rooms, debug, platform, downloads, files, streams, tus),
    *(auth, oauth, passwords, passkeys, admin_users, dash_auth, dash_settings),
    *(account_apps, account_orgs, account_sign_in, account_transfers, app_backups),
    *(imports, operator, oauth_apps, platform_oauth, usage, webhooks, deployments),
    *(schema_jobs, functions, jobs, endpoints, hooks),
)
"""Each has its own rows: path, methods, and how the body of a request is taken (`bodies`)."""


def build_app(
    *,
    settings: Settings,
    apps: Apps,
    hub: Hub,
    runtime: Runtime,
    slow_log: SlowLog | None = None,
    connections: Connections | None = None,
    background: Background | None = None,
    files: downloads.Files | None = None,
    make_workers: Callable[[OnLine], RunsCalls] | None = None,
    is_dev: bool = False,
) -> Starlette:
    """The ASGI application. Its state carries what the endpoints need.

    slow_log, connections, background   those of the process, for the routes of health and metrics
    is_dev   it is that of `trice dev`
    raises   InvalidInput when the setting of the mail server or of the secret key is malformed
    """
    requests = RequestCounts()
    log_level = logging.INFO if settings.has_request_log else logging.DEBUG
    app = Starlette(
        routes=[*_routes(settings.sample_dir)],
        middleware=[
            Middleware(Boundary, runtime=runtime, counts=requests, log_level=log_level),
            Middleware(OwnHosts, settings=settings),
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.apps = apps
    app.state.hub = hub
    app.state.runtime = runtime
    app.state.machine_id = new_uuid(runtime)
    app.state.streams = {}
    app.state.account_streams = AccountStreams()
    app.state.requests = requests
    app.state.load = Load(runtime)
    app.state.slow_log = slow_log or SlowLog(runtime)
    app.state.connections = connections
    app.state.backup_counts = None
    app.state.app_backups = None  # the server has a place for them
    app.state.background = background = background or Background(runtime)
    app.state.mail = make_mail(
        settings.smtp_url, sender=settings.mail_from, runtime=runtime, background=background
    )
    app.state.oauth = OAuth(
        data_dir=settings.data_dir,
        secret_key=settings.secret_key,
        allows_private_hosts=settings.allows_private_hosts,
        runtime=runtime,
    )
    app.state.magic_codes = codes = MagicCodes(app.state.oauth.seal, runtime=runtime)
    app.state.passwords = Passwords(codes=codes, runtime=runtime, buckets=apps.buckets)
    _add_files(app, files)
    _add_accounts(app)
    app.state.schemas = make_schemas(apps, runtime=runtime, background=background)
    app.state.webhooks = Webhooks(
        apps,
        make_seed=lambda: app.state.oauth.seal.key_for("webhooks"),
        allows_private_hosts=settings.allows_private_webhooks,
        runtime=runtime,
    )
    _add_imports(app)
    _add_functions(app, make_workers)
    app.state.functions.reach = _make_reach(app.state, is_dev=is_dev)
    app.state.passkeys = Passkeys(runtime=runtime, buckets=apps.buckets)
    return app


def _add_functions(app: Starlette, make_workers: Callable[[OnLine], RunsCalls] | None) -> None:
    """What runs code of apps, what is deployed, and its log."""
    state = app.state
    runtime: Runtime = state.runtime
    folder = state.settings.data_dir / KEPT_IN
    state.function_logs = logs = Logs(folder, runtime=runtime)
    if make_workers is None:
        state.workers = open_workers(state.settings, runtime=runtime, on_line=logs.note_outside)
    else:
        state.workers = make_workers(logs.note_outside)
    state.deployments = deployed = Deployments(
        state.apps,
        folder=folder,
        seal=state.oauth.seal,
        checker=state.workers,
        runtime=runtime,
        who=state.settings.functions,
        admins=state.settings.functions_admin_emails,
        packages=Packages(is_locked=state.settings.functions_packages == "locked", runtime=runtime),
    )
    logs.mask = deployed.mask
    deployed.on_switch(lambda app_id, code: state.workers.drop(app_id) if code is None else None)
    state.functions = made = Functions(
        deployed,
        state.workers,
        runtime=runtime,
        buckets=state.apps.buckets,
        seed_key=lambda: state.oauth.seal.key_for("functions"),
        notes=logs,
    )
    state.endpoints = Endpoints(made)
    state.jobs = jobs = open_jobs(state.apps, deployed, made, runtime=runtime)
    state.hooks = open_hooks(state.apps, deployed, made, jobs, runtime=runtime)
    state.imports.on_publish = state.hooks.reopen
    state.live_functions = state.hub.functions = LiveFunctions(made)


def _make_reach(state: State, *, is_dev: bool) -> ServerReach:
    """What actions reach through this server."""
    return ServerReach(
        mailing=Mailing(
            state.mail,
            throttle=Throttle(state.apps.buckets, state.runtime),
            has_mailer=state.settings.smtp_url is not None,
            is_dev=is_dev,
        ),
        files=lambda: state.files if isinstance(state.files, Files) else None,
        streams=lambda: state.hub.streams,
    )


def _add_imports(app: Starlette) -> None:
    """Imports into this server, each in a process of its own."""
    state = app.state
    data_dir = state.settings.data_dir.absolute()
    state.imports = Imports(
        data_dir,
        state.apps,
        state.webhooks,
        accounts=state.accounts,
        orgs=state.orgs,
        command=(
            *(sys.executable, "-m", "trice", "import-worker"),
            *(str(data_dir), state.settings.files_url),
        ),
        runtime=state.runtime,
    )


def _add_files(app: Starlette, files: downloads.Files | None) -> None:
    """What the routes of files need. None: the server has no place for their bytes."""
    state = app.state
    state.files = files
    state.file_readers = readers = FileThreads(
        file_limits.FILE_READ_THREADS, name="trice-file-readers"
    )
    if isinstance(files, Files):
        state.resumable = ResumableUploads(files, runtime=state.runtime)
    state.variants = Variants(
        state.settings.data_dir / "variants",
        runtime=state.runtime,
        background=state.background,
        throttle=Throttle(state.apps.buckets, state.runtime),
        threads=readers,
    )


def _add_accounts(app: Starlette) -> None:
    """What the routes of accounts need."""
    state = app.state
    runtime: Runtime = state.runtime
    background: Background = state.background
    platform = state.apps.platform
    state.accounts = accounts = Accounts(platform, runtime=runtime)
    state.orgs = orgs = Orgs(platform, runtime=runtime)
    state.transfers = Transfers(state.apps, runtime=runtime)
    state.account_codes = AccountCodes(
        accounts,
        may_register=make_may_register(state.settings.registration, orgs, state.transfers),
        runtime=runtime,
        background=background,
    )
    state.account_passwords = passwords = AccountPasswords(accounts, state.passwords.hashes)
    _add_oauth(app, accounts, orgs)
    state.cli_logins = CliLogins(accounts, runtime=runtime)
    state.first_account = FirstAccount(accounts, runtime=runtime)
    state.operator = Operator(accounts, orgs, passwords, state.apps, runtime=runtime)


def _add_oauth(app: Starlette, accounts: Accounts, orgs: Orgs) -> None:
    """What the routes need by which applications of others act for accounts."""
    apps: Apps = app.state.apps
    runtime: Runtime = app.state.runtime

    def is_member(app_id: str, account: Account) -> bool:
        return orgs.role_in(apps.get_row(app_id), account) is not None

    app.state.oauth_apps = oauth_apps = OAuthApps(apps, runtime=runtime)
    app.state.oauth_requests = requests = OAuthRequests(
        oauth_apps, is_member=is_member, runtime=runtime
    )
    app.state.oauth_tokens = OAuthTokens(
        apps, accounts=accounts, oauth_apps=oauth_apps, requests=requests, runtime=runtime
    )


def _routes(sample_dir: Path | None) -> Iterator[BaseRoute]:
    yield Route("/", health.welcome, methods=["GET"])
    yield Route("/health", health.health, methods=["GET"])
    yield Route("/health/system", health.system, methods=["GET"])
    yield Route("/health/load", health.load, methods=["GET"])
    yield Route("/metrics", scrape.metrics, methods=["GET"])
    yield WebSocketRoute(_SOCKET_PATH, sync.websocket)
    for module in _MODULES:
        yield from module.ROUTES
    for folder in sorted(sample_dir.iterdir()) if sample_dir is not None else ():
        if (folder / "dist").is_dir():
            yield Mount(f"/sample/{folder.name}", StaticFiles(directory=folder / "dist", html=True))
    yield Route(_CATCH_ALL, _anything_else, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])


async def _no_route(request: Request, failure: Exception) -> Response:
    """Answer what starlette refuses by itself: a method that no route takes, a missing file."""
    raise _unknown(request) from failure


async def _anything_else(request: Request) -> Response:
    """Say what is missing: a method, a feature of this version, or the path (§7)."""
    path = request.url.path
    if not _methods(request, path.rstrip("/")):
        below_app = _BELOW_APP.match(path)
        if below_app is not None and below_app[1] in _NOT_BUILT_OF_APP:
            raise not_built(_NOT_BUILT_OF_APP[below_app[1]])
        for prefix, feature in NOT_BUILT.items():
            if path == prefix or path.startswith(prefix + "/"):
                raise not_built(feature)
    raise _unknown(request)


def _unknown(request: Request) -> NotFound:
    """The error for a path and method without a route; it names a near method or path."""
    path = request.url.path
    shown = f"{bare(request.method)} {bare(path)}"
    message = "Oops! We couldn't match this route."
    hint: dict[str, Any] = {"path": path}
    methods, bare_path = _methods(request, path), path.rstrip("/")
    if methods:
        message += f" {shown} is none: this path takes {' and '.join(methods)}."
        hint["methods"] = methods
    elif path == _SOCKET_PATH:
        message += f" {path} takes WebSockets only; /runtime/sse is for HTTP."
    elif bare_path != path and _methods(request, bare_path):
        message += f" {shown} is none: leave out the slash at its end."
    return NotFound("route-not-found", message, hint)


def _methods(request: Request, path: str) -> list[str]:
    """The methods that the routes of a path take."""
    scope = {"type": "http", "method": "", "path": path, "root_path": "", "headers": []}
    return sorted(
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.path != _CATCH_ALL
        if route.matches(scope)[0] is not Match.NONE
        for method in (route.methods or set()) - {"HEAD"}
    )
