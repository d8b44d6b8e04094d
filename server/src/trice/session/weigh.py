"""The weight of a JSON text: how much decoding it would cost, found before it is decoded. No I/O.

8 MB of `[],` are three million lists and take half a second, and a decoder in C lets no other
thread run meanwhile. One unit of weight is 10 to 25 ns of decoding, whatever the text is made of.
"""

from __future__ import annotations

from typing import Final

from trice import limits
from trice.errors import LimitExceeded

_CONTAINER: Final = 4
_MEMBER: Final = 4
_BACKSLASH: Final = 0x5C
WINDOW_BYTES: Final = 256 * 1024
"""Bytes that are weighed in one call, about a millisecond: other threads may run between calls."""


def check_weight(raw: bytes, *, weight_max: int = limits.MESSAGE_WEIGHT_MAX) -> None:
    """Refuse a JSON text that weighs more than `weight_max`.

    raises   LimitExceeded("message-too-big")
    cost     1.5 ms a MB; 6 ms a MB if strings in it hold much that looks like structure. Stops at
             the limit
    """
    if _is_light(raw, weight_max) or _exact(raw, weight_max) <= weight_max:
        return
    raise LimitExceeded(
        "message-too-big",
        f"The message holds too many values: {len(raw):,} bytes that become more than "
        f"{weight_max:,} units of weight (one for each value and text, four for each array, object "
        "and member). Send it in several messages.",
        {"bytes": len(raw), "weight-max": weight_max},
    )


def _is_light(raw: bytes, weight_max: int) -> bool:
    """Whether it would be within the limit even if all of it were structure."""
    weight = quotes = 0
    for start in range(0, len(raw), WINDOW_BYTES):
        window = raw[start : start + WINDOW_BYTES]
        weight += _weight(window)
        quotes += window.count(b'"')
        if weight + quotes // 2 > weight_max:
            return False
    return True


def _exact(raw: bytes, weight_max: int) -> int:
    """The weight of the structure outside of strings, and of the strings; stops at the limit."""
    weight = quotes = start = 0
    while start < len(raw) and weight + quotes // 2 <= weight_max:
        end = min(start + WINDOW_BYTES, len(raw))
        while end < len(raw) and raw[end - 1] == _BACKSLASH:
            end += 1  # an escape is not cut in two; a long run of escapes is one window
        window = raw[start:end].replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = window.split(b'"')
        is_inside = quotes % 2
        weight += _weight(b"".join(parts[is_inside::2]))
        quotes += len(parts) - 1
        start = end
    return weight + quotes // 2


def _weight(text: bytes) -> int:
    """The weight of the structure in it."""
    count = text.count
    return count(b",") + _CONTAINER * (count(b"[") + count(b"{")) + _MEMBER * count(b":")
