"""The answer to a query: rows and links by level. Encoders, rules and live queries work on it.

No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from trice.catalog.values import Cell
from trice.protocol.ids import AttrId, EntityId
from trice.query.plan import FormPlan, Plan
from trice.query.totals import Totals
from trice.store.engine import Row

Pair = tuple[EntityId, EntityId, int]
"""One link: source, target, created_ms; always from source to target."""


@dataclass(frozen=True, slots=True)
class PageInfo:
    """The page info of a form that pages.

    start, end  cursors of the first and last row (`query.cursor`); None for an empty page
    """

    start: list[Any] | None
    end: list[Any] | None
    has_next: bool
    has_previous: bool

    def wire(self) -> dict[str, Any]:
        """As clients receive it (instant-realtime §5.7)."""
        return {
            "start-cursor": self.start,
            "end-cursor": self.end,
            "has-next-page?": self.has_next,
            "has-previous-page?": self.has_previous,
        }


@dataclass(slots=True, eq=False)
class Node:
    """The answer of one level.

    rows      each entity once: `(id, created_ms, cells…)` by the form's projection. In page order
              where the form pages, else in no order
    pairs     links from the parents that a table of pairs keeps; other links are cells of rows
    witnesses links that prove conditions on a link itself, by attr
    children  one per level below, in the plan's order, witnesses last
    count     of a level that only counts (`FormPlan.is_count`)
    totals    of a level that aggregates
    is_cut    the page ends by its limit, and more rows follow
    beyond    of a cut page: the order cell of the first row that follows, and its id
    """

    form: FormPlan
    rows: list[Row] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    witnesses: list[tuple[AttrId, list[Pair]]] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    page: PageInfo | None = None
    count: int | None = None
    totals: Totals | None = None
    is_cut: bool = False
    beyond: tuple[Cell, EntityId] | None = None

    def ids(self) -> tuple[EntityId, ...]:
        """The entities of this level, in the order of `rows`."""
        return tuple(row[0] for row in self.rows)  # type: ignore[misc]

    def by_parent(self, parents: Sequence[Row]) -> dict[EntityId, list[Row]]:
        """The rows linked with each parent that has any, in no order.

        parents  rows of the level above
        """
        form = self.form
        found: dict[Any, list[Row]] = {}
        if form.held is None:
            return found
        if form.held == "child":
            cell = form.link_cell
            assert cell is not None
            for row in self.rows:
                found.setdefault(row[cell], []).append(row)
            return found
        rows = {row[0]: row for row in self.rows}
        if form.held == "parent":
            cell = form.link_cell
            assert cell is not None
            for parent in parents:
                child = rows.get(parent[cell])
                if child is not None:
                    found[parent[0]] = [child]
            return found
        assert form.via is not None
        is_forward = form.via.is_forward
        for source, target, _ in self.pairs:
            near, far = (source, target) if is_forward else (target, source)
            child = rows.get(far)
            if child is not None:
                found.setdefault(near, []).append(child)
        return found


@dataclass(slots=True, eq=False)
class Tree:
    """A whole answer.

    Does not hold: the caller who may see it, nor the transaction it belongs to.
    """

    plan: Plan
    nodes: list[Node]

    def walk(self) -> Iterator[Node]:
        """All levels, parents before children, witnesses included."""
        waiting = list(reversed(self.nodes))
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def entities(self) -> Iterator[tuple[str, EntityId]]:
        """Every entity in the answer, witnesses included, once per level that has it."""
        for node in self.walk():
            etype = node.form.etype
            for row in node.rows:
                yield etype, row[0]  # type: ignore[misc]
