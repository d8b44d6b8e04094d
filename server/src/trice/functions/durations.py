"""Lengths of time, as they are spoken of: `minutes(5)`. No I/O."""

from __future__ import annotations

from datetime import timedelta


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    return timedelta(days=count)


def whole_ms(duration: timedelta) -> int:
    """Its milliseconds."""
    return duration // timedelta(milliseconds=1)
