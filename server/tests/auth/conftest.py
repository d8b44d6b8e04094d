"""The database of a new app, without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_apps
from support.runtime import FakeRuntime
from trice.database import Database

Scene = Callable[[Database, FakeRuntime], Coroutine[Any, Any, None]]


@pytest.fixture
def act(tmp_path: Path) -> Callable[[Scene], None]:
    """Run a test's coroutine on a database of its own."""

    def run(scene: Scene) -> None:
        async def whole() -> None:
            runtime = FakeRuntime()
            apps = await open_apps(tmp_path, runtime=runtime, is_open_by_default=True)
            app, _ = await apps.create(title="test")
            try:
                await scene(app.database, runtime)
            finally:
                apps.give_back(app)
                await apps.close()

        asyncio.run(whole())

    return run
