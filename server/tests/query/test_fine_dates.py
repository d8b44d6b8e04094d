"""Dates finer than a millisecond, which JavaScript does not tell apart, and pages over them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from support.attrs import blob
from support.library import Library
from support.windows import check_window
from trice import limits
from trice.catalog.dates import INFINITY_US, instant_text, instant_us, is_maybe_fine
from trice.catalog.values import order_cell, order_run, stored_order

BORN = blob("books", "born", is_indexed=True, checked_type="date")
START_US = 1_735_776_000_000_000
BOOKS = 24
SPREAD_MS = 4
"""Milliseconds that most of the dates lie in."""


def written(draw: random.Random, instant: int) -> str | float:
    """A date at this microsecond, as text or as a number of milliseconds."""
    if instant >= 0 and draw.random() < 0.3:
        return instant / 1000
    return instant_text(instant).replace("Z", draw.choice(("Z", "+00:00")))


def scattered(seed: int) -> dict[int, str | float | None]:
    """Dates by entity number: a few milliseconds, each with whole and fine ones, and null."""
    draw = random.Random(seed)
    # Before 1970 rounding down and rounding towards zero part.
    start_us = draw.choice((START_US, -2_000))
    dates: dict[int, str | float | None] = {}
    for number in range(1, BOOKS + 1):
        instant = start_us + draw.randrange(SPREAD_MS) * 1000 + draw.choice((0, 0, 1, 500, 999))
        dates[number] = None if draw.random() < 0.15 else written(draw, instant)
    return dates


def as_client(dates: dict[int, str | float | None], *, is_descending: bool) -> list[int]:
    """The numbers of entities as a client in JavaScript orders them: by millisecond, then id."""

    def key(number: int) -> tuple[int, int, int]:
        value = dates[number]
        if value is None:
            return (0, 0, number)
        instant = instant_us(value)
        assert instant is not None
        return (1, instant // 1000, number)

    return sorted(dates, key=key, reverse=is_descending)


def page(library: Library, options: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    (node,) = library.run({"books": {"$": options}}).nodes
    assert node.page is not None
    return [int.from_bytes(entity, "big") for entity in node.ids()], node.page.wire()


def fill(library: Library, dates: dict[int, str | float | None]) -> None:
    for number, value in dates.items():
        library.add("books", number, born=value)


@pytest.mark.rule("Q180")
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("seed", range(8))
def test_pages_of_every_size_hold_together_what_clients_order(
    books: Library, direction: str, seed: int
) -> None:
    dates = scattered(seed)
    fill(books, dates)
    order = {"order": {"born": direction}}
    whole = as_client(dates, is_descending=direction == "desc")
    assert page(books, order)[0] == whole
    assert books.numbers("books", order) == whole
    for size in range(1, BOOKS + 1):
        for cut, side, edge in (("first", "after", "end"), ("last", "before", "start")):
            seen: list[int] = []
            options: dict[str, Any] = {**order, cut: size}
            for _ in range(BOOKS):
                found, info = page(books, options)
                seen = seen + found if cut == "first" else found + seen
                if not info["has-next-page?" if cut == "first" else "has-previous-page?"]:
                    break
                options = {**order, cut: size, side: info[f"{edge}-cursor"]}
            assert seen == whole, f"{cut} {size}"


@pytest.mark.rule("Q180")
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("seed", range(8))
def test_windows_of_every_kind(books: Library, direction: str, seed: int) -> None:
    dates = scattered(seed)
    fill(books, dates)
    order = {"order": {"born": direction}}
    whole = as_client(dates, is_descending=direction == "desc")
    cursors = []
    for offset in range(BOOKS):
        for limit in (1, 2, 5):
            found, info = page(books, {**order, "offset": offset, "limit": limit})
            assert found == whole[offset : offset + limit]
            assert info["has-next-page?"] is (offset + limit < BOOKS)
        assert page(books, {**order, "offset": offset})[0] == whole[offset:]
        found, info = page(books, {**order, "offset": offset, "limit": 1})
        assert info["start-cursor"][2] == dates[found[0]]
        cursors.append(info["start-cursor"])
    draw = random.Random(seed)
    for _ in range(80):
        low, high = sorted(draw.sample(range(BOOKS), 2))
        check_window(
            lambda options: page(books, {**order, **options}),
            whole,
            cursors,
            (low, high),
            is_inclusive=draw.random() < 0.5,
            few=3,
        )


def comparing(library: Library, op: str, date: str) -> list[int]:
    return library.where("books", {"born": {op: date}})


@pytest.mark.rule("Q181")
def test_conditions_and_extremes_are_exact(books: Library) -> None:
    texts = [instant_text(START_US + micros) for micros in (0, 1, 500, 999)]
    fill(books, dict(enumerate(texts, start=1)))
    assert comparing(books, "$gt", texts[1]) == [3, 4]
    assert comparing(books, "$gte", texts[1]) == [2, 3, 4]
    assert comparing(books, "$lt", texts[2]) == [1, 2]
    assert comparing(books, "$lte", texts[2]) == [1, 2, 3]
    assert books.where("books", {"born": {"$in": [texts[0], texts[3]]}}) == [1, 4]
    asked = {"min": "born", "max": "born"}
    (node,) = books.run({"books": {"$": {"aggregate": asked}}}).nodes
    assert node.totals is not None
    assert node.totals.shown() == {"min": {"born": texts[0]}, "max": {"born": texts[3]}}


@pytest.mark.rule("Q182")
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_only_a_page_that_parts_a_millisecond_asks_more(books: Library, direction: str) -> None:
    def us(milliseconds: int, micros: int = 0) -> str:
        return instant_text(START_US + milliseconds * 1000 + micros)

    # Whole ones of one millisecond, then fine and whole ones of another, then one by itself.
    dates = [us(0), us(0), us(0), us(1), us(1, 900), us(1), us(1, 5), us(2, 7)]
    fill(books, dict(enumerate(dates, start=1)))
    order = {"order": {"born": direction}}

    def asked(limit: int, offset: int = 0) -> int:
        # Without null: else a page that reaches them is two statements.
        options = {**order, "where": {"born": {"$isNull": False}}, "limit": limit}
        found, _ = page(books, {**options, "offset": offset})
        whole = as_client(dict(enumerate(dates, start=1)), is_descending=direction == "desc")
        assert found == whole[offset : offset + limit]
        return len(books.statements)

    least = asked(8)
    more = {
        # (limit, offset): statements more than a page that parts nothing
        "asc": {(1, 0): 1, (2, 0): 1, (3, 0): 0, (4, 0): 2, (7, 0): 0, (2, 1): 1, (2, 2): 3},
        "desc": {(1, 0): 0, (2, 0): 1, (5, 0): 0, (6, 0): 1, (7, 0): 1, (2, 1): 1, (1, 7): 1},
    }[direction]
    assert {cut: asked(*cut) - least for cut in more} == more


@pytest.mark.rule("Q183")
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_of_dates_are_read_in_order_of_their_index(books: Library, direction: str) -> None:
    dates = {
        number: instant_text(START_US + number // 6 * 1000 + 7 * (6 - number % 6))
        for number in range(1, 60)
    }
    fill(books, dates)
    order = {"order": {"born": direction}, "where": {"born": {"$isNull": False}}, "limit": 4}
    _, info = page(books, order)
    page(books, {**order, "after": info["end-cursor"]})
    plans = [books.explain(*statement) for statement in books.statements]
    by_cursor, within = "(born~order,id)%s(?,?)", "(born~order>? AND born~order<?)"
    if direction == "asc":
        # From the cursor, the run that the page parts, then what is before the page.
        assert by_cursor % ">" in plans[0] and "B-TREE" not in plans[0]
        assert within in plans[1]
    else:
        # The finer dates of the cursor's millisecond come first.
        assert within in plans[0] and by_cursor % "<" in plans[1]
        assert "B-TREE" not in plans[0] + plans[1]
        assert within in plans[2]
    page(books, {**order, "offset": 15})
    _, whole = books.statements
    assert "born~order (born~order>?" in books.explain(*whole), "no further than the page"


@pytest.mark.rule("Q180")
@pytest.mark.parametrize("seed", range(4))
def test_the_dates_of_a_millisecond_are_those_that_order_alike(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(1_000):
        instant = draw.choice((1, -1)) * draw.randrange(10 ** draw.randint(1, 16))
        value = written(draw, instant) if -(10**15) < instant < 10**15 else instant / 1000
        stored, cell = stored_order(BORN, value), order_cell(BORN, value)
        low, high = order_run(BORN, cell)
        assert isinstance(stored, int) and isinstance(low, int) and isinstance(high, int)
        assert low <= stored <= high and high - low == 999, f"seed {seed}: {value}"
        assert cell == low == stored // 1000 * 1000
        assert is_maybe_fine(value) or stored == cell


@pytest.mark.rule("Q184")
@pytest.mark.parametrize(
    ("value", "millisecond"),
    [
        ("1970-01-01T00:00:00.000999Z", 0),
        ("1970-01-01T00:00:00.0009994999Z", 0),
        ("1970-01-01T00:00:00.0009995Z", 1),
        (0.9994, 0),
        (0.9996, 1),
        (-1, -1),
        (-1.001, -2),
        ("1969-12-31T23:59:59.998999Z", -2),
    ],
)
def test_the_millisecond_of_a_date(value: str | float, millisecond: int) -> None:
    assert order_cell(BORN, value) == millisecond * 1000


@pytest.mark.rule("Q183")
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_rows_that_are_read_again_count_once(
    books: Library, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    fill(books, {number: START_US / 1000 + (21 - number) / 100 for number in range(1, 21)})
    monkeypatch.setattr(limits, "QUERY_ROWS_MAX", 10)
    options = {"order": {"born": "asc"}, "limit": 9, "offset": offset}
    assert page(books, options)[0] == list(range(1 + offset, 10 + offset))


@pytest.mark.rule("Q180")
def test_milliseconds_in_sql(books: Library) -> None:
    text = books.dialect.millisecond("?")
    edges = [0, 1, 999, 1000, 1001, -1, -999, -1000, -1001, START_US, -START_US - 1]
    edges += [INFINITY_US, -INFINITY_US, INFINITY_US - 1, 1 - INFINITY_US]
    ((origin,),) = books.connection.rows(f"SELECT {text}", (0,))
    assert isinstance(origin, int)
    for instant in edges:
        ((found,),) = books.connection.rows(f"SELECT {text}", (instant,))
        assert isinstance(found, int) and found - origin == instant // 1000, instant


@pytest.mark.rule("Q182")
@pytest.mark.parametrize(
    ("value", "is_fine"),
    [
        ("2025-01-02T03:04:05.678Z", False),
        ("2025-01-02T03:04:05.6780Z", True),
        ("2025-01-02 03:04:05.678901+0530", True),
        ('"2025-01-02T03:04:05.678901Z"', True),
        ("8/4/2025, 11:02:31 PM", False),
        ("2025-01-02", False),
        ("infinity", False),
        (1735776000000, False),
        (1735776000000.0, False),
        (1735776000000.5, True),
    ],
)
def test_dates_that_surely_are_whole(value: str | float, is_fine: bool) -> None:
    assert is_maybe_fine(value) is is_fine
    instant = instant_us(value)
    assert is_fine or instant is None or instant % 1000 == 0 or abs(instant) == INFINITY_US
