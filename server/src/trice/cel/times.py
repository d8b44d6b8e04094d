"""Timestamps and durations: reading, writing, arithmetic, calendar fields. No I/O but time zone
data.

source   the CEL language definition, "Timestamps" and "Durations"; spec/cel.md E60-E66
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from trice.cel.errors import EvaluationError
from trice.cel.values import INT_MAX, INT_MIN, Duration, Timestamp, show

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
MICROSECOND_NS: Final = 1_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_NS: Final = {
    "h": 3_600 * SECOND_NS,
    "m": 60 * SECOND_NS,
    "s": SECOND_NS,
    "ms": MILLISECOND_NS,
    "us": MICROSECOND_NS,
    "µs": MICROSECOND_NS,
    "ns": 1,
}
_DURATION: Final = re.compile(
    r"([+-]?)((?:(?:\d{1,19}(?:\.\d{0,18})?|\.\d{1,18})(?:h|ms|us|µs|ns|m|s))+|0)"
)
_DURATION_PART: Final = re.compile(r"(\d*)\.?(\d*)(h|ms|us|µs|ns|m|s)")
_DURATION_CHARS_MAX: Final = 100
_OFFSET: Final = re.compile(r"([+-]?)(\d\d):(\d\d)")


def read_duration(text: str) -> Duration:
    """`1h30m`, `-1.5s`, `300ms`; raises EvaluationError for anything else."""
    found = _DURATION.fullmatch(text) if len(text) <= _DURATION_CHARS_MAX else None
    if found is None:
        raise EvaluationError(
            f"{show(text)} is no duration; numbers with units are, as in '1h30m', '1.5s', '300ms'."
        )
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(found[2]):
        unit_ns = _UNITS_NS[unit]
        total += int(whole or 0) * unit_ns
        if fraction:
            total += int(fraction) * unit_ns // 10 ** len(fraction)
    return checked_duration(-total if found[1] == "-" else total)


def checked_duration(ns: int) -> Duration:
    """A duration of at most 292 years, as 64 bits hold."""
    if INT_MIN <= ns <= INT_MAX:
        return Duration(ns)
    raise EvaluationError("A duration is at most 292 years.")


def write_duration(value: Duration) -> str:
    """`5400s`, `-1.500s`."""
    seconds, rest = divmod(abs(value.ns), SECOND_NS)
    return f"{'-' if value.ns < 0 else ''}{seconds}{_fraction(rest)}s"


def write_timestamp(value: Timestamp) -> str:
    """RFC 3339, in UTC: `2025-01-02T03:04:05.678Z`."""
    whole = _calendar(value, UTC)
    return f"{whole.year:04d}-{whole:%m-%dT%H:%M:%S}{_fraction(value.ns % SECOND_NS)}Z"


def _fraction(ns: int) -> str:
    """The fraction of a second in three, six or nine digits, as protocol buffers write it; empty
    when it is 0."""
    if ns == 0:
        return ""
    if ns % MILLISECOND_NS == 0:
        return f".{ns // MILLISECOND_NS:03d}"
    return f".{ns // MICROSECOND_NS:06d}" if ns % MICROSECOND_NS == 0 else f".{ns:09d}"


def _calendar(value: Timestamp, zone: tzinfo) -> datetime:
    try:
        return (_EPOCH + timedelta(seconds=value.ns // SECOND_NS)).astimezone(zone)
    except (OverflowError, ValueError):
        message = "The timestamp lies outside the years 1 to 9999, so it has no calendar fields."
        raise EvaluationError(message) from None


def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if ahead < timedelta(hours=24):
            return timezone(-ahead if offset[1] == "-" else ahead)
    else:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            pass
    raise EvaluationError(f"{show(name)} is no time zone; 'UTC', 'Europe/Paris' and '+02:00' are.")


Field = Callable[[datetime], int]

CALENDAR_FIELDS: Final[dict[str, Field]] = {
    "getFullYear": lambda day: day.year,
    "getMonth": lambda day: day.month - 1,
    "getDayOfYear": lambda day: day.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda day: day.day - 1,
    "getDate": lambda day: day.day,
    "getDayOfWeek": lambda day: day.isoweekday() % 7,
    "getHours": lambda day: day.hour,
    "getMinutes": lambda day: day.minute,
    "getSeconds": lambda day: day.second,
}
"""Calendar fields of a timestamp. Months and days of year and week start at 0, `getDate` at 1."""


def in_utc(field: Field) -> Callable[[Timestamp], int]:
    """A calendar field, in UTC."""
    return lambda value: field(_calendar(value, UTC))


def in_zone(field: Field) -> Callable[[Timestamp, str], int]:
    """A calendar field, in a named zone."""
    return lambda value, name: field(_calendar(value, _zone(name)))


def whole_units(ns: int, unit_ns: int) -> int:
    """`ns` in whole units, rounded towards zero."""
    whole = abs(ns) // unit_ns
    return -whole if ns < 0 else whole


def milliseconds(value: Timestamp) -> int:
    """The milliseconds within the second."""
    return value.ns % SECOND_NS // MILLISECOND_NS


def milliseconds_in_zone(value: Timestamp, name: str) -> int:
    """The milliseconds within the second. No zone changes them, but `name` must be a zone."""
    _zone(name)
    return milliseconds(value)


def milliseconds_of_duration(value: Duration) -> int:
    """The milliseconds beyond whole seconds, with the sign of the duration."""
    part = abs(value.ns) % SECOND_NS // MILLISECOND_NS
    return -part if value.ns < 0 else part
