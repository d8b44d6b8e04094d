"""`$rateLimits` of the rules document, checked. No I/O.

    {name: {"limits": [{"capacity": 10,
                        "refill"?: {"amount"?: 10, "period"?: "1 hour",
                                    "type"?: "greedy" | "interval"}}]}}

source   instant-semantics §5.11; spec/rules.md R40-R43
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from trice import limits
from trice.cel.values import show
from trice.rate_limit import RateLimit, RefillKind

Report = Callable[[list[str], str], None]
"""Called with the path of a fault in the document, and a message."""


_SECTION: Final = "$rateLimits"
_LIMITS_MAX: Final = 10
_PERIOD_MS: Final = 3600 * 1000
_UNITS_MS: Final = {
    "second": 1_000,
    "minute": 60 * 1_000,
    "hour": 3600 * 1_000,
    "day": 24 * 3600 * 1_000,
}
_PERIOD: Final = re.compile(r"\s*(?:(\d{1,9})\s*)?(second|minute|hour|day)s?\s*")


def parse_rate_limits(section: Any, report: Report) -> dict[str, tuple[RateLimit, ...]]:
    """Read `$rateLimits`.

    section   any JSON; None is no section
    returns   name -> its limits, all of which must have room; names with faults have none
    """
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        report([_SECTION], f"$rateLimits must be an object; it is {show(section)}.")
        return {}
    return {name: _buckets(name, config, report) for name, config in section.items()}


class _Refused(Exception):
    """A limit is malformed; the text says how."""


def _buckets(name: str, config: Any, report: Report) -> tuple[RateLimit, ...]:
    listed = config.get("limits") if isinstance(config, Mapping) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= _LIMITS_MAX:
        report(
            [_SECTION, name],
            f"`{name}` must be {{limits: [...]}} with 1 to {_LIMITS_MAX} limits, "
            'as in {"limits": [{"capacity": 10}]}.',
        )
        return ()
    try:
        return tuple(_bucket(entry) for entry in listed)
    except _Refused as error:
        report([_SECTION, name], str(error))
        return ()


def _bucket(entry: Any) -> RateLimit:
    if not isinstance(entry, Mapping):
        raise _Refused(f"A limit is an object with `capacity`; it is {show(entry)}.")
    capacity = _count(entry.get("capacity"), "capacity")
    refill = entry.get("refill")
    if refill is None:
        refill = {}
    if not isinstance(refill, Mapping):
        raise _Refused(f"refill must be an object; it is {show(refill)}.")
    amount = refill.get("amount")
    return RateLimit(
        capacity,
        capacity if amount is None else _count(amount, "refill amount"),
        _period_ms(refill.get("period")),
        _refill_kind(refill.get("type")),
    )


def _refill_kind(value: Any) -> RefillKind:
    match value:
        case None | "greedy":
            return "greedy"
        case "interval":
            return "interval"
        case _:
            message = f"Unknown refill type {show(value)}; `greedy` and `interval` are accepted."
            raise _Refused(message)


def _count(value: Any, what: str) -> int:
    if type(value) is int and 1 <= value <= limits.RATE_LIMIT_CAPACITY_MAX:
        return value
    raise _Refused(
        f"{what} must be a positive integer of at most {limits.RATE_LIMIT_CAPACITY_MAX:,}; "
        f"it is {show(value)}."
    )


def _period_ms(value: Any) -> int:
    if value is None:
        return _PERIOD_MS
    found = _PERIOD.fullmatch(value.lower()) if isinstance(value, str) else None
    if found is not None:
        period_ms = int(found[1] or 1) * _UNITS_MS[found[2]]
        if limits.RATE_LIMIT_PERIOD_MS_MIN <= period_ms <= limits.RATE_LIMIT_PERIOD_MS_MAX:
            return period_ms
    raise _Refused(
        'period must be a text from "1 second" to "24 hours", such as "30 minutes"; '
        f"it is {show(value)}."
    )
