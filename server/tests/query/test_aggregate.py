"""Totals: what may be asked, what comes back, and the one statement behind it."""

from __future__ import annotations

from typing import Any

import pytest

from support.attrs import name_id
from support.library import Library, uid
from trice import limits
from trice.errors import LimitExceeded, TriceError
from trice.query.encode import flat_result, nested_result
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


@pytest.mark.rule("Q110")
def test_what_was_asked_for_comes_back_and_no_rows(shelf: Library) -> None:
    assert totals(shelf, count=True) == {"count": 4}
    assert totals(shelf, {"pages": {"$gt": 0}}, count=True) == {"count": 2}
    query = asking(count=True)
    assert parse(query, shelf.catalog, is_admin=False).forms[0].aggregate is not None
    assert shelf.flat(query)["datalog-result"] == {"join-rows": [[]]}


@pytest.mark.rule("Q111")
def test_measures_answer_by_name(shelf: Library) -> None:
    assert totals(shelf, sum="pages") == {"sum": {"pages": 9.5}}
    found = totals(shelf, sum=["pages", "note", "pages"], max=["title"], count=None, min=False)
    assert list(found) == ["sum", "max"]
    assert list(found["sum"]) == ["pages", "note"]


@pytest.mark.rule("Q113")
def test_null_and_missing_values_are_ignored(shelf: Library) -> None:
    found = totals(shelf, count=True, avg="pages", min="pages", max="pages")
    assert found == {
        "count": 4,
        "avg": {"pages": 9.5 / 3},
        "min": {"pages": -3},
        "max": {"pages": 10},
    }
    nothing = {"count": True} | dict.fromkeys(("sum", "avg", "min", "max"), "pages")
    assert totals(shelf, {"pages": 77}, **nothing) == {
        "count": 0,
        "sum": {"pages": 0},
        "avg": {"pages": None},
        "min": {"pages": None},
        "max": {"pages": None},
    }


@pytest.mark.rule("Q112")
def test_of_an_attribute_without_a_type_only_the_numbers_count(shelf: Library) -> None:
    assert totals(shelf, "people", sum="age", max="age", avg="age") == {
        "sum": {"age": 30},
        "avg": {"age": 30},
        "max": {"age": 30},
    }


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


@pytest.mark.rule("Q114")
def test_a_sum_beyond_every_float_is_null(books: Library) -> None:
    for number in (1, 2):
        books.add("books", number, note=1.7e308)
    assert totals(books, sum="note", avg="note") == {
        "sum": {"note": None},
        "avg": {"note": 1.7e308},
    }


@pytest.mark.rule("Q115")
def test_texts_compare_as_pages_order_and_dates_as_instants(shelf: Library) -> None:
    found = totals(shelf, min=["title", "born", "day"], max=["title", "born", "day", "sub"])
    assert found["min"] == {
        "title": "a",
        "born": "2025-01-02T00:00:00.000Z",
        "day": "1969-12-31T00:00:00.000Z",
    }
    assert found["max"] == {
        "title": "b",
        "born": "2025-01-02T00:00:00.001Z",
        "day": "2025-06-01T10:30:00.000Z",
        "sub": "é",
    }
    ordered = shelf.numbers(
        "books", {"where": {"title": {"$isNull": False}}, "order": {"title": "asc"}}
    )
    assert (ordered[0], ordered[-1]) == (3, 1)


@pytest.mark.rule("Q116", "Q117")
def test_groups_come_in_order_of_their_keys(shelf: Library) -> None:
    shelf.add("books", 6, kind=True)
    shelf.add("books", 7, kind=False)
    shelf.add("books", 8, kind={"b": 1})
    shelf.add("books", 9, kind="É", pages=1)
    found = totals(shelf, count=True, groupBy="kind", sum="pages")["groups"]
    assert [(group["key"], group["count"], group["sum"]["pages"]) for group in found] == [
        (None, 1, -3),
        (False, 1, 0),
        (True, 1, 0),
        (1, 2, 2.5),
        ("É", 1, 1),
        ("k", 1, 10),
        ({"b": 1}, 1, 0),
    ]


@pytest.mark.rule("Q117")
def test_links_group_by_the_id_of_the_other_end_existing_or_not(shelf: Library) -> None:
    found = totals(shelf, count=True, groupBy="author")["groups"]
    assert found == [
        {"key": None, "count": 1},
        {"key": uid(20), "count": 2},
        {"key": uid(99), "count": 1},
    ]
    days = totals(shelf, count=True, groupBy="day")["groups"]
    assert [group["key"] for group in days] == [None, "1969-12-31", "2025-06-01T12:30:00+02:00"]


@pytest.mark.rule("Q116")
def test_explicit_null_and_missing_are_one_group(shelf: Library) -> None:
    shelf.add("books", 6)
    found = totals(shelf, {"id": {"$in": [uid(4), uid(6)]}}, count=True, groupBy="note")
    assert found == {"groups": [{"key": None, "count": 2}]}
    assert totals(shelf, {"pages": 77}, count=True, groupBy="note") == {"groups": []}


@pytest.mark.rule("Q116")
@pytest.mark.parametrize("label", ["id", "tags", "owner"])
def test_only_fields_and_links_held_group(shelf: Library, label: str) -> None:
    entry = failure(shelf, asking(count=True, groupBy=label)).hint["errors"][0]
    assert (entry["expected"], entry["in"]) == ("supported-group?", [*AT, "groupBy"])


@pytest.mark.rule("Q118")
def test_unknown_names_have_no_values(shelf: Library) -> None:
    asked: dict[str, Any] = {"count": True, "sum": "x", "avg": "x", "min": "x", "max": "x"}
    none = {"sum": {"x": 0}, "avg": {"x": None}, "min": {"x": None}, "max": {"x": None}}
    assert totals(shelf, **asked) == {"count": 4, **none}
    assert totals(shelf, "nowhere", **asked) == {"count": 0, **none}
    grouped = totals(shelf, groupBy="x", **asked)
    assert grouped == {"groups": [{"key": None, "count": 4, **none}]}
    assert totals(shelf, "nowhere", groupBy="x", **asked) == {"groups": []}


@pytest.mark.rule("Q119")
@pytest.mark.parametrize(
    ("asked", "expected", "below"),
    [
        ({"median": "pages"}, "supported-aggregate?", []),
        ({}, "supported-aggregate?", []),
        ({"groupBy": "kind"}, "supported-aggregate?", []),
        ({"count": None}, "supported-aggregate?", []),
        ({"sum": []}, "supported-aggregate?", []),
        ({"count": "all"}, "boolean?", ["count"]),
        ({"count": 0}, "boolean?", ["count"]),
        ({"sum": 5}, "array?", ["sum"]),
        ({"avg": ["pages", 5]}, "array?", ["avg"]),
        ({"min": {"pages": 1}}, "array?", ["min"]),
        ({"count": True, "groupBy": ["kind"]}, "string?", ["groupBy"]),
    ],
)
def test_mistakes_are_named(shelf: Library, asked: Any, expected: str, below: list[str]) -> None:
    entry = failure(shelf, {"books": {"$": {"aggregate": asked}}}).hint["errors"][0]
    assert (entry["expected"], entry["in"]) == (expected, [*AT, *below])


@pytest.mark.rule("Q120")
@pytest.mark.parametrize(
    ("query", "expected", "path"),
    [
        ({"books": {"$": {"aggregate": {"count": True}}, "tags": {}}}, "valid-query?", AT),
        *(
            ({"books": {"$": {"aggregate": {"count": True}, **more}}}, "valid-query?", AT)
            for more in (
                {"limit": 1},
                {"order": {"title": "asc"}},
                {"fields": ["title"]},
                {"offset": 3},
            )
        ),
        (
            {"books": {"tags": {"$": {"aggregate": {"count": True}}}}},
            "supported-options?",
            ["books", "tags", "$", "aggregate"],
        ),
    ],
)
def test_it_goes_with_where_only(shelf: Library, query: Any, expected: str, path: Any) -> None:
    entry = failure(shelf, query).hint["errors"][0]
    assert (entry["expected"], entry["in"]) == (expected, path)


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


@pytest.mark.rule("Q124")
def test_totals_stand_beside_pages_and_rows_of_other_forms(shelf: Library) -> None:
    query = {**asking(count=True, groupBy="out"), "people": {"$": {"limit": 1}}, "tags": {}}
    data = shelf.flat(query)
    groups = {"groups": [{"key": None, "count": 3}, {"key": True, "count": 1}]}
    assert data["aggregate"] == {"books": groups}
    assert list(data["page-info"]) == ["people"]
    assert shelf.tree(query)["books"] == groups
    assert len(shelf.tree(query)["people"]) == 1
    assert flat_result(shelf.run(query), shelf.cache).count(b'"aggregate"') == 1
