"""What a transaction, or a change of an attr, asks of stored rows. All of it is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.check import check_value, too_large, wrong_type
from trice.catalog.values import Cell, decode_attr
from trice.errors import Conflict, InvalidInput, LimitExceeded, invalid
from trice.protocol.ids import EntityId, uuid_text
from trice.protocol.quoting import quote
from trice.store.rows import Pair, Rows, StoredValues


def find_sources(stored: Rows, attr: Attr, targets: Sequence[EntityId]) -> list[Pair]:
    """The (source, target) pairs of link `attr` with these targets.

    raises   LimitExceeded beyond limits.TX_CASCADE_MAX
    """
    return _bounded(stored.find_sources(attr, targets, count=limits.TX_CASCADE_MAX + 1))


def find_targets(stored: Rows, attr: Attr, sources: Sequence[EntityId]) -> list[Pair]:
    """The (source, target) pairs of link `attr` with these sources.

    raises   LimitExceeded beyond limits.TX_CASCADE_MAX
    """
    return _bounded(stored.find_targets(attr, sources, count=limits.TX_CASCADE_MAX + 1))


def too_many() -> LimitExceeded:
    """The error for a delete that reaches more than limits.TX_CASCADE_MAX entities or links."""
    return LimitExceeded(
        "parameter-limit-exceeded",
        f"The delete would reach more than {limits.TX_CASCADE_MAX} entities and links.",
    )


def _bounded(pairs: list[Pair]) -> list[Pair]:
    if len(pairs) > limits.TX_CASCADE_MAX:
        raise too_many()
    return pairs


def not_unique(attr: Attr, cell: Cell, *, is_given: bool = True) -> Conflict:
    """The error for a value of a unique attr that another entity has.

    is_given   the caller sent the value; else it is not repeated
    """
    value: Any = None
    if cell is not None:
        value = (
            uuid_text(cell) if attr.is_ref and isinstance(cell, bytes) else decode_attr(attr, cell)
        )
    shown = f"`{attr.name}` = {orjson.dumps(value).decode()}" if is_given else "this value"
    return Conflict(
        "record-not-unique",
        f"`{attr.label}` is a unique attribute on `{attr.etype}` and an entity already exists "
        f"with {shown}",
        {
            "record-type": "triple",
            "attr-id": attr.id,
            "etype": attr.etype,
            "label": attr.label,
            "value": value,
        },
    )


def check_existing(stored: StoredValues, catalog: Catalog, old: Attr, new: Attr) -> None:
    """Refuse a change of an attr that existing entities contradict.

    raises   InvalidInput("validation-failed"), Conflict("record-not-unique")
    cost     O(rows) for each of required, unique, indexed, checked type that is switched on
    """
    if new.is_required and not old.is_required:
        _check_required(stored, catalog, old)
    if new.is_unique and not old.is_unique:
        _check_unique(stored, old, new)
    if old.is_ref or old.is_id:
        return
    if (new.is_indexed or new.is_unique) and not (old.is_indexed or old.is_unique):
        _check_sizes(stored, new)
    if new.checked_type is not None and new.checked_type != old.checked_type:
        _check_types(stored, new)


def _check_required(stored: StoredValues, catalog: Catalog, attr: Attr) -> None:
    namespace = catalog.namespaces[attr.etype]
    if not namespace.has_rows or attr.is_id:
        return
    if stored.lacks_value(namespace, attr):
        message = (
            f"Can't update attribute `{attr.label}` to required because `{attr.etype}` already "
            "have entities without it"
        )
        raise invalid("attributes", attr.wire(), [{"message": message}])


def _check_unique(stored: StoredValues, old: Attr, new: Attr) -> None:
    shared = None if old.is_id else stored.find_shared(old)
    if shared is not None:
        raise not_unique(new, shared)


def _check_sizes(stored: StoredValues, attr: Attr) -> None:
    found = stored.find_longer(attr, limits.INDEXED_VALUE_BYTES_MAX)
    if found is not None:
        raise too_large(attr, decode_attr(attr, found[1]), found[0])


def _check_types(stored: StoredValues, attr: Attr) -> None:
    """Judge dates that are text one by one, and all other values by the form they are stored in."""
    assert attr.checked_type is not None
    found = stored.find_mistyped(attr, attr.checked_type)
    if found is not None:
        raise wrong_type(attr, decode_attr(attr, found[1]), found[0])
    if attr.checked_type != "date":
        return
    for entity, cell in stored.values(attr):
        if isinstance(cell, (str, int, float)):
            check_value(attr, cell, entity)


def no_link_value(attr: Attr, entity: EntityId, raw: Any) -> InvalidInput:
    """The error for a link to a value that is neither an id nor a lookup."""
    given = "" if raw is None else f", not {quote(raw)}"
    message = (
        f"Expected link value to be a uuid: `{attr.name}` accepts an entity's id or a "
        f"lookup{given}."
    )
    return InvalidInput(
        "validation-failed",
        f"Validation failed for eid: {message}",
        {
            "data-type": "eid",
            "input": raw,
            "errors": [{"expected": "uuid?", "message": message}],
            "namespace": attr.etype,
            "attribute": attr.label,
            "attr-id": attr.id,
            "entity-id": uuid_text(entity),
        },
    )
