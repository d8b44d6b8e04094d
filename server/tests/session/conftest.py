"""A hub with one open app on a real database file, and clients without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_apps
from support.memory_client import MemoryClient
from support.runtime import FakeRuntime
from trice.apps.apps import App
from trice.files.files import Files
from trice.server import open_storage
from trice.session.hub import Hub
from trice.streams.streams import Streams


def _field(kind: str, *, is_indexed: bool = True, is_unique: bool = False) -> dict[str, Any]:
    return {
        "valueType": kind,
        "required": False,
        "config": {"indexed": is_indexed, "unique": is_unique},
    }


SCHEMA = {
    "entities": {
        "todos": {
            "attrs": {
                "title": _field("string"),
                "done": _field("boolean"),
                "slug": _field("string", is_unique=True),
            }
        },
        "people": {"attrs": {"name": _field("string", is_indexed=False)}},
    },
    "links": {
        "todoOwner": {
            "forward": {"on": "todos", "label": "owner", "has": "one"},
            "reverse": {"on": "people", "label": "todos", "has": "many"},
        }
    },
}


class Stage:
    """What a session test plays on: the hub, an open app, and its admin token."""

    def __init__(self, hub: Hub, app: App, token: str, runtime: FakeRuntime, folder: Path) -> None:
        self.hub = hub
        self.app = app
        self.token = token
        self.runtime = runtime
        self.folder = folder

    def connect(self) -> MemoryClient:
        return MemoryClient(self.hub)

    def attr(self, etype: str, label: str) -> str:
        """The id of an attr of the app."""
        found = self.app.database.catalog.find_forward(etype, label)
        assert found is not None, f"{etype}.{label}"
        return str(found.id)

    def create(self, etype: str, entity: str, **values: Any) -> list[list[Any]]:
        """The steps that make an entity."""
        return [
            ["add-triple", entity, self.attr(etype, "id"), entity],
            *(["add-triple", entity, self.attr(etype, label), v] for label, v in values.items()),
        ]

    async def client(self, **init: Any) -> MemoryClient:
        """A client whose session is open."""
        client = self.connect()
        await client.init(self.app.id, **init)
        return client


@asynccontextmanager
async def running(path: Path, *, app_id: str | None = None) -> AsyncIterator[Stage]:
    """Start a server on a folder, with a new app or one that was made there before."""
    runtime = FakeRuntime()
    apps = await open_apps(path, runtime=runtime, is_open_by_default=False)
    storage = open_storage(path, runtime=runtime)
    parts = Files(
        storage, apps=apps, make_key=lambda: bytes(32), base_url="http://test", runtime=runtime
    )
    streams = Streams(apps, parts, runtime=runtime)
    hub = Hub(apps=apps, runtime=runtime, streams=streams)
    apps.on_delete = hub.drop_app
    if app_id is None:
        app, token = await apps.create(title="test", is_open=True, schema=SCHEMA)
    else:
        app, token = await apps.lend(app_id), ""
    try:
        yield Stage(hub, app, token, runtime, path)
    finally:
        hub.stop()
        await streams.close()
        await apps.close()


@pytest.fixture
def stage_at() -> Callable[..., AbstractAsyncContextManager[Stage]]:
    """For tests that start more than one server."""
    return running


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> Callable[[], Awaitable[Stage]]:
    """Opens the stage of a test at a moment of its choice."""
    return lambda: exits.enter_async_context(running(tmp_path))


@pytest.fixture
async def stage(open_stage: Callable[[], Awaitable[Stage]]) -> Stage:
    return await open_stage()
