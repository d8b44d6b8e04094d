"""What functions read and write tables with, and how they say what they want of a row. No I/O.

`Table` says the words and their types; `trice.functions` has the tables that obey them.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    TypeVar,
    dataclass_transform,
    overload,
)

from trice.schema.declare import Id, N, unbound

T = TypeVar("T")
_HINTS: Final = "__annotations__"
Where = Mapping[str, Any]
Order = Mapping[str, Literal["asc", "desc"]]
Later = Coroutine[Any, Any, T]
"""What is awaited."""


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


class Table(Generic[N]):
    """A namespace of the schema; the name of the attribute is its name, but for `$users`,
    `$files` and `$streams`.

    In a function, `ctx.db.todos` reads and, in a mutation, writes it. Names and values are those of
    the schema. Reads are awaited; writes are noted at once, and seen by the reads after them.
    """

    # --- reads ------------------------------------------------------------------------------------

    @overload
    def get(self, id: Id[N]) -> Later[N | None]: ...
    @overload
    def get(self, id: Id[N], view: type[V]) -> Later[V | None]: ...
    def get(self, id: Id[N], view: Any = None) -> Any:
        """The entity with this id; None if there is none."""
        raise unbound()

    @overload
    def get_many(self, ids: Sequence[Id[N]]) -> Later[list[N | None]]: ...
    @overload
    def get_many(self, ids: Sequence[Id[N]], view: type[V]) -> Later[list[V | None]]: ...
    def get_many(self, ids: Sequence[Id[N]], view: Any = None) -> Any:
        """The entities with these ids, each in the place of its id."""
        raise unbound()

    @overload
    def lookup(self, **by: Any) -> Later[N | None]: ...
    @overload
    def lookup(self, view: type[V], **by: Any) -> Later[V | None]: ...
    def lookup(self, view: Any = None, **by: Any) -> Any:
        """The entity with this value in a unique attribute: `lookup(email="…")`."""
        raise unbound()

    @overload
    def first(
        self, *, where: Where | None = None, order: Order | None = None
    ) -> Later[N | None]: ...
    @overload
    def first(
        self, view: type[V], *, where: Where | None = None, order: Order | None = None
    ) -> Later[V | None]: ...
    def first(self, view: Any = None, *, where: Any = None, order: Any = None) -> Any:
        """The first of those that match, by creation unless an order is given."""
        raise unbound()

    @overload
    def find(
        self, *, where: Where | None = None, order: Order | None = None, limit: int | None = None
    ) -> Later[list[N]]: ...
    @overload
    def find(
        self,
        view: type[V],
        *,
        where: Where | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> Later[list[V]]: ...
    def find(
        self, view: Any = None, *, where: Any = None, order: Any = None, limit: Any = None
    ) -> Any:
        """Those that match. Without `limit` more than 1,000 are the error `too-many-rows`."""
        raise unbound()

    @overload
    def page(self, page: Paged, *, where: Where | None = None, order: Order) -> Later[Page[N]]: ...
    @overload
    def page(
        self, page: Paged, view: type[V], *, where: Where | None = None, order: Order
    ) -> Later[Page[V]]: ...
    def page(self, page: Paged, view: Any = None, *, where: Any = None, order: Any) -> Any:
        """A page of those that match. Pages neither overlap nor leave gaps."""
        raise unbound()

    def exists(self, where: Where) -> Later[bool]:
        """Whether any matches."""
        raise unbound()

    def count(self, where: Where | None = None) -> Later[int]:
        """How many match."""
        raise unbound()

    def totals(
        self,
        *,
        where: Where | None = None,
        sum: str | Sequence[str] | None = None,
        avg: str | Sequence[str] | None = None,
        min: str | Sequence[str] | None = None,
        max: str | Sequence[str] | None = None,
        group_by: str | None = None,
    ) -> Later[dict[str, Any]]:
        """Count, sums, averages and bounds of those that match: `{"count": 2, "sum": {…}, …}`, or
        with `group_by` `{"groups": [{"key": …, "count": …, …}]}`."""
        raise unbound()

    # --- writes -----------------------------------------------------------------------------------

    def create(self, *, id: Id[N] | None = None, **values: Any) -> Id[N]:
        """Make an entity, and link it; attributes that lack get the default of the schema."""
        raise unbound()

    def update(self, id: Id[N], /, **values: Any) -> None:
        """Change attributes of an entity that exists; a `One` is replaced."""
        raise unbound()

    def merge(self, id: Id[N], /, **values: Any) -> None:
        """Change keys of attributes that are JSON objects; None removes a key."""
        raise unbound()

    def link(self, id: Id[N], /, **links: Any) -> None:
        """Link it with one entity or several: by a link's own name, or its name from here."""
        raise unbound()

    def unlink(self, id: Id[N], /, **links: Any) -> None:
        """Take links away."""
        raise unbound()

    def delete(self, id: Id[N], /) -> None:
        """Delete an entity, and what cascades from it; nothing if there is none."""
        raise unbound()

    def increment(self, id: Id[N], /, **by: float) -> None:
        """Add to numbers. It reads nothing, so calls that do it at once do not conflict."""
        raise unbound()
