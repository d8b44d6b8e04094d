"""Short forms for tests of expressions: evaluate, print a tree."""

from __future__ import annotations

from typing import Any

from trice.catalog.dates import instant_us
from trice.cel.ast import (
    Bind,
    Call,
    Choice,
    Has,
    Junction,
    ListOf,
    Literal,
    Loop,
    MapOf,
    Name,
    Node,
    Select,
)
from trice.cel.environment import Environment, Method, Record
from trice.cel.evaluate import evaluate, make_program
from trice.cel.parse import parse
from trice.cel.values import Budget, Uint

ENVIRONMENT = Environment(
    {
        "auth": "map",
        "data": "map",
        "request": Record({"time": "timestamp", "ip": "string"}, " Nothing else."),
    },
    {"data.ref": Method(("string",), required=1, result="list")},
    instant_us,
)


def value_of(source: str, data: Any = None, *, steps: int | None = None) -> Any:
    """Evaluate `source` with `data`."""
    variables = {
        "auth": {"id": "ann"},
        "data": {} if data is None else data,
        "request": {"time": None, "ip": ""},
        "data.ref": lambda path: [path, "ann"],
    }
    budget = Budget() if steps is None else Budget(steps)
    return evaluate(make_program(parse(source), ENVIRONMENT), variables, budget)


def show_tree(node: Node) -> str:
    """Write a tree as text, every operand in brackets."""
    match node:
        case Literal(value=value):
            return _show_literal(value)
        case Name(name=name):
            return name
        case Select(operand=operand, field=field):
            return f"({show_tree(operand)}).`{field}`"
        case Has(operand=operand, field=field):
            return f"has(({show_tree(operand)}).`{field}`)"
        case Call(function="_[_]", arguments=(holder, key)):
            return f"({show_tree(holder)})[{show_tree(key)}]"
        case Call(function=name, target=None, arguments=(left, right)) if name.startswith("_"):
            return f"({show_tree(left)}) {name[1:-1]} ({show_tree(right)})"
        case Call(function=("!_" | "-_") as name, arguments=(operand,)):
            return f"{name[0]}({show_tree(operand)})"
        case Call(function=name, target=target, arguments=arguments):
            shown = ", ".join(map(show_tree, arguments))
            return (
                f"{name}({shown})" if target is None else f"({show_tree(target)}).{name}({shown})"
            )
        case Junction(operator=operator, operands=operands):
            return f" {operator} ".join(f"({show_tree(operand)})" for operand in operands)
        case Choice(condition=condition, then=then, otherwise=otherwise):
            parts = [show_tree(part) for part in (condition, then, otherwise)]
            return "({}) ? ({}) : ({})".format(*parts)
        case ListOf(items=items):
            return f"[{', '.join(map(show_tree, items))}]"
        case MapOf(entries=entries):
            return f"{{{', '.join(f'{show_tree(k)}: {show_tree(v)}' for k, v in entries)}}}"
        case Loop(macro=macro, items=items, variable=variable, condition=condition, body=body):
            middle = "" if condition is None else f"{show_tree(condition)}, "
            return f"({show_tree(items)}).{macro}({variable}, {middle}{show_tree(body)})"
        case Bind(variable=variable, value=value, body=body):
            return f"cel.bind({variable}, {show_tree(value)}, {show_tree(body)})"


def _show_literal(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Uint():
            return f"{int(value)}u"
        case bytes():
            return "b'" + "".join(f"\\x{octet:02x}" for octet in value) + "'"
        case str():
            return "'" + "".join(f"\\U{ord(character):08x}" for character in value) + "'"
        case _:
            return repr(value)
