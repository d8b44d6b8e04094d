"""What does not fit a type, as an error that names where, what was expected and what was given.

The texts of `msgspec` are read: "Expected `int`, got `str` - at `$.limit`". No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trice.functions.channel import RefusedError
from trice.functions.hints import UUID_PATTERN

_PLACE: Final = re.compile(r" - at `(key in )?\$(?P<path>[^`]*)`$")
_EXPECTED: Final = re.compile(r"Expected `(?P<expected>.*?)`(?P<bound>.*?)(, got `(?P<got>.*)`)?$")
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>.*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`$")
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_INVALID: Final = re.compile(r"Invalid (?P<what>.*?)( '.*')?$")
_UNKNOWN_NAME: Final = "no such name"
_FORMS: Final = {
    f"str matching regex {UUID_PATTERN!r}": "an id: a uuid in lower case",
    "RFC3339 encoded datetime": 'a datetime with a time zone, such as "2026-01-31T12:30:00Z"',
    "RFC3339 encoded date": 'a date, such as "2026-01-31"',
    "RFC3339 encoded time": 'a time, such as "12:30:00"',
    "ISO8601 duration": 'a duration, such as "PT90S"',
    "UUID": "a uuid",
    "base64 encoded string": "base64",
    "decimal string": 'a number as text, such as "12.50"',
}
_SHOWN_CHARS: Final = 100


def mismatch(
    code: str, function: str, told: str, value: bytes, schema: Mapping[str, Any] | None = None
) -> RefusedError:
    """The error for a value that its type does not take.

    code    "bad-args" or "bad-result"
    told    what `msgspec` said
    value   the JSON it looked at. Of a result only the type is told: callers see nothing that its
            hint does not name, and where it does not fit nobody knows what it is
    schema  that of all arguments, by which what is accepted can be listed
    """
    is_result = code == "bad-result"
    place = _PLACE.search(told)
    path = "" if place is None else place["path"].lstrip(".")
    sentence = told if place is None else told[: place.start()]
    expected, got = sentence, ""
    if found := _MISSING.match(sentence):
        path = f"{path}.{found['name']}" if path else found["name"]
        expected, got = "a value", "nothing"
    elif found := _UNKNOWN.match(sentence):
        path = f"{path}.{found['name']}" if path else found["name"]
        expected, got = _UNKNOWN_NAME, "another" if is_result else _shown(value, path)
    elif found := _EXPECTED.match(sentence):
        expected = f"{found['expected']}{found['bound']}"
        expected = _FORMS.get(expected, expected)
        got = found["got"] or ""
        if not is_result:
            got = _shown(value, path) or got
    elif found := _INVALID.match(sentence):
        expected = _accepted(schema, path) or _FORMS.get(found["what"], sentence)
        got = "" if is_result else _shown(value, path)
    hint = {"function": function, "path": path, "expected": expected, "got": got}
    if expected == _UNKNOWN_NAME and not is_result:
        names = ", ".join((schema or {}).get("properties", ()))
        takes = f" It takes {names}." if names else " It takes none."
        message = f"{function} has no argument {path}.{takes if '.' not in path else ''}"
        return RefusedError(code, message, hint)
    whose = "What is returned by" if is_result else "An argument of"
    at = f" at {path}" if path else ""
    message = f"{whose} {function} does not fit{at}: expected {expected}, got {got or 'another'}."
    return RefusedError(code, message, hint)


def _accepted(schema: Mapping[str, Any] | None, path: str) -> str:
    """The values that an argument of some values takes; "" for any other."""
    if schema is None:
        return ""
    found = schema.get("properties", {}).get(path, {})
    if "$ref" in found:
        found = schema.get("$defs", {}).get(found["$ref"].rpartition("/")[2], {})
    listed = ", ".join(msgspec.json.encode(each).decode() for each in found.get("enum", ()))
    return f"one of {listed}" if listed else ""


def _shown(value: bytes, path: str) -> str:
    """The JSON at a path, its beginning if it is long; "" if there is none."""
    if "[...]" in path:
        return ""  # the key of a mapping is not told
    try:
        found: Any = msgspec.json.decode(value)
        for name, position in _STEP.findall(path):
            found = found[int(position)] if position else found[name]
        text = msgspec.json.encode(found).decode()
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
