"""A store for tests of what lies on disk: one open write on an empty file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.attrs import committed
from support.runtime import FakeRuntime
from trice.store.commit import Commit
from trice.store.engine import WriteTx
from trice.store.sqlite.engine import SqliteEngine

InTx = Callable[[Callable[[WriteTx], Any]], Any]


@pytest.fixture
def in_tx(tmp_path: Path) -> Iterator[InTx]:
    """Runs a function in a transaction of its own and returns its result."""

    def run(work: Callable[[WriteTx], Any]) -> Any:
        return asyncio.run(_written(tmp_path / "app.db", work))

    yield run


async def _written(path: Path, work: Callable[[WriteTx], Any]) -> Any:
    engine = SqliteEngine.open(path, runtime=FakeRuntime())
    results: list[Any] = []

    def wrapped(tx: WriteTx) -> Commit:
        results.append(work(tx))
        return committed(tx)

    try:
        await engine.write(wrapped)
    finally:
        await engine.close()
    return results[0]
