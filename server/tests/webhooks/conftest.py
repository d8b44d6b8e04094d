"""An app, its webhooks, and a receiver; time passes when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette

from support.asgi import Exchange
from support.engines import open_apps
from support.patience import WAIT_S
from support.runtime import SteppedRuntime
from support.webhook_receiver import Receiver, receiving
from trice.api.routes import build_app
from trice.apps.apps import Apps
from trice.background import Background
from trice.config import Settings
from trice.identity import ADMIN
from trice.runtime import new_uuid
from trice.session.hub import Hub
from trice.webhooks.webhooks import Webhooks

BASE_URL = "http://trice.test"


class WebhookStage:
    """The application over one data directory, an app that lasts, and its admin token."""

    apps: Apps
    asgi: Starlette
    background: Background
    webhooks: Webhooks

    def __init__(self, data_dir: Path, receiver: Receiver, **settings: Any) -> None:
        self.settings = Settings(data_dir=data_dir, **{"allows_private_webhooks": True, **settings})
        self.runtime = SteppedRuntime()
        self.receiver = receiver
        self.app_id = ""
        self.token = ""

    async def open(self, *, is_started: bool = True) -> None:
        """Begin, or begin again after `close`, with the same data."""
        self.apps = await open_apps(
            self.settings.data_dir, runtime=self.runtime, is_open_by_default=False
        )
        self.apps.url_of = lambda app_id, location: f"http://files.test/{location}"
        self.hub = Hub(apps=self.apps, runtime=self.runtime)
        self.background = Background(self.runtime)
        self.asgi = build_app(
            settings=self.settings,
            apps=self.apps,
            hub=self.hub,
            runtime=self.runtime,
            background=self.background,
        )
        self.webhooks = self.asgi.state.webhooks
        if not self.app_id:
            self.app_id, self.token = await self.new_app()
        if is_started:
            self.webhooks.start(self.background, base_url=BASE_URL)

    async def new_app(self, **made: Any) -> tuple[str, str]:
        """Another app, and its admin token."""
        app, token = await self.apps.create(title="shop", is_open=True, **made)
        self.apps.give_back(app)
        await self.write(["update", "goods", self.id(), {"name": "first"}], app_id=app.id)
        return app.id, token

    async def close(self) -> None:
        self.hub.stop()
        await self.background.stop()
        await self.webhooks.close()
        await self.apps.close()

    def id(self) -> str:
        return new_uuid(self.runtime)

    async def ask(
        self, method: str, target: str, body: Any = None, *, token: str | None = None
    ) -> Exchange:
        """One request with the admin token, or another one."""
        raw = b"" if body is None else orjson.dumps(body)
        headers = {"authorization": f"Bearer {self.token if token is None else token}"}
        if raw:
            headers["content-type"] = "application/json"
        return await Exchange(self.asgi, method, target, headers, raw).whole()

    async def manage(self, method: str, rest: str = "", body: Any = None) -> Exchange:
        """A route below the webhooks of the app."""
        return await self.ask(method, f"/dash/apps/{self.app_id}/webhooks{rest}", body)

    async def create(self, path: str = "/hook", **given: Any) -> dict[str, Any]:
        """A webhook of all that happens to goods; keywords change it."""
        body = {
            "url": self.receiver.url(path),
            "namespaces": ["goods"],
            "actions": ["create", "update", "delete"],
            **given,
        }
        answer = await self.manage("POST", body=body)
        assert answer.status == 200, answer.body
        webhook: dict[str, Any] = answer.json()["webhook"]
        return webhook

    async def write(self, *steps: Any, app_id: str | None = None) -> None:
        """One transaction."""
        app = await self.apps.lend(app_id or self.app_id)
        try:
            await app.database.transact_admin(list(steps), identity=ADMIN)
        finally:
            self.apps.give_back(app)

    async def events(self, webhook: dict[str, Any]) -> list[dict[str, Any]]:
        """The first page of events, newest first."""
        answer = await self.manage("GET", f"/{webhook['id']}/events")
        assert answer.status == 200, answer.body
        found: list[dict[str, Any]] = answer.json()["events"]
        return found

    async def ended(self, webhook: dict[str, Any], *statuses: str) -> list[dict[str, Any]]:
        """Wait until the events, oldest first, have these statuses; return them."""
        async with asyncio.timeout(WAIT_S):
            while True:
                events = (await self.events(webhook))[::-1]
                if [event["status"] for event in events] == list(statuses):
                    return events
                await asyncio.sleep(0)

    async def payload(self, delivery: Any) -> dict[str, Any]:
        """What a receiver fetches."""
        target = delivery.body["payloadUrl"].removeprefix(BASE_URL)
        answer = await self.ask("GET", target, token=delivery.body["token"])
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
async def receiver(exits: AsyncExitStack) -> Receiver:
    return await exits.enter_async_context(receiving())


@asynccontextmanager
async def staged(stage: WebhookStage) -> AsyncIterator[WebhookStage]:
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


@pytest.fixture
def open_stage(tmp_path: Path, receiver: Receiver, exits: AsyncExitStack) -> Callable[..., Any]:
    """Opens the stage of a test at a moment of its choice; keywords become settings."""

    async def opened(**settings: Any) -> WebhookStage:
        stage = WebhookStage(tmp_path, receiver, **settings)
        return await exits.enter_async_context(staged(stage))

    return opened


@pytest.fixture
async def stage(open_stage: Callable[..., Any]) -> WebhookStage:
    found: WebhookStage = await open_stage()
    return found
