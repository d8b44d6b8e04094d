"""The smallest parts of rules as conditions: an attr, or linked values, compared with one. No I/O.

Each returns OPAQUE where SQL and expressions could disagree: then Python decides.

source   instant-semantics §5.5; spec/rules.md R71-R76
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.values import INT64_MAX, INT64_MIN, is_by_instant
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.uint import Uint
from trice.cel.values import Budget, Map, equal, kind_of
from trice.protocol.ids import EntityId, find_uuid_bytes
from trice.query.ast import AllOf, Op, Ref, Scope, Test
from trice.rules.formula import (
    ALWAYS,
    FAILING,
    FALSE,
    NEVER,
    OPAQUE,
    TRUE,
    Formula,
    conjunction,
    disjunction,
    is_not_null,
    is_null,
    known,
    negate,
)


@dataclass(frozen=True, slots=True)
class Known:
    """A value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Column:
    """`data.x`, where x is an attr of cardinality one."""

    attr: Attr


@dataclass(frozen=True, slots=True)
class Values:
    """`data.ref("…")`."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Size:
    """`size(data.ref("…"))`."""

    ref: Ref


class Failing:
    """An operand that has no value for any entity."""


class Opaque:
    """Anything else."""


Operand = Known | Column | Values | Size | Failing | Opaque

_COMPARISONS: Final = {
    "_<_": (Op.LT, Op.GTE),
    "_<=_": (Op.LTE, Op.GT),
    "_>_": (Op.GT, Op.LTE),
    "_>=_": (Op.GTE, Op.LT),
}
"""Each with its opposite."""

_SWAPPED: Final = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}

_PATTERNS: Final = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}

_IS_EMPTY: Final = {
    ("_==_", 0): True,
    ("_<_", 1): True,
    ("_<=_", 0): True,
    ("_!=_", 0): False,
    ("_>_", 0): False,
    ("_>=_", 1): False,
}
"""`size(x) op number`, and whether it asks for emptiness."""

RELATIONS: Final = frozenset(("_==_", "_!=_", "_in_", *_COMPARISONS))
PATTERNS: Final = frozenset(_PATTERNS)


def truth(operand: Operand) -> Formula:
    """`operand` where a boolean is needed; any other value, null included, fails."""
    match operand:
        case Known(value):
            return known(value) if isinstance(value, bool) else FAILING
        case Column(attr):
            if attr.is_ref or attr.is_id or attr.checked_type not in (None, "boolean"):
                return FAILING
            if attr.checked_type is None:
                return OPAQUE
            return Formula(
                (_test(attr, Op.EQ, True),),
                (_test(attr, Op.EQ, False),),
                is_not_null(attr.id),
                is_not_null(attr.id),
                is_null(attr.id),
            )
        case Values() | Size() | Failing():
            return FAILING
        case Opaque():
            return OPAQUE


def allowing(operand: Operand) -> Formula:
    """`operand` as a whole rule: anything but null and false allows."""
    match operand:
        case Known(value):
            return known(value is not None and value is not False)
        case Column(attr):
            present = _null(attr, is_wanted=False)
            if attr.is_ref or attr.is_id or attr.checked_type not in (None, "boolean"):
                return present
            return conjunction((present, negate(_column_equals(attr, False))))
        case Values() | Size():
            return TRUE
        case Failing():
            return FAILING
        case Opaque():
            return OPAQUE


def relation(function: str, left: Operand, right: Operand) -> Formula:
    """`left function right`, for one of RELATIONS."""
    if isinstance(left, Opaque) or isinstance(right, Opaque):
        return OPAQUE
    if isinstance(left, Failing) or isinstance(right, Failing):
        return FAILING
    match function:
        case "_==_":
            return _equality(left, right)
        case "_!=_":
            return negate(_equality(left, right))
        case "_in_":
            return _membership(left, right)
        case _:
            return _comparison(function, left, right)


def _equality(left: Operand, right: Operand) -> Formula:
    match left, right:
        case Known(one), Known(two):
            try:
                return known(equal(one, two, Budget()))
            except (EvaluationError, BudgetExceeded):
                return OPAQUE
        case (Column(attr), Known(value)) | (Known(value), Column(attr)):
            return _column_equals(attr, value)
        case (Values(ref), Known(value)) | (Known(value), Values(ref)):
            if not isinstance(value, list | tuple):
                return FALSE
            return OPAQUE if value else negate(_not_empty(ref))
        case (Size() as size, Known(value)) | (Known(value), Size() as size):
            return _size("_==_", size, value)
        case _:
            return OPAQUE


def _column_equals(attr: Attr, value: Any) -> Formula:
    """`data.attr == value`. Values of different kinds are never equal, and never fail."""
    if value is None:
        return _null(attr, is_wanted=True)
    kind = kind_of(value)
    if attr.is_ref or attr.is_id:
        entity = _id_of(value)
        return FALSE if entity is None else _equals(attr, entity)
    if kind in ("bytes", "timestamp", "duration", "type"):
        return FALSE
    if is_by_instant(attr) or not _is_bindable(value):
        return OPAQUE
    return _equals(attr, int(value) if type(value) is Uint else value)


def _equals(attr: Attr, value: Any) -> Formula:
    return Formula(
        (_test(attr, Op.EQ, value),),
        (_test(attr, Op.NOT, value),),
        is_not_null(attr.id),
        ALWAYS,
        NEVER,
    )


def _null(attr: Attr, *, is_wanted: bool) -> Formula:
    """`data.attr == null`, or its opposite."""
    if attr.is_id:
        return known(not is_wanted)
    found = Formula(
        (_test(attr, Op.IS_NULL, True),),
        (_test(attr, Op.IS_NULL, False),),
        is_null(attr.id),
        is_not_null(attr.id),
        NEVER,
    )
    return found if is_wanted else negate(found)


def _comparison(function: str, left: Operand, right: Operand) -> Formula:
    match left, right:
        case Known(), Column() | Size():
            return _comparison(_SWAPPED[function], right, left)
        case Size() as size, Known(value):
            return _size(function, size, value)
        case Column(attr), Known(value) if attr.is_sortable and _is_bindable(value):
            kinds = {"string": ("string",), "number": ("int", "uint", "double")}
            if kind_of(value) not in kinds.get(attr.checked_type or "", ()):
                return OPAQUE
            op, opposite = _COMPARISONS[function]
            bound = int(value) if type(value) is Uint else value
            return Formula(
                (_test(attr, op, bound),),
                (_test(attr, opposite, bound),),
                is_not_null(attr.id),
                is_not_null(attr.id),
                is_null(attr.id),
            )
        case _:
            return OPAQUE


def _membership(item: Operand, items: Operand) -> Formula:
    match item, items:
        case Column(attr), Known(list() | tuple() as values):
            return _column_in(attr, values)
        case ((Column() | Values() | Size()), Known(dict())):
            return TRUE
        case _, Known(value) if not isinstance(value, list | tuple | dict | Map):
            return FAILING
        case Known(value), Values(ref=ref):
            return _value_in(value, ref)
        case _:
            return OPAQUE


def _column_in(attr: Attr, values: Sequence[Any]) -> Formula:
    """`data.attr in values`: the same as `==` with one of them."""
    if not (attr.is_ref or attr.is_id):
        if len(values) > limits.RULE_IN_VALUES_MAX:
            return OPAQUE
        if len(values) <= 1 or not all(_is_listable(attr, value) for value in values):
            return disjunction([_column_equals(attr, value) for value in values])
        plain = [value for value in values if value is not None]
        found = _any_of(attr, [int(v) if type(v) is Uint else v for v in plain])
    else:
        found = _any_of(attr, [entity for value in values if (entity := _id_of(value))])
    if None in values:
        found = disjunction((found, _null(attr, is_wanted=True)))
    return found


def _is_listable(attr: Attr, value: Any) -> bool:
    return value is None or (_is_bindable(value) and not is_by_instant(attr))


def _any_of(attr: Attr, values: Sequence[Any]) -> Formula:
    """`attr` has one of these values, none of them null. The opposite only for a few."""
    if not values:
        return FALSE
    if len(values) == 1:
        return _equals(attr, values[0])
    others: Scope | None = None
    if len(values) <= _OTHERS_MAX:
        others = tuple(_test(attr, Op.NOT, value) for value in values)
    listed = tuple(dict.fromkeys(values)) if attr.is_ref or attr.is_id else list(values)
    return Formula((_test(attr, Op.IN, listed),), others, is_not_null(attr.id), ALWAYS, NEVER)


_OTHERS_MAX: Final = 20


def _value_in(value: Any, ref: Ref) -> Formula:
    """`value in data.ref("…")`. SQL cannot express that no linked entity has the value."""
    attr = ref.attr
    bound = value
    if attr.is_ref or attr.is_id:
        bound = _id_of(value)
        if bound is None:
            return FALSE
    elif value is None:
        return FALSE
    elif is_by_instant(attr) or not _is_bindable(value):
        return OPAQUE
    elif type(value) is Uint:
        bound = int(value)
    return _exists(Test(ref.path, attr, ref.is_forward, Op.EQ, bound), None)


def _not_empty(ref: Ref) -> Formula:
    """`data.ref("…") != []`.

    SQL can express that it is empty only for links of the entity itself. On longer paths links may
    lead to entities that do not exist: SQL counts these links, `ref` does not give their values.
    """
    absent = None
    if not ref.path:
        absent = Test((), ref.attr, ref.is_forward, Op.IS_NULL, True)
    return _exists(Test(ref.path, ref.attr, ref.is_forward, Op.IS_NULL, False), absent)


def _exists(test: Test, opposite: Test | None) -> Formula:
    """A test in a scope of its own: each `ref` reads entities of its own."""
    return Formula(
        (AllOf(((test,),)),),
        None if opposite is None else (AllOf(((opposite,),)),),
        ALWAYS,
        ALWAYS,
        NEVER,
    )


def _size(function: str, size: Size, value: Any) -> Formula:
    if kind_of(value) not in ("int", "uint", "double"):
        return FALSE if function == "_==_" else OPAQUE
    asks_empty = _IS_EMPTY.get((function, value))
    if asks_empty is None:
        return OPAQUE
    found = _not_empty(size.ref)
    return negate(found) if asks_empty else found


def pattern(function: str, text: Operand, part: Operand) -> Formula:
    """`text.startsWith(part)`, `endsWith` or `contains`. SQL cannot express the opposite."""
    match text, part:
        case Column(attr), Known(str() as wanted) if (
            attr.checked_type == "string" and not attr.is_id and _is_bindable(wanted)
        ):
            escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            if len(escaped) + 2 > limits.LIKE_PATTERN_CHARS_MAX:
                return OPAQUE
            return Formula(
                (_test(attr, Op.LIKE, _PATTERNS[function].format(escaped)),),
                None,
                is_not_null(attr.id),
                is_not_null(attr.id),
                is_null(attr.id),
            )
        case _:
            return OPAQUE


def _test(attr: Attr, op: Op, value: Any) -> Test:
    return Test((), attr, True, op, value)


def _id_of(value: Any) -> EntityId | None:
    """The id in a text, if it is written as `data` writes ids."""
    if type(value) is not str or value != value.lower():
        return None
    return find_uuid_bytes(value)


def _is_bindable(value: Any) -> bool:
    """Whether SQL compares the value with a stored one as expressions do."""
    match value:
        case bool():
            return True
        case int():
            return INT64_MIN <= value <= INT64_MAX
        case float():
            return math.isfinite(value)
        case str():
            return "\x00" not in value and (value.isascii() or _is_encodable(value))
        case _:
            return False


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
