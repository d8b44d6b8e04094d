"""Values and the cells they are kept in: encode, decode, order, classify. No I/O.

A *cell* is what a column of a namespace's table holds:

| JSON value          | cell                              | why                                   |
|---------------------|-----------------------------------|---------------------------------------|
| string, number      | TEXT, INTEGER or REAL             | readable with any SQLite tool         |
| false, true         | one byte 0x01, 0x02               | apart from 0 and 1, and in that order |
| array, object       | JSON text as bytes, keys sorted   | equal values are equal bytes          |
| explicit null       | one byte 0x00; NULL if indexed    | see below                             |
| never set           | NULL                              |                                       |
| target of a link    | the 16 bytes of its id            |                                       |

An indexed attr shows `null` when it was never set (instant-semantics §1.5). So for indexed attrs
null and never set are one thing, and both are NULL: the index then orders nulls by itself.
"""

from __future__ import annotations

from math import inf, nextafter
from typing import Any, Final

import icu
import orjson

from trice.catalog.attr import INFERRED_BITS, Attr
from trice.catalog.dates import MS_US, instant_us
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import uuid_text

Cell = int | float | str | bytes | None

NULL: Final = b"\x00"
FALSE: Final = b"\x01"
TRUE: Final = b"\x02"

_BITS: Final[dict[type, int]] = {
    type(None): 0,
    bool: INFERRED_BITS["boolean"],
    int: INFERRED_BITS["number"],
    float: INFERRED_BITS["number"],
    str: INFERRED_BITS["string"],
}

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

DOUBLE_EXACT_MAX: Final = 2**53
"""Between this and its negative every integer has a double of its own."""


class Missing:
    """The type of MISSING: no value at all, as opposed to null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()

# The order of clients: `Intl.Collator('en-US')` (instant-semantics §1.10).
_COLLATOR: Final = icu.Collator.createInstance(icu.Locale("en-US"))


def encode_cell(value: Any, *, is_indexed: bool) -> Cell:
    """Turn a JSON value into the cell that keeps it. `value` is checked already."""
    if isinstance(value, str):
        return value
    if value is None:
        return None if is_indexed else NULL
    if value is True:
        return TRUE
    if value is False:
        return FALSE
    if isinstance(value, int):
        return value if INT64_MIN <= value <= INT64_MAX else float(value)
    if isinstance(value, float):
        return value
    return dump_document(value)


def dump_document(value: Any) -> bytes:
    """An array or object as JSON with sorted keys; integers beyond 64 bits become floats."""
    try:
        return dumps_compact(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return dumps_compact(_with_floats(value), option=orjson.OPT_SORT_KEYS)


def _with_floats(value: Any) -> Any:
    """The value, with floats for integers that orjson cannot write. Its depth is bounded."""
    if type(value) is int and not INT64_MIN <= value <= INT64_MAX:
        return float(value)
    if isinstance(value, list):
        return [_with_floats(member) for member in value]
    if isinstance(value, dict):
        return {key: _with_floats(member) for key, member in value.items()}
    return value


def decode_cell(cell: Cell, *, is_indexed: bool) -> Any:
    """Turn the cell of a blob attr back into its JSON value, or MISSING."""
    if cell is None:
        return None if is_indexed else MISSING
    if not isinstance(cell, bytes):
        return cell
    if cell == NULL:
        return None
    if cell == TRUE:
        return True
    if cell == FALSE:
        return False
    return orjson.loads(cell)


def decode_attr(attr: Attr, cell: Cell) -> Any:
    """The JSON value of a column attr: a blob's value, a link's target as text, or MISSING."""
    if attr.is_ref:
        return MISSING if cell is None else uuid_text(cell)  # type: ignore[arg-type]
    return decode_cell(cell, is_indexed=attr.shows_null)


_KINDS: Final[dict[type, int]] = {type(None): 0, int: 1, float: 1, str: 2, bytes: 3}


def kind_rank(cell: Cell) -> int:
    """Where the kind of a cell stands in the order of all cells: NULL, numbers, texts, bytes."""
    return _KINDS[type(cell)]


def is_by_instant(attr: Attr) -> bool:
    """Whether tests of `attr` compare instants, not the stored text or number."""
    return attr.checked_type == "date" and has_order_column(attr)


def compared_cell(attr: Attr, cell: Cell) -> Cell:
    """What tests compare of a stored cell: the instant of an indexed date, else the cell itself."""
    return stored_order(attr, cell) if is_by_instant(attr) else cell


def id_span(prefix: str) -> tuple[bytes, bytes]:
    """The least and the greatest id whose text starts with `prefix` (hex, hyphens)."""
    digits = prefix.replace("-", "")
    return bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))


ORDERED_CHARS: Final = 4_096
"""Texts order by so many characters; indexed ones have fewer. A key takes up to 15 ns a character,
during which no other thread runs Python: 120 ms for a text of 8 MB."""


def text_order(text: str) -> bytes:
    """The ICU en-US sort key of `text`: comparing keys as bytes orders texts as clients do."""
    return bytes(_COLLATOR.getSortKey(text[:ORDERED_CHARS]))


def has_order_column(attr: Attr) -> bool:
    """Whether the store keeps an order key beside the value; if not, the value itself orders."""
    return attr.is_sortable and attr.checked_type in ("string", "date")


def stored_order(attr: Attr, cell: Cell) -> Cell:
    """What the index of sortable `attr` holds: ICU key, instant in µs, or the cell itself.

    NULL for null and missing, which come first ascending and last descending.
    """
    if cell is None:
        return None
    if attr.checked_type == "string":
        return text_order(cell) if isinstance(cell, str) else None
    if attr.checked_type == "date":
        return instant_us(cell) if isinstance(cell, (str, int, float)) else None
    return cell


def order_cell(attr: Attr, cell: Cell) -> Cell:
    """The cell by which clients in JavaScript order a value of sortable `attr`.

    It is what the index holds (`stored_order`), rounded as these clients do: an instant down to its
    millisecond, still in µs; an integer beyond DOUBLE_EXACT_MAX to the nearest double. All values
    that round to one cell are one value in the order and in cursors, and ids decide.
    """
    order = stored_order(attr, cell)
    if type(order) is not int:
        return order
    if attr.checked_type == "date":
        return order - order % MS_US
    return float(order) if is_coarse(order) else order


def is_coarse(cell: Cell) -> bool:
    """Whether other numbers may share the double of this number."""
    return isinstance(cell, (int, float)) and not -DOUBLE_EXACT_MAX < cell < DOUBLE_EXACT_MAX


def order_run(attr: Attr | None, cell: Cell) -> tuple[Cell, Cell]:
    """The least and the greatest cell that an index may hold for the order cell `cell` of an attr.

    attr  None for the time of creation
    """
    if attr is None or cell is None:
        return cell, cell
    if attr.checked_type == "date":
        assert isinstance(cell, int)
        return cell, cell + MS_US - 1
    return _double_run(cell) if is_coarse(cell) else (cell, cell)


def _double_run(cell: Cell) -> tuple[Cell, Cell]:
    """The least and the greatest number that can be stored and have this nearest double."""
    assert isinstance(cell, (int, float))
    double = float(cell)
    if not INT64_MIN <= double <= INT64_MAX + 1:
        return cell, cell
    whole = int(double)
    low = (int(nextafter(double, -inf)) + whole + 1) // 2
    high = (whole + int(nextafter(double, inf))) // 2
    # Half way between two doubles, the even one is the nearest.
    low += float(low) != double
    high -= float(high) != double
    # Beyond the 64-bit integers the double itself may be stored.
    return max(low, INT64_MIN), high if high <= INT64_MAX else double


def inferred_bit(value: Any) -> int:
    """The bit that a written value adds to its attr's inferred types; null adds none."""
    return _BITS.get(type(value), INFERRED_BITS["json"])
