"""How queries are read: one statement per level, and which index each shape uses."""

from __future__ import annotations

from typing import Any

import pytest

from support.library import Library, uid


@pytest.fixture
def library(books: Library) -> Library:
    for number in range(10, 15):
        books.add("people", number, name=f"p{number}", boss=10)
        books.add("tags", number + 10, name=f"t{number}")
    for number in range(1, 10):
        books.add("books", number, title=f"b{number}", pages=number, author=10 + number % 5)
        books.pair("books", "tags", number, 20, 21)
    return books


def explained(library: Library, query: Any) -> list[str]:
    library.run(query)
    statements = list(library.statements)
    return [library.explain(sql, bindings) for sql, bindings in statements]


@pytest.mark.rule("Q90")
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"books": {}}, 1),
        ({"books": {"author": {"boss": {}}, "tags": {"books": {}}}}, 5),
        ({"books": {"$": {"where": {"author.name": "p11"}}}}, 2),
        ({"books": {"$": {"where": {"author.name": "p11"}}, "author": {}}}, 2),
        ({"books": {"$": {"where": {"author.name": "p11"}}, "author": {"$": {"fields": []}}}}, 3),
        ({"books": {"$": {"where": {"author.name": "none"}}, "tags": {}}}, 1),
        ({"books": {"$": {"limit": 3}}}, 1),
        ({"books": {"$": {"limit": 3, "order": {"title": "desc"}}, "author": {}}}, 2),
        ({"nowhere": {"$": {"limit": 3}}}, 0),
        ({"people": {"$": {"where": {"id": uid(10)}}, "books": {"tags": {}}}}, 3),
    ],
)
def test_one_statement_per_level_however_many_parents(
    library: Library, query: Any, count: int
) -> None:
    library.run(query)
    assert len(library.statements) == count


@pytest.mark.rule("Q91")
@pytest.mark.parametrize(
    ("options", "index"),
    [
        ({"limit": 5}, "books~created"),
        ({"order": {"serverCreatedAt": "desc"}, "limit": 5}, "books~created"),
        ({"order": {"title": "asc"}, "limit": 5}, "books~title~order"),
        ({"order": {"title": "desc"}, "limit": 5}, "books~title~order"),
        ({"order": {"pages": "desc"}, "limit": 5}, "books~pages~value"),
        ({"order": {"born": "asc"}, "limit": 5}, "books~born~order"),
        ({"where": {"title": "b1"}}, "books~title~value (title=?"),
        ({"where": {"title": {"$in": ["b1", "b2"]}}}, "books~title~value (title=?"),
        ({"where": {"kind": 5}}, "books~kind~value (kind=?"),
        ({"where": {"isbn": "x"}}, "books~isbn~unique (isbn=?)"),
        ({"where": {"title": {"$gt": "b1"}}}, "books~title~value (title>?)"),
        ({"where": {"pages": {"$gt": 1, "$lte": 9}}}, "books~pages~value (pages>? AND pages<?)"),
        ({"where": {"born": {"$lt": "2025-01-01"}}}, "books~born~order (born~order<?)"),
        ({"where": {"born": "2025-01-01"}}, "books~born~order (born~order=?)"),
        ({"where": {"id": uid(1)}}, "sqlite_autoindex_books_1 (id=?)"),
        ({"where": {"author": uid(10)}}, "books~author~value (author=?"),
        ({"where": {"or": [{"title": "a"}, {"pages": 5}]}}, "MULTI-INDEX OR"),
        ({"where": {"title": {"$in": ["a", None]}}}, "MULTI-INDEX OR"),
    ],
)
def test_indexes_serve_conditions_and_order(
    library: Library, options: dict[str, Any], index: str
) -> None:
    (explanation,) = explained(library, {"books": {"$": options}})
    assert index in explanation
    assert "TEMP B-TREE" not in explanation


@pytest.mark.rule("Q91")
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("label", ["title", "pages", "serverCreatedAt"])
def test_a_page_after_a_cursor_starts_at_the_cursor(
    library: Library, label: str, direction: str
) -> None:
    order = {"order": {label: direction}, "limit": 2}
    page = library.run({"books": {"$": order}}).nodes[0].page
    assert page is not None
    column = {"title": "title~order", "pages": "pages", "serverCreatedAt": "_created_ms"}[label]
    for bound in ("after", "before"):
        for explanation in explained(library, {"books": {"$": {**order, bound: page.end}}}):
            # Among nulls the index is entered by their equality, then by id.
            assert f"({column},id)" in explanation or f"({column}=?" in explanation
            assert "TEMP B-TREE" not in explanation


@pytest.mark.rule("Q92")
def test_selective_conditions_on_linked_entities_start_there(library: Library) -> None:
    first, *_ = explained(library, {"books": {"$": {"where": {"author.name": "p11"}}}})
    assert "people~name~value (name=?" in first and "books~author~value (author=?" in first
    first, *_ = explained(library, {"people": {"$": {"where": {"books.title": "b1"}}}})
    assert "books~title~value (title=?" in first
    assert "sqlite_autoindex_people_1 (id=?)" in first
    first, *_ = explained(library, {"tags": {"$": {"where": {"books.title": "b1"}}}})
    assert "books~title~value (title=?" in first and "sqlite_autoindex_tags_1 (id=?)" in first
    first, *_ = explained(library, {"books": {"$": {"where": {"tags": uid(20)}}}})
    assert "sqlite_autoindex_books_1 (id=?)" in first


@pytest.mark.rule("Q92")
def test_other_conditions_on_linked_entities_are_asked_per_row(library: Library) -> None:
    query = {"books": {"$": {"where": {"author.age": {"$not": 3}}, "limit": 2}}}
    first, *_ = explained(library, query)
    assert "books~created" in first and "sqlite_autoindex_people_1 (id=?)" in first
    assert "SCAN t" not in first


@pytest.mark.rule("Q90")
def test_levels_below_are_read_by_the_ids_above(library: Library) -> None:
    _, author, tags = explained(library, {"books": {"author": {}, "tags": {}}})
    assert "sqlite_autoindex_people_1 (id=?)" in author
    assert "SCAN e" not in tags and "SCAN p" not in tags
    _, books = explained(library, {"people": {"books": {}}})
    assert "books~author~value (author=?" in books
