"""Repeating in error messages what clients sent: in the words of JSON, cut short. No I/O.

Error messages say `null`, `true`, "an object"; never Python's `None`, `True`, `dict`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

QUOTE_CHARS_MAX: Final = 100
"""Characters of a value that a message repeats by default; the rest is cut off."""

_DIGITS_BITS_MAX: Final = 1_024
"""Integers up to here are repeated. For larger ones only the size is: 300 digits help no reader."""


_PLAIN_WORDS: Final = {
    "no low surrogate in string": "half of a surrogate pair in a string",
    "number is infinity when parsed as double": "a number beyond 1.8e308",
}
"""Texts of the decoder, and texts that the sender understands."""


def json_type(value: Any) -> str:
    """The JSON type as error messages name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, (list, tuple)) else "object"


def quote(value: Any, *, chars: int = QUOTE_CHARS_MAX) -> str:
    """`value` as JSON, cut after `chars` characters; halves of surrogate pairs become `?`.

    cost   O(chars), however large the value
    """
    if isinstance(value, str) and len(value) > chars:
        value = value[:chars] + "…"
        chars = 7 * len(value)
    text = ""
    for piece in _pieces(value, chars):
        text += piece
        if len(text) > chars:
            text = text[:chars] + "…"
            break
    return text.encode("utf-8", "replace").decode()


def bare(value: Any, *, chars: int = QUOTE_CHARS_MAX) -> str:
    """As `quote`, but text has no quotes and escapes: for messages that mark it themselves."""
    if not isinstance(value, str):
        return quote(value, chars=chars)
    cut = value if len(value) <= chars else value[:chars] + "…"
    return cut.encode("utf-8", "replace").decode()


def brief(value: Any) -> Any:
    """A value as hints repeat it: text cut short; for an array or object only its type."""
    if isinstance(value, str):
        return bare(value)
    return value if isinstance(value, (int, float)) or value is None else f"an {json_type(value)}"


def why_no_json(cause: ValueError) -> str:
    """Why the decoder refused a text, as the end of a sentence: `… at line 1 column 2.`"""
    problem, _, place = str(cause).partition(": line ")
    if problem.startswith("str is not valid UTF-8"):
        return "it is not in UTF-8."
    problem = _PLAIN_WORDS.get(problem, problem)
    place = place.partition(" (")[0]
    return f"{problem} at line {place}." if place else f"{problem}."


def _elements(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Each element, with the text before it. Elements that are not shown are not looked at."""
    for index, item in enumerate(items):
        yield "," if index else "", item


def _pieces(value: Any, chars: int) -> Iterator[str]:
    """The JSON text of a value, piece by piece; levels deeper than `chars` are left out."""
    pending: list[Any] = [iter([("", value)])]
    closing = [""]
    while pending:
        for lead, item in pending[-1]:
            yield lead
            if isinstance(item, dict):
                yield "{"
                pending.append(_members(item, chars))
                closing.append("}")
                break
            if isinstance(item, (list, tuple)):
                yield "["
                pending.append(_elements(item))
                closing.append("]")
                break
            yield _scalar(item, chars)
        else:
            pending.pop()
            yield closing.pop()


def _members(item: dict[Any, Any], chars: int) -> Iterator[tuple[str, Any]]:
    for index, (key, member) in enumerate(item.items()):
        yield f"{',' if index else ''}{_scalar(key, chars)}:", member


def _scalar(value: Any, chars: int) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value[: chars + 1], ensure_ascii=False)
        case int():
            bits = value.bit_length()
            return str(value) if bits <= _DIGITS_BITS_MAX else f"(a number of {bits} bits)"
        case float():
            return orjson.dumps(value).decode()
        case _:
            return "(no JSON)"
