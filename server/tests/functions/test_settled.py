"""`ctx.settle`: a value or an error of each."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from support.patience import POLL_S, WAIT_S
from trice.functions.asleep import AsleepError
from trice.functions.settled import settle
from trice.reach_limits import SETTLE_MAX


async def value(given: Any) -> Any:
    if isinstance(given, BaseException):
        raise given
    return given


@pytest.mark.rule("FN513")
async def test_of_each_there_is_a_value_or_an_error() -> None:
    failure = KeyError("b")
    found = await settle({"a": value(1), "b": value(failure), "c": value(None)}, timeout=None)
    assert list(found) == ["a", "b", "c"]
    assert (found["a"].value, found["a"].error, found["c"].value) == (1, None, None)
    assert found["b"].error is failure
    with pytest.raises(KeyError):
        _ = found["b"].value
    assert await settle({}, timeout=WAIT_S) == {}


@pytest.mark.rule("FN513")
@pytest.mark.parametrize("wait", [POLL_S, timedelta(seconds=POLL_S)])
async def test_what_is_not_done_in_time_is_cancelled(wait: Any) -> None:
    ended = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    found = await settle({"a": value(1), "b": endless()}, timeout=wait)
    assert found["a"].value == 1 and ended == ["cancelled"]
    assert isinstance(found["b"].error, TimeoutError)
    assert str(found["b"].error) == f"It was not done within {POLL_S:g} s"


@pytest.mark.rule("FN513")
async def test_what_ends_the_call_ends_it() -> None:
    with pytest.raises(AsleepError):
        await settle({"a": value(AsleepError())}, timeout=None)
    gone = asyncio.get_running_loop().create_future()
    whole = asyncio.ensure_future(settle({"a": gone}, timeout=None))
    await asyncio.sleep(0)
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert gone.cancelled()
    with pytest.raises(ValueError, match="100 things at most, not 101"):
        await settle({str(each): value(each) for each in range(SETTLE_MAX + 1)}, timeout=None)
