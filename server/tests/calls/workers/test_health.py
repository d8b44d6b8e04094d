"""When a process is pinged, gets no more calls, or is ended: time is a number here."""

from __future__ import annotations

import pytest

from trice import function_limits as limits
from trice.calls.workers.health import Health
from trice.functions.frames import Pong


def pinged(health: Health, now_ms: float) -> int:
    number = health.ping(now_ms)
    assert number is not None
    return number


@pytest.mark.rule("FN147")
def test_a_process_is_pinged_again_when_it_has_answered() -> None:
    health = Health(is_pure=True)
    health.begin(0)
    first = pinged(health, 0)
    assert health.ping(10 * limits.PING_MS) is None
    health.pong(Pong(number=first))
    assert pinged(health, 10 * limits.PING_MS) == first + 1


@pytest.mark.rule("FN148")
def test_a_silent_process_gets_no_calls_and_is_ended() -> None:
    health = Health(is_pure=True)
    health.begin(0)
    number = pinged(health, 0)
    assert health.is_quick(limits.SILENT_MS - 1)
    assert not health.is_quick(limits.SILENT_MS)
    assert health.judge(limits.SILENT_KILL_MS - 1) is None
    verdict = health.judge(limits.SILENT_KILL_MS)
    assert verdict is not None
    assert verdict.guilty is None
    health.pong(Pong(number=number))
    assert health.is_quick(limits.SILENT_KILL_MS)
    assert health.judge(limits.SILENT_KILL_MS) is None


@pytest.mark.rule("FN147")
@pytest.mark.parametrize(
    ("held_ms", "cpu_ms", "is_over"),
    [
        (limits.BLOCKED_MS, 0, True),
        (limits.BLOCKED_MS - 1, 0, False),
        (limits.CALL_CPU_MS, limits.CALL_CPU_MS, True),
        (limits.CALL_CPU_MS, limits.CALL_CPU_MS - 1, False),
    ],
)
def test_a_call_that_holds_a_process_of_queries(held_ms: int, cpu_ms: int, is_over: bool) -> None:
    pong = Pong(number=1, held_ms=held_ms, cpu_ms=cpu_ms, busy=7, stack=[("a.py", 3, "f")])
    for is_pure in (True, False):
        health = Health(is_pure=is_pure)
        health.begin(0)
        pinged(health, 0)
        health.pong(pong)
        assert not health.is_quick(0) or held_ms < limits.SILENT_MS
        verdict = health.judge(0)
        assert (verdict is not None) == (is_over and is_pure), "actions may take their time"
        if verdict is not None:
            assert verdict.guilty == 7
            assert "a.py:3 in f" in verdict.reason


@pytest.mark.rule("FN145")
def test_who_is_guilty_when_a_call_does_not_end() -> None:
    for is_pure, busy, guilty in (
        (True, None, 1),  # it swallows its cancellation
        (True, 1, 1),
        (True, 2, 2),  # another one holds the loop
        (False, 2, None),  # an action that may: the other waits for it
        (False, 1, 1),
    ):
        health = Health(is_pure=is_pure)
        health.begin(0)
        pinged(health, 0)
        health.pong(Pong(number=1, held_ms=1, busy=busy))
        health.ended[1] = 500
        assert health.judge(499) is None
        verdict = health.judge(500)
        assert (None if verdict is None else verdict.guilty) == guilty


@pytest.mark.rule("FN147")
def test_an_answer_to_an_earlier_ping_is_no_answer() -> None:
    health = Health(is_pure=True)
    health.begin(0)
    number = pinged(health, 0)
    health.pong(Pong(number=number - 1, held_ms=10_000, busy=1))
    assert health.judge(1) is None
    assert not health.is_quick(limits.SILENT_MS)
