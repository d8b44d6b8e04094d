"""The parts of a rule that do not depend on the entity, each compiled by itself. No I/O.

source   instant-semantics §5.10; spec/rules.md R70
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from trice import limits
from trice.cel.ast import Bind, Literal, Loop, Name, Node, children, walk
from trice.cel.environment import Environment
from trice.cel.evaluate import Program, make_program
from trice.cel.parse import Expression

DATA: Final = "data"
_ROW_VARIABLES: Final = frozenset((DATA, "rateLimit"))
"""Variables that make a part depend on the entity."""


LocalScope = Mapping[str, "Local"]
"""The binds and variables of loops that a part may name."""


@dataclass(frozen=True, slots=True)
class Local:
    """A bind: its expression, and the names that this may use itself."""

    value: Node
    scope: LocalScope


_ITEM: Final = Local(Literal(None, at=0), {})
"""The variable of a loop. Whether it depends on the entity, the loop's list tells."""


class Template:
    """A program that is split once: which parts depend on the entity, and the compiled others."""

    def __init__(self, program: Program) -> None:
        self.root = program.expression.root
        scope: dict[str, Local] = {}
        for name, value in program.binds:
            scope = {**scope, name: Local(value.root, scope)}
        self.scope: LocalScope = scope
        self._environment = program.environment
        self._dependent: dict[int, bool] = {}
        self._constants: dict[int, Program] = {}

    def is_dependent(self, node: Node, scope: LocalScope) -> bool:
        """Whether the value of `node` depends on the entity."""
        found = self._dependent.get(id(node))
        if found is None:
            found = self._dependent[id(node)] = self._depends(node, scope)
        return found

    def _depends(self, node: Node, scope: LocalScope) -> bool:
        match node:
            case Name(name=name):
                local = scope.get(name)
                if local is None:
                    return name in _ROW_VARIABLES
                return self.is_dependent(local.value, local.scope)
            case Bind(variable=variable, value=value, body=body):
                return self.is_dependent(body, {**scope, variable: Local(value, scope)})
            case Loop(items=items, variable=variable, condition=condition, body=body):
                inner = {**scope, variable: _ITEM}
                parts = (body,) if condition is None else (condition, body)
                return self.is_dependent(items, scope) or any(
                    self.is_dependent(part, inner) for part in parts
                )
            case _:
                return any(self.is_dependent(child, scope) for child in children(node))

    def constant(self, node: Node, scope: LocalScope) -> Program:
        """A part that does not depend on the entity, as a program of its own."""
        found = self._constants.get(id(node))
        if found is None:
            found = _part(node, scope, self._environment)
            self._constants[id(node)] = found
        return found


def _part(node: Node, scope: LocalScope, environment: Environment) -> Program:
    """Compile one node, whose locals become nested `cel.bind`s."""
    needed = _names(node)
    for name, local in reversed(tuple(scope.items())):
        if name in needed:
            needed |= _names(local.value)
            node = Bind(name, local.value, node, at=node.at)
    return make_program(Expression("", node), environment)


def _names(node: Node) -> set[str]:
    return {found.name for found, _ in walk(node) if isinstance(found, Name)}


@lru_cache(maxsize=limits.RULE_FACTS_KEPT)
def template_of(program: Program) -> Template:
    return Template(program)
