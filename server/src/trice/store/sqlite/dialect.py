"""The SQL of SQLite 3.54, with the functions that `store.sqlite.functions` adds. No I/O."""

from __future__ import annotations

from typing import Final

from trice.catalog.attr import Attr
from trice.catalog.catalog import Namespace
from trice.catalog.dates import INFINITY_US, MS_US
from trice.catalog.values import NULL, Cell, id_span
from trice.store.dialect import Dialect
from trice.store.judged import Decide, JudgedTerm
from trice.store.sqlite.functions import cells_of
from trice.store.sqlite.index import quoted
from trice.store.sqlite.tables import CREATED, ID, order_column

_ARGUMENTS_MAX: Final = 90
"""Cells in one call: SQLite allows a function 100 arguments in the strictest of builds."""

_EIGHTHS: Final = ((INFINITY_US >> 3) // (MS_US >> 3) + 1) * (MS_US >> 3)
"""Whole milliseconds, in units of eight microseconds; more than any instant lies below zero."""

_ID: Final = quoted(ID)
_CREATED: Final = quoted(CREATED)


class SqliteDialect:
    """See `store.dialect.Dialect`; `store.sqlite.tables` tells where things are."""

    def entities(self, namespace: Namespace, alias: str) -> str:
        return f"{quoted(namespace.table)} {alias}"

    def entity_id(self, alias: str) -> str:
        return f"{alias}.{_ID}"

    def created_ms(self, alias: str) -> str:
        return f"{alias}.{_CREATED}"

    def cell(self, attr: Attr, alias: str) -> str:
        return f"{alias}.{quoted(attr.column)}"

    def order_cell(self, attr: Attr, alias: str) -> str:
        return f"{alias}.{quoted(order_column(attr))}"

    def links(self, attr: Attr, alias: str) -> str:
        return f"{quoted(attr.table)} {alias}"

    def source(self, attr: Attr, alias: str) -> str:
        return f'{alias}."source"' if attr.is_pairs else f"{alias}.{_ID}"

    def target(self, attr: Attr, alias: str) -> str:
        return f'{alias}."target"' if attr.is_pairs else f"{alias}.{quoted(attr.column)}"

    def linked_ms(self, attr: Attr, alias: str) -> str:
        return f'{alias}."created_ms"' if attr.is_pairs else f"{alias}.{_CREATED}"

    def constant(self, cell: bytes) -> str:
        return f"x'{cell.hex()}'"

    def in_list(self) -> str:
        return "carray(?)"

    def id_prefix(self, operand: str, prefix: str) -> tuple[str, tuple[Cell, ...]]:
        return f"{operand} BETWEEN ? AND ?", id_span(prefix)

    def like(self, operand: str, *, pattern: str, is_case_sensitive: bool) -> tuple[str, str]:
        if is_case_sensitive:
            # GLOB is case-sensitive and can use an index for a literal prefix; LIKE can do neither.
            return f"(typeof({operand}) = 'text' AND {operand} GLOB ?)", _glob(pattern)
        if pattern.isascii():
            return f"(typeof({operand}) = 'text' AND {operand} LIKE ? ESCAPE '\\')", _closed(
                pattern
            )
        return f"trice_ilike(?, {operand})", _closed(pattern)

    def given(self, operand: str) -> str:
        return f"nullif({operand}, x'{NULL.hex()}')"

    def instant(self, operand: str) -> str:
        return f"trice_instant({operand})"

    def number(self, operand: str) -> str:
        return f"CASE WHEN typeof({operand}) IN ('integer', 'real') THEN {operand} END"

    def double(self, operand: str) -> str:
        return f"CAST({operand} AS REAL)"

    def millisecond(self, operand: str) -> str:
        # `/` rounds towards zero, so nothing may be negative; a shift rounds down.
        return f"((({operand}) >> 3) + {_EIGHTHS}) / {MS_US >> 3}"

    def ranked_text(self, operand: str, order: str | None) -> str:
        key = f"trice_text_order({operand})" if order is None else order
        return f"iif({key} IS NULL, NULL, hex({key}) || '!' || {operand})"

    def sums(self, operand: str) -> tuple[str, str, str, str]:
        is_integer, is_real = f"typeof({operand}) = 'integer'", f"typeof({operand}) = 'real'"
        return (
            f"count(*) FILTER (WHERE {is_integer} OR {is_real})",
            f"sum({operand} >> 32) FILTER (WHERE {is_integer})",
            f"sum({operand} & 4294967295) FILTER (WHERE {is_integer})",
            f"trice_exact_sum({operand}) FILTER (WHERE {is_real})",
        )

    def collect(self, operand: str) -> str:
        return f"trice_cells({operand})"

    def collected(self, value: Cell) -> list[Cell]:
        assert isinstance(value, bytes)
        return cells_of(value)

    def ordered(self, operand: str, *, is_descending: bool) -> str:
        return f"{operand} {'DESC' if is_descending else 'ASC'}"

    def exists(self, select: str, *, is_judging: bool) -> str:
        # SQLite turns an EXISTS into a join, and would then judge rows too early.
        return f"(EXISTS ({select})) IS TRUE" if is_judging else f"EXISTS ({select})"

    def judge(self, term: JudgedTerm) -> tuple[str, Decide | JudgedTerm]:
        given = [*term.cells, *term.refs]
        if len(given) > _ARGUMENTS_MAX:
            starts = range(0, len(given), _ARGUMENTS_MAX)
            parts = [given[start : start + _ARGUMENTS_MAX] for start in starts]
            given = [f"trice_pack({', '.join(part)})" for part in parts]
        # SQLite evaluates terms that have a correlated query after all others, in whatever order.
        arguments = ", ".join(("?", f"(SELECT {term.entity})", str(len(term.cells)), *given))
        return f"trice_judge{'_once' if term.is_once else ''}({arguments})", term.decide

    def explained(self, sql: str) -> str:
        return f"EXPLAIN QUERY PLAN {sql}"


def _closed(pattern: str) -> str:
    """The pattern without a dangling backslash at its end, which SQLite would match literally."""
    trailing = len(pattern) - len(pattern.rstrip("\\"))
    return pattern + "\\" if trailing % 2 else pattern


def _glob(pattern: str) -> str:
    """The `%`/`_` pattern in GLOB's notation."""
    out: list[str] = []
    is_escaped = False
    for char in pattern:
        if not is_escaped and char == "\\":
            is_escaped = True
            continue
        if not is_escaped and char in "%_":
            out.append("*" if char == "%" else "?")
        else:
            out.append(f"[{char}]" if char in "*?[" else char)
        is_escaped = False
    if is_escaped:
        out.append("\\")
    return "".join(out)


SQLITE: Final[Dialect] = SqliteDialect()
"""The only instance: it holds nothing."""
