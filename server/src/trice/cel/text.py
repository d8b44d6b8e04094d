"""The tree of an expression → its text, on one line, with the brackets it needs. No I/O.

source   spec/cel.md E7
"""

from __future__ import annotations

import re
from typing import Any, Final

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
from trice.cel.lex import KEYWORDS
from trice.cel.uint import Uint

_CHOICE: Final = 0
_EITHER: Final = 1
_EVERY: Final = 2
_RELATION: Final = 3
_SUM: Final = 4
_PRODUCT: Final = 5
_UNARY: Final = 6
_MEMBER: Final = 7

_LEVELS: Final = {
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "in"), _RELATION),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "%"), _PRODUCT),
}
_PLAIN_NAME: Final = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_ESCAPES: Final = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def text_of(node: Node) -> str:
    """Write a tree as text that parses to an equal tree."""
    return _write(node, _CHOICE)


def _write(node: Node, least: int) -> str:
    """`node`, in brackets unless it binds at least as tightly as `least`."""
    text, level = _written(node)
    return text if level >= least else f"({text})"


def _written(node: Node) -> tuple[str, int]:
    """The text of a node, and how tightly it binds."""
    match node:
        case Literal(value=value):
            return _literal(value)
        case Name(name=name):
            return name, _MEMBER
        case Select(operand=operand, field=field):
            return f"{_write(operand, _MEMBER)}.{_field(field)}", _MEMBER
        case Has(operand=operand, field=field):
            return f"has({_write(operand, _MEMBER)}.{_field(field)})", _MEMBER
        case Call():
            return _call(node)
        case Junction(operator=operator, operands=operands):
            level = _EITHER if operator == "||" else _EVERY
            parts = (_write(operand, level + 1) for operand in operands)
            return f" {operator} ".join(parts), level
        case Choice(condition=condition, then=then, otherwise=otherwise):
            first, second = _write(condition, _EITHER), _write(then, _EITHER)
            return f"{first} ? {second} : {_write(otherwise, _CHOICE)}", _CHOICE
        case ListOf(items=items):
            return f"[{_listed(items)}]", _MEMBER
        case MapOf(entries=entries):
            pairs = (f"{text_of(key)}: {text_of(value)}" for key, value in entries)
            return f"{{{', '.join(pairs)}}}", _MEMBER
        case Loop(macro=macro, items=items, variable=variable, condition=condition, body=body):
            arguments = _listed((body,) if condition is None else (condition, body))
            return f"{_write(items, _MEMBER)}.{macro}({variable}, {arguments})", _MEMBER
        case Bind(variable=variable, value=value, body=body):
            return f"cel.bind({variable}, {text_of(value)}, {text_of(body)})", _MEMBER


def _call(node: Call) -> tuple[str, int]:
    match node:
        case Call(function="_[_]", arguments=(holder, key)):
            return f"{_write(holder, _MEMBER)}[{text_of(key)}]", _MEMBER
        case Call(function=("!_" | "-_") as name, arguments=(operand,)):
            # `-1` is a literal, `-(1)` is the negation of a literal.
            is_number = isinstance(operand, Literal) and type(operand.value) in (int, float)
            written = _write(operand, _UNARY)
            has_brackets = name == "-_" and is_number and not written.startswith("-")
            return f"{name[0]}({written})" if has_brackets else f"{name[0]}{written}", _UNARY
        case Call(function=name, target=None, arguments=(left, right)) if name.startswith("_"):
            operator = name[1:-1]
            level = _LEVELS[operator]
            return f"{_write(left, level)} {operator} {_write(right, level + 1)}", level
        case Call(function=name, target=None, arguments=arguments):
            return f"{name}({_listed(arguments)})", _MEMBER
        case Call(function=name, target=target, arguments=arguments):
            assert target is not None
            return f"{_write(target, _MEMBER)}.{name}({_listed(arguments)})", _MEMBER


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(text_of(node) for node in nodes)


def _field(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) and name not in KEYWORDS else f"`{name}`"


def _literal(value: Any) -> tuple[str, int]:
    match value:
        case None:
            return "null", _MEMBER
        case bool():
            return "true" if value else "false", _MEMBER
        case str():
            return f"'{''.join(map(_character, value))}'", _MEMBER
        case bytes():
            return "b'" + "".join(f"\\x{octet:02x}" for octet in value) + "'", _MEMBER
        case Uint():
            return f"{int(value)}u", _UNARY
        case _:
            return repr(value), _UNARY


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    return character if character.isprintable() else f"\\U{ord(character):08x}"
