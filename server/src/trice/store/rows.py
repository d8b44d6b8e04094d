"""The contract of rows: reading and changing stored entities and links without SQL.

Methods are told namespaces and attrs, of the catalog that the transaction or snapshot has or has
made; only the engine knows where they are kept. Values are cells (`catalog.values`), ids 16 bytes.

A row is `(id, created_ms, *cells)`, cells in the order of `Namespace.columns`. It exists if the
entity has any value of cardinality one; `created_ms` of a stub is None (`commit.Image`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from trice.catalog.attr import Attr, CheckedType
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId

StoredRow = tuple[Cell, ...]
Pair = tuple[EntityId, EntityId]
"""Source and target of a link."""


class UniqueViolation(Exception):
    """A write would give two entities the same value of a unique attr.

    attr   the attr of the value; an id attr where an entity would have two rows
    cell   the value, or the target of a link; None where the engine cannot tell
    """

    def __init__(self, attr: Attr, cell: Cell) -> None:
        super().__init__(f"{attr.name} is unique")
        self.attr = attr
        self.cell = cell


class Rows(Protocol):
    """The rows and pairs of a snapshot, or of an open write, which sees its own changes.

    Each method runs one statement, or as few as possible, however many entities it is about.
    """

    def find(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[StoredRow]:
        """The rows of these entities, in any order; entities without a row are left out."""
        ...

    def find_entities(
        self, namespace: Namespace, attr: Attr, cell: Cell, *, count: int
    ) -> list[StoredRow]:
        """The rows whose `attr` is `cell`, but no stubs: oldest first, then by id, at most `count`.

        attr   the id attr, or a unique or indexed attr of cardinality one; it may be a link
        """
        ...

    def find_present(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[EntityId]:
        """Which of `ids` have a row, a stub's included."""
        ...

    def find_holders(self, attr: Attr, cells: Sequence[Cell]) -> dict[Cell, EntityId]:
        """The entity that has each of these values of unique `attr`: of a link, these targets."""
        ...

    def find_sources(self, attr: Attr, targets: Sequence[EntityId], *, count: int) -> list[Pair]:
        """Pairs of link `attr`, of either cardinality, with these targets; at most `count`."""
        ...

    def find_targets(self, attr: Attr, sources: Sequence[EntityId], *, count: int) -> list[Pair]:
        """Pairs of link `attr`, of either cardinality, with these sources; at most `count`."""
        ...

    def find_linked(self, attr: Attr, sources: Sequence[EntityId]) -> set[EntityId]:
        """Which of `sources` have at least one pair of `attr`, a link of cardinality many."""
        ...

    def scan(self, namespace: Namespace, *, after: bytes, count: int) -> list[StoredRow]:
        """The rows of the next `count` entities by id, stubs left out.

        after   the id of the last row so far; `b""` at the beginning
        """
        ...

    def count(self, namespace: Namespace) -> tuple[int, dict[AttrId, int]]:
        """How many entities there are, and how many values or links of each attr but the id.

        A null counts as a value, and so does an indexed attr that was never set.
        cost   reads every row, and every pair of its links
        """
        ...

    def has_entities(self, namespace: Namespace) -> bool:
        """Whether there is any row that is no stub."""
        ...


class OpenRows(Rows, Protocol):
    """Rows and pairs of an open write, which may be changed. What an engine needs beside a cell,
    such as an order key, it keeps up to date by itself."""

    def insert(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
    ) -> None:
        """Add the row of an entity that has none.

        positions  positions of the cells that are not None
        raises     UniqueViolation
        """
        ...

    def update(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
        *,
        sets_created: bool = False,
    ) -> None:
        """Change the cells at these positions of a row, and `created_ms` where that is set.

        raises   UniqueViolation
        """
        ...

    def delete(self, namespace: Namespace, ids: Sequence[EntityId]) -> None:
        """Delete rows, with the cells of soft-deleted attrs. Pairs stay."""
        ...

    def link(self, attr: Attr, source: EntityId, target: EntityId, created_ms: int) -> bool:
        """Add a pair of a link of cardinality many; False if the pair is there already.

        raises   UniqueViolation when the target has another source, and the link is unique
        """
        ...

    def unlink(self, attr: Attr, source: EntityId, target: EntityId) -> int | None:
        """Remove a pair of a link of cardinality many; return when it was created, None if it
        was not there.

        attr   may be soft-deleted
        """
        ...

    def clear_targets(self, attr: Attr, targets: Sequence[EntityId]) -> None:
        """Remove links of cardinality one to these targets; no namespace shows their attr."""
        ...


class StoredValues(Protocol):
    """What a change of an attr asks of stored values, in a snapshot or an open write."""

    def lacks_value(self, namespace: Namespace, attr: Attr) -> bool:
        """Whether any entity has no value, or null, of `attr`."""
        ...

    def find_shared(self, attr: Attr) -> Cell:
        """A value, or a target, that more than one entity has; None if there is none."""
        ...

    def find_longer(self, attr: Attr, bytes_max: int) -> tuple[EntityId, Cell] | None:
        """An entity whose value takes more bytes than `bytes_max`, as text or as JSON. Numbers
        need not be measured."""
        ...

    def find_mistyped(self, attr: Attr, checked_type: CheckedType) -> tuple[EntityId, Cell] | None:
        """An entity whose value is stored in a form that no value of this type has; null passes.

        Dates are stored as text or numbers; whether such a value is a date is not checked.
        """
        ...

    def values(self, attr: Attr) -> Iterator[tuple[EntityId, Cell]]:
        """Every stored value, null included where it is stored; few at a time in memory."""
        ...


class StoredAttrs(StoredValues, Protocol):
    """Where attrs are kept in an open write, and what a change of an attr asks of stored values.

    An attr is *placed* when the engine has made room for it. `Attr.table` and `Attr.column` are the
    engine's own notes of where that is; no other code reads them.
    """

    def create(self, catalog: Catalog, attrs: Sequence[Attr]) -> list[Attr]:
        """Make room for new attrs; return them placed, in the same order.

        catalog  the catalog before them, soft-deleted attrs included
        attrs    with ids and names that differ
        A namespace that gets an id attr again has no entities: rows that the deleted id attr left
        are stubs from now on.
        raises   LimitExceeded
        """
        ...

    def replace(self, old: Attr, new: Attr) -> Attr:
        """Change an attr; its values stay, in the form that `new` asks for. Return `new`, placed.

        A link that changes its cardinality keeps its pairs; where several targets become one, the
        target that was linked first stays.
        raises    UniqueViolation when stored values are not unique
        """
        ...

    def remove(self, attr: Attr) -> None:
        """Forget a soft-deleted attr whose values are gone (`Reshaping.empty`)."""
        ...

    def settle(self, before: Catalog, after: Catalog) -> None:
        """Renew what depends on several attrs (views for people), once all are changed."""
        ...
