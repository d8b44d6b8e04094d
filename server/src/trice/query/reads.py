"""What each form of a plan reads, for whoever must know when its answer can change. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from trice.catalog.attr import Attr
from trice.catalog.values import Cell, encode_cell, order_cell
from trice.protocol.ids import AttrId
from trice.query.ast import (
    AllOf,
    AnyOf,
    Form,
    IdPrefix,
    Judged,
    Never,
    Op,
    Ref,
    Scope,
    Step,
    Test,
)
from trice.query.sql_where import is_by_instant
from trice.query.visibility import EVERYTHING, Visibility

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
    """Linked entities that conditions look at, those that decide what is visible included.

    links  walked from the form's entity; the last arrives in `etype`
    etype  their namespace: whether they exist matters
    attrs  tested on them: blobs, has-one links, and links walked or tested from there
    """

    links: tuple[Step, ...]
    etype: str
    attrs: frozenset[AttrId]


@dataclass(frozen=True, slots=True)
class FormReads:
    """What one form depends on besides the rows it shows, and besides Visibility.depends.

    Conditions are those of `where`, and those that make visible what the form looks at.

    etype       namespace of its entities; "" when the link is unknown
    via         the link walked from the parent form; None at the top
    own_attrs   attrs that conditions test on the entity itself, links they walk from there
                included; the id attr when ids are tested
    paths       one per linked namespace that conditions look at, by the links that lead there
    equalities  conditions that every entity shown must meet, so that a change of an entity that
                meets none of them before or after cannot matter
    order       attr that orders a page, None for creation time or no order
    waits       names that do not exist (yet)
    """

    etype: str
    via: Step | None
    own_attrs: frozenset[AttrId]
    paths: tuple[PathReads, ...]
    equalities: tuple[Equality, ...]
    order: AttrId | None
    waits: tuple[Name, ...]


class _Collector:
    """What conditions look at, in the making.

    Holds attrs of the form's own entities, and by path what is looked at on linked ones.
    """

    def __init__(self, visibility: Visibility) -> None:
        self._visibility = visibility
        self.own: dict[AttrId, None] = {}
        self.paths: dict[tuple[Step, ...], set[AttrId]] = {}
        self.waits: dict[Name, None] = {}

    def add(self, look: Test | Ref) -> None:
        """Values reached from the form's entities, wherever they are."""
        path = look.path
        self.own[path[0].attr.id if path else look.attr.id] = None
        for depth in range(1, len(path) + 1):
            attr = look.attr if depth == len(path) else path[depth].attr
            self.paths.setdefault(path[:depth], set()).add(attr.id)

    def add_where(self, look: Test) -> None:
        """A condition of the query: what it looks at, and what that is visible by."""
        self.add(look)
        if self._visibility is EVERYTHING:
            return
        for depth, step in enumerate(look.path, start=1):
            far = look.path[:depth]
            self.add_rule(self._visibility.entities(step.etype), far)
            holder = look.path[: depth - 1] if step.is_forward else far
            self.add_rule(self._visibility.field(step.attr), holder)
        if not look.attr.is_ref or look.is_forward:
            self.add_rule(self._visibility.field(look.attr), look.path)
            return
        holder = (*look.path, Step(look.attr, False, look.attr.etype))
        for rule in (
            self._visibility.entities(look.attr.etype),
            self._visibility.field(look.attr),
        ):
            if rule:
                self.paths.setdefault(holder, set())
                self.add_rule(rule, holder)

    def add_rules(self, form: Form, columns: Sequence[Attr]) -> None:
        """What the form's own entities, and what it returns of them, are visible by."""
        rule_of = self._visibility.field
        if form.is_known:
            self.add_rule(self._visibility.entities(form.etype), ())
        via_etype = form.via.attr.etype if form.via is not None else form.etype
        if not (self._visibility.masks(form.etype) or self._visibility.masks(via_etype)):
            return
        if form.order is not None and form.order.attr is not None:
            self.add_rule(rule_of(form.order.attr), ())
        if form.via is not None and not form.via.is_forward:
            self.add_rule(rule_of(form.via.attr), ())
        links = (child.via.attr for child in form.children if child.via and child.via.is_forward)
        for attr in (*columns, *links):
            self.add_rule_of_shown(rule_of(attr), form.etype)

    def add_rule(self, scope: Scope, path: tuple[Step, ...]) -> None:
        """A scope of the visibility, asked of the entities at the end of `path`."""
        for look in self._looks(scope):
            self.add(Ref((*path, *look.path), look.attr, look.is_forward))

    def add_rule_of_shown(self, scope: Scope, etype: str) -> None:
        """A scope that decides only what is shown of entities that are shown anyway.

        Their own cells need no mention: shown entities are watched as a whole.
        """
        for look in self._looks(scope):
            attr = look.attr
            if look.path or attr.is_pairs or not look.is_forward or attr.etype != etype:
                self.add(look)

    def _looks(self, scope: Scope) -> Iterator[Test | Ref]:
        for condition in _conditions(scope):
            match condition:
                case Test():
                    yield condition
                case Judged(attrs=attrs, refs=refs):
                    yield from (Ref((), attr, True) for attr in attrs)
                    yield from refs
                case Never(etype, label):
                    self.waits[etype, label] = None
                case IdPrefix():
                    pass
                case _:
                    assert_never(condition)


def form_reads(
    form: Form, columns: Sequence[Attr], parent_etype: str, visibility: Visibility = EVERYTHING
) -> FormReads:
    """What `form` reads, returning `columns`.

    parent_etype  namespace of the parent form, "" at the top
    """
    found = _Collector(visibility)
    for condition in _conditions(form.where):
        if isinstance(condition, Test):
            found.add_where(condition)
        elif isinstance(condition, Never):
            found.waits[condition.etype, condition.label] = None
    if not form.is_known:
        name = (parent_etype, form.label) if form.via is None and parent_etype else (form.etype, "")
        found.waits[name] = None
    entities = visibility.entities(form.etype) if form.is_known else ()
    for attr in _counted(form):
        found.own[attr.id] = None
        found.add_rule(visibility.field(attr), ())
    if visibility is not EVERYTHING:
        found.add_rules(form, columns)
    order = form.order.attr if form.order is not None else None
    return FormReads(
        etype=form.etype,
        via=form.via,
        own_attrs=frozenset(found.own),
        paths=tuple(
            PathReads(links, links[-1].etype, frozenset(attrs))
            for links, attrs in found.paths.items()
        ),
        equalities=tuple(
            equality
            for test in (*_required(form.where), *_required(entities))
            if (equality := _equality(test)) is not None
        ),
        order=order.id if order is not None else None,
        waits=tuple(found.waits),
    )


def _counted(form: Form) -> Iterator[Attr]:
    """The attrs whose values make the answer of a form that aggregates."""
    if form.aggregate is not None:
        if form.aggregate.group is not None:
            yield form.aggregate.group
        for measure in form.aggregate.measures:
            if measure.attr is not None:
                yield measure.attr


def all_tests(scope: Scope) -> Iterator[Test]:
    """Every test in a `where`, those in lists included."""
    return (condition for condition in _conditions(scope) if isinstance(condition, Test))


def _conditions(scope: Scope) -> Iterator[Test | IdPrefix | Never | Judged]:
    for condition in scope:
        if isinstance(condition, (AllOf, AnyOf)):
            for inner in condition.scopes:
                yield from _conditions(inner)
        else:
            yield condition


def _required(scope: Scope) -> Iterator[Test]:
    """The tests that every entity shown must pass."""
    for condition in scope:
        if isinstance(condition, Test):
            yield condition
        elif isinstance(condition, AllOf):
            for inner in condition.scopes:
                yield from _required(inner)


def _equality(test: Test) -> Equality | None:
    if test.path or test.op not in (Op.EQ, Op.IN):
        return None
    attr = test.attr
    values = test.value if test.op is Op.IN else (test.value,)
    if None in values and not attr.is_indexed:
        # Missing counts as null here, and is no cell to look for.
        return None
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
