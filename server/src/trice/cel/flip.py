"""What would have had to be true: the least change that reverses a traced result. No I/O.

    a && b    to be true: each operand that is not            to be false: any one of them
    a || b    to be true: any one of them                     to be false: each that is true
    !a        the opposite                 c ? t : e          the branch taken, or the other with c

Everything else is a condition, told with the values it was made from.

source   spec/cel.md E90-E93
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from trice.cel.ast import Bind, Call, Choice, Junction, Literal, Loop, Name, Node, Select, children
from trice.cel.environment import Environment
from trice.cel.text import text_of
from trice.cel.trace import Seen, Trace

_OPPOSITES: Final = {"_==_": "_!=_", "_!=_": "_==_"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A value that a condition was made from: `data.owner`, `auth.ref('$user.teams.id')`.

    seen   its value or error; None when it was never evaluated
    """

    text: str
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition that would have had to be true. Conditions of the same text are equal.

    error   why it had no value; "" when it had one
    """

    text: str
    facts: tuple[Fact, ...] = field(compare=False)
    error: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Several:
    """Two needs or more: all of them, or any one."""

    is_all: bool
    needs: tuple[Need, ...]


Need = Condition | Several
Definitions = Mapping[str, Node]
"""Names of binds, and their expressions."""


def flip(trace: Trace, *, goal: bool) -> Need | None:
    """What would have had to be true for a traced expression to have the result `goal`.

    goal      true: a value that is neither null nor false
    returns   None when no values would do: the expression is constant there
    """
    scope = {name: value.root for name, value in trace.binds.items()}
    root = trace.original.expression.root
    need = _flip(trace, root, goal, scope)
    seen = trace.found(root)
    if goal and isinstance(need, Condition) and seen is not None and not seen.error:
        is_null = seen.value is None and need.text == text_of(root)
        return Condition(f"{need.text} != null", need.facts, "") if is_null else need
    return need


def conditions(trace: Trace) -> dict[str, Node]:
    """The conditions an expression is made of, below `&&`, `||`, `!`, `? :` and binds, by text."""
    scope: Definitions = {name: value.root for name, value in trace.binds.items()}
    found: dict[str, Node] = {}
    waiting = [(trace.original.expression.root, scope)]
    while waiting:
        node, names = waiting.pop()
        match node:
            case Junction() | Choice() | Call(function="!_"):
                waiting.extend((part, names) for part in reversed(children(node)))
            case Bind(variable=variable, value=value, body=body):
                waiting.append((body, {**names, variable: value}))
            case Name(name=name) if name in names:
                waiting.append((names[name], _without(names, name)))
            case _ if not _is_constant(node, names):
                found.setdefault(text_of(node), node)
            case _:
                pass
    return found


def facts_of(trace: Trace) -> tuple[Fact, ...]:
    """Every value that an expression reads, those of binds included."""
    scope = {name: value.root for name, value in trace.binds.items()}
    return _facts(trace, trace.original.expression.root, scope)


def _flip(trace: Trace, node: Node, goal: bool, scope: Definitions) -> Need | None:
    match node:
        case Junction(operator=operator, operands=operands):
            if (operator == "&&") == goal:
                missing = [part for part in operands if not _is(trace, part, goal)]
                return _all(_flip(trace, part, goal, scope) for part in missing)
            return _any(_flip(trace, part, goal, scope) for part in operands)
        case Call(function="!_", arguments=(operand,)):
            return _flip(trace, operand, not goal, scope)
        case Choice():
            return _flip_choice(trace, node, goal, scope)
        case Bind(variable=variable, value=value, body=body):
            return _flip(trace, body, goal, {**scope, variable: value})
        case Name(name=name) if name in scope:
            return _flip(trace, scope[name], goal, _without(scope, name))
        case _ if _is_constant(node, scope):
            return None
        case _:
            seen = trace.found(node)
            text = text_of(node if goal else _negated(node))
            return Condition(text, _facts(trace, node, scope), "" if seen is None else seen.error)


def _flip_choice(trace: Trace, node: Choice, goal: bool, scope: Definitions) -> Need | None:
    """The need that the branch taken results in `goal`, or that the condition chooses the other
    branch and that results in `goal`."""
    options: list[Need | None] = []
    for branch, chosen in ((node.then, True), (node.otherwise, False)):
        needs: list[Need | None] = []
        if not _is(trace, node.condition, chosen):
            needs.append(_flip(trace, node.condition, chosen, scope))
        if not _is(trace, branch, goal):
            needs.append(_flip(trace, branch, goal, scope))
        if needs:
            options.append(_all(needs))
    return _any(options)


def _is(trace: Trace, node: Node, goal: bool) -> bool:
    seen = trace.found(node)
    return seen is not None and seen.value is goal


def _all(needs: Iterable[Need | None]) -> Need | None:
    found = list(needs)
    return None if None in found else _several(True, [need for need in found if need is not None])


def _any(needs: Iterable[Need | None]) -> Need | None:
    return _several(False, [need for need in needs if need is not None])


def _several(is_all: bool, needs: list[Need]) -> Need | None:
    """The needs as one, simplified: nested ones of one kind are merged, repeated ones left out."""
    flat: dict[Need, None] = {}
    for need in needs:
        if isinstance(need, Several) and need.is_all == is_all:
            flat.update(dict.fromkeys(need.needs))
        else:
            flat[need] = None
    found = tuple(flat)
    return found[0] if len(found) == 1 else Several(is_all, found) if found else None


def _negated(node: Node) -> Node:
    match node:
        case Call(function=function, arguments=arguments, at=at) if function in _OPPOSITES:
            return Call(_OPPOSITES[function], None, arguments, at=at)
        case _:
            return Call("!_", None, (node,), at=node.at)


def _is_constant(node: Node, scope: Definitions) -> bool:
    match node:
        case Name(name=name):
            return name in scope and _is_constant(scope[name], _without(scope, name))
        case _:
            return all(_is_constant(part, scope) for part in children(node))


def _facts(trace: Trace, node: Node, scope: Definitions) -> tuple[Fact, ...]:
    found: dict[str, Fact] = {}
    for part in _values(node, trace.original.environment, scope, frozenset()):
        text = text_of(part)
        found.setdefault(text, Fact(text, trace.found(part)))
    return tuple(found.values())


def _values(
    node: Node, environment: Environment, scope: Definitions, loops: frozenset[str]
) -> Iterator[Node]:
    """The longest paths from variables, and calls of the host, without a loop's variable."""
    start = _start(node, environment)
    if start is not None:
        if start in loops:
            return
        if start in scope:
            yield from _values(scope[start], environment, _without(scope, start), loops)
        elif start in environment.variables:
            yield node
        return
    match node:
        case Bind(variable=variable, value=value, body=body):
            yield from _values(body, environment, {**scope, variable: value}, loops)
        case Loop(items=items, variable=variable):
            yield from _values(items, environment, scope, loops)
            for part in children(node)[1:]:
                yield from _values(part, environment, scope, loops | {variable})
        case _:
            for part in children(node):
                yield from _values(part, environment, scope, loops)


def _start(node: Node, environment: Environment) -> str | None:
    """The variable at which a path, or a call of the host, starts; None if it is neither."""
    while True:
        match node:
            case Name(name=name):
                return name
            case Select(operand=operand):
                node = operand
            case Call(function="_[_]", arguments=(holder, Literal())):
                node = holder
            case Call(function=function, target=Name() | Select() as target) if (
                f"{text_of(target)}.{function}" in environment.methods
            ):
                node = target
            case _:
                return None


def _without(scope: Definitions, name: str) -> Definitions:
    """`scope` within the value of `name`, which cannot name itself."""
    return {known: value for known, value in scope.items() if known != name}
