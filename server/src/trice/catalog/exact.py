"""Sums of numbers without rounding: the order in which they are added does not matter. No I/O.

Every float is a whole number of units of 2^-1074, so a sum is one too; it is kept as an integer of
any size. A number that was added can be taken away again exactly, and the result is rounded once.
"""

from __future__ import annotations

from typing import Final

from trice.catalog.values import INT64_MAX, INT64_MIN

_UNIT_BITS: Final = 1074


def units_of(value: float) -> int:
    """A finite float as units of 2^-1074. Costs about 0.5 µs."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (_UNIT_BITS + 1 - denominator.bit_length())


def pack_units(units: int) -> bytes:
    """Units as bytes, for columns that hold 64 bits at most."""
    return units.to_bytes(units.bit_length() // 8 + 1, "big", signed=True)


def unpack_units(packed: bytes) -> int:
    """The units that `pack_units` packed."""
    return int.from_bytes(packed, "big", signed=True)


class ExactSum:
    """How many numbers there are, and their sum.

    Invariant: equal to the sum of a fresh ExactSum of the same numbers.
    """

    __slots__ = ("count", "units", "whole")

    def __init__(self, count: int = 0, whole: int = 0, units: int = 0) -> None:
        """count: how many numbers; their sum is `whole` plus `units` of 2^-1074."""
        self.count = count
        self.whole = whole
        self.units = units

    def add(self, value: int | float) -> None:
        """Add a finite number."""
        self.count += 1
        if isinstance(value, int):
            self.whole += value
        else:
            self.units += units_of(value)

    def take(self, value: int | float) -> None:
        """Take away a number that was added."""
        self.count -= 1
        if isinstance(value, int):
            self.whole -= value
        else:
            self.units -= units_of(value)

    def total(self) -> int | float | None:
        """The sum; 0 without numbers. None when it is beyond every float."""
        return self._quotient(1)

    def mean(self) -> int | float | None:
        """The sum divided by the count; None without numbers."""
        return self._quotient(self.count) if self.count else None

    def _quotient(self, divisor: int) -> int | float | None:
        numerator = self.whole
        if self.units:
            numerator = (numerator << _UNIT_BITS) + self.units
            divisor <<= _UNIT_BITS
        whole, rest = divmod(numerator, divisor)
        if rest == 0 and INT64_MIN <= whole <= INT64_MAX:
            return whole
        try:
            return numerator / divisor
        except OverflowError:
            return None


def plain_number(value: int | float) -> int | float:
    """The one form of equal numbers: an integer where 64 bits hold it, else a float."""
    if isinstance(value, float) and value.is_integer() and INT64_MIN <= value <= INT64_MAX:
        return int(value)
    return value
