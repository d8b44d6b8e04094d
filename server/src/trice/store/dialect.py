"""What differs between SQLite and PostgreSQL in the SQL we compose. No I/O.

Everything else that `query.sql.forms`, `transact` and `tables` write is common to both.

An engine without Python inside (PostgreSQL) meets the contract of `judge` in two reads: the rows
that the other terms leave are judged beforehand, with the same cells, and the ids that passed are
bound in its place as one list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Dialect(Protocol):
    """Fragments of SQL for one engine."""

    def name(self, identifier: str) -> str:
        """Quote a table, column or index name."""
        ...

    def in_list(self) -> str:
        """The right side of `x IN …` for one binding that is a tuple of ids."""
        ...

    def like(self, operand: str, *, pattern: str, is_case_sensitive: bool) -> tuple[str, str]:
        """A predicate `operand` like the `%`/`_` pattern, and what to bind for its one `?`.

        A backslash makes the next character literal; `%` and `_` match newlines; NULL and values
        that are no text never match.
        """
        ...

    def id_prefix(self, operand: str, prefix: str) -> tuple[str, list[bytes]]:
        """A predicate for ids whose text starts with `prefix` (hex, hyphens), and its bindings."""
        ...

    def judge(
        self, entity: str, cells: Sequence[str], refs: Sequence[str], *, is_once: bool = False
    ) -> str:
        """A predicate that asks the function bound to its one `?`, which stands first.

        entity  the row's id
        cells   columns of the row
        refs    scalar queries that `collect`
        is_once the function must not be asked in a read that may begin again
        It is asked last: only of rows that meet the terms before it in its AND, as long as those
        are no joins.
        """
        ...

    def collect(self, operand: str) -> str:
        """An aggregate: all cells that are not NULL, as one value that only `judge` reads."""
        ...

    def instant(self, operand: str) -> str:
        """The instant of a stored date in microseconds; NULL for what is none."""
        ...

    def ranked_text(self, operand: str, order: str | None) -> str:
        """A text that orders as `operand` does on clients, ties by code point: the hex digits of
        its order key, `!`, then the text. NULL for what is no text.

        order   the column that holds the order key; None: there is none
        """
        ...

    def is_integer(self, operand: str) -> str:
        """A predicate: the cell is a number kept as an integer."""
        ...

    def is_real(self, operand: str) -> str:
        """A predicate: the cell is a number kept as a float."""
        ...

    def exact_sum(self, operand: str) -> str:
        """An aggregate: the sum of floats without rounding, as `catalog.exact` packs it."""
        ...
