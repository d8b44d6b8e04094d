"""Patch a level below another one; how depends on where the link is stored. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, assert_never

from trice.live.changes import Changes, EntityNews
from trice.live.patch.kept import Delta, Level
from trice.live.patch.matching import Undecided
from trice.protocol.ids import EntityId
from trice.query.plan import FormPlan
from trice.query.tree import Node
from trice.store.commit import Image
from trice.store.engine import Row

FetchRows = Callable[[FormPlan, Sequence[Row]], Node]

_NO_NEWS: Final[dict[EntityId, EntityNews]] = {}


def row_of(level: Level, news: EntityNews) -> Row | None:
    """The row of a changed entity if it meets the level's conditions, without regard to links."""
    new, where = news.new, level.deciding.where
    if new is None or new.created_ms is None:
        return None
    # Without a predicate no deciding attr has changed: entities that were in stay in.
    is_in = news.id in level.rows if where is None else where(news.id, new.cells)
    return level.row(news.id, new.created_ms, new.cells) if is_in else None


def patch_linked(
    level: Level, parent: Level, delta: Delta, changes: Changes, fetch: FetchRows
) -> None:
    """Patch the rows and pairs of `level`; its parents changed by `delta`.

    raises   Undecided: the level must be run again
    """
    news = changes.entities.get(level.form.etype, _NO_NEWS)
    if level.form.cut is not None:
        # What is cut off stays so (`is_cut_moved`): of entities not on the level nothing is known.
        news = {entity: one for entity, one in news.items() if entity in level.rows}
    match level.form.held:
        case "child":
            _patch_held_here(level, parent, delta, news, fetch)
        case "parent":
            _patch_held_by_parents(level, parent, delta, news, fetch)
        case "pairs":
            _patch_pairs(level, parent, delta, changes, fetch)
        case None:
            pass
        case held:
            assert_never(held)


def _patch_held_here(
    level: Level,
    parent: Level,
    delta: Delta,
    news: Mapping[EntityId, EntityNews],
    fetch: FetchRows,
) -> None:
    cell = level.form.link_cell
    assert cell is not None
    for one in news.values():
        row = row_of(level, one)
        if row is not None and row[cell] not in parent.rows:
            row = None
        level.set(one.id, row)
    for gone in delta.removed:
        for entity in tuple(level.by_parent.get(gone, ())):
            level.set(entity, None)
    if delta.added:
        for row in fetch(level.form, list(delta.added.values())).rows:
            level.set(row[0], row)  # type: ignore[arg-type]


def _patch_held_by_parents(
    level: Level,
    parent: Level,
    delta: Delta,
    news: Mapping[EntityId, EntityNews],
    fetch: FetchRows,
) -> None:
    cell = level.form.link_cell
    assert cell is not None
    holders: dict[EntityId, Row] = {}
    gone: list[EntityId] = []
    for row in (*delta.added.values(), *(new for _, new in delta.replaced.values())):
        target: EntityId | None = row[cell]  # type: ignore[assignment]
        if target is not None and target not in level.wanted:
            holders[target] = row
        level.want(target, 1)
    for row in (*delta.removed.values(), *(old for old, _ in delta.replaced.values())):
        target = row[cell]  # type: ignore[assignment]
        level.want(target, -1)
        if target is not None and target not in level.wanted:
            gone.append(target)
    for target in gone:
        level.set(target, None)
    for target in level.wanted.keys() & news.keys():
        if level.deciding.where is not None:
            level.set(target, row_of(level, news[target]))
            holders.pop(target, None)
        elif target not in holders:
            level.set(target, row_of(level, news[target]))
    missing = [row for target, row in holders.items() if target in level.wanted]
    if missing:
        for row in fetch(level.form, missing).rows:
            level.set(row[0], row)  # type: ignore[arg-type]


def _patch_pairs(
    level: Level, parent: Level, delta: Delta, changes: Changes, fetch: FetchRows
) -> None:
    form, pairs = level.form, level.pairs
    assert form.via is not None
    for one in changes.entities.get(form.etype, _NO_NEWS).values():
        row = row_of(level, one)
        if row is not None and one.id not in level.rows and not _is_known(level, one.id, one.old):
            raise Undecided  # parents may have been linked with it before
        if one.id in level.rows:
            if row is None:
                for near in tuple(pairs.nears.get(one.id, ())):
                    pairs.discard(near, one.id)
            level.set(one.id, row)
    for gone in delta.removed:
        for far in tuple(pairs.fars.get(gone, ())):
            _unlink(level, gone, far)
    incomplete: dict[EntityId, Row] = dict(delta.added)
    for (source, target), pair in changes.pairs.get(form.via.attr.id, {}).items():
        near, far = (source, target) if form.via.is_forward else (target, source)
        row = parent.rows.find(near)
        if row is None:
            continue
        if not pair.is_added:
            _unlink(level, near, far)
        elif far in level.rows:
            pairs.add(near, far, pair.created_ms)
        else:
            incomplete[near] = row
    if incomplete:
        _add_fetched(level, fetch(form, list(incomplete.values())))


def _is_known(level: Level, entity: EntityId, old: Image | None) -> bool:
    """Whether an entity that is not shown met the conditions before; then no parent links to it."""
    where = level.deciding.where
    return (
        where is not None
        and old is not None
        and old.created_ms is not None
        and where(entity, old.cells)
    )


def _unlink(level: Level, near: EntityId, far: EntityId) -> None:
    level.pairs.discard(near, far)
    if far not in level.pairs.nears and far in level.rows:
        level.set(far, None)


def _add_fetched(level: Level, node: Node) -> None:
    assert level.form.via is not None
    for row in node.rows:
        level.set(row[0], row)  # type: ignore[arg-type]
    for source, target, created_ms in node.pairs:
        near, far = (source, target) if level.form.via.is_forward else (target, source)
        level.pairs.add(near, far, created_ms)
