"""Which event ids a table may have: never one too few."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from support.engines import open_database
from support.run_model import ACCOUNTS
from support.run_stage import Stage, done
from trice.data_run import DataRun
from trice.protocol.ids import EventId
from trice.store.sqlite.seen_ids import SeenIds

AT_ONCE = 256
A = ACCOUNTS[0]


def learn(seen: SeenIds, table: list[tuple[int, str]]) -> int:
    """Learn a table in pieces, as look-ups do. Returns how many it took."""
    pieces = 0
    while not seen.is_whole:
        rows = list(islice((row for row in table if row[0] > seen.learned), AT_ONCE))
        seen.learn(rows, is_last=len(rows) < AT_ONCE)
        pieces += 1
    return pieces


@pytest.mark.rule("FN722")
def test_what_is_in_the_table_may_be_there_however_many_there_are() -> None:
    seen = SeenIds()
    assert seen.may_have("any"), "nothing is known yet"
    table = [(number, f"id {number}") for number in range(1, 5_001)]
    assert learn(seen, table) < 3 * len(table) / AT_ONCE
    assert all(seen.may_have(event_id) for _, event_id in table)
    strangers = sum(seen.may_have(f"other {number}") for number in range(5_000))
    assert strangers < 250, "one in seventy at most looks as if it were there"


@pytest.mark.rule("FN722")
def test_one_that_grows_begins_again_and_forgets_nothing() -> None:
    seen, table = SeenIds(), [(1, "id 1")]
    learn(seen, table)
    size_bytes, begun_again = seen.size_bytes, 0
    for number in range(2, 4_000):
        table.append((number, f"id {number}"))
        seen.add(table[-1][1])
        if not seen.is_whole:
            begun_again += 1
            assert seen.may_have("any"), "what it had is not known until it is learned again"
            learn(seen, table)
        assert seen.may_have(table[-1][1])
    assert begun_again and seen.size_bytes > size_bytes
    assert all(seen.may_have(event_id) for _, event_id in table)


@pytest.mark.rule("FN722")
async def test_an_event_id_that_nobody_sent_is_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await Stage.open(tmp_path / "seen.db")
    for number in range(3):
        run = await stage.begin()
        run.draft([["update", "accounts", A, {"n": number}]])
        await done(run, event_id=EventId(f"event {number}"))
    looked = _count_reads(stage.database.engine, monkeypatch)
    assert await DataRun.find_result(stage.database, EventId("another")) is None
    assert looked[0] == 0
    found = await DataRun.find_result(stage.database, EventId("event 1"))
    assert found is not None and looked[0] == 1
    await stage.database.close()

    database = await open_database(tmp_path / "seen.db", runtime=stage.runtime)
    again = Stage(database, stage.runtime)
    for number in range(3):
        found = await DataRun.find_result(database, EventId(f"event {number}"))
        assert found is not None, "ids of a file that was opened again are not known yet"
    run = await again.begin()
    run.draft([["update", "accounts", A, {"n": 9}]])
    await done(run, event_id=EventId("event 3"))
    looked = _count_reads(database.engine, monkeypatch)
    assert await DataRun.find_result(database, EventId("another")) is None
    assert looked[0] == 0, "a write has learned them"
    for number in range(4):
        assert await DataRun.find_result(database, EventId(f"event {number}")) is not None
    await database.close()


def _count_reads(engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts, read_now = [0], engine.read_now

    def counted(*given: Any) -> Any:
        counts[0] += 1
        return read_now(*given)

    monkeypatch.setattr(engine, "read_now", counted)
    return counts
