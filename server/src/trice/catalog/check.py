"""Checks of what may be stored: types, dates, sizes, texts, names. Errors say what fits. No I/O.

source   instant-semantics §1.7, §1.8; spec/transact.md T63-T65
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.dates import is_date_text
from trice.catalog.values import INT64_MAX, INT64_MIN, dump_document
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import EntityId, uuid_text
from trice.protocol.quoting import bare, json_type, quote

# What a JavaScript Date can hold; in microseconds it still fits SQLite's 64-bit integers.
_DATE_MS_MAX: Final = 8_640_000_000_000_000

# A JavaScript number below 1e21 is sent with all its digits; the store keeps the nearest double.
_INTEGER_MAX: Final = 2**1023


def check_value(attr: Attr, value: Any, entity: EntityId) -> None:
    """Refuse a value that blob `attr` cannot hold.

    raises   InvalidInput("validation-failed") with hint
             {namespace, attribute, value, checked-data-type, attr-id, entity-id}
    cost     0.2 µs for a short text without type
    """
    if value is None:
        return
    kind = type(value)
    if kind is str:
        size_bytes = _check_text(attr, value, entity)
    elif kind is bool:
        size_bytes = 5
    elif kind is int or kind is float:
        size_bytes = 8
        problem = _number_problem(value)
        if problem is not None:
            raise _refusal(attr, value, entity, f"Invalid value for {attr.name}: {problem}")
    else:
        size_bytes = _check_document(attr, value, entity)
    if attr.wanted_type is not None:
        _check_type(attr, value, entity)
    if size_bytes > limits.INDEXED_VALUE_BYTES_MAX and attr.is_bounded:
        raise too_large(attr, value, entity)


def too_large(attr: Attr, value: Any, entity: EntityId) -> InvalidInput:
    """The error for a value that no index can hold."""
    kind = "an indexed" if attr.fills_null else "a unique"
    message = (
        f"Value is too large for {kind} attribute. `{attr.name}` accepts "
        f"{limits.INDEXED_VALUE_BYTES_MAX} bytes at most."
    )
    return _refusal(attr, value, entity, message, {"value-too-large?": True})


def wrong_type(attr: Attr, value: Any, entity: EntityId) -> InvalidInput:
    """The error for a value that is not of the attr's checked type."""
    expected = attr.wanted_type
    given = json_type(value)
    message = (
        f"Invalid value type for {attr.name}. Value must be a {expected} "
        f"but the provided value type is {given}. Got `{quote(value)}`."
    )
    if expected == "date" and given in ("string", "number"):
        message = (
            f"Invalid value type for {attr.name}. Value must be a date, but `{quote(value)}` "
            "is not one. Use epoch milliseconds or an ISO 8601 text."
        )
    return _refusal(attr, value, entity, message)


def check_name(name: Any, *, what: str, data_type: str, path: list[Any]) -> str:
    """Read the name of a namespace or of an attr: text, not empty, short, without U+0000.

    what        what the error calls it: "namespace" or "label"
    data_type   of the error
    path        its place in the input
    """
    problem = None
    if not isinstance(name, str):
        problem = f"a {what} must be a text"
    elif not name:
        problem = f"a {what} must not be empty"
    elif "\x00" in name:
        problem = f"a {what} must not contain null bytes"
    elif not _is_encodable(name) or len(name.encode()) > limits.NAME_BYTES_MAX:
        problem = f"a {what} is valid text of {limits.NAME_BYTES_MAX} bytes at most"
    if problem is not None:
        given = _sample(name)
        message = f"Invalid {what} {quote(name)}: {problem}."
        raise invalid(data_type, given, [{"expected": "name?", "in": path, "message": message}])
    assert isinstance(name, str)
    return name


def _check_text(attr: Attr, value: str, entity: EntityId) -> int:
    """Refuse texts the store cannot keep; return the size in bytes."""
    if "\x00" in value:
        raise _refusal(
            attr, value, entity, f"Invalid value for {attr.name}: value contains null bytes."
        )
    if value.isascii():
        return len(value)
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        message = f"Invalid value for {attr.name}: text contains half of a surrogate pair."
        raise _refusal(attr, value, entity, message) from None


def _check_type(attr: Attr, value: Any, entity: EntityId) -> None:
    """Refuse a value, not null, that is not of the attr's checked type."""
    kind = type(value)
    match attr.wanted_type:
        case "string":
            is_right = kind is str
        case "number":
            is_right = kind is int or kind is float
        case "boolean":
            is_right = kind is bool
        case "date":
            if kind is str:
                is_right = is_date_text(value, is_stored=True)
            else:
                is_right = kind in (int, float) and abs(value) <= _DATE_MS_MAX
        case _:
            is_right = True
    if not is_right:
        raise wrong_type(attr, value, entity)


def _check_document(attr: Attr, value: Any, entity: EntityId) -> int:
    """Refuse arrays and objects that are too deep or hold what JSON cannot; return the size.

    cost   0.1 µs a value
    """
    problem = _document_problem(value)
    if problem is not None:
        raise _refusal(attr, None, entity, f"Invalid value for {attr.name}: {problem}")
    if attr.is_bounded:
        return len(dump_document(value))
    return 0


def _document_problem(value: Any) -> str | None:
    if type(value) not in (list, dict):
        return "it is no JSON value."
    pending = [(value, 1)]
    while pending:
        container, depth = pending.pop()
        members: Iterable[Any] = container
        if type(container) is dict:
            for key in container:
                if type(key) is not str:
                    return "the keys of an object must be texts."
                if "\x00" in key or not key.isascii():
                    problem = _text_problem(key)
                    if problem is not None:
                        return problem
            members = container.values()
        for item in members:
            kind = type(item)
            problem = None
            if kind is str:
                if "\x00" in item or not item.isascii():
                    problem = _text_problem(item)
            elif kind is list or kind is dict:
                if depth == limits.JSON_VALUE_DEPTH_MAX:
                    problem = f"nested deeper than {limits.JSON_VALUE_DEPTH_MAX} levels."
                elif item:
                    pending.append((item, depth + 1))
            elif kind is int or kind is float:
                problem = _number_problem(item)
            elif item is not None and kind is not bool:
                problem = "it is no JSON value."
            if problem is not None:
                return problem
    return None


def _text_problem(text: str) -> str | None:
    if "\x00" in text:
        return "value contains null bytes."
    return None if _is_encodable(text) else "text contains half of a surrogate pair."


def _number_problem(value: int | float) -> str | None:
    if isinstance(value, int):
        if -_INTEGER_MAX <= value <= _INTEGER_MAX:
            return None
        return "the number is larger than a double can hold; send it as text."
    if value - value == 0.0:
        return None
    return "numbers must be finite."


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refusal(
    attr: Attr,
    value: Any,
    entity: EntityId,
    message: str,
    extra: dict[str, Any] | None = None,
) -> InvalidInput:
    return InvalidInput(
        "validation-failed",
        message,
        {
            "namespace": attr.etype,
            "attribute": attr.label,
            "value": _sample(value),
            "checked-data-type": attr.wanted_type,
            "attr-id": attr.id,
            "entity-id": uuid_text(entity),
            **(extra or {}),
        },
    )


def _sample(value: Any) -> Any:
    """The value as errors repeat it: cut if it is long, and always valid JSON."""
    if isinstance(value, str):
        return bare(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        is_plain = isinstance(value, float) or INT64_MIN <= value <= INT64_MAX
        return value if is_plain and _number_problem(value) is None else bare(value)
    return quote(value)
