"""Conditions evaluated in memory, on the stored cells of one entity, exactly as SQL does. No I/O.

Predicates exist for tests of the entity's own columns or id, in any combination of lists. They
exist for fields that may be hidden too, if the same columns decide that. Conditions that read more
(paths, links kept elsewhere, rules judged in Python) have no predicate; the database decides them.
Each test means the same as in `query.sql.where`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from trice.catalog.attr import Attr
from trice.catalog.like import is_like
from trice.catalog.values import NULL, Cell, compared_cell, encode_cell, id_span, kind_rank
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import AllOf, AnyOf, IdPrefix, Judged, Never, Op, Scope, Test
from trice.query.visibility import EVERYTHING, Visibility, holds_hidden

Cells = Mapping[AttrId, Cell]
Predicate = Callable[[EntityId, Cells], bool]
"""Whether an existing entity with these cells meets a scope."""

Sort = tuple[int, Cell]
"""The key of a cell in the order of all cells, of all kinds."""


class NotOwn(Exception):
    """The scope reads more than the entity's own columns."""


class Undecided(Exception):
    """Only the database can tell."""


def sort_of(cell: Cell) -> Sort:
    """The key that orders cells of different kinds; NULL comes first."""
    return (0, 0) if cell is None else (kind_rank(cell), cell)


def always(_entity: EntityId, _cells: Cells) -> bool:
    """The predicate of the empty scope."""
    return True


def scope_predicate(scope: Scope, visibility: Visibility = EVERYTHING) -> Predicate:
    """The predicate of `scope` on the part of an entity that `visibility` shows.

    raises   NotOwn
    """
    parts = [_condition(condition, visibility) for condition in scope]
    if not parts:
        return always
    if len(parts) == 1:
        return parts[0]
    return lambda entity, cells: all(part(entity, cells) for part in parts)


def member_predicate(scope: Scope, etype: str, visibility: Visibility) -> Predicate:
    """The predicate that an entity is visible and meets `scope` on its visible part.

    raises   NotOwn
    """
    where = scope_predicate(scope, visibility)
    # Rules read the whole data: no field is hidden from them. They are asked last, as in SQL.
    visible = scope_predicate(visibility.entities(etype))
    if where is always or visible is always:
        return visible if where is always else where
    return lambda entity, cells: where(entity, cells) and visible(entity, cells)


def shown_predicate(attr: Attr, visibility: Visibility) -> Predicate:
    """Whether an entity shows its `attr`. Ids always show.

    raises   NotOwn
    """
    return always if attr.is_id else scope_predicate(visibility.field(attr))


def _condition(condition: object, visibility: Visibility) -> Predicate:
    match condition:
        case Test():
            return _test(condition, visibility)
        case IdPrefix(prefix):
            low, high = id_span(prefix)
            return lambda entity, _: low <= entity <= high
        case AllOf(scopes):
            every = [scope_predicate(scope, visibility) for scope in scopes]
            return lambda entity, cells: all(part(entity, cells) for part in every)
        case AnyOf(scopes):
            some = [scope_predicate(scope, visibility) for scope in scopes]
            return lambda entity, cells: any(part(entity, cells) for part in some)
        case Never():
            return lambda *_: False
        case Judged():
            raise NotOwn
        case _:
            raise AssertionError(f"{condition!r} is no condition")


Check = Callable[[Cell], bool]


def _test(test: Test, visibility: Visibility) -> Predicate:
    attr = test.attr
    if test.path or (attr.is_ref and (attr.is_pairs or not test.is_forward)):
        raise NotOwn
    check = _check(attr, test.op, test.value)
    if attr.is_id:
        return lambda entity, _: check(entity)
    attr_id = attr.id
    shown = shown_predicate(attr, visibility)
    if shown is always:
        return lambda _, cells: check(cells.get(attr_id))
    is_hidden_enough = holds_hidden(test)

    def masked(entity: EntityId, cells: Cells) -> bool:
        return check(cells.get(attr_id)) if shown(entity, cells) else is_hidden_enough

    return masked


def _check(attr: Attr, op: Op, value: object) -> Check:
    """The check of a test on the stored cell of its attr, or on the id.

    value   as `query.ast.Test` has it
    """
    match op:
        case Op.IS_NULL:
            return lambda cell: _is_null(attr, cell) == value
        case Op.EQ:
            wanted = _comparable(attr, value)
            return lambda cell: wanted is not None and compared_cell(attr, cell) == wanted
        case Op.NOT:
            refused = _comparable(attr, value)
            return lambda cell: compared_cell(attr, cell) != refused
        case Op.IN:
            return _in(attr, value)
        case Op.GT | Op.GTE | Op.LT | Op.LTE:
            return _comparison(attr, op, _comparable(attr, value))
        case Op.LIKE | Op.ILIKE:
            assert isinstance(value, str)
            return _like(value, is_case_sensitive=op is Op.LIKE)
        case _:
            assert_never(op)


def _in(attr: Attr, values: object) -> Check:
    assert isinstance(values, (list, tuple))
    wanted = frozenset(_comparable(attr, one) for one in values if one is not None) - {None}
    has_null = None in values
    return lambda cell: compared_cell(attr, cell) in wanted or (has_null and _is_null(attr, cell))


def _comparison(attr: Attr, op: Op, bound: Cell) -> Check:
    """The check whether a cell follows or precedes `bound`; NULL does neither."""
    if bound is None:
        return lambda _: False
    other = sort_of(bound)
    match op:
        case Op.GT:
            return lambda cell: sort_of(compared_cell(attr, cell)) > other
        case Op.GTE:
            return lambda cell: sort_of(compared_cell(attr, cell)) >= other
        case Op.LT:
            return lambda cell: (0, 0) < sort_of(compared_cell(attr, cell)) < other
        case Op.LTE:
            return lambda cell: (0, 0) < sort_of(compared_cell(attr, cell)) <= other
        case _:
            raise AssertionError(f"{op} compares nothing")


def _like(pattern: str, *, is_case_sensitive: bool) -> Check:
    if "\x00" in pattern:
        raise NotOwn  # a NUL may end a pattern (`Dialect.like`); stored texts have none
    return lambda cell: (
        isinstance(cell, str) and is_like(pattern, cell, is_case_sensitive=is_case_sensitive)
    )


def _is_null(attr: Attr, cell: Cell) -> bool:
    """Null and never set are one thing in tests; see `query.sql.fragment.null_test`."""
    return cell is None or (cell == NULL and not attr.is_indexed and not attr.is_ref)


def _comparable(attr: Attr, value: object) -> Cell:
    """A value of a test in the form that is compared with `compared_cell` of a stored value."""
    if isinstance(value, bytes):
        return value  # an id
    return compared_cell(attr, encode_cell(value, is_indexed=attr.is_indexed))
