"""Types of columns, from all values of a file. No I/O.

A column of CSV is what all of its texts can be read as: boolean, number, date, JSON, else string. A
column of JSON Lines has the type that its values have; if they have several it is json, which
accepts any.

source   spec/archive.md AR84, AR85
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, Literal, get_args

import orjson

from trice import archive_limits as limits
from trice.archive.refusals import refused
from trice.catalog.dates import is_date_text
from trice.errors import InvalidInput
from trice.protocol.ids import find_uuid_bytes
from trice.protocol.quoting import quote

ColumnType = Literal["string", "number", "boolean", "date", "json"]
TYPES: Final[tuple[ColumnType, ...]] = get_args(ColumnType)

_TEXT_TYPES: Final[tuple[ColumnType, ...]] = ("boolean", "number", "date", "json")
"""What a text may be besides a string; a text can be read as one of them at most."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
"""A number of JSON: `007` is none, so that keys keep their zeros."""

_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
)
_BOOLEANS: Final = {"true": True, "false": False}
_MORE_BOOLEANS: Final = {
    **_BOOLEANS,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
    "t": True,
    "f": False,
}
"""Accepted where somebody said that the column is boolean."""


@dataclass(slots=True)
class Column:
    """What is known of a column so far.

    count      how many values it has
    kinds      JSON Lines: types that values had. CSV: types that all values can be read as
    are_uuids  whether each value is a uuid
    """

    is_csv: bool
    count: int = 0
    kinds: set[ColumnType] = field(default_factory=set)
    are_uuids: bool = True

    def __post_init__(self) -> None:
        if self.is_csv:
            self.kinds.update(_TEXT_TYPES)

    def add(self, value: Any) -> None:
        """Look at one more value."""
        if value is None:
            return
        self.count += 1
        if self.are_uuids:
            self.are_uuids = find_uuid_bytes(value) is not None
        if not self.is_csv:
            self.kinds.add(_kind(value))
        elif self.kinds:
            self.kinds = {kind for kind in self.kinds if _find(value, kind) is not None}

    @property
    def type(self) -> ColumnType:
        """The type that fits all values."""
        if self.is_csv:
            found = [kind for kind in _TEXT_TYPES if kind in self.kinds]
            return found[0] if found and self.count else "string"
        if self.kinds == {"string", "date"}:
            return "string"
        return next(iter(self.kinds)) if len(self.kinds) == 1 else "json"

    @property
    def is_list(self) -> bool:
        """Whether a link by this column may lead to several entities."""
        return self.count > 0 and ("json" in self.kinds if not self.is_csv else self.type == "json")


def _kind(value: Any) -> ColumnType:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "date" if _is_date(value) else "string"
        case _:
            return "json"


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and is_date_text(text, is_stored=True)


def _find(text: str, kind: ColumnType) -> Any:
    """A text of CSV read as a type, None if it cannot be."""
    match kind:
        case "boolean":
            return _BOOLEANS.get(text.lower()) if len(text) < 6 else None
        case "number":
            return _find_number(text)
        case "date":
            return text if _is_date(text) else None
        case "json":
            if not text.startswith(("{", "[")):
                return None
            try:
                return orjson.loads(text)
            except ValueError:
                return None
        case "string":
            return text


def _find_number(text: str, *, is_told: bool = False) -> int | float | None:
    """A text as a number; of any precision if somebody said that it is one."""
    if len(text) > 400 or _NUMBER.fullmatch(text) is None:
        return None
    mantissa = text.lower().partition("e")[0]
    if not is_told and sum(map(str.isdigit, mantissa)) > limits.NUMBER_DIGITS_MAX:
        return None
    if text.lstrip("-").isdigit():
        return int(text) if text != "-0" else None
    number = float(text)
    return number if isfinite(number) else None


# --- values -------------------------------------------------------------------------------------


def convert(value: Any, wanted: ColumnType, *, is_csv: bool) -> Any:
    """A value in the type of its column.

    raises   InvalidInput for a text that cannot be read as that type. What else does not fit comes
             as it is, and the check of all writes refuses it
    """
    if isinstance(value, str):
        if wanted == "string" or (wanted in ("date", "json") and not is_csv):
            return value
        return _read(value, wanted)
    if wanted == "string" and isinstance(value, (bool, int, float)):
        return orjson.dumps(value).decode()
    return value


def _read(text: str, wanted: ColumnType) -> Any:
    match wanted:
        case "boolean":
            found: Any = _MORE_BOOLEANS.get(text.strip().lower())
        case "date":
            # Any form that writes accept, if somebody said so; another number is milliseconds.
            is_text = is_date_text(text, is_stored=True)
            number = None if is_text else _find_number(text, is_told=True)
            found = text if number is None else number
        case "json":
            return _read_json(text)
        case _:
            found = _find_number(text, is_told=True)
    if found is None:
        raise _unfit(text, wanted)
    return found


def _read_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError as cause:
        raise _unfit(text, "json") from cause


def _unfit(text: str, wanted: str) -> InvalidInput:
    return InvalidInput("validation-failed", f"{quote(text)} cannot be read as {wanted}.")


def key_text(value: Any) -> str | None:
    """A value as a key: numbers and texts that look the same are one key. None: it can be none."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, (bool, int, float)):
        return orjson.dumps(value).decode() if abs(value) < 2**63 else str(value)
    return None


def get_type(text: str, option: str) -> ColumnType:
    """A type as somebody wrote it."""
    if text not in TYPES:
        raise refused(option, f"{quote(text)} is no type; accepted are {', '.join(TYPES)}.")
    return text
