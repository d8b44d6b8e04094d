"""Integers beyond 2^53, of which JavaScript reads several as one: order, pages and cursors."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from support.attrs import blob
from support.library import Library
from support.windows import check_window
from trice.catalog.values import is_coarse, order_cell, order_run

GREAT = 2**53
# By entity number. Ids run against values where doubles are shared.
PAGES: dict[int, float | None] = {
    1: GREAT + 1,
    2: GREAT,
    3: float(GREAT),
    4: GREAT - 1,
    5: None,
    6: GREAT + 2,
    7: GREAT + 3,
    8: GREAT + 4,
    9: 7,
    10: -(2**62) + 100,
    11: -(2**62),
    12: -(2**62) - 100,
    13: 2**63 - 1,
    14: float(2**63),
    15: 2**63 - 200,
    16: None,
}


def double(number: int) -> tuple[int, float, int]:
    """What entities are ordered by: the number as JavaScript reads it, then the id."""
    value = PAGES[number]
    return (0, 0, number) if value is None else (1, float(value), number)


@pytest.fixture
def shelf(books: Library) -> Library:
    for number, value in PAGES.items():
        books.add("books", number, pages=value)
    return books


def page(library: Library, options: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    (node,) = library.run({"books": {"$": options}}).nodes
    assert node.page is not None
    return [int.from_bytes(entity, "big") for entity in node.ids()], node.page.wire()


def handed_back(cursor: list[Any]) -> list[Any]:
    """A cursor after a client in JavaScript has read and written it."""
    entity, attr_id, value, created_ms = orjson.loads(orjson.dumps(cursor))
    return [entity, attr_id, None if value is None else int(float(value)), created_ms]


@pytest.mark.rule("Q160")
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 16])
def test_pages_cover_everything_once_though_cursors_come_back_rounded(
    shelf: Library, direction: str, size: int
) -> None:
    order = {"order": {"pages": direction}}
    whole = sorted(PAGES, key=double, reverse=direction == "desc")
    assert page(shelf, order)[0] == whole
    assert shelf.numbers("books", order) == whole
    for cut, side, edge in (("first", "after", "end"), ("last", "before", "start")):
        seen: list[int] = []
        options: dict[str, Any] = {**order, cut: size}
        for _ in range(len(PAGES)):
            found, info = page(shelf, options)
            seen = seen + found if cut == "first" else found + seen
            if not info["has-next-page?" if cut == "first" else "has-previous-page?"]:
                break
            options = {**order, cut: size, side: handed_back(info[f"{edge}-cursor"])}
        assert seen == whole


@pytest.mark.rule("Q160")
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_windows_between_any_two_cursors(shelf: Library, direction: str) -> None:
    order = {"order": {"pages": direction}}
    whole, _ = page(shelf, order)
    count = len(whole)
    cursors = []
    for at in range(count):
        found, info = page(shelf, {**order, "limit": 1, "offset": at})
        assert found == [whole[at]]
        cursors.append(handed_back(info["start-cursor"]))
    draw = random.Random(5)
    for low in range(count):
        for high in range(low, count):
            check_window(
                lambda options: page(shelf, {**order, **options}),
                whole,
                cursors,
                (low, high),
                is_inclusive=draw.random() < 0.5,
                few=2,
            )


@pytest.mark.rule("Q160")
def test_values_and_cursors_are_answered_whole(shelf: Library) -> None:
    found, info = page(shelf, {"order": {"pages": "desc"}, "where": {"pages": GREAT + 1}})
    assert found == [1] and info["end-cursor"][2] == GREAT + 1


@pytest.mark.rule("Q161")
def test_only_a_page_that_ends_among_such_numbers_asks_more(shelf: Library) -> None:
    for options, statements in (
        ({"order": {"pages": "asc"}, "where": {"pages": {"$gt": 0}}, "limit": 1}, 1),
        ({"order": {"pages": "asc"}, "limit": 100}, 1),
        ({"order": {"pages": "desc"}, "limit": 4}, 2),
    ):
        page(shelf, options)
        asked = list(shelf.statements)
        assert len(asked) == statements
    assert "books~pages~value (pages>? AND pages<?)" in shelf.explain(*asked[1])


@pytest.mark.rule("Q160")
@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_of_a_double_are_those_that_round_to_it(seed: int) -> None:
    attr = blob("books", "pages", is_indexed=True, checked_type="number")
    draw = random.Random(seed)
    for _ in range(2_000):
        value = draw.choice((1, -1)) * (2 ** draw.randint(50, 63) + draw.randint(-3_000, 3_000))
        if not -(2**63) <= value < 2**63:
            continue
        cell = order_cell(attr, value)
        low, high = order_run(attr, cell)
        assert float(value) == cell and low <= value <= high, f"seed {seed}: {value}"
        for edge, beyond in ((low, -1), (high, 1)):
            assert float(edge) == cell
            if isinstance(edge, int) and -(2**63) < edge < 2**63 - 1:
                assert float(edge + beyond) != cell
        assert is_coarse(value) or low == high == value
