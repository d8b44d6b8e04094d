"""How functions say what they want of a row, and of many: views, bounded lists, pages. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, dataclass_transform

from trice.schema.declare import N

T = TypeVar("T")
_HINTS: Final = "__annotations__"
Where = Mapping[str, Any]
Order = Mapping[str, Literal["asc", "desc"]]


@dataclass_transform(kw_only_default=True, eq_default=False)
class View(Generic[N]):
    """What is asked for of an entity, and its type: `class AuthorView(View[User])`.

    Each type hint is an attribute of the namespace, a link (`author: AuthorView | None`,
    `members: list[MemberView]`) or the back label of one. What it does not name is not read.
    """

    if not TYPE_CHECKING:

        def __init__(self, **values: Any) -> None:
            names = [name for cls in type(self).__mro__ for name in vars(cls).get(_HINTS, ())]
            for name in values:
                if name not in names:
                    raise TypeError(f"{type(self).__name__} has no {name}")
            for name in names:
                if name not in values and not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__} lacks {name}")
                setattr(self, name, values.get(name, getattr(type(self), name, None)))


V = TypeVar("V", bound=View[Any])


@dataclass(frozen=True, slots=True)
class Sub:
    """Of which entities a list in a view is made: Annotated[list[MessageView], Sub(limit=10)].

    where   which of them
    order   one label: {"sent_at": "desc"}
    limit   how many at most, the first of that order
    """

    where: Where | None = None
    order: Order | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Paged:
    """Which page is asked for: an argument of a function that answers with a `Page`.

    size    how many items, 1 to 1,000
    after   `Page.next` of the page before; None: the first
    """

    size: int = 50
    after: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some of many items, in order.

    next   for `Paged.after` of the page behind it; None: it is the last
    """

    items: list[T]
    next: str | None
