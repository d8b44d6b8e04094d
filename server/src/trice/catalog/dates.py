"""Dates as apps write them, converted to instants that can be compared and ordered. No I/O.

A stored date keeps the text or number it was given; only comparisons convert (instant-semantics
§1.8). The forms are those of PostgreSQL's `timestamptz` input, UTC where no zone is named:

    2025-01-02   2025-1-2 21:11   2025-01-02T03:04:05.678Z   2025-01-02 03:04:05+0530   20250102
    Wed, 09 Jul 2025 14:38:26 GMT   Mon Feb 24 2025 22:37:27 GMT+0000 (Coordinated Universal Time)
    8/4/2025, 11:02:31 PM   04-17-2025   3/12/4444            (month first)
    2025-01-02 10:00 EST    "2025-01-02" inside quotes   epoch   infinity   -infinity

One form is read differently from PostgreSQL on purpose: `GMT+0530` is five and a half hours
*ahead*, as JavaScript's `Date.toString` means it (PostgreSQL reads a POSIX zone, with the sign
reversed).
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Final

import orjson

INFINITY_US: Final = 2**62
"""Later than every date that parses; its negative is earlier."""

MS_US: Final = 1000
"""Microseconds of a millisecond, the finest that clients in JavaScript compare dates by."""

_RELATIVE: Final = frozenset({"now", "today", "tomorrow", "yesterday"})
_FIXED: Final = {
    "epoch": 0,
    "infinity": INFINITY_US,
    "+infinity": INFINITY_US,
    "-infinity": -INFINITY_US,
}

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june",
            "jul july", "aug august", "sep sept september", "oct october", "nov november",
            "dec december",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_WEEKDAYS: Final = frozenset(
    (
        "sun", "sunday", "mon", "monday", "tue", "tues", "tuesday", "wed", "weds", "wednesday",
        "thu", "thur", "thurs", "thursday", "fri", "friday", "sat", "saturday",
    )
)  # fmt: skip

_MINUTE_US: Final = 60_000_000
_DAY_US: Final = 24 * 60 * _MINUTE_US
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_YEAR_CYCLE: Final = 400
_YEAR_CYCLE_DAYS: Final = 146_097
_YEAR_MAX: Final = 99_999
_ZONE_HOURS_MAX: Final = 15
_TEXT_CHARS_MAX: Final = 128

# Minutes ahead of UTC, as in PostgreSQL's default set of abbreviations.
_ZONES: Final = {
    "z": 0, "utc": 0, "gmt": 0, "ut": 0, "uct": 0, "zulu": 0, "wet": 0,
    "west": 60, "wetdst": 60, "bst": 60, "cet": 60, "met": 60,
    "cest": 120, "cetdst": 120, "mest": 120, "metdst": 120, "eet": 120,
    "eest": 180, "eetdst": 180, "msk": 180,
    "sgt": 480, "awst": 480, "jst": 540, "kst": 540, "aest": 600, "aedt": 660,
    "nzst": 720, "nzdt": 780,
    "ast": -240, "adt": -180, "est": -300, "edt": -240, "cst": -360, "cdt": -300,
    "mst": -420, "mdt": -360, "pst": -480, "pdt": -420, "akst": -540, "akdt": -480, "hst": -600,
}  # fmt: skip

# The form that JavaScript's toISOString writes, and similar ones: nearly all dates.
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)?)?", re.ASCII
)

_FINE: Final = re.compile(r"\.\d{4}", re.ASCII)

_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<ymd>\d{4,5}(?P<s1>[-/.])\d{1,2}(?P=s1)\d{1,2})
    | (?P<mdy>\d{1,2}(?P<s2>[-/.])\d{1,2}(?P=s2)\d{2,5})
    | (?P<time>\d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d*)?)?)
    | (?P<offset>[+-]\d{1,2}(?::?\d\d){0,2})(?![\d:])
    | (?P<number>\d{1,8})(?![\d.:])
    | (?P<word>[A-Za-z]+)\.?
    | (?P<comma>,)
    | (?P<aside>\([^()]*\)\s*$)
    )""",
    re.ASCII | re.VERBOSE,
)


class _NotADate(Exception):
    """The text has none of the forms."""


def instant_us(value: str | int | float) -> int | None:
    """The instant of a date value in microseconds since 1970-01-01 UTC.

    value    a number of milliseconds since then, or text in one of the forms above
    returns  None for a value that is no date, for dates outside the years 1 to 99,999, and for
             `now`, `today`, `tomorrow`, `yesterday`: these may be stored, but name no fixed
             instant, so they order as null and match no comparison
             ±INFINITY_US for `infinity` and `-infinity`
    cost     1 µs for ISO text, 10 µs for other forms
    """
    if isinstance(value, str):
        return _text_us(value)
    if isinstance(value, bool) or not math.isfinite(value):
        return None
    micros = round(value * 1000)
    return micros if -INFINITY_US < micros < INFINITY_US else None


def is_maybe_fine(value: str | int | float) -> bool:
    """Whether a date may lie within a millisecond; False only if it surely is at the start of one.

    cost     0.3 µs
    """
    if isinstance(value, str):
        return _FINE.search(value) is not None
    return not float(value).is_integer()


def instant_text(instant: int) -> str:
    """An instant in microseconds as JavaScript's `toISOString` writes it:
    `2025-01-02T03:04:05.678Z`. It has six digits of the second where three are not enough, and the
    form `+012025-01-02T…` beyond year 9999."""
    days, micros = divmod(instant, _DAY_US)
    cycles, day = divmod(days + _EPOCH_ORDINAL - 1, _YEAR_CYCLE_DAYS)
    found = date.fromordinal(day + 1)
    year = found.year + cycles * _YEAR_CYCLE
    seconds, micros = divmod(micros, 1_000_000)
    fraction = f"{micros:06d}" if micros % 1000 else f"{micros // 1000:03d}"
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction}"
    written = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+07d}"
    return f"{written}-{found.month:02d}-{found.day:02d}T{clock}Z"


def iso_text(moment_ms: int) -> str:
    """A moment as text, in UTC with milliseconds: `2026-08-21T20:39:34.120Z`."""
    return instant_text(moment_ms * 1000)


def is_date_text(text: str, *, is_stored: bool) -> bool:
    """Whether `text` is a date.

    is_stored  it is being written; `now`, `today`, `tomorrow` and `yesterday` are dates only then
    """
    if text.strip().lower() in _RELATIVE:
        return is_stored
    return _text_us(text) is not None


def _text_us(text: str) -> int | None:
    found = _ISO.fullmatch(text)
    try:
        if found is None:
            return _free_us(text)
        year, month, day, hour, minute, second, fraction = found.groups()
        days = _day_number(int(year), int(month), int(day))
        if hour is None:
            return days * _DAY_US
        return days * _DAY_US + _clock_us(int(hour), int(minute), int(second), fraction)
    except _NotADate:
        return None


def _free_us(text: str) -> int:
    """Read any form but the plain ISO ones."""
    text = text.strip()
    if len(text) > _TEXT_CHARS_MAX:
        raise _NotADate
    if text.startswith('"'):
        text = _unquoted(text)
    fixed = _FIXED.get(text.lower())
    return _Reading(text).us() if fixed is None else fixed


def _unquoted(text: str) -> str:
    try:
        inner = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise _NotADate from error
    if not isinstance(inner, str):
        raise _NotADate
    return inner.strip()


class _Reading:
    """Reads one text token by token; every part may occur once."""

    __slots__ = ("clock_us", "days", "half", "month", "numbers", "offset_us")

    def __init__(self, text: str) -> None:
        self.days: int | None = None
        self.month: int | None = None
        self.numbers: list[str] = []
        self.clock_us: int | None = None
        self.half: str | None = None
        self.offset_us: int | None = None
        position = 0
        text = text.rstrip()
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise _NotADate
            self._take(token)
            position = token.end()

    def us(self) -> int:
        """Microseconds since the epoch."""
        days = self._day()
        clock_us = self.clock_us or 0
        if self.half is not None:
            clock_us = self._twelve_hour(clock_us)
        return days * _DAY_US + clock_us - (self.offset_us or 0)

    def _take(self, token: re.Match[str]) -> None:
        match token.lastgroup:
            case "ymd":
                year, month, day = re.split(r"[-/.]", token["ymd"])
                self._set_day(_day_number(int(year), int(month), int(day)))
            case "mdy":
                month, day, year = re.split(r"[-/.]", token["mdy"])
                self._set_day(_day_number(_full_year(year), int(month), int(day)))
            case "time":
                self._set_clock(token["time"])
            case "offset":
                self._set_offset(token["offset"])
            case "number" if len(token["number"]) == 8:
                digits = token["number"]
                self._set_day(_day_number(int(digits[:4]), int(digits[4:6]), int(digits[6:])))
            case "number":
                self.numbers.append(token["number"])
            case "word":
                self._set_word(token["word"].lower())
            case _:
                pass  # a comma, or the zone's long name in parentheses

    def _set_day(self, days: int) -> None:
        if self.days is not None:
            raise _NotADate
        self.days = days

    def _set_clock(self, text: str) -> None:
        if self.clock_us is not None:
            raise _NotADate
        hour, minute, *rest = text.split(":")
        second, _, fraction = rest[0].partition(".") if rest else ("0", "", "")
        self.clock_us = _clock_us(int(hour), int(minute), int(second), fraction or None)

    def _set_offset(self, text: str) -> None:
        if self.offset_us:
            raise _NotADate
        digits = text[1:].replace(":", "")
        if len(digits) % 2:
            digits = "0" + digits
        hours, minutes, seconds = (int(digits[at : at + 2] or "0") for at in (0, 2, 4))
        if hours > _ZONE_HOURS_MAX or minutes > 59 or seconds > 59:
            raise _NotADate
        size = (hours * 60 + minutes) * _MINUTE_US + seconds * 1_000_000
        self.offset_us = -size if text[0] == "-" else size

    def _set_word(self, word: str) -> None:
        if word in _MONTHS and self.month is None:
            self.month = _MONTHS[word]
        elif word in ("am", "pm") and self.half is None and self.clock_us is not None:
            self.half = word
        elif word in _ZONES and self.offset_us is None:
            self.offset_us = _ZONES[word] * _MINUTE_US
        elif word not in _WEEKDAYS and not (word == "t" and self.days is not None):
            raise _NotADate

    def _day(self) -> int:
        if self.month is None:
            if self.days is None or self.numbers:
                raise _NotADate
            return self.days
        if self.days is not None or len(self.numbers) != 2:
            raise _NotADate
        day, year = self.numbers
        if len(day) > 2:
            day, year = year, day
        return _day_number(_full_year(year), self.month, int(day))

    def _twelve_hour(self, clock_us: int) -> int:
        hour_us = 60 * _MINUTE_US
        if not hour_us <= clock_us < 13 * hour_us:
            raise _NotADate
        return clock_us % (12 * hour_us) + (12 * hour_us if self.half == "pm" else 0)


def _full_year(digits: str) -> int:
    """The year of these digits; two digits mean 1970 to 2069, as in PostgreSQL."""
    year = int(digits)
    if len(digits) > 2:
        return year
    return year + (2000 if year < 70 else 1900)


def _day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01. `datetime.date` ends at 9999; the calendar repeats every 400 years."""
    if not 1 <= year <= _YEAR_MAX:
        raise _NotADate
    cycles = max(0, year - 9600) // _YEAR_CYCLE
    try:
        ordinal = date(year - cycles * _YEAR_CYCLE, month, day).toordinal()
    except ValueError as error:
        raise _NotADate from error
    return ordinal - _EPOCH_ORDINAL + cycles * _YEAR_CYCLE_DAYS


def _clock_us(hour: int, minute: int, second: int, fraction: str | None) -> int:
    """Microseconds since midnight; 24:00:00 and a leap second are allowed, as in PostgreSQL."""
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise _NotADate
    micros = round(int(fraction) * 10 ** (6 - len(fraction))) if fraction else 0
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros
