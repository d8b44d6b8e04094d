"""A database of its own, with watchers that count."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_database
from support.live_stage import SCHEMA, Stage
from support.runtime import FakeRuntime
from trice.rules.document import Rules

OpenStage = Callable[[], Coroutine[Any, Any, Stage]]


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> OpenStage:
    """Opens the stage of a test at a moment of its choice."""

    async def opened() -> Stage:
        runtime = FakeRuntime()
        database = await open_database(
            tmp_path / "app.db", runtime=runtime, rules=Rules.parse(None), schema=SCHEMA
        )
        exits.push_async_callback(database.close)
        return Stage(database, runtime)

    return opened


@pytest.fixture
async def stage(open_stage: OpenStage) -> Stage:
    return await open_stage()
