"""Keep the answer of a live query current: patch it where memory is enough, else run it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trice import limits
from trice.errors import TriceError
from trice.live.answers import Answer, Encoded, encode_kept
from trice.live.changes import Changes
from trice.live.index.derive import grown_reads, read_set
from trice.live.index.read_set import ReadSet, ValueKey
from trice.live.outcome import Run
from trice.live.patch.answer import Patched, patch
from trice.live.patch.kept import KeptTree, is_patchable, rows_of
from trice.live.recent import RecentCommits
from trice.metrics import LiveCounts
from trice.protocol.ids import EntityId, TxId
from trice.query.encode import EntityCache
from trice.query.plan import FormPlan, Plan
from trice.query.run import run_level, run_rows
from trice.query.tree import Node, Tree
from trice.query.visibility import Depends
from trice.store.engine import Engine, ReadTooLong, Row, Snapshot


@dataclass(slots=True, eq=False)
class LastRun:
    """What the latest run of a live query left for the next refresh.

    plan     holds as long as the catalog's version and what `depends` names stay the same
    tree     the answer as of `tx`; None when it is too large, or no longer valid
    levels   the same tree ready to be patched, from the first patch on
    tx       the newest transaction that the answer contains
    plan_tx  the newest transaction at which the plan is known to hold: older than `tx` if the plan
             was used again on a snapshot ahead of the published transaction
    run_ms   how long the run took
    """

    plan: Plan
    depends: Depends
    tree: Tree | None
    tx: TxId
    plan_tx: TxId
    run_ms: float
    levels: KeptTree | None = None

    @staticmethod
    def of(run: Run) -> LastRun | None:
        """Keep a run's plan, and its tree while that is small."""
        tree = run.tree
        if tree is None:
            return None
        is_small = rows_of(tree) <= limits.LIVE_PATCH_ROWS_MAX and is_patchable(tree.plan)
        plan = tree.plan
        kept_tree = tree if is_small else None
        return LastRun(
            plan, plan.visibility.depends, kept_tree, run.reads_tx, run.plan_tx, run.took_ms
        )

    def weight_bytes(self, answer: Answer) -> int:
        """About how much memory it takes, besides the answer."""
        rows_bytes = 0 if self.tree is None else answer.size_bytes * limits.LIVE_TREE_WEIGHT
        return limits.LIVE_PLAN_BYTES + rows_bytes


@dataclass(frozen=True, slots=True)
class Refreshed:
    """An answer that was brought up to date.

    encoded  None when it shows the same as before
    reads    what it depends on now; None: the same as before, and `grown`
    """

    encoded: Encoded | None
    reads: ReadSet | None
    grown: tuple[set[tuple[str, EntityId]], set[ValueKey]]


class _Ahead(Exception):
    """The database has a commit that is not published yet: levels would be of different times."""


class _Fetch:
    """Reads levels again (`patch.Fetch`), each at exactly the published transaction."""

    def __init__(self, engine: Engine, counts: LiveCounts) -> None:
        self._engine = engine
        self._counts = counts

    def level(self, form: FormPlan, parents: Sequence[Row] | None) -> Node:
        return self._read(lambda snapshot: run_level(form, parents, snapshot))

    def rows(self, form: FormPlan, parents: Sequence[Row]) -> Node:
        return self._read(lambda snapshot: run_rows(form, parents, snapshot))

    def _read(self, work: Callable[[Snapshot], Node]) -> Node:
        def exact(snapshot: Snapshot) -> Node:
            if snapshot.newest_tx() != snapshot.tx:
                raise _Ahead
            return work(snapshot)

        self._counts.rerun_node += 1
        return self._engine.read_now(exact)


class Maintainer:
    """Patches what live queries kept. Owned by `Live`; holds nothing of its own."""

    def __init__(
        self, engine: Engine, recent: RecentCommits, *, cache: EntityCache, counts: LiveCounts
    ) -> None:
        self._engine = engine
        self._recent = recent
        self._cache = cache
        self._fetch = _Fetch(engine, counts)

    def plan_of(self, kept: LastRun, stale_tx: TxId | None) -> Plan | None:
        """The plan for the next whole run, if it still holds.

        stale_tx   the first commit that touches the query since `kept`; None: there is none
        """
        return kept.plan if self._is_plan_good(kept, stale_tx) else None

    def refresh(
        self, kept: LastRun, stale_tx: TxId | None, *, shape: str, answer: Answer
    ) -> Refreshed | None:
        """Bring `answer`, the answer of `kept`, and `kept` up to the published transaction.

        returns   None when only a whole run can do it; then `kept.tree` is gone
        raises    LimitExceeded when the answer becomes too large
        """
        tree, kept.tree = kept.tree, None
        if tree is None or not self._is_plan_good(kept, stale_tx):
            return None
        changes = self._changes(kept, stale_tx)
        if changes is None:
            return None
        levels = kept.levels or KeptTree(tree)
        kept.levels = None
        try:
            done = patch(levels, changes, self._fetch)
        except (ReadTooLong, TriceError, _Ahead):
            return None
        kept.tx = max(kept.tx, self._engine.tx)
        kept.plan_tx = max(kept.plan_tx, self._engine.tx)
        new = None
        if done.is_changed:
            new = encode_kept(levels, shape, self._cache)
            if new.answer == answer:
                new = None
        reads = read_set(tree) if done.is_relisted else None
        if levels.size <= limits.LIVE_PATCH_ROWS_MAX:
            kept.tree, kept.levels = tree, levels
        return Refreshed(new, reads, _grown(done))

    def _is_plan_good(self, kept: LastRun, stale_tx: TxId | None) -> bool:
        """Whether the plan of `kept` still holds, as far as is known.

        stale_tx   the first commit that touches the query since `kept`; None: there is none
        """
        engine = self._engine
        if kept.plan.catalog.version != engine.catalog.version:
            return False
        since = max(self._start(stale_tx), kept.plan_tx)
        judged = self._recent.each_since(since, engine.tx)
        return judged is not None and not any(_is_touched(kept.depends, each) for each in judged)

    def _changes(self, kept: LastRun, stale_tx: TxId | None) -> Changes | None:
        """The changes since `kept`; None when they are not known, or are so many that a whole run
        costs less.

        Commits before the first that touches the query changed nothing for it. Later commits count
        even if they do not touch it: they may have changed what the first one brought in.
        """
        since, now = max(self._start(stale_tx), kept.tx), self._engine.tx
        costs_as_much = max(1, kept.run_ms) * limits.LIVE_PATCH_CHANGES_A_MS
        if self._recent.weight_since(since, now) > costs_as_much:
            return None
        return self._recent.changes_since(since, now)

    def _start(self, stale_tx: TxId | None) -> TxId:
        """The last transaction that changed nothing for a query."""
        return self._engine.tx if stale_tx is None else TxId(stale_tx - 1)


def _is_touched(depends: Depends, changes: Changes) -> bool:
    """Whether what a plan was made from may have changed."""
    return (
        not depends.attrs.isdisjoint(changes.attrs)
        or not depends.births.isdisjoint(changes.births)
        or any(entity in changes.entities.get(etype, ()) for etype, entity in depends.entities)
    )


def _grown(done: Patched) -> tuple[set[tuple[str, EntityId]], set[ValueKey]]:
    entities: set[tuple[str, EntityId]] = set()
    values: set[ValueKey] = set()
    for level, rows in done.grown:
        more_entities, more_values = grown_reads(level.form, rows)
        entities |= more_entities
        values |= more_values
    return entities, values
