"""Bring a kept answer up to date with what commits changed, in memory. No I/O.

    changes ──> each level, parents first ──> rows put, taken, replaced ──> the level below
                      |
                      +── memory is not enough ──> `fetch`: that level and those below it are run
                                                   again, once for all watchers

A patch never guesses: what is not surely known is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from trice.live.changes import Changes, EntityNews
from trice.live.patch.cut import is_cut_moved
from trice.live.patch.kept import Delta, KeptTree, Level
from trice.live.patch.links import patch_linked, row_of
from trice.live.patch.matching import Undecided
from trice.live.patch.page import Entry, patch_page
from trice.live.patch.rows import Window, is_same_row
from trice.query.plan import FormPlan
from trice.query.tree import Node
from trice.store.engine import Row

_NO_NEWS: Final[dict[object, EntityNews]] = {}


class Fetch(Protocol):
    """Reads from the database, at exactly the transaction that the changes lead to."""

    def level(self, form: FormPlan, parents: Sequence[Row] | None) -> Node:
        """A level and the levels below it, for all its parents (None: it is at the top)."""
        ...

    def rows(self, form: FormPlan, parents: Sequence[Row]) -> Node:
        """A level alone, for some of its parents."""
        ...


@dataclass(slots=True)
class Patched:
    """What a patch did.

    is_changed   what is shown may differ
    is_relisted  the read set must be made anew, as when a level was run again
    grown        levels with the rows that were added or replaced there
    """

    is_changed: bool = False
    is_relisted: bool = False
    grown: list[tuple[Level, list[Row]]] = field(default_factory=list)


def patch(kept: KeptTree, changes: Changes, fetch: Fetch) -> Patched:
    """Apply `changes` to `kept`, in place.

    changes   all changes between the transaction of `kept` and the one that `fetch` reads
    raises    what `fetch` raises; then `kept` is no longer valid
    cost      O(changes · levels), and the levels that are fetched
    """
    done = Patched()
    for place, level in enumerate(kept.levels):
        new = _patch_top(level, changes, fetch, done)
        kept.levels[place] = new
        kept.tree.nodes[place] = new.node
    return done


def _patch_top(level: Level, changes: Changes, fetch: Fetch, done: Patched) -> Level:
    form = level.form
    if form.projection is None and not form.is_count:
        return level  # its namespace or link does not exist
    try:
        if must_run(level, changes):
            raise Undecided
        page_before, was_cut = level.node.page, level.node.is_cut
        if form.is_count:
            _patch_count(level, changes, done)
        elif isinstance(level.rows, Window):
            patch_page(level, level.rows, _entries(level, changes))
        else:
            for news in changes.entities.get(form.etype, _NO_NEWS).values():
                level.set(news.id, row_of(level, news))
    except Undecided:
        return _run_again(level, None, fetch, done)
    done.is_changed |= level.node.page != page_before
    # Whether rows behind the page matter changes with `is_cut`.
    done.is_relisted |= level.node.is_cut != was_cut
    _patch_below(level, changes, fetch, done)
    return level


def _patch_below(level: Level, changes: Changes, fetch: Fetch, done: Patched) -> None:
    """Note how the rows of a level changed, and patch the levels below."""
    delta = level.take_delta()
    if delta:
        done.is_changed = True
        grown = [*delta.added.values(), *(new for _, new in delta.replaced.values())]
        done.grown.append((level, grown))
    for place, child in enumerate(level.children):
        new = _patch_linked(child, level, delta, changes, fetch, done)
        level.children[place] = new
        level.node.children[place] = new.node


def _patch_linked(
    level: Level, parent: Level, delta: Delta, changes: Changes, fetch: Fetch, done: Patched
) -> Level:
    if level.form.projection is None or not (parent.rows.rows or delta):
        return level
    try:
        if must_run(level, changes) or (level.deciding.has_witnesses and _is_moved(level, delta)):
            raise Undecided
        if level.form.cut is not None and is_cut_moved(level, parent, changes):
            raise Undecided
        patch_linked(level, parent, delta, changes, fetch.rows)
    except Undecided:
        return _run_again(level, parent.rows.rows, fetch, done)
    done.is_changed |= level.pairs.is_changed
    level.pairs.is_changed = False
    _patch_below(level, changes, fetch, done)
    return level


def must_run(level: Level, changes: Changes) -> bool:
    """Whether only the database can tell which entities belong to a level after `changes`."""
    deciding = level.deciding
    if deciding.where is not None:
        return False
    if not deciding.elsewhere.isdisjoint(changes.attrs):
        return True
    if not deciding.births.isdisjoint(changes.births):
        return True
    return any(
        news.is_birth
        or not news.changed.isdisjoint(deciding.tested)
        or (deciding.is_masked and news.id in level.rows)
        for news in changes.entities.get(level.form.etype, _NO_NEWS).values()
    )


def _is_moved(level: Level, delta: Delta) -> bool:
    """Whether the parents are now linked with other entities than before."""
    cell = level.form.link_cell
    if delta.added or delta.removed:
        return True
    if level.form.held != "parent":
        return False
    assert cell is not None
    return any(old[cell] != new[cell] for old, new in delta.replaced.values())


def _patch_count(level: Level, changes: Changes, done: Patched) -> None:
    where, node = level.deciding.where, level.node
    if where is None:
        return  # no tested attr changed
    assert node.count is not None
    count = node.count
    for news in changes.entities.get(level.form.etype, _NO_NEWS).values():
        old, new = news.old, news.new
        if old is not None and old.created_ms is not None:
            count -= where(news.id, old.cells)
        if new is not None and new.created_ms is not None:
            count += where(news.id, new.cells)
    done.is_changed |= count != node.count
    node.count = count


def _entries(level: Level, changes: Changes) -> list[Entry]:
    """The changed entities that meet the page's conditions, before or after the changes."""
    found: list[Entry] = []
    where = level.deciding.where
    for news in changes.entities.get(level.form.etype, _NO_NEWS).values():
        if where is None:
            # Nothing changed that selects or orders it: only what is shown is replaced.
            old = level.rows.find(news.id)
            if old is not None:
                found.append(Entry(news.id, level.key_of(old), row_of(level, news)))
            continue
        row, old_key = row_of(level, news), None
        was = news.old
        if was is not None and was.created_ms is not None and where(news.id, was.cells):
            old_key = level.key_of(level.row(news.id, was.created_ms, was.cells))
        if row is not None or old_key is not None:
            found.append(Entry(news.id, old_key, row))
    return found


def _run_again(level: Level, parents: list[Row] | None, fetch: Fetch, done: Patched) -> Level:
    was_touched = bool(level.take_delta()) or level.pairs.is_changed
    node = fetch.level(level.form, parents)
    done.is_relisted |= level.node.beyond != node.beyond
    if not was_touched and _is_same(level, node):
        level.node.beyond = node.beyond
        return level
    done.is_changed = done.is_relisted = True
    return Level(node, level.deciding, parents or [])


def _is_same(level: Level, node: Node) -> bool:
    """Whether a level that was run again shows the same as before, in any order."""
    old = level.node
    if (old.page, old.count, old.is_cut) != (node.page, node.count, node.is_cut):
        return False
    if isinstance(level.rows, Window):
        pairs_of_rows = zip(old.rows, node.rows, strict=False)
        if len(old.rows) != len(node.rows) or not all(is_same_row(*two) for two in pairs_of_rows):
            return False
    elif not _are_same_rows(old.rows, node.rows):
        return False
    level.sync_pairs()
    if sorted(old.pairs) != sorted(node.pairs):
        return False
    if [(a, sorted(p)) for a, p in old.witnesses] != [(a, sorted(p)) for a, p in node.witnesses]:
        return False
    count = len(level.children)
    return all(map(_is_same, level.children, node.children)) and all(
        map(_is_same_witness, old.children[count:], node.children[count:])
    )


def _is_same_witness(old: Node, node: Node) -> bool:
    return (
        _are_same_rows(old.rows, node.rows)
        and sorted(old.pairs) == sorted(node.pairs)
        and [(a, sorted(p)) for a, p in old.witnesses]
        == [(a, sorted(p)) for a, p in node.witnesses]
        and all(map(_is_same_witness, old.children, node.children))
    )


def _are_same_rows(old: list[Row], new: list[Row]) -> bool:
    if len(old) != len(new):
        return False
    known = {row[0]: row for row in old}
    return all(row[0] in known and is_same_row(known[row[0]], row) for row in new)
