"""What is hidden from a caller, one place at a time; all of them at once in tests/fuzz."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest

from support.attrs import entity
from support.flat_results import flat_result
from support.library import Library, uid
from trice.catalog.attr import Attr
from trice.catalog.values import Cell
from trice.errors import PermissionDenied
from trice.protocol.ids import EntityId
from trice.query.ast import NOTHING, AnyOf, Condition, Hop, Judged, Ref, Scope
from trice.query.encode import EntityCache, nested_result
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.visibility import EVERYTHING, FixedVisibility, Visibility

Cells = Sequence[Cell]


@pytest.fixture
def library(books: Library) -> Library:
    """Books 1-9 of people 10-14, whose boss is 10, all with tags 20 and 21."""
    for number in range(10, 15):
        books.add("people", number, name=f"p{number}", age=number, boss=10)
        books.add("tags", number + 10, name=f"t{number}")
    for number in range(1, 10):
        books.add("books", number, title=f"b{number}", pages=number, author=10 + number % 5)
        books.pair("books", "tags", number, 20, 21)
    return books


def attr(library: Library, name: str) -> Attr:
    etype, label = name.split(".")
    found = library.catalog.find_forward(etype, label)
    assert found is not None
    return found


def scope(library: Library, etype: str, **where: Any) -> Scope:
    conditions = {label.replace("__", "."): value for label, value in where.items()}
    return (
        parse({etype: {"$": {"where": conditions}}}, library.catalog, is_admin=True).forms[0].where
    )


def entities(library: Library, etype: str, **where: Any) -> FixedVisibility:
    return FixedVisibility({etype: scope(library, etype, **where)})


def fields(library: Library, name: str, rule: Scope) -> FixedVisibility:
    return FixedVisibility({}, {attr(library, name).id: rule})


def judged(
    decide: Callable[[int, Cells, Sequence[Cells]], bool], *attrs: Attr, refs: Any = ()
) -> Judged:
    def with_number(one: EntityId, cells: Cells, found: Sequence[Cells]) -> tuple[bool, int]:
        return decide(int.from_bytes(one, "big"), cells, found), 1

    return Judged(with_number, attrs, tuple(refs))


def planned(library: Library, query: Any, visibility: Visibility) -> Plan:
    parsed = parse(query, library.catalog, is_admin=True)
    made = plan(parsed, library.catalog, visibility, dialect=library.dialect)
    library.statements.clear()
    return made


def tree(library: Library, query: Any, visibility: Visibility) -> Any:
    return nested_result(run(planned(library, query, visibility), library), is_inferring=False)


def numbers(library: Library, etype: str, options: Any, visibility: Visibility) -> list[int]:
    found = tree(library, {etype: {"$": options}}, visibility)[etype]
    return [int(one["id"].replace("-", ""), 16) for one in found]


def triples(library: Library, query: Any, visibility: Visibility, cache: EntityCache) -> list[Any]:
    ((node,)) = orjson.loads(flat_result(run(planned(library, query, visibility), library), cache))
    ((row,)) = node["data"]["datalog-result"]["join-rows"]
    return list(row)


# --- statements ----------------------------------------------------------------------------------


def test_whoever_sees_everything_asks_what_was_asked_without_rules(library: Library) -> None:
    query = {"people": {"$": {"where": {"books.title": "b1"}, "fields": ["name"]}}}
    tree(library, query, EVERYTHING)
    (first, _), (second, _) = library.statements
    assert first == (
        'SELECT e."id", e."_created_ms", e."name" FROM "people" e WHERE (e."_created_ms" IS NOT'
        ' NULL AND e."id" IN (SELECT t1."author" FROM "books" t1 WHERE (t1."_created_ms" IS NOT'
        ' NULL AND t1."title" = ?))) LIMIT 1000001'
    )
    assert second == (
        'SELECT e."id", e."_created_ms", e."title", e."author" FROM "books" e WHERE e."author" IN'
        ' carray(?) AND (e."_created_ms" IS NOT NULL AND e."title" = ?) LIMIT 1000001'
    )


@pytest.mark.rule("Q97")
@pytest.mark.parametrize(
    "query",
    [
        {"books": {}},
        {"books": {"author": {"boss": {}}, "tags": {"books": {}}}},
        {"books": {"$": {"where": {"author.name": "p11", "tags": uid(20)}}}},
        {"books": {"$": {"limit": 3, "order": {"title": "desc"}}, "author": {}}},
        {"people": {"$": {"where": {"books": uid(1)}}, "books": {"tags": {}}}},
    ],
)
def test_no_statement_is_added(library: Library, query: Any) -> None:
    tree(library, query, EVERYTHING)
    usual = len(library.statements)
    boss = attr(library, "people.boss")
    ref = Ref((Hop(attr(library, "books.author"), True, "people"),), boss, True)
    rules = FixedVisibility(
        {
            "books": (judged(lambda _, cells, refs: refs == [[entity(10)]], refs=[ref]),),
            "people": scope(library, "people", boss__name="p10"),
        },
        {attr(library, f"books.{label}").id: scope(library, "books", pages={"$gt": 0})
         for label in ("title", "author", "tags")},
    )  # fmt: skip
    assert tree(library, query, rules) == tree(library, query, EVERYTHING)
    tree(library, query, rules)
    assert len(library.statements) == usual


@pytest.mark.rule("Q97")
def test_rules_on_the_caller_use_the_index(library: Library) -> None:
    rules = entities(library, "books", author=uid(11))
    assert sorted(numbers(library, "books", {}, rules)) == [1, 6]
    ((sql, bindings),) = library.statements
    assert "books~author~value (author=?" in library.explain(sql, bindings)
    assert (
        numbers(
            library, "books", {"where": {"title": "b6"}}, fields(library, "books.title", NOTHING)
        )
        == []
    )
    rules = fields(library, "books.title", scope(library, "books", pages=6))
    assert numbers(library, "books", {"where": {"title": "b6"}}, rules) == [6]
    ((sql, bindings),) = library.statements
    assert "books~title~value (title=?" in library.explain(sql, bindings) or (
        "books~pages~value (pages=?)" in library.explain(sql, bindings)
    )


@pytest.mark.rule("Q97")
def test_nothing_is_read_of_what_nobody_may_see(library: Library) -> None:
    def fail(*_: Any) -> bool:
        raise AssertionError("a row was looked at")

    rules = FixedVisibility({"books": (*NOTHING, judged(fail))})
    query = {"books": {}, "people": {"books": {}}}
    found = tree(library, query, rules)
    assert found["books"] == [] and not any(one["books"] for one in found["people"])
    assert numbers(library, "people", {"where": {"books": uid(1)}}, rules) == []


# --- hidden values -------------------------------------------------------------------------------


@pytest.mark.rule("Q94")
def test_a_hidden_field_is_absent_and_orders_as_null(library: Library) -> None:
    library.add("books", 30, title=None, note=None, pages=30)
    rules = fields(library, "books.title", scope(library, "books", pages={"$gt": 7}))
    found = tree(library, {"books": {"$": {"order": {"title": "asc"}, "limit": 9}}}, rules)["books"]
    shown = {int(one["id"][-2:], 16): one.get("title", "absent") for one in found}
    assert shown == {**dict.fromkeys(range(1, 8), "absent"), 30: None, 8: "b8"}
    assert list(shown) == [1, 2, 3, 4, 5, 6, 7, 30, 8]
    plan_ = planned(library, {"books": {"$": {"order": {"title": "asc"}, "limit": 1}}}, rules)
    page = run(plan_, library).nodes[0].page
    assert page is not None and page.end is not None and page.end[2] is None
    options = {"order": {"title": "asc"}, "limit": 2, "after": page.end}
    assert numbers(library, "books", options, rules) == [2, 3]
    options = {"order": {"title": "desc"}, "limit": 3}
    assert numbers(library, "books", options, rules) == [9, 8, 30]


@pytest.mark.rule("Q94")
@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("b9", [9]),
        ("b1", []),
        ({"$isNull": True}, [1, 2, 3, 4, 5, 6, 7]),
        ({"$isNull": False}, [8, 9]),
        ({"$not": "b9"}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"$in": ["b1", "b8", None]}, [8]),
        ({"$gt": "b"}, [8, 9]),
        ({"$like": "b%"}, [8, 9]),
        ({"$ilike": "É%"}, []),
    ],
)
def test_conditions_take_a_hidden_field_for_missing(
    library: Library, condition: Any, found: list[int]
) -> None:
    rules = fields(library, "books.title", scope(library, "books", pages={"$gt": 7}))
    assert sorted(numbers(library, "books", {"where": {"title": condition}}, rules)) == found


@pytest.mark.rule("Q94")
def test_null_fields_of_every_kind_of_attr(library: Library) -> None:
    rules = fields(library, "books.note", NOTHING)
    library.add("books", 30, note={"a": 1}, kind=None)
    (book,) = tree(library, {"books": {"$": {"where": {"id": uid(30)}}}}, rules)["books"]
    assert "note" not in book and book["kind"] is None
    (book,) = tree(
        library,
        {"books": {"$": {"where": {"id": uid(30)}}}},
        fields(library, "books.kind", NOTHING),
    )["books"]
    assert "kind" not in book and book["note"] == {"a": 1}


# --- hidden links --------------------------------------------------------------------------------


@pytest.mark.rule("Q95")
def test_the_id_of_a_hidden_entity_stays_a_value_of_its_holder(library: Library) -> None:
    rules = entities(library, "people", name="p11")
    author = attr(library, "books.author").id
    found = triples(library, {"books": {"author": {}}}, rules, library.cache)
    assert sum(one[1] == author for one in found) == 9
    assert {one[0] for one in found if one[0] >= uid(10)} == {uid(11)}
    assert sorted(numbers(library, "books", {"where": {"author": uid(12)}}, rules)) == [2, 7]
    assert numbers(library, "books", {"where": {"author.id": uid(12)}}, rules) == []
    assert numbers(library, "books", {"where": {"author": {"$isNull": True}}}, rules) == []


@pytest.mark.rule("Q95")
def test_links_held_by_hidden_entities_are_gone_from_both_sides(library: Library) -> None:
    rules = entities(library, "books", pages=1)
    assert numbers(library, "people", {"where": {"books": {"$isNull": False}}}, rules) == [11]
    assert numbers(library, "people", {"where": {"books": uid(2)}}, rules) == []
    assert numbers(library, "tags", {"where": {"books": uid(2)}}, rules) == []
    assert numbers(library, "tags", {"where": {"books": uid(1)}}, rules) == [20, 21]
    found = triples(library, {"tags": {"books": {}}}, rules, library.cache)
    tags = attr(library, "books.tags").id
    assert {one[0] for one in found if one[1] == tags} == {uid(1)}


@pytest.mark.rule("Q95", "Q96")
@pytest.mark.parametrize("query", [{"people": {"books": {}}}, {"tags": {"books": {}}}])
def test_a_hidden_link_brings_nobody_along(library: Library, query: Any) -> None:
    one = scope(library, "books", pages=1)
    rules = FixedVisibility(
        {}, {attr(library, "books.author").id: one, attr(library, "books.tags").id: one}
    )
    found = triples(library, query, rules, library.cache)
    assert {one[0] for one in found if one[0] < uid(10)} == {uid(1)}


@pytest.mark.rule("Q93")
def test_a_holder_whose_namespace_has_no_rows_is_nobody(empty: Library) -> None:
    empty.link("ghosts", "haunts", "houses", "ghosts")
    empty.field("houses", "id")
    empty.add("houses", 1)
    empty.pair("ghosts", "haunts", 5, 1)
    options = {"where": {"ghosts": uid(5)}}
    assert numbers(empty, "houses", options, EVERYTHING) == [1]
    (link,) = (one for one in empty.catalog.by_id.values() if one.is_ref)
    rules = FixedVisibility({}, {link.id: (judged(lambda *_: True),)})
    assert numbers(empty, "houses", options, rules) == []


# --- the cache -----------------------------------------------------------------------------------


@pytest.mark.rule("Q100")
def test_encoded_entities_are_shared_among_equals(library: Library) -> None:
    cache = EntityCache()
    rules = fields(library, "books.title", scope(library, "books", pages=1))
    query = {"books": {}}
    title = attr(library, "books.title").id
    for _ in range(2):
        found = triples(library, query, rules, cache)
        assert [one[2] for one in found if one[1] == title] == ["b1"]
        found = triples(library, query, EVERYTHING, cache)
        assert len([one for one in found if one[1] == title]) == 9
        assert len(cache) == 18
    fresh = EntityCache()
    triples(library, query, entities(library, "books", pages=1), fresh)
    assert len(fresh) == 1


# --- judged in Python ----------------------------------------------------------------------------


@pytest.mark.rule("Q98")
@pytest.mark.parametrize(
    "where",
    [
        {"title": "b3"},
        {"note": {"$isNull": True}, "pages": 3},
        {"author.age": {"$not": 9}, "pages": 3},
        {"tags.name": {"$not": "x"}, "pages": {"$lt": 4, "$gt": 2}},
        {"or": [{"title": "b3"}, {"author.name": "nobody"}]},
        {"tags": {"$isNull": False}, "title": "b3"},
    ],
)
@pytest.mark.parametrize("has_ref", [False, True])
def test_only_rows_that_meet_the_rest_are_judged(
    library: Library, where: Any, has_ref: bool
) -> None:
    asked: set[int] = set()

    def decide(number: int, *_: Any) -> bool:
        asked.add(number)
        return True

    refs = [Ref((), attr(library, "books.tags"), True)] if has_ref else []
    rules = FixedVisibility({"books": (judged(decide, refs=refs),)})
    for number in range(40, 60):
        library.add("books", number, title="other", pages=number)
    assert numbers(library, "books", {"where": where}, rules) == [3]
    assert asked == {3}


@pytest.mark.rule("Q98")
def test_rows_outside_the_page_are_not_judged(library: Library) -> None:
    asked: list[int] = []

    def decide(number: int, *_: Any) -> bool:
        asked.append(number)
        return number != 2

    rules = FixedVisibility({"books": (judged(decide),)})
    options = {"order": {"pages": "asc"}, "limit": 2}
    assert numbers(library, "books", options, rules) == [1, 3]
    assert set(asked) <= {1, 2, 3, 4}


@pytest.mark.rule("Q98")
def test_judges_are_given_the_cells_as_stored(library: Library) -> None:
    values = ("text", 1.5, 0.1 + 0.2, 2**60, True, None, {"a": [1]}, "", 1e300)
    for number, value in enumerate(values, start=40):
        library.add("people", number, age=value)
        library.pair("people", "owns", number, number + 100)
        library.add("books", number + 100, note=value, author=number)
    seen: dict[int, tuple[Any, Any]] = {}

    def decide(number: int, cells: Cells, refs: Sequence[Cells]) -> bool:
        seen[number] = (list(cells), [list(found) for found in refs])
        return True

    by_author = Hop(attr(library, "books.author"), True, "people")
    refs = [
        Ref((by_author,), attr(library, "people.age"), True),
        Ref((by_author,), attr(library, "people.id"), True),
        Ref((), attr(library, "people.owns"), False),
        Ref((), attr(library, "books.author"), True),
        Ref((by_author,), attr(library, "people.name"), True),
    ]
    note = attr(library, "books.note")
    rules = FixedVisibility({"books": (judged(decide, note, refs=refs),)})
    assert len(numbers(library, "books", {}, rules)) == 9 + len(values)
    cells = (b"\x02", b"\x00", b'{"a":[1]}')
    stored = ["text", 1.5, 0.1 + 0.2, 2**60, cells[0], cells[1], cells[2], "", 1e300]
    for number, cell in enumerate(stored, start=40):
        own = entity(number)
        assert seen[number + 100] == ([cell], [[cell], [own], [own], [own], []])
    assert seen[1] == ([None], [[11], [entity(11)], [], [entity(11)], ["p11"]])


@pytest.mark.rule("Q98")
def test_a_judge_may_ask_for_more_than_a_function_takes(empty: Library) -> None:
    empty.field("wide", "id")
    labels = [f"f{number}" for number in range(250)]
    for label in labels:
        empty.field("wide", label)
    empty.add("wide", 1, **{label: number for number, label in enumerate(labels)})
    wanted = [attr(empty, f"wide.{label}") for label in labels]
    refs = [Ref((), one, True) for one in wanted[:3]]

    def decide(_: int, cells: Cells, found: Sequence[Cells]) -> bool:
        return list(cells) == list(range(250)) and found == [[0], [1], [2]]

    rules = FixedVisibility({"wide": (judged(decide, *wanted, refs=refs),)})
    assert numbers(empty, "wide", {}, rules) == [1]


@pytest.mark.rule("Q98")
def test_what_a_judge_raises_ends_the_query_unchanged(library: Library) -> None:
    refusal = PermissionDenied("permission-evaluation-failed", "no")

    def decide(*_: Any) -> bool:
        raise refusal

    for rules in (
        FixedVisibility({"books": (judged(decide),)}),
        fields(library, "books.title", (judged(decide),)),
    ):
        with pytest.raises(PermissionDenied) as caught:
            numbers(library, "books", {"order": {"title": "asc"}}, rules)
        assert caught.value is refusal
        assert len(numbers(library, "books", {}, EVERYTHING)) == 9


def test_conditions_of_every_kind_make_a_rule(library: Library) -> None:
    (title,) = scope(library, "books", title="b1")
    second: Condition = AnyOf(((title,), (judged(lambda number, *_: number == 2),)))
    assert numbers(library, "books", {}, FixedVisibility({"books": (second,)})) == [1, 2]
