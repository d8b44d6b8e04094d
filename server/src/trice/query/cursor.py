"""Page cursors `[entity, attr, value, created_ms]`, and the ends of pages they give. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from trice.catalog.attr import Attr
from trice.catalog.dates import instant_us
from trice.catalog.values import Cell, encode_cell, order_cell
from trice.protocol.ids import AttrId, EntityId, find_uuid_bytes, uuid_text
from trice.protocol.quoting import json_type, quote
from trice.query.ast import Cursor, Order, Page
from trice.query.parse.source import Place, Source, is_scalar

CREATED_LABEL: Final = "serverCreatedAt"
_MS_MAX: Final = 2**53


def parse_cursor(
    source: Source, given: Any, *, order: Order | None, etype: str, place: Place
) -> Cursor:
    """Check a cursor that a client handed back against the order of its query.

    given    `[entity, attr, value, created_ms]`; `created_ms` may be absent when an attr orders
    raises   InvalidInput: `join-row?` for a wrong shape, `valid-cursor?` for another order's cursor
    """
    items = _check_items(source, given, place=place)
    entity = find_uuid_bytes(items[0])
    attr_id = find_uuid_bytes(items[1])
    if entity is None or attr_id is None:
        which = "entity" if entity is None else "attribute"
        raise _no_row(source, place, f"with a uuid {which} id", given)
    attr = order.attr if order is not None else None
    created_ms = items[3] if len(items) == 4 else None
    if len(items) == 4 and not _is_time(created_ms):
        raise _no_row(source, place, "with an integer created_at", given)
    if attr is None and created_ms is None:
        raise _no_row(source, place, "with 4 items", given)
    _check_order(source, AttrId(uuid_text(attr_id)), attr, etype=etype, place=place)
    value = None if attr is None else items[2]
    if attr is not None and not _is_value(attr, value):
        raise _no_row(source, place, f"whose value is null or a `{attr.checked_type}`", given)
    return Cursor(entity, uuid_text(attr_id), value, created_ms or 0)


def encode_cursor(entity: EntityId, *, attr_id: AttrId, value: Any, created_ms: int) -> list[Any]:
    """A row's cursor as clients get it. In an order by creation time `attr_id` is that of the id
    attr, and `value` the id as text."""
    return [uuid_text(entity), attr_id, value, created_ms]


def _check_items(source: Source, given: Any, *, place: Place) -> list[Any]:
    if not isinstance(given, list):
        raise _no_row(source, place, "as a list", given)
    if len(given) not in (3, 4):
        raise _no_row(source, place, "with 4 items", given)
    return given


def _check_order(
    source: Source, attr_id: AttrId, attr: Attr | None, *, etype: str, place: Place
) -> None:
    namespace = source.catalog.namespaces.get(etype)
    if namespace is None or namespace.id_attr is None:
        return
    wanted = namespace.id_attr if attr is None else attr
    if attr_id == wanted.id:
        return
    found = source.catalog.by_id.get(attr_id)
    if found is None or found.deleted_ms is not None:
        name = "a missing attribute"
    else:
        name = f"`{CREATED_LABEL if found.is_id else found.label}`"
    raise source.failure(
        place,
        f"Invalid cursor for `{place.path[-1]}`. The query orders by "
        f"`{CREATED_LABEL if attr is None else attr.label}`, but the cursor's query orders by "
        f"{name}. Use a cursor from a query with the same order.",
        expected="valid-cursor?",
    )


def _no_row(source: Source, place: Place, shape: str, given: Any) -> Exception:
    return source.failure(
        place,
        f"Invalid cursor for `{place.path[-1]}`. Expected a join row {shape}, "
        f"[entity, attribute, value, created_at]. Got {quote(given)}.",
        expected="join-row?",
    )


def _is_time(value: Any) -> bool:
    return type(value) is int and abs(value) <= _MS_MAX


def _is_value(attr: Attr, value: Any) -> bool:
    if value is None:
        return True
    if not is_scalar(value):
        return False
    if attr.checked_type == "date":
        return not isinstance(value, bool) and instant_us(value) is not None
    return json_type(value) == attr.checked_type


@dataclass(frozen=True, slots=True)
class Bound:
    """An end of a stretch of the order: at the row with this order cell and id.

    order  the cell of the order column; None for null
    """

    order: Cell
    entity: EntityId
    is_inclusive: bool


def cursor_bound(cursor: Cursor, order: Order | None, *, is_inclusive: bool) -> Bound:
    """The end of a stretch that a client's cursor names."""
    attr = order.attr if order is not None else None
    if attr is None:
        return Bound(cursor.created_ms, cursor.entity, is_inclusive)
    cell = encode_cell(cursor.value, is_indexed=True)
    return Bound(order_cell(attr, cell), cursor.entity, is_inclusive)


def page_bounds(page: Page, order: Order | None) -> tuple[Bound | None, Bound | None]:
    """The bounds that `after` and `before` set."""
    after = before = None
    if page.after is not None:
        after = cursor_bound(page.after, order, is_inclusive=page.is_after_inclusive)
    if page.before is not None:
        before = cursor_bound(page.before, order, is_inclusive=page.is_before_inclusive)
    return after, before
