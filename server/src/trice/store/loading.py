"""The contract of filling a new app with many rows at once: without transactions, out of sight.

    begin ──> open an engine, write the schema, close it ──> fill ──> open, check, close ──> publish
      └── nothing is found under the app's id until `publish`; `discard` removes all of it

A stop before `publish` leaves only what `Engines.unsettled` removes. A stop after it loses nothing:
`Engines.unsettled` completes it, and tells the note that came with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.protocol.ids import EntityId, TxId
from trice.store.engine import Engine
from trice.store.rows import StoredRow

NewPair = tuple[EntityId, EntityId, int]
"""Source, target, and when the pair was made."""


class Filling(Protocol):
    """Storage while rows are put into it. Uniqueness of values is checked by `finish`, that of ids
    at once. What is filled in has no row in the log of transactions."""

    def insert(self, namespace: Namespace, rows: Sequence[StoredRow]) -> None:
        """Add rows of entities that have none yet.

        raises  UniqueViolation with the id attr and the id that has a row already; Unavailable
        """
        ...

    def link(self, attr: Attr, pairs: Sequence[NewPair]) -> None:
        """Add pairs of a link of cardinality many; one that is there already stays as it is."""
        ...

    def finish(self, on_index: Callable[[int, int], None]) -> None:
        """Build the indexes.

        on_index  is told how many are done, and of how many
        raises    UniqueViolation with the attr and one value that several entities have
        """
        ...

    def interrupt(self) -> None:
        """End the `finish` that runs on another thread soon; it raises then."""
        ...


class Loading(Protocol):
    """One app that is being loaded. Every method blocks."""

    def open(self, system_attrs: Iterable[Attr], *, is_new: bool) -> Engine:
        """Open what there is so far; the caller closes it before anything else is called."""
        ...

    def fill(self, catalog: Catalog, *, tx_before: TxId) -> AbstractContextManager[Filling]:
        """Begin to fill the storage, in which `catalog` is in force. An exception inside loses what
        was filled in: only `discard` is of use then.

        tx_before   the transactions that there are so far get the ids that follow this one
        """
        ...

    def publish(self, note: bytes) -> None:
        """Give the storage its place under the app's id, durably; what stands there is replaced.
        `settle` must follow once the app is in the list of apps.

        note    what the list of apps must say of it
        raises  Unavailable, OSError: then nothing has changed
        """
        ...

    def settle(self) -> None:
        """The app is listed: nothing is left to complete."""
        ...

    def discard(self) -> bool:
        """Remove everything; return False, and do nothing, if it is published."""
        ...
