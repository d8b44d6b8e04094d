"""Steps that a function writes one after the other → batches → one Commit.

A transaction of a client says what is to be true at its end: all of its steps are judged against
the data before it, and sorted by what they do. A function writes in the order of its lines, and may
read between. So its steps are cut wherever sorting them could tell: each batch is a transaction of
the first kind over what the batches before it wrote. Required attrs are checked at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from trice.catalog.catalog import Catalog
from trice.catalog.values import Cell
from trice.errors import invalid
from trice.identity import ADMIN
from trice.protocol.ids import AttrId, EntityId, EventId, find_uuid_bytes
from trice.protocol.quoting import bare
from trice.runtime import Runtime
from trice.store.commit import Commit, EntityChange, Image, PairChange
from trice.store.engine import WriteTx
from trice.transact.admin import expand_admin_steps
from trice.transact.apply import apply
from trice.transact.checks import check_required
from trice.transact.draft import Draft
from trice.transact.resolve import Resolved
from trice.transact.steps import Lookup, Step

_KINDS: Final = {
    "create": "add",
    "update": "add",
    "link": "add",
    "merge": "merge",
    "increment": "increment",
    "unlink": "retract",
    "delete": "delete",
}
"""What a step does, in the words of `transact.writes`; steps of one kind are applied together."""


def split(steps: Sequence[Any]) -> list[list[Any]]:
    """Cut the steps of a function (of the admin API) into batches, in order.

    raises   InvalidInput for a step that a function cannot write, such as one that adds an attr
    """
    batches: list[list[Any]] = []
    kinds: list[str] = []
    named: set[Any] = set()
    for position, step in enumerate(steps):
        kind = _kind(step, position)
        if not batches or _must_cut(step, kind, kinds, named):
            batches.append([])
            kinds, named = [], set()
        batches[-1].append(step)
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
        named.add(_entity(step))
    return batches


def _must_cut(step: Any, kind: str, kinds: list[str], named: set[Any]) -> bool:
    if kind == "delete":
        return kinds != ["delete"]  # deletes cascade by the links that are there before the batch
    if kind == "add" and not set(kinds) <= {"add", "delete"}:
        return True  # other steps begin by adding ids: with them, all that is added comes first
    if kind in kinds[:-1]:
        return True
    has_mode = step[0] == "create" or (len(step) > 4 and bool(step[4]))
    return _has_lookup(step) or (has_mode and _entity(step) in named)


def _kind(step: Any, position: int) -> str:
    op = step[0] if isinstance(step, list) and len(step) > 2 else None
    kind = _KINDS.get(op) if isinstance(op, str) else None
    if kind is None:
        accepted = ", ".join(_KINDS)
        message = f"A function cannot write `{bare(op)}`. Accepted are {accepted}."
        raise invalid("action", None, [{"message": message, "in": [position, 0]}])
    return kind


def _entity(step: Any) -> Any:
    return (str(step[1]), str(step[2]))


def _has_lookup(step: Any) -> bool:
    """Whether a step may name an entity by a lookup: what it means depends on steps before it."""
    if find_uuid_bytes(step[2]) is None:
        return True
    if step[0] not in ("link", "unlink") or not isinstance(step[3], dict):
        return False
    for targets in step[3].values():
        listed = targets if isinstance(targets, list) else [targets]
        if any(find_uuid_bytes(target) is None for target in listed):
            return True
    return False


@dataclass(frozen=True, slots=True)
class Played:
    """What one batch did.

    steps      as they were applied
    resolved   what they meant
    draft      the rows that were read and written
    commit     what changed
    """

    steps: Sequence[Step]
    resolved: Resolved
    draft: Draft
    commit: Commit


@dataclass(slots=True)
class Author:
    """Who writes, for the log."""

    identity_name: str
    event_id: EventId | None
    function: str | None


@dataclass(slots=True)
class _Touched:
    """The entities that all batches touched, for the check of required attrs."""

    rows: dict[str, set[EntityId]] = field(default_factory=dict)
    sources: dict[str, set[EntityId]] = field(default_factory=dict)

    def add(self, draft: Draft) -> None:
        for etype, rows in draft.rows.items():
            touched = {row.id for row in rows.values() if row.is_touched}
            self.rows.setdefault(etype, set()).update(touched)
        for etype, sources in draft.sources.items():
            self.sources.setdefault(etype, set()).update(sources)

    def check(self, tx: WriteTx, catalog: Catalog) -> None:
        draft = Draft(tx, catalog)
        for etype, ids in self.rows.items():
            namespace = catalog.namespaces.get(etype)
            if namespace is None or not namespace.required:
                continue
            for row in draft.load(etype, ids).values():
                row.is_touched = True
        draft.sources = self.sources
        check_required(tx, catalog, draft, named_by=None)


def play(
    tx: WriteTx, batch: Sequence[Any], *, runtime: Runtime, is_internal: bool = False
) -> Played:
    """Apply one batch, without the check of required attrs.

    is_internal   the server itself wrote it: no guards on `$` namespaces
    raises   as `apply`, LimitExceeded, InvalidInput for labels that the schema does not have
    """
    heard: list[tuple[Resolved, Draft]] = []

    def hear(resolved: Resolved, draft: Draft) -> bool:
        heard.append((resolved, draft))
        return False

    steps = _expanded(tx, batch, runtime)
    commit = apply(
        tx,
        steps,
        is_admin=True,
        identity_name=ADMIN.name,
        event_id=None,
        runtime=runtime,
        is_internal=is_internal,
        hear=hear,
    )
    ((resolved, draft),) = heard
    return Played(steps, resolved, draft, commit)


def apply_batches(
    tx: WriteTx,
    batches: Sequence[Sequence[Any]],
    author: Author,
    *,
    runtime: Runtime,
    also: Callable[[WriteTx], Sequence[Any]] | None = None,
) -> Commit:
    """Apply batches in order, as one transaction.

    also     makes steps of the server itself from what the batches left, which belong to it
    raises   as `play`, and InvalidInput for a required attr that lacks its value in the end
    """
    commits: list[Commit] = []
    touched = _Touched()
    state: WriteTx = tx
    for number in range(len(batches) + (also is not None)):
        is_own = number == len(batches)
        batch = also(state) if is_own and also is not None else batches[number]
        played = play(state, batch, runtime=runtime, is_internal=is_own)
        touched.add(played.draft)
        commits.append(played.commit)
        if played.commit.catalog is not state.catalog:
            state = _LaterTx(tx, played.commit.catalog)
    touched.check(state, state.catalog)
    entities, pairs = _merged(tx, state.catalog, commits)
    return Commit(
        tx=tx.tx,
        time_ms=tx.time_ms,
        identity=author.identity_name,
        event_id=author.event_id,
        entities=entities,
        pairs=pairs,
        catalog=state.catalog,
        is_catalog_changed=any(commit.is_catalog_changed for commit in commits),
        function=author.function,
    )


def _expanded(tx: WriteTx, batch: Sequence[Any], runtime: Runtime) -> Sequence[Step]:
    return expand_admin_steps(list(batch), tx.catalog, throw_on_missing_attrs=True, runtime=runtime)


def lookups_of(steps: Sequence[Step]) -> set[AttrId]:
    """The attrs by whose values steps name entities."""
    found: set[AttrId] = set()
    for step in steps:
        subject = getattr(step, "subject", None)
        if isinstance(subject, Lookup):
            found.add(subject.attr_id)
        value = getattr(step, "value", None)
        if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
            found.add(AttrId(value[0]))
    return found


class _LaterTx:
    """An open transaction whose catalog an earlier batch has changed (`engine.WriteTx`)."""

    def __init__(self, tx: WriteTx, catalog: Catalog) -> None:
        self.catalog = catalog
        self.dialect, self.rows, self.pieces, self.spend = tx.dialect, tx.rows, tx.pieces, tx.spend
        self.tx, self.time_ms, self.may_take_long = tx.tx, tx.time_ms, tx.may_take_long
        self.stored, self.attrs, self.earlier, self.results = (
            tx.stored,
            tx.attrs,
            tx.earlier,
            tx.results,
        )


def _merged(
    tx: WriteTx, catalog: Catalog, commits: Sequence[Commit]
) -> tuple[list[EntityChange], list[PairChange]]:
    """What the batches changed together: each row and pair once, and nothing that is as before."""
    if len(commits) == 1:
        return list(commits[0].entities), list(commits[0].pairs)
    rows: dict[tuple[str, EntityId], EntityChange] = {}
    pairs: dict[tuple[AttrId, EntityId, EntityId], tuple[PairChange, PairChange]] = {}
    for commit in commits:
        for change in commit.entities:
            key = (change.etype, change.id)
            first = rows.get(key)
            old = change.old if first is None else first.old
            rows[key] = EntityChange(change.etype, change.id, old, change.new)
        for pair in commit.pairs:
            at = (pair.attr_id, pair.source, pair.target)
            pairs[at] = (pairs[at][0] if at in pairs else pair, pair)
    entities = [change for change in rows.values() if not _is_same(change.old, change.new)]
    found: list[PairChange] = []
    for before, after in pairs.values():
        if before.is_added == after.is_added:
            found.append(after)
        elif after.is_added:
            # It was there before: its time stays, as if it had never been removed.
            attr = catalog.by_id[after.attr_id]
            tx.stored.unlink(attr, after.source, after.target)
            tx.stored.link(attr, after.source, after.target, before.created_ms)
    found.sort(key=lambda pair: pair.is_added)
    return entities, found


def _is_same(old: Image | None, new: Image | None) -> bool:
    if old is None or new is None:
        return old is new
    if old.created_ms != new.created_ms or old.cells.keys() != new.cells.keys():
        return False
    return all(_is_same_cell(cell, new.cells[attr_id]) for attr_id, cell in old.cells.items())


def _is_same_cell(old: Cell, new: Cell) -> bool:
    """Whether the file has the same bytes: 1 and 1.0 differ there, and so do 0.0 and -0.0."""
    return type(old) is type(new) and repr(old) == repr(new)
