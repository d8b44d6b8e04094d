"""Stored cells as expressions see them. No I/O.

source   instant-semantics §5.4, §5.5; spec/rules.md R50-R53
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from trice.catalog.attr import Attr
from trice.catalog.values import MISSING, Cell, decode_attr
from trice.protocol.ids import uuid_text

ADDED_TO_AUTH: Final = frozenset(("app_id", "created_at", "isGuest"))
"""What `auth` has besides the attrs of `$users`."""


def value_of(attr: Attr, cell: Cell) -> Any:
    """The value of a column attr: JSON, a link's target as uuid text; None: null or missing."""
    value = decode_attr(attr, cell)
    return None if value is MISSING else value


def entity_map(entity: str, attrs: Sequence[Attr], cells: Iterable[Cell]) -> dict[str, Any]:
    """An entity as `data`: label -> value. A value never set has no key, which reads as null.

    entity   its id as text
    cells    one for each of `attrs`
    """
    data: dict[str, Any] = {"id": entity}
    for attr, cell in zip(attrs, cells, strict=True):
        value = decode_attr(attr, cell)
        if value is not MISSING:
            data[attr.label] = value
    return data


def reference_values(attr: Attr, cells: Iterable[Cell]) -> list[Any]:
    """What `ref` returns for the cells at the end of its path; null gives no value there."""
    if attr.is_ref or attr.is_id:
        return [uuid_text(cell) for cell in cells if isinstance(cell, bytes)]
    values = [decode_attr(attr, cell) for cell in cells]
    return [value for value in values if value is not None and value is not MISSING]
