"""Which part of the data a caller may see. No I/O.

A query is answered as if the data lacked every entity that the caller may not see, and every value
that is hidden on an entity. Rules make a Visibility; the query layer composes it into every
statement. So a hidden entity can be found neither by `where`, nor by order, pages, counts or links.
What stays visible is the id of a hidden entity that a visible one links to: it is a value of the

entity that holds the link, and is shown as a link that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from trice.catalog.attr import Attr
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import Op, Scope, Test

HIDDEN: Final = b"\x03"
"""The cell that is returned for a hidden field whose NULL would show as null; this one shows as
missing. No stored cell equals it (`catalog.values`)."""


def hidden_cell(attr: Attr) -> bytes | None:
    """The cell that is returned for a hidden field, or a hidden link that the entity holds."""
    return HIDDEN if attr.shows_null and not attr.is_ref else None


def holds_hidden(test: Test) -> bool:
    """Whether a test of a field, or of a link that the entity holds, holds where it is hidden.

    A hidden value counts as missing, indexed or not. `null` in `$in` asks for a null that is there,
    as on clients.
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

    entities  rows that were read: the caller's own `$users` row
    attrs     attrs of which every change counts, on any row: links walked by `auth.ref`
    births    namespaces in which every new and every deleted entity counts
    etypes    namespaces that were named
    """

    entities: frozenset[tuple[str, EntityId]] = frozenset()
    attrs: frozenset[AttrId] = frozenset()
    births: frozenset[str] = frozenset()
    etypes: frozenset[str] = frozenset()


NO_DEPENDS: Final = Depends()
"""One shared object for no dependence: in Python each empty frozenset is a new one of 216 bytes."""


class Visibility(Protocol):
    """What one caller may see of one snapshot. Its scopes are judged on the whole data."""

    def entities(self, etype: str) -> Scope:
        """What an entity must meet to be visible; empty: every entity is."""
        ...

    def field(self, attr: Attr) -> Scope:
        """What an entity must meet to show its `attr` (a blob, or a link that it holds).

        Not asked for ids.
        """
        ...

    def masks(self, etype: str) -> bool:
        """Whether `field` may hide values of the entities of a namespace."""
        ...

    @property
    def depends(self) -> Depends:
        """What the scopes that were asked for so far were made from."""
        ...


@dataclass(frozen=True, slots=True)
class FixedVisibility:
    """Scopes known beforehand; everything that is not listed is visible."""

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
