"""Results of calls: kept with their transaction, given again, forgotten in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.run_model import ACCOUNTS
from support.run_stage import Stage, done, one
from trice import function_limits
from trice.data_run import Committed, DataRun
from trice.errors import InvalidInput, NotFound
from trice.protocol.ids import EventId

A, B, C, D = ACCOUNTS


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = await Stage.open(tmp_path / "app.db")
    yield stage
    await stage.database.close()


@pytest.mark.rule("FN11")
async def test_a_call_that_is_sent_again_gets_its_value(stage: Stage) -> None:
    async def call(value: bytes) -> Committed:
        run = await stage.begin()
        run.draft([["increment", "accounts", A, {"n": 1}]])
        return await done(run, value=value, event_id=EventId("once"))

    first = await call(b'"first"')
    assert first == Committed(first.tx, b'"first"')
    for again in (await call(b"2"), await DataRun.find_result(stage.database, EventId("once"))):
        assert again == Committed(first.tx, b'"first"', is_replay=True)
    assert await stage.numbers(query=one(A)) == [1]
    stage.runtime.now += function_limits.RESULT_KEPT_MS + 1
    for attempt in (call(b"3"), DataRun.find_result(stage.database, EventId("once"))):
        with pytest.raises(NotFound) as caught:
            await attempt
        assert (caught.value.code, caught.value.hint["tx-id"]) == ("value-expired", first.tx)
    assert await stage.numbers(query=one(A)) == [1]


@pytest.mark.rule("FN11")
async def test_two_calls_with_one_event_id_at_once_are_one(stage: Stage) -> None:
    runs = [await stage.begin() for _ in range(3)]
    for run in runs:
        run.draft([["increment", "accounts", A, {"n": 1}]])
    made = await asyncio.gather(*(done(run, event_id=EventId("once")) for run in runs))
    assert [one.is_replay for one in made] == [False, True, True] and len({m.tx for m in made}) == 1
    assert await stage.numbers(query=one(A)) == [1]


@pytest.mark.rule("FN11")
async def test_a_call_that_failed_may_run_again(stage: Stage) -> None:
    run = await stage.begin()
    run.draft([["create", "accounts", A, {}]])
    with pytest.raises(InvalidInput):
        await done(run, event_id=EventId("once"))
    run = await stage.begin()
    run.draft([["update", "accounts", A, {"n": 6}]])
    assert not (await done(run, event_id=EventId("once"))).is_replay


@pytest.mark.rule("FN11")
async def test_old_results_leave(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_limits, "RESULTS_TRIM_EVERY", 1)
    monkeypatch.setattr(function_limits, "RESULTS_BYTES_MAX", 250)

    async def call(name: str) -> None:
        run = await stage.begin()
        run.draft([["increment", "accounts", A, {"n": 1}]])
        await done(run, value=b"1" * 100, event_id=EventId(name))

    async def known() -> list[Any]:
        found: list[Any] = []
        for number in range(4):
            try:
                name = EventId(f"e{number}")
                found.append(await DataRun.find_result(stage.database, name) is not None)
            except NotFound:
                found.append("expired")
        return found

    for number in range(4):
        await call(f"e{number}")
    assert await known() == ["expired", "expired", True, True]
    monkeypatch.setattr(function_limits, "RESULT_IDS_MAX", 2)
    await call("f0")
    assert await known() == [False, False, "expired", True]
    stage.runtime.now += function_limits.RESULT_ID_KEPT_MS + 1
    for name in ("f1", "f2"):
        await call(name)
    assert await known() == [False] * 4
