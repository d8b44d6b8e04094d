"""SQL functions that SQLite lacks: `ilike` beyond ASCII, order keys, rows judged in Python. No I/O.

trice_ilike(pattern, value)   1 when text `value` matches the `%`/`_` pattern in any case
trice_text_order(value)       the ICU key of a text (see `catalog.values`)
trice_instant(value)          the instant of a date in microseconds
trice_judge(decide, id, n, …) what `decide`, a bound Python function, says of a row: `n` cells of
                              it, then lists of cells made by trice_cells
trice_cells(value)            aggregate: the values that are not NULL, marshalled
trice_pack(…)                 its arguments as one, for calls that have too many
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from typing import Any

import apsw

from trice.catalog.dates import instant_us
from trice.catalog.values import Cell, text_order
from trice.store.engine import ReadTooLong
from trice.store.like import is_like


class Judging:
    """Calls of bound functions on one connection.

    Holds how many rows may still be judged before the read must move to a thread; None: any.
    """

    __slots__ = ("rows_left",)

    def __init__(self) -> None:
        self.rows_left: int | None = None

    def judge(self, *arguments: Any) -> bool:
        """`trice_judge`. Raises what the function raises, and ReadTooLong."""
        if self.rows_left is not None:
            self.rows_left -= 1
            if self.rows_left < 0:
                raise ReadTooLong()
        decide, entity, count, *given = arguments
        if given and type(given[0]) is tuple:
            given = [cell for part in given for cell in part]
        refs: Sequence[Sequence[Cell]] = ()
        if len(given) > count:
            refs = [marshal.loads(cells) for cells in given[count:]]
            del given[count:]
        return bool(decide(entity, given, refs))


def register(connection: apsw.Connection) -> Judging:
    """Make the functions known to `connection`."""
    connection.create_scalar_function("trice_ilike", ilike, 2, deterministic=True)
    connection.create_scalar_function("trice_text_order", _text_order, 1, deterministic=True)
    connection.create_scalar_function("trice_instant", _instant, 1, deterministic=True)
    connection.create_aggregate_function("trice_cells", _cells, 1)
    connection.create_scalar_function("trice_pack", _pack)
    judging = Judging()
    connection.create_scalar_function("trice_judge", judging.judge)
    return judging


def _cells() -> tuple[list[Cell], Any, Any]:
    """A fresh `trice_cells`: its state, its step, its end (see apsw)."""
    return [], _add_cell, marshal.dumps


def _add_cell(found: list[Cell], *arguments: Cell) -> None:
    (cell,) = arguments
    if cell is not None:
        found.append(cell)


def _pack(*arguments: Cell) -> Any:
    return apsw.pyobject(arguments)


def ilike(*arguments: Cell) -> bool:
    """Whether the whole text matches, in any case; False when either is no text.

    arguments  pattern, value
    """
    pattern, value = arguments
    if not isinstance(pattern, str) or not isinstance(value, str):
        return False
    return is_like(pattern, value, is_case_sensitive=False)


def _text_order(*arguments: Cell) -> bytes | None:
    (value,) = arguments
    return text_order(value) if isinstance(value, str) else None


def _instant(*arguments: Cell) -> int | None:
    (value,) = arguments
    return instant_us(value) if isinstance(value, (str, int, float)) else None
