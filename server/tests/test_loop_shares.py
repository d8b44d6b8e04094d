"""How apps share the turns of the event loop."""

from __future__ import annotations

import asyncio
import logging

import pytest

from support.runtime import FakeRuntime
from trice import quota_limits
from trice.loop_shares import LoopShare, LoopShares

TURN_MS = quota_limits.APP_TURN_MS


class Stage:
    """Two apps, and a clock that stands still but where work takes time."""

    def __init__(self) -> None:
        self.runtime = FakeRuntime()
        self.shares = LoopShares(self.runtime)
        self.quiet, self.noisy = self.shares.make(), self.shares.make()
        self.log: list[str] = []

    def work(self, share: LoopShare, takes_ms: float = 0.0, name: str = "work") -> None:
        is_outermost = share.begin()
        self.runtime.advance(takes_ms)
        self.log.append(name)
        if is_outermost:
            share.end()

    def crowd(self) -> None:
        self.work(self.quiet)
        self.work(self.noisy)
        self.log.clear()


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.rule("QT30")
async def test_an_app_has_its_share_of_a_turn_beside_another(stage: Stage) -> None:
    stage.crowd()
    stage.work(stage.noisy, TURN_MS / 2)
    assert not stage.noisy.is_over and stage.noisy.left_ms == pytest.approx(TURN_MS / 2)
    stage.work(stage.noisy, TURN_MS / 2)
    assert stage.noisy.is_over and not stage.quiet.is_over
    await asyncio.sleep(0)
    assert not stage.noisy.is_over, "a new turn"
    assert stage.noisy.left_ms == TURN_MS


@pytest.mark.rule("QT30")
async def test_what_waits_goes_on_in_order_one_call_a_turn_at_least(stage: Stage) -> None:
    stage.crowd()
    stage.work(stage.noisy, TURN_MS)
    for name, takes_ms in (("a", 5.0), ("b", TURN_MS / 2), ("c", TURN_MS / 2), ("d", 0.0)):
        stage.noisy.later(
            lambda name=name, takes_ms=takes_ms: stage.work(stage.noisy, takes_ms, name)
        )
    stage.quiet.later(lambda: stage.work(stage.quiet, 0.0, "quiet"))
    stage.log.clear()
    turns = []
    for _ in range(4):
        await asyncio.sleep(0)
        turns.append(stage.log[:])
        stage.log.clear()
    assert turns == [["a", "quiet"], ["b", "c"], ["d"], []]


@pytest.mark.rule("QT31")
async def test_an_app_alone_has_whole_turns(stage: Stage) -> None:
    for _ in range(3):
        stage.work(stage.noisy, 50)
    assert not stage.noisy.is_over and stage.noisy.left_ms == float("inf")
    assert stage.noisy.slice_ms(8) == 8
    stage.crowd()
    assert stage.noisy.slice_ms(8) == TURN_MS
    stage.work(stage.noisy, TURN_MS)
    assert stage.noisy.is_over
    # What the others did is long ago.
    stage.runtime.advance(quota_limits.CROWD_MS)
    stage.work(stage.noisy, 50)
    assert not stage.noisy.is_over and not stage.shares.is_crowded


@pytest.mark.rule("QT31")
async def test_an_app_that_comes_back_finds_the_server_crowded(stage: Stage) -> None:
    for share in (stage.noisy, stage.quiet, stage.noisy, stage.noisy):
        stage.work(share)
        stage.runtime.advance(quota_limits.CROWD_MS / 4)
    assert stage.shares.is_crowded
    for _ in range(3):
        stage.runtime.advance(quota_limits.CROWD_MS / 4)
        stage.work(stage.noisy)
    assert not stage.shares.is_crowded
    stage.work(stage.quiet)
    assert stage.shares.is_crowded


async def test_work_inside_of_work_counts_once(stage: Stage) -> None:
    stage.crowd()
    assert stage.noisy.begin()
    stage.work(stage.noisy, TURN_MS / 4)
    assert stage.noisy.left_ms == pytest.approx(TURN_MS * 3 / 4)
    stage.noisy.end()
    assert stage.noisy.left_ms == pytest.approx(TURN_MS * 3 / 4)


async def test_a_call_that_fails_keeps_nobody_waiting(stage: Stage, caplog) -> None:
    stage.crowd()
    stage.work(stage.noisy, TURN_MS)
    stage.log.clear()
    stage.noisy.later(lambda: 1 / 0)
    stage.noisy.later(lambda: stage.work(stage.noisy, 0.0, "after"))
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(0)
    assert stage.log == ["after"]
    assert "work that waited for its turn failed" in caplog.text
