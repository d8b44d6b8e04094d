"""Pieces of SQL and how they combine. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from trice.catalog.attr import Attr
from trice.catalog.values import NULL
from trice.query.ast import Op
from trice.store.dialect import Dialect
from trice.store.engine import Binding

_CHAIN_MAX: Final = 50
"""Terms joined in a row; more terms are joined as a tree."""


class Fragment(NamedTuple):
    """A piece of SQL and what its `?`s are bound to, in order."""

    text: str
    bindings: tuple[Binding, ...] = ()


TRUE: Final = Fragment("1 = 1")
FALSE: Final = Fragment("1 = 0")
"""Not the word FALSE: SQL may take it for a column of this name."""


@dataclass(frozen=True, slots=True)
class Place:
    """An entity within a statement: the alias of its row, and its namespace."""

    alias: str
    etype: str


def all_of(parts: Iterable[Fragment]) -> Fragment:
    """All parts hold."""
    kept = [part for part in parts if part is not TRUE]
    if any(part is FALSE for part in kept):
        return FALSE
    return _joined(kept, "AND") if kept else TRUE


def any_of(parts: Iterable[Fragment]) -> Fragment:
    """At least one part holds."""
    kept = [part for part in parts if part is not FALSE]
    if any(part is TRUE for part in kept):
        return TRUE
    return _joined(kept, "OR") if kept else FALSE


def _joined(parts: Sequence[Fragment], word: str) -> Fragment:
    """Join as a balanced tree: engines bound the depth of an expression, and a chain is deep."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) > _CHAIN_MAX:
        half = len(parts) // 2
        parts = (_joined(parts[:half], word), _joined(parts[half:], word))
    text = f" {word} ".join(part.text for part in parts)
    return Fragment(f"({text})", tuple(binding for part in parts for binding in part.bindings))


def if_shown(found: Fragment, shown: Fragment, *, is_hidden_enough: bool) -> Fragment:
    """`found`, a test of a value or link that may be hidden.

    is_hidden_enough  the test holds where the value is missing
    """
    if shown is TRUE:
        return found
    if not is_hidden_enough:
        return all_of([found, shown])
    is_hidden = TRUE if shown is FALSE else Fragment(f"({shown.text}) IS NOT TRUE", shown.bindings)
    return any_of([found, is_hidden])


def null_test(attr: Attr, operand: str, *, is_null: bool) -> Fragment:
    """A test for null or missing, which `where` does not tell apart. Cells of unindexed attrs do
    (catalog.values)."""
    if attr.is_indexed:
        return Fragment(f"{operand} IS NULL" if is_null else f"{operand} IS NOT NULL")
    if is_null:
        return Fragment(f"({operand} IS NULL OR {operand} = ?)", (NULL,))
    return Fragment(f"({operand} IS NOT NULL AND {operand} <> ?)", (NULL,))


def id_test(dialect: Dialect, op: Op, value: Binding, operand: str) -> Fragment:
    """A test of an id, which is never null, against ids."""
    match op:
        case Op.EQ:
            return Fragment(f"{operand} = ?", (value,))
        case Op.NOT:
            return Fragment(f"{operand} <> ?", (value,))
        case Op.IN:
            return in_ids(dialect, operand, value)
        case Op.IS_NULL:
            return FALSE if value else TRUE
        case _:
            raise AssertionError(f"{op} on an id passed the parser")


def link_test(dialect: Dialect, op: Op, value: Binding, operand: str) -> Fragment:
    """A test of a has-one link's column: against ids, or for its absence."""
    match op:
        case Op.EQ:
            return Fragment(f"{operand} = ?", (value,))
        case Op.IN:
            return in_ids(dialect, operand, value)
        case Op.NOT:
            return Fragment(f"{operand} IS DISTINCT FROM ?", (value,))
        case Op.IS_NULL:
            return Fragment(f"{operand} IS NULL" if value else f"{operand} IS NOT NULL")
        case _:
            raise AssertionError(f"{op} on a link passed the parser")


def in_ids(dialect: Dialect, operand: str, ids: Binding) -> Fragment:
    """The operand is one of these ids."""
    if not ids:
        return FALSE
    return Fragment(f"{operand} IN {dialect.in_list()}", (ids,))
