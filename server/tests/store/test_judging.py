"""Rows judged before the statement, where Python cannot be called inside of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.apart import APART
from support.attrs import entity
from support.library import Library
from trice.catalog.values import Cell
from trice.errors import PermissionDenied
from trice.protocol.ids import EntityId
from trice.query.ast import Judged
from trice.query.encode import nested_result
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.query.run import run
from trice.query.visibility import FixedVisibility, Visibility
from trice.store.engine import ReadTooLong
from trice.store.judging import JudgedApart

Allows = Callable[[int], bool]


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Library]:
    """Notes 1 to 9 by their number; 7 and 8 hang below 1."""
    library = Library(tmp_path / "app.db", dialect=APART)
    library.field("notes", "id")
    library.field("notes", "rank", is_indexed=True, checked_type="number")
    library.link("notes", "above", "notes", "below", cardinality="one")
    for number in range(1, 10):
        library.add("notes", number, rank=number, **({"above": 1} if number in (7, 8) else {}))
    yield library
    library.connection.close()


class Rule:
    """A rule on notes that remembers of which it was asked; of `broken` ones it fails."""

    def __init__(self, allows: Allows, *, broken: Sequence[int] = ()) -> None:
        self.asked: list[int] = []
        self._allows = allows
        self._broken = frozenset(broken)

    def decide(
        self, one: EntityId, cells: Sequence[Cell], refs: Sequence[Sequence[Cell]]
    ) -> tuple[bool, int]:
        (number,) = cells
        assert isinstance(number, int) and one == entity(number) and not refs
        self.asked.append(number)
        if number in self._broken:
            raise PermissionDenied("permission-evaluation-failed", f"note {number}")
        return self._allows(number), 1


def visibility(library: Library, rule: Rule, *, is_once: bool = False) -> Visibility:
    attr = library.catalog.find_forward("notes", "rank")
    assert attr is not None
    return FixedVisibility({"notes": (Judged(rule.decide, (attr,), (), is_once),)})


def ask(library: Library, query: Any, visible: Visibility, *, is_on_loop: bool = False) -> Any:
    parsed = parse(query, library.catalog, is_admin=True)
    made = plan(parsed, library.catalog, visible, dialect=library.dialect)
    tree = run(made, JudgedApart(library, may_begin_again=is_on_loop))
    return nested_result(tree, is_inferring=False)


def shown(answer: Any) -> list[int]:
    return [note["rank"] for note in answer["notes"]]


@pytest.mark.rule("Q171")
def test_rows_that_the_rest_leaves_are_judged(notes: Library) -> None:
    rule = Rule(lambda number: number % 2 == 0)
    query = {"notes": {"$": {"where": {"rank": {"$gt": 6}}}}}
    assert shown(ask(notes, query, visibility(notes, rule))) == [8]
    assert rule.asked == [7, 8, 9]
    rule.asked.clear()
    query = {"notes": {"$": {"where": {"rank": 1}}, "below": {}}}
    rule = Rule(lambda number: number < 8)
    (note,) = ask(notes, query, visibility(notes, rule))["notes"]
    assert [below["rank"] for below in note["below"]] == [7]
    assert rule.asked == [1, 7, 8]


@pytest.mark.rule("Q170")
def test_a_page_is_as_full_as_it_can_be(notes: Library) -> None:
    rule = Rule(lambda number: number % 3 == 0)
    query = {"notes": {"$": {"order": {"rank": "desc"}, "limit": 2}}}
    assert shown(ask(notes, query, visibility(notes, rule))) == [9, 6]


@pytest.mark.rule("Q170")
@pytest.mark.parametrize("broken", [9, 3])
def test_a_rule_that_fails_ends_what_depends_on_the_row(notes: Library, broken: int) -> None:
    rule = Rule(lambda number: number > 5, broken=(broken,))
    page = {"notes": {"$": {"order": {"rank": "asc"}, "limit": 2}}}
    visible = visibility(notes, rule)
    if broken == 9:  # it stands behind the page
        assert shown(ask(notes, page, visible)) == [6, 7]
    with pytest.raises(PermissionDenied) as caught:
        ask(notes, {"notes": {}}, visible)
    assert str(caught.value) == f"note {broken}"
    for number in {9, 3} - {broken}:
        found = ask(notes, {"notes": {"$": {"where": {"rank": number}}}}, visible)
        assert shown(found) == ([9] if number == 9 else [])


@pytest.mark.rule("Q171")
def test_tokens_are_not_taken_where_a_read_may_begin_again(notes: Library) -> None:
    rule = Rule(lambda number: number < 3)
    visible = visibility(notes, rule, is_once=True)
    with pytest.raises(ReadTooLong):
        ask(notes, {"notes": {}}, visible, is_on_loop=True)
    assert rule.asked == []
    assert shown(ask(notes, {"notes": {}}, visible)) == [1, 2]


@pytest.mark.rule("Q170")
def test_judging_is_spent_from_the_budget_of_the_read(notes: Library) -> None:
    ask(notes, {"notes": {}}, FixedVisibility())
    before = notes.steps
    ask(notes, {"notes": {}}, visibility(notes, Rule(bool)))
    assert notes.steps - before >= 9
