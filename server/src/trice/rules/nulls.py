"""Comparisons that let strangers in, because null in the request equals null in the data. No I/O.

    auth.id == data.ownerId      true for guests where there is no owner: both are null
    data.code == ruleParams.code true for callers that send no code where there is none

To find out whether that matters, the whole rule is evaluated with both sides null, and with every
unknown value both ways: once with the comparison true, once with it false. A guard such as
`auth.id != null && …`, anywhere in the rule, makes both results the same.

source   spec/rules.md R187
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

from trice.cel.ast import (
    Bind,
    Call,
    Choice,
    Has,
    Junction,
    ListOf,
    Loop,
    Name,
    Node,
    Select,
    walk,
)
from trice.cel.ast import Literal as LiteralNode
from trice.cel.evaluate import Program

_REQUEST: Final = ("auth", "ruleParams")
_ROWS: Final = ("data", "newData", "linkedData")
_GIVEN: Final = frozenset((*_REQUEST, *_ROWS))


@dataclass(frozen=True, slots=True)
class Suspect:
    """A comparison of something the request may lack with something an entity may lack.

    node      the comparison
    bind      the bind that contains it; None: the expression itself
    given     the side of the request: variable and field
    stored    the side of the entity: variable and field
    """

    node: Call
    bind: str | None
    given: tuple[str, str]
    stored: tuple[str, str]


class Exhausted(Exception):
    """There are more nodes than the budget allows."""


class NodeBudget:
    """How many nodes may still be visited."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self) -> None:
        """Count one; raises Exhausted."""
        self.left -= 1
        if self.left < 0:
            raise Exhausted


def suspects(program: Program, steps: NodeBudget) -> Iterator[Suspect]:
    """Every such comparison of a program, those in its binds included; raises Exhausted."""
    binds = {name: value.root for name, value in program.binds}
    for bind, root in (*binds.items(), (None, program.expression.root)):
        for node, _ in walk(root):
            steps.take()
            match node:
                case Call(function="_==_", arguments=(one, two)):
                    pairs = [(one, two), (two, one)]
                case Call(function="_in_", arguments=(one, ListOf(items=items))):
                    pairs = [(one, item) for item in items]
                case _:
                    continue
            for mine, other in pairs:
                given, stored = _field(mine, binds), _field(other, binds)
                if given is None or stored is None:
                    continue
                if given[0] in _REQUEST and stored[0] in _ROWS and stored[1] != "id":
                    yield Suspect(node, bind, given, stored)


def _field(node: Node, binds: Mapping[str, Node]) -> tuple[str, str] | None:
    """The variable and field that a node reads, directly or through binds."""
    for _ in range(len(binds) + 1):
        match node:
            case Name(name=name) if name in binds:
                node = binds[name]
            case Select(operand=Name(name=name), field=field):
                return name, field
            case Call(function="_[_]", arguments=(Name(name=name), LiteralNode(value=str(field)))):
                return name, field
            case _:
                return None
    return None


def lets_in(program: Program, suspect: Suspect, steps: NodeBudget) -> bool:
    """Whether the program may allow only because both sides of `suspect` are null.

    raises   Exhausted
    """
    found = _Guess(program, suspect, steps).outcome(program.expression.root, {})
    return any(with_it == "true" != without for with_it, without in found)


_Result = Literal["true", "false", "neither"]
_Outcomes = frozenset[tuple[_Result, _Result]]
"""The possible results of a node, with the comparison true and with it false."""

_TRUE: Final[_Outcomes] = frozenset((("true", "true"),))
_FALSE: Final[_Outcomes] = frozenset((("false", "false"),))
_NEITHER: Final[_Outcomes] = frozenset((("neither", "neither"),))
_EITHER: Final[_Outcomes] = _TRUE | _FALSE
_SUSPECT: Final[_Outcomes] = frozenset((("true", "false"),))


@dataclass(frozen=True, slots=True)
class _Sign:
    """A value that is only partly known."""

    name: str


_ANY: Final = _Sign("any value")
_SOME: Final = _Sign("a value that is not null")
_FULL: Final = _Sign("a list without null")
_ERROR: Final = _Sign("no value")
_EMPTY: Final = ()


class _Guess:
    """Evaluates one program with what is known: constants, and what is null.

    Values are those of JSON, tuples for lists, or a sign.
    """

    def __init__(self, program: Program, suspect: Suspect, steps: NodeBudget) -> None:
        self._suspect = suspect
        self._steps = steps
        self._binds = {name: value.root for name, value in program.binds}
        self._is_guest = suspect.given[0] == "auth"
        self._outcomes: dict[str, _Outcomes] = {}
        self._values: dict[str, Any] = {}

    def outcome(self, node: Node, local: Mapping[str, Any]) -> _Outcomes:
        """The possible results of a condition. `local` holds the variables of macros."""
        self._steps.take()
        if node is self._suspect.node:
            return _SUSPECT
        match node:
            case Junction(operator=operator, operands=operands):
                return self._junction(operator, operands, local)
            case Call(function="!_", arguments=(operand,)):
                found = self.outcome(operand, local)
                return frozenset((_negated(one), _negated(two)) for one, two in found)
            case Choice(condition=condition, then=then, otherwise=otherwise):
                parts = [self.outcome(part, local) for part in (condition, then, otherwise)]
                return frozenset(
                    (_chosen(*(each[0] for each in three)), _chosen(*(each[1] for each in three)))
                    for three in product(*parts)
                )
            case Name(name=name) if name in self._binds and name not in local:
                if name not in self._outcomes:
                    self._outcomes[name] = _NEITHER  # for a cycle, which no program has
                    self._outcomes[name] = self.outcome(self._binds[name], {})
                return self._outcomes[name]
            case Bind(variable=variable, value=value, body=body):
                return self.outcome(body, {**local, variable: self.value(value, local)})
            case _:
                return _outcome_of(self.value(node, local))

    def _junction(
        self, operator: str, operands: Iterable[Node], local: Mapping[str, Any]
    ) -> _Outcomes:
        deciding: _Result = "true" if operator == "||" else "false"
        found: _Outcomes = _FALSE if operator == "||" else _TRUE
        for operand in operands:
            part = self.outcome(operand, local)
            found = frozenset(
                (_joined(deciding, one[0], two[0]), _joined(deciding, one[1], two[1]))
                for one, two in product(found, part)
            )
        return found

    def value(self, node: Node, local: Mapping[str, Any]) -> Any:
        """The value of a node, as far as it is known."""
        self._steps.take()
        match node:
            case LiteralNode(value=value):
                return value
            case Name(name=name):
                return self._name(name, local)
            case Has():
                return True
            case Select(operand=Name(name=name), field=field) if name not in local:
                return self._field(name, field)
            case Select(operand=operand):
                return _ANY if isinstance(self.value(operand, local), _Sign) else _ERROR
            case ListOf(items=items):
                return tuple(self.value(item, local) for item in items)
            case Loop(items=items, macro=macro):
                if self.value(items, local) != _EMPTY:
                    return _ANY
                return {"all": True, "exists": False, "exists_one": False}.get(macro, _EMPTY)
            case Call():
                return self._call(node, local)
            case Junction() | Choice() | Bind():
                found = self.outcome(node, local)
                return True if found == _TRUE else False if found == _FALSE else _ANY
            case _:
                return _SOME

    def _name(self, name: str, local: Mapping[str, Any]) -> Any:
        if name in local:
            return local[name]
        if name not in self._binds:
            return _SOME if name in _GIVEN else _ANY
        if name not in self._values:
            self._values[name] = _ERROR  # for a cycle, which no program has
            self._values[name] = self.value(self._binds[name], {})
        return self._values[name]

    def _field(self, name: str, field: str) -> Any:
        if name == self._suspect.given[0] or (name, field) == self._suspect.stored:
            return None
        return _SOME if name == "request" or (name in _ROWS and field == "id") else _ANY

    def _call(self, node: Call, local: Mapping[str, Any]) -> Any:
        match node:
            case Call(function="_[_]", arguments=(Name(name=name), LiteralNode(value=str(field)))):
                if name not in local and name not in self._binds:
                    return self._field(name, field)
            case Call(function="ref", target=Name(name=name)):
                return _EMPTY if name == "auth" and self._is_guest else _FULL
            case Call(function="limit" | "type"):
                return _ANY
        asked = node.arguments if node.target is None else (node.target, *node.arguments)
        values = [self.value(each, local) for each in asked]
        if any(value is _ERROR for value in values):
            return _ERROR
        match node.function, values:
            case "_==_" | "_!=_", (one, two):
                same = _is_equal(one, two)
                return same if same is _ANY else same is (node.function == "_==_")
            case "_in_", (one, two):
                return _is_in(one, two)
            case "size", (tuple() as items,):
                return len(items)
            case (("_<_" | "_>_" | "_<=_" | "_>=_"), (int() as one, int() as two)):
                compared = {"_<_": one < two, "_>_": one > two, "_<=_": one <= two}
                return compared.get(node.function, one >= two)
            case _:
                return _ERROR if None in values or _EMPTY in values[:1] else _ANY


def _is_equal(one: Any, two: Any) -> Any:
    """Whether two values are equal: True, False, or any."""
    for mine, other in ((one, two), (two, one)):
        if mine is None and other is not None and other is not _ANY:
            return False
    if isinstance(one, (_Sign, tuple)) or isinstance(two, (_Sign, tuple)):
        return True if one == two == _EMPTY else _ANY
    return type(one) is type(two) and one == two


def _is_in(one: Any, two: Any) -> Any:
    """Whether `one` is in the list `two`: True, False, any, or no value."""
    if two is None:
        return _ERROR
    if two is _FULL:
        return False if one is None else _ANY
    if not isinstance(two, tuple):
        return _ANY
    found = [_is_equal(one, item) for item in two]
    return True if True in found else _ANY if _ANY in found else False


def _outcome_of(value: Any) -> _Outcomes:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    return _EITHER if value is _ANY or value is _SOME else _NEITHER


def _negated(result: _Result) -> _Result:
    match result:
        case "true":
            return "false"
        case "false":
            return "true"
        case _:
            return "neither"


def _joined(deciding: _Result, one: _Result, two: _Result) -> _Result:
    """`&&` or `||` of two results: the deciding result wins, even over errors."""
    if deciding in (one, two):
        return deciding
    return one if one == two else "neither"


def _chosen(condition: _Result, then: _Result, otherwise: _Result) -> _Result:
    match condition:
        case "true":
            return then
        case "false":
            return otherwise
        case _:
            return "neither"
