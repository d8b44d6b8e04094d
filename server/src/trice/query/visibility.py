"""Which part of the data exists for whoever asks. No I/O.

The answer to a query is the answer on the data that remains when every entity the caller may not
see is taken away, and every attr that is hidden on an entity is missing there. Rules make a
Visibility; the query layer composes it into every statement, so a hidden entity can be found
neither by `where`, nor by order, pages, counts or links.

What stays visible: the id of a linked entity is a value of the entity that holds the link, and is
shown with it, as the end of a link that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from trice.catalog.attr import Attr
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import Op, Scope, Test

HIDDEN: Final = b"\x03"
"""The cell that is returned for a hidden field whose NULL would show as null: it shows as missing.
No stored cell is this one (`catalog.values`)."""


def hidden_cell(attr: Attr) -> bytes | None:
    """What is returned for a field, or a link held, where it is hidden."""
    return HIDDEN if attr.is_indexed and not attr.is_ref else None


def holds_hidden(test: Test) -> bool:
    """Whether a test of a field, or of a link held, holds where it is hidden.

    That is where it is missing, indexed or not: `null` in `$in` asks for a null that is there, as
    clients do.
    """
    match test.op:
        case Op.NOT:
            return test.attr.is_ref or test.value is not None or not test.attr.is_indexed
        case Op.IS_NULL:
            return bool(test.value)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Depends:
    """What the scopes of a Visibility were made from, besides the rows they are asked about.

    entities  rows read: the caller's own `$users` row
    attrs     any change of these attrs, on any row, counts: links walked by `auth.ref`
    births    namespaces whose appearing and vanishing entities count
    etypes    namespaces named
    """

    entities: frozenset[tuple[str, EntityId]] = frozenset()
    attrs: frozenset[AttrId] = frozenset()
    births: frozenset[str] = frozenset()
    etypes: frozenset[str] = frozenset()


NO_DEPENDS: Final = Depends()
"""One for all who depend on nothing: in Python each empty frozenset is a new one of 216 bytes."""


class Visibility(Protocol):
    """What one caller may see of one snapshot. Scopes in it are judged on the whole data."""

    def entities(self, etype: str) -> Scope:
        """What an entity must meet to exist; empty: every one does."""
        ...

    def field(self, attr: Attr) -> Scope:
        """What an entity must meet for its `attr` (a blob, or the link it holds) not to be missing.

        Not asked for ids.
        """
        ...

    def masks(self, etype: str) -> bool:
        """Whether `field` may hide something of the entities of a namespace."""
        ...

    @property
    def depends(self) -> Depends:
        """What the scopes asked for so far were made from."""
        ...


@dataclass(frozen=True, slots=True)
class FixedVisibility:
    """Scopes known beforehand; what is not listed is visible."""

    by_etype: Mapping[str, Scope] = field(default_factory=dict)
    by_attr: Mapping[AttrId, Scope] = field(default_factory=dict)
    depends: Depends = NO_DEPENDS

    def entities(self, etype: str) -> Scope:
        return self.by_etype.get(etype, ())

    def field(self, attr: Attr) -> Scope:
        return self.by_attr.get(attr.id, ())

    def masks(self, etype: str) -> bool:
        return bool(self.by_attr)


EVERYTHING: Final = FixedVisibility()
"""What admins see."""
