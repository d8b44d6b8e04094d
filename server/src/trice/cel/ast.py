"""The tree of an expression. Frozen; comparing trees ignores positions. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal as OneOf

from trice.cel.uint import Uint


@dataclass(frozen=True, slots=True)
class Position:
    """Where a node begins: character offset in its source."""

    at: int = field(compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Literal(Position):
    """`1`, `2u`, `1.5`, `'a'`, `b'a'`, `true`, `null`."""

    value: bool | int | Uint | float | str | bytes | None

    def __eq__(self, other: object) -> bool:
        """Whether value and type are equal: `1`, `1u`, `1.0` and `true` are different literals."""
        if not isinstance(other, Literal) or type(self.value) is not type(other.value):
            return False
        return repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True, slots=True)
class Name(Position):
    """A variable, or a type such as `int`."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Position):
    """`operand.field`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Has(Position):
    """`has(operand.field)`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Call(Position):
    """`function(arguments)`, `target.function(arguments)`; operators are called `_+_`, `!_`…"""

    function: str
    target: Node | None
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Junction(Position):
    """`a && b && c` or `a || b || c`. It is flat: a long one is not deep."""

    operator: OneOf["&&", "||"]
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice(Position):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class ListOf(Position):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Position):
    """`{key: value}`."""

    entries: tuple[tuple[Node, Node], ...]


MacroName = OneOf["all", "exists", "exists_one", "map", "filter"]


@dataclass(frozen=True, slots=True)
class Loop(Position):
    """`items.macro(variable, body)`, or `items.map(variable, condition, body)`."""

    macro: MacroName
    items: Node
    variable: str
    condition: Node | None
    body: Node


@dataclass(frozen=True, slots=True)
class Bind(Position):
    """`cel.bind(variable, value, body)`. `value` is evaluated when first used, once."""

    variable: str
    value: Node
    body: Node


Node = Literal | Name | Select | Has | Call | Junction | Choice | ListOf | MapOf | Loop | Bind


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in source order."""
    match node:
        case Literal() | Name():
            return ()
        case Select(operand=operand) | Has(operand=operand):
            return (operand,)
        case Call(target=target, arguments=arguments):
            return arguments if target is None else (target, *arguments)
        case Junction(operands=operands):
            return operands
        case Choice(condition=condition, then=then, otherwise=otherwise):
            return (condition, then, otherwise)
        case ListOf(items=items):
            return items
        case MapOf(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Loop(items=over, condition=condition, body=body):
            return (over, body) if condition is None else (over, condition, body)
        case Bind(value=value, body=body):
            return (value, body)


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Every node with its depth, the root first at depth 1. Does not recurse in Python."""
    waiting = [(node, 1)]
    while waiting:
        found, depth = waiting.pop()
        yield found, depth
        waiting.extend((child, depth + 1) for child in reversed(children(found)))
