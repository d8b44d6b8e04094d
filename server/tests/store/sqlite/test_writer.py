"""What a write costs the writer: statements are counted, threads looked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.attrs import blob, committed, creating, entity
from support.runtime import FakeRuntime
from support.statements import statements_of
from trice.protocol.ids import EventId
from trice.store.commit import Commit
from trice.store.engine import Row, WriteTx
from trice.store.sqlite.engine import SqliteEngine


@contextmanager
def verbs_of(engine: SqliteEngine) -> Iterator[list[str]]:
    """The first word of every statement that the writer runs meanwhile; complete at the end."""
    verbs: list[str] = []
    with statements_of(engine._writer._connection) as statements:
        yield verbs
    verbs += [sql.split(maxsplit=1)[0] for sql in statements]


def insert(number: int, *, is_failing: bool = False) -> Any:
    def work(tx: WriteTx) -> Commit:
        tx.rows("INSERT INTO t (id, _created_ms) VALUES (?, 1)", (entity(number),))
        if is_failing:
            raise KeyError(number)
        return committed(tx)

    return work


def event(number: int) -> EventId:
    return EventId(f"event {number}")


async def opened(tmp_path: Path) -> SqliteEngine:
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    await engine.write(creating(blob("t", "id")))
    return engine


async def hold_commit(engine: SqliteEngine, number: int) -> asyncio.Task[Any]:
    """Begin a write; what is written until it ends waits, and shares one group."""
    task = asyncio.ensure_future(engine.write(insert(number)))
    await asyncio.sleep(0)
    return task


@pytest.mark.rule("S77")
async def test_lone_transaction_runs_its_own_statements_and_three_more(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    with verbs_of(engine) as verbs:
        await engine.write(insert(1), event_id=event(1))
    assert verbs == ["BEGIN", "INSERT", "INSERT", "COMMIT"]
    await engine.close()


@pytest.mark.rule("S77")
async def test_those_after_the_first_of_a_group_have_a_savepoint(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    held = await hold_commit(engine, 9)
    with verbs_of(engine) as verbs:
        await asyncio.gather(held, *(engine.write(insert(number)) for number in (1, 2, 3)))
    saved = ["SAVEPOINT", "INSERT", "INSERT", "RELEASE"]
    assert [verb for verb in verbs if verb != "COMMIT"] == [
        "BEGIN", "INSERT", "INSERT", *saved, *saved,
    ]  # fmt: skip
    await engine.close()


@pytest.mark.rule("S78")
async def test_failures_at_the_head_of_a_group_leave_nothing_and_take_nothing_along(
    tmp_path: Path,
) -> None:
    engine = await opened(tmp_path)
    await engine.write(insert(8), event_id=event(8))
    held = await hold_commit(engine, 9)
    outcomes = await asyncio.gather(
        held,
        engine.write(insert(1, is_failing=True)),
        engine.write(insert(2, is_failing=True)),
        engine.write(insert(8), event_id=event(8)),
        engine.write(insert(3, is_failing=True)),
        engine.write(insert(4)),
        engine.write(insert(5, is_failing=True)),
        engine.write(insert(6)),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [int, KeyError, KeyError, int, KeyError, int, KeyError, int]
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [3, 2, 4, 5]
    found = engine.read_now(lambda snapshot: snapshot.rows("SELECT id FROM t ORDER BY id"))
    assert found == [(entity(number),) for number in (4, 6, 8, 9)]
    await engine.close()


@pytest.mark.rule("S79")
async def test_only_an_app_that_is_written_to_has_a_writers_thread(tmp_path: Path) -> None:
    def threads() -> int:
        return sum(thread.name == "trice-writer" for thread in threading.enumerate())

    before = threads()
    engine = SqliteEngine.open(tmp_path / "app.db", runtime=FakeRuntime())
    assert threads() == before
    await engine.write(creating(blob("t", "id")))
    await engine.write(insert(1))
    assert threads() == before + 1
    await engine.close()
    assert threads() == before


@pytest.mark.rule("S80")
async def test_only_long_transactions_use_temporary_files(tmp_path: Path) -> None:
    places: list[list[Row]] = []

    def looking(number: int) -> Any:
        def work(tx: WriteTx) -> Commit:
            places.append(tx.rows("PRAGMA temp_store"))
            commit: Commit = insert(number)(tx)
            return commit

        return work

    engine = await opened(tmp_path)
    for number, is_long in ((1, False), (2, True), (3, True), (4, False)):
        await engine.write(looking(number), is_long=is_long)
    await engine.close()
    in_file, in_memory = [(1,)], [(2,)]
    assert places == [in_memory, in_file, in_file, in_memory]


@pytest.mark.rule("S244")
async def test_closing_copies_the_log_on_the_thread(tmp_path: Path) -> None:
    engine = await opened(tmp_path)
    await engine.write(insert(1))
    copies: list[tuple[int, int]] = []
    path = tmp_path / "app.db"

    def note(_cursor: Any, sql: str, _bindings: Any) -> bool:
        if "wal_checkpoint" in sql:
            copies.append((threading.get_ident(), path.stat().st_size))
        return True

    engine._writer._connection._raw.exec_trace = note
    await engine.close()
    (thread, before), (loop, between) = copies
    assert thread != loop == threading.get_ident()
    assert before < between == path.stat().st_size, "nothing is left for the loop"
