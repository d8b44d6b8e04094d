"""Every rule a query can break: error type, data type, key, path. And what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from support.attrs import name_id
from support.library import Library, uid
from trice.errors import TriceError
from trice.query import ast
from trice.query.ast import AllOf, AnyOf, IdPrefix, Never, Op
from trice.query.parse.forms import parse

TITLE = name_id("books.title")
PAGES = name_id("books.pages")
ID = name_id("books.id")


def failure(library: Library, query: Any, *, is_admin: bool = True) -> TriceError:
    with pytest.raises(TriceError) as caught:
        parse(query, library.catalog, is_admin=is_admin)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["input"] == query
    return caught.value


def where(condition: Any) -> dict[str, Any]:
    return {"books": {"$": {"where": condition}}}


def options(**given: Any) -> dict[str, Any]:
    return {"books": {"$": given}}


BOOKS = ["books", "$"]
WHERE = ["books", "$", "where"]


@pytest.mark.parametrize(
    ("query", "expected", "path"),
    [
        pytest.param(None, "map?", [], marks=pytest.mark.rule("Q7")),
        pytest.param([], "map?", [], marks=pytest.mark.rule("Q7")),
        pytest.param({"books": "x"}, "map?", ["books"], marks=pytest.mark.rule("Q7")),
        pytest.param(
            {"books": {"tags": 1}}, "map?", ["books", "tags"], marks=pytest.mark.rule("Q7")
        ),
        pytest.param({"nowhere": {"x": 1}}, "map?", ["nowhere", "x"], marks=pytest.mark.rule("Q7")),
        pytest.param({"books": {"$": []}}, "map?", BOOKS, marks=pytest.mark.rule("Q7")),
        pytest.param({"$$ruleParams": 1}, "map?", ["$$ruleParams"], marks=pytest.mark.rule("Q7")),
        pytest.param(where([]), "map?", WHERE, marks=pytest.mark.rule("Q7")),
        pytest.param(where({"or": [1]}), "map?", [*WHERE, "or", 0], marks=pytest.mark.rule("Q7")),
        pytest.param(options(limits=1), "supported-options?", BOOKS, marks=pytest.mark.rule("Q8")),
        *(
            pytest.param(
                options(**{name: value}),
                "supported-options?",
                [*BOOKS, name],
                marks=pytest.mark.rule("Q9"),
            )
            for name, values in (
                ("limit", (0, -1, "a", 1.5, True, [])),
                ("first", (0,)),
                ("last", (-1,)),
                ("offset", (-1, "1", 0.5)),
            )
            for value in values
        ),
        pytest.param(
            options(limit=1, first=1), "supported-options?", BOOKS, marks=pytest.mark.rule("Q10")
        ),
        *(
            pytest.param(
                {"books": {"tags": {"$": {name: value}}}},
                "supported-options?",
                ["books", "tags", "$"],
                marks=pytest.mark.rule("Q11"),
            )
            for name, value in (("offset", 1), ("after", []), ("before", []))
        ),
        pytest.param(
            options(order={"title": "asc", "pages": "asc"}),
            "single-key?",
            [*BOOKS, "order"],
            marks=pytest.mark.rule("Q12"),
        ),
        pytest.param(
            options(order="title"), "map?", [*BOOKS, "order"], marks=pytest.mark.rule("Q12")
        ),
        *(
            pytest.param(
                options(order={"title": direction}),
                "valid-direction?",
                [*BOOKS, "order", "title"],
                marks=pytest.mark.rule("Q12"),
            )
            for direction in ("DESC", None, 1, [], {})
        ),
        *(
            pytest.param(
                options(order={label: "asc"}),
                "supported-order?",
                [*BOOKS, "order"],
                marks=pytest.mark.rule("Q13"),
            )
            for label in ("nothing", "note", "kind", "sub", "author", "tags", "owner", "id", "")
        ),
        *(
            pytest.param(
                options(fields=fields), "array?", [*BOOKS, "fields"], marks=pytest.mark.rule("Q14")
            )
            for fields in ("title", {"title": 1}, [1], 5, True)
        ),
        pytest.param(
            options(aggregate="sum"),
            "supported-options?",
            [*BOOKS, "aggregate"],
            marks=pytest.mark.rule("Q15"),
        ),
        pytest.param(
            {"books": {"tags": {"$": {"aggregate": "count"}}}},
            "supported-options?",
            ["books", "tags", "$", "aggregate"],
            marks=pytest.mark.rule("Q15"),
        ),
        pytest.param(
            {"books": {"$": {"aggregate": "count"}, "tags": {}}},
            "valid-query?",
            [*BOOKS, "aggregate"],
            marks=pytest.mark.rule("Q15"),
        ),
        pytest.param(
            where({"or": []}), "non-empty-list?", [*WHERE, "or"], marks=pytest.mark.rule("Q17")
        ),
        pytest.param(
            where({"and": []}), "non-empty-list?", [*WHERE, "and"], marks=pytest.mark.rule("Q17")
        ),
        *(
            pytest.param(where({key: value}), "uuid?", [*WHERE, key], marks=pytest.mark.rule("Q20"))
            for key in ("author", "tags", "owner", "author.boss", "author.books")
            for value in ("hello", 1, {"$not": "x"}, {"$in": [uid(1), "x"]}, {"$in": [None]})
        ),
        *(
            pytest.param(
                options(**{name: "yes"}), "boolean?", [*BOOKS, name], marks=pytest.mark.rule("Q59")
            )
            for name in ("afterInclusive", "beforeInclusive")
        ),
        *(
            pytest.param(
                options(after=cursor), "join-row?", [*BOOKS, "after"], marks=pytest.mark.rule("Q59")
            )
            for cursor in (
                "x",
                {},
                [],
                [uid(1), ID],
                [uid(1), ID, uid(1), 1, 1],
                ["x", ID, uid(1), 1],
                [uid(1), "x", uid(1), 1],
                [uid(1), ID, uid(1), "1"],
                [uid(1), ID, uid(1), 10**30],
                [uid(1), ID, uid(1)],
            )
        ),
        *(
            pytest.param(
                options(order={label: "asc"}, before=[uid(1), attr, value, 1]),
                expected,
                [*BOOKS, "before"],
                marks=pytest.mark.rule("Q59"),
            )
            for label, attr, value, expected in (
                ("title", TITLE, 5, "join-row?"),
                ("title", TITLE, [], "join-row?"),
                ("born", name_id("books.born"), "x", "join-row?"),
                ("title", PAGES, 5, "valid-cursor?"),
                ("title", ID, uid(1), "valid-cursor?"),
                ("title", name_id("gone"), "x", "valid-cursor?"),
                ("serverCreatedAt", TITLE, "x", "valid-cursor?"),
            )
        ),
    ],
)
def test_refused(books: Library, query: Any, expected: str, path: list[Any]) -> None:
    error = failure(books, query)
    (entry,) = error.hint["errors"]
    assert error.hint["data-type"] == "query"
    assert (entry.get("expected"), entry["in"]) == (expected, path)
    assert entry["message"] in error.message


@pytest.mark.parametrize(
    ("condition", "wanted", "path"),
    [
        *(
            pytest.param({key: value}, wanted, [key], marks=pytest.mark.rule("Q21"))
            for key, value, wanted in (
                ("title", 1, "string?"),
                ("title", {"$not": True}, "string?"),
                ("title", {"$in": ["a", 1]}, "string?"),
                ("pages", "1", "number?"),
                ("pages", True, "number?"),
                ("out", 1, "boolean?"),
                ("sub", 1, "string?"),
                ("author.name", 1, "string?"),
            )
        ),
        *(
            pytest.param(
                {"title": {op: 5}}, "string?", ["title", op], marks=pytest.mark.rule("Q21")
            )
            for op in ("$gt", "$gte", "$lt", "$lte")
        ),
        *(
            pytest.param({label: value}, wanted, [label], marks=pytest.mark.rule("Q22"))
            for label in ("born", "day")
            for value, wanted in (
                ("now", "date-string?"),
                ("today", "date-string?"),
                ("tomorrow", "date-string?"),
                ("yesterday", "date-string?"),
                ("2025-01-0", "date-string?"),
                ("hello", "date-string?"),
                (True, "timestamp?"),
            )
        ),
        pytest.param(
            {"born": {"$gt": "now"}}, "date-string?", ["born", "$gt"], marks=pytest.mark.rule("Q22")
        ),
        *(
            pytest.param({label: {op: "a"}}, wanted, [label], marks=pytest.mark.rule("Q23"))
            for op in ("$gt", "$gte", "$lt", "$lte", "$like", "$ilike")
            for label, wanted in (
                ("note", "indexed?"),
                ("sub", "indexed?"),
                ("id", "indexed?"),
                ("author", "indexed?"),
                ("kind", "checked-data-type?"),
                ("author.age", "indexed?"),
            )
        ),
        pytest.param(
            {"pages": {"$like": "1"}}, "string?", ["pages", "$like"], marks=pytest.mark.rule("Q24")
        ),
        *(
            pytest.param(
                {"title": {op: value}}, "string?", ["title", op], marks=pytest.mark.rule("Q24")
            )
            for op in ("$like", "$ilike")
            for value in (1, None, [], True)
        ),
        *(
            pytest.param(
                {label: {"$in": ["a", None]}}, None, [label], marks=pytest.mark.rule("Q25")
            )
            for label in ("note", "sub", "author.age")
        ),
    ],
)
def test_refused_by_type_or_index(
    books: Library, condition: Any, wanted: str | None, path: list[Any]
) -> None:
    (entry,) = failure(books, where(condition)).hint["errors"]
    assert (entry.get("expected?"), entry["in"]) == (wanted, [*WHERE, *path])
    nested = {"people": {"books": {"$": {"where": {"or": [condition]}}}}}
    (entry,) = failure(books, nested).hint["errors"]
    assert entry["in"] == ["people", "books", "$", "where", "or", 0, *path]


@pytest.mark.parametrize(
    ("condition", "expected", "path"),
    [
        *(
            pytest.param(
                {"title": value}, "where-value-valid-keys?", [], marks=pytest.mark.rule("Q18")
            )
            for value in ({"$near": 1}, {}, {"a": 1}, {"$in": [], "x": 1}, {"$eq": "a"})
        ),
        *(
            pytest.param({"title": value}, "where-value?", [], marks=pytest.mark.rule("Q18"))
            for value in (None, ["a"], [], float("nan"), "\ud800", 10**400)
        ),
        *(
            pytest.param(
                {"title": {op: value}}, "where-value?", [op[1:]], marks=pytest.mark.rule("Q18")
            )
            for op in ("$not", "$ne", "$gt")
            for value in (None, [], {})
        ),
        *(
            pytest.param({"title": {op: value}}, "vector?", ["in"], marks=pytest.mark.rule("Q19"))
            for op in ("$in", "in")
            for value in ("a", None, {})
        ),
        pytest.param(
            {"title": {"$in": [["a"]]}}, "where-value?", ["in"], marks=pytest.mark.rule("Q19")
        ),
        *(
            pytest.param(
                {"title": {"$isNull": value}}, "boolean?", ["isNull"], marks=pytest.mark.rule("Q19")
            )
            for value in (1, None, "true")
        ),
        pytest.param({"$entityIdStartsWith": 1}, "string?", [], marks=pytest.mark.rule("Q39")),
        # The shape counts even where the name is unknown.
        pytest.param({"nothing": None}, "where-value?", [], marks=pytest.mark.rule("Q18")),
    ],
)
def test_refused_shapes(books: Library, condition: Any, expected: str, path: list[Any]) -> None:
    error = failure(books, where(condition))
    (entry,) = error.hint["errors"]
    assert error.hint["data-type"] == "coerced-query"
    assert entry["expected"] == expected
    assert entry["in"] == [0, "option-map", "where-conds", 0, 1, *path]


@pytest.mark.rule("Q6")
@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"books": {"title": {}}}, ["books", "title"]),
        (where({"title.x": 1}), [*WHERE, "title.x"]),
        (where({"author.name.x": 1}), [*WHERE, "author.name.x"]),
    ],
)
def test_walking_through_a_field(books: Library, query: Any, path: list[Any]) -> None:
    error = failure(books, query)
    assert error.hint["data-type"] == "attr"
    assert error.hint["errors"][0]["in"] == path
    assert "needs to be a link" in error.message


@pytest.mark.rule("Q15")
def test_counting_is_for_admins(books: Library) -> None:
    error = failure(books, options(aggregate="count"), is_admin=False)
    assert error.hint["errors"][0]["expected"] == "admin?"


@pytest.mark.rule("Q9", "Q12")
@pytest.mark.parametrize("value", [None, False])
def test_null_and_false_options_are_absent(books: Library, value: Any) -> None:
    names = ("where", "order", "limit", "first", "last", "offset", "before", "after", "fields")
    query = parse(
        options(**dict.fromkeys((*names, "aggregate"), value)), books.catalog, is_admin=False
    )
    assert query.forms == parse({"books": {}}, books.catalog, is_admin=False).forms
    assert parse(options(order={}), books.catalog, is_admin=False).forms[0].page is not None
    assert parse(options(offset=0), books.catalog, is_admin=False).forms[0].order is None


@pytest.mark.rule("Q11")
def test_nested_limits_are_accepted_and_ignored(books: Library) -> None:
    books.add("books", 1)
    for tag in (20, 21):
        books.add("tags", tag)
    books.pair("books", "tags", 1, 20, 21)
    for name in ("limit", "first", "last"):
        found = books.tree({"books": {"tags": {"$": {name: 1, "afterInclusive": True}}}})
        assert len(found["books"][0]["tags"]) == 2


def test_conditions_become_tests(books: Library) -> None:
    (form,) = parse(
        where(
            {
                "title": "a",
                "author.name": {"$gt": "a", "$lt": "b"},
                "tags": uid(1),
                "x.y": 1,
                "and": [{"id": uid(2)}],
                "or": "not a list",
                "$entityIdStartsWith": "AB",
            }
        ),
        books.catalog,
        is_admin=False,
    ).forms
    title, above, below, tags, unknown, both, attr_or, prefix = form.where
    assert isinstance(title, ast.Test) and (title.path, title.op, title.value) == ((), Op.EQ, "a")
    assert isinstance(above, ast.Test) and isinstance(below, ast.Test)
    assert (above.op, below.op) == (Op.GT, Op.LT)
    assert [step.attr.label for step in above.path] == ["author"]
    assert isinstance(tags, ast.Test) and tags.value == bytes(15) + b"\x01"
    assert unknown == Never("books", "x") and attr_or == Never("books", "or")
    assert isinstance(both, AllOf) and isinstance(prefix, IdPrefix) and prefix.prefix == "ab"


@pytest.mark.rule("Q83")
def test_rule_params_are_kept(books: Library) -> None:
    source = {"$$ruleParams": {"a": 1}, "books": {}}
    query = parse(source, books.catalog, is_admin=False)
    assert query.rule_params == {"a": 1}
    assert [form.label for form in query.forms] == ["books"]


@pytest.mark.rule("Q17")
def test_or_and_and_are_names_when_not_lists(empty: Library) -> None:
    empty.field("todos", "id")
    empty.field("todos", "or")
    empty.add("todos", 1, **{"or": "x"})
    assert empty.where("todos", {"or": "x"}) == [1]
    assert isinstance(
        parse({"todos": {"$": {"where": {"or": [{"or": "x"}]}}}}, empty.catalog, is_admin=False)
        .forms[0]
        .where[0],
        AnyOf,
    )
