"""The rows of one level of a kept answer, with their JSON beside them. No I/O.

Bag      rows in no order: finds, puts and takes a row in O(1)
Window   a page in its order: O(log n) comparisons and one move within a list

Both keep `rows`, which is the list of the tree's node itself, and `fragments`, parallel to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trice.protocol.ids import EntityId
from trice.store.engine import Row

Key = tuple[Any, ...]
KeyOf = Callable[[Row], Key]


def is_same_row(one: Row, other: Row) -> bool:
    """Whether two rows show the same: 1 and 1.0 are equal, but not as JSON."""
    return one == other and list(map(type, one)) == list(map(type, other))


class Bag:
    """Rows in no order.

    Holds the rows, the place of each, and the JSON of each after its first use (b"" before).
    """

    __slots__ = ("_places", "fragments", "rows")

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.fragments: list[bytes] = [b""] * len(rows)
        self._places: dict[EntityId, int] = {
            row[0]: place  # type: ignore[misc]
            for place, row in enumerate(rows)
        }

    def __contains__(self, entity: object) -> bool:
        return entity in self._places

    def find(self, entity: EntityId) -> Row | None:
        place = self._places.get(entity)
        return None if place is None else self.rows[place]

    def put(self, row: Row) -> None:
        """Add a row, or replace the row of the same entity."""
        entity: EntityId = row[0]  # type: ignore[assignment]
        place = self._places.get(entity)
        if place is None:
            self._places[entity] = len(self.rows)
            self.rows.append(row)
            self.fragments.append(b"")
        else:
            self.rows[place] = row
            self.fragments[place] = b""

    def take(self, entity: EntityId) -> Row:
        """Remove a row that is there; the last one takes its place."""
        place = self._places.pop(entity)
        row = self.rows[place]
        last, fragment = self.rows.pop(), self.fragments.pop()
        if place < len(self.rows):
            self.rows[place], self.fragments[place] = last, fragment
            self._places[last[0]] = place  # type: ignore[index]
        return row


class Window:
    """Rows in the order of a page.

    Holds the rows in order, the row of each entity, and their JSON. `key_of` orders rows ascending;
    the page may be descending.
    """

    __slots__ = ("_by_id", "fragments", "is_descending", "key_of", "rows")

    def __init__(self, rows: list[Row], key_of: KeyOf, *, is_descending: bool) -> None:
        self.rows = rows
        self.fragments: list[bytes] = [b""] * len(rows)
        self.key_of = key_of
        self.is_descending = is_descending
        self._by_id: dict[EntityId, Row] = {row[0]: row for row in rows}  # type: ignore[misc]

    def __contains__(self, entity: object) -> bool:
        return entity in self._by_id

    def find(self, entity: EntityId) -> Row | None:
        return self._by_id.get(entity)

    def put(self, row: Row) -> None:
        """Add a row at its place, or replace the row of the same entity."""
        entity: EntityId = row[0]  # type: ignore[assignment]
        old = self._by_id.get(entity)
        if old is not None and self.key_of(old) != self.key_of(row):
            self.take(entity)
            old = None
        place = self._place(self.key_of(row))
        if old is None:
            self.rows.insert(place, row)
            self.fragments.insert(place, b"")
        else:
            self.rows[place] = row
            self.fragments[place] = b""
        self._by_id[entity] = row

    def take(self, entity: EntityId) -> Row:
        """Remove a row that is there."""
        row = self._by_id.pop(entity)
        place = self._place(self.key_of(row))
        del self.rows[place]
        del self.fragments[place]
        return row

    def _place(self, key: Key) -> int:
        """How many rows stand before `key`."""
        low, high = 0, len(self.rows)
        while low < high:
            middle = (low + high) // 2
            other = self.key_of(self.rows[middle])
            if other > key if self.is_descending else other < key:
                low = middle + 1
            else:
                high = middle
        return low
