"""How much one file holds, compared with its quota: rows and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trice import limits, quota_limits
from trice.catalog.catalog import Catalog
from trice.errors import Unavailable
from trice.protocol.ids import TxId
from trice.store.commit import Commit
from trice.store.engine import Statements, WorkTooLong
from trice.store.quota import Quota, check_rows, exceeded, growth, only_takes
from trice.store.sqlite import log
from trice.store.sqlite.index import quoted

_PAGE_BYTES: Final = 4_096
_ALL_PAGES: Final = "PRAGMA page_count"
_FREE_PAGES: Final = "PRAGMA freelist_count"


class Usage:
    """What one file holds, compared with its quota before a transaction is let in. Its bytes are
    the size of the file without its free pages.

    off ──begin_count──> counting ──counted──> known      `rows` is None until they are known
                            └─────give_up────> off

    Holds the number of published rows once somebody wants it, and follows it from then on: a count
    of all rows never happens twice while the file is open. A transaction that only takes away is
    always let in. Costs 2 µs a transaction, 10 µs where the log gets shorter; a file that has no
    quota and that nobody asked about pays nothing.
    """

    def __init__(self, quota: Quota | None) -> None:
        self.quota = quota or Quota()
        self.rows: int | None = None
        # What the groups added that were published while somebody counts.
        self._grown: list[tuple[TxId, int]] | None = None
        self._counted_tx = TxId(0)

    @property
    def is_on(self) -> bool:
        """Whether transactions must be checked."""
        return self.rows is not None or self.quota.bytes is not None

    # --- counting ---------------------------------------------------------------------------------

    def count_now(self, statements: Statements, catalog: Catalog) -> None:
        """Count what is there, while nobody writes: about 30 ns a row."""
        self.rows = count_rows(statements, catalog)

    def begin_count(self) -> None:
        """Note from now on what groups add, until `counted` or `give_up`."""
        self._grown = []

    def counted(self, rows: int, tx: TxId) -> None:
        """A snapshot taken after `begin_count`, with `tx` as its newest transaction, has so many
        rows. `tx` may not be published yet: it is not added again then.

        raises   Unavailable when more was written meanwhile than is noted
        """
        grown, self._grown = self._grown, None
        assert grown is not None, "nobody counts"
        if len(grown) > quota_limits.COUNTED_GROUPS_MAX:
            raise Unavailable("overloaded", "Too much is being written to count rows. Try later.")
        self.rows = rows + sum(added for last, added in grown if last > tx)
        self._counted_tx = tx

    def give_up(self) -> None:
        """Nobody counts any more."""
        self._grown = None

    def settle(self, tx: TxId, commits: Sequence[Commit]) -> None:
        """Note that a group, whose last transaction is `tx`, is durable."""
        if self.rows is not None:
            if tx > self._counted_tx:
                self.rows += sum(map(growth, commits))
        elif self._grown is not None and len(self._grown) <= quota_limits.COUNTED_GROUPS_MAX:
            self._grown.append((tx, sum(map(growth, commits))))

    # --- refusing ---------------------------------------------------------------------------------

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
        quota = self.quota
        added = check_rows(quota, commit, held=(self.rows or 0) + before)
        if quota.bytes is not None:
            self._check_bytes(statements, commit, quota, quota.bytes, may_take_long=may_take_long)
        return before + added

    def _check_bytes(
        self,
        statements: Statements,
        commit: Commit,
        quota: Quota,
        bytes_max: int,
        *,
        may_take_long: bool,
    ) -> None:
        used = _used_bytes(statements, bytes_max)
        if used > bytes_max // 2:
            kept, most = limits.EPHEMERAL_LOG_ROWS_KEPT, limits.EPHEMERAL_LOG_TRIM_ROWS
            log.make_room(statements, commit.tx, kept=kept, most=most)
        if used > bytes_max and not only_takes(commit):
            if not may_take_long:
                raise WorkTooLong
            log.make_room(statements, commit.tx, kept=0, most=commit.tx)
            used = _used_bytes(statements, bytes_max)
            if used > bytes_max:
                raise exceeded(quota, "bytes", used, bytes_max)


def count_rows(statements: Statements, catalog: Catalog) -> int:
    """Count all rows and pairs; 30 ns each."""
    return sum(_count(statements, table) for table in _tables(catalog))


def count_bytes(statements: Statements) -> int:
    """What the file holds, free pages not counted; 5 µs."""
    return (_pages(statements, _ALL_PAGES) - _pages(statements, _FREE_PAGES)) * _PAGE_BYTES


def _used_bytes(statements: Statements, bytes_max: int) -> int:
    """What the file holds; free pages are counted where it could be more than half."""
    used = _pages(statements, _ALL_PAGES) * _PAGE_BYTES
    if used > bytes_max // 2:
        used -= _pages(statements, _FREE_PAGES) * _PAGE_BYTES
    return used


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
