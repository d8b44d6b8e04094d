"""Where a COMMIT runs: the clock that the writer looks at around it tells on which thread."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from support.attrs import blob, committed, creating, entity
from support.runtime import FakeRuntime
from trice import limits
from trice.store.commit import Commit, EntityChange, Image
from trice.store.engine import WriteTx
from trice.store.loop_reads import LoopReads
from trice.store.sqlite.commit_place import COMMITS_MEASURED
from trice.store.sqlite.engine import SqliteEngine


class CommitClock(FakeRuntime):
    """A clock that goes on by `step_ms` at each look.

    threads   the thread of each look
    """

    def __init__(self) -> None:
        super().__init__()
        self.step_ms = 0.0
        self.threads: list[str] = []
        self._now_ms = 0.0

    def monotonic_ms(self) -> float:
        self._now_ms += self.step_ms
        self.threads.append(threading.current_thread().name)
        return self._now_ms

    @property
    def is_on_loop(self) -> bool:
        """Whether the latest COMMIT ran where the test runs."""
        return self.threads[-1] == threading.current_thread().name


def insert(number: int) -> Any:
    def work(tx: WriteTx) -> Commit:
        tx.rows("INSERT INTO t (id, _created_ms) VALUES (?, 1)", (entity(number),))
        return committed(tx)

    return work


class Lone:
    """One client that writes, each after the acknowledgement of the one before."""

    def __init__(self, path: Path, loop_reads: LoopReads | None = None) -> None:
        self.clock = CommitClock()
        self.engine = SqliteEngine.open(path, runtime=self.clock, loop_reads=loop_reads)
        self._number = 0

    async def write(self, count: int = 1) -> bool:
        """Write so often; whether the last COMMIT ran on the loop."""
        for _ in range(count):
            self._number += 1
            await self.engine.write(insert(self._number))
        return self.clock.is_on_loop


async def settled(folder: Path, loop_reads: LoopReads | None = None) -> Lone:
    """One whose next COMMIT runs on the loop."""
    lone = Lone(folder / "app.db", loop_reads)
    await lone.engine.write(creating(blob("t", "id")))
    assert not await lone.write(COMMITS_MEASURED - 1)
    return lone


@pytest.mark.rule("S230")
async def test_a_lone_commit_runs_on_the_loop_after_many_short_ones(tmp_path: Path) -> None:
    lone = await settled(tmp_path)
    assert await lone.write()
    assert await lone.write()
    await lone.engine.close()


@pytest.mark.rule("S230")
async def test_one_that_was_long_sends_the_next_to_the_thread(tmp_path: Path) -> None:
    lone = await settled(tmp_path)
    lone.clock.step_ms = limits.COMMIT_ON_LOOP_MS * 1.01
    assert await lone.write()
    lone.clock.step_ms = 0
    assert not await lone.write(COMMITS_MEASURED)
    assert await lone.write()
    await lone.engine.close()


@pytest.mark.rule("S230")
async def test_a_read_since_the_latest_sends_one_to_the_thread(tmp_path: Path) -> None:
    lone = await settled(tmp_path)
    lone.engine.read_now(lambda snapshot: snapshot.tx)
    assert not await lone.write()
    assert await lone.write()
    await lone.engine.close()


@pytest.mark.rule("S230")
async def test_what_arrives_in_the_same_turn_shares_a_commit_on_the_thread(tmp_path: Path) -> None:
    lone = await settled(tmp_path)
    groups: list[int] = []
    lone.engine.on_commits(lambda commits: groups.append(len(commits)))
    await asyncio.gather(*(lone.engine.write(insert(number)) for number in range(1_000, 1_008)))
    assert groups == [1, 7]
    assert not lone.clock.is_on_loop
    await lone.engine.close()


@pytest.mark.rule("S230")
async def test_attrs_are_committed_on_the_thread(tmp_path: Path) -> None:
    lone = await settled(tmp_path)
    await lone.engine.write(creating(blob("other", "id")))
    assert not lone.clock.is_on_loop
    await lone.engine.close()


@pytest.mark.rule("S230")
async def test_another_app_that_is_written_to_sends_one_to_the_thread(tmp_path: Path) -> None:
    shared = LoopReads()
    other = Lone(tmp_path / "other.db", shared)
    await other.engine.write(creating(blob("t", "id")))
    lone = await settled(tmp_path, shared)
    assert await lone.write()
    await other.write()
    assert not await lone.write()
    assert await lone.write()
    await lone.engine.close()
    await other.engine.close()


@pytest.mark.rule("S230")
@pytest.mark.parametrize(
    ("old", "new", "is_on_loop"),
    [
        (["x" * 1_000], ["y"], True),
        (["x" * 200_000], ["x" * 200_000, 1], False),
        ([], list(range(140)), False),
    ],
    ids=["small", "a large row, of which little changes", "many cells"],
)
async def test_what_writes_much_is_committed_on_the_thread(
    tmp_path: Path, old: list[Any], new: list[Any], is_on_loop: bool
) -> None:
    lone = await settled(tmp_path)
    await lone.engine.write(creating(*(blob("t", f"f{number}") for number in range(140))))

    def work(tx: WriteTx) -> Commit:
        ids = [attr.id for attr in tx.catalog.by_id.values() if attr.label != "id"]
        before, after = (Image(1, dict(zip(ids, cells, strict=False))) for cells in (old, new))
        return committed(tx, entities=[EntityChange("t", entity(1), before, after)])

    await lone.engine.write(work)
    assert lone.clock.is_on_loop is is_on_loop
    await lone.engine.close()


@pytest.mark.rule("S231")
async def test_who_wrote_is_told_before_anybody_else_is_worked_for(tmp_path: Path) -> None:
    lone = await settled(tmp_path)
    told: list[str] = []

    def listener(_: object) -> None:
        asyncio.get_running_loop().call_soon(told.append, "listener's work")

    lone.engine.on_commits(listener)
    answer = lone.engine.submit(insert(2_000))
    answer.add_done_callback(lambda _: told.append("writer"))
    await answer
    await asyncio.sleep(0)
    assert told == ["writer", "listener's work"]
    await lone.engine.close()
