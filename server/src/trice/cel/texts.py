"""Functions of strings. Sizes are checked before a long result is made. No I/O.

source   the strings extension of CEL; spec/cel.md E50-E55
"""

from __future__ import annotations

from typing import Any, Final

from trice import limits
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.values import Budget, kind_of, show

_CHARS_PER_STEP: Final = 64

_UPPER: Final = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

# Unicode's White_Space, which trim takes off; Python's own strip() also takes U+001C to U+001F.
_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)


def lower_ascii(text: str) -> str:
    """`text` with the letters A to Z in lower case, all others unchanged."""
    return text.translate(_LOWER)


def upper_ascii(text: str) -> str:
    """`text` with the letters a to z in upper case, all others unchanged."""
    return text.translate(_UPPER)


def trim(text: str) -> str:
    """`text` without white space at both ends."""
    return text.strip(_SPACE)


def char_at(text: str, at: int) -> str:
    """The character at `at`; at the very end the empty string."""
    return text[_checked(text, at) : at + 1]


def index_of(text: str, part: str, start: int = 0) -> int:
    """Where `part` first begins at or after `start`, or -1."""
    return text.find(part, _checked(text, start))


def last_index_of(text: str, part: str, start: int | None = None) -> int:
    """Where `part` last begins, at or before `start`, or -1."""
    if start is None:
        return text.rfind(part)
    return text.rfind(part, 0, _checked(text, start) + len(part))


def substring(text: str, start: int, end: int | None = None) -> str:
    """Characters from `start` up to, not including, `end`."""
    stop = len(text) if end is None else _checked(text, end)
    if _checked(text, start) > stop:
        raise EvaluationError(f"substring({start}, {end}) ends before it starts.")
    return text[start:stop]


def _checked(text: str, at: int) -> int:
    if 0 <= at <= len(text):
        return at
    raise EvaluationError(f"Index {at} lies outside the string, which has {len(text)} characters.")


def replace(budget: Budget, text: str, old: str, new: str, times: int = -1) -> str:
    """`text` with the first `times` occurrences of `old` (all when negative) made `new`."""
    found = text.count(old) if times < 0 else min(times, text.count(old))
    _check_size(budget, len(text) + found * (len(new) - len(old)))
    return text.replace(old, new, found)


def split(budget: Budget, text: str, separator: str, parts: int = -1) -> list[str]:
    """The parts of `text` between separators, at most `parts` when not negative."""
    if parts == 0:
        return []
    most = len(text) if separator == "" else text.count(separator) + 1
    count = most if parts < 0 else min(parts, most)
    if count > limits.CEL_LIST_ITEMS_MAX:
        raise BudgetExceeded(
            f"split makes a list of {count:,} items; at most "
            f"{limits.CEL_LIST_ITEMS_MAX:,} are allowed."
        )
    budget.charge(count)
    if separator == "":
        return [*text[: count - 1], text[count - 1 :]] if count else []
    return text.split(separator, count - 1)


def join(budget: Budget, items: list[Any], separator: str = "") -> str:
    """The strings of `items`, one after the other."""
    size = 0
    for item in items:
        budget.charge(1)
        if type(item) is not str:
            raise EvaluationError(f"join takes a list of strings; it has {kind_of(item)}.")
        size += len(item) + len(separator)
    _check_size(budget, size)
    return separator.join(items)


def concatenate(budget: Budget, left: str, right: str) -> str:
    """`left + right`."""
    _check_size(budget, len(left) + len(right))
    return left + right


def concatenate_bytes(budget: Budget, left: bytes, right: bytes) -> bytes:
    """`left + right`."""
    _check_size(budget, len(left) + len(right))
    return left + right


def _check_size(budget: Budget, size: int) -> None:
    if size > limits.CEL_STRING_CHARS_MAX:
        raise BudgetExceeded(
            f"The expression makes a string of {size:,} characters; at most "
            f"{limits.CEL_STRING_CHARS_MAX:,} are allowed."
        )
    budget.charge(size // _CHARS_PER_STEP)


def decode(value: bytes) -> str:
    """UTF-8 bytes as a string."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvaluationError(f"The bytes {show(value)} are no UTF-8.") from None
