"""The counting of rows: once, and never while somebody writes."""

from __future__ import annotations

import asyncio

import pytest

from support.attrs import creating
from support.runtime import FakeRuntime
from support.statements import statements_of
from support.todos import TODOS, insert
from trice.store.quota import Quota
from trice.store.sqlite.engine import SqliteEngine


def counts(statements: list[str]) -> list[str]:
    return [sql for sql in statements if "count(*)" in sql]


@pytest.mark.rule("QT10", "QT11")
async def test_a_bounded_write_counts_no_rows(tmp_path):
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    await engine.write(creating(*TODOS))
    with statements_of(engine._writer._connection) as run:
        await engine.write(insert(1))
        assert run and "PRAGMA page_count" not in run, "nobody asked"
        await engine.used()
        await engine.bound(Quota(rows=1_000, bytes=1 << 30))
        await asyncio.gather(*(engine.write(insert(number)) for number in range(2, 20)))
        assert "PRAGMA page_count" in run
    assert counts(run) == []
    with statements_of(engine._reader) as run:
        await engine.used()
    assert counts(run) == []
    await engine.close()
    bounded = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime(), quota=Quota(rows=9))
    with statements_of(bounded._writer._connection) as run:
        await bounded.used()
    assert counts(run) == [], "counted when it was opened"
    await bounded.close()
