"""What every storage engine promises about how much an app may hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from support.attrs import committed, entity
from support.todos import Open, put
from trice.errors import LimitExceeded
from trice.store.commit import Commit, EntityChange, Image
from trice.store.engine import Engine, WriteTx
from trice.store.quota import Quota


def add(*numbers: int) -> Callable[[WriteTx], Commit]:
    """A work that adds todos, and says so."""

    def work(tx: WriteTx) -> Commit:
        for number in numbers:
            put(tx, "todos", number, n=number)
        made = [EntityChange("todos", entity(n), None, Image(tx.time_ms, {})) for n in numbers]
        return msgspec.structs.replace(committed(tx), entities=made)

    return work


@pytest.mark.rule("QT10")
async def test_an_engine_counts_its_rows_and_goes_on_counting(
    engine: Engine, open_engine: Open
) -> None:
    await engine.write(add(1, 2, 3))
    asked = [asyncio.create_task(engine.used()) for _ in range(2)]
    await asyncio.gather(*(engine.write(add(number)) for number in range(4, 10)))
    assert {(await each).rows for each in asked} <= set(range(3, 10))
    assert (await engine.used()).rows == 9
    await engine.write(add(10))
    used = await engine.used()
    assert used.rows == 10 and used.bytes > 0
    await engine.close()
    again = open_engine()
    assert (await again.used()).rows == 10
    await again.close()


@pytest.mark.rule("QT10")
async def test_a_bound_holds_from_when_it_is_set(engine: Engine) -> None:
    await engine.write(add(1, 2))
    await engine.bound(Quota(rows=3, advice=", please"))
    outcomes = await asyncio.gather(
        *(engine.write(add(number)) for number in (3, 4)), return_exceptions=True
    )
    refused = outcomes[1]
    assert isinstance(refused, LimitExceeded) and not isinstance(outcomes[0], Exception)
    assert refused.hint == {"quota": "rows", "current": 3, "limit": 3}
    assert refused.message.endswith("Delete something, please.")
    await engine.bound(Quota(rows=4))
    await engine.write(add(4))
    await engine.bound(Quota())
    await engine.write(add(*range(5, 20)))
    assert (await engine.used()).rows == 19
