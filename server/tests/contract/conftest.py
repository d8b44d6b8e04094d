"""The engines the suite runs against. A second engine is one more `param`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.attrs import creating
from support.blob_places import Place
from support.runtime import FakeRuntime
from support.s3_server import CREDENTIALS, S3Server, s3_server
from support.todos import TODOS, Open
from support.triples_engine import TriplesEngine, TriplesStore
from trice.files.threads import FileThreads
from trice.store.engine import Engine
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
def open_todos(
    open_engine: Open, exits: AsyncExitStack
) -> Callable[[], Coroutine[Any, Any, Engine]]:
    """Opens, once, an engine whose transaction 1 created the todos."""

    async def opened() -> Engine:
        engine = open_engine()
        exits.push_async_callback(engine.close)
        assert await engine.write(creating(*TODOS)) == 1
        return engine

    return opened


@pytest.fixture
async def engine(open_todos: Callable[[], Coroutine[Any, Any, Engine]]) -> Engine:
    return await open_todos()


@pytest.fixture
def threads() -> Iterator[FileThreads]:
    threads = FileThreads()
    yield threads
    threads.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(params=["local", "s3"])
def place(
    request: pytest.FixtureRequest,
    threads: FileThreads,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """A place that keeps bytes."""
    if request.param == "local":
        return Place.local(tmp_path, threads=threads)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server: S3Server = request.getfixturevalue("s3")
    return Place.bucket(server.make_bucket(), tmp_path, threads=threads)
