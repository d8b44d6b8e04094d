"""The database of a new app, without HTTP; apps with accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.account_stage import AccountStage, running
from support.engines import open_apps
from support.passkey_holder import Person
from support.runtime import FakeRuntime
from trice.database import Database


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
async def database(tmp_path: Path, runtime: FakeRuntime) -> AsyncIterator[Database]:
    apps = await open_apps(tmp_path, runtime=runtime, is_open_by_default=True)
    app, _ = await apps.create(title="test")
    yield app.database
    apps.give_back(app)
    await apps.close()


@pytest.fixture
def open_stage(tmp_path: Path, exits: AsyncExitStack) -> Callable[[], Awaitable[AccountStage]]:
    """Opens the stage of a test at a moment of its choice."""
    return lambda: exits.enter_async_context(running(tmp_path))


@pytest.fixture
async def stage(open_stage: Callable[[], Awaitable[AccountStage]]) -> AccountStage:
    """An app with passwords and passkeys."""
    return await open_stage()


@pytest.fixture
async def person(stage: AccountStage) -> Person:
    """Somebody with an account and no passkey yet."""
    return Person(stage, await stage.by_code("ann@x.example"))
