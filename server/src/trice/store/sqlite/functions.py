"""SQL functions that SQLite lacks: `ilike` beyond ASCII, order keys, rows judged in Python. No I/O.

trice_ilike(pattern, value)   1 when text `value` matches the `%`/`_` pattern in any case
trice_text_order(value)       the ICU key of a text (see `catalog.values`)
trice_instant(value)          the instant of a date in microseconds
trice_judge(decide, id, n, …) calls `decide`, a bound Python function, for a row. The arguments
                              after `n` are `n` cells of it, then lists made by trice_cells
trice_judge_once(…)           the same, but never on the loop, where reads may begin again
trice_cells(value)            aggregate: the values that are not NULL, marshalled
trice_exact_sum(value)        aggregate: the sum of floats, unrounded (see `catalog.exact`)
trice_pack(…)                 several arguments as one, for calls that have too many
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw

from trice import limits
from trice.catalog.dates import instant_us
from trice.catalog.exact import pack_units, units_of
from trice.catalog.like import is_like, like_steps
from trice.catalog.values import ORDERED_CHARS, Cell, text_order
from trice.store.engine import ReadTooLong

_ROW_STEPS: Final = 10
"""What a judged row costs besides its evaluation (the call, its cells), in steps of evaluation."""

_CALL_STEPS: Final = 5
"""What a call costs that does little."""

_INSTANT_STEPS: Final = 35
"""What it costs to read a date of any form."""

_ORDERED_A_STEP: Final = 10
"""Characters that ICU makes a key of in one step."""

_HANDED_A_STEP: Final = 100
"""Characters that SQLite hands to Python, and copies into the result, in one step."""


def never() -> bool:
    """False: nothing ends a write."""
    return False


class Judging:
    """The calls of Python functions on one connection, counted together.

    steps_left  steps of evaluation that they may still take before `is_over` is asked
    is_over     whether to end the read; None: it is on the loop, and must move to a thread now
    """

    __slots__ = ("is_over", "steps_left")

    def __init__(self) -> None:
        self.steps_left = limits.JUDGED_STEPS_ON_LOOP
        self.is_over: Callable[[], bool] | None = never

    def judge(self, *arguments: Any) -> bool:
        """`trice_judge`. Raises what the function raises, and ReadTooLong."""
        self._look()
        decide, entity, count, *given = arguments
        if given and type(given[0]) is tuple:
            given = [cell for part in given for cell in part]
        refs: Sequence[Sequence[Cell]] = ()
        if len(given) > count:
            refs = list(map(cells_of, given[count:]))
            del given[count:]
        is_met, steps = decide(entity, given, refs)
        self.steps_left -= steps + _ROW_STEPS
        return bool(is_met)

    def ilike(self, *arguments: Cell) -> bool:
        """`trice_ilike`: whether the whole text matches, in any case; False when either is no text.

        arguments  pattern, value
        raises     ReadTooLong
        """
        self._look()
        pattern, value = arguments
        if not isinstance(pattern, str) or not isinstance(value, str):
            return False
        self.steps_left -= _ROW_STEPS + like_steps(pattern, value)
        return is_like(pattern, value, is_case_sensitive=False)

    def text_order(self, *arguments: Cell) -> bytes | None:
        """`trice_text_order`; raises ReadTooLong."""
        self._look()
        (value,) = arguments
        if not isinstance(value, str):
            return None
        ordered = min(len(value), ORDERED_CHARS)
        self.steps_left -= _CALL_STEPS + ordered // _ORDERED_A_STEP + len(value) // _HANDED_A_STEP
        return text_order(value)

    def instant(self, *arguments: Cell) -> int | None:
        """`trice_instant`; raises ReadTooLong."""
        self._look()
        (value,) = arguments
        if not isinstance(value, (str, int, float)):
            return None
        self.steps_left -= _CALL_STEPS
        if isinstance(value, str):
            self.steps_left -= _INSTANT_STEPS + len(value) // _HANDED_A_STEP
        return instant_us(value)

    def exact_sum(self) -> tuple[list[int], Any, Any]:
        """A fresh `trice_exact_sum`; see `_cells`."""
        return [0], self._add_float, _packed_sum

    def _add_float(self, total: list[int], *arguments: Cell) -> None:
        self._look()
        (value,) = arguments
        self.steps_left -= _CALL_STEPS
        if isinstance(value, float):
            total[0] += units_of(value)

    def _look(self) -> None:
        if self.steps_left <= 0:
            if self.is_over is None or self.is_over():
                raise ReadTooLong()
            self.steps_left = limits.JUDGED_STEPS_ON_LOOP

    def judge_once(self, *arguments: Any) -> bool:
        """`trice_judge_once`."""
        if self.is_over is None:
            raise ReadTooLong()
        return self.judge(*arguments)


def register(connection: apsw.Connection) -> Judging:
    """Make the functions known to `connection`."""
    judging = Judging()
    connection.create_scalar_function("trice_text_order", judging.text_order, 1, deterministic=True)
    connection.create_scalar_function("trice_instant", judging.instant, 1, deterministic=True)
    connection.create_aggregate_function("trice_cells", _cells, 1)
    connection.create_aggregate_function("trice_exact_sum", judging.exact_sum, 1)
    connection.create_scalar_function("trice_pack", _pack)
    connection.create_scalar_function("trice_ilike", judging.ilike, 2, deterministic=True)
    connection.create_scalar_function("trice_judge", judging.judge)
    connection.create_scalar_function("trice_judge_once", judging.judge_once)
    return judging


def cells_of(value: bytes) -> list[Cell]:
    """What `trice_cells` marshalled."""
    found: list[Cell] = marshal.loads(value)
    return found


def _cells() -> tuple[list[Cell], Any, Any]:
    """A fresh `trice_cells`: its state, its step, its end (see apsw)."""
    return [], _add_cell, marshal.dumps


def _add_cell(found: list[Cell], *arguments: Cell) -> None:
    (cell,) = arguments
    if cell is not None:
        found.append(cell)


def _packed_sum(total: list[int]) -> bytes:
    return pack_units(total[0])


def _pack(*arguments: Cell) -> Any:
    return apsw.pyobject(arguments)
