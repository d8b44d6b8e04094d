"""Deletes and what they take along."""

from __future__ import annotations

import pytest

from support.transact_app import App, raw, uid
from trice import limits
from trice.errors import LimitExceeded


@pytest.mark.rule("T22")
def test_a_delete_takes_all_links_in_both_directions(library: App) -> None:
    library.define("books", "series", to=("series", "parts"), cardinality="many")
    library.put("people", 5, name="Ada")
    library.put("books", 1, author=uid(5), tags=uid(7), title="t")
    library.put("books", 2, tags=uid(7))
    library.put("tags", 7)
    library.put("people", 7, name="same id, another namespace")
    gone = library.transact([["delete-entity", uid(7), "tags"]])
    assert {(pair.source, pair.target, pair.is_added) for pair in gone.pairs} == {
        (raw(1), raw(7), False),
        (raw(2), raw(7), False),
    }
    assert [(change.etype, change.new) for change in gone.entities] == [("tags", None)]
    assert library.get("people", 7) is not None
    library.transact([["delete-entity", uid(5), "people"]])
    assert library.get("books", 1) == {"title": "t", "pages": None}
    library.put("books", 1, tags=uid(8))
    library.transact([["delete-entity", uid(1), "books"]])
    assert library.pairs("books", "tags") == set()
    assert library.get("books", 1) is None


@pytest.mark.rule("T22")
def test_a_delete_also_takes_links_of_the_same_transaction(library: App) -> None:
    library.transact(
        [
            *library.put_steps("books", 1, author=uid(5), tags=uid(7)),
            ["delete-entity", uid(5), "people"],
            ["delete-entity", uid(7), "tags"],
        ]
    )
    assert library.get("books", 1) == {"pages": None}
    assert library.pairs("books", "tags") == set()


@pytest.mark.rule("T22")
def test_a_delete_leaves_links_that_were_moved_before(library: App) -> None:
    library.put("books", 1, author=uid(5))
    move = ["add-triple", uid(1), library.attr("books", "author").id, uid(6)]
    library.transact([move, ["delete-entity", uid(5), "people"]])
    assert library.get("books", 1) == {"author": uid(6), "pages": None}


@pytest.mark.rule("T23")
def test_a_delete_without_namespace_goes_everywhere(library: App) -> None:
    for etype in ("books", "people", "tags"):
        library.put(etype, 1)
    library.put("people", 2)
    library.transact([["add-triple", uid(3), library.attr("books", "tags").id, uid(1)]])
    library.transact([["delete-entity", uid(1)], ["delete-entity", uid(3)]])
    assert [library.all(etype) for etype in ("books", "tags")] == [{}, {}]
    assert set(library.all("people")) == {uid(2)}
    assert library.pairs("books", "tags") == set()


@pytest.mark.rule("T24")
def test_on_delete_takes_the_sources(app: App) -> None:
    app.define("users", "id")
    app.define("books", "id")
    app.define("books", "owner", to=("users", "books"), on_delete="cascade")
    app.put("users", 1)
    for number in (2, 3):
        app.put("books", number, owner=uid(1))
    app.put("books", 4)
    app.transact([["delete-entity", uid(2), "books"]])
    assert app.get("users", 1) == {}
    app.transact([["delete-entity", uid(1), "users"]])
    assert set(app.all("books")) == {uid(4)}


@pytest.mark.rule("T24")
@pytest.mark.parametrize("cardinality", ["one", "many"])
def test_on_delete_reverse_takes_the_targets(app: App, cardinality: str) -> None:
    app.define("users", "id")
    app.define("books", "id")
    app.define(
        "users",
        "books",
        to=("books", "owner"),
        cardinality=cardinality,
        unique=True,
        on_delete_reverse="cascade",
    )
    app.put("books", 2)
    app.put("users", 1, books=uid(2))
    app.put("users", 3)
    app.transact([["delete-entity", uid(3), "users"]])
    assert app.get("books", 2) == {}
    app.transact([["delete-entity", uid(1), "users"]])
    assert app.all("books") == {}


@pytest.mark.rule("T24")
def test_cascades_end_on_cycles_and_know_namespaces(app: App) -> None:
    app.define("nodes", "id")
    app.define("nodes", "next", to=("nodes", "before"), on_delete="cascade")
    app.define("others", "id")
    for number in range(1, 6):
        app.put("nodes", number, next=uid(number % 5 + 1))
        app.put("others", number)
    commit = app.transact([["delete-entity", uid(3), "nodes"]])
    assert len(commit.entities) == 5
    assert app.all("nodes") == {}
    assert len(app.all("others")) == 5


@pytest.mark.rule("T24")
def test_a_guest_goes_with_its_primary_user(app: App) -> None:
    link = app.attr("$users", "linkedPrimaryUser").id
    for number in (1, 2):
        app.put("$users", number)
    app.transact([["add-triple", uid(1), link, uid(2)]])
    app.put("$users", 3, linkedPrimaryUser=uid(2))
    app.transact([["delete-entity", uid(3), "$users"]])
    assert set(app.all("$users")) == {uid(1), uid(2)}
    app.transact([["delete-entity", uid(2), "$users"]])
    assert app.all("$users") == {}


@pytest.mark.rule("T25")
def test_cascades_are_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TX_CASCADE_MAX", 3)
    app.define("nodes", "id")
    app.define("nodes", "next", to=("nodes", "before"), on_delete="cascade")
    for number in range(1, 6):
        app.put("nodes", number, next=uid(number + 1))
    with pytest.raises(LimitExceeded):
        app.transact([["delete-entity", uid(6), "nodes"]])
    assert len(app.all("nodes")) == 5
    app.define("pages", "links", to=("nodes", "linked"), cardinality="many")
    for number in range(1, 6):
        app.transact([["add-triple", uid(number), app.attr("pages", "links").id, uid(1)]])
    with pytest.raises(LimitExceeded):
        app.transact([["delete-entity", uid(1), "nodes"]])


@pytest.mark.rule("T26")
def test_deleting_nothing_is_fine(library: App) -> None:
    for step in (
        ["delete-entity", uid(1), "books"],
        ["delete-entity", uid(1)],
        ["delete-entity", uid(1), "nowhere"],
    ):
        commit = library.transact([step])
        assert (commit.entities, commit.pairs) == ([], [])
