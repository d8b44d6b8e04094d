"""Values of Python as JSON has them. No I/O.

A copy is made: what is changed afterwards changes no write that is under way.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, cast
from uuid import UUID

from trice_client._errors import TriceError
from trice_client._json import is_mapping

_DEPTH_MAX = 200
_NAIVE = "a datetime with a time zone, such as datetime.now(timezone.utc)"
_KINDS = (
    "None, bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, Enum,"
    " a mapping with keys of text, a list, a tuple, a dataclass or a msgspec.Struct"
)


def plain(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    """`value` as JSON has it: dates as ISO 8601 text, UUIDs and decimals as text, bytes as base64.

    raises   TriceError("value-malformed") with the path of what has no form in JSON: NaN, a
             datetime without a time zone, an object of another class
    """
    match value:
        case None | bool() | Enum():
            return plain(value.value, path) if isinstance(value, Enum) else value
        case str() | int():
            return value
        case float():
            return value if math.isfinite(value) else _refuse(value, path, "a finite number")
        case datetime():
            return value.isoformat() if value.tzinfo else _refuse(value, path, _NAIVE)
        case date() | time():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return b64encode(cast(bytes, value)).decode()
        case timedelta():
            return _duration(value)
        case _:
            return _many(value, path)


def _many(value: Any, path: tuple[str | int, ...]) -> Any:
    """What has other values in it."""
    if len(path) >= _DEPTH_MAX:
        return _refuse(value, path[:3], f"a value of at most {_DEPTH_MAX} levels")
    if is_mapping(value):
        return {_key(key, path): plain(each, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, list | tuple):
        items = cast(Sequence[Any], value)
        return [plain(each, (*path, at)) for at, each in enumerate(items)]
    names = getattr(value, "__dataclass_fields__", getattr(value, "__struct_fields__", None))
    if names is not None and not isinstance(value, type):
        return plain({name: getattr(value, name) for name in names}, path)
    return _refuse(value, path, _KINDS)


def _duration(value: timedelta) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _key(key: object, path: tuple[str | int, ...]) -> str:
    if isinstance(key, UUID):
        return str(key)
    if isinstance(key, str):
        return key.value if isinstance(key, Enum) else key
    return str(_refuse(key, path, "keys of text"))


def _refuse(value: object, path: tuple[str | int, ...], expected: str) -> Any:
    where = "".join(f"[{part!r}]" for part in path)
    told = f"{type(value).__name__} {value!r:.80}{f' at {where}' if where else ''}"
    message = f"A value has no form in JSON: {told}. Accepted: {expected}."
    raise TriceError("value-malformed", message, hint={"path": list(path), "expected": expected})
