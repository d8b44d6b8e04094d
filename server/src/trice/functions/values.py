"""Values as JSON has them: what is written, what conditions compare with, what is returned.
No I/O.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import msgspec

from trice.functions.facts import UserRow, whole_row
from trice.schema.declare import Namespace, One
from trice.schema.views import View


def check_text(what: str, given: Any) -> None:
    """What a frame carries as a text must be one: the server ends a process whose frames are
    malformed. raises   TypeError"""
    if not isinstance(given, str):
        raise TypeError(f"{what} is a text, not {given!r:.60}")


def plain(value: Any) -> Any:
    """A value as JSON has it. Dates have milliseconds, as clients in JavaScript know them."""
    match value:
        case None | bool():
            return value
        case Enum():
            return plain(value.value)
        case int():
            return int(value) if -(2**63) <= value < 2**64 else float(value)
        case float():
            if not math.isfinite(value):
                raise TypeError(f"{value!r} is no number that JSON has")
            return float(value)
        case str():
            return str(value)
        case datetime():
            if value.tzinfo is None:
                raise TypeError(f"{value!r} has no time zone: datetime.now(UTC) has one")
            at = value.astimezone(UTC)
            return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
        case date():
            return value.isoformat()
        case Namespace() | One() | UserRow():
            return str(value.id)
        case dict() | Mapping():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case _:
            return msgspec.json.decode(msgspec.json.encode(value, enc_hook=encoded))


def id_of(value: Any) -> str:
    """An id, or that of a row."""
    made = plain(value)
    if not isinstance(made, str):
        raise TypeError(f"{value!r} is no id")
    return made


def ids_of(value: Any) -> list[str]:
    """The ids of what is linked: ids or rows, one or several."""
    if value is None:
        return []
    made = plain(value)
    return made if isinstance(made, list) else [made]


def is_pydantic(cls: Any) -> bool:
    """Whether a class is a model of pydantic, which only an app can have imported."""
    pydantic = sys.modules.get("pydantic")
    model = getattr(pydantic, "BaseModel", None)
    return isinstance(model, type) and isinstance(cls, type) and issubclass(cls, model)


def encoded(value: Any) -> Any:
    """`enc_hook`: what JSON has for a value that `msgspec` does not know."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, UserRow):
        return whole_row(value)
    if isinstance(value, View):
        return vars(value)  # one that the function made itself
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
    if inspect.iscoroutine(value):
        value.close()  # else Python warns of it once more, elsewhere
        told = f"{value.__qualname__} was called without await: it gives its value by `await`"
        raise NotImplementedError(told)
    raise NotImplementedError(f"{type(value).__name__} is no value that JSON has")
