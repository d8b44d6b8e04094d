"""`until_ended` waits on, however often it is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from trice.ended import until_ended


@pytest.mark.parametrize("outcome", ["result", "failure", "cancelled"])
async def test_it_waits_to_the_end_though_it_is_cancelled_again(outcome: str) -> None:
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(until_ended(work))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    if outcome == "failure":
        work.set_exception(OSError("the disk"))
    elif outcome == "cancelled":
        work.cancel()
    else:
        work.set_result(None)
    await waiting
