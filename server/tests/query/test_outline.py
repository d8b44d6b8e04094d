"""Plans by what queries look like: they are those that parsing and planning would make."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from support.library import Library, uid
from trice import plan_limits
from trice.catalog.attr import Attr
from trice.live.index.derive import read_set
from trice.query.encode import nested_json
from trice.query.outline import Outline, OutlinedPlans, outline_of
from trice.query.parse.forms import parse
from trice.query.plan import Plan, plan
from trice.query.run import run
from trice.query.sql.forms import PageSelect
from trice.query.totals import Columns

SEED = 20_261_129
QUERIES = 500


def plain(value: Any) -> Any:
    """Everything a plan is made of, comparable, and told apart by type."""
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
    if isinstance(value, Columns):
        return ("columns", plain(value.aggregate))
    return (type(value), value)


def planned(library: Library, source: Any) -> Plan:
    query = parse(source, library.catalog, is_admin=True)
    return plan(query, library.catalog, dialect=library.dialect)


def outlined(source: Any) -> Outline:
    found = outline_of(source)
    assert found is not None, source
    return found


class Draw:
    """Random queries of books; the same seed gives the same query, but for ids and texts that may
    be any."""

    def __init__(self, seed: int, other: int) -> None:
        self.draw = random.Random(seed)
        self.other = random.Random(other)

    def any_id(self) -> str:
        return uid(self.other.randint(1, 20))

    def any_text(self) -> str:
        return self.other.choice(("a", "b", "", "Ä", "x" * 300, uid(3), "null", "%", "1", "\x00"))

    def condition(self) -> dict[str, Any]:
        match self.draw.randrange(16):
            case 0 | 1:
                return {"id": self.any_id()}
            case 2:
                return {self.draw.choice(("author", "editor", "cover")): self.any_id()}
            case 3:
                return {self.draw.choice(("tags", "owner")): self.any_id()}
            case 4 | 5:
                return {self.draw.choice(("title", "isbn")): self.any_text()}
            case 6 | 7:
                return {self.draw.choice(("note", "kind", "sub")): self.any_text()}
            case 8:
                return {"author.name": self.draw.choice("ab")}
            case 9:
                return {self.draw.choice(("born", "day")): "2020-01-01"}
            case 10:
                return {"pages": {"$gt": self.draw.choice((1, 1.0)), "$lt": 7}}
            case 11:
                return {"title": {"$like": self.draw.choice(("a%", "%a%"))}}
            case 12:
                return {"or": [{"title": "c"}, {"author": uid(9)}]}
            case 13:
                return {"$entityIdStartsWith": self.draw.choice(("0", ""))}
            case 14:
                return {self.draw.choice(("note", "kind")): self.draw.choice((1, 1.0, True, 0))}
            case _:
                return {"editor": {"$isNull": self.draw.random() < 0.5}}

    def query(self) -> dict[str, Any]:
        options: dict[str, Any] = {"where": {}}
        for _ in range(self.draw.randint(0, 5)):
            options["where"] |= self.condition()
        if self.draw.random() < 0.15:
            options["aggregate"] = {"count": True, "sum": "pages"}
            return {"books": {"$": options}}
        if self.draw.random() < 0.4:
            options |= {"order": {self.draw.choice(("title", "born", "serverCreatedAt")): "desc"}}
        if self.draw.random() < 0.4:
            options["limit"] = self.draw.randint(1, 3)
        if self.draw.random() < 0.4:
            options["fields"] = self.draw.choice((["title"], ["id"], ["note", "pages"]))
        form: dict[str, Any] = {"$": options}
        if self.draw.random() < 0.3:
            form["author"] = {"$": {"where": {"name": "x"}}} if self.draw.random() < 0.5 else {}
        return {"books": form}


def fill(books: Library) -> None:
    draw = random.Random(SEED)
    texts = ("a", "b", "", "Ä", "x" * 300, uid(3), "null", "%", "1")
    for number in range(21, 30):
        books.add("people", number, name=draw.choice("ax"))
    for number in range(1, 21):
        books.add(
            "books",
            number,
            title=draw.choice(texts),
            isbn=f"{number}",
            note=draw.choice((*texts, 1, True)),
            kind=draw.choice((*texts, 1, 0)),
            sub=draw.choice(texts),
            pages=number % 9,
            author=draw.randint(1, 29),
            editor=draw.randint(1, 29),
        )
        books.pair("books", "tags", number, *{draw.randint(1, 20) for _ in range(3)})


@pytest.mark.rule("FN640")
def test_a_plan_of_an_outline_is_the_one_that_planning_makes(books: Library) -> None:
    """The same SQL, values, read set and answer, for random queries; the seed is in the message."""
    fill(books)
    found_count = filled_count = 0
    for number in range(QUERIES):
        first, second, asked = (
            Draw(SEED + number, SEED * other + number).query() for other in (2, 3, 5)
        )
        plans, outline = OutlinedPlans(), outlined(asked)
        assert outline.key == outlined(first).key
        for known in (first, second):
            plans.keep(outlined(known), known, planned(books, known))
        found, expected = plans.find(outline, books.catalog), planned(books, asked)
        if found is None:
            continue
        at = (SEED + number, asked)
        assert plain(found.forms) == plain(expected.forms), at
        assert plain(found.query) == plain(expected.query), at
        answers = [run(each, books) for each in (found, expected)]
        one, other = (nested_json(tree, is_inferring=True) for tree in answers)
        assert one == other, at
        assert read_set(answers[0]) == read_set(answers[1]), at
        found_count += 1
        filled_count += outline.texts != outlined(first).texts
    assert found_count > QUERIES * 0.8, "too few of the random queries are kept"
    assert filled_count > QUERIES / 3, "too few were found with other texts"


@pytest.mark.rule("FN640")
def test_a_plan_is_made_once_for_each_outline_that_comes_again(books: Library) -> None:
    plans = OutlinedPlans()
    for number in range(1, 6):
        source = {"books": {"$": {"where": {"author": uid(number)}}}}
        outline = outlined(source)
        found = plans.find(outline, books.catalog)
        assert (found is not None) == (number > 2)
        if found is None:
            plans.keep(outline, source, planned(books, source))
    assert plans.made == 1, "the second time; the first may have been the last"
    assert plans.found == 3


def where(**conditions: Any) -> Any:
    return {"books": {"$": {"where": conditions}}}


@pytest.mark.rule("FN640")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (where(id=uid(1), pages=1), where(id=uid(1), pages=1.0)),
        (where(id=uid(1), note=1), where(id=uid(1), note=True)),
        (where(id=uid(1), note=0.0), where(id=uid(1), note=-0.0)),
        (where(title="a", kind="b"), where(kind="b", title="a")),
        (where(id=uid(1)), {"books": {"$": {"where": {"id": uid(1)}, "limit": 1}}}),
        (where(id=uid(1)), {"books": {"$": {"where": {"id": uid(1)}}, "author": {}}}),
        (where(id=uid(1)), {"people": {"$": {"where": {"id": uid(1)}}}}),
        (where(title="a"), where(title={"$like": "a"})),
    ],
)
def test_what_differs_in_more_has_another_outline(one: Any, other: Any) -> None:
    assert outlined(one) != outlined(other)


@pytest.mark.rule("FN640")
@pytest.mark.parametrize(
    "source",
    [
        {},
        [],
        {"books": {}},
        {"books": {"$": []}},
        {"books": {"$": {"where": None}}},
        {"books": {"$": {"where": {}}}, "people": {}},
        {"$$ruleParams": {"$": {"where": {}}}},
        {"books": {"$": {"where": {"id": object()}}}},
        {"books": {"$": {"where": {"id": {"$in": [uid(one) for one in range(100)]}}}}},
    ],
)
def test_what_is_no_short_query_of_one_namespace_has_no_outline(source: Any) -> None:
    assert outline_of(source) is None


@pytest.mark.rule("FN640")
@pytest.mark.parametrize(
    ("known", "asked", "is_found"),
    [
        (where(id=uid(1)), where(id="no id"), False),
        (where(id="no id"), where(id="no other"), False),
        (where(author=uid(1)), where(author="no id"), False),
        (where(title="a"), where(title="\ud800"), False),
        (where(gone="a"), where(gone="b"), False),
        (where(born="2020-01-01"), where(born="no date"), False),
        (where(**{"author.name": "a"}), where(**{"author.name": "b"}), False),
        (where(**{"author.name": "a"}), where(**{"author.name": "a"}), True),
        (where(born="2020-01-01"), where(born="2020-01-01"), True),
    ],
)
def test_only_ids_and_texts_of_the_top_level_may_be_any(
    books: Library, known: Any, asked: Any, is_found: bool
) -> None:
    plans = OutlinedPlans()
    for _ in range(2):
        plans.keep(outlined(known), known, planned(books, known))
    assert (plans.find(outlined(asked), books.catalog) is not None) == is_found


@pytest.mark.rule("FN640")
def test_outlines_are_bounded_and_those_of_another_catalog_are_forgotten(books: Library) -> None:
    plans = OutlinedPlans()
    for number in range(plan_limits.PLANS_KEPT_MAX + 5):
        source = {"books": {"$": {"where": {"id": uid(1)}, "limit": number + 1}}}
        made = planned(books, source)
        plans.keep(outlined(source), source, made)
        plans.keep(outlined(source), source, made)
    assert len(plans) == plan_limits.PLANS_KEPT_MAX
    assert plans.find(outlined(source), books.catalog) is not None
    books.field("books", "more")
    assert plans.find(outlined(source), books.catalog) is None
    plans.keep(outlined(source), source, planned(books, source))
    assert len(plans) == 0


@pytest.mark.rule("FN640")
def test_a_plan_that_takes_long_to_make_is_not_kept(
    books: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_limits, "KEPT_PLAN_STEPS_MAX", 500)
    long = where(**{"or": [{"title": f"{number}"} for number in range(10)]})
    plans = OutlinedPlans()
    for source in (long, long, long, where(title="a"), where(title="a")):
        plans.keep(outlined(source), source, planned(books, source))
    assert plans.find(outlined(long), books.catalog) is None
    assert plans.find(outlined(where(title="b")), books.catalog) is not None
