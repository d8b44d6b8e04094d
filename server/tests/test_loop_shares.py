"""How apps share the turns of the event loop."""

from __future__ import annotations

import asyncio
import logging

import pytest

from support.runtime import FakeRuntime
from trice import quota_limits
from trice.loop_shares import LoopShare, LoopShares

TURN_MS = quota_limits.APP_TURN_MS
BURST_MS = quota_limits.APP_BURST_MS


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
    stage.work(stage.noisy, BURST_MS / 2)
    assert not stage.noisy.is_over and stage.noisy.left_ms == pytest.approx(BURST_MS / 2)
    stage.work(stage.noisy, BURST_MS / 2)
    assert stage.noisy.is_over and not stage.quiet.is_over
    await asyncio.sleep(0)
    assert not stage.noisy.is_over, "a new turn"
    assert stage.noisy.left_ms == pytest.approx(TURN_MS)
    stage.work(stage.noisy, TURN_MS)
    assert stage.noisy.is_over, "it has a burst only after a pause"


@pytest.mark.rule("QT30")
async def test_what_took_more_is_made_up_for_while_another_app_is_active(stage: Stage) -> None:
    async def turns_until_it_goes_on(takes_ms: float, *, is_other_active: bool = True) -> int:
        if is_other_active:
            stage.work(stage.quiet)
        stage.work(stage.noisy, takes_ms)
        turns = 0
        while stage.noisy.is_over:
            await asyncio.sleep(0)
            turns += 1
        return turns

    stage.crowd()
    stage.work(stage.noisy, BURST_MS)
    await asyncio.sleep(0)
    assert await turns_until_it_goes_on(TURN_MS * 3.5) == 3
    assert await turns_until_it_goes_on(TURN_MS * 100) == quota_limits.APP_OWED_TURNS_MAX + 1
    # The other one does nothing any more: nobody needs those turns.
    for _ in range(quota_limits.PRESSING_TURNS):
        await turns_until_it_goes_on(TURN_MS * 3.5, is_other_active=False)
    stage.runtime.advance(quota_limits.PRESSING_MS)
    assert await turns_until_it_goes_on(TURN_MS * 3.5, is_other_active=False) == 1


@pytest.mark.rule("QT30")
async def test_an_app_that_paused_has_a_burst_unless_something_of_it_waits(stage: Stage) -> None:
    stage.crowd()
    stage.work(stage.noisy, BURST_MS * 2)
    stage.runtime.advance(quota_limits.APP_PAUSE_MS)
    assert stage.noisy.begin()
    assert stage.noisy.left_ms == pytest.approx(BURST_MS)
    stage.noisy.end()
    stage.work(stage.noisy, BURST_MS * 2)
    stage.noisy.later(lambda: None, "messages")
    stage.runtime.advance(quota_limits.APP_PAUSE_MS)
    assert stage.noisy.begin()
    assert stage.noisy.left_ms < 0, "the machine was slow; the app did not pause"
    stage.noisy.end()


@pytest.mark.rule("QT30")
async def test_what_waits_goes_on_in_order_one_call_a_turn_at_least(stage: Stage) -> None:
    stage.crowd()
    stage.work(stage.noisy, BURST_MS)
    for name, takes_ms in (
        ("a", TURN_MS * 2.5),
        ("b", TURN_MS / 4),
        ("c", TURN_MS / 2),
        ("d", 0.0),
    ):
        stage.noisy.later(
            lambda name=name, takes_ms=takes_ms: stage.work(stage.noisy, takes_ms, name),
            "messages",
        )
    stage.quiet.later(lambda: stage.work(stage.quiet, 0.0, "quiet"), "messages")
    stage.log.clear()
    turns = []
    for _ in range(5):
        await asyncio.sleep(0)
        turns.append(stage.log[:])
        stage.log.clear()
    assert turns == [["a", "quiet"], [], ["b", "c"], ["d"], []]


@pytest.mark.rule("QT33")
async def test_many_messages_that_wait_leave_the_writer_every_other_call(stage: Stage) -> None:
    stage.crowd()
    stage.work(stage.noisy, BURST_MS)
    stage.log.clear()
    for number in range(4):
        stage.noisy.later(lambda name=f"message {number}": stage.log.append(name), "messages")
    for number in range(2):
        stage.noisy.later(lambda name=f"write {number}": stage.log.append(name), "writes")
    await asyncio.sleep(0)
    assert stage.log == [
        "message 0",
        "write 0",
        "message 1",
        "write 1",
        "message 2",
        "message 3",
    ]


@pytest.mark.rule("QT31")
async def test_an_app_alone_has_whole_turns(stage: Stage) -> None:
    for _ in range(3):
        stage.work(stage.noisy, 50)
    assert not stage.noisy.is_over and stage.noisy.left_ms == float("inf")
    assert stage.shares.slice_ms(8) == 8
    stage.crowd()
    assert stage.shares.slice_ms(8) == TURN_MS
    stage.work(stage.noisy, 50)
    assert stage.noisy.is_over
    # What the others did is long ago.
    stage.runtime.advance(quota_limits.NEAR_MS)
    stage.work(stage.noisy, 50)
    assert not stage.noisy.is_over and not stage.shares.is_shared


@pytest.mark.rule("QT34")
async def test_an_app_that_others_are_near_to_has_longer_turns(stage: Stage) -> None:
    stage.crowd()
    stage.runtime.advance(quota_limits.CROWD_MS)
    stage.work(stage.noisy)
    near_ms = quota_limits.APP_NEAR_TURN_MS
    assert TURN_MS < stage.shares.slice_ms(8) == near_ms < 8
    stage.work(stage.noisy, 50)
    await asyncio.sleep(0)
    assert stage.noisy.left_ms == pytest.approx(near_ms)
    stage.work(stage.quiet)
    stage.work(stage.noisy)
    assert stage.shares.slice_ms(8) == TURN_MS, "it came back"


@pytest.mark.rule("QT30")
@pytest.mark.parametrize(
    ("took_ms", "turns"), [(TURN_MS / 2, 0), (TURN_MS * 1.5, 1), (TURN_MS * 3.5, 3), (50.0, 8)]
)
async def test_live_queries_wait_for_the_turns_that_they_took(
    stage: Stage, took_ms: float, turns: int
) -> None:
    stage.crowd()
    assert stage.noisy.turns_of(took_ms, 4) == turns
    for _ in range(quota_limits.PRESSING_TURNS):
        stage.work(stage.noisy, BURST_MS)
        await asyncio.sleep(0)
    stage.runtime.advance(quota_limits.PRESSING_MS)
    assert stage.noisy.turns_of(took_ms, 4) == min(turns, 1)


async def test_work_inside_of_work_counts_once(stage: Stage) -> None:
    stage.crowd()
    assert stage.noisy.begin()
    stage.work(stage.noisy, BURST_MS / 4)
    assert stage.noisy.left_ms == pytest.approx(BURST_MS * 3 / 4)
    stage.noisy.end()
    assert stage.noisy.left_ms == pytest.approx(BURST_MS * 3 / 4)


async def test_a_call_that_fails_keeps_nobody_waiting(stage: Stage, caplog) -> None:
    stage.crowd()
    stage.work(stage.noisy, BURST_MS)
    stage.log.clear()
    stage.noisy.later(lambda: 1 / 0, "messages")
    stage.noisy.later(lambda: stage.work(stage.noisy, 0.0, "after"), "messages")
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(0)
    assert stage.log == ["after"]
    assert "work that waited for its turn failed" in caplog.text
