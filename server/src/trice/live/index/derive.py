"""From a plan and its answer to the read set that keeps the answer current. No I/O.

The conditions that decide what is visible are part of it: a form reads them like its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from trice.catalog.attr import Attr
from trice.catalog.catalog import Catalog
from trice.catalog.values import order_run
from trice.live.index.read_set import ReadSet, Side, ValueKey, frozen
from trice.protocol.ids import AttrId, EntityId
from trice.query.plan import FormPlan
from trice.query.reads.anchors import Anchor, Span, narrowest, page_anchor
from trice.query.reads.forms import FormReads, LinkEnd, PathReads
from trice.query.tree import Node, Tree
from trice.store.engine import Row


@dataclass(slots=True)
class _Collector:
    """Collects a ReadSet; it has the same fields."""

    catalog: Catalog
    entities: set[tuple[str, EntityId]] = field(default_factory=set)
    values: set[ValueKey] = field(default_factory=set)
    spans: set[Span] = field(default_factory=set)
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
        spans=frozen(found.spans),
        tested=frozen(found.tested),
        attrs=frozen(found.attrs),
        births=frozen(found.births),
        etypes=frozen(found.etypes),
        waits=frozen(found.waits),
    )


def grown_reads(
    form: FormPlan, rows: Sequence[Row]
) -> tuple[set[tuple[str, EntityId]], set[ValueKey]]:
    """The entities and values that an answer also depends on once a level shows these rows."""
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
        _add_path(found, path)
    tested = reads.own_attrs if reads.order is None else reads.own_attrs | {reads.order}
    if reads.via is None:
        _add_found(found, reads, tested, _anchor(node, reads))
    else:
        _add_linked(found, node, reads, tested, parents)
    ids = node.ids()
    for child in node.children:
        _add_targets(found.entities, child.form, node.rows)
        _add_node(found, child, ids)


def _add_path(found: _Collector, path: PathReads) -> None:
    """Add the linked entities that conditions read, whichever entities they are linked with."""
    found.attrs.update(hop.attr.id for hop in path.links)
    found.etypes.add(path.etype)
    if path.anchor is not None:
        found.tested.update(path.attrs)
        _add_anchor(found, path.anchor)
        return
    found.attrs.update(path.attrs - _add_ends(found, path.ends))
    found.births.add(path.etype)


def _anchor(node: Node, reads: FormReads) -> Anchor | None:
    """The anchor of entities that could enter this level."""
    page = _page_anchor(node, reads)
    return narrowest(reads.anchors if page is None else (page, *reads.anchors))


def _page_anchor(node: Node, reads: FormReads) -> Anchor | None:
    """The anchor of a cut page. Rows behind the first row beyond the page do not matter.

    That row is included, because the page says whether more follow. Rows before the page are
    included too: cursors and offsets depend on them.
    """
    form, lane = node.form, reads.order_lane
    if node.beyond is None or lane is None or form.page is None:
        return None
    is_descending = form.order is not None and form.order.is_descending
    attr = None if form.order is None else form.order.attr
    run = order_run(attr, node.beyond[0])
    return page_anchor(lane, run, is_upward=is_descending == form.page.is_last)


def _add_found(
    found: _Collector, reads: FormReads, tested: frozenset[AttrId], anchor: Anchor | None
) -> None:
    """Add the entities that could enter: those at the anchor if there is one, else all."""
    if anchor is None:
        found.attrs.update(tested - _add_ends(found, reads.ends))
        found.births.add(reads.etype)
        _add_holders(found, reads, tested)
        return
    found.tested.update(tested)
    _add_anchor(found, anchor)
    _add_elsewhere(found, reads, tested)


def _add_anchor(found: _Collector, anchor: Anchor) -> None:
    found.values.update((attr_id, "", cell) for attr_id, cell in anchor.cells)
    found.spans.update(anchor.spans)


def _add_elsewhere(found: _Collector, reads: FormReads, tested: frozenset[AttrId]) -> None:
    """Add the links walked or tested from here that are no column of the entity: a commit lists
    their changes elsewhere."""
    by_id = found.catalog.by_id
    elsewhere = {attr_id for attr_id in tested if shows_elsewhere(by_id[attr_id], reads.etype)}
    ends = (end for end in reads.ends if end.attr_id in elsewhere)
    found.attrs.update(elsewhere - _add_ends(found, ends))
    _add_holders(found, reads, elsewhere)


def _add_holders(found: _Collector, reads: FormReads, attr_ids: Iterable[AttrId]) -> None:
    """Add the births of sources: a link that is a column has the creation time of its source, and
    none before that is created."""
    ended = {end.attr_id for end in reads.ends}
    for attr_id in attr_ids:
        attr = found.catalog.by_id[attr_id]
        if attr_id not in ended and not attr.is_pairs and shows_elsewhere(attr, reads.etype):
            found.births.add(attr.etype)


def _add_ends(found: _Collector, ends: Iterable[LinkEnd]) -> set[AttrId]:
    """Add links of which only those with one of these ends matter; return their attrs."""
    attr_ids: set[AttrId] = set()
    for end in ends:
        attr = found.catalog.by_id[end.attr_id]
        attr_ids.add(attr.id)
        if attr.is_pairs:
            found.values.add((attr.id, "target" if end.is_forward else "source", end.end))
        elif end.is_forward:
            found.tested.add(attr.id)
            found.values.add((attr.id, "", end.end))
        else:
            found.entities.add((attr.etype, end.end))
    return attr_ids


def shows_elsewhere(attr: Attr, etype: str) -> bool:
    """Whether a change of `attr` that matters to an entity may be listed under another entity.

    A link from a namespace to itself is a column of one end, and can be tested from both.
    """
    is_self_link = attr.reverse is not None and attr.reverse.etype == attr.etype
    return attr.is_pairs or attr.etype != etype or is_self_link


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
            # The link is a column of the entities here, which are found by its value.
            found.tested.update(tested, (via.attr.id,))
            found.values.update((via.attr.id, "", parent) for parent in parents)
            _add_elsewhere(found, reads, tested)
        case "parent":
            # The link is a column of the parents, which are shown. All of its targets count as
            # read: see `_add_targets`.
            _add_elsewhere(found, reads, tested)
        case "pairs":
            side: Side = "source" if via.is_forward else "target"
            found.values.update((via.attr.id, side, parent) for parent in parents)
            # Linked entities that do not meet the conditions are not known.
            _add_found(found, reads, tested, _anchor(node, reads))
        case None:
            pass


def _add_targets(
    entities: set[tuple[str, EntityId]], child: FormPlan, parents: Sequence[Row]
) -> None:
    """Add the targets of has-one links, even if they are filtered out or do not exist yet."""
    if child.held == "parent" and child.link_cell is not None:
        for row in parents:
            target = row[child.link_cell]
            if isinstance(target, bytes):
                entities.add((child.etype, EntityId(target)))
