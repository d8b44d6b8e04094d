"""From a plan and its answer to the read set that keeps the answer current. No I/O.

What is visible is part of it: the conditions that decide it are reads of the form like its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.live.read_set import ReadSet, Side, ValueKey, frozen
from trice.protocol.ids import AttrId, EntityId
from trice.query.plan import FormPlan
from trice.query.reads import Equality, FormReads
from trice.query.tree import Node, Tree
from trice.store.engine import Row


@dataclass(slots=True)
class _Collector:
    """A ReadSet in the making; fields as there."""

    catalog: Catalog
    entities: set[tuple[str, EntityId]] = field(default_factory=set)
    values: set[ValueKey] = field(default_factory=set)
    tested: set[AttrId] = field(default_factory=set)
    attrs: set[AttrId] = field(default_factory=set)
    births: set[str] = field(default_factory=set)
    etypes: set[str] = field(default_factory=set)
    waits: set[tuple[str, str]] = field(default_factory=set)


def read_set(tree: Tree) -> ReadSet:
    """Name everything the answer `tree` depends on.

    cost  O(entities in the answer)
    """
    found = _Collector(tree.plan.catalog)
    found.entities.update(tree.entities())
    for node in tree.nodes:
        _add_node(found, node, ())
    depends = tree.plan.visibility.depends
    found.entities.update(depends.entities)
    found.attrs.update(depends.attrs)
    found.births.update(depends.births)
    found.etypes.update(depends.etypes)
    return ReadSet(
        entities=frozen(found.entities),
        values=frozen(found.values),
        tested=frozen(found.tested),
        attrs=frozen(found.attrs),
        births=frozen(found.births),
        etypes=frozen(found.etypes),
        waits=frozen(found.waits),
    )


def grown_reads(
    form: FormPlan, rows: Sequence[Row]
) -> tuple[set[tuple[str, EntityId]], set[ValueKey]]:
    """What an answer depends on in addition once a level shows these rows: entities and values."""
    entities: set[tuple[str, EntityId]] = set()
    entities.update((form.etype, row[0]) for row in rows)  # type: ignore[misc]
    values: set[ValueKey] = set()
    for child in form.children:
        if child.via is None or child.held is None:
            continue
        match child.held:
            case "parent":
                _add_targets(entities, child, rows)
            case "child":
                values.update((child.via.attr.id, "", row[0]) for row in rows)
            case "pairs":
                side: Side = "source" if child.via.is_forward else "target"
                values.update((child.via.attr.id, side, row[0]) for row in rows)
    return entities, values


def _add_node(found: _Collector, node: Node, parents: tuple[EntityId, ...]) -> None:
    reads = node.form.reads
    if node.form.is_witness or reads is None:
        return
    found.waits.update(reads.waits)
    if reads.etype:
        found.etypes.add(reads.etype)
    for path in reads.paths:
        found.attrs.update(path.attrs, (step.attr.id for step in path.links))
        found.births.update(step.etype for step in path.links)
        found.etypes.update(step.etype for step in path.links)
    tested = reads.own_attrs if reads.order is None else reads.own_attrs | {reads.order}
    if reads.via is None:
        _add_top(found, reads, tested)
    else:
        _add_linked(found, node, reads, tested, parents)
    ids = node.ids()
    for child in node.children:
        _add_targets(found.entities, child.form, node.rows)
        _add_node(found, child, ids)


def _add_top(found: _Collector, reads: FormReads, tested: frozenset[AttrId]) -> None:
    """Which other entities could enter: those of one value if a condition says so, else any."""
    anchor = next((e for e in reads.equalities if _is_anchor(e, reads.etype)), None)
    if anchor is None:
        found.attrs.update(tested)
        found.births.add(reads.etype)
        return
    found.tested.update(tested)
    for cell in anchor.cells:
        found.values.add((anchor.attr.id, "", cell))
    # Links walked or tested from here that are no column of the entity show in other changes.
    for attr_id in tested:
        attr = found.catalog.by_id[attr_id]
        if shows_elsewhere(attr, reads.etype):
            found.attrs.add(attr_id)
            found.births.add(attr.etype)


def shows_elsewhere(attr: Attr, etype: str) -> bool:
    """Whether a change of `attr` that matters to an entity may be listed under another one.

    A link from a namespace to itself is a column of the one end, and tested from either.
    """
    is_self_link = attr.reverse is not None and attr.reverse.etype == attr.etype
    return attr.is_pairs or attr.etype != etype or is_self_link


def _is_anchor(equality: Equality, etype: str) -> bool:
    """Whether a commit shows the tested value among the changed entity's own cells."""
    attr = equality.attr
    return (
        not equality.is_by_instant
        and None not in equality.cells
        and not attr.is_pairs
        and attr.etype == etype
        and (not attr.is_ref or equality.is_forward)
    )


def _add_linked(
    found: _Collector,
    node: Node,
    reads: FormReads,
    tested: frozenset[AttrId],
    parents: tuple[EntityId, ...],
) -> None:
    via = reads.via
    assert via is not None
    match node.form.held:
        case "child":
            # The link is a column of the entities here: they are found by its value.
            found.tested.update(tested, (via.attr.id,))
            found.values.update((via.attr.id, "", parent) for parent in parents)
            by_id = found.catalog.by_id
            found.attrs.update(a for a in tested if shows_elsewhere(by_id[a], reads.etype))
        case "parent":
            # The link is a column of the parents, which are shown; `_add_targets` has the rest.
            found.attrs.update(tested)
        case "pairs":
            side: Side = "source" if via.is_forward else "target"
            found.values.update((via.attr.id, side, parent) for parent in parents)
            found.attrs.update(tested)
            found.births.add(reads.etype)
        case None:
            pass


def _add_targets(
    entities: set[tuple[str, EntityId]], child: FormPlan, parents: Sequence[Row]
) -> None:
    """Targets of has-one links count as read even if they are filtered out or do not exist yet."""
    if child.held == "parent" and child.link_cell is not None:
        for row in parents:
            target = row[child.link_cell]
            if isinstance(target, bytes):
                entities.add((child.etype, EntityId(target)))
