"""Order and pages: cursors, nulls, ties, both directions; what page info says."""

from __future__ import annotations

from typing import Any

import pytest

from support.library import Library, uid

# title by entity number: two nulls, one tie, and text whose ICU order differs from bytes.
TITLES: dict[int, str | None] = {
    1: "b",
    2: None,
    3: "10",
    4: "Zz",
    5: "a0",
    6: "b",
    7: None,
    8: "2",
}
ASCENDING = [2, 7, 3, 8, 5, 1, 6, 4]


@pytest.fixture
def shelf(books: Library) -> Library:
    for number, title in TITLES.items():
        books.add("books", number, title=title, pages=None if title is None else number % 3)
    return books


def page(library: Library, options: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    tree = library.run({"books": {"$": options}})
    (node,) = tree.nodes
    assert node.page is not None
    return [int.from_bytes(entity, "big") for entity in node.ids()], node.page.wire()


@pytest.mark.rule("Q50", "Q51", "Q61")
def test_order_of_text_is_the_clients_with_nulls_lowest(shelf: Library) -> None:
    assert page(shelf, {"order": {"title": "asc"}})[0] == ASCENDING
    assert page(shelf, {"order": {"title": "desc"}})[0] == ASCENDING[::-1]


@pytest.mark.rule("Q50")
def test_without_an_order_pages_are_by_creation(shelf: Library) -> None:
    assert page(shelf, {"limit": 3})[0] == [1, 2, 3]
    assert page(shelf, {"order": {"serverCreatedAt": "desc"}, "limit": 3})[0] == [8, 7, 6]


@pytest.mark.rule("Q52", "Q53", "Q54")
@pytest.mark.parametrize("label", ["title", "pages", "serverCreatedAt"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_pages_in_both_directions_cover_everything_once(
    shelf: Library, label: str, direction: str, size: int
) -> None:
    order = {"order": {label: direction}}
    whole, info = page(shelf, order)
    assert (info["has-next-page?"], info["has-previous-page?"]) == (False, False)
    seen: list[int] = []
    options: dict[str, Any] = {**order, "first": size}
    while True:
        found, info = page(shelf, options)
        seen += found
        assert info["has-previous-page?"] is (len(seen) > size)
        assert info["has-next-page?"] is (len(seen) < 8)
        if not info["has-next-page?"]:
            break
        options = {**order, "first": size, "after": info["end-cursor"]}
    assert seen == whole
    seen = []
    options = {**order, "last": size}
    while True:
        found, info = page(shelf, options)
        seen = found + seen
        assert info["has-next-page?"] is (len(seen) > size)
        assert info["has-previous-page?"] is (len(seen) < 8)
        if not info["has-previous-page?"]:
            break
        options = {**order, "last": size, "before": info["start-cursor"]}
    assert seen == whole


@pytest.mark.rule("Q52", "Q55", "Q56")
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("label", ["title", "serverCreatedAt"])
def test_windows_between_any_two_cursors(shelf: Library, direction: str, label: str) -> None:
    order = {"order": {label: direction}}
    whole, _ = page(shelf, order)
    cursors = [
        page(shelf, {**order, "limit": 1, "offset": at})[1]["start-cursor"] for at in range(8)
    ]
    for low in range(8):
        for high in range(low, 8):
            for inclusive in (False, True):
                window = {
                    **order,
                    "after": cursors[low],
                    "before": cursors[high],
                    "afterInclusive": inclusive,
                    "beforeInclusive": inclusive,
                }
                expected = whole[low : high + 1] if inclusive else whole[low + 1 : high]
                found, info = page(shelf, window)
                assert found == expected
                if found:
                    assert info["has-previous-page?"] is (whole[0] != found[0])
                    assert info["has-next-page?"] is (whole[-1] != found[-1])
                assert page(shelf, {**window, "last": 2})[0] == expected[-2:]
                assert page(shelf, {**window, "limit": 2, "offset": 1})[0] == expected[1:3]


@pytest.mark.rule("Q57")
def test_page_info_of_empty_pages(shelf: Library) -> None:
    _, info = page(shelf, {"limit": 1, "offset": 999})
    assert info == {
        "start-cursor": None,
        "end-cursor": None,
        "has-next-page?": False,
        "has-previous-page?": True,
    }
    _, last = page(shelf, {"limit": 8})
    assert page(shelf, {"limit": 8, "after": last["end-cursor"]})[1]["has-previous-page?"] is True
    _, info = page(shelf, {"where": {"title": "nothing"}, "limit": 1})
    assert info["has-previous-page?"] is False


@pytest.mark.rule("Q57")
def test_an_unknown_namespace_has_page_info_too(shelf: Library) -> None:
    tree = shelf.run({"nowhere": {"$": {"limit": 2}}})
    info = tree.nodes[0].page
    assert info is not None and (info.start, info.has_next, info.has_previous) == (
        None,
        False,
        False,
    )


@pytest.mark.rule("Q58")
def test_cursors_hold_entity_attr_value_and_time(shelf: Library) -> None:
    attr = shelf.catalog.find_forward("books", "title")
    id_attr = shelf.catalog.find_forward("books", "id")
    assert attr is not None and id_attr is not None
    _, info = page(shelf, {"order": {"title": "asc"}, "limit": 3})
    assert info["start-cursor"] == [uid(2), attr.id, None, 2]
    assert info["end-cursor"] == [uid(3), attr.id, "10", 3]
    _, info = page(shelf, {"limit": 1})
    assert info["start-cursor"] == [uid(1), id_attr.id, uid(1), 1]


@pytest.mark.rule("Q58")
def test_a_cursor_works_when_its_row_is_gone(shelf: Library) -> None:
    _, info = page(shelf, {"order": {"title": "asc"}, "limit": 4})
    shelf.connection.rows("DELETE FROM books WHERE id = ?", ((8).to_bytes(16, "big"),))
    found, _ = page(shelf, {"order": {"title": "asc"}, "limit": 2, "after": info["end-cursor"]})
    assert found == [5, 1]
    three_items = info["end-cursor"][:3]
    assert page(shelf, {"order": {"title": "asc"}, "limit": 2, "after": three_items})[0] == [5, 1]


@pytest.mark.rule("Q51")
def test_dates_and_booleans_order_by_what_they_mean(books: Library) -> None:
    books.add("books", 1, born="2025-01-02", out=True)
    books.add("books", 2, born=1735689600000, out=False)
    books.add("books", 3)
    assert page(books, {"order": {"born": "asc"}})[0] == [3, 2, 1]
    assert page(books, {"order": {"out": "desc"}})[0] == [1, 2, 3]
    _, info = page(books, {"order": {"born": "asc"}, "limit": 2})
    assert info["end-cursor"][2] == 1735689600000
    assert page(books, {"order": {"born": "asc"}, "after": info["end-cursor"]})[0] == [1]


@pytest.mark.rule("Q56")
def test_where_and_page_together(shelf: Library) -> None:
    found, info = page(shelf, {"where": {"title": {"$isNull": False}}, "limit": 2, "offset": 1})
    assert (found, info["has-next-page?"], info["has-previous-page?"]) == ([3, 4], True, True)


@pytest.mark.rule("Q55")
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_offset_after_a_cursor_crosses_from_nulls_to_values(shelf: Library, direction: str) -> None:
    order = {"order": {"title": direction}}
    whole, info = page(shelf, {**order, "limit": 1})
    whole, _ = page(shelf, order)
    for offset in range(8):
        options = {**order, "after": info["end-cursor"], "offset": offset, "limit": 2}
        assert page(shelf, options)[0] == whole[1:][offset : offset + 2]
