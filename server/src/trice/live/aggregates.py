"""Live aggregates: totals carried from commit to commit, without reading the data again.

A commit says what each row was and is. Where the conditions read only the row, the old row is
counted out and the new one counted in, exactly. The statement runs again only when a least or
greatest value left, or when conditions read other data. The rest (parsing, rights, planning) is
kept as long as it cannot have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.values import Cell
from trice.live.answers import Encoded
from trice.live.patch.matching import (
    NotOwn,
    Predicate,
    always,
    member_predicate,
    shown_predicate,
)
from trice.live.recent import RecentCommits
from trice.metrics import LiveCounts
from trice.protocol.ids import AttrId, EntityId, TxId
from trice.query.plan import AggregatePlan, FormPlan
from trice.query.run import read_totals
from trice.query.tree import Node, Tree
from trice.query.visibility import Depends, Visibility
from trice.store.commit import Commit, EntityChange, Image
from trice.store.engine import Engine, Snapshot

Q = TypeVar("Q", bound=Hashable)


class Sight:
    """What one form sees of a row: whether it matches, and which cells are not hidden.

    raises   NotOwn when the row's own columns are not enough to tell
    """

    def __init__(self, aggregate: AggregatePlan, visibility: Visibility) -> None:
        form = aggregate.form
        self._is_in = member_predicate(form.where, form.etype, visibility)
        self._masks: dict[AttrId, Predicate] = {}
        for attr in _counted_attrs(aggregate):
            shown = shown_predicate(attr, visibility)
            if shown is not always:
                self._masks[attr.id] = shown

    def see(self, entity: EntityId, image: Image | None) -> Mapping[AttrId, Cell] | None:
        """The cells to count; None when the row does not match or there is none."""
        if image is None or image.created_ms is None:
            return None
        cells = image.cells
        if not self._is_in(entity, cells):
            return None
        hidden = [attr_id for attr_id, shown in self._masks.items() if not shown(entity, cells)]
        if not hidden:
            return cells
        return {attr_id: cell for attr_id, cell in cells.items() if attr_id not in hidden}


def _counted_attrs(aggregate: AggregatePlan) -> list[Attr]:
    columns = aggregate.columns
    group = columns.aggregate.group
    extremes = (extreme.attr for extreme in columns.extremes)
    return [*columns.sums, *extremes, *([] if group is None else [group])]


@dataclass(slots=True, eq=False)
class _Part:
    """One form of a kept query.

    sight   None: only the statement can tell
    tx      the totals contain every commit up to this one, and no later one
    """

    node: Node
    aggregate: AggregatePlan
    sight: Sight | None
    tx: TxId
    is_stale: bool = False

    def count_in(self, commit: Commit) -> None:
        """Count a commit into the totals, or note that the statement must run again."""
        if commit.tx <= self.tx or self.is_stale:
            return
        if self.sight is None:
            self.is_stale = True
            return
        for change in commit.entities:
            if change.etype == self.aggregate.form.etype:
                self._count(change, self.sight)

    def _count(self, change: EntityChange, sight: Sight) -> None:
        old, new = sight.see(change.id, change.old), sight.see(change.id, change.new)
        totals = self.node.totals
        assert totals is not None
        # Out first: an extreme that leaves and comes back with the same row is not lost.
        if old is not None:
            totals.take(old)
        if new is not None:
            totals.add(new)

    def settle(self, commits: Sequence[Commit]) -> None:
        """Note that all of `commits` are counted in."""
        totals = self.node.totals
        assert totals is not None
        self.is_stale = self.is_stale or totals.is_stale
        if not self.is_stale:
            totals.check_size()
        if commits:
            self.tx = max(self.tx, commits[-1].tx)

    def read(self, snapshot: Snapshot, tx: TxId) -> None:
        """Run the statement again."""
        self.node.totals = read_totals(self.aggregate, snapshot)
        self.tx, self.is_stale = tx, False


@dataclass(slots=True, eq=False)
class RunningTotals:
    """The totals of one query, ready to be carried forward by commits.

    tree     the answer; its nodes hold the totals
    depends  what the rules were made from; when it changes, all of this is void
    waiting  commits that touched the query and are not counted in yet, in order
    """

    tree: Tree
    parts: list[_Part]
    depends: Depends
    encode: Callable[[Tree], Encoded]
    tx: TxId
    waiting: list[Commit] = field(default_factory=list)
    changes: int = 0

    @property
    def groups(self) -> int:
        """How many groups are kept in memory."""
        return sum(len(part.node.totals or ()) for part in self.parts)

    def note(self, commit: Commit) -> bool:
        """Keep a commit until the next refresh; False when the query must be run anew."""
        self.changes += len(commit.entities)
        if (
            commit.is_catalog_changed
            or self.changes > limits.LIVE_TOTALS_CHANGES_MAX
            or _is_met(self.depends, commit)
        ):
            return False
        self.waiting.append(commit)
        return True

    def count_in(self) -> list[_Part]:
        """Count the waiting commits in; return the parts whose statement must run again."""
        for part in self.parts:
            for commit in self.waiting:
                part.count_in(commit)
            part.settle(self.waiting)
        self.waiting, self.changes = [], 0
        return [part for part in self.parts if part.is_stale]


def keep(tree: Tree, tx: TxId, encode: Callable[[Tree], Encoded]) -> RunningTotals | None:
    """The totals that carry the answer `tree` forward; None unless every form of it aggregates.

    tree      its plan must hold for later runs
    tx        the newest transaction in the snapshot that it was read from
    encode    makes the answer of the tree, on the loop
    """
    visibility = tree.plan.visibility
    forms = [(node, node.form.aggregate) for node in tree.nodes]
    is_small = tree.plan.query.size <= limits.LIVE_PATCH_CONDITIONS_MAX
    if not forms or any(_is_judging(f.form) for f in tree.nodes):
        return None
    parts = [
        _Part(node, aggregate, _sight(aggregate, visibility) if is_small else None, tx)
        for node, aggregate in forms
        if aggregate is not None
    ]
    if len(parts) < len(forms):
        return None
    return RunningTotals(tree, parts, visibility.depends, encode, tx)


def _sight(aggregate: AggregatePlan, visibility: Visibility) -> Sight | None:
    if aggregate.statement is None:
        return None
    try:
        return Sight(aggregate, visibility)
    except NotOwn:
        return None


def _is_judging(form: FormPlan) -> bool:
    """Whether Python judges rows of the statement: such a judge belongs to one snapshot."""
    statement = None if form.aggregate is None else form.aggregate.statement
    return statement is not None and any(map(callable, statement.bindings))


def _is_met(depends: Depends, commit: Commit) -> bool:
    """Whether a commit changed what the scopes of the rules were made from."""
    if not (depends.entities or depends.attrs or depends.births):
        return False
    if any(pair.attr_id in depends.attrs for pair in commit.pairs):
        return True
    return any(
        (change.etype, change.id) in depends.entities
        or change.etype in depends.births
        or any(
            image is not None and not depends.attrs.isdisjoint(image.cells)
            for image in (change.old, change.new)
        )
        for change in commit.entities
    )


class Aggregates(Generic[Q]):
    """The kept totals of an app's live queries.

    Holds them by query, the last used at the end. Does not hold answers or watchers.
    Written by `live.Live` only, on the loop.
    Invariant: the totals of a query with its waiting commits counted in equal those of a fresh run.
    """

    def __init__(self, counts: LiveCounts) -> None:
        self._counts = counts
        self._kept: dict[Q, RunningTotals] = {}
        self._groups: dict[Q, int] = {}
        self._groups_sum = 0

    def __len__(self) -> int:
        return len(self._kept)

    def adopt(self, query: Q, kept: RunningTotals | None, recent: RecentCommits, tx: TxId) -> None:
        """Take over the totals that a run kept.

        tx   the published transaction
        """
        if kept is None:
            self.forget(query)
            return
        if self._kept.get(query) is kept:
            return
        self.forget(query)
        missed = recent.since(kept.tx, tx)
        if missed is not None and all(map(kept.note, missed)):
            self._put(query, kept)

    def note(self, touched: Iterable[Q], commit: Commit) -> None:
        """Note a commit that may have changed the answers of these queries."""
        if not self._kept:
            return
        for query in touched:
            kept = self._kept.get(query)
            if kept is not None and not kept.note(commit):
                self.forget(query)

    def refresh(self, query: Q, engine: Engine) -> Encoded | None:
        """The answer now; None when no totals are kept and the query must be run.

        raises  ReadTooLong, LimitExceeded; then the totals are dropped
        """
        kept = self._kept.get(query)
        if kept is None:
            return None
        self.forget(query)
        stale = kept.count_in()
        if stale:
            self._counts.rerun_node += len(stale)
            engine.read_now(lambda snapshot: _read(stale, snapshot))
        else:
            self._counts.patched += 1
            self._counts.counted += 1
        encoded = kept.encode(kept.tree)
        self._put(query, kept)
        return encoded

    def reads_tx(self, query: Q) -> TxId:
        """The newest transaction in the totals of a query that was just refreshed."""
        return max(part.tx for part in self._kept[query].parts)

    def forget(self, query: Q) -> None:
        """Drop the totals of a query; the next refresh runs it."""
        if self._kept.pop(query, None) is not None:
            self._groups_sum -= self._groups.pop(query)

    def _put(self, query: Q, kept: RunningTotals) -> None:
        self._kept[query] = kept
        self._groups[query] = kept.groups
        self._groups_sum += kept.groups
        while self._groups_sum > limits.LIVE_TOTALS_GROUPS_MAX and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))


def _read(parts: Sequence[_Part], snapshot: Snapshot) -> None:
    tx = snapshot.newest_tx()
    for part in parts:
        part.read(snapshot, tx)
