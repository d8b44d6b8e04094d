"""What every storage engine promises about rows judged in Python."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from support.attrs import committed
from support.todos import ask, attr_of, insert, numbers, put
from trice import limits
from trice.errors import PermissionDenied
from trice.query.ast import Judged
from trice.query.visibility import FixedVisibility
from trice.store.commit import Commit
from trice.store.engine import Engine, ReadTooLong, Snapshot, WriteTx

ROWS = 2_001
STEPS = limits.JUDGED_STEPS_ON_LOOP // 2_000 - 10
"""What each row takes besides the ten steps of every row: all but the last fit the loop."""


def fill(tx: WriteTx) -> Commit:
    for number in range(ROWS):
        put(tx, "todos", number, n=number)
    return committed(tx)


def judging(
    decide: Callable[..., tuple[bool, int]], where: dict[str, Any] | None = None
) -> Callable[[Snapshot | WriteTx], list[Any]]:
    """A read of the numbers that `decide` lets pass, in order."""

    def work(state: Snapshot | WriteTx) -> list[Any]:
        judged = Judged(decide, (attr_of(state, "todos", "n"),), ())
        options: dict[str, Any] = {"order": {"n": "asc"}}
        if where is not None:
            options["where"] = where
        visible = FixedVisibility(by_etype={"todos": (judged,)})
        return [todo["n"] for todo in ask(state, {"todos": {"$": options}}, visible)["todos"]]

    return work


@pytest.mark.rule("Q99")
async def test_many_judged_rows_leave_the_loop(engine: Engine) -> None:
    await engine.write(fill)
    threads: set[int] = set()

    def decide(_: bytes, cells: Any, __: Any) -> tuple[bool, int]:
        threads.add(threading.get_ident())
        return bool(cells[0] % 2), STEPS

    work = judging(decide)
    with pytest.raises(ReadTooLong):
        engine.read_now(work)
    assert threads == {threading.get_ident()}
    threads.clear()
    expected = list(range(1, ROWS, 2))
    assert await engine.read(work, timeout_ms=60_000) == expected
    assert len(threads) == 2, "the first rows on the loop, then all of them on a thread"
    # Each read has its own budget, and other reads spend none of it.
    assert len(await engine.read(numbers, timeout_ms=60_000)) == ROWS
    few = {"id": {"$in": [str(UUID(int=number)) for number in range(5)]}}
    assert engine.read_now(judging(decide, few)) == [1, 3]


@pytest.mark.rule("Q98")
async def test_what_a_judge_raises_comes_out_unchanged_everywhere(engine: Engine) -> None:
    await engine.write(insert(1))
    refusal = PermissionDenied("permission-evaluation-failed", "no")

    def decide(*_: Any) -> tuple[bool, int]:
        raise refusal

    work = judging(decide)

    def judged_write(tx: WriteTx) -> Commit:
        work(tx)
        return committed(tx)

    for _ in range(2):
        with pytest.raises(PermissionDenied) as on_loop:
            engine.read_now(work)
        with pytest.raises(PermissionDenied) as on_thread:
            await engine.read_on_thread(work, timeout_ms=60_000)
        with pytest.raises(PermissionDenied) as in_write:
            await engine.write(judged_write)
        assert on_loop.value is on_thread.value is in_write.value is refusal
    assert engine.read_now(numbers) == [1]
    assert await engine.read_on_thread(numbers, timeout_ms=60_000) == [1]
    assert await engine.write(insert(2)) == 3


async def test_judging_in_a_write_is_not_counted(engine: Engine) -> None:
    found: list[int] = []

    def work(tx: WriteTx) -> Commit:
        fill(tx)
        read = judging(lambda *_: (True, STEPS))
        found.append(len(read(tx)))
        return committed(tx)

    await engine.write(work)
    assert found == [ROWS]
