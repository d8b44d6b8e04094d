"""The apps of a data directory, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
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

    def path(self, app_id: str) -> Path:
        return self.folder / "apps" / f"{app_id}.db"

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "apps").iterdir())


Scene = Callable[[Stage], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        async def whole() -> None:
            stage = Stage(tmp_path)
            await stage.open()
            try:
                await scene(stage)
            finally:
                await stage.apps.close()

        asyncio.run(whole())

    return run
