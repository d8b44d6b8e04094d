"""Values and ids of Convex. No I/O.

    {"$integer": base64}  8 bytes, little endian      → a number
    {"$float": base64}    8 bytes, little endian      → a number; NaN and infinities → null
    {"$bytes": base64}                                → the base64 text
    "k17…"                an id: 31 to 37 letters of Crockford's base32 for
                          number of the table (LEB128) | 16 bytes | Fletcher-16 of what is before

source   spec/archive.md AR141, AR143
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from dataclasses import dataclass
from typing import Any, Final

_ID: Final = re.compile(r"[0-9a-hjkmnp-tv-z]{31,37}")
_DIGITS: Final = str.maketrans(
    "0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv"
)
"""Crockford's letters as those that `int` reads."""

_INNER_BYTES: Final = 18
"""Of an id, without the number of its table."""

SAFE_INTEGER: Final = 2**53
"""Up to here JavaScript tells integers apart."""


def table_number(text: str) -> int | None:
    """The number of the table that an id is of; None for any other text.

    cost   4 µs for an id, 0.2 µs for a text that has another form
    """
    if not 31 <= len(text) <= 37 or _ID.fullmatch(text) is None:
        return None
    bits = 5 * len(text)
    size = bits // 8
    if (8 * size + 4) // 5 != len(text):
        return None
    raw = (int(text.translate(_DIGITS), 32) >> (bits - 8 * size)).to_bytes(size, "big")
    number = shift = at = 0
    while True:
        number |= (raw[at] & 0x7F) << shift
        at += 1
        shift += 7
        if raw[at - 1] < 0x80:
            break
        if at == 5:
            return None
    if at + _INNER_BYTES != size or not number:
        return None
    low = high = 0
    for each in raw[:-2]:
        low = (low + each) & 0xFF
        high = (high + low) & 0xFF
    return number if raw[-2] == low and raw[-1] == high else None


@dataclass(slots=True)
class Changed:
    """Values that came changed, counted.

    infinite   NaN and infinities, which are null now
    large      integers that JavaScript rounds
    inner_ids  ids inside of objects, which stay texts
    binary     values of bytes, which are base64 texts now
    """

    infinite: int = 0
    large: int = 0
    inner_ids: int = 0
    binary: int = 0


def plain(value: Any, changed: Changed, *, is_inner: bool = False) -> Any:
    """A value of Convex as plain JSON.

    is_inner  it is a part of an object, where no id can become a link
    cost      0.3 µs a value
    """
    match value:
        case str():
            if is_inner and table_number(value) is not None:
                changed.inner_ids += 1
        case bool() | None:
            pass
        case int():
            if abs(value) > SAFE_INTEGER:
                changed.large += 1
        case list():
            return [
                plain(each, changed, is_inner=is_inner or isinstance(each, (list, dict)))
                for each in value
            ]
        case dict():
            if len(value) == 1:
                ((key, inner),) = value.items()
                if key in _CODED and isinstance(inner, str):
                    return _decoded(key, inner, value, changed)
            return {key: plain(each, changed, is_inner=True) for key, each in value.items()}
        case _:
            pass
    return value


_CODED: Final = frozenset(("$integer", "$float", "$bytes"))


def _decoded(key: str, text: str, value: Any, changed: Changed) -> Any:
    """A value in base64; one that is none stays the object it is."""
    try:
        raw = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return value
    if key == "$bytes":
        changed.binary += 1
        return text
    if len(raw) != 8:
        return value
    if key == "$integer":
        return plain(int.from_bytes(raw, "little", signed=True), changed)
    (number,) = struct.unpack("<d", raw)
    if math.isfinite(number):
        return number
    changed.infinite += 1
    return None
