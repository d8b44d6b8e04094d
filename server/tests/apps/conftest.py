"""The apps of a data directory, without a server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_apps
from support.runtime import FakeRuntime
from trice.apps.apps import Apps


class Stage:
    """The apps of a data directory, and their files."""

    apps: Apps

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = FakeRuntime()

    async def open(self, **options: Any) -> None:
        """As the server's start."""
        self.apps = await open_apps(
            self.folder, runtime=self.runtime, is_open_by_default=True, **options
        )

    async def make(self, **options: Any) -> str:
        app, _ = await self.apps.create(title="x", **options)
        self.apps.give_back(app)
        return app.id

    async def reopen(self, **options: Any) -> None:
        """As after a restart: no database is open."""
        await self.apps.close()
        await self.open(**options)

    async def close(self) -> None:
        await self.apps.close()

    def path(self, app_id: str) -> Path:
        return self.folder / "apps" / f"{app_id}.db"

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "apps").iterdir())


OpenStage = Callable[[], Coroutine[Any, Any, Stage]]


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> OpenStage:
    """Opens the stage of a test at a moment of its choice."""

    async def opened() -> Stage:
        stage = Stage(tmp_path)
        await stage.open()
        exits.push_async_callback(stage.close)
        return stage

    return opened


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    return await open_stage()
