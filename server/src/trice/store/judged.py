"""Conditions that Python decides, in the form in which a statement holds them. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from trice.catalog.catalog import Namespace
from trice.catalog.values import Cell
from trice.protocol.ids import EntityId

Decide = Callable[[EntityId, Sequence[Cell], Sequence[Sequence[Cell]]], tuple[bool, int]]
"""Called with an entity's id, some of its cells, and lists of cells found elsewhere. It returns
whether the entity meets the condition, and how many steps of evaluation that took. An exception
ends the statement. It is called on reader threads too, and maybe more than once for an entity."""


IDS: Final[tuple[bytes, ...]] = (b"",)  # of any length: compiled code makes others anew
"""Stands in `JudgedTerm.asked` for ids that are known only when the statement is run."""


@dataclass(slots=True, eq=False)
class JudgedTerm:
    """A term of a predicate: `decide` says whether the row of an entity meets it. Never changed.

    An engine with Python inside calls `decide` where the term stands (`Dialect.judge`). Another
    engine first reads the rows that the term may be asked about, judges them, and binds the ids of
    those that pass in place of the term (`store.judging`).

    entity    SQL: the row's id
    cells     SQL, one each: cells of the row
    refs      SQL, one each: a scalar query that collects cells found elsewhere (`Dialect.collect`)
    is_once   deciding has an effect (it takes tokens). It must not happen in a read that may begin
              again, so never on the loop
    namespace, alias  the row's namespace, and the alias of its table (`Dialect.entities`)
    asked     predicates that every row meets which the term may be asked about, each with the
              bindings of its `?`s; they name no other table outside of themselves
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
    """The bindings, with `ids` in place of IDS in every term. A term that is bound in several
    places stays one term."""
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
