"""What a program names. It is found once, so no other code walks the tree for it. No I/O.

source   spec/rules.md R57, R72
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from typing import Literal as OneOf

from trice import limits
from trice.cel.ast import Bind, Call, Has, Literal, Loop, Name, Node, Select, children
from trice.cel.evaluate import Program

RuleVariable = OneOf["auth", "data", "linkedData", "newData", "rateLimit", "request", "ruleParams"]

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What one program names, the binds it uses included.

    constant   True or False when the program always allows or always denies, whatever the data
    fields     (variable, label) of `variable.label`
    whole      variables that are used as a whole, not by a field or `ref`
    refs       (variable, path) of `variable.ref("path")` where the path is written out
    computed_refs   variables whose `ref` is called with a path that is computed
    """

    constant: bool | None
    fields: frozenset[tuple[str, str]]
    whole: frozenset[str]
    refs: frozenset[tuple[str, str]]
    computed_refs: frozenset[str]

    def labels(self, variable: RuleVariable) -> frozenset[str]:
        """Fields of `variable` that are named."""
        return frozenset(label for name, label in self.fields if name == variable)

    def paths(self, variable: RuleVariable) -> frozenset[str]:
        """Paths of `variable.ref` that are written out."""
        return frozenset(path for name, path in self.refs if name == variable)

    def mentions(self, variable: RuleVariable, label: str | None = None) -> bool:
        """Whether the value of `variable`, or just of one field, can matter."""
        if variable in self.whole or (label is None and variable in self.computed_refs):
            return True
        if label is not None:
            return (variable, label) in self.fields
        return any(name == variable for name, _ in (*self.fields, *self.refs))


@lru_cache(maxsize=limits.RULE_FACTS_KEPT)
def facts_of(program: Program) -> Facts:
    """The facts of `program`. Costs about 1 µs a node, the first time."""
    fields: set[tuple[str, str]] = set()
    whole: set[str] = set()
    refs: set[tuple[str, str]] = set()
    computed: set[str] = set()
    for variable, field, path in _uses(program):
        if field is not None:
            fields.add((variable, field))
        elif path is None:
            whole.add(variable)
        elif path:
            refs.add((variable, path))
        else:
            computed.add(variable)
    root = program.expression.root
    constant = None
    if isinstance(root, Literal):
        constant = root.value is not None and root.value is not False
    return Facts(
        constant, frozenset(fields), frozenset(whole), frozenset(refs), frozenset(computed)
    )


_Use = tuple[str, str | None, str | None]
"""A variable with the field that is read, or the path of its `ref` ("" where it is computed)."""


def _uses(program: Program) -> Iterator[_Use]:
    local: frozenset[str] = _NONE
    for name, value in program.binds:
        yield from uses_below(value.root, local)
        local |= {name}
    yield from uses_below(program.expression.root, local)


def uses_below(root: Node, local: frozenset[str] = frozenset()) -> Iterator[_Use]:
    """Uses of variables of the environment; variables in `local` hide them."""
    waiting = [(root, local)]
    while waiting:
        node, hidden = waiting.pop()
        match node:
            case (
                Select(operand=Name(name=name), field=field)
                | Has(operand=Name(name=name), field=field)
            ) if name not in hidden:
                yield name, field, None
            case Call(function="_[_]", arguments=(Name(name=name), Literal(value=str(field)))) if (
                name not in hidden
            ):
                yield name, field, None
            case Call(function="ref", target=Name(name=name), arguments=(argument,)) if (
                name not in hidden
            ):
                match argument:
                    case Literal(value=str(path)) if path:
                        yield name, None, path
                    case _:
                        yield name, None, ""
                waiting.append((argument, hidden))
            case Name(name=name):
                if name not in hidden:
                    yield name, None, None
            case Loop(items=items, variable=variable, condition=condition, body=body):
                waiting.append((items, hidden))
                inner = hidden | {variable}
                waiting.append((body, inner))
                if condition is not None:
                    waiting.append((condition, inner))
            case Bind(variable=variable, value=value, body=body):
                waiting.append((value, hidden))
                waiting.append((body, hidden | {variable}))
            case _:
                waiting.extend((child, hidden) for child in children(node))
