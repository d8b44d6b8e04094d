"""Lookups: `[attr, value]` in place of an id."""

from __future__ import annotations

from typing import Any

import pytest

from support.transact_app import App, raw, uid
from trice.errors import InvalidInput


@pytest.fixture
def ada(library: App) -> App:
    library.put("people", 1, email="ada@x.y", name="Ada")
    return library


def lookup(app: App, value: Any, *, label: str = "email", etype: str = "people") -> list[Any]:
    return [app.attr(etype, label).id, value]


def refused(app: App, steps: Any) -> InvalidInput:
    before = app.snapshot()
    with pytest.raises(InvalidInput) as caught:
        app.transact(steps)
    assert app.snapshot() == before
    return caught.value


@pytest.mark.rule("T12")
def test_a_lookup_by_id(ada: App) -> None:
    by = lookup(ada, uid(7), label="id")
    ada.transact([["add-triple", by, ada.attr("people", "id").id, by]])
    assert ada.get("people", 7) == {"email": None}
    wrong = lookup(ada, "seven", label="id")
    error = refused(ada, [["add-triple", wrong, ada.attr("people", "name").id, "x"]])
    assert "Invalid lookup 'seven'" in error.message and "not a valid UUID" in error.message


@pytest.mark.rule("T13")
def test_a_lookup_needs_a_unique_attr(ada: App) -> None:
    by = lookup(ada, "Ada", label="name")
    error = refused(ada, [["add-triple", by, ada.attr("people", "id").id, by]])
    assert "`name` is not a unique attribute on `people`" in error.message
    refused(ada, [["delete-entity", lookup(ada, None), "people"]])


@pytest.mark.rule("T14")
def test_the_target_of_a_link_must_exist(ada: App) -> None:
    author = ada.attr("books", "author").id
    ada.transact(
        [*ada.put_steps("books", 2), ["add-triple", uid(2), author, lookup(ada, "ada@x.y")]]
    )
    assert ada.get("books", 2) == {"pages": None, "author": uid(1)}
    error = refused(ada, [["add-triple", uid(2), author, lookup(ada, "no@x.y")]])
    assert error.hint["data-type"] == "lookup"
    assert error.hint["input"] == {
        "attribute-id": ada.attr("people", "email").id,
        "namespace": "people",
        "label": "email",
        "value": "no@x.y",
    }
    assert "The entity for the lookup does not exist." in error.message


@pytest.mark.rule("T15")
def test_removing_by_a_lookup_without_match_is_ignored(ada: App) -> None:
    author, nobody = ada.attr("books", "author").id, lookup(ada, "no@x.y")
    ada.put("books", 2, author=uid(1))
    commit = ada.transact(
        [
            ["delete-entity", nobody, "people"],
            ["retract-triple", uid(2), author, nobody],
            ["retract-triple", lookup(ada, "0", label="isbn", etype="books"), author, uid(1)],
        ]
    )
    assert commit.entities == []
    ada.transact([["delete-entity", lookup(ada, "ada@x.y"), "people"]])
    assert ada.all("people") == {}


@pytest.mark.rule("T16")
def test_the_lookups_own_attr_changes_only_if_it_matches(ada: App) -> None:
    email = ada.attr("people", "email").id
    by = lookup(ada, "ada@x.y")
    name = ada.attr("people", "name").id
    ada.transact([["add-triple", by, email, "new@x.y"], ["add-triple", by, name, "New"]])
    assert ada.all("people") == {uid(1): {"email": "new@x.y", "name": "New"}}
    error = refused(ada, [["add-triple", lookup(ada, "ada@x.y"), email, "b@x.y"]])
    assert "Updates with lookups can only update the lookup attribute if" in error.message


@pytest.mark.rule("T18")
def test_a_lookup_finds_only_in_its_own_namespace(ada: App) -> None:
    for step in (
        ["add-triple", lookup(ada, "ada@x.y"), ada.attr("books", "title").id, "x"],
        ["delete-entity", lookup(ada, "ada@x.y"), "books"],
        ["add-triple", uid(2), ada.attr("books", "tags").id, lookup(ada, "ada@x.y")],
    ):
        error = refused(ada, [step])
        assert "namespace in the lookup attribute is different" in error.message


@pytest.mark.rule("T20")
def test_a_lookup_through_a_unique_link(ada: App) -> None:
    ada.define("people", "passport", to=("passports", "owner"), unique=True)
    ada.define("people", "pets", to=("pets", "owner"), cardinality="many", unique=True)
    name = ada.attr("people", "name").id
    passport, pets = ada.attr("people", "passport").id, ada.attr("people", "pets").id
    ada.transact([["add-triple", uid(1), passport, uid(5)], ["add-triple", uid(1), pets, uid(6)]])
    ada.transact([["add-triple", [passport, uid(5)], name, "by passport"]])
    assert ada.all("people")[uid(1)]["name"] == "by passport"
    ada.transact([["add-triple", [pets, uid(6)], name, "by pet"]])
    assert ada.all("people")[uid(1)]["name"] == "by pet"
    by, id_attr = [pets, uid(8)], ada.attr("people", "id").id
    ada.transact([["add-triple", by, id_attr, by]])
    assert len(ada.all("people")) == 2
    assert {target for _, target in ada.pairs("people", "pets")} == {raw(6), raw(8)}


@pytest.mark.rule("T21")
def test_lookups_are_read_in_batches(ada: App) -> None:
    steps: list[Any] = []
    for number in range(100):
        by = lookup(ada, f"{number}@x.y")
        steps.append(["add-triple", by, ada.attr("people", "id").id, by])
    ada.transact(steps)
    assert len([sql for sql in ada.statements if sql.startswith("SELECT")]) == 3
    assert len(ada.all("people")) == 101


@pytest.mark.rule("T21")
@pytest.mark.parametrize(("etype", "label"), [("people", "email"), ("books", "isbn")])
def test_lookups_use_the_index_of_their_attr(ada: App, etype: str, label: str) -> None:
    ada.transact([["delete-entity", lookup(ada, "a", label=label, etype=etype), etype]])
    (sql,) = [sql for sql in ada.statements if f'"{label}"' in sql and " IN (" in sql]
    plan = str(ada.rows(f"EXPLAIN QUERY PLAN {sql}", "a")[0][3])
    assert f"{etype}~{label}~unique" in plan
