"""Totals: what may be asked, what comes back, and the one statement behind it."""

from __future__ import annotations

from typing import Any

import pytest

from support.attrs import name_id
from support.library import Library, uid
from trice import limits
from trice.errors import LimitExceeded, TriceError
from trice.query.encode import nested_result
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.query.visibility import FixedVisibility

AT = ["books", "$", "aggregate"]


def asking(etype: str = "books", where: Any = None, **asked: Any) -> dict[str, Any]:
    options = {"aggregate": asked, **({"where": where} if where else {})}
    return {etype: {"$": options}}


def totals(library: Library, etype: Any = "books", where: Any = None, **asked: Any) -> Any:
    """The totals of one form; a `where` in the place of the namespace speaks of books."""
    if isinstance(etype, dict):
        etype, where = "books", etype
    return library.tree(asking(etype, where, **asked))[etype]


@pytest.fixture
def shelf(books: Library) -> Library:
    """Four books and two people; one author does not exist."""
    books.add("people", 20, name="Ada", age=30)
    books.add("people", 21, name="Bob", age="old")
    books.add("books", 1, title="b", pages=10, note=0.1, kind="k", author=20, born="2025-01-02")
    books.add("books", 2, title="A", pages=2.5, note=0.2, kind=1, author=20, born=1735776000001)
    books.add("books", 3, title="a", note="much", kind=1.0, author=99, out=True, day="1969-12-31")
    books.add("books", 4, pages=-3, note=None, sub="é", day="2025-06-01T12:30:00+02:00")
    books.add("books", 5, created=None, pages=1000)
    return books


@pytest.mark.rule("Q112")
@pytest.mark.parametrize(
    ("op", "label", "kind"),
    [
        *((op, label, kind) for op in ("sum", "avg") for label, kind in (("title", "string"),)),
        ("sum", "born", "date"),
        ("sum", "out", "boolean"),
        ("min", "out", "boolean"),
        ("max", "author", "link"),
        ("min", "tags", "link"),
        ("min", "owner", "link"),
        ("max", "id", "id"),
    ],
)
def test_other_types_are_refused(shelf: Library, op: str, label: str, kind: str) -> None:
    error = failure(shelf, asking(**{op: label}))
    entry = error.hint["errors"][0]
    assert (entry["expected"], entry["in"]) == ("supported-aggregate?", [*AT, op])
    assert f"books.{label}" in entry["message"] and kind in entry["message"]
    assert "numbers" in entry["message"]


def failure(library: Library, query: Any) -> TriceError:
    with pytest.raises(TriceError) as caught:
        parse(query, library.catalog, is_admin=False)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["input"] == query
    return caught.value


@pytest.mark.rule("Q114")
def test_sums_are_exact(books: Library) -> None:
    for number, note in enumerate((0.1, 1e16, 0.2, 2**63 - 1, 2**63 - 1, -1e16, 3, -(2**62))):
        books.add("books", number + 1, note=note)
    assert totals(books, sum="note")["sum"]["note"] == float(2**64 - 2 + 3 - 2**62)
    wanted = (0.1 + 0.2, 1e16, 0.1)
    for number, note in enumerate(wanted):
        books.add("books", number + 50, note=note, kind="x")
    books.add("books", 60, note=-1e16, kind="x")
    assert totals(books, {"kind": "x"}, sum="note")["sum"]["note"] == 0.4
    assert 0.1 + 0.2 + 1e16 + 0.1 - 1e16 != 0.4


@pytest.mark.rule("Q121")
def test_attributes_and_groups_are_bounded(shelf: Library, monkeypatch: Any) -> None:
    names = [f"x{n}" for n in range(limits.AGGREGATE_MEASURES_MAX)]
    assert len(totals(shelf, sum=names)["sum"]) == limits.AGGREGATE_MEASURES_MAX
    entry = failure(shelf, asking(sum=names, avg="pages")).hint["errors"][0]
    assert (entry["expected"], entry["in"]) == ("supported-size?", AT)
    monkeypatch.setattr(limits, "AGGREGATE_GROUPS_MAX", 3)
    assert len(totals(shelf, count=True, groupBy="kind")["groups"]) == 3
    shelf.add("books", 6, kind="more")
    with pytest.raises(LimitExceeded, match="more than 3 groups"):
        totals(shelf, count=True, groupBy="kind")


@pytest.mark.rule("Q122")
def test_an_aggregate_is_one_statement(shelf: Library) -> None:
    asked = {op: ["pages", "note", "kind"] for op in ("sum", "avg", "min", "max")}
    shelf.run(asking("books", {"author.name": "Ada"}, count=True, groupBy="author", **asked))
    assert len(shelf.statements) == 1
    ((sql, _),) = shelf.statements
    assert sql.count("SELECT") == 3, "its own, the rows, the condition"


@pytest.mark.rule("Q123")
def test_what_is_hidden_counts_nowhere(shelf: Library) -> None:
    catalog = shelf.catalog

    def scope(where: Any) -> Any:
        return parse({"books": {"$": {"where": where}}}, catalog, is_admin=True).forms[0].where

    visibility = FixedVisibility(
        {"books": scope({"title": {"$isNull": False}})},
        {
            name_id("books.pages"): scope({"title": "A"}),
            name_id("books.author"): scope({"title": "a"}),
        },
    )
    query = asking(count=True, sum="pages", min="pages", groupBy="author")
    parsed = parse(query, catalog, is_admin=False)
    made = plan(parsed, catalog, visibility, dialect=shelf.dialect)
    shelf.statements.clear()
    tree = run(made, shelf)
    assert nested_result(tree, is_inferring=False)["books"]["groups"] == [
        {"key": None, "count": 2, "sum": {"pages": 2.5}, "min": {"pages": 2.5}},
        {"key": uid(99), "count": 1, "sum": {"pages": 0}, "min": {"pages": None}},
    ]
    assert len(shelf.statements) == 1
