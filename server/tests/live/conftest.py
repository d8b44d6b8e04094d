"""A database of its own, with watchers that count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.engines import open_database
from support.live_stage import SCHEMA, Scene, Stage
from support.runtime import FakeRuntime
from trice.rules.document import Rules


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    """Run a test's coroutine on a database of its own."""

    def run(scene: Scene) -> None:
        async def whole() -> None:
            runtime = FakeRuntime()
            database = await open_database(
                tmp_path / "app.db", runtime=runtime, rules=Rules.parse(None), schema=SCHEMA
            )
            try:
                await scene(Stage(database, runtime))
            finally:
                await database.close()

        asyncio.run(whole())

    return run
