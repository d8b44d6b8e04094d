"""What each kind of node does when evaluated: a closure over the closures of its parts. No I/O.

A closure takes the scope of one evaluation: variables by name, local variables by number, the
budget under BUDGET. Measured: 0.05 to 0.1 µs a closure; walking the tree takes six times that.

source   spec/cel.md E10-E35; instant-semantics §5.5
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from trice.cel.errors import EvaluationError
from trice.cel.functions import Overload, Overloads
from trice.cel.values import KINDS, Map, equal, kind_of

Variables = dict[str | int, Any]
Run = Callable[[Variables], Any]

BUDGET: Final = ""
"""The key of the Budget in a scope; no variable has this name."""

_CHARS_PER_STEP: Final = 96
_ERROR_STEPS: Final = 20
"""What an absorbed error costs: raising it is the slowest thing an expression can do."""

_UNSET: Final = object()


def constant(value: Any) -> Run:
    """A literal."""
    return lambda scope: value


def failing(reason: str, arguments: tuple[Run, ...] = ()) -> Run:
    """A part that never has a value, with any data."""

    def run(scope: Variables) -> Any:
        for argument in arguments:
            argument(scope)
        raise EvaluationError(reason)

    return run


def variable(key: str | int) -> Run:
    """A variable, or the variable of a loop."""
    return lambda scope: scope[key]


def bound(slot: int, value: Run, cost: int) -> Run:
    """A variable of `bind`, evaluated at its first use. An error is raised again at each use."""

    def run(scope: Variables) -> Any:
        found = scope[slot]
        if found is _UNSET:
            scope[BUDGET].charge(cost)
            found = scope[slot] = value(scope)
        return found

    return run


def bind(slot: int, body: Run) -> Run:
    """The scope of a bind."""

    def run(scope: Variables) -> Any:
        scope[slot] = _UNSET
        return body(scope)

    return run


def field_of_variable(name: str, field: str) -> Run:
    """`name.field`, by far the most frequent node."""

    def run(scope: Variables) -> Any:
        holder = scope[name]
        return holder.get(field) if type(holder) is dict else _select(holder, field)

    return run


def select(operand: Run, field: str) -> Run:
    """`operand.field`."""

    def run(scope: Variables) -> Any:
        holder = operand(scope)
        return holder.get(field) if type(holder) is dict else _select(holder, field)

    return run


def _select(holder: Any, field: str) -> Any:
    if type(holder) is Map:
        return holder.get(field)
    kind = kind_of(holder)
    raise EvaluationError(f"Field `{field}` was asked of {kind}; only maps have fields.")


def has(operand: Run, field: str) -> Run:
    """`has(operand.field)`. Data has every field."""

    def run(scope: Variables) -> bool:
        holder = operand(scope)
        if type(holder) is dict:
            return True
        if type(holder) is Map:
            return field in holder
        raise EvaluationError(f"has(….{field}) was asked of {kind_of(holder)}, which is no map.")

    return run


def equals(left: Run, right: Run) -> Run:
    """`left == right`."""

    def run(scope: Variables) -> bool:
        one = left(scope)
        two = right(scope)
        if type(one) is str and type(two) is str:
            if len(one) > _CHARS_PER_STEP:
                scope[BUDGET].charge(len(one) // _CHARS_PER_STEP)
            return bool(one == two)
        return equal(one, two, scope[BUDGET])

    return run


def differs(left: Run, right: Run) -> Run:
    """`left != right`."""
    same = equals(left, right)
    return lambda scope: not same(scope)


def is_null(operand: Run) -> Run:
    """`operand == null`."""
    return lambda scope: operand(scope) is None


def is_not_null(operand: Run) -> Run:
    """`operand != null`."""
    return lambda scope: operand(scope) is not None


def negate(operand: Run) -> Run:
    """`!operand`."""

    def run(scope: Variables) -> bool:
        value = operand(scope)
        if value is True:
            return False
        if value is False:
            return True
        raise _no_boolean("!", value)

    return run


def choice(condition: Run, then: Run, otherwise: Run) -> Run:
    """`condition ? then : otherwise`; only one of the two is evaluated."""

    def run(scope: Variables) -> Any:
        value = condition(scope)
        if value is True:
            return then(scope)
        if value is False:
            return otherwise(scope)
        raise _no_boolean("?:", value)

    return run


def _no_boolean(operator: str, value: Any) -> EvaluationError:
    return EvaluationError(f"`{operator}` takes a bool; it was given {kind_of(value)}.")


def junction(operator: str, operands: tuple[Run, ...]) -> Run:
    """`&&` and `||` of any number of operands: one that decides removes errors of the others."""
    deciding = operator == "||"
    neutral = not deciding

    def run(scope: Variables) -> bool:
        failure: EvaluationError | None = None
        for operand in operands:
            try:
                value = operand(scope)
            except EvaluationError as error:
                scope[BUDGET].charge(_ERROR_STEPS)
                failure = failure or error
                continue
            if value is deciding:
                return not neutral
            if value is not neutral:
                failure = failure or _no_boolean(operator, value)
        if failure is not None:
            raise failure
        return neutral

    return run


def list_of(items: tuple[Run, ...]) -> Run:
    """`[a, b]`."""
    return lambda scope: [item(scope) for item in items]


def map_of(entries: tuple[tuple[Run, Run], ...]) -> Run:
    """`{key: value}`."""
    return lambda scope: Map([(key(scope), value(scope)) for key, value in entries])


def call(name: str, overloads: Overloads, arguments: tuple[Run, ...]) -> Run:
    """A function of the table, chosen by the kinds of its arguments."""
    if len(arguments) == 2:
        return _call_two(name, overloads, *arguments)

    def run(scope: Variables) -> Any:
        values = [argument(scope) for argument in arguments]
        found = overloads.get(tuple([kind_of(value) for value in values]))
        if found is None:
            raise EvaluationError(no_overload(name, (kind_of(value) for value in values)))
        return _apply(found, scope, values)

    return run


def _call_two(name: str, overloads: Overloads, left: Run, right: Run) -> Run:
    kinds = KINDS.get

    def run(scope: Variables) -> Any:
        one = left(scope)
        two = right(scope)
        found = overloads.get((kinds(type(one), "object"), kinds(type(two), "object")))
        if found is None:
            raise EvaluationError(no_overload(name, (kind_of(one), kind_of(two))))
        return _apply(found, scope, (one, two))

    return run


def _apply(overload: Overload, scope: Variables, values: Iterable[Any]) -> Any:
    if overload.steps:
        scope[BUDGET].charge(overload.steps)
    for value in values:
        if type(value) in (str, bytes) and len(value) > _CHARS_PER_STEP:
            scope[BUDGET].charge(len(value) // _CHARS_PER_STEP)
    if overload.is_costly:
        return overload.call(scope[BUDGET], *values)
    return overload.call(*values)


def no_overload(name: str, kinds: Iterable[str]) -> str:
    """The message that a function does not take arguments of these kinds."""
    given = ", ".join(kinds)
    shown = name.strip("_") if name.endswith("_") or name == "_[_]" else name
    return f"`{shown.replace('[_]', '[]').replace('[_', '[]')}` does not take ({given})."


def host_call(name: str, arguments: tuple[Run, ...]) -> Run:
    """A function the host provides, found in the scope by its dotted name."""
    return lambda scope: scope[name](*[argument(scope) for argument in arguments])


def _items(scope: Variables, items: Run, macro: str) -> Iterable[Any]:
    found = items(scope)
    if type(found) in (list, tuple, dict, Map):
        return found  # type: ignore[no-any-return]
    raise EvaluationError(f"`{macro}` goes through lists and maps, not {kind_of(found)}.")


def quantifier(macro: str, items: Run, slot: int, body: Run, cost: int) -> Run:
    """`all` and `exists`: as `&&` and `||` over the items."""
    deciding = macro == "exists"
    neutral = not deciding

    def run(scope: Variables) -> bool:
        charge = scope[BUDGET].charge
        failure: EvaluationError | None = None
        for item in _items(scope, items, macro):
            charge(cost)
            scope[slot] = item
            try:
                value = body(scope)
            except EvaluationError as error:
                scope[BUDGET].charge(_ERROR_STEPS)
                failure = failure or error
                continue
            if value is deciding:
                return not neutral
            if value is not neutral:
                failure = failure or _no_boolean(macro, value)
        if failure is not None:
            raise failure
        return neutral

    return run


def selection(macro: str, items: Run, slot: int, condition: Run, result: Run, cost: int) -> Run:
    """`filter` and both forms of `map`: the results for the items that meet the condition."""

    def run(scope: Variables) -> list[Any]:
        charge = scope[BUDGET].charge
        kept: list[Any] = []
        for item in _items(scope, items, macro):
            charge(cost)
            scope[slot] = item
            value = condition(scope)
            if value is True:
                kept.append(result(scope))
            elif value is not False:
                raise _no_boolean(macro, value)
        return kept

    return run


def exactly_one(matching: Run) -> Run:
    """`exists_one`, given the items that match."""
    return lambda scope: len(matching(scope)) == 1
