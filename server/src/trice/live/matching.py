"""Conditions evaluated in memory, on the cells of one entity, exactly as SQL does. No I/O.

Only what looks at nothing else can be: a test of the entity's own columns or id, in any
combination of lists. Whatever looks further (paths, links kept elsewhere, rules judged in Python,
fields that may be hidden) has no predicate, and the database decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from trice.catalog.attr import Attr
from trice.catalog.values import NULL, Cell, encode_cell, order_cell
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import AllOf, AnyOf, IdPrefix, Judged, Never, Op, Scope, Test
from trice.query.sql_where import is_by_instant
from trice.query.visibility import Visibility
from trice.store.like import is_like

Cells = Mapping[AttrId, Cell]
Predicate = Callable[[EntityId, Cells], bool]
"""Whether an entity with these cells meets a scope. Raises Undecided."""

Sort = tuple[int, Cell]
"""Values of all types in SQLite's order: NULL, numbers, texts, bytes."""

_SORTS: Final = {int: 1, float: 1, str: 2, bytes: 3}


class Undecided(Exception):
    """Only the database knows."""


def sort_of(cell: Cell) -> Sort:
    """What orders cells of different types; NULL comes first."""
    return (0, 0) if cell is None else (_SORTS[type(cell)], cell)


def predicate_of(scope: Scope, visibility: Visibility) -> Predicate | None:
    """The scope as a predicate, or None when cells of the entity do not decide it.

    visibility   whoever asks sees; a test of a field that may be hidden has no predicate
    """
    parts: list[Predicate] = []
    for condition in scope:
        match condition:
            case Test():
                part = _test(condition, visibility)
            case IdPrefix(prefix):
                part = _id_prefix(prefix)
            case AllOf(scopes):
                part = _list(scopes, visibility, all)
            case AnyOf(scopes):
                part = _list(scopes, visibility, any)
            case Never():
                part = _never
            case Judged():
                part = None
            case _:
                assert_never(condition)
        if part is None:
            return None
        parts.append(part)
    if not parts:
        return _always
    if len(parts) == 1:
        return parts[0]
    return lambda entity, cells: all(part(entity, cells) for part in parts)


def both(one: Predicate, other: Predicate) -> Predicate:
    """Both hold; `other` is asked only where `one` does."""
    if one is _always or other is _always:
        return other if one is _always else one
    return lambda entity, cells: one(entity, cells) and other(entity, cells)


def _always(_entity: EntityId, _cells: Cells) -> bool:
    return True


def _never(_entity: EntityId, _cells: Cells) -> bool:
    return False


def _list(
    scopes: tuple[Scope, ...], visibility: Visibility, combine: Callable[..., bool]
) -> Predicate | None:
    parts: list[Predicate] = []
    for scope in scopes:
        part = predicate_of(scope, visibility)
        if part is None:
            return None
        parts.append(part)
    return lambda entity, cells: combine(part(entity, cells) for part in parts)


def _id_prefix(prefix: str) -> Predicate:
    digits = prefix.replace("-", "")
    low, high = (bytes.fromhex(digits.ljust(32, fill)) for fill in "0f")
    return lambda entity, _: low <= entity <= high


def _test(test: Test, visibility: Visibility) -> Predicate | None:
    attr, op, value = test.attr, test.op, test.value
    if test.path:
        return None
    if attr.is_id:
        match op:
            case Op.EQ:
                return lambda entity, _: entity == value
            case Op.NOT:
                return lambda entity, _: entity != value
            case Op.IN:
                wanted = frozenset(value)
                return lambda entity, _: entity in wanted
            case _:
                return lambda *_: not value
    if visibility.field(attr) or (attr.is_ref and (attr.is_pairs or not test.is_forward)):
        return None
    check = _link_check(op, value) if attr.is_ref else _value_check(attr, op, value)
    attr_id = attr.id
    return lambda _, cells: check(cells.get(attr_id))


Check = Callable[[Cell], bool]


def _link_check(op: Op, value: EntityId | tuple[EntityId, ...] | bool) -> Check:
    """A has-one link compared with ids, or asked for its absence."""
    match op:
        case Op.EQ:
            return lambda cell: cell == value
        case Op.NOT:
            return lambda cell: cell != value
        case Op.IN:
            assert not isinstance(value, bool)
            wanted = frozenset(value)
            return lambda cell: cell in wanted
        case _:
            return lambda cell: (cell is None) == value


def _value_check(attr: Attr, op: Op, value: object) -> Check:
    match op:
        case Op.IS_NULL:
            return lambda cell: _is_null(attr, cell) == value
        case Op.IN:
            assert isinstance(value, (list, tuple))
            wanted = frozenset(_comparable(attr, one) for one in value if one is not None)
            has_null = None in value
            return lambda cell: (
                ((key := _key(attr, cell)) is not None and key in wanted)
                or (has_null and _is_null(attr, cell))
            )
        case Op.LIKE | Op.ILIKE:
            assert isinstance(value, str)
            return _like(value, is_case_sensitive=op is Op.LIKE)
        case Op.NOT:
            other = _comparable(attr, value)
            return lambda cell: _key(attr, cell) != other
        case _:
            return _comparison(attr, op, _comparable(attr, value))


def _comparison(attr: Attr, op: Op, bound: Cell) -> Check:
    """Whether a cell equals, follows or precedes `bound`; NULL does neither."""
    if bound is None:
        return lambda _: False
    other = sort_of(bound)
    match op:
        case Op.EQ:
            return lambda cell: _key(attr, cell) == bound
        case Op.GT:
            return lambda cell: sort_of(_key(attr, cell)) > other
        case Op.GTE:
            return lambda cell: sort_of(_key(attr, cell)) >= other
        case Op.LT:
            return lambda cell: (0, 0) < sort_of(_key(attr, cell)) < other
        case Op.LTE:
            return lambda cell: (0, 0) < sort_of(_key(attr, cell)) <= other
        case _:
            raise AssertionError(f"{op} compares nothing")


def _like(pattern: str, *, is_case_sensitive: bool) -> Check:
    def check(cell: Cell) -> bool:
        if not isinstance(cell, str):
            return False
        if "\x00" in cell or "\x00" in pattern:
            raise Undecided  # SQLite ends texts there
        return is_like(pattern, cell, is_case_sensitive=is_case_sensitive)

    return check


def _is_null(attr: Attr, cell: Cell) -> bool:
    return cell is None or (cell == NULL and not attr.is_indexed)


def _comparable(attr: Attr, value: object) -> Cell:
    """A value of a condition as it is compared with `_key` of a cell."""
    return _key(attr, encode_cell(value, is_indexed=attr.is_indexed))


def _key(attr: Attr, cell: Cell) -> Cell:
    return order_cell(attr, cell) if is_by_instant(attr) else cell
