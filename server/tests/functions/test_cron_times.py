"""Times of crons: both changes of the clock in Berlin, many expressions, a slow oracle."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from trice.functions.cron_times import check_schedule, latest_until, newest, next_after
from trice.functions.signature import Schedule

BERLIN = ZoneInfo("Europe/Berlin")


def cron(expression: str, tz: str = "Europe/Berlin", **options: Any) -> Schedule:
    return Schedule(cron=expression, tz=tz, **options)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def times(schedule: Schedule, after: str, count: int) -> list[str]:
    """The next times after an instant, as clocks in Berlin show them."""
    found, at = [], ms(after)
    for _ in range(count):
        at = next_after(schedule, at, anchor_ms=0)
        found.append(datetime.fromtimestamp(at / 1_000, BERLIN).strftime("%d %H:%M %z"))
    return found


@pytest.mark.rule("FN382")
def test_a_time_that_spring_leaves_out_is_run_at_the_jump() -> None:
    before = "2026-03-28T12:00:00+01:00"
    assert times(cron("30 2 * * *"), before, 3) == [
        "29 03:00 +0200",
        "30 02:30 +0200",
        "31 02:30 +0200",
    ]
    assert times(cron("30 1 * * *"), before, 2) == ["29 01:30 +0100", "30 01:30 +0200"]
    assert times(cron("0 3 * * *"), before, 2) == ["29 03:00 +0200", "30 03:00 +0200"]


@pytest.mark.rule("FN382")
def test_a_time_that_autumn_has_twice_is_run_once() -> None:
    before = "2026-10-24T12:00:00+02:00"
    assert times(cron("30 2 * * *"), before, 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    assert times(cron("30 3 * * *"), before, 2) == ["25 03:30 +0100", "26 03:30 +0100"]
    within = "2026-10-25T02:10:00+01:00"
    assert times(cron("30 2 * * *"), within, 1) == ["26 02:30 +0100"], "that was an hour ago"


@pytest.mark.rule("FN382")
def test_hours_that_begin_with_a_star_go_by_elapsed_time() -> None:
    spring = times(cron("15 * * * *"), "2026-03-29T00:30:00+01:00", 4)
    assert spring == ["29 01:15 +0100", "29 03:15 +0200", "29 04:15 +0200", "29 05:15 +0200"]
    autumn = times(cron("15 * * * *"), "2026-10-25T00:30:00+02:00", 4)
    assert autumn == ["25 01:15 +0200", "25 02:15 +0200", "25 02:15 +0100", "25 03:15 +0100"]
    for change in ("2026-03-28T23:00:00+01:00", "2026-10-24T23:00:00+02:00"):
        at, found = ms(change), []
        for _ in range(20):
            at = next_after(cron("*/20 * * * *"), at, anchor_ms=0)
            found.append(at)
        assert {later - earlier for earlier, later in pairwise(found)} == {1_200_000}


@pytest.mark.rule("FN382")
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * MON-FRI", ["26 09:00", "29 09:00", "30 09:00"]),
        ("0 0 1 * *", ["01 00:00", "01 00:00", "01 00:00"]),
        ("0 12 L * *", ["30 12:00", "31 12:00", "31 12:00"]),
        ("0 12 13 * FRI", ["26 12:00", "03 12:00", "10 12:00"]),  # either day: Debian
        ("0 12 */2 * FRI", ["03 12:00", "17 12:00", "31 12:00"]),  # both: one begins with a star
        ("0 0 29 2 *", ["29 00:00", "29 00:00", "29 00:00"]),
        ("5,10 8-9/1 26 6 *", ["26 08:05", "26 08:10", "26 09:05"]),
    ],
)
def test_expressions_mean_what_debian_says(expression: str, expected: list[str]) -> None:
    found = times(cron(expression), "2026-06-25T23:00:00+02:00", 3)
    assert [each[:8] for each in found] == expected


@pytest.mark.rule("FN382")
def test_the_next_time_is_the_same_from_every_instant_before_it() -> None:
    """The oracle goes from time to time; the code under test jumps into the middle."""
    chosen = random.Random(36)
    for expression in ("30 2 * * *", "0 * * * *", "*/30 2 * * *", "10,40 1-3 * * *", "0 0 * * *"):
        for day in ("2026-03-28T00:00:00+01:00", "2026-10-24T00:00:00+02:00"):
            schedule, known = cron(expression), [ms(day)]
            for _ in range(100):
                known.append(next_after(schedule, known[-1], anchor_ms=0))
            assert known == sorted(set(known))
            for _ in range(300):
                at = ms(day) + chosen.randrange(48 * 3_600_000)
                expected = min(each for each in known if each > at)
                assert next_after(schedule, at, anchor_ms=0) == expected, (expression, at)
                if at >= known[1]:
                    past = [each for each in known[1:] if each <= at]
                    assert newest(schedule, at, first_ms=known[1], count=5) == past[-5:]
                    assert latest_until(schedule, at, first_ms=known[1]) == past[-1]


@pytest.mark.rule("FN380")
def test_periods_are_counted_from_their_first_time() -> None:
    schedule = Schedule(every_ms=7_000)
    assert next_after(schedule, 1_000, anchor_ms=1_000) == 8_000
    assert next_after(schedule, 7_999, anchor_ms=1_000) == 8_000
    assert next_after(schedule, 8_000, anchor_ms=1_000) == 15_000
    assert newest(schedule, 30_000, first_ms=1_000, count=3) == [15_000, 22_000, 29_000]
    assert newest(schedule, 9_000, first_ms=1_000, count=3) == [1_000, 8_000]


@pytest.mark.rule("FN383")
def test_times_missed_for_years_are_found_at_once() -> None:
    until, first = ms("2036-11-01T00:00:00+00:00"), ms("2026-11-01T00:00:00+00:00")
    found = newest(cron("* * * * *", "UTC"), until, first_ms=first, count=100)
    assert found == [until - 60_000 * at for at in range(99, -1, -1)]
    yearly = newest(cron("0 0 29 2 *", "UTC"), until, first_ms=ms("2028-02-29T00:00Z"), count=9)
    assert [datetime.fromtimestamp(each / 1_000, UTC).year for each in yearly] == [2028, 2032, 2036]


@pytest.mark.rule("FN380")
@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        (cron("30 2 * *"), "not minute, hour"),
        (cron("30 2 * * * *"), "not minute, hour"),
        (cron("61 2 * * *"), "Bad minute"),
        (cron("0 0 30 2 *"), "Bad day-of-month"),
        (cron("0 0 * * *", "Europe/Atlantis"), "no time zone"),
        (cron("0 0 * * *", "../etc/passwd"), "no time zone"),
        (cron("0 0 * * *", missed="never"), "missed="),
        (Schedule(every_ms=999), "at least 1000"),
        (Schedule(every_ms=round(timedelta(days=4_000).total_seconds() * 1_000)), "ten years"),
    ],
)
def test_what_has_no_times_is_refused(schedule: Schedule, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_schedule(schedule)
