"""How much one file may hold: rows and bytes, for throw-away apps."""

from __future__ import annotations

from typing import Final

from trice import limits
from trice.catalog.catalog import Catalog
from trice.errors import LimitExceeded
from trice.store.commit import Commit
from trice.store.engine import Statements, WorkTooLong
from trice.store.engines import Quota
from trice.store.sqlite import log
from trice.store.sqlite.tables import quoted

_PAGE_BYTES: Final = 4_096
_ALL_PAGES: Final = "PRAGMA page_count"
_FREE_PAGES: Final = "PRAGMA freelist_count"


class Usage:
    """What one file holds, compared with its quota before a transaction is let in. Its bytes are
    the size of the file without its free pages.

    Holds the number of published rows. A transaction that only takes away is always let in. Costs
    2 µs a transaction, 10 µs where the log gets shorter; files without a quota pay nothing.
    """

    def __init__(self, statements: Statements, catalog: Catalog, quota: Quota) -> None:
        """Count what is there: about 30 ns a row."""
        self._quota = quota
        self._rows = sum(_count(statements, table) for table in _tables(catalog))

    def check(
        self, statements: Statements, commit: Commit, *, before: int, may_take_long: bool
    ) -> int:
        """Refuse a transaction that would make the file too large, while it is open.

        The log of transactions makes room first: from half of the bytes on it gets shorter with
        each transaction, and if data and log together are still too large it is deleted whole.

        before         rows that the earlier transactions of the same group added
        may_take_long  whether this runs on the writer's thread
        returns        rows added by these and by this one
        raises         LimitExceeded("app-quota-exceeded"), WorkTooLong when a log must be deleted
                       on the loop; the transaction must be undone
        """
        growth = _growth(commit)
        used = self._used_bytes(statements)
        if used > self._quota.bytes // 2:
            kept, most = limits.EPHEMERAL_LOG_ROWS_KEPT, limits.EPHEMERAL_LOG_TRIM_ROWS
            log.make_room(statements, commit.tx, kept=kept, most=most)
        if _only_takes(commit):
            return before + growth
        held = self._rows + before
        if growth > 0 and held + growth > self._quota.rows:
            raise _exceeded("rows", held, self._quota.rows)
        if used > self._quota.bytes:
            if not may_take_long:
                raise WorkTooLong
            log.make_room(statements, commit.tx, kept=0, most=commit.tx)
            used = self._used_bytes(statements)
            if used > self._quota.bytes:
                raise _exceeded("bytes", used, self._quota.bytes)
        return before + growth

    def _used_bytes(self, statements: Statements) -> int:
        """What the file holds; free pages are counted where it could be more than half."""
        used = _pages(statements, _ALL_PAGES) * _PAGE_BYTES
        if used > self._quota.bytes // 2:
            used -= _pages(statements, _FREE_PAGES) * _PAGE_BYTES
        return used

    def settle(self, added: int) -> None:
        """Note that a group which added so many rows is durable."""
        self._rows += added


def _growth(commit: Commit) -> int:
    """How many rows and pairs a commit adds, less those that it removes."""
    entities = sum((each.new is not None) - (each.old is not None) for each in commit.entities)
    return entities + sum(1 if pair.is_added else -1 for pair in commit.pairs)


def _only_takes(commit: Commit) -> bool:
    return (
        not commit.is_catalog_changed
        and all(each.new is None for each in commit.entities)
        and not any(pair.is_added for pair in commit.pairs)
    )


def _tables(catalog: Catalog) -> set[str]:
    return {attr.table for attr in catalog.by_id.values() if attr.table}


def _pages(statements: Statements, pragma: str) -> int:
    ((count,),) = statements.rows(pragma)
    assert isinstance(count, int)
    return count


def _count(statements: Statements, table: str) -> int:
    ((count,),) = statements.rows(f"SELECT count(*) FROM {quoted(table)}")
    assert isinstance(count, int)
    return count


def _exceeded(quota: str, current: int, limit: int) -> LimitExceeded:
    return LimitExceeded(
        "app-quota-exceeded",
        f"This throw-away app is full: it holds {current:,} {quota}, and {limit:,} are the most."
        " Delete something, or use an app that lasts.",
        {"quota": quota, "current": current, "limit": limit},
    )
