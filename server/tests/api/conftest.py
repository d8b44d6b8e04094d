"""The whole ASGI application on a data directory of its own, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from support.asgi import Exchange
from support.engines import open_apps
from support.identity_provider import OAuthStage, with_provider
from support.runtime import FakeRuntime
from support.stream_requests import Http
from trice.api.routes import build_app
from trice.app_backups.app_backups import AppBackups
from trice.apps.apps import Apps
from trice.config import Settings
from trice.files.files import Files
from trice.files.storage import Storage
from trice.server import backup_source, open_storage
from trice.session.hub import Hub
from trice.slow_log import SlowLog
from trice.streams.streams import Streams


class Stage:
    """The application, one open app in it, and its admin token."""

    apps: Apps
    hub: Hub
    backups: AppBackups
    asgi: Starlette
    files: Files
    storage: Storage
    streams: Streams

    def __init__(self, settings: Settings, slow_log: SlowLog | None = None) -> None:
        self.settings = settings
        self.slow_log = slow_log
        self.runtime = FakeRuntime()
        self.app_id = ""
        self.token = ""

    async def prepare(self) -> None:
        settings, runtime = self.settings, self.runtime
        self.apps = await open_apps(
            settings.data_dir, runtime=runtime, is_open_by_default=False, slow_log=self.slow_log
        )
        self.storage = open_storage(settings.data_dir, runtime=runtime)
        self.apps.delete_files = self.storage.blobs.delete_app
        self.files = Files(
            self.storage,
            apps=self.apps,
            make_key=lambda: self.asgi.state.oauth.seal.key_for("file urls"),
            base_url="http://files.test",
            runtime=runtime,
            file_bytes_max=settings.file_bytes_max,
        )
        self.streams = Streams(self.apps, self.files, runtime=runtime)
        self.hub = Hub(apps=self.apps, runtime=runtime, streams=self.streams)
        self.apps.on_delete = self.hub.drop_app
        self.asgi = build_app(
            settings=settings, apps=self.apps, hub=self.hub, runtime=runtime, files=self.files
        )
        self.backups = AppBackups(
            self.apps,
            backup_source(settings.data_dir, self.storage.blobs, runtime=runtime),
            background=self.asgi.state.background,
            every_ms=settings.app_backup_every_ms,
        )
        self.asgi.state.app_backups = self.backups
        app, self.token = await self.apps.create(title="test", is_open=True)
        self.app_id = app.id
        self.apps.give_back(app)

    def admin(self, **extra: str) -> dict[str, str]:
        """Headers of an admin request."""
        return {"app-id": self.app_id, "authorization": f"Bearer {self.token}", **extra}

    def start(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Exchange:
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        kind = {"content-type": "application/json"} if raw else {}
        return Exchange(self.asgi, method, target, {**kind, **(headers or {})}, raw)

    async def ask(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Exchange:
        """One request with its whole answer."""
        return await self.start(method, target, body, headers).whole()


@asynccontextmanager
async def running(settings: Settings, slow_log: SlowLog | None) -> AsyncIterator[Stage]:
    """A stage with its app, until it is left."""
    stage = Stage(settings, slow_log)
    await stage.prepare()
    try:
        yield stage
    finally:
        stage.hub.stop()
        await stage.asgi.state.background.stop()
        await stage.streams.close()
        await stage.apps.close()
        await stage.storage.close()


OpenStage = Callable[..., Awaitable[Stage]]


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> OpenStage:
    """Opens the stage of a test at a moment of its choice; keywords become settings."""

    def opened(*, slow_log: SlowLog | None = None, **settings: Any) -> Awaitable[Stage]:
        whole = Settings(data_dir=tmp_path, **settings)
        return exits.enter_async_context(running(whole, slow_log))

    return opened


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    """The application with the settings that it has by itself."""
    return await open_stage()


@pytest.fixture
def open_oauth(open_stage: OpenStage, exits: AsyncExitStack) -> Callable[..., Any]:
    """Opens a stage with a sign-in provider: `client` as of `with_provider`, else settings."""

    async def opened(*, client: dict[str, Any] | None = None, **settings: Any) -> OAuthStage:
        stage = await open_stage(**settings)
        return await exits.enter_async_context(with_provider(stage, client=client))

    return opened


@pytest.fixture
async def oauth(open_oauth: Callable[..., Any]) -> OAuthStage:
    """An app with the OAuth client "oidc", its provider, and a browser."""
    return await open_oauth()


@pytest.fixture
async def log(stage: Stage) -> Http:
    """A stream that an admin made."""
    http = Http(stage)
    assert (await http.ask("PUT")).status == 201
    return http
