"""What `where` finds: operators by type, index and null; paths; shared linked entities."""

from __future__ import annotations

from typing import Any

import pytest

from support.library import Library, uid


@pytest.mark.rule("Q30")
def test_stubs_and_dangling_links_are_never_shown(books: Library) -> None:
    books.add("books", 1, title="a", author=50)
    books.add("books", 2, created=None, title="b")
    books.add("people", 51, created=None, name="ghost")
    books.add("books", 3, title="c", author=51)
    found = books.tree({"books": {"author": {}}})
    assert [(book["title"], book["author"]) for book in found["books"]] == [("a", []), ("c", [])]
    assert books.where("books", {"title": "b"}) == []
    assert books.where("books", {"author.name": "ghost"}) == []


@pytest.mark.rule("Q4")
def test_one_id_in_two_namespaces_is_two_entities(books: Library) -> None:
    books.add("books", 1, title="a")
    books.add("people", 1, name="Ada")
    found = books.tree(
        {"books": {"$": {"fields": ["title"]}}, "people": {"$": {"fields": ["name"]}}}
    )
    assert found == {
        "books": [{"id": uid(1), "title": "a"}],
        "people": [{"id": uid(1), "name": "Ada"}],
    }
    assert books.triples({"books": {"$": {"fields": ["title"]}}, "people": {}}) == [
        (1, "books.id", 1),
        (1, "books.title", "a"),
        (1, "people.id", 1),
        (1, "people.name", "Ada"),
    ]


# Rows of the grid: entity number -> value of one attr; 8 holds null, 9 was never set.
GRID: dict[str, dict[int, Any]] = {
    "title": {1: "a", 2: "B", 3: "é"},
    "sub": {1: "a", 2: "B", 3: "é"},
    "pages": {1: 1, 2: 1.5, 3: -2},
    "out": {1: False, 2: True},
    "born": {1: "2025-01-01", 2: 1735689600000, 3: "2025-01-01T00:00:00.001Z"},
    "day": {1: "2025-01-01", 2: 1735689600000, 3: "2025-01-01T00:00:00Z"},
    "note": {1: 1, 2: "1", 3: True, 4: {"a": 1}, 5: [1], 6: 0, 7: False},
    "kind": {1: 1, 2: "1", 3: True, 4: {"a": 1}, 5: [1], 6: 0, 7: False},
}
UNSET = [8, 9]


@pytest.mark.rule("Q31", "Q32", "Q34", "Q35", "Q36", "Q37")
@pytest.mark.parametrize(
    ("label", "condition", "expected"),
    [
        ("title", "a", [1]),
        ("title", {"$in": ["a", "é", "zz"]}, [1, 3]),
        ("title", {"in": ["a"]}, [1]),
        ("title", {"$in": []}, []),
        ("title", {"$in": ["a", None]}, [1, *UNSET]),
        ("title", {"$in": [None]}, UNSET),
        ("title", {"$not": "a"}, [2, 3, *UNSET]),
        ("title", {"$ne": "a"}, [2, 3, *UNSET]),
        ("title", {"$isNull": True}, UNSET),
        ("title", {"$isNull": False}, [1, 2, 3]),
        ("title", {"$gt": "B"}, [1, 3]),
        ("title", {"$gte": "B"}, [1, 2, 3]),
        ("title", {"$lt": "a"}, [2]),
        ("title", {"$lte": "a"}, [1, 2]),
        ("title", {"$gt": "B", "$lt": "é"}, [1]),
        ("sub", "a", [1]),
        ("sub", {"$not": "a"}, [2, 3, *UNSET]),
        ("sub", {"$isNull": True}, UNSET),
        ("sub", {"$isNull": False}, [1, 2, 3]),
        ("pages", 1, [1]),
        ("pages", 1.0, [1]),
        ("pages", {"$in": [1.5, -2]}, [2, 3]),
        ("pages", {"$not": 1}, [2, 3, *UNSET]),
        ("pages", {"$gt": 1}, [2]),
        ("pages", {"$gte": 1}, [1, 2]),
        ("pages", {"$lt": 1.5}, [1, 3]),
        ("pages", {"$lte": -2}, [3]),
        ("pages", {"$isNull": True}, UNSET),
        ("pages", 10**30, []),
        ("out", False, [1]),
        ("out", {"$gt": False}, [2]),
        ("out", {"$lt": True}, [1]),
        ("out", {"$gte": False}, [1, 2]),
        ("out", {"$not": True}, [1, *UNSET]),
        ("out", {"$in": [True, None]}, [2, *UNSET]),
        ("born", "2025-01-01T00:00:00Z", [1, 2]),
        ("born", 1735689600000, [1, 2]),
        ("born", {"$in": ["2025-01-01T01:00:00+01:00"]}, [1, 2]),
        ("born", {"$not": "2025-01-01"}, [3, *UNSET]),
        ("born", {"$gt": "2025-01-01"}, [3]),
        ("born", {"$lte": 1735689600000}, [1, 2]),
        ("born", {"$isNull": False}, [1, 2, 3]),
        ("day", "2025-01-01", [1]),
        ("day", {"$in": ["2025-01-01T00:00:00Z", 1735689600000]}, [2, 3]),
        ("day", {"$not": "2025-01-01"}, [2, 3, *UNSET]),
        ("note", 1, [1]),
        ("note", "1", [2]),
        ("note", True, [3]),
        ("note", 0, [6]),
        ("note", False, [7]),
        ("note", {"$in": [1, "1", True]}, [1, 2, 3]),
        ("note", {"$not": 1}, [2, 3, 4, 5, 6, 7, *UNSET]),
        ("note", {"$isNull": True}, UNSET),
        ("note", {"$isNull": False}, [1, 2, 3, 4, 5, 6, 7]),
        ("kind", "1", [2]),
        ("kind", {"$in": [None, False]}, [7, *UNSET]),
        ("kind", {"$not": 1}, [2, 3, 4, 5, 6, 7, *UNSET]),
        ("kind", {"$isNull": True}, UNSET),
        ("kind", {"$isNull": False}, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_operators(books: Library, label: str, condition: Any, expected: list[int]) -> None:
    for number, value in GRID[label].items():
        books.add("books", number, **{label: value})
    books.add("books", 8, **{label: None})
    books.add("books", 9)
    assert books.where("books", {label: condition}) == expected
    # The same condition, asked of a linked entity.
    books.add("people", 100)
    books.pair("people", "owns", 100, *GRID[label], 8, 9)
    assert books.where("people", {f"owns.{label}": condition}) == ([100] if expected else [])
    for number in [*GRID[label], 8, 9]:
        books.add("people", 200 + number)
        books.connection.rows(
            'UPDATE "people.owns" SET source = ? WHERE target = ?',
            ((200 + number).to_bytes(16, "big"), number.to_bytes(16, "big")),
        )
    assert books.where(
        "people", {"id": {"$in": [uid(200 + n) for n in range(20)]}, f"owns.{label}": condition}
    ) == [200 + n for n in expected]


@pytest.mark.rule("Q38")
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"$like": "%foo%"}, [1, 3]),
        ({"$ilike": "%foo%"}, [1, 2, 3]),
        ({"$like": "foo"}, []),
        ({"$like": "f_o"}, []),
        ({"$like": "a%b"}, [3]),
        ({"$like": "%.*%"}, [4]),
        ({"$like": "%[x]%"}, [5]),
        ({"$like": "%\\%"}, [6]),
        ({"$ilike": "ÉÈ"}, [7]),
        ({"$like": "%"}, [1, 2, 3, 4, 5, 6, 7]),
        ({"$like": ""}, []),
    ],
)
def test_like(books: Library, condition: Any, expected: list[int]) -> None:
    texts = ["xfoo", "xFOOx", "a\nfoo\nb", "x.*", "[x]", "100%", "éè"]
    for number, text in enumerate(texts, start=1):
        books.add("books", number, title=text)
    books.add("books", 9)
    assert books.where("books", {"title": condition}) == expected


@pytest.mark.rule("Q39")
@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (uid(1)[:35], [1, 2]),
        (uid(1), [1]),
        (uid(1)[:9], [1, 2, 300]),
        ("", [1, 2, 300]),
        (uid(1) + "0", []),
        ("x", []),
        ("0000000-", []),
        ("00000000-0000-0000-0000-0000000001", [300]),
        ("00000000-0000-0000-0000-00000000012C", [300]),
    ],
)
def test_id_prefix(books: Library, prefix: str, expected: list[int]) -> None:
    for number in (1, 2, 300):
        books.add("books", number)
    assert books.where("books", {"$entityIdStartsWith": prefix}) == expected


@pytest.mark.rule("Q33")
def test_ids_and_links_compare_with_uuids(books: Library) -> None:
    books.add("people", 10)
    books.add("people", 11)
    books.add("tags", 20)
    books.add("images", 30)
    books.add("books", 1, author=10, cover=30)
    books.add("books", 2, author=99)
    books.pair("books", "tags", 1, 20, 98)
    assert books.where("books", {"id": uid(1)}) == [1]
    assert books.where("books", {"id": uid(1).upper()}) == [1]
    assert books.where("books", {"id": {"$in": [uid(1), uid(2), "no uuid"]}}) == [1, 2]
    assert books.where("books", {"id": {"$not": uid(1)}}) == [2]
    assert books.where("books", {"id": {"$not": "no uuid"}}) == [1, 2]
    assert books.where("books", {"id": "no uuid"}) == []
    assert books.where("books", {"id": {"$isNull": True}}) == []
    assert books.where("books", {"id": {"$isNull": False}}) == [1, 2]
    for link in ("author", "author.id"):
        assert books.where("books", {link: uid(10)}) == [1]
        assert books.where("books", {link: {"$in": [uid(10), uid(11)]}}) == [1]
    for link in ("books", "books.id"):
        assert books.where("people", {link: uid(1)}) == [10]
        assert books.where("tags", {link: uid(1)}) == [20]
    for link in ("tags", "tags.id"):
        assert books.where("books", {link: uid(20)}) == [1]
        assert books.where("books", {link: {"$in": [uid(20), uid(21)]}}) == [1]
    assert books.where("images", {"book": uid(1)}) == [30]
    assert books.where("books", {"author": {"$in": []}}) == []


@pytest.mark.rule("Q46")
def test_a_link_may_name_what_does_not_exist(books: Library) -> None:
    books.add("books", 1, author=99)
    books.pair("books", "tags", 1, 98)
    assert books.where("books", {"author": uid(99)}) == [1]
    assert books.where("books", {"author.id": uid(99)}) == []
    assert books.where("books", {"tags": uid(98)}) == [1]
    assert books.where("books", {"tags.id": uid(98)}) == []
    assert books.where("books", {"author": {"$isNull": True}}) == []
    assert books.where("books", {"author.name": {"$isNull": True}}) == []


@pytest.mark.rule("Q35", "Q36")
def test_negated_links(books: Library) -> None:
    books.add("people", 10)
    books.add("people", 11)
    for number, tags in ((1, (20,)), (2, (20, 21)), (3, ())):
        books.add("books", number, **({"author": 10} if number == 1 else {}))
        books.pair("books", "tags", number, *tags)
    for tag in (20, 21, 22):
        books.add("tags", tag)
    assert books.where("books", {"author": {"$not": uid(10)}}) == [2, 3]
    assert books.where("books", {"author": {"$isNull": True}}) == [2, 3]
    assert books.where("books", {"author": {"$isNull": False}}) == [1]
    assert books.where("books", {"tags": {"$not": uid(20)}}) == [2, 3]
    assert books.where("books", {"tags": {"$isNull": True}}) == [3]
    assert books.where("books", {"tags": {"$isNull": False}}) == [1, 2]
    assert books.where("tags", {"books": {"$not": uid(2)}}) == [20, 22]
    assert books.where("tags", {"books": {"$isNull": True}}) == [22]
    assert books.where("people", {"books": {"$isNull": True}}) == [11]
    assert books.where("people", {"books": {"$isNull": False}}) == [10]
    assert books.where("people", {"books": {"$not": uid(1)}}) == [11]


@pytest.mark.rule("Q41", "Q42", "Q43")
def test_linked_entities_are_shared_within_one_object(books: Library) -> None:
    books.add("people", 10, name="Ada", age=1)
    books.add("people", 11, name="Ada", age=2)
    books.add("people", 12, name="Bob", age=1)
    books.add("books", 1, author=10, editor=10)
    books.add("books", 2, author=11, editor=12)
    books.add("books", 3, author=10, editor=11)
    for tag, name in ((20, "x"), (21, "y")):
        books.add("tags", tag, name=name)
    books.pair("books", "tags", 1, 20)
    books.pair("books", "tags", 2, 20, 21)
    assert books.where("books", {"author.name": "Ada", "author.age": 1}) == [1, 3]
    # Two links to one namespace at one depth: one and the same person.
    assert books.where("books", {"author.name": "Ada", "editor.age": 1}) == [1]
    assert books.where("books", {"and": [{"author.name": "Ada"}, {"editor.age": 1}]}) == [1, 2]
    assert books.where("tags", {"books.author.name": "Ada", "books.author.age": 2}) == [20, 21]
    assert books.where("books", {"tags.name": "x"}) == [1, 2]
    assert books.where("books", {"and": [{"tags.name": "x"}, {"tags.name": "y"}]}) == [2]
    assert books.where("books", {"or": [{"tags.name": "y"}, {"author.age": 1}]}) == [1, 2, 3]
    assert books.where("books", {"or": [{"tags.name": "y", "author.age": 1}]}) == []
    assert books.where(
        "books", {"or": [{"and": [{"tags.name": "x"}, {"id": uid(2)}]}, {"id": uid(3)}]}
    ) == [2, 3]


@pytest.mark.rule("Q40")
def test_all_operators_of_an_object_apply_to_one_linked_entity(books: Library) -> None:
    for number, pages in ((1, 5), (2, 50), (3, 500)):
        books.add("books", number, pages=pages)
    books.add("people", 10)
    books.add("people", 11)
    books.pair("people", "owns", 10, 1, 3)
    books.pair("people", "owns", 11, 2)
    between = {"$gt": 10, "$lt": 100}
    assert books.where("books", {"pages": between}) == [2]
    assert books.where("people", {"owns.pages": between}) == [11]


@pytest.mark.rule("Q44", "Q45")
def test_negation_along_a_path(books: Library) -> None:
    books.add("people", 10, name="Ada")
    books.add("people", 11, name="Bob", boss=10)
    books.add("people", 12, boss=11)
    books.add("books", 1, author=10)
    books.add("books", 2, author=11)
    books.add("books", 3, author=12)
    books.add("books", 4)
    assert books.where("books", {"author.name": {"$not": "Ada"}}) == [2, 3, 4]
    assert books.where("books", {"author.name": {"$isNull": True}}) == [3, 4]
    assert books.where("books", {"author.name": {"$isNull": False}}) == [1, 2]
    assert books.where("books", {"author.boss.name": {"$not": "Ada"}}) == [1, 3, 4]
    assert books.where("books", {"author.boss.name": {"$isNull": True}}) == [1, 4]
    assert books.where("books", {"author.boss": {"$isNull": True}}) == [1, 4]
    assert books.where("books", {"author.boss": {"$not": uid(10)}}) == [1, 3, 4]
    # One person for both conditions, or none for both.
    both = {"author.name": {"$not": "Ada"}, "author.age": {"$isNull": True}}
    assert books.where("books", both) == [2, 3, 4]
    assert books.where("books", {"author.name": "Bob", "author.age": {"$isNull": True}}) == [2]
    # Not "none of them": one other value is enough.
    books.add("tags", 20, name="x")
    books.add("tags", 21, name="y")
    books.pair("books", "tags", 1, 20)
    books.pair("books", "tags", 2, 20, 21)
    assert books.where("books", {"tags.name": {"$not": "x"}}) == [2, 3, 4]


@pytest.mark.rule("Q1", "Q2", "Q3", "Q5")
def test_unknown_names_find_nothing_and_are_no_error(books: Library) -> None:
    books.add("books", 1, title="a")
    assert books.tree({"nowhere": {"$": {"where": {"x": 1}, "limit": 1}, "y": {}}}) == {
        "nowhere": []
    }
    assert books.where("books", {"nothing": "a"}) == []
    assert books.where("books", {"nothing.at.all": {"$not": 1}}) == []
    assert books.where("books", {"author.nothing": {"$isNull": True}}) == []
    assert books.where("books", {"": "a"}) == []
    assert books.where("books", {"or": [{"nothing": 1}, {"title": "a"}]}) == []
    assert books.where("books", {"or": [{"and": [{"x": 1}]}, {"title": "a"}]}) == []
    assert books.tree({"books": {"$": {"fields": ["title", "zzz"]}, "nothing": {"x": {}}}}) == {
        "books": [{"id": uid(1), "title": "a", "nothing": []}]
    }


@pytest.mark.rule("Q60")
def test_a_limit_counts_entities_not_joined_rows(books: Library) -> None:
    for tag in range(20, 30):
        books.add("tags", tag, name="x")
    for number in (1, 2, 3):
        books.add("books", number)
        books.pair("books", "tags", number, *range(20, 30))
    assert books.numbers("books", {"where": {"tags.name": "x"}, "limit": 2}) == [1, 2]
    assert books.tree({"books": {"$": {"where": {"tags.name": "x"}, "aggregate": "count"}}}) == {
        "books": {"count": 3}
    }


@pytest.mark.rule("Q2")
def test_a_nested_form_that_finds_nothing_is_empty(books: Library) -> None:
    books.add("people", 10)
    books.add("books", 1, author=10)
    books.add("tags", 20)
    books.pair("books", "tags", 1, 20)
    never = {"$": {"where": {"nothing": 1}}}
    found = books.tree({"books": {"$": {"fields": []}, "author": never, "tags": never}})
    assert found == {"books": [{"id": uid(1), "author": [], "tags": []}]}
    assert books.tree({"people": {"books": {"$": {"where": {"id": {"$in": []}}}}}}) == {
        "people": [{"id": uid(10), "name": None, "books": []}]
    }
