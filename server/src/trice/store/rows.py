"""The contract of rows: what is stored of entities and links, asked and changed without SQL.

Namespaces and attrs say what is meant, of the catalog that the transaction or snapshot has or has
made; where an engine keeps them it alone knows. Values are cells (`catalog.values`), ids 16 bytes.

A row is `(id, created_ms, *cells)`, cells in the order of `Namespace.columns`. It exists if the
entity has any value of cardinality one; `created_ms` is None of a stub (`commit.Image`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from trice.catalog.attr import Attr, CheckedType
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId

StoredRow = tuple[Cell, ...]
Pair = tuple[EntityId, EntityId]
"""Source and target of a link."""


class UniqueViolation(Exception):
    """A write that would give two entities one value of a unique attr.

    attr   whose value it is; an id attr where an entity would have two rows
    cell   the value, or the target of a link; None where the engine cannot tell
    """

    def __init__(self, attr: Attr, cell: Cell) -> None:
        super().__init__(f"{attr.name} is unique")
        self.attr = attr
        self.cell = cell


class Rows(Protocol):
    """What a snapshot, or an open write that sees its own changes, has of rows and pairs.

    Each method is one statement, or as few as may be, however many entities it is about.
    """

    def find(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[StoredRow]:
        """The rows of these entities, in any order, without those that have none."""
        ...

    def find_entities(
        self, namespace: Namespace, attr: Attr, cell: Cell, *, count: int
    ) -> list[StoredRow]:
        """The rows, no stubs, whose `attr` is `cell`: oldest first, then by id, at most `count`.

        attr   the id attr, or one of cardinality one that is unique or indexed; links too
        """
        ...

    def find_present(self, namespace: Namespace, ids: Sequence[EntityId]) -> list[EntityId]:
        """Which of `ids` have a row, a stub's included."""
        ...

    def find_holders(self, attr: Attr, cells: Sequence[Cell]) -> dict[Cell, EntityId]:
        """Who has these values of unique `attr`: a field, or a link by its target."""
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

    def has_entities(self, namespace: Namespace) -> bool:
        """Whether there is any row that is no stub."""
        ...


class OpenRows(Rows, Protocol):
    """Rows and pairs of an open write, which may change. An engine keeps by itself whatever it
    needs beside a cell, such as what orders it."""

    def insert(
        self,
        namespace: Namespace,
        entity: EntityId,
        created_ms: int | None,
        cells: Sequence[Cell],
        positions: Sequence[int],
    ) -> None:
        """Add the row of an entity that has none.

        positions  of the cells that hold something; the rest is None
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
        """Add a pair of a link of cardinality many; False if it was there, which then stays.

        raises   UniqueViolation when the target has another source, and the link is unique
        """
        ...

    def unlink(self, attr: Attr, source: EntityId, target: EntityId) -> int | None:
        """Remove a pair of a link of cardinality many; return since when it was there, if it was.

        attr   may be soft-deleted
        """
        ...

    def clear_targets(self, attr: Attr, targets: Sequence[EntityId]) -> None:
        """Remove links of cardinality one to these targets, whose attr no namespace shows."""
        ...


class StoredAttrs(Protocol):
    """Where attrs are kept in an open write, and what a change of one asks of stored values.

    An attr is *placed* when the engine has made room for it; `Attr.table` and `Attr.column` are the
    engine's own notes of where that is, and nobody else's to read.
    """

    def create(self, catalog: Catalog, attrs: Sequence[Attr]) -> list[Attr]:
        """Make room for new attrs; return them placed, in the same order.

        catalog  the catalog before them, soft-deleted attrs included
        attrs    with ids and names that differ
        A namespace that gets an id attr again has no entities: those that the one deleted before
        left are stubs from now on.
        raises   LimitExceeded
        """
        ...

    def replace(self, old: Attr, new: Attr) -> Attr:
        """Change an attr; its values stay, in the form that `new` asks for. Return `new`, placed.

        A link that changes its cardinality keeps its pairs: of several targets that become one the
        one linked first stays.
        raises    UniqueViolation when stored values are not unique
        """
        ...

    def settle(self, before: Catalog, after: Catalog) -> None:
        """Bring in line what depends on several attrs (views for people), once all are changed."""
        ...

    def lacks_value(self, namespace: Namespace, attr: Attr) -> bool:
        """Whether any entity has no value, or null, of `attr`."""
        ...

    def find_shared(self, attr: Attr) -> Cell:
        """A value, or a target, that more than one entity has; None if there is none."""
        ...

    def find_longer(self, attr: Attr, bytes_max: int) -> tuple[EntityId, Cell] | None:
        """Somebody whose value takes more bytes than this, as text or as JSON; numbers may."""
        ...

    def find_mistyped(self, attr: Attr, checked_type: CheckedType) -> tuple[EntityId, Cell] | None:
        """Somebody whose value is stored in a form that no value of this type has; null is none.

        Dates are stored as text or numbers; whether these are dates is not asked.
        """
        ...

    def values(self, attr: Attr) -> Iterator[tuple[EntityId, Cell]]:
        """Every value that is there, null included where it is kept; few at a time in memory."""
        ...
