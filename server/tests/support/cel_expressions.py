"""Short forms for tests of expressions: evaluate, print a tree, random trees."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

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
from trice.cel.uint import Uint
from trice.cel.values import Budget

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


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(0, 3).map(Uint),
    st.sampled_from([0.0, 0.5, -1.0, 2.0]),
    st.sampled_from(["", "a", "ab"]),
)


def untyped(value: Any) -> Node:
    return Call("dyn", None, (Literal(value, at=0),), at=0)


def compound(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(["_+_", "_-_", "_*_", "_/_", "_<_", "_>=_", "_==_", "_!=_", "_in_"])
    macros = st.sampled_from(["all", "exists", "exists_one", "map", "filter"])
    listed = st.lists(inner, max_size=3).map(lambda items: ListOf(tuple(items), at=0))
    two = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Call, operators, st.none(), st.tuples(inner, inner), at=st.just(0)),
        st.builds(Call, st.just("_[_]"), st.none(), st.tuples(listed, inner), at=st.just(0)),
        st.builds(Call, st.just("!_"), st.none(), st.tuples(inner), at=st.just(0)),
        st.builds(Junction, st.sampled_from(["&&", "||"]), two, at=st.just(0)),
        st.builds(Choice, inner, inner, inner, at=st.just(0)),
        listed,
        st.builds(Loop, macros, listed, st.just("x"), st.none(), inner, at=st.just(0)),
        st.builds(Bind, st.just("x"), inner, inner, at=st.just(0)),
    )


TREES = st.recursive(SCALARS.map(untyped) | st.just(Name("x", at=0)), compound, max_leaves=10).map(
    lambda body: Bind("x", untyped(1), body, at=0)
)
"""Expressions without variables, many of which have no value."""
