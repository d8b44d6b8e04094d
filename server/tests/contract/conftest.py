"""The engines the suite runs against. A second engine is one more `param`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from support.attrs import creating
from support.runtime import FakeRuntime
from support.todos import TODOS, Open, Scenario
from support.triples_engine import TriplesEngine, TriplesStore
from trice.store.sqlite.engine import SqliteEngine


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture(params=["sqlite", "triples"])
def open_engine(request: pytest.FixtureRequest, tmp_path: Path, runtime: FakeRuntime) -> Open:
    """Opens the same app's storage, again and again."""
    if request.param == "sqlite":
        return lambda: SqliteEngine.open(tmp_path / "app.db", runtime=runtime)
    store = TriplesStore()
    return lambda: TriplesEngine(store, runtime=runtime)


@pytest.fixture
def run(open_engine: Open) -> Callable[[Scenario], None]:
    """Runs a scenario on an engine whose transaction 1 created the todos."""

    async def started(scenario: Scenario) -> None:
        engine = open_engine()
        assert await engine.write(creating(*TODOS)) == 1
        await scenario(engine, open_engine)
        await engine.close()

    return lambda scenario: asyncio.run(started(scenario))
