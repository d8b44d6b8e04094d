"""Tables as plain functions have them. Made of `tables` by scripts/blocking.py: do not edit.

For checkers of types: what stands here at run time is in `trice.functions.blocking`. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, overload

from trice.schema.declare import Id, N, unbound
from trice.schema.views import Order, Page, Paged, V, Where


class BlockingTable(Generic[N]):
    """A namespace of the schema; the name of the attribute is its name, but for `$users`,
    `$files` and `$streams`.

    In a function, `ctx.db.todos` reads and, in a mutation, writes it. Names and values are those of
    the schema. Reads block; writes are noted at once, and seen by the reads after them.
    """

    # --- reads ------------------------------------------------------------------------------------

    @overload
    def get(self, id: Id[N]) -> N | None: ...
    @overload
    def get(self, id: Id[N], view: type[V]) -> V | None: ...
    def get(self, id: Id[N], view: Any = None) -> Any:
        """The entity with this id; None if there is none."""
        raise unbound()

    @overload
    def get_many(self, ids: Sequence[Id[N]]) -> list[N | None]: ...
    @overload
    def get_many(self, ids: Sequence[Id[N]], view: type[V]) -> list[V | None]: ...
    def get_many(self, ids: Sequence[Id[N]], view: Any = None) -> Any:
        """The entities with these ids, each in the place of its id."""
        raise unbound()

    @overload
    def lookup(self, **by: Any) -> N | None: ...
    @overload
    def lookup(self, view: type[V], **by: Any) -> V | None: ...
    def lookup(self, view: Any = None, **by: Any) -> Any:
        """The entity with this value in a unique attribute: `lookup(email="…")`."""
        raise unbound()

    @overload
    def first(self, *, where: Where | None = None, order: Order | None = None) -> N | None: ...
    @overload
    def first(
        self, view: type[V], *, where: Where | None = None, order: Order | None = None
    ) -> V | None: ...
    def first(self, view: Any = None, *, where: Any = None, order: Any = None) -> Any:
        """The first of those that match, by creation unless an order is given."""
        raise unbound()

    @overload
    def find(
        self, *, where: Where | None = None, order: Order | None = None, limit: int | None = None
    ) -> list[N]: ...
    @overload
    def find(
        self,
        view: type[V],
        *,
        where: Where | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> list[V]: ...
    def find(
        self, view: Any = None, *, where: Any = None, order: Any = None, limit: Any = None
    ) -> Any:
        """Those that match. Without `limit` more than 1,000 are the error `too-many-rows`."""
        raise unbound()

    @overload
    def page(self, page: Paged, *, where: Where | None = None, order: Order) -> Page[N]: ...
    @overload
    def page(
        self, page: Paged, view: type[V], *, where: Where | None = None, order: Order
    ) -> Page[V]: ...
    def page(self, page: Paged, view: Any = None, *, where: Any = None, order: Any) -> Any:
        """A page of those that match. Pages neither overlap nor leave gaps."""
        raise unbound()

    def exists(self, where: Where) -> bool:
        """Whether any matches."""
        raise unbound()

    def count(self, where: Where | None = None) -> int:
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
    ) -> dict[str, Any]:
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
