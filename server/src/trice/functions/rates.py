"""`rate="10/minute per user"`: how often a function may be called. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_UNITS_MS: Final = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_RATE: Final = re.compile(r"(\d{1,9})\s*/\s*([a-z]+)\s+per\s+(\w+)")
_SUBJECTS: Final = ("user", "ip", "app")


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` calls in `unit_ms`, for each value of `per`: "user", "ip", "app" or an argument."""

    count: int
    unit_ms: int
    per: str


def parse_rate(text: str, arguments: Collection[str]) -> Rate:
    """Read a rate.

    arguments   names of the function's arguments; one called user, ip or app is not meant
    raises      ValueError, which says what is accepted
    """
    found = _RATE.fullmatch(text.strip())
    if found is None or found[2] not in _UNITS_MS or int(found[1]) < 1:
        units = ", ".join(_UNITS_MS)
        raise ValueError(
            f'"{text}" is no rate. Accepted is "10/minute per user": a number, one of {units}, and'
            " per user, ip, app or an argument"
        )
    if found[3] not in (*_SUBJECTS, *arguments):
        raise ValueError(f'"{text}": {found[3]} is none of user, ip, app and the arguments')
    return Rate(int(found[1]), _UNITS_MS[found[2]], found[3])
