"""A checked query: frozen nodes, every name resolved to its attr. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from trice.catalog.attr import Attr
from trice.protocol.ids import EntityId
from trice.store.judged import Decide


class Op(Enum):
    """What a test does with the value at the end of its path."""

    EQ = "$eq"
    IN = "$in"
    NOT = "$not"
    IS_NULL = "$isNull"
    GT = "$gt"
    GTE = "$gte"
    LT = "$lt"
    LTE = "$lte"
    LIKE = "$like"
    ILIKE = "$ilike"


@dataclass(frozen=True, slots=True)
class Hop:
    """One link, walked from an entity to the entities it is linked with.

    is_forward  from the source to the target (False: from the target back)
    etype       the namespace it leads to
    """

    attr: Attr
    is_forward: bool
    etype: str


@dataclass(frozen=True, slots=True)
class Test:
    """`value op` at the end of a path.

    path        links to walk first; empty for the entity itself
    attr        a blob, or a link compared with ids (then `is_forward` says from which side)
    value       JSON value; a list for IN, a bool for IS_NULL; EntityId (bytes) where `attr` is a
                link, or the id attr compared with a uuid
    Tests of one scope whose paths lead to the same (namespace, depth) are about the same linked
    entity (instant-semantics §2.4).
    """

    path: tuple[Hop, ...]
    attr: Attr
    is_forward: bool
    op: Op
    value: Any


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """`$entityIdStartsWith`: the text of the entity's id starts with this (lower case)."""

    prefix: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """`and: [...]`: every scope holds; each has linked entities of its own."""

    scopes: tuple[tuple[Condition, ...], ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`or: [...]`: at least one scope holds."""

    scopes: tuple[tuple[Condition, ...], ...]


@dataclass(frozen=True, slots=True)
class Never:
    """A condition on a name that does not exist (yet): the form finds nothing.

    A `Never` inside a list is repeated in the scopes around it: no alternative saves the form.

    etype, label  the missing name; a live query can wait for it
    """

    etype: str
    label: str


@dataclass(frozen=True, slots=True)
class Ref:
    """All values reached through links: `data.ref("path.attr")`.

    Linked entities on the path must exist; a NULL cell gives no value; an entity that is reached in
    two ways gives its value twice.

    attr   a blob, or a link whose other ends are the values (then `is_forward` says which side)
    """

    path: tuple[Hop, ...]
    attr: Attr
    is_forward: bool


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A condition SQL cannot express: Python decides, row by row. Only rules make these.

    decide   see `Decide`; called with the stored cells of `attrs`, and the cells found by each ref
    attrs    column attrs of the entity
    is_once  deciding has an effect (it takes tokens). It must not happen in a read that may begin
             again, so never on the loop
    """

    decide: Decide
    attrs: tuple[Attr, ...]
    refs: tuple[Ref, ...]
    is_once: bool = False


Condition = Test | IdPrefix | AllOf | AnyOf | Never | Judged
Scope = tuple[Condition, ...]
"""Conditions that must all hold. Within one scope they share linked entities."""

NOTHING: Final[Scope] = (AnyOf(()),)
"""A scope that no entity meets."""


def is_judged(scope: Scope) -> bool:
    """Whether Python decides any condition of `scope`."""
    return any(
        isinstance(condition, Judged)
        or (isinstance(condition, (AllOf, AnyOf)) and any(map(is_judged, condition.scopes)))
        for condition in scope
    )


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a form. attr None: by the time the entity was created (`serverCreatedAt`)."""

    attr: Attr | None
    is_descending: bool


@dataclass(frozen=True, slots=True)
class Cursor:
    """A row of a page, as clients hand it back: `[entity, attr, value, created_ms]`.

    value  the JSON value of the order attr; None for null or missing
    """

    entity: EntityId
    attr_id: str
    value: Any
    created_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of the ordered answer are wanted.

    limit    at most so many rows; from the end when `is_last`
    """

    limit: int | None = None
    is_last: bool = False
    offset: int = 0
    after: Cursor | None = None
    before: Cursor | None = None
    is_after_inclusive: bool = False
    is_before_inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """How many rows of a nested form are wanted below each entity: `limit` of them in the form's
    order, from the end when `is_last`."""

    limit: int
    is_last: bool = False


class MeasureOp(Enum):
    """What is computed from the values of one attr."""

    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number, text or date that an aggregate asks for.

    attr  a blob; None while no such field exists: then there are no values
    """

    op: MeasureOp
    label: str
    attr: Attr | None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Totals to return instead of the matching entities (spec/query.md Q110-Q124).

    is_counting  return the number of entities
    measures     in the order of the answer
    is_grouped   return totals for each value of `group`, null included
    group        a blob or a has-one link; None while it does not exist: all are in the null group
    """

    is_counting: bool
    measures: tuple[Measure, ...]
    is_grouped: bool
    group: Attr | None


@dataclass(frozen=True, slots=True)
class Form:
    """One level of a query: a namespace at the top, a link below.

    label      its key in the query and in a tree result
    etype      namespace of its entities; for an unknown link, empty
    via        the link walked from the parent form; None at the top
    page       of a top form that orders or limits; None: every matching entity, no page info
    order      as given; None: by creation time
    fields     attrs to return, in query order; None: all
    is_count   only the number of entities is wanted, in the form that Instant has for admins
    is_known   False when the namespace or link does not exist: the answer is empty
    aggregate  of a top form that asks for totals; its answer has no rows
    cut        of a nested form of a function's query; None: every linked entity
    created    under which label nested objects tell when they were created
    """

    label: str
    etype: str
    via: Hop | None
    where: Scope
    order: Order | None
    page: Page | None
    fields: tuple[Attr, ...] | None
    is_count: bool
    is_known: bool
    children: tuple[Form, ...]
    aggregate: Aggregate | None = None
    cut: Cut | None = None
    created: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query.

    size  of its conditions: their number, plus their links, listed values and pattern characters
    """

    forms: tuple[Form, ...]
    rule_params: Mapping[str, Any]
    size: int = 0
