"""What a row of the log says about its transaction, as bytes and back. No I/O.

A row leads to the whole Commit: every row and pair it changed, old and new, and every attr. Attrs
are named by their numbers (`Attr.number`). A number is chosen once and never given to another attr.

    row      MessagePack  [FORMAT, entities, pairs, attrs]
    entity   [ADDED,   etype, id, created_ms, cells]
             [DELETED, etype, id, created_ms, cells]
             [CHANGED, etype, id, old created_ms, new created_ms, differing, same, left out]
                 cells      {number: cell}, the cells that are not NULL
                 differing  {number: [old cell, new cell]}
                 same       {number: cell}
                 left out   [number]: long texts and documents that stayed the same, once `same`
                            takes limits.TX_LOG_SAME_BYTES_MAX; see `FindCell`
    pair     [number, source, target, created_ms, is_added]
    attrs    nil when the catalog stayed as it was, else [is_told, [[old, new]]]
                 is_told    whether clients are told; they are not where only inferred types change
                 old, new   the attr as JSON (`dump_attr`); old is nil for a new one. A deleted one
                            has `deleted_ms`; new is nil once it is removed for good

FORMAT changes with the layout. A row of another format is `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import msgspec
import orjson

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId, EventId, TxId
from trice.store.commit import Commit, EntityChange, Image, PairChange

_BY: Final = " by "
"""Between identity and function; neither has a space in it."""

FORMAT: Final = 2
"""Format 1 had no number: it was `[entities, pairs]`, without attrs and without unchanged cells."""

ADDED, CHANGED, DELETED = 0, 1, 2

FindCell = Callable[[TxId, EntityId, AttrId], Cell]
"""The cell that an entity had in an attr after a transaction. A follower that keeps a copy of the
data has it there; `store.sqlite.log.find_cell` finds it in the rows that come later."""

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder()
_ATTR_DECODER: Final = msgspec.json.Decoder(Attr)
_STORED: Final = tuple(field.name for field in fields(Attr) if field.init)
"""What an attr is made of; the rest follows from it."""
SHORT_BYTES: Final = 64
"""Cells up to this size are never left out. A cell that is left out may then be read from the data:
only short cells get another form there (a link that became one to many targets, a null of an attr
that was indexed)."""


class Unreadable(Exception):
    """A row of the log has a format that this version does not read, or a cell that it leaves out
    is kept nowhere any more."""


def dump_attr(attr: Attr) -> str:
    """An attr as JSON, including its place on disk."""
    return orjson.dumps({name: getattr(attr, name) for name in _STORED}).decode()


def load_attr(text: str | bytes) -> Attr:
    """The attr that `dump_attr` was given."""
    return _ATTR_DECODER.decode(text)


def encode_changes(commit: Commit, before: Catalog) -> bytes:
    """What the log keeps of `commit`.

    before  the catalog of the transaction before it
    cost    3 µs for an entity with ten cells
    """
    attrs = commit.catalog.by_id
    return _ENCODER.encode(
        (
            FORMAT,
            [_entity(change, attrs) for change in commit.entities],
            [
                (
                    attrs[pair.attr_id].number,
                    pair.source,
                    pair.target,
                    pair.created_ms,
                    pair.is_added,
                )
                for pair in commit.pairs
            ],
            None if commit.catalog is before else _attrs(commit, before),
        )
    )


def sender_of(commit: Commit) -> str:
    """What the log tells of who wrote a commit: the identity, and behind it the function."""
    if commit.function is None:
        return commit.identity
    return f"{commit.identity}{_BY}{commit.function}"


def parted_sender(sender: str) -> tuple[str, str | None]:
    """The identity and the function that `sender_of` made a text of."""
    identity, _, function = sender.partition(_BY)
    return identity, function or None


def decode_commit(
    blob: bytes,
    *,
    tx: TxId,
    time_ms: int,
    sender: str,
    event_id: EventId | None,
    before: Catalog,
    find_cell: FindCell,
) -> Commit:
    """The Commit that `encode_changes` was given, equal in all but `catalog.version`, which counts
    the changes of one process.

    sender     `sender_of` it
    before     the catalog of the transaction before it
    find_cell  asked for cells that were left out
    raises     Unreadable
    """
    identity, function = parted_sender(sender)
    entities, pairs, changed = _decoded(blob)
    catalog, is_told = before, False
    if changed is not None:
        is_told = changed[0]
        there = (load_attr(new) for _, new in changed[1] if new is not None)
        catalog = before.with_attrs(there, is_visible=is_told)
        for old, new in changed[1]:
            if new is None:
                catalog = catalog.without(load_attr(old))
    names = {attr.number: attr.id for attr in catalog.by_id.values()}
    return Commit(
        tx=tx,
        time_ms=time_ms,
        identity=identity,
        event_id=event_id,
        entities=[_change(entity, names, tx, find_cell) for entity in entities],
        pairs=[PairChange(names[number], *rest) for number, *rest in pairs],
        catalog=catalog,
        is_catalog_changed=is_told,
        function=function,
    )


def decode_entities(
    blob: bytes, *, tx: TxId, names: Mapping[int, AttrId], find_cell: FindCell
) -> list[EntityChange]:
    """The rows that a transaction changed; cheaper than `decode_commit`, as no catalog is made.

    names      the ids of attrs by their numbers, of any later catalog
    find_cell  as for `decode_commit`
    raises     Unreadable
    """
    entities, _, _ = _decoded(blob)
    try:
        return [_change(entity, names, tx, find_cell) for entity in entities]
    except KeyError:
        raise Unreadable from None


def catalog_before(catalog: Catalog, blobs: Iterable[bytes]) -> Catalog:
    """The catalog as it was before some transactions.

    catalog  as of the last of them
    blobs    of all of them, newest first
    raises   Unreadable
    """
    attrs = dict(catalog.by_id)
    for blob in blobs:
        _, _, changed = _decoded(blob)
        for old, new in () if changed is None else changed[1]:
            if old is None:
                del attrs[load_attr(new).id]
            else:
                attr = load_attr(old)
                attrs[attr.id] = attr
    return Catalog(attrs.values())


def find_old_cell(blob: bytes, entity: EntityId, number: int) -> tuple[bool, Cell]:
    """Whether a row tells what cell an entity had in an attr before its transaction, and the cell.

    A row that changed the entity does not tell the cell of a deleted attr, which stayed as it was.
    raises   Unreadable
    """
    for what, _, found, *rest in _decoded(blob)[0]:
        if found != entity:
            continue
        if what == ADDED:
            return True, None
        if what == DELETED:
            return True, rest[1].get(number)
        _, _, differing, same, _ = rest
        if number in differing:
            return True, differing[number][0]
        if number in same:
            return True, same[number]
    return False, None


def read_changes(blob: bytes) -> tuple[list[Any], list[Any], Any]:
    """Entities, pairs and attrs of a row, in the layout above. Raises Unreadable."""
    return _decoded(blob)


def _decoded(blob: bytes) -> tuple[list[Any], list[Any], Any]:
    """Entities, pairs and attrs of a row."""
    found = _DECODER.decode(blob) if blob else None
    if type(found) is not list or found[0] != FORMAT:
        raise Unreadable
    return found[1], found[2], found[3]


def _entity(change: EntityChange, attrs: Mapping[AttrId, Attr]) -> tuple[Any, ...]:
    old, new = change.old, change.new
    if old is None or new is None:
        image, what = (old, DELETED) if new is None else (new, ADDED)
        assert image is not None
        cells = {attrs[key].number: cell for key, cell in image.cells.items()}
        return (what, change.etype, change.id, image.created_ms, cells)
    before, after = old.cells, new.cells
    differing: dict[int, tuple[Cell, Cell]] = {}
    same: dict[int, Cell] = {}
    left_out: list[int] = []
    room = limits.TX_LOG_SAME_BYTES_MAX
    for key, cell in after.items():
        held = before.get(key)
        if _is_same(held, cell):
            if isinstance(cell, (bytes, str)) and len(cell) > SHORT_BYTES:
                if len(cell) > room:
                    left_out.append(attrs[key].number)
                    continue
                room -= len(cell)
            same[attrs[key].number] = cell
        else:
            differing[attrs[key].number] = held, cell
    for key, cell in before.items():
        if key not in after:
            differing[attrs[key].number] = cell, None
    return (
        CHANGED,
        change.etype,
        change.id,
        old.created_ms,
        new.created_ms,
        differing,
        same,
        left_out,
    )


def _is_same(left: Cell, right: Cell) -> bool:
    """Whether two cells are the same bytes on disk: 1 and 1.0 are not."""
    return left is right or (left == right and type(left) is type(right))


def _attrs(commit: Commit, before: Catalog) -> tuple[bool, list[tuple[str | None, str | None]]]:
    """Which attrs differ, in the order of the catalog."""
    changed: list[tuple[str | None, str | None]] = []
    for attr_id, attr in commit.catalog.by_id.items():
        old = before.by_id.get(attr_id)
        if old is not attr:
            changed.append((None if old is None else dump_attr(old), dump_attr(attr)))
    if len(commit.catalog.by_id) < len(before.by_id) + sum(old is None for old, _ in changed):
        gone = (attr for key, attr in before.by_id.items() if key not in commit.catalog.by_id)
        changed += [(dump_attr(attr), None) for attr in gone]
    return commit.is_catalog_changed, changed


def _change(
    entity: Sequence[Any], names: Mapping[int, AttrId], tx: TxId, find_cell: FindCell
) -> EntityChange:
    what, etype, found, *rest = entity
    entity_id = EntityId(found)
    if what != CHANGED:
        image = Image(rest[0], _cells(rest[1], names))
        old, new = (None, image) if what == ADDED else (image, None)
        return EntityChange(etype, entity_id, old, new)
    old_created, new_created, differing, same, left_out = rest
    same |= {number: find_cell(tx, entity_id, names[number]) for number in left_out}
    before = same | {number: old for number, (old, _) in differing.items() if old is not None}
    after = same | {number: new for number, (_, new) in differing.items() if new is not None}
    return EntityChange(
        etype,
        entity_id,
        Image(old_created, _cells(before, names)),
        Image(new_created, _cells(after, names)),
    )


def _cells(cells: Mapping[int, Cell], names: Mapping[int, AttrId]) -> dict[AttrId, Cell]:
    """Cells by attr id, in the order of a namespace's columns, which is the order of attr ids."""
    named = {names[number]: cell for number, cell in cells.items()}
    return {key: named[key] for key in sorted(named)}
