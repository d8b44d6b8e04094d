"""Large and hostile queries: bounded, refused with a validation error, never read as SQL."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from support.library import Library, uid
from trice import limits
from trice.errors import InvalidInput, LimitExceeded, TriceError
from trice.query.parse.forms import parse
from trice.query.plan import plan


def where(condition: Any) -> dict[str, Any]:
    return {"books": {"$": {"where": condition}}}


def options(**given: Any) -> dict[str, Any]:
    return {"books": {"$": given}}


def nested(depth: int) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for _ in range(depth):
        form = {"boss": form}
    return {"people": form}


def listed(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"title": "a"}
    for level in range(depth):
        found = {"and" if level % 2 else "or": [found]}
    return found


@pytest.mark.rule("Q26")
def test_sizes_are_bounded(books: Library) -> None:
    depth = limits.QUERY_DEPTH_MAX
    books.run(nested(depth))
    books.run(where(listed(depth)))
    books.run({"people": {"$": {"where": {"boss." * depth + "name": "x"}}}})
    for query in (
        nested(depth + 1),
        nested(200),
        where(listed(depth + 1)),
        where(listed(200)),
        {"people": {"$": {"where": {"boss." * (depth + 1) + "name": "x"}}}},
        {"books": {f"x{number}": {} for number in range(limits.QUERY_FORMS_MAX)}},
        where({"or": [{"title": "x"}] * limits.QUERY_CONDITIONS_MAX}),
        where({"title": {"$like": "x" * (limits.LIKE_PATTERN_CHARS_MAX + 1)}}),
        where({"title": {"$in": ["x"] * (limits.QUERY_IN_VALUES_MAX + 1)}}),
    ):
        with pytest.raises(InvalidInput) as caught:
            parse(query, books.catalog, is_admin=True)
        assert caught.value.hint["errors"][0]["expected"] in ("supported-depth?", "supported-size?")


@pytest.mark.rule("Q26")
def test_the_largest_queries_run(books: Library) -> None:
    books.add("books", 1, title="t7")
    many = [{"title": f"t{number}"} for number in range(limits.QUERY_CONDITIONS_MAX - 1)]
    assert books.where("books", {"or": many}) == [1]
    assert books.where("books", {"and": [{"title": {"$not": "x"}}] * (len(many))}) == [1]
    values = [f"t{number}" for number in range(limits.QUERY_IN_VALUES_MAX)]
    assert books.where("books", {"title": {"$in": values}}) == [1]
    for op, sign in itertools.product(("$like", "$ilike"), ("*", "é", "%", "[")):
        pattern = sign * (limits.LIKE_PATTERN_CHARS_MAX - 1)
        assert books.where("books", {"title": {op: pattern}}) == ([1] if sign == "%" else [])
    ids = [uid(number) for number in range(limits.QUERY_IN_VALUES_MAX)]
    assert books.where("books", {"id": {"$in": ids}}) == [1]


@pytest.mark.rule("Q26")
def test_too_many_ways_to_hold_are_refused(books: Library) -> None:
    along_one_path = {"boss." * depth + "name": {"$not": "x"} for depth in range(1, 20)}
    books.run({"people": {"$": {"where": along_one_path}}})
    crossing = {
        ".".join((*links, "name")): {"$not": "x"}
        for links in itertools.product(("boss", "reports"), repeat=5)
    }
    many_along_one = {
        "boss." * depth + label: {"$not": "x"}
        for depth in range(1, 31)
        for label in ("name", "age", "books.note", "books.title")
    }
    for condition in (crossing, many_along_one):
        query = parse({"people": {"$": {"where": condition}}}, books.catalog, is_admin=True)
        with pytest.raises(LimitExceeded) as caught:
            plan(query, books.catalog, dialect=books.dialect)
        assert caught.value.code == "parameter-limit-exceeded"


JUNK: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**400, "", "x", "$", "\x00", "__proto__", [], {}, [[]], [{}],
    {"$": {}}, {"": {}}, {"$in": 1}, {"or": [{}]}, {"x": {"$": {"where": {"a": 1}}}}, ["asc"],
    {"title": "asc"}, {"__proto__": {"constructor": 1}}, {'a"; DROP TABLE books; --': 1},
]  # fmt: skip


@pytest.mark.rule("Q84")
@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_hostile_input_is_at_most_a_validation_error(books: Library, junk: Any) -> None:
    places: list[Any] = [junk, {"books": junk}, {"books": {"$": junk}}, {"books": {"tags": junk}}]
    for option in (
        "where",
        "order",
        "limit",
        "first",
        "last",
        "offset",
        "before",
        "after",
        "beforeInclusive",
        "afterInclusive",
        "fields",
        "aggregate",
    ):
        places.append(options(**{option: junk}))
        places.append({"books": {"author": {"$": {option: junk}}}})
    for key in (
        "title",
        "pages",
        "out",
        "born",
        "note",
        "kind",
        "id",
        "author",
        "tags",
        "owner",
        "author.name",
        "tags.books.title",
        "or",
        "and",
        "$entityIdStartsWith",
        "",
        ".",
        "..",
        'a"b',
        "author.",
        "__proto__",
        "x" * 10_000,
        "cover.book.cover.book.title",
    ):
        places.append(where({key: junk}))
        for op in ("$in", "in", "$not", "$ne", "$isNull", "$gt", "$lte", "$like", "$ilike"):
            places.append(where({key: {op: junk}}))
    for query in places:
        try:
            books.tree(query)
        except TriceError as error:
            assert error.code == "validation-failed", query
            assert len(error.message) < 2_000
    assert books.connection.rows("SELECT count(*) FROM books") == [(0,)]


@pytest.mark.rule("Q84")
@pytest.mark.parametrize(
    "name", ['a"b', "a.b", "x; DROP TABLE y", "é ü", "__proto__", "select", "?"]
)
def test_odd_names_are_only_names(empty: Library, name: str) -> None:
    label = name.replace(".", "")
    empty.field(name, "id")
    empty.field(name, label, is_indexed=True, checked_type="string")
    empty.link(name, label + "1", name, label + "2")
    empty.link(name, label + "3", name, label + "4", cardinality="one")
    number = empty.add(name, 1, **{label: "v", label + "3": 1})
    empty.pair(name, label + "1", 1, 1)
    query = {
        name: {
            "$": {
                "where": {
                    label: {"$like": "%v%", "$not": "w"},
                    f"{label}1.{label}2.{label}3.{label}4.{label}": "v",
                },
                "order": {label: "asc"},
                "limit": 1,
            },
            f"{label}1": {f"{label}4": {}},
        }
    }
    child = {"id": number, label: "v", f"{label}4": [{"id": number, label: "v"}]}
    assert empty.tree(query) == {name: [{"id": number, label: "v", f"{label}1": [child]}]}
    assert len(empty.triples(query)) == 4
