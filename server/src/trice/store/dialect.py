"""The parts of SQL in which engines differ, as `query.sql` asks for them: a contract. No I/O.

All engines have in common, and `query.sql` writes itself: `SELECT … FROM … JOIN … ON … WHERE …
GROUP BY … ORDER BY … LIMIT … OFFSET …`; `count(*)`, `min`, `max`; `AND`, `OR`, `NOT`, `CASE`,
`EXISTS`, `IN`, `BETWEEN`, pairs compared as `(a, b) < (?, ?)`, `IS [NOT] NULL`, `IS [NOT] TRUE`,
`IS [NOT] DISTINCT FROM`; `?` for each value that is bound. A predicate that is NULL does not hold.

Everything else is a fragment from here. Fragments stand for:

    a table       what a FROM names, followed by the alias
    an id         the 16 bytes of an entity's id
    a cell        see `catalog.values`. Two cells are equal when they are of one kind (number, text,
                  bytes) and of one value, 1 and 1.0 among them; a comparison of two kinds goes by
                  `values.kind_rank`
    an operand    SQL for a cell or an id; a fragment made of it may repeat it
    a predicate   what may stand in a WHERE

`alias` is the alias of a table that this dialect made: letters and digits, unquoted.
"""

from __future__ import annotations

from typing import Protocol

from trice.catalog.attr import Attr
from trice.catalog.catalog import Namespace
from trice.catalog.values import Cell
from trice.store.judged import Decide, JudgedTerm


class Dialect(Protocol):
    """Fragments of SQL for one engine. Holds nothing that changes."""

    # Where data is.

    def entities(self, namespace: Namespace, alias: str) -> str:
        """A table: the rows of a namespace that has any attr of cardinality one, stubs too."""
        ...

    def entity_id(self, alias: str) -> str:
        """The id of a row of `entities`."""
        ...

    def created_ms(self, alias: str) -> str:
        """When the entity of a row was created; NULL where the row is a stub."""
        ...

    def cell(self, attr: Attr, alias: str) -> str:
        """The cell of an attr of cardinality one in a row of its namespace's `entities`."""
        ...

    def order_cell(self, attr: Attr, alias: str) -> str:
        """What orders a sortable attr in such a row: `values.stored_order`."""
        ...

    def links(self, attr: Attr, alias: str) -> str:
        """A table: the pairs of a link.

        For a link of cardinality one it is `entities` of the namespace that holds the link, whose
        cells can then be read from it; rows whose `target` is NULL are no pairs.
        """
        ...

    def source(self, attr: Attr, alias: str) -> str:
        """In a row of `links`: the id of the entity that holds the link."""
        ...

    def target(self, attr: Attr, alias: str) -> str:
        """In a row of `links`: the id that the link leads to."""
        ...

    def linked_ms(self, attr: Attr, alias: str) -> str:
        """In a row of `links`: when the pair was linked. For a link of cardinality one it is when
        the entity that holds the link was created; NULL where that entity is a stub."""
        ...

    # Values.

    def constant(self, cell: bytes) -> str:
        """An operand: these bytes."""
        ...

    def in_list(self) -> str:
        """The right side of `x IN …` for one binding that is a tuple of ids."""
        ...

    def id_prefix(self, operand: str, prefix: str) -> tuple[str, tuple[Cell, ...]]:
        """A predicate for ids whose text starts with `prefix` (hex, hyphens), and its bindings."""
        ...

    def like(self, operand: str, *, pattern: str, is_case_sensitive: bool) -> tuple[str, str]:
        """A predicate `operand` like the `%`/`_` pattern, and what to bind for its one `?`.

        A backslash makes the next character literal; `%` and `_` match newlines; NULL and values
        that are no text never match. As `catalog.like`, except that a NUL may end either text.
        """
        ...

    def given(self, operand: str) -> str:
        """The cell; NULL for an explicit null (`values.NULL`) too."""
        ...

    def instant(self, operand: str) -> str:
        """The instant of a stored date in microseconds; NULL for a cell that is no date."""
        ...

    def number(self, operand: str) -> str:
        """The cell if it is a number; NULL for everything else."""
        ...

    def double(self, operand: str) -> str:
        """The double next to a number."""
        ...

    def millisecond(self, operand: str) -> str:
        """The millisecond of an instant in microseconds, as a number counted from any start.

        Like `double`, the fragment has the operand once.
        """
        ...

    def ranked_text(self, operand: str, order: str | None) -> str:
        """A text that orders as `operand` does on clients, ties by code point: the hex digits of
        its order key, `!`, then the text. NULL for a cell that is no text.

        order   what holds the order key; None: there is none
        """
        ...

    # Sums.

    def sums(self, operand: str) -> tuple[str, str, str, str]:
        """Four aggregates over the cells that are numbers; together their sum, without rounding.

        1. how many numbers there are; 2. the sum of the upper halves of the 64-bit integers
        (`>> 32`); 3. the sum of their lower halves (`& 0xffffffff`); 4. the sum of the floats, as
        `catalog.exact` packs it. The last three are NULL where there is nothing to add.
        """
        ...

    def collect(self, operand: str) -> str:
        """An aggregate: all cells that are not NULL, as one value that only `judge` and `collected`
        read."""
        ...

    def collected(self, value: Cell) -> list[Cell]:
        """The cells in a value of `collect` that a statement returned."""
        ...

    # How a statement is read.

    def ordered(self, operand: str, *, is_descending: bool) -> str:
        """A term of ORDER BY; NULL comes first ascending and last descending."""
        ...

    def exists(self, select: str, *, is_judging: bool) -> str:
        """A predicate: the query has a row.

        is_judging   there are judged terms beside or in it: it is evaluated only for rows that
                     meet the terms before it in its AND
        """
        ...

    def judge(self, term: JudgedTerm) -> tuple[str, Decide | JudgedTerm]:
        """A predicate that holds where `term.decide` lets the row pass; what its first `?` binds.

        An engine with Python inside calls `decide` last: only for rows that meet the terms before
        it in its AND, as long as none is a join. An engine without takes `store.judging.apart`.
        """
        ...

    def explained(self, sql: str) -> str:
        """A statement that tells how the engine would run `sql`, with the same bindings. The last
        cell of each of its rows tells it in words."""
        ...
