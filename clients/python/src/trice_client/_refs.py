"""What stands for functions and namespaces in a generated `client/api.py`. No I/O."""

from __future__ import annotations

from typing import Any, Generic, TypedDict, TypeVar

A = TypeVar("A", contravariant=True)
R = TypeVar("R", covariant=True)
Row = TypeVar("Row", covariant=True)


class NoArgs(TypedDict):
    """The arguments of a function that takes none."""


T = TypeVar("T")


class Page(TypedDict, Generic[T]):
    """A page that a function returns; `next` is for `after` of the next call, None at the end."""

    items: list[T]
    next: str | None


class PageArgs(TypedDict, total=False):
    """Which page a function shall return."""

    size: int
    after: str | None


class Function(Generic[A, R]):
    """A function of the app: its arguments are an `A`, it returns an `R`."""

    __slots__ = ("name",)
    kind = "function"

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


class QueryFunction(Function[A, R]):
    """Reads, and can be watched."""

    __slots__ = ()
    kind = "query"


class MutationFunction(Function[A, R]):
    """Reads and writes, once for each event id."""

    __slots__ = ()
    kind = "mutation"


class ActionFunction(Function[A, R]):
    """Does what is outside of the data."""

    __slots__ = ()
    kind = "action"


class Namespace(Generic[Row]):
    """A namespace of the app, whose rows are `Row`s."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<namespace {self.name}>"


def name_of(named: str | Function[Any, Any] | Namespace[Any]) -> str:
    """The name on the wire."""
    return named if isinstance(named, str) else named.name
