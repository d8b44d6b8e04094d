"""The contract of filling a new app with many rows at once: without transactions, out of sight.

    begin ──> open an engine, write the schema, close it ──> fill ──> open, check, close ──> publish
      └── nothing is found under the app's id until `publish`; `discard` removes all of it

A stop before `publish` leaves what `Engines.unsettled` removes; of a loading that keeps what it has
done it leaves all up to the last `Filling.keep` for some days, and the next one goes on from there.
A stop after `publish` loses nothing: `Engines.unsettled` completes it, and tells the note that came
with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog, Namespace
from trice.catalog.values import Cell
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

    def keep(self, note: bytes) -> None:
        """Make what was put in so far last, together with a note: the next loading of the app finds
        both, whatever stops this one. Costs a write to disk of all of it; a loading that does not
        keep what it has done does nothing.

        raises  Unavailable
        """
        ...

    def cells(self, attr: Attr) -> Iterator[Cell]:
        """The values of an attr of cardinality one that were put in so far, in any order."""
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
        """Begin to fill the storage, in which `catalog` is in force, or go on with it. An exception
        inside loses what was put in after the last `keep`.

        tx_before   the transactions that there are so far get the ids that follow this one; it has
                    no meaning for a storage of which something was kept
        """
        ...

    def kept(self) -> bytes | None:
        """The note of the last `keep`; None: nothing was kept, so this begins anew."""
        ...

    def restart(self) -> None:
        """Remove what was kept."""
        ...

    def release(self) -> None:
        """Let others load the app. What was kept stays."""
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
