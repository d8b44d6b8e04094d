"""Where a page ends, as text that clients hand back, and the condition of what is behind it.
No I/O.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any

import msgspec

from trice.function_limits import PAGE_TIES_MAX
from trice.functions.channel import RefusedError


def sealed(label: str, shown: list[dict[str, Any]], after: Any) -> str:
    """Where a page ends: the value of its last row, and the ids of all shown rows that have it."""
    last = shown[-1].get(label)
    ids = [row["id"] for row in shown if row.get(label) == last]
    if len(ids) == len(shown) and after is not None and after[0] == last:
        ids = [*after[1], *ids]
    if len(ids) > PAGE_TIES_MAX:
        told = f"More than {PAGE_TIES_MAX} share one {label}: order by what tells them apart"
        raise RefusedError("too-many-rows", f"{told}.", {"label": label})
    return base64.urlsafe_b64encode(msgspec.json.encode([last, ids])).decode()


_Ids = Annotated[list[str], msgspec.Meta(max_length=PAGE_TIES_MAX)]
"""Each of them is a condition of its own, and anybody may write a cursor."""


def opened(cursor: str) -> tuple[Any, list[str]]:
    """The value and the ids of `sealed`. raises   RefusedError("bad-args")"""
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode())
        return msgspec.json.decode(decoded, type=tuple[str | float | bool | None, _Ids])
    except (ValueError, msgspec.DecodeError):
        hint = {"path": "page.after", "expected": "the `next` of a page", "got": cursor[:100]}
        raise RefusedError("bad-args", "page.after is the `next` of a page before.", hint) from None


def behind(label: str, direction: str, after: tuple[Any, list[str]]) -> dict[str, Any]:
    """The condition of rows behind the end of a page. Null comes first, downwards last."""
    value, ids = after
    others = [{"id": {"$not": each}} for each in ids]
    if value is None:
        tied = {"and": [{label: {"$isNull": True}}, *others]}
        return tied if direction == "desc" else {"or": [tied, {label: {"$isNull": False}}]}
    tied = {"and": [{label: value}, *others]}
    if direction == "desc":
        return {"or": [tied, {label: {"$lt": value}}, {label: {"$isNull": True}}]}
    return {"or": [tied, {label: {"$gt": value}}]}
