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


@pytest.mark.rule("Q18")
@pytest.mark.parametrize("value", [float("nan"), "\ud800", 10**400])
def test_values_that_no_json_says_are_refused(books: Library, value: Any) -> None:
    error = failure(books, where({"title": value}))
    (entry,) = error.hint["errors"]
    assert (error.hint["data-type"], entry["expected"]) == ("coerced-query", "where-value?")


@pytest.mark.rule("Q59")
def test_a_cursor_from_the_far_future_is_refused(books: Library) -> None:
    (entry,) = failure(books, options(after=[uid(1), ID, uid(1), 10**30])).hint["errors"]
    assert (entry["expected"], entry["in"]) == ("join-row?", ["books", "$", "after"])


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
