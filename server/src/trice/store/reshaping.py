"""The contract of changes to how rows are kept, a few rows at a time, while others write.

They change nothing that a query can tell, so they are no transactions of the app: they have no id,
no Commit and no row in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trice.catalog.attr import Attr


class Progress:
    """How far long work is, in rows that it passes. Several passes over a row count each.

    estimate, completed   the first may be too low, as others add rows meanwhile
    """

    def __init__(self) -> None:
        self.estimate = 0
        self.completed = 0


class Reshaping(Protocol):
    """Changes of stored rows in short steps on the writer's thread. Between two of them run the
    transactions that wait.

    Each method may be cancelled: what it did stays, and doing it again is harmless.
    raises   Unavailable when the disk is full, or the engine is closed
    """

    async def count(self, attr: Attr) -> int:
        """How many rows its table has, or had at most; 0 for a link to many, which has no rows.
        O(1)."""
        ...

    def can_build(self, old: Attr, new: Attr) -> bool:
        """Whether `build` can prepare this change. If not, `StoredAttrs.replace` does all of it, in
        O(rows): a change of a link to many, or from dates to texts that are in order."""
        ...

    async def build(
        self, old: Attr, new: Attr, progress: Progress, when_late: Callable[[], None]
    ) -> None:
        """Make what `StoredAttrs.replace` needs, so that it takes little time.

        old        with `pending`, so that its writes fit `new` already
        when_late  called before anything is changed that would not be changed back
        raises   UniqueViolation
        """
        ...

    async def drop(self, attr: Attr) -> None:
        """Remove what an unfinished `build` made."""
        ...

    async def store_nulls(self, attr: Attr, progress: Progress, *, is_filling: bool) -> None:
        """Turn each explicit null of an attr into NULL; or, if `is_filling`, each NULL into an
        explicit null."""
        ...

    async def empty(self, attr: Attr, progress: Progress) -> None:
        """Forget all values of a soft-deleted attr."""
        ...
