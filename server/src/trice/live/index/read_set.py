"""What the answer to a live query depends on, in the vocabulary of commits. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId
from trice.query.reads.anchors import Span

Side = Literal["", "source", "target"]
ValueKey = tuple[AttrId, Side, Cell]
"""One value of an attr. Side "": the cell of a column; else one end of a pair, with its id as the
cell."""


T = TypeVar("T")
_NOTHING: Final[frozenset[Any]] = frozenset()


def frozen(found: set[T]) -> frozenset[T]:
    """`found` for a ReadSet; all empty sets are one object, instead of 216 bytes each."""
    return frozenset(found) if found else _NOTHING


@dataclass(frozen=True, slots=True)
class ReadSet:
    """Everything whose change can change the answer.

    entities  rows the answer was built from, witnesses and the caller's user included
    values    a row that has, gets or loses such a value may enter or leave, if it also appears,
              vanishes, or changes in `tested`
    spans     the same for a row that lies in such a span of its lane, before or after the commit
    tested    attrs that decide membership or position
    attrs     any change of such an attr counts, on any row
    births    a row of such a namespace that appears or vanishes counts
    etypes    namespaces that are named; when their attrs change, the query is planned anew
    waits     names that did not exist when the query was planned

    Invariant: a commit that meets none of these leaves the answer as it is (oracle:
    tests/fuzz, every answer equals a fresh run).
    """

    entities: frozenset[tuple[str, EntityId]]
    values: frozenset[ValueKey]
    spans: frozenset[Span]
    tested: frozenset[AttrId]
    attrs: frozenset[AttrId]
    births: frozenset[str]
    etypes: frozenset[str]
    waits: frozenset[tuple[str, str]]

    def named(self, catalog: Catalog) -> set[str]:
        """Every namespace that the answer has to do with.

        catalog   the one it was planned with
        """
        found = {etype for etype, _ in self.entities} | {span.lane.etype for span in self.spans}
        found |= self.births | self.etypes
        for attr_id in {*self.tested, *self.attrs, *(value[0] for value in self.values)}:
            attr = catalog.by_id[attr_id]
            found.add(attr.etype)
            if attr.reverse is not None:
                found.add(attr.reverse.etype)
        return found
