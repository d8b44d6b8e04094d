"""Questions about stored rows, and what a change of an attr asks of them. SQL is composed here.

One statement per question however many entities it is about; texts depend only on the catalog, so
that prepared statements are used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

import orjson

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.check import check_value, too_large, wrong_type
from trice.catalog.values import FALSE, NULL, TRUE, Cell, decode_attr
from trice.errors import Conflict, InvalidInput, LimitExceeded, invalid
from trice.protocol.ids import EntityId, uuid_text
from trice.protocol.quoting import quote
from trice.store.engine import Statements, WriteTx
from trice.store.sqlite import tables
from trice.store.sqlite.dialect import SQLITE

IN_LIST: Final = SQLITE.in_list()
name = tables.quoted


Pair = tuple[EntityId, EntityId]


def find_sources(tx: Statements, attr: Attr, targets: tuple[bytes, ...]) -> list[Pair]:
    """The (source, target) pairs of link `attr` with these targets.

    raises   LimitExceeded beyond limits.TX_CASCADE_MAX
    """
    place = tables.link_columns(attr)
    source, target = name(place.source), name(place.target)
    found = tx.rows(
        f"SELECT {source}, {target} FROM {name(place.table)} WHERE {target} IN {IN_LIST} LIMIT ?",
        (targets, limits.TX_CASCADE_MAX + 1),
    )
    return _bounded(cast(list[Pair], found))


def find_targets(tx: Statements, attr: Attr, sources: tuple[bytes, ...]) -> list[Pair]:
    """The (source, target) pairs of link `attr` with these sources.

    raises   LimitExceeded beyond limits.TX_CASCADE_MAX
    """
    place = tables.link_columns(attr)
    source, target = name(place.source), name(place.target)
    found = tx.rows(
        f"SELECT {source}, {target} FROM {name(place.table)}"
        f" WHERE {source} IN {IN_LIST} AND {target} IS NOT NULL LIMIT ?",
        (sources, limits.TX_CASCADE_MAX + 1),
    )
    return _bounded(cast(list[Pair], found))


def find_linked(tx: Statements, attr: Attr, sources: tuple[bytes, ...]) -> set[EntityId]:
    """Which of `sources` have at least one pair of link `attr`."""
    found = tx.rows(
        f"SELECT DISTINCT source FROM {name(attr.table)} WHERE source IN {IN_LIST}", (sources,)
    )
    return {EntityId(source) for (source,) in found if isinstance(source, bytes)}


def find_present(tx: Statements, table: str, ids: tuple[bytes, ...]) -> list[EntityId]:
    """Which of `ids` have a row in a namespace's table."""
    found = tx.rows(f"SELECT id FROM {name(table)} WHERE id IN {IN_LIST}", (ids,))
    return [EntityId(entity) for (entity,) in found if isinstance(entity, bytes)]


def find_holders(tx: Statements, attr: Attr, cells: Sequence[Cell]) -> dict[Cell, EntityId]:
    """Who has these values of unique `attr`: a field, or a link by its target."""
    holders: dict[Cell, EntityId] = {}
    if attr.is_ref:
        place = tables.link_columns(attr)
        table, value, entity, predicate = place.table, place.target, place.source, ""
    else:
        table, value, entity = attr.table, attr.column, tables.ID
        predicate = tables.lookup_predicate(attr)
    for batch in _batches(cells, limits.TX_LOOKUP_BATCH_MAX):
        # Sizes are powers of two, filled up with the last value, so that few texts are needed.
        size = 1
        while size < len(batch):
            size *= 2
        filled = [*batch, *([batch[-1]] * (size - len(batch)))]
        marks = ", ".join("?" * size)
        rows = tx.rows(
            f"SELECT {name(value)}, {name(entity)} FROM {name(table)}"
            f" WHERE {name(value)} IN ({marks}){predicate}",
            filled,
        )
        holders.update((cell, EntityId(raw)) for cell, raw in rows if isinstance(raw, bytes))
    return holders


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


def has_entities(tx: Statements, catalog: Catalog, etype: str) -> bool:
    """Whether a namespace has any entity."""
    namespace = catalog.namespaces.get(etype)
    if namespace is None or not namespace.table:
        return False
    created = name(tables.CREATED)
    return bool(
        tx.rows(f"SELECT 1 FROM {name(namespace.table)} WHERE {created} IS NOT NULL LIMIT 1")
    )


def forget_ids(tx: WriteTx, id_attr: Attr) -> None:
    """Make stubs of entities whose id attr was deleted: a new one does not bring them back."""
    created = name(tables.CREATED)
    tx.rows(f"UPDATE {name(id_attr.table)} SET {created} = NULL WHERE {created} IS NOT NULL")


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


def check_existing(tx: WriteTx, catalog: Catalog, old: Attr, new: Attr) -> None:
    """Refuse a change of an attr that existing entities contradict.

    raises   InvalidInput("validation-failed"), Conflict("record-not-unique")
    cost     O(rows) for each of required, unique, indexed, checked type that is switched on
    """
    if new.is_required and not old.is_required:
        _check_required(tx, catalog, old)
    if new.is_unique and not old.is_unique:
        _check_unique(tx, old, new)
    if old.is_ref or old.is_id:
        return
    if (new.is_indexed or new.is_unique) and not (old.is_indexed or old.is_unique):
        _check_sizes(tx, new)
    if new.checked_type is not None and new.checked_type != old.checked_type:
        _check_types(tx, new)


def _check_required(tx: WriteTx, catalog: Catalog, attr: Attr) -> None:
    namespace = catalog.namespaces[attr.etype]
    if not namespace.table or attr.is_id:
        return
    lacking = f"{name(attr.column)} IS NULL OR {name(attr.column)} = x'00'"
    if attr.is_pairs:
        lacking = f"NOT EXISTS (SELECT 1 FROM {name(attr.table)} WHERE source = id)"
    found = tx.rows(
        f"SELECT id FROM {name(namespace.table)}"
        f" WHERE {name(tables.CREATED)} IS NOT NULL AND ({lacking}) LIMIT 1"
    )
    if found:
        message = (
            f"Can't update attribute `{attr.label}` to required because `{attr.etype}` already "
            "have entities without it"
        )
        raise invalid("attributes", attr.wire(), [{"message": message}])


def _check_unique(tx: WriteTx, old: Attr, new: Attr) -> None:
    if old.is_id:
        return
    table, value = old.table, old.column
    if old.is_ref:
        table, value = tables.link_columns(old).table, tables.link_columns(old).target
    column = name(value)
    found = tx.rows(
        f"SELECT {column} FROM {name(table)} WHERE {column} IS NOT NULL AND {column} <> x'00'"
        f" GROUP BY {column} HAVING count(*) > 1 LIMIT 1"
    )
    if found:
        raise not_unique(new, found[0][0])


def _check_sizes(tx: WriteTx, attr: Attr) -> None:
    column = name(attr.column)
    found = tx.rows(
        f"SELECT id, {column} FROM {name(attr.table)}"
        f" WHERE length(CAST({column} AS BLOB)) > ? LIMIT 1",
        (limits.INDEXED_VALUE_BYTES_MAX,),
    )
    for entity, cell in found:
        assert isinstance(entity, bytes)
        raise too_large(attr, decode_attr(attr, cell), EntityId(entity))


def _check_types(tx: WriteTx, attr: Attr) -> None:
    """Judge text dates one by one; the types of everything else by how it is stored."""
    column, table = name(attr.column), name(attr.table)
    right = {
        "string": "typeof({0}) = 'text'",
        "number": "typeof({0}) IN ('integer', 'real')",
        "boolean": f"{{0}} IN (x'{FALSE.hex()}', x'{TRUE.hex()}')",
        "date": "typeof({0}) IN ('integer', 'real', 'text')",
    }
    assert attr.checked_type is not None
    test = right[attr.checked_type].format(column)
    found = tx.rows(
        f"SELECT id, {column} FROM {table}"
        f" WHERE {column} IS NOT NULL AND {column} <> x'{NULL.hex()}' AND NOT ({test}) LIMIT 1"
    )
    for entity, cell in found:
        assert isinstance(entity, bytes)
        raise wrong_type(attr, decode_attr(attr, cell), EntityId(entity))
    if attr.checked_type != "date":
        return
    for entity, cell in _pages(tx, table=table, column=column):
        if isinstance(cell, (str, int, float)):
            check_value(attr, cell, entity)


def _pages(tx: WriteTx, *, table: str, column: str) -> Iterator[tuple[EntityId, Cell]]:
    """Every (id, value) of a column, read a thousand at a time."""
    after = b""
    while True:
        rows = tx.rows(
            f"SELECT id, {column} FROM {table} WHERE id > ? AND {column} IS NOT NULL"
            " ORDER BY id LIMIT 1000",
            (after,),
        )
        if not rows:
            return
        for entity, cell in rows:
            assert isinstance(entity, bytes)
            after = entity
            yield EntityId(entity), cell


def _batches(items: Sequence[Cell], size: int) -> Iterable[Sequence[Cell]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def no_link_value(attr: Attr, entity: EntityId, raw: Any) -> InvalidInput:
    """The refusal of a link to what is neither an id nor a lookup."""
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
