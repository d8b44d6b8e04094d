"""An answer kept in a form that can be patched: its tree, indexed. No I/O.

A Level is a node of the tree, with indexes that a patch needs, and a Deciding, which says what
decides membership. Witnesses stay plain nodes: a level that has some is run again as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.values import Cell
from trice.live.index.derive import shows_elsewhere
from trice.live.patch.matching import (
    Cells,
    NotOwn,
    Predicate,
    always,
    member_predicate,
    shown_predicate,
    sort_of,
)
from trice.live.patch.rows import Bag, Window, is_same_row
from trice.protocol.compact_json import dumps_compact
from trice.protocol.ids import AttrId, EntityId
from trice.query.ast import Form
from trice.query.encode import (
    EntityCache,
    FlatParts,
    flat_parts,
    pair_json,
    result_meta,
    shows_each_once,
)
from trice.query.plan import CELLS_FROM, FormPlan, Plan
from trice.query.run import order_of
from trice.query.tree import Node, Tree
from trice.query.visibility import Visibility, hidden_cell
from trice.store.engine import Row

Mask = tuple[int, Predicate, Cell]
"""A cell that may be hidden: its position in a row, whether an entity shows it, its replacement."""


@dataclass(frozen=True, slots=True, eq=False)
class Deciding:
    """What decides which entities belong to a level. Made once for a plan.

    where       the level's condition, and the condition that makes its entities visible; None when
                cells of the entity alone do not decide this, or do not decide what is hidden of it
    masks       the cells that may be hidden; empty without `where`
    tested      attrs of the entity that decide membership or position
    elsewhere   attrs of which every change can matter, on any entity
    births      namespaces in which appearing and vanishing can matter, besides the level's own
    is_masked   rows may show less than what is stored
    has_witnesses   links or entities that prove the condition are part of the answer
    """

    where: Predicate | None
    masks: tuple[Mask, ...]
    tested: frozenset[AttrId]
    elsewhere: frozenset[AttrId]
    births: frozenset[str]
    is_masked: bool
    has_witnesses: bool
    children: tuple[tuple[FormPlan, Deciding], ...]


def deciding_of(form: Form, plan: FormPlan, whole: Plan) -> Deciding:
    """What decides a level and those below it; the levels of `form` and `plan` are the same."""
    reads = plan.reads
    assert reads is not None
    columns = () if plan.projection is None else plan.projection.columns
    where, masks = _own_part(form, columns, whole.visibility)
    tested = set(reads.own_attrs)
    if reads.order is not None:
        tested.add(reads.order)
    if plan.via is not None and plan.held == "child":
        tested.add(plan.via.attr.id)
    by_id = whole.catalog.by_id
    elsewhere = {attr_id for attr_id in tested if shows_elsewhere(by_id[attr_id], plan.etype)}
    # A link that is a column has the creation time of its source, and none before that is created.
    births = {by_id[attr_id].etype for attr_id in elsewhere if not by_id[attr_id].is_pairs}
    for path in reads.paths:
        elsewhere.update(path.attrs, (hop.attr.id for hop in path.links))
        births.update(hop.etype for hop in path.links)
    return Deciding(
        where=where,
        masks=masks,
        tested=frozenset(tested),
        elsewhere=frozenset(elsewhere) if where is None else frozenset(),
        births=frozenset(births) if where is None else frozenset(),
        is_masked=any(map(whole.visibility.field, columns)),
        has_witnesses=bool(plan.pairs) or any(child.is_witness for child in plan.children),
        children=tuple(
            (child_plan, deciding_of(child, child_plan, whole))
            for child, child_plan in zip(form.children, plan.children, strict=False)
        ),
    )


def _own_part(
    form: Form, columns: Sequence[Attr], visibility: Visibility
) -> tuple[Predicate | None, tuple[Mask, ...]]:
    """`Deciding.where` and `masks`, if an entity's own cells decide them."""
    if not form.is_known:
        return None, ()
    try:
        where = member_predicate(form.where, form.etype, visibility)
        shown = [shown_predicate(attr, visibility) for attr in columns]
    except NotOwn:
        return None, ()
    return where, tuple(
        (place, is_shown, hidden_cell(attr))
        for place, (attr, is_shown) in enumerate(zip(columns, shown, strict=True), CELLS_FROM)
        if is_shown is not always
    )


def is_patchable(plan: Plan) -> bool:
    """Whether answers to `plan` may be patched: they have rows, no link that leads to these may be
    hidden, and there are few conditions. Totals are carried forward by `live.aggregates`."""
    if plan.query.size > limits.LIVE_PATCH_CONDITIONS_MAX:
        return False
    waiting = list(plan.forms)
    while waiting:
        form = waiting.pop()
        waiting.extend(form.children)
        if form.aggregate is not None:
            return False
        if form.via is not None and plan.visibility.field(form.via.attr):
            return False
    return True


@dataclass(slots=True, eq=False)
class Pairs:
    """The pairs of a level that a table keeps, from its parents (near) to its rows (far).

    times      when each pair (near, far) was linked
    fragments  the JSON of each pair, after its first use
    """

    times: dict[tuple[EntityId, EntityId], int] = field(default_factory=dict)
    nears: dict[EntityId, set[EntityId]] = field(default_factory=dict)
    fars: dict[EntityId, set[EntityId]] = field(default_factory=dict)
    fragments: dict[tuple[EntityId, EntityId], bytes] = field(default_factory=dict)
    is_changed: bool = False

    def add(self, near: EntityId, far: EntityId, created_ms: int) -> None:
        if self.times.get((near, far)) == created_ms:
            return
        self.times[near, far] = created_ms
        self.fragments.pop((near, far), None)
        self.nears.setdefault(far, set()).add(near)
        self.fars.setdefault(near, set()).add(far)
        self.is_changed = True

    def discard(self, near: EntityId, far: EntityId) -> None:
        if self.times.pop((near, far), None) is None:
            return
        self.fragments.pop((near, far), None)
        _discard(self.nears, far, near)
        _discard(self.fars, near, far)
        self.is_changed = True


def _discard(index: dict[EntityId, set[EntityId]], key: EntityId, member: EntityId) -> None:
    members = index[key]
    members.discard(member)
    if not members:
        del index[key]


@dataclass(slots=True)
class Delta:
    """How the rows of a level changed."""

    removed: dict[EntityId, Row] = field(default_factory=dict)
    added: dict[EntityId, Row] = field(default_factory=dict)
    replaced: dict[EntityId, tuple[Row, Row]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.replaced)


class Level:
    """One level of a kept answer.

    node      the node of the tree; `node.rows` is the list that `rows` keeps
    children  the levels below, without witnesses
    pairs     links from the parents, where a table keeps them
    by_parent where the link is a column of the rows here: the rows of each parent
    wanted    where the link is a column of the parents: how many of them hold each id
    Only `live.patch.answer` writes it.
    """

    __slots__ = (
        *("by_parent", "children", "deciding", "form", "node", "pairs", "rows", "wanted"),
        "_before",
    )

    def __init__(self, node: Node, deciding: Deciding, parents: list[Row]) -> None:
        self.form = form = node.form
        self.node = node
        self.deciding = deciding
        self.rows: Bag | Window
        if form.pages is not None:
            is_descending = form.order is not None and form.order.is_descending
            self.rows = Window(node.rows, self.key_of, is_descending=is_descending)
        else:
            self.rows = Bag(node.rows)
        self.pairs = Pairs()
        self.by_parent: dict[EntityId, set[EntityId]] = {}
        self.wanted: dict[EntityId, int] = {}
        self._before: dict[EntityId, Row | None] = {}
        self._link(parents)
        self.children = [
            Level(child, below, node.rows)
            for child, (_, below) in zip(node.children, deciding.children, strict=False)
        ]

    def _link(self, parents: list[Row]) -> None:
        form, cell = self.form, self.form.link_cell
        match form.held:
            case "child":
                assert cell is not None
                for row in self.node.rows:
                    parent: EntityId = row[cell]  # type: ignore[assignment]
                    self.by_parent.setdefault(parent, set()).add(row[0])  # type: ignore[arg-type]
            case "parent":
                assert cell is not None
                for row in parents:
                    self.want(row[cell], 1)  # type: ignore[arg-type]
            case "pairs":
                assert form.via is not None
                for source, target, created_ms in self.node.pairs:
                    near, far = (source, target) if form.via.is_forward else (target, source)
                    self.pairs.add(near, far, created_ms)
                self.pairs.is_changed = False
            case None:
                pass

    def key_of(self, row: Row) -> tuple[object, ...]:
        """The key that orders the rows of a page, ascending."""
        return (*sort_of(order_of(self.form, row)), row[0])

    def row(self, entity: EntityId, created_ms: int, cells: Cells) -> Row:
        """What the level shows of an entity with these cells."""
        projection = self.form.projection
        assert projection is not None
        row = (entity, created_ms, *(cells.get(attr_id) for attr_id in projection.cell_attrs))
        if not self.deciding.masks:
            return row
        masked = list(row)
        for place, is_shown, hidden in self.deciding.masks:
            if not is_shown(entity, cells):
                masked[place] = hidden
        return tuple(masked)

    def want(self, target: EntityId | None, count: int) -> None:
        """Note that one parent more (1) or less (-1) holds `target`."""
        if target is not None:
            left = self.wanted.get(target, 0) + count
            if left:
                self.wanted[target] = left
            else:
                del self.wanted[target]

    def set(self, entity: EntityId, row: Row | None) -> None:
        """Show `row` for an entity; None: the entity is not on this level."""
        old = self.rows.find(entity)
        if old is row or (old is not None and row is not None and is_same_row(old, row)):
            return
        self._before.setdefault(entity, old)
        cell = self.form.link_cell
        if self.form.held == "child":
            assert cell is not None
            if old is not None:
                _discard(self.by_parent, old[cell], entity)  # type: ignore[arg-type]
            if row is not None:
                self.by_parent.setdefault(row[cell], set()).add(entity)  # type: ignore[arg-type]
        if row is not None:
            self.rows.put(row)
        elif old is not None:
            self.rows.take(entity)

    def take_delta(self) -> Delta:
        """The changes since the last call."""
        delta = Delta()
        for entity, old in self._before.items():
            row = self.rows.find(entity)
            if old is None:
                if row is not None:
                    delta.added[entity] = row
            elif row is None:
                delta.removed[entity] = old
            elif not is_same_row(old, row):
                delta.replaced[entity] = (old, row)
        self._before.clear()
        return delta

    def fragments(self, cache: EntityCache) -> list[bytes]:
        """The JSON of each row's triples, in the order of `rows`."""
        projection, found = self.form.projection, self.rows.fragments
        missing: list[int] = []
        with suppress(ValueError):
            while True:
                missing.append(found.index(b"", missing[-1] + 1 if missing else 0))
        if missing:
            assert projection is not None
            rows = [self.rows.rows[at] for at in missing]
            for at, made in zip(missing, cache.fragments(projection, rows), strict=True):
                found[at] = made
        return found

    def pair_fragments(self) -> Iterable[bytes]:
        """The JSON of each pair."""
        pairs, via = self.pairs, self.form.via
        assert via is not None
        if len(pairs.fragments) < len(pairs.times):
            for (near, far), created_ms in pairs.times.items():
                if (near, far) not in pairs.fragments:
                    ends = (near, far) if via.is_forward else (far, near)
                    pairs.fragments[near, far] = pair_json(via.attr.id, (*ends, created_ms))
        return pairs.fragments.values()

    def sync_pairs(self) -> None:
        """Update the node's list of pairs."""
        if self.form.held == "pairs":
            assert self.form.via is not None
            is_forward = self.form.via.is_forward
            self.node.pairs = [
                (near, far, created_ms) if is_forward else (far, near, created_ms)
                for (near, far), created_ms in self.pairs.times.items()
            ]


class KeptTree:
    """A whole answer that can be patched.

    Holds the tree and its levels. Does not hold: which transaction it belongs to (LiveQuery does).
    """

    def __init__(self, tree: Tree) -> None:
        plan = tree.plan
        self.tree = tree
        self._is_joined = shows_each_once(plan)
        self.levels = [
            Level(node, deciding_of(form, node.form, plan), [])
            for form, node in zip(plan.query.forms, tree.nodes, strict=True)
        ]

    def walk(self) -> Iterator[Level]:
        """All levels, parents before children."""
        waiting = self.levels[::-1]
        while waiting:
            level = waiting.pop()
            yield level
            waiting.extend(level.children[::-1])

    def flat_parts(self, cache: EntityCache) -> FlatParts:
        """The parts of the answer as triples: the JSON of its rows and pairs.

        cost   O(what changed) to encode, O(rows and pairs) to list them
        """
        if not self._is_joined:
            self.sync_pairs()
            return flat_parts(self.tree, cache)
        rows: list[bytes] = []
        links: list[bytes] = []
        for level in self.walk():
            rows += level.fragments(cache)
            if level.pairs.times:
                links += level.pair_fragments()
        return FlatParts(rows, links, dumps_compact(result_meta(self.tree)))

    def sync_pairs(self) -> None:
        """Update the tree from the levels' pairs."""
        for level in self.walk():
            level.sync_pairs()

    @property
    def size(self) -> int:
        """How many rows and pairs it has, without witnesses."""
        return sum(len(level.rows.rows) + len(level.pairs.times) for level in self.walk())


def rows_of(tree: Tree) -> int:
    """How many rows and pairs an answer has, witnesses included."""
    return sum(
        len(node.rows) + len(node.pairs) + sum(len(pairs) for _, pairs in node.witnesses)
        for node in tree.walk()
    )
