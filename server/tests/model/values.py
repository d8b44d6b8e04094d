"""JSON values as the naive model compares, orders and matches them. Slow and obvious. No I/O."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import icu

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

COLLATOR: Final = icu.Collator.createInstance(icu.Locale("en-US"))


class Missing:
    """The type of MISSING: no triple at all, as opposed to a null one."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_same(left: Any, right: Any) -> bool:
    """jsonb equality: 1 is 1.0, true is not 1, the order of keys does not matter."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(is_same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return bool(left == right)


def instant_us(value: Any) -> int | None:
    """Epoch µs of a date written as a number or as ISO text; None when it is neither.

    Only the texts that the generators and cases use; `catalog.dates` has its own tests.
    """
    if is_number(value):
        return round(value * 1000)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def instant_ms(value: Any) -> float | None:
    """Epoch ms of a date, parts of one included."""
    micros = instant_us(value)
    return None if micros is None else micros / 1000


def is_of_type(value: Any, checked_type: str | None) -> bool:
    """Whether an attr of this checked type accepts the value; null always passes."""
    if value is None or checked_type is None:
        return True
    match checked_type:
        case "string":
            return isinstance(value, str)
        case "number":
            return is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return instant_ms(value) is not None


def is_equal(attr: dict[str, Any], stored: Any, wanted: Any) -> bool:
    """Equality in `where`: by instant for indexed dates, as JSON for everything else."""
    if attr.get("checked-data-type") == "date" and attr["index?"]:
        left, right = instant_ms(stored), instant_ms(wanted)
        return left == right if left is not None and right is not None else stored is wanted
    return is_same(stored, wanted)


def comparable(attr: dict[str, Any], value: Any) -> Any:
    """What `$gt` and friends compare: an instant for dates, else the value itself."""
    return instant_ms(value) if attr.get("checked-data-type") == "date" else value


def order_key(attr: dict[str, Any], value: Any) -> tuple[Any, ...]:
    """What `order` sorts by: nulls and missing below everything, texts by ICU en-US, dates by the
    whole milliseconds that JavaScript reads."""
    if value is None or value is MISSING:
        return (0,)
    match attr.get("checked-data-type"):
        case "string":
            return (1, bytes(COLLATOR.getSortKey(value)))
        case "date":
            micros = instant_us(value)
            assert micros is not None
            return (1, micros // 1000)
        case "number":
            return (1, float(value))
        case _:
            return (1, value)


def is_like(text: Any, pattern: str, *, is_case_sensitive: bool, has_escapes: bool) -> bool:
    """`%` any run, `_` one character, over newlines too, anchored at both ends."""
    if not isinstance(text, str):
        return False
    expression, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if has_escapes and char == "\\" and position + 1 < len(pattern):
            position += 1
            expression += re.escape(pattern[position])
        else:
            expression += {"%": ".*", "_": "."}.get(char) or re.escape(char)
        position += 1
    flags = re.DOTALL | (0 if is_case_sensitive else re.IGNORECASE)
    return re.fullmatch(expression, text, flags) is not None


def json_bytes(value: Any) -> int:
    """Rough size of a value as PostgreSQL's jsonb counts it for strings."""
    return len(value.encode()) if isinstance(value, str) else 0
