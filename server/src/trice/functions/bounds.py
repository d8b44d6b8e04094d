"""Bounds of arguments and results: `Annotated[int, Le(100)]`. No I/O.

They are the words of the package `annotated-types`, whose own objects are accepted too: what counts
is the name of the class and of its fields. `msgspec.Meta` may stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Gt:
    """Greater than."""

    gt: float


@dataclass(frozen=True, slots=True)
class Ge:
    """Greater than or equal to."""

    ge: float


@dataclass(frozen=True, slots=True)
class Lt:
    """Less than."""

    lt: float


@dataclass(frozen=True, slots=True)
class Le:
    """Less than or equal to."""

    le: float


@dataclass(frozen=True, slots=True)
class MinLen:
    """So many characters, bytes or items at least."""

    min_length: int


@dataclass(frozen=True, slots=True)
class MaxLen:
    """So many characters, bytes or items at most."""

    max_length: int


@dataclass(frozen=True, slots=True)
class Len:
    """Both bounds of a length."""

    min_length: int = 0
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Predicate:
    """A function of the value that is true: of an argument itself, not of what is inside of it."""

    func: Callable[[Any], bool]


_BOUNDS = ("Gt", "Ge", "Lt", "Le", "Interval", "MultipleOf", "MinLen", "MaxLen", "Len")
KEYS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length")
"""Fields of bounds, which are also the words of `msgspec.Meta`."""


def bounds_of(mark: Any) -> dict[str, Any] | None:
    """What a mark of `Annotated` bounds, in words of `msgspec.Meta`; None: it is no bound.

    mark   one of the above, or its namesake of `annotated_types`
    """
    if type(mark).__name__ not in _BOUNDS:
        return None
    found = {key: getattr(mark, key, None) for key in KEYS}
    return {
        key: value
        for key, value in found.items()
        if value is not None and not (key == "min_length" and value == 0)
    }


def predicate_of(mark: Any) -> Callable[[Any], bool] | None:
    """The function of a `Predicate`; None: it is no predicate."""
    if type(mark).__name__ != "Predicate":
        return None
    func: Callable[[Any], bool] = mark.func
    return func
