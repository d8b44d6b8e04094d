"""Works and reads that the engines' contract suite shares; they use the contracts only. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from support.attrs import blob, committed, entity, link
from trice import limits
from trice.catalog.attr import Attr
from trice.catalog.catalog import Namespace
from trice.catalog.values import Cell
from trice.query.encode import nested_result
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.query.visibility import EVERYTHING, Visibility
from trice.store.commit import Commit
from trice.store.engine import Engine, Snapshot, WriteTx

Open = Callable[[], Engine]
Scenario = Callable[[Engine, Open], Awaitable[None]]
Run = Callable[[Scenario], None]

NEXT = link("todos", "next", "todos", "previous")
TODOS = (
    blob("todos", "id"),
    blob("todos", "slug", is_unique=True),
    blob("todos", "n", is_indexed=True, checked_type="number"),
    blob("todos", "title", is_indexed=True, checked_type="string"),
    NEXT,
)
"""The attrs that transaction 1 of every scenario creates."""

_LAYERS, _WIDTH = 8, 20
ENDLESS = {"todos": {"$": {"where": {f"{'next.' * _LAYERS}n": {"$gte": 0}}}}}
"""A query that tries 20^7 paths and finds nothing, after `maze` is written."""


def row(namespace: Namespace, **values: Cell) -> list[Cell]:
    """Cells in the order of the namespace, by label."""
    labels = [attr.label for attr in namespace.columns]
    assert set(values) <= set(labels)
    return [values.get(label) for label in labels]


def put(
    tx: WriteTx, etype: str, number: int, *, created_ms: int | None = -1, **values: Cell
) -> None:
    """Add entity `number`, made now, or a stub with `created_ms=None`."""
    namespace = tx.catalog.namespaces[etype]
    cells = row(namespace, **values)
    given = [at for at, cell in enumerate(cells) if cell is not None]
    created_ms = tx.time_ms if created_ms == -1 else created_ms
    tx.stored.insert(namespace, entity(number), created_ms, cells, given)


def insert(number: int, *, slug: str | None = None) -> Callable[[WriteTx], Commit]:
    """A work that adds todo `number`."""

    def work(tx: WriteTx) -> Commit:
        put(tx, "todos", number, n=number, slug=slug)
        return committed(tx)

    return work


def maze(tx: WriteTx) -> Commit:
    """A work that adds todos in layers, each linked to all of the next: no path is long enough."""
    attr = tx.catalog.by_id[NEXT.id]
    for number in range(_LAYERS * _WIDTH):
        put(tx, "todos", number, n=number)
    for number in range((_LAYERS - 1) * _WIDTH):
        start = (number // _WIDTH + 1) * _WIDTH
        for other in range(start, start + _WIDTH):
            tx.stored.link(attr, entity(number), entity(other), tx.time_ms)
    return committed(tx)


def failing_after(work: Callable[[WriteTx], Commit]) -> Callable[[WriteTx], Commit]:
    def broken(tx: WriteTx) -> Commit:
        work(tx)
        raise KeyError("no such thing")

    return broken


def ask(
    state: Snapshot | WriteTx, query: Any, visibility: Visibility = EVERYTHING
) -> dict[str, list[dict[str, Any]]]:
    """The answer of an InstaQL query."""
    parsed = parse(query, state.catalog, is_admin=True)
    made = plan(parsed, state.catalog, visibility, dialect=state.dialect)
    return nested_result(run(made, state), is_inferring=False)


def numbers(state: Snapshot | WriteTx) -> list[Any]:
    """`n` of all todos, in order."""
    return [todo["n"] for todo in ask(state, {"todos": {"$": {"order": {"n": "asc"}}}})["todos"]]


def attr_of(state: Snapshot | WriteTx, etype: str, label: str) -> Attr:
    found = state.catalog.find_forward(etype, label)
    assert found is not None
    return found


def spend_the_loops_budget(snapshot: Snapshot) -> None:
    """Spend the budget of a read on the loop, which ends the read."""
    snapshot.spend(limits.READ_STEPS_ON_LOOP + 1)
