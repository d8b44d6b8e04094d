"""Results: flat triples with their witnesses, nested objects, the cache of encoded entities."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.attrs import entity
from support.flat_results import flat_result
from support.library import Library, uid
from trice import limits
from trice.errors import LimitExceeded
from trice.query.encode import EntityCache
from trice.query.run import run


@pytest.fixture
def library(books: Library) -> Library:
    books.add("people", 10, name="Ada", age=36)
    books.add("people", 11, name="Bob", boss=10)
    books.add("tags", 20, name="x")
    books.add("tags", 21, name="y")
    books.add("books", 1, title="a", pages=5, note={"k": [1, None]}, author=10)
    books.add("books", 2, title="b", note=None, author=11, editor=11)
    books.pair("books", "tags", 1, 20, 21)
    books.pair("books", "tags", 2, 21)
    return books


def names(triples: list[tuple[int, str, Any]]) -> list[tuple[int, str]]:
    return [(number, name) for number, name, _ in triples]


@pytest.mark.rule("Q70")
def test_the_flat_form(library: Library) -> None:
    assert library.flat({}) == {"datalog-result": {"join-rows": [[]]}}
    assert library.flat({"nowhere": {}}) == {"datalog-result": {"join-rows": [[]]}}
    data = library.flat({"tags": {"$": {"limit": 1}}, "people": {"$": {"aggregate": "count"}}})
    assert set(data) == {"datalog-result", "page-info", "aggregate"}
    assert data["aggregate"] == {"people": {"count": 2}}
    assert data["page-info"]["tags"]["has-next-page?"] is True
    (row,) = data["datalog-result"]["join-rows"]
    id_attr = library.catalog.find_forward("tags", "id")
    assert id_attr is not None and [uid(20), id_attr.id, uid(20), 20] in row


@pytest.mark.rule("Q75")
@pytest.mark.parametrize(
    ("where", "witnesses"),
    [
        ({"title": "a"}, [(1, "books.title")]),
        ({"or": [{"title": "a"}, {"pages": 9}]}, [(1, "books.pages"), (1, "books.title")]),
        ({"author": uid(10)}, [(1, "books.author")]),
        (
            {"author.name": "Ada"},
            [(1, "books.author"), (10, "people.id"), (10, "people.name")],
        ),
        (
            {"tags.name": "x"},
            [(1, "books.tags"), (20, "tags.id"), (20, "tags.name")],
        ),
        ({"tags": uid(20)}, [(1, "books.tags")]),
        ({"tags.id": uid(20)}, [(1, "books.tags"), (20, "tags.id")]),
        (
            {"id": uid(1), "tags.name": {"$not": "y"}},
            [
                (1, "books.tags"),
                (1, "books.tags"),
                (20, "tags.id"),
                (20, "tags.name"),
                (21, "tags.id"),
                (21, "tags.name"),
            ],
        ),
    ],
)
def test_witnesses_of_conditions_come_along(
    library: Library, where: dict[str, Any], witnesses: list[tuple[int, str]]
) -> None:
    found = library.triples({"books": {"$": {"where": where, "fields": []}}})
    assert names(found) == sorted([(1, "books.id"), *witnesses], key=repr)


@pytest.mark.rule("Q75")
def test_witnesses_along_longer_paths_and_backwards(library: Library) -> None:
    query = {"books": {"$": {"where": {"author.boss.name": "Ada"}, "fields": []}}}
    assert names(library.triples(query)) == [
        (10, "people.id"),
        (10, "people.name"),
        (11, "people.boss"),
        (11, "people.id"),
        (2, "books.author"),
        (2, "books.id"),
    ]
    query = {"people": {"$": {"where": {"books": uid(1)}, "fields": []}}}
    assert names(library.triples(query)) == [(1, "books.author"), (10, "people.id")]
    query = {"people": {"$": {"where": {"books": uid(1)}}, "books": {}}}
    assert (1, "books.author", 10) in library.triples(query)
    query = {"tags": {"$": {"where": {"books": {"$isNull": False}}, "fields": []}}}
    assert names(library.triples(query)).count((1, "books.tags")) == 2


@pytest.mark.rule("Q77")
def test_fields_pick_fields_and_has_one_links(library: Library) -> None:
    query = {"books": {"$": {"where": {"id": uid(1)}, "fields": ["title", "author", "tags", "id"]}}}
    assert names(library.triples(query)) == [
        (1, "books.author"),
        (1, "books.id"),
        (1, "books.title"),
    ]
    assert library.tree(query) == {"books": [{"id": uid(1), "title": "a"}]}


@pytest.mark.rule("Q78", "Q79")
def test_nested_objects(library: Library) -> None:
    query = {
        "books": {
            "$": {"fields": ["title"]},
            "author": {"$": {"fields": ["name"]}, "books": {"$": {"fields": []}}},
            "tags": {"$": {"fields": ["name"], "where": {"name": "x"}}},
            "cover": {},
        }
    }
    ada, bob = {"id": uid(10), "name": "Ada"}, {"id": uid(11), "name": "Bob"}
    assert library.tree(query) == {
        "books": [
            {
                "id": uid(1),
                "title": "a",
                "author": [{**ada, "books": [{"id": uid(1)}]}],
                "tags": [{"id": uid(20), "name": "x"}],
                "cover": [],
            },
            {
                "id": uid(2),
                "title": "b",
                "author": [{**bob, "books": [{"id": uid(2)}]}],
                "tags": [],
                "cover": [],
            },
        ]
    }
    inferred = library.tree(query, is_inferring=True)["books"][0]
    assert inferred["author"] == {**ada, "books": [{"id": uid(1)}]}
    assert inferred["cover"] is None and inferred["tags"] == [{"id": uid(20), "name": "x"}]


@pytest.mark.rule("Q79")
def test_inference_knows_both_directions(library: Library) -> None:
    library.add("images", 30, url="u")
    library.add("books", 3, cover=30)
    library.pair("people", "owns", 10, 3)
    found = library.tree(
        {"images": {"book": {"$": {"fields": []}, "owner": {}}}}, is_inferring=True
    )
    assert found["images"][0]["book"]["id"] == uid(3)
    assert found["images"][0]["book"]["owner"]["name"] == "Ada"
    found = library.tree({"people": {"owns": {"$": {"fields": []}}}}, is_inferring=True)
    assert [person["owns"] for person in found["people"]] == [[{"id": uid(3)}], []]


@pytest.mark.rule("Q80")
def test_every_level_of_a_tree_is_ordered(library: Library) -> None:
    library.add("tags", 22, name="Z", created=0)
    library.pair("books", "tags", 1, 22)
    found = library.tree({"books": {"tags": {}}})
    assert [tag["name"] for tag in found["books"][0]["tags"]] == ["Z", "x", "y"]
    found = library.tree({"people": {"$": {"order": {"serverCreatedAt": "desc"}}}})
    assert [person["name"] for person in found["people"]] == ["Bob", "Ada"]
    library.add("people", 12, name="bob", boss=10)
    found = library.tree({"people": {"reports": {"$": {"order": {"name": "desc"}, "limit": 1}}}})
    assert [person["name"] for person in found["people"][0]["reports"]] == ["Bob", "bob"]


@pytest.mark.rule("Q81")
def test_cached_entities_are_used_only_while_their_row_is_equal(library: Library) -> None:
    made = library.plan({"books": {"$": {"where": {"id": uid(1)}, "fields": ["title"]}}})
    cache = EntityCache()
    before = flat_result(run(made, library), cache)
    assert flat_result(run(made, library), cache) == before and len(cache) == 1
    older = run(made, library)
    library.connection.rows("UPDATE books SET title = 'new' WHERE id = ?", (entity(1),))
    assert b'"new"' in flat_result(run(made, library), cache)
    assert flat_result(older, cache) == before
    assert b'"new"' in flat_result(run(made, library), cache)
    cache.forget("books", entity(1))  # type: ignore[arg-type]
    cache.forget("books", entity(1))  # type: ignore[arg-type]
    assert len(cache) == 0
    assert b'"new"' in flat_result(run(made, library), cache)


@pytest.mark.rule("Q81")
def test_the_cache_is_bounded_in_entities_and_bytes(library: Library) -> None:
    for number in range(100, 200):
        library.add("tags", number, name=f"tag {number}")
    made = library.plan({"tags": {}})
    for cache in (EntityCache(rows_max=10), EntityCache(bytes_max=500)):
        expected = flat_result(run(made, library), EntityCache())
        assert flat_result(run(made, library), cache) == expected
        assert len(cache) <= 10
        assert flat_result(run(made, library), cache) == expected


@pytest.mark.rule("Q82")
def test_an_answer_has_a_bound(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUERY_ROWS_MAX", 3)
    assert len(library.tree({"books": {}})["books"]) == 2
    with pytest.raises(LimitExceeded) as failure:
        library.run({"books": {"author": {}}})
    assert failure.value.code == "parameter-limit-exceeded"


@pytest.mark.rule("Q71")
def test_values_survive_the_trip(books: Library) -> None:
    values = [
        0,
        1.5,
        -(2**63),
        "",
        "é\x00\u2028",
        True,
        False,
        [],
        {},
        [None],
        {"a": {"b": 1}},
        "null",
    ]
    for number, value in enumerate(values, start=1):
        books.add("books", number, note=value)
    found = {
        number: value
        for number, name, value in books.triples({"books": {}})
        if name == "books.note"
    }
    assert found == dict(enumerate(values, start=1))
    assert [orjson.dumps(v) for v in found.values()]
    assert [book["note"] for book in books.tree({"books": {}})["books"]] == values
