"""The values of expressions: kinds, equality, order. No I/O.

    null None · bool · int · double float · string str · bytes · list list|tuple
    uint Uint · timestamp Timestamp · duration Duration · type Type
    map  dict (JSON data: a missing key reads as null, at every depth) | Map (made by an
         expression: a missing key is an error)

source   spec/cel.md E20-E35; instant-semantics §5.5
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from trice import limits
from trice.cel.errors import BudgetExceeded, EvaluationError
from trice.cel.uint import Uint

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
UINT_MAX: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Nanoseconds since 1970-01-01 UTC."""

    ns: int


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of nanoseconds, possibly negative."""

    ns: int


@dataclass(frozen=True, slots=True)
class Type:
    """What `type(x)` returns: the name of a kind."""

    name: str


class Budget:
    """What one evaluation may still cost. Written by the evaluation only.

    steps_left  steps of 0.1 to 0.2 µs each
    """

    __slots__ = ("steps_left",)

    def __init__(self, steps: int = limits.CEL_STEPS_MAX) -> None:
        self.steps_left = steps

    def charge(self, steps: int) -> None:
        """Take `steps`; raises BudgetExceeded when too few are left."""
        self.steps_left -= steps
        if self.steps_left < 0:
            raise BudgetExceeded(
                "The expression takes too many steps; shorten its lists, texts or nested loops."
            )


class Map:
    """A map made by an expression. Keys are strings, booleans and whole numbers.

    Keys are compared by value: `1.0` finds the key `1`.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: list[tuple[Any, Any]]) -> None:
        self._entries: dict[Any, tuple[Any, Any]] = {}
        for key, value in entries:
            if type(key) is float:
                raise EvaluationError(_bad_key("double"))
            known = _normal_key(key)
            if known in self._entries:
                raise EvaluationError(f"A map has the key {show(key)} twice.")
            self._entries[known] = (key, value)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return _normal_key(key) in self._entries

    def __iter__(self) -> Iterator[Any]:
        for key, _ in self._entries.values():
            yield key

    def get(self, key: Any) -> Any:
        """The value of `key`; raises EvaluationError if there is none."""
        entry = self._entries.get(_normal_key(key))
        if entry is None:
            raise EvaluationError(f"There is no key {show(key)} in the map.")
        return entry[1]

    def find(self, key: Any) -> tuple[Any, Any] | None:
        """The entry whose key equals `key`."""
        return self._entries.get(_normal_key(key))


def _normal_key(key: Any) -> Any:
    """A form that is equal only for keys that CEL takes as equal (Python has `True == 1`)."""
    kind = kind_of(key)
    if kind == "bool":
        return (bool, key)
    if kind in ("string", "int", "uint", "double"):
        return key
    raise EvaluationError(_bad_key(kind))


def _bad_key(kind: str) -> str:
    return f"A key of a map is a string, a whole number or a boolean, not {kind}."


KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    tuple: "list",
    dict: "map",
    Map: "map",
    Timestamp: "timestamp",
    Duration: "duration",
    Type: "type",
}
"""The names of Python's types in expressions."""

NUMBERS: Final = frozenset((int, Uint, float))
_CHARS_PER_STEP: Final = 512
_PLAIN: Final = frozenset(
    (type(None), bool, int, Uint, float, str, bytes, Timestamp, Duration, Type)
)


def kind_of(value: Any) -> str:
    """The kind of a value: a value of `KINDS`."""
    return KINDS.get(type(value), "object")


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """`left == right`: numbers by value, different kinds never. Costs a step for each item."""
    kind = type(left)
    other = type(right)
    if kind is other and kind in _PLAIN:
        if kind is str or kind is bytes:
            budget.charge(len(left) // _CHARS_PER_STEP)
        return bool(left == right)
    if kind in NUMBERS and other in NUMBERS:
        return bool(left == right)
    kinds = (kind_of(left), kind_of(right))
    if kinds == ("list", "list"):
        budget.charge(2)
        if len(left) != len(right):
            return False
        for one, two in zip(left, right, strict=True):
            budget.charge(2)
            if not equal(one, two, budget):
                return False
        return True
    if kinds == ("map", "map"):
        return _equal_maps(left, right, budget)
    return False


def _equal_maps(left: Any, right: Any, budget: Budget) -> bool:
    budget.charge(2)
    if len(left) != len(right):
        return False
    for key in left:
        budget.charge(4)
        if type(right) is dict:
            if type(key) is not str or key not in right:
                return False
            theirs = right[key]
        else:
            entry = right.find(key)
            if entry is None:
                return False
            theirs = entry[1]
        ours = left[key] if type(left) is dict else left.get(key)
        if not equal(ours, theirs, budget):
            return False
    return True


def checked_int(number: int) -> int:
    """`number` as an int of 64 bits; raises EvaluationError beyond."""
    if INT_MIN <= number <= INT_MAX:
        return number
    raise EvaluationError(f"{number} is beyond the 64 bits of an int.")


def checked_uint(number: int) -> Uint:
    """`number` as an unsigned int of 64 bits; raises EvaluationError beyond."""
    if 0 <= number <= UINT_MAX:
        return Uint(number)
    raise EvaluationError(f"{number} is not between 0 and 2^64 - 1, as a uint is.")


_SHOWN_CHARS: Final = 60


def show(value: Any) -> str:
    """`value` as an error message names it: short, in the syntax of expressions."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if math.isfinite(value):
            return repr(value)
        case Uint():
            return f"{int(value)}u"
        case int():
            return str(value)
        case str():
            return repr(value if len(value) <= _SHOWN_CHARS else value[:_SHOWN_CHARS] + "…")
        case _:
            return f"a {kind_of(value)}"
