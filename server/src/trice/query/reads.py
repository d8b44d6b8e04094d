"""What each form of a plan reads, for whoever must know when its answer can change. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trice.catalog.attr import Attr
from trice.catalog.values import Cell, encode_cell, order_cell
from trice.protocol.ids import AttrId
from trice.query.ast import AllOf, AnyOf, Form, IdPrefix, Never, Op, Scope, Step, Test
from trice.query.sql_where import is_by_instant

Name = tuple[str, str]
"""A namespace and a label; the label is empty where the namespace itself is meant."""


@dataclass(frozen=True, slots=True)
class Equality:
    """The form shows only entities whose `attr` has one of these values.

    attr        the id attr, a blob, or a link
    is_forward  links: the entity is the source (True) or the target (False) of the pairs
    cells       values as stored; ids (16 bytes) for the id attr and for links, where they name the
                other end; None stands for null or missing. With `is_by_instant`, the order cells.
    """

    attr: Attr
    is_forward: bool
    cells: frozenset[Cell]
    is_by_instant: bool

    def key(self, cell: Cell) -> Cell:
        """What to look for in `cells`, given a stored cell of `attr`."""
        return order_cell(self.attr, cell) if self.is_by_instant else cell


@dataclass(frozen=True, slots=True)
class PathReads:
    """Linked entities that conditions look at.

    links  walked from the form's entity; the last arrives in `etype`
    etype  their namespace: whether they exist matters
    attrs  tested on them: blobs, has-one links, and links walked or tested from there
    """

    links: tuple[Step, ...]
    etype: str
    attrs: frozenset[AttrId]


@dataclass(frozen=True, slots=True)
class FormReads:
    """What one form depends on besides the rows it shows.

    etype       namespace of its entities; "" when the link is unknown
    via         the link walked from the parent form; None at the top
    own_attrs   attrs that `where` tests on the entity itself, links it walks from there included;
                the id attr when ids are tested
    paths       one per linked namespace that `where` looks at, by the links that lead there
    equalities  conditions that every entity shown must meet, so that a change of an entity that
                meets none of them before or after cannot matter
    order       attr that orders a page, None for creation time or no order
    is_paged    whether rows are cut: order, limit, offset or cursors given
    shown       attrs returned, order and tested attrs included
    waits       names that do not exist (yet)
    """

    etype: str
    via: Step | None
    own_attrs: frozenset[AttrId]
    paths: tuple[PathReads, ...]
    equalities: tuple[Equality, ...]
    order: AttrId | None
    is_paged: bool
    shown: frozenset[AttrId]
    waits: tuple[Name, ...]


def form_reads(form: Form, columns: Sequence[Attr], parent_etype: str) -> FormReads:
    """What `form` reads, returning `columns`.

    parent_etype  namespace of the parent form, "" at the top
    """
    tests = list(all_tests(form.where))
    waits = [
        (condition.etype, condition.label)
        for condition in _conditions(form.where)
        if isinstance(condition, Never)
    ]
    if not form.is_known:
        waits.append(
            (parent_etype, form.label) if form.via is None and parent_etype else (form.etype, "")
        )
    order = form.order.attr if form.order is not None else None
    return FormReads(
        etype=form.etype,
        via=form.via,
        own_attrs=frozenset(test.path[0].attr.id if test.path else test.attr.id for test in tests),
        paths=_paths(tests),
        equalities=tuple(
            equality
            for condition in form.where
            if isinstance(condition, Test) and (equality := _equality(condition)) is not None
        ),
        order=order.id if order is not None else None,
        is_paged=form.page is not None,
        shown=frozenset(attr.id for attr in columns),
        waits=tuple(dict.fromkeys(waits)),
    )


def all_tests(scope: Scope) -> Iterator[Test]:
    """Every test in a `where`, those in lists included."""
    return (condition for condition in _conditions(scope) if isinstance(condition, Test))


def _conditions(scope: Scope) -> Iterator[Test | IdPrefix | Never]:
    for condition in scope:
        if isinstance(condition, (AllOf, AnyOf)):
            for inner in condition.scopes:
                yield from _conditions(inner)
        else:
            yield condition


def _paths(tests: Sequence[Test]) -> tuple[PathReads, ...]:
    attrs: dict[tuple[Step, ...], set[AttrId]] = {}
    for test in tests:
        for depth in range(1, len(test.path) + 1):
            tested = test.attr if depth == len(test.path) else test.path[depth].attr
            attrs.setdefault(test.path[:depth], set()).add(tested.id)
    return tuple(
        PathReads(links, links[-1].etype, frozenset(tested)) for links, tested in attrs.items()
    )


def _equality(test: Test) -> Equality | None:
    if test.path or test.op not in (Op.EQ, Op.IN):
        return None
    attr = test.attr
    values = test.value if test.op is Op.IN else (test.value,)
    if attr.is_ref or attr.is_id:
        return Equality(attr, test.is_forward, frozenset(values), False)
    is_instant = is_by_instant(attr)
    cells = (encode_cell(value, is_indexed=attr.is_indexed) for value in values)
    return Equality(
        attr,
        test.is_forward,
        frozenset(order_cell(attr, cell) if is_instant else cell for cell in cells),
        is_instant,
    )
