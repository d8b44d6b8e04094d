"""The SQL of SQLite 3.54, with the functions that `store.sqlite.functions` adds. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trice.store.dialect import Dialect

_ARGUMENTS_MAX: Final = 90
"""Cells in one call: SQLite allows a function 100 arguments in the strictest of builds."""


class SqliteDialect:
    """See `store.dialect.Dialect`."""

    def name(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def in_list(self) -> str:
        return "carray(?)"

    def like(self, operand: str, *, pattern: str, is_case_sensitive: bool) -> tuple[str, str]:
        if is_case_sensitive:
            # GLOB is case-sensitive and can use an index for a literal prefix; LIKE can do neither.
            return f"(typeof({operand}) = 'text' AND {operand} GLOB ?)", _glob(pattern)
        if pattern.isascii():
            return f"(typeof({operand}) = 'text' AND {operand} LIKE ? ESCAPE '\\')", _closed(
                pattern
            )
        return f"trice_ilike(?, {operand})", _closed(pattern)

    def id_prefix(self, operand: str, prefix: str) -> tuple[str, list[bytes]]:
        digits = prefix.replace("-", "")
        low = bytes.fromhex(digits.ljust(32, "0"))
        high = bytes.fromhex(digits.ljust(32, "f"))
        return f"{operand} BETWEEN ? AND ?", [low, high]

    def judge(
        self, entity: str, cells: Sequence[str], refs: Sequence[str], *, is_once: bool = False
    ) -> str:
        given = [*cells, *refs]
        if len(given) > _ARGUMENTS_MAX:
            starts = range(0, len(given), _ARGUMENTS_MAX)
            parts = [given[start : start + _ARGUMENTS_MAX] for start in starts]
            given = [f"trice_pack({', '.join(part)})" for part in parts]
        # SQLite asks terms with a correlated query after those without, whatever their order.
        arguments = ", ".join(("?", f"(SELECT {entity})", str(len(cells)), *given))
        return f"trice_judge{'_once' if is_once else ''}({arguments})"

    def collect(self, operand: str) -> str:
        return f"trice_cells({operand})"

    def instant(self, operand: str) -> str:
        return f"trice_instant({operand})"

    def ranked_text(self, operand: str, order: str | None) -> str:
        key = f"trice_text_order({operand})" if order is None else order
        return f"iif({key} IS NULL, NULL, hex({key}) || '!' || {operand})"

    def is_integer(self, operand: str) -> str:
        return f"typeof({operand}) = 'integer'"

    def is_real(self, operand: str) -> str:
        return f"typeof({operand}) = 'real'"

    def exact_sum(self, operand: str) -> str:
        return f"trice_exact_sum({operand})"


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
"""The one there is: it holds nothing."""
