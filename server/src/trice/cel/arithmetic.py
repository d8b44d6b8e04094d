"""Arithmetic on numbers, and the functions of the math extension. No I/O.

source   the CEL language definition, "Arithmetic operators"; the math extension; spec/cel.md
"""

from __future__ import annotations

import math
from typing import Any, Final

from trice.cel.errors import EvaluationError
from trice.cel.uint import Uint
from trice.cel.values import (
    INT_MAX,
    INT_MIN,
    NUMBERS,
    UINT_MAX,
    Budget,
    checked_int,
    checked_uint,
    kind_of,
    show,
)

_BITS: Final = 64


def divide(left: int, right: int) -> int:
    """Whole division towards zero."""
    if right == 0:
        raise EvaluationError("Division by zero.")
    quotient = abs(left) // abs(right)
    return checked_int(-quotient if (left < 0) != (right < 0) else quotient)


def divide_uints(left: Uint, right: Uint) -> Uint:
    """Whole division."""
    if right == 0:
        raise EvaluationError("Division by zero.")
    return Uint(int(left) // int(right))


def remainder(left: int, right: int) -> int:
    """The remainder of whole division, with the sign of `left`; fails where the division would."""
    if right == 0:
        raise EvaluationError("Modulus by zero.")
    if left == INT_MIN and right == -1:
        raise EvaluationError(f"{left} % -1: the quotient is beyond the 64 bits of an int.")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def divide_doubles(left: float, right: float) -> float:
    """Division after IEEE 754: by zero it gives an infinity or NaN."""
    if right != 0.0:
        return left / right
    if left == 0.0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def multiply_doubles(left: float, right: float) -> float:
    """Multiplication after IEEE 754."""
    return left * right


def int_of_double(number: float) -> int:
    """The double without its fraction."""
    if math.isfinite(number) and INT_MIN < number < INT_MAX:
        return int(number)
    raise EvaluationError(f"{show(number)} is beyond the 64 bits of an int.")


def uint_of_double(number: float) -> Uint:
    """The double without its fraction."""
    if math.isfinite(number) and 0 <= number < UINT_MAX:
        return Uint(number)
    raise EvaluationError(f"{show(number)} is not between 0 and 2^64 - 1, as a uint is.")


_DIGITS_MAX: Final = 20


def int_of_text(text: str) -> int:
    """Decimal digits, with a sign or without, as an int."""
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX:
        return checked_int(int(text))
    raise EvaluationError(f"{show(text)} is no int.")


def uint_of_text(text: str) -> Uint:
    """Decimal digits as a uint."""
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
        return checked_uint(int(text))
    raise EvaluationError(f"{show(text)} is no uint.")


_DOUBLE_CHARS_MAX: Final = 400


def double_of_text(text: str) -> float:
    """A number as text, `Infinity` and `NaN` included, as a double."""
    if len(text) <= _DOUBLE_CHARS_MAX and text.isascii() and "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass
    raise EvaluationError(f"{show(text)} is no double.")


def text_of_double(number: float) -> str:
    """The shortest text that reads back as `number`; whole numbers without a fraction."""
    if number.is_integer() and abs(number) < 1e21:
        return str(int(number)) if number or math.copysign(1.0, number) > 0 else "-0"
    return repr(number)


_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "false", "FALSE", "False"), False),
}


def bool_of_text(text: str) -> bool:
    """`"true"` or `"false"`, and the short forms CEL allows."""
    found = _BOOLEANS.get(text)
    if found is None:
        raise EvaluationError(f"{show(text)} is no bool; 'true' and 'false' are.")
    return found


def greatest(budget: Budget, numbers: list[Any]) -> Any:
    """The largest of a list of numbers, the first of equal ones."""
    return max(_numbers(budget, numbers, "greatest"))


def least(budget: Budget, numbers: list[Any]) -> Any:
    """The smallest of a list of numbers, the first of equal ones."""
    return min(_numbers(budget, numbers, "least"))


def _numbers(budget: Budget, numbers: list[Any], function: str) -> list[Any]:
    budget.charge(len(numbers))
    if not numbers:
        raise EvaluationError(f"math.{function} of an empty list.")
    for number in numbers:
        if type(number) not in NUMBERS:
            raise EvaluationError(f"math.{function} takes numbers; it was given {kind_of(number)}.")
    return numbers


def round_away(number: float) -> float:
    """The nearest whole double, halves away from zero."""
    if not math.isfinite(number):
        return number
    whole = float(math.trunc(number))
    far = whole + math.copysign(1.0, number) if abs(number - whole) >= 0.5 else whole
    return math.copysign(far, number)


def whole_double(number: float, towards: Any) -> float:
    """`towards` (math.ceil, math.floor, math.trunc) of a double, as a double."""
    if not math.isfinite(number):
        return number
    # -0.5 rounded up is -0.0; the int that `towards` returns has lost the sign.
    return math.copysign(float(towards(number)), number)


def sign(number: float) -> float:
    """-1.0, 0.0 or 1.0; NaN for NaN."""
    return number if math.isnan(number) else float((number > 0) - (number < 0))


def square_root(number: float) -> float:
    """The square root; NaN for a negative number."""
    return math.sqrt(number) if number >= 0 else math.nan


def shift_left(number: int, bits: int) -> int:
    """The 64 bits moved left; bits that leave are lost."""
    return _signed(number << _shift(bits)) if bits < _BITS else 0


def shift_right(number: int, bits: int) -> int:
    """The 64 bits moved right, zeros coming in."""
    return _signed((number & UINT_MAX) >> _shift(bits)) if bits < _BITS else 0


def shift_uint_left(number: Uint, bits: int) -> Uint:
    """As shift_left, for a uint."""
    return Uint((number << _shift(bits)) & UINT_MAX) if bits < _BITS else Uint(0)


def shift_uint_right(number: Uint, bits: int) -> Uint:
    """As shift_right, for a uint."""
    return Uint(number >> _shift(bits)) if bits < _BITS else Uint(0)


def _shift(bits: int) -> int:
    if bits < 0:
        raise EvaluationError(f"Bits cannot be shifted by {bits}.")
    return bits


def _signed(number: int) -> int:
    kept = number & UINT_MAX
    return kept - (1 << _BITS) if kept > INT_MAX else kept
