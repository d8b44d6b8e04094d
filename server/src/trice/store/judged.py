"""Conditions that Python decides, as a statement holds them until its engine runs it. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from trice.catalog.catalog import Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId

Decide = Callable[[EntityId, Sequence[Cell], Sequence[Sequence[Cell]]], tuple[bool, int]]
"""Called with an entity's id, cells of it, and lists of cells found elsewhere; returns whether the
entity meets the condition, and what that took, in steps of an evaluation. Whatever it raises ends
the statement. Called on reader threads too, and more than once for an entity."""


IDS: Final[tuple[bytes, ...]] = (b"",)  # of any length: compiled code makes others anew
"""Stands in `JudgedTerm.asked` for the ids that the statement is run with, once they are known."""


@dataclass(slots=True, eq=False)
class JudgedTerm:
    """A term of a predicate: `decide` says whether the row of an entity meets it. Never changed.

    An engine with Python inside calls `decide` where the term stands (`Dialect.judge`). Another
    reads the rows that may be asked about first, judges them, and binds the ids of those that pass
    in place of the term (`store.judging`).

    entity    SQL: the row's id
    cells     SQL, one each: cells of the row
    refs      SQL, one each: a scalar query that collects cells found elsewhere (`Dialect.collect`)
    is_once   deciding leaves something behind (tokens are taken), so that it must not happen in a
              read that may begin again: not on the loop
    namespace, alias  whose row it is: `Dialect.entities` is the table
    asked     predicates that all rows meet which are asked about, each with what its `?`s are bound
              to; they name no other table from outside
    """

    entity: str
    cells: Sequence[str]
    refs: Sequence[str]
    decide: Decide
    is_once: bool
    namespace: Namespace
    alias: str
    asked: Sequence[tuple[str, tuple[Any, ...]]]


def with_ids(bindings: Sequence[Any], ids: Sequence[EntityId]) -> list[Any]:
    """Bindings in which every term, each once, speaks of `ids` instead of IDS."""
    made: dict[JudgedTerm, JudgedTerm] = {}

    def filled(one: Any) -> Any:
        if one is IDS:
            return ids
        if not isinstance(one, JudgedTerm):
            return one
        if one not in made:
            asked = [(text, tuple(map(filled, some))) for text, some in one.asked]
            made[one] = replace(one, asked=asked)
        return made[one]

    return list(map(filled, bindings))
