"""Plans shared by queries that differ in ids: filled, they are those that planning would make."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from support.library import Library, uid
from trice import limits
from trice.catalog.attr import Attr
from trice.query.ast import Query
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.shapes import Shapes, find_shape
from trice.query.sql.forms import PageSelect

SEED = 20_260_801
QUERIES = 400


def plain(value: Any) -> Any:
    """Everything a plan is made of, comparable; sets and ids by content, attrs by their id."""
    if isinstance(value, Attr):
        return ("attr", value.id)
    if isinstance(value, PageSelect):
        return ("pages", {name: plain(part) for name, part in vars(value).items()})
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return (type(value).__name__, [(name, plain(part)) for name, part in fields])
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if isinstance(value, frozenset):
        return {(type(part), part) for part in value}
    return (type(value), value)


def planned(library: Library, source: Any) -> tuple[Query, Plan]:
    query = parse(source, library.catalog, is_admin=True)
    return query, plan(query, library.catalog, dialect=library.dialect)


class Draw:
    """Random queries of books; the same numbers give the same query but for its ids."""

    def __init__(self, seed: int, first_id: int) -> None:
        self.draw = random.Random(seed)
        self.next_id = first_id

    def uid(self, depth: int) -> str:
        """Another one each time; in lists always the same, since there they are of the shape."""
        self.next_id += 1
        return str(uid(9 if depth else self.next_id))

    def condition(self, depth: int) -> dict[str, Any]:
        match self.draw.randrange(12 if depth else 14):
            case 0 | 1:
                return {"author": self.uid(depth)}
            case 2:
                return {"id": self.uid(depth)}
            case 3:
                return {"tags": self.uid(depth)}
            case 4:
                return {"owner": self.uid(depth)}
            case 5:
                return {"cover": self.uid(depth)}
            case 6:
                return {"author.name": self.draw.choice("ab")}
            case 7:
                return {"title": self.draw.choice("ab")}
            case 8:
                return {"editor": {"$isNull": self.draw.random() < 0.5}}
            case 9:
                return {"editor": {"$not": str(uid(7))}}
            case 10:
                return {"author.boss": str(uid(8))}
            case 11:
                return {"title": {"$like": "a%"}}
            case 12:
                return {"or": [self.condition(1), {"title": "c"}]}
            case _:
                return {"and": [self.condition(1), self.condition(1)]}

    def query(self) -> dict[str, Any]:
        options: dict[str, Any] = {"where": {}}
        for _ in range(self.draw.randint(1, 4)):
            options["where"] |= self.condition(0)
        if self.draw.random() < 0.5:
            options |= {"order": {self.draw.choice(("title", "serverCreatedAt")): "desc"}}
        if self.draw.random() < 0.5:
            options["limit"] = self.draw.randint(1, 3)
        if self.draw.random() < 0.3:
            options["fields"] = ["title"]
        form: dict[str, Any] = {"$": options}
        if self.draw.random() < 0.4:
            form["author"] = {"$": {"where": {"name": "x"}}} if self.draw.random() < 0.5 else {}
        return {"books": form}


@pytest.mark.rule("L90")
def test_a_filled_plan_is_the_one_that_planning_makes(books: Library) -> None:
    shared = 0
    for number in range(QUERIES):
        known, asked = (Draw(SEED + number, first).query() for first in (1_000, 2_000))
        shapes = Shapes()
        first, made = planned(books, known)
        shape = find_shape(first)
        if shape is None:
            continue
        shapes.keep(shape, made, rights="all")
        query, expected = planned(books, asked)
        again = find_shape(query)
        assert again is not None, asked
        found = shapes.find(query, again, books.catalog, rights="all")
        assert found is not None, (SEED + number, asked)
        assert found.query is query
        assert plain(found.forms) == plain(expected.forms), (SEED + number, asked)
        assert found.visibility is made.visibility
        shared += 1
    assert shared > QUERIES / 4, "too few of the random queries have a shape"


SAME = {"books": {"$": {"where": {"author": str(uid(1)), "title": "a"}}}}


@pytest.mark.rule("L90")
@pytest.mark.parametrize(
    "other",
    [
        {"books": {"$": {"where": {"author": str(uid(1)), "title": "b"}}}},
        {"books": {"$": {"where": {"editor": str(uid(1)), "title": "a"}}}},
        {"books": {"$": {"where": {"author": str(uid(1))}}}},
        {"books": {"$": {"where": {"author": str(uid(1)), "title": "a"}, "limit": 1}}},
        {"books": {"$": {"where": {"author": str(uid(1)), "title": "a"}}, "author": {}}},
        {"books": {"$": {"where": {"author": str(uid(1)), "title": "a"}, "fields": ["note"]}}},
        {"people": {"$": {"where": {"boss": str(uid(1)), "name": "a"}}}},
    ],
)
def test_what_differs_in_more_than_an_id_has_another_plan(books: Library, other: Any) -> None:
    shapes = Shapes()
    query, made = planned(books, SAME)
    shape = find_shape(query)
    assert shape is not None
    shapes.keep(shape, made, rights="all")
    assert shapes.find(query, shape, books.catalog, rights="all") is not None
    assert shapes.find(query, shape, books.catalog, rights="others") is None
    other_query, _ = planned(books, other)
    other_shape = find_shape(other_query)
    assert other_shape is not None
    assert shapes.find(other_query, other_shape, books.catalog, rights="all") is None


@pytest.mark.rule("L90")
@pytest.mark.parametrize(
    "where",
    [
        {"title": "a"},
        {"author": str(uid(1)), "pages": 1},
        {"author": str(uid(1)), "out": True},
        {"author": str(uid(1)), "note": 1.5},
        {"author": str(uid(1)), "id": {"$in": [str(uid(2))]}},
        {"author": {"$in": [str(uid(1))]}},
        {"author.boss": str(uid(1))},
    ],
)
def test_what_python_could_take_for_something_else_is_not_shared(
    books: Library, where: Any
) -> None:
    query, _ = planned(books, {"books": {"$": {"where": where}}})
    assert find_shape(query) is None


@pytest.mark.rule("L90")
def test_plans_are_bounded_and_those_of_another_catalog_are_forgotten(books: Library) -> None:
    shapes = Shapes()
    last = None
    for number in range(limits.LIVE_SHAPES_MAX + 5):
        source = {"books": {"$": {"where": {"author": str(uid(1)), "title": f"{number}"}}}}
        query, made = planned(books, source)
        last = query, find_shape(query)
        assert last[1] is not None
        shapes.keep(last[1], made, rights="all")
    assert len(shapes) == limits.LIVE_SHAPES_MAX
    before = books.catalog
    books.field("books", "more")
    query, made = planned(books, SAME)
    shape = find_shape(query)
    assert last is not None and last[1] is not None and shape is not None
    assert shapes.find(last[0], last[1], before, rights="all") is not None
    assert shapes.find(query, shape, books.catalog, rights="all") is None
    shapes.keep(shape, made, rights="all")
    assert len(shapes) == 1
