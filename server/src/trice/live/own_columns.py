"""Conditions judged on one entity's stored cells, as the statement judges them. No I/O.

For scopes that look at the entity alone: no linked entity, no table of pairs, no rule that Python
judges. The meaning of each test is that of `query.sql_where`, hidden values included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from trice.catalog.attr import Attr
from trice.catalog.values import NULL, Cell, encode_cell, order_cell
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import AllOf, AnyOf, IdPrefix, Judged, Never, Op, Scope, Test
from trice.query.sql_fragment import holds_hidden
from trice.query.sql_where import is_by_instant
from trice.query.visibility import EVERYTHING, Visibility

Cells = Mapping[AttrId, Cell]
Predicate = Callable[[EntityId, Cells], bool]
"""Whether an existing entity with these cells meets a scope."""


class NotOwn(Exception):
    """The scope looks at more than the entity's own columns."""


def always(entity: EntityId, cells: Cells) -> bool:
    """The predicate of the empty scope."""
    return True


def scope_predicate(scope: Scope, visibility: Visibility = EVERYTHING) -> Predicate:
    """What decides `scope` on the part of an entity that `visibility` shows.

    raises   NotOwn
    """
    parts = [_condition(condition, visibility) for condition in scope]
    if not parts:
        return always
    if len(parts) == 1:
        return parts[0]
    return lambda entity, cells: all(part(entity, cells) for part in parts)


def shown_predicate(attr: Attr, visibility: Visibility) -> Predicate:
    """Whether an entity shows its `attr`.

    raises   NotOwn
    """
    return always if attr.is_id else scope_predicate(visibility.field(attr))


def _condition(condition: object, visibility: Visibility) -> Predicate:
    match condition:
        case Test():
            return _test(condition, visibility)
        case IdPrefix(prefix):
            digits = prefix.replace("-", "")
            return lambda entity, cells: entity.hex().startswith(digits)
        case AllOf(scopes):
            every = [scope_predicate(scope, visibility) for scope in scopes]
            return lambda entity, cells: all(part(entity, cells) for part in every)
        case AnyOf(scopes):
            some = [scope_predicate(scope, visibility) for scope in scopes]
            return lambda entity, cells: any(part(entity, cells) for part in some)
        case Never():
            return lambda entity, cells: False
        case Judged():
            raise NotOwn
        case _:
            raise AssertionError(f"{condition!r} is no condition")


def _test(test: Test, visibility: Visibility) -> Predicate:
    attr = test.attr
    if test.path or attr.is_pairs or (attr.is_ref and not test.is_forward):
        raise NotOwn
    if attr.is_id:
        on_id = _cell_test(test)
        return lambda entity, cells: on_id(entity)
    attr_id, on_cell = attr.id, _cell_test(test)
    shown = shown_predicate(attr, visibility)
    if shown is always:
        return lambda entity, cells: on_cell(cells.get(attr_id))
    is_hidden_enough = holds_hidden(test)

    def masked(entity: EntityId, cells: Cells) -> bool:
        if not shown(entity, cells):
            return is_hidden_enough
        return on_cell(cells.get(attr_id))

    return masked


def _cell_test(test: Test) -> Callable[[Cell], bool]:
    """What a test says of the stored cell of its attr; of the id, for the id attr."""
    attr = test.attr
    match test.op:
        case Op.IS_NULL:
            is_wanted = bool(test.value)
            return lambda cell: _is_null(attr, cell) is is_wanted
        case Op.EQ:
            wanted = _comparable(attr, test.value)
            return lambda cell: wanted is not None and _compared(attr, cell) == wanted
        case Op.NOT:
            refused = _comparable(attr, test.value)
            return lambda cell: _compared(attr, cell) != refused
        case Op.IN:
            listed = frozenset(_comparable(attr, one) for one in test.value if one is not None)
            has_null = None in test.value

            def is_listed(cell: Cell) -> bool:
                compared = _compared(attr, cell)
                is_there = compared is not None and compared in listed
                return is_there or (has_null and _is_null(attr, cell))

            return is_listed
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            return _comparison(attr, test.op, _comparable(attr, test.value))
        case Op.LIKE | Op.ILIKE:
            raise NotOwn
        case _:
            assert_never(test.op)


_SIGNS: Final[Mapping[Op, Callable[[tuple[int, Cell], tuple[int, Cell]], bool]]] = {
    Op.GT: lambda one, other: one > other,
    Op.GTE: lambda one, other: one >= other,
    Op.LT: lambda one, other: one < other,
    Op.LTE: lambda one, other: one <= other,
}


def _comparison(attr: Attr, op: Op, bound: Cell) -> Callable[[Cell], bool]:
    sign = _SIGNS[op]
    if bound is None:
        return lambda cell: False
    limit = (_storage_class(bound), bound)

    def compare(cell: Cell) -> bool:
        compared = _compared(attr, cell)
        return compared is not None and sign((_storage_class(compared), compared), limit)

    return compare


def _storage_class(cell: Cell) -> int:
    """What SQLite compares first: numbers lie below texts, and these below bytes."""
    if isinstance(cell, (int, float)):
        return 0
    return 1 if isinstance(cell, str) else 2


def _compared(attr: Attr, cell: Cell) -> Cell:
    """What a stored cell is compared by: dates that are indexed by their instant."""
    return order_cell(attr, cell) if is_by_instant(attr) else cell


def _comparable(attr: Attr, value: object) -> Cell:
    """The value of a test as it stands in the column it is compared with."""
    if isinstance(value, bytes):
        return value
    return _compared(attr, encode_cell(value, is_indexed=attr.is_indexed))


def _is_null(attr: Attr, cell: Cell) -> bool:
    """Null and never set are one thing in tests; see `sql_fragment.null_test`."""
    return cell is None or (cell == NULL and not attr.is_indexed and not attr.is_ref)
