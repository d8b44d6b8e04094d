"""The times of a schedule: cron expressions by the rules of Debian's cron, and periods. No I/O.

A time of day that a change to summer time leaves out is run when the clock jumps; one that happens
twice is run once. An expression whose hours or minutes begin with `*` goes by elapsed time.

source   functions.md §7; cronsim; cron(8) of Debian
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from trice import job_limits as limits
from trice.functions.signature import Schedule

_SECOND_MS: Final = 1_000
_SPANS_MS: Final = (3_600_000, 86_400_000, 32 * 86_400_000, 366 * 86_400_000)
"""How far back the latest time is looked for, until one is found."""


def check_schedule(schedule: Schedule) -> None:
    """Refuse what has no times.

    raises   ValueError, with a sentence for who wrote it
    """
    if schedule.missed not in ("once", "skip", "all"):
        raise ValueError(f'missed= is "once", "skip" or "all", not {schedule.missed!r}')
    if schedule.every_ms is not None:
        if not limits.EVERY_MS_MIN <= schedule.every_ms <= limits.JOB_LATER_MS_MAX:
            raise ValueError(f"@every takes at least {limits.EVERY_MS_MIN} ms, at most ten years")
        return
    try:
        zone = ZoneInfo(schedule.tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{schedule.tz!r} is no time zone, as Europe/Berlin is one") from error
    assert schedule.cron is not None, "a schedule has an expression or a period"
    if len(schedule.cron.split()) != 5:
        raise ValueError(
            f"{schedule.cron!r} is not minute, hour, day of month, month and day of week"
        )
    try:
        next(CronSim(schedule.cron, datetime(2026, 1, 1, tzinfo=zone)))
    except CronSimError as error:
        raise ValueError(f"{schedule.cron!r} is no expression of cron: {error}") from error
    except StopIteration:
        raise ValueError(f"{schedule.cron!r} never happens") from None


def next_after(schedule: Schedule, after_ms: int, *, anchor_ms: int) -> int:
    """The first time after `after_ms`.

    anchor_ms   a time of the schedule, which periods are counted from
    """
    if schedule.every_ms is not None:
        passed = (after_ms - anchor_ms) // schedule.every_ms
        return anchor_ms + (passed + 1) * schedule.every_ms
    assert schedule.cron is not None
    # In the hour that happens twice a time of day is found again, which was before.
    times = map(_ms, CronSim(schedule.cron, _local(schedule, after_ms)))
    return next(time_ms for time_ms in times if time_ms > after_ms)


def latest_until(schedule: Schedule, until_ms: int, *, first_ms: int) -> int:
    """The last time up to `until_ms`; `first_ms`, which is one, if there is no later one."""
    return newest(schedule, until_ms, first_ms=first_ms, count=1)[-1]


def newest(schedule: Schedule, until_ms: int, *, first_ms: int, count: int) -> list[int]:
    """The last `count` times from `first_ms`, which is one, to `until_ms`; oldest first.

    Times are looked for forwards, as they were when they were due: backwards a change of the clock
    has other ones.
    """
    assert first_ms <= until_ms
    if schedule.every_ms is not None:
        steps = (until_ms - first_ms) // schedule.every_ms
        kept = range(max(steps - count + 1, 0), steps + 1)
        return [first_ms + step * schedule.every_ms for step in kept]
    for span_ms in _SPANS_MS:
        begin_ms = max(until_ms - span_ms, first_ms)
        found = _between(schedule, begin_ms, until_ms, first_ms=first_ms, count=count)
        if len(found) >= count or begin_ms == first_ms:
            return found or [first_ms]
    return _between(schedule, first_ms, until_ms, first_ms=first_ms, count=count) or [first_ms]


def _between(
    schedule: Schedule, begin_ms: int, until_ms: int, *, first_ms: int, count: int
) -> list[int]:
    assert schedule.cron is not None
    found = [first_ms] if begin_ms == first_ms else []
    for time in CronSim(schedule.cron, _local(schedule, begin_ms)):
        time_ms = _ms(time)
        if time_ms > until_ms:
            break
        if time_ms > (found[-1] if found else begin_ms - 1):
            found.append(time_ms)
        if len(found) > count:
            del found[0]
    return found


def _local(schedule: Schedule, time_ms: int) -> datetime:
    seconds = time_ms // _SECOND_MS
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.astimezone(ZoneInfo(schedule.tz))


def _ms(time: datetime) -> int:
    since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return round(since.total_seconds()) * _SECOND_MS
