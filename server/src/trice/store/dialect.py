"""What differs between SQLite and PostgreSQL in the SQL we compose. No I/O.

Everything else that `query.sql`, `transact` and `tables` write is common to both.
"""

from __future__ import annotations

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


class SqliteDialect:
    """SQLite 3.54 with the functions that `store.sqlite.engine` registers."""

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
