"""Pages of a table that has grown: which index each shape enters, and that a page's cost stays.

The same rare values stand in tables of two sizes, both larger than the sample that is counted.
Cost is counted in instructions of SQLite's machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.library import Library, uid
from trice import limits
from trice.store.sqlite.statistics import Statistics

SMALL, LARGE = 15_000, 60_000
RARE = 12
"""Rows that have a label, an assignee, `is_late`, in tables of either size."""

assert limits.STATISTICS_SAMPLE_ROWS < SMALL

# Rare values stand everywhere, the last of them long before the newest rows.
_GROW = f"""
    WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
    INSERT INTO tasks
        (id, _created_ms, title, "title~order", rank, done, is_late, label, "label~order", owner,
         assignee, status, "status~order", kind)
    SELECT unhex(format('%032X', n)), n / 4, 'task ' || n, trice_text_order('task ' || n), n,
        iif(n % 3 = 0, x'02', x'01'), iif(is_rare, x'02', x'01'),
        iif(is_rare, 'rare ' || nth, NULL),
        iif(is_rare, trice_text_order('rare ' || nth), NULL),
        unhex(format('%032X', n % 100 + 1)), iif(is_rare, unhex(format('%032X', 1)), NULL),
        iif(n % 90 = 1, 'open', 'done'), trice_text_order(iif(n % 90 = 1, 'open', 'done')), n % 100
    FROM (SELECT n, n % (?1 / {RARE}) = 7 AS is_rare, n / (?1 / {RARE}) AS nth FROM n)
"""


def grown(path: Path, size: int) -> Library:
    library = Library(path)
    library.field("people", "id")
    library.field("people", "name", is_indexed=True, checked_type="string")
    library.field("tasks", "id")
    library.field("tasks", "title", is_indexed=True, checked_type="string")
    library.field("tasks", "rank", is_indexed=True, checked_type="number")
    library.field("tasks", "done", is_indexed=True, checked_type="boolean")
    library.field("tasks", "is_late", is_indexed=True, checked_type="boolean")
    library.field("tasks", "status", is_indexed=True, checked_type="string")
    library.field("tasks", "kind", is_indexed=True)
    library.field("tasks", "label", is_indexed=True, checked_type="string")
    library.link("tasks", "owner", "people", "tasks", cardinality="one")
    library.link("tasks", "assignee", "people", "assigned", cardinality="one")
    for number in range(1, 101):
        library.add("people", number, name=f"person {number}")
    library.connection.run("BEGIN")
    library.connection.rows(_GROW, (size,))
    library.connection.run("COMMIT")
    Statistics(library.connection)
    return library


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Library]]:
    folder = tmp_path_factory.mktemp("grown")
    made = {size: grown(folder / f"{size}.db", size) for size in (SMALL, LARGE)}
    yield made
    for library in made.values():
        library.connection.close()


def counted(library: Library, query: Any) -> int:
    """Instructions that the query takes, a hundred at a time."""
    library.run(query)  # planned with what is bound
    taken = 0

    def count() -> bool:
        nonlocal taken
        taken += 10
        return False

    library.connection.interrupt_when(count, steps=10)
    try:
        library.run(query)
    finally:
        library.connection.interrupt_when(None)
    return taken


def explained(library: Library, query: Any) -> str:
    library.run(query)
    return "\n".join(library.explain(sql, bindings) for sql, bindings in list(library.statements))


NEWEST = {"order": {"serverCreatedAt": "desc"}, "limit": 20}
SHAPES: list[tuple[dict[str, Any], str]] = [
    # a sparse attr
    ({**NEWEST, "where": {"label": "rare 3"}}, "tasks~label~value (label=?"),
    ({**NEWEST, "where": {"label": "absent"}}, "tasks~label~value (label=?"),
    ({**NEWEST, "where": {"label": {"$in": ["rare 3", "rare 4"]}}}, "tasks~label~value (label=?"),
    ({**NEWEST, "where": {"label": {"$gt": "rare 7"}}}, "tasks~label~value (label>?)"),
    ({**NEWEST, "where": {"label": {"$like": "rare%"}}}, "tasks~label~value (label>? AND label<?)"),
    ({**NEWEST, "where": {"label": {"$isNull": False}}}, "tasks~label~value (label>?)"),
    ({**NEWEST, "where": {"label": {"$isNull": True}}}, "tasks~label~value (label=?"),
    ({**NEWEST, "where": {"label": {"$not": "rare 3"}}}, "tasks~created"),
    ({"where": {"label": "rare 3", "done": True}}, "tasks~label~value (label=?"),
    ({"where": {"or": [{"label": "rare 3"}, {"is_late": True}]}}, "MULTI-INDEX OR"),
    # its order
    ({"order": {"label": "asc"}, "limit": 20}, "tasks~label~order"),
    ({"order": {"label": "desc"}, "limit": 20}, "tasks~label~order"),
    (
        {"order": {"label": "desc"}, "limit": 20, "where": {"label": {"$isNull": False}}},
        "tasks~label~",
    ),
    # a boolean: common values, a rare one
    ({**NEWEST, "where": {"done": True}}, "tasks~created"),
    ({**NEWEST, "where": {"is_late": False}}, "tasks~created"),
    ({**NEWEST, "where": {"is_late": True}}, "tasks~is_late~value (is_late=?)"),
    # a has-one link that few have
    ({**NEWEST, "where": {"assignee": uid(1)}}, "tasks~assignee~value (assignee=?"),
    ({**NEWEST, "where": {"assignee.name": "person 1"}}, "tasks~assignee~value (assignee=?"),
    ({**NEWEST, "where": {"assignee": {"$isNull": False}}}, "tasks~assignee~value (assignee>?)"),
    ({**NEWEST, "where": {"assignee": {"$isNull": True}}}, "tasks~assignee~value (assignee=?"),
    # the newest of many that share a value, whose number grows with the table
    ({**NEWEST, "where": {"owner": uid(5)}}, "tasks~owner~value (owner=?"),
    ({**NEWEST, "where": {"owner": uid(5), "done": True}}, "tasks~owner~value (owner=?"),
    ({**NEWEST, "where": {"status": "open"}}, "tasks~status~value (status=?"),
    ({**NEWEST, "where": {"kind": 5}}, "tasks~kind~value (kind=?"),
    # ranges that few and that nearly all are in
    ({**NEWEST, "where": {"rank": {"$lt": 5}}}, "tasks~rank~value"),
    ({**NEWEST, "where": {"rank": {"$gt": 5}}}, "tasks~created"),
    ({"order": {"rank": "desc"}, "limit": 20}, "tasks~rank~value"),
    ({"order": {"title": "asc"}, "limit": 20}, "tasks~title~order"),
    ({"where": {"title": "task 77"}}, "tasks~title~value (title=?"),
]


@pytest.mark.rule("Q102")
@pytest.mark.parametrize(("options", "index"), SHAPES, ids=lambda value: str(value))
def test_a_page_costs_the_same_at_any_size(
    libraries: dict[int, Library], options: dict[str, Any], index: str
) -> None:
    query = {"tasks": {"$": options}}
    assert index in explained(libraries[LARGE], query)
    small, large = (counted(libraries[size], query) for size in (SMALL, LARGE))
    assert large <= small * 1.1 + 200, (small, large)


@pytest.mark.rule("Q102")
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("label", ["label", "rank", "serverCreatedAt"])
@pytest.mark.parametrize("is_among_values", [True, False])
def test_a_page_after_a_cursor_costs_the_same_at_any_size(
    libraries: dict[int, Library], label: str, direction: str, is_among_values: bool
) -> None:
    # The first page of labels, descending, ends among the nulls; the page of five among values.
    order = {"order": {label: direction}, "limit": 5 if is_among_values else 20}
    costs = []
    for library in libraries.values():
        page = library.run({"tasks": {"$": order}}).nodes[0].page
        assert page is not None
        for bound in ("after", "before"):
            query = {"tasks": {"$": {**order, bound: page.end}}}
            explanation = explained(library, query)
            assert "TEMP B-TREE" not in explanation
            assert "tasks~" in explanation
            costs.append(counted(library, query))
    small, large = costs[:2], costs[2:]
    for before, after in zip(small, large, strict=True):
        assert after <= before * 1.1 + 200, (small, large)


@pytest.mark.rule("Q102")
def test_a_page_of_one_value_after_a_cursor_costs_the_same_at_any_size(
    libraries: dict[int, Library],
) -> None:
    first = {**NEWEST, "where": {"owner": uid(5)}}
    costs = []
    for library in libraries.values():
        page = library.run({"tasks": {"$": first}}).nodes[0].page
        assert page is not None
        query = {"tasks": {"$": {**first, "after": page.end}}}
        explanation = explained(library, query)
        assert "tasks~owner~value (owner=? AND _created_ms>?" in explanation
        assert "TEMP B-TREE" not in explanation
        costs.append(counted(library, query))
    assert costs[1] <= costs[0] * 1.1 + 200, costs


@pytest.mark.rule("Q102")
def test_levels_below_are_entered_by_their_link(libraries: dict[int, Library]) -> None:
    query = {"people": {"$": {"where": {"id": uid(1)}}, "assigned": {}}}
    assert "tasks~assignee~value (assignee=?" in explained(libraries[LARGE], query)
    assert counted(libraries[LARGE], query) <= counted(libraries[SMALL], query) * 1.1 + 200
