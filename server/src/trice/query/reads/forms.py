"""What each form of a plan reads, to know when its answer can change. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from trice.catalog.attr import Attr
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import (
    AllOf,
    AnyOf,
    Form,
    Hop,
    IdPrefix,
    Judged,
    Never,
    Op,
    Ref,
    Scope,
    Test,
)
from trice.query.reads.anchors import Anchor, Lane, anchors_of, narrowest, order_lane
from trice.query.sql.branches import is_absence_enough
from trice.query.visibility import EVERYTHING, Visibility

Name = tuple[str, str]
"""A namespace and a label; the label is empty where the namespace itself is meant."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One end by which a link is asked for: only links with this end matter.

    is_forward  the entity is the source, hence `end` is a target
    """

    attr_id: AttrId
    is_forward: bool
    end: EntityId


@dataclass(frozen=True, slots=True)
class PathReads:
    """Linked entities that conditions read, including conditions of what is visible.

    links  the links walked from the form's entity; the last leads to `etype`
    etype  namespace of the linked entities: whether they exist matters
    attrs  attrs read on them: blobs, has-one links, and links walked or tested from there
    ends   for links among `attrs` that are only asked for by their ends: these ends
    anchor holds for every linked entity that can make a difference; None: any can
    """

    links: tuple[Hop, ...]
    etype: str
    attrs: frozenset[AttrId]
    ends: frozenset[LinkEnd]
    anchor: Anchor | None


@dataclass(frozen=True, slots=True)
class FormReads:
    """What one form depends on besides the rows it shows, and besides Visibility.depends.

    Conditions are those of `where`, and those that decide whether what the form reads is visible.

    etype       namespace of its entities; "" when the link is unknown
    via         the link walked from the parent form; None at the top
    own_attrs   attrs that conditions test on the entity itself, links they walk from there
                included; the id attr when ids are tested
    ends        for links among `own_attrs` that are only asked for by their ends: these ends
    paths       one for each linked namespace that conditions read, by the links that lead there
    anchors     each holds for every shown entity: a change of an entity that is outside of an
                anchor both before and after cannot matter
    order       attr that orders a page, None for creation time or no order
    order_lane  the lane of a page; None without a page, or where the values that order it may be
                hidden
    waits       names that do not exist (yet)
    """

    etype: str
    via: Hop | None
    own_attrs: frozenset[AttrId]
    ends: frozenset[LinkEnd]
    paths: tuple[PathReads, ...]
    anchors: tuple[Anchor, ...]
    order: AttrId | None
    order_lane: Lane | None
    waits: tuple[Name, ...]


_NO_ENDS: Final[frozenset[LinkEnd]] = frozenset()
"""One object for all uses: each empty frozenset would be a new one of 216 bytes."""


class _Looks:
    """What is read on the entities at the end of one path.

    Holds attrs of which any value matters, links asked for by one end, and the tests of the query.
    As long as `is_tested_only`, nothing but these tests reads the entities.
    """

    def __init__(self) -> None:
        self.whole: set[AttrId] = set()
        self._ends: set[LinkEnd] = set()
        self._tests: list[Test] = []
        self.is_tested_only = True

    def add(self, look: Test | Ref, *, is_rule: bool) -> None:
        ends = _ends(look)
        if ends:
            self._ends.update(ends)
        else:
            self.whole.add(look.attr.id)
        if is_rule or isinstance(look, Ref):
            self.is_tested_only = False
        else:
            self._tests.append(replace(look, path=()))

    def add_hop(self, hop: Hop) -> None:
        """Add a link walked from here: where it leads matters, whichever end holds it."""
        self.whole.add(hop.attr.id)
        self.is_tested_only = False

    def anchor(self, etype: str, visibility: Visibility) -> Anchor | None:
        """An anchor of the entities here that pass a test; others make no difference."""
        tests = self._tests
        if not (tests and self.is_tested_only) or any(map(is_absence_enough, tests)):
            return None
        some = AnyOf(tuple((test,) for test in tests))
        return narrowest(anchors_of((some,), etype, visibility))

    @property
    def attrs(self) -> frozenset[AttrId]:
        return frozenset((*self.whole, *(end.attr_id for end in self._ends)))

    @property
    def ends(self) -> frozenset[LinkEnd]:
        ends = [end for end in self._ends if end.attr_id not in self.whole]
        return frozenset(ends) if ends else _NO_ENDS


def _ends(look: Test | Ref) -> tuple[LinkEnd, ...]:
    """The ends that a test compares a link with; empty where other ends matter too."""
    if isinstance(look, Ref) or not look.attr.is_ref or look.op not in (Op.EQ, Op.IN):
        return ()
    ids = look.value if look.op is Op.IN else (look.value,)
    if not all(isinstance(one, bytes) for one in ids):
        return ()
    return tuple(LinkEnd(look.attr.id, look.is_forward, EntityId(one)) for one in ids)


class _Collector:
    """Collects what conditions read.

    Holds what is read at the end of each path; the empty path is the form's own entities.
    """

    def __init__(self, visibility: Visibility) -> None:
        self._visibility = visibility
        self.own = _Looks()
        self.paths: dict[tuple[Hop, ...], _Looks] = {}
        self.waits: dict[Name, None] = {}

    def add(self, look: Test | Ref, *, is_rule: bool = True) -> None:
        """Add values that are reached from the form's entities, on any path."""
        here = self.own
        for depth, hop in enumerate(look.path, start=1):
            here.add_hop(hop)
            here = self.paths.setdefault(look.path[:depth], _Looks())
        here.add(look, is_rule=is_rule)

    def add_where(self, look: Test) -> None:
        """Add a condition of the query: what it reads, and what makes that visible."""
        self.add(look, is_rule=False)
        if self._visibility is EVERYTHING:
            return
        for depth, hop in enumerate(look.path, start=1):
            far = look.path[:depth]
            self.add_rule(self._visibility.entities(hop.etype), far)
            holder = look.path[: depth - 1] if hop.is_forward else far
            self.add_rule(self._visibility.field(hop.attr), holder)
        if not look.attr.is_ref or look.is_forward:
            self.add_rule(self._visibility.field(look.attr), look.path)
            return
        holder = (*look.path, Hop(look.attr, False, look.attr.etype))
        for rule in (
            self._visibility.entities(look.attr.etype),
            self._visibility.field(look.attr),
        ):
            if rule:
                self.paths.setdefault(holder, _Looks()).is_tested_only = False
                self.add_rule(rule, holder)

    def add_rules(self, form: Form, columns: Sequence[Attr]) -> None:
        """Add what makes the form's own entities, and the columns it returns, visible."""
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

    def add_rule(self, scope: Scope, path: tuple[Hop, ...]) -> None:
        """Add a scope of the visibility, for the entities at the end of `path`."""
        for look in self._looks(scope):
            self.add(replace(look, path=(*path, *look.path)))

    def add_rule_of_shown(self, scope: Scope, etype: str) -> None:
        """Add a scope that decides only what is shown of entities that are shown anyway.

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
    # Past this, witnesses are not narrowed to those that pass a test.
    can_anchor = size_of(all_tests(form.where)) <= NARROWING_MAX
    for attr in _counted(form):
        found.own.whole.add(attr.id)
        found.add_rule(visibility.field(attr), ())
    if visibility is not EVERYTHING:
        found.add_rules(form, columns)
    order = form.order.attr if form.order is not None else None
    return FormReads(
        etype=form.etype,
        via=form.via,
        own_attrs=found.own.attrs,
        ends=found.own.ends,
        paths=tuple(
            PathReads(
                links,
                links[-1].etype,
                looks.attrs,
                looks.ends,
                looks.anchor(links[-1].etype, visibility) if can_anchor else None,
            )
            for links, looks in found.paths.items()
        ),
        # Rules read the whole data: nothing is hidden from them.
        anchors=(
            *anchors_of(form.where, form.etype, visibility),
            *anchors_of(entities, form.etype),
        ),
        order=order.id if order is not None else None,
        order_lane=None if form.page is None else order_lane(form.etype, form.order, visibility),
        waits=tuple(found.waits),
    )


def _counted(form: Form) -> Iterator[Attr]:
    """The attrs whose values the answer of a form that aggregates is made of."""
    if form.aggregate is not None:
        if form.aggregate.group is not None:
            yield form.aggregate.group
        for measure in form.aggregate.measures:
            if measure.attr is not None:
                yield measure.attr


NARROWING_MAX: Final = 50
"""Up to so many tests and links, witnesses are narrowed to entities that meet a test."""


def size_of(tests: Iterable[Test]) -> int:
    """How many tests there are, and links that they walk."""
    return sum(len(test.path) + 1 for test in tests)


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
