"""What an answer may take: counted before it is made, whatever was read for it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from support.flat_results import flat_result
from support.library import Library
from trice import limits
from trice.errors import InvalidInput, LimitExceeded
from trice.query.encode import EntityCache, nested_json, nested_result
from trice.query.parse.forms import parse
from trice.query.plan import plan
from trice.store.engine import ReadTooLong


def fill(library: Library, count: int) -> None:
    """One author, and so many books of theirs."""
    library.add("people", 1, name="Ada")
    for number in range(10, 10 + count):
        library.add("books", number, title="t", author=1)


def deep(depth: int) -> dict[str, Any]:
    """So many times from the books to their author and all the books of that."""
    form: dict[str, Any] = {}
    for _ in range(depth):
        form = {"author": {"books": form}}
    return {"books": form}


@pytest.mark.rule("Q130")
@pytest.mark.parametrize("is_inferring", [False, True])
def test_a_nested_answer_is_refused_before_it_is_made(books: Library, is_inferring: bool) -> None:
    fill(books, 60)
    sizes = [
        len(nested_json(books.run(deep(depth)), is_inferring=is_inferring)) for depth in range(3)
    ]
    assert sizes[2] > 50 * sizes[1] > 50 * 50 * sizes[0], "each level multiplies"
    # 60 to the power of 11 books: nothing could hold them.
    tree = books.run(deep(10))
    with pytest.raises(LimitExceeded) as refused:
        nested_json(tree, is_inferring=is_inferring)
    assert refused.value.code == "parameter-limit-exceeded"
    assert "`fields`" in refused.value.message and "levels" in refused.value.message
    assert refused.value.hint["bytes"] > limits.RESULT_BYTES_MAX


@pytest.mark.rule("Q130")
def test_the_bound_is_the_size_of_the_answer(
    books: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(books, 20)
    tree = books.run(deep(2))
    whole = nested_json(tree, is_inferring=False)
    assert nested_result(tree, is_inferring=False) == orjson.loads(whole)
    # The brackets of forms and of the whole stand around what is counted.
    monkeypatch.setattr(limits, "RESULT_BYTES_MAX", len(whole))
    assert nested_json(tree, is_inferring=False) == whole
    monkeypatch.setattr(limits, "RESULT_BYTES_MAX", len(whole) - 100)
    with pytest.raises(LimitExceeded):
        nested_json(tree, is_inferring=False)


@pytest.mark.rule("Q130")
def test_a_flat_answer_is_refused_before_it_is_joined(
    books: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 40):
        books.add("books", number, title="t", note="x" * 1_000)
        books.pair("books", "tags", number, 1_000, 1_001)
    for query in ({"books": {}}, {"books": {"$": {"where": {"tags": {"$isNull": False}}}}}):
        tree = books.run(query)
        whole = flat_result(tree, EntityCache())
        with monkeypatch.context() as patch:
            patch.setattr(limits, "RESULT_BYTES_MAX", len(whole))
            assert flat_result(tree, EntityCache()) == whole
            patch.setattr(limits, "RESULT_BYTES_MAX", len(whole) - 100)
            with pytest.raises(LimitExceeded):
                flat_result(tree, EntityCache())


@pytest.mark.rule("Q131")
def test_what_is_read_is_counted_as_it_is_read(
    books: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 200):
        books.add("books", number, title="t", note=f"{number}" + "x" * 10_000)
        books.add("people", 1_000 + number, name="n", age="y" * 100)
    monkeypatch.setattr(limits, "QUERY_READ_BYTES_MAX", 500_000)
    books.run({"people": {}})
    books.run({"books": {"$": {"fields": ["title"]}}})
    books.run({"books": {"$": {"limit": 40}}})
    # What is taken of one row after the other is not gone on with.
    seen: list[int] = []
    rows = books.connection.rows

    def watched(sql: str, bindings: Any = (), take: Any = None) -> Any:
        class Counted:
            rows_first = take.rows_first

            def __call__(self, some: Any, /) -> int:
                seen.append(len(some))
                return int(take(some))

        return rows(sql, bindings, Counted())

    monkeypatch.setattr(books, "rows", watched)
    for query in (
        {"books": {}},
        {"books": {"$": {"limit": 150}}},
        {"books": {"$": {"aggregate": {"count": True, "groupBy": "note"}}}},
    ):
        seen.clear()
        with pytest.raises(LimitExceeded) as refused:
            books.run(query)
        assert refused.value.code == "parameter-limit-exceeded"
        assert sum(seen) < 150


@pytest.mark.rule("Q132")
def test_large_values_and_answers_count_against_the_budget_of_the_loop(books: Library) -> None:
    fill(books, 60)
    books.run({"books": {}})
    assert books.steps < 2_000
    books.steps = 0
    nested_json(books.run(deep(2)), is_inferring=False, spend=books.spend)
    assert books.steps > limits.READ_STEPS_ON_LOOP, "10 MB"

    def refuse(steps: int) -> None:
        raise ReadTooLong

    with pytest.raises(ReadTooLong):
        nested_json(books.run({"books": {}}), is_inferring=False, spend=refuse)


@pytest.mark.rule("Q133")
@pytest.mark.parametrize(
    "where",
    [
        {"or": [{"title": f"t{number}"} for number in range(600)]},
        {"title": {"$in": [f"t{number}" for number in range(20_000)]}},
        {"or": [{"author.boss.boss.boss.name": f"t{number}"} for number in range(150)]},
        {"and": [{"author." + "boss." * 30 + "name": "x"}] * 60},
        {"title": {"$like": "%" + "ab" * 100 + "%"}},
    ],
)
def test_a_large_query_spends_before_it_reads(books: Library, where: Any) -> None:
    spent: list[int] = []

    def spend(steps: int) -> None:
        spent.append(steps)

    query = parse({"books": {"$": {"where": where}}}, books.catalog, is_admin=False, spend=spend)
    made = plan(query, books.catalog, dialect=books.dialect, spend=spend)
    prepared = made.forms[0].select
    assert prepared is not None
    assert sum(spent) + prepared.steps > limits.READ_STEPS_ON_LOOP * 3 // 4
    small = parse({"books": {"$": {"where": {"title": "x"}}}}, books.catalog, is_admin=False)
    spent.clear()
    plan(small, books.catalog, dialect=books.dialect, spend=spend)
    assert sum(spent) < limits.READ_STEPS_ON_LOOP // 100


@pytest.mark.rule("Q134")
def test_budgets_are_of_the_whole_query(books: Library) -> None:
    def forms(count: int, where: Any) -> dict[str, Any]:
        form: dict[str, Any] = {}
        for _ in range(count):
            form = {"$": {"where": where}, "boss": form}
        return {"people": form}

    half = limits.QUERY_CONDITIONS_MAX // 2
    names = [f"n{number}" for number in range(limits.QUERY_IN_VALUES_MAX // 2)]
    paths = {"and": [{"boss." * 20 + "name": "x"}] * (limits.QUERY_LINKS_MAX // 40)}
    for where in (
        {"or": [{"name": "x"}] * (half - 1)},
        {"or": [{}] * (half - 1)},
        {"name": {"$in": names}},
        paths,
    ):
        assert parse(forms(2, where), books.catalog, is_admin=False).size > 0
        with pytest.raises(InvalidInput) as refused:
            parse(forms(3, where), books.catalog, is_admin=False)
        (entry,) = refused.value.hint["errors"]
        assert entry["expected"] == "supported-size?"
        assert "all forms together" in entry["message"]
