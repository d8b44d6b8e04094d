"""Fields, links and merges: what is stored, and what a Commit lists."""

from __future__ import annotations

from typing import Any

import pytest

from support.transact_app import App, raw, uid
from trice.errors import Conflict, InvalidInput
from trice.transact.merge import deep_merge


def conflict(app: App, steps: Any) -> Conflict:
    with pytest.raises(Conflict) as caught:
        app.transact(steps)
    assert caught.value.code == "record-not-unique"
    return caught.value


@pytest.mark.rule("T8")
def test_unknown_attrs(library: App) -> None:
    with pytest.raises(InvalidInput) as caught:
        library.transact([["add-triple", uid(1), uid(99, "a"), 1]])
    assert caught.value.code == "sql-raise"
    assert caught.value.message == f"We could not find an attribute with id = {uid(99, 'a')}"


@pytest.mark.rule("T31")
def test_equal_values_are_no_change(library: App) -> None:
    library.put("books", 1, title="a", pages=5, meta={"a": 1, "b": [True]})
    commit = library.put("books", 1, title="a", pages=5.0, meta={"b": [True], "a": 1.0})
    assert (commit.entities, commit.pairs) == ([], [])
    assert not commit.is_catalog_changed
    assert library.put("books", 1, meta={"b": [1], "a": 1}).entities != []


@pytest.mark.rule("T32")
def test_creation_times(library: App) -> None:
    first = library.runtime.now
    library.put("books", 1, title="a")
    library.runtime.advance(100)
    library.put("books", 1, title="b")
    assert library.created("books", 1) == first
    library.transact([["delete-entity", uid(1), "books"], *library.put_steps("books", 1)])
    assert library.created("books", 1) == first + 100
    assert library.get("books", 1) == {"pages": None}


@pytest.mark.rule("T33")
def test_a_has_many_link_is_a_set(library: App) -> None:
    tags = library.attr("books", "tags").id
    link = ["add-triple", uid(1), tags, uid(9)]
    assert len(library.transact([link, link]).pairs) == 1
    assert library.transact([link]).pairs == []
    assert library.pairs("books", "tags") == {(raw(1), raw(9))}
    removed = library.transact([["retract-triple", uid(1), tags, uid(9)]]).pairs
    assert [pair.is_added for pair in removed] == [False]
    for value in ("hello", 5, None, {}, ["x", 1]):
        with pytest.raises(InvalidInput) as caught:
            library.transact([["add-triple", uid(1), tags, value]])
        assert caught.value.hint["data-type"] == "eid"


@pytest.mark.rule("T34")
def test_a_has_one_link_is_replaced_and_never_stolen(library: App) -> None:
    library.define("people", "passport", to=("passports", "owner"), unique=True)
    author, passport = library.attr("books", "author").id, library.attr("people", "passport").id
    for target in (8, 9):
        library.transact([["add-triple", uid(1), author, uid(target)]])
    library.put("books", 1)
    assert library.get("books", 1) == {"author": uid(9), "pages": None}
    library.transact([["add-triple", uid(1), passport, uid(5)]])
    error = conflict(library, [["add-triple", uid(2), passport, uid(5)]])
    assert error.hint["attr-id"] == passport and error.hint["value"] == uid(5)


@pytest.mark.rule("T34")
def test_ids_that_begin_like_a_document_are_only_ids(library: App) -> None:
    first, second = (f"7b000000-0000-4000-8000-{number:012d}" for number in (1, 2))
    author = library.attr("books", "author").id
    library.put("books", 1)
    for target in (first, second):
        library.transact([["add-triple", uid(1), author, target]])
    assert library.get("books", 1) == {"author": second, "pages": None}


@pytest.mark.rule("T34")
def test_the_one_side_of_a_has_many_link_is_never_stolen(library: App) -> None:
    library.define("people", "pets", to=("pets", "owner"), cardinality="many", unique=True)
    pets = library.attr("people", "pets").id
    library.transact([["add-triple", uid(1), pets, uid(5)]])
    assert library.transact([["add-triple", uid(1), pets, uid(5)]]).pairs == []
    error = conflict(library, [["add-triple", uid(2), pets, uid(5)]])
    assert error.hint["label"] == "pets"
    library.transact(
        [["retract-triple", uid(1), pets, uid(5)], ["add-triple", uid(2), pets, uid(5)]]
    )
    assert library.pairs("people", "pets") == {(raw(2), raw(5))}


@pytest.mark.rule("T35")
def test_unique_fields(library: App) -> None:
    library.put("people", 1, email="a@b.c")
    error = conflict(library, library.put_steps("people", 2, email="a@b.c"))
    assert error.hint == {
        "record-type": "triple",
        "attr-id": library.attr("people", "email").id,
        "etype": "people",
        "label": "email",
        "value": "a@b.c",
    }
    assert error.message == (
        "`email` is a unique attribute on `people` and an entity already exists with "
        '`people.email` = "a@b.c"'
    )
    conflict(
        library,
        library.put_steps("books", 3, isbn={"k": 1}) + library.put_steps("books", 4, isbn={"k": 1}),
    )
    for number in (5, 6):
        library.put("books", number, isbn=None)
        library.put("people", number, email=None)


@pytest.mark.rule("T37")
@pytest.mark.parametrize(
    ("stored", "patch", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": None, "c": 3}, {"a": 1, "c": 3}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": None}}, {"a": {"x": 1}}),
        ({"a": 1}, {"a": {"x": None}}, {"a": {"x": None}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": 1}, 5, 5),
        ({"a": 1}, None, None),
        (5, {"a": None}, {"a": None}),
        ([1], {"a": 1}, {"a": 1}),
        ({"a": 1}, {"b": {"c": None}}, {"a": 1, "b": {"c": None}}),
    ],
)
def test_merge(library: App, stored: Any, patch: Any, merged: Any) -> None:
    assert deep_merge(stored, patch) == merged
    meta = library.attr("books", "meta").id
    library.put("books", 1, meta=stored)
    library.transact([["deep-merge-triple", uid(1), meta, patch]])
    found = library.get("books", 1)
    assert found is not None and found["meta"] == merged


@pytest.mark.rule("T37")
def test_merges_compose(library: App) -> None:
    meta = library.attr("books", "meta").id
    patches = [{"a": 1}, {"b": {"c": 2}}, {"a": None, "b": {"d": 3}}]
    library.put("books", 1)
    library.transact([["deep-merge-triple", uid(1), meta, patch] for patch in patches])
    assert library.get("books", 1) == {"meta": {"b": {"c": 2, "d": 3}}, "pages": None}


@pytest.mark.rule("T38")
@pytest.mark.parametrize("label", ["author", "tags"])
def test_links_cannot_be_merged(library: App, label: str) -> None:
    link = library.attr("books", label).id
    with pytest.raises(InvalidInput, match="merge operation is not supported for links"):
        library.transact([["deep-merge-triple", uid(1), link, uid(2)]])


@pytest.mark.rule("T40")
def test_retract_matches_the_exact_value(library: App) -> None:
    library.put("books", 1, title="a", meta={"k": 1}, author=uid(5))
    title, meta, author = (library.attr("books", label).id for label in ("title", "meta", "author"))
    wrong = [[title, "b"], [meta, {"k": 2}], [author, uid(6)], [title, None]]
    assert library.transact([["retract-triple", uid(1), *each] for each in wrong]).entities == []
    right = [[title, "a"], [meta, {"k": 1.0}], [author, uid(5)]]
    library.transact([["retract-triple", uid(1), *each] for each in right])
    assert library.get("books", 1) == {"pages": None}


@pytest.mark.rule("T41")
def test_an_entity_without_id_is_a_stub(library: App) -> None:
    id_attr, title = library.attr("books", "id").id, library.attr("books", "title").id
    commit = library.transact([["add-triple", uid(1), title, "a"]])
    assert library.get("books", 1) is None
    assert commit.entities[0].new.created_ms is None
    library.put("books", 1)
    assert library.get("books", 1) == {"title": "a", "pages": None}
    library.transact([["retract-triple", uid(1), id_attr, uid(1)]])
    assert library.get("books", 1) is None
    last = library.transact([["retract-triple", uid(1), title, "a"]])
    assert last.entities[0].new is None
    assert library.rows('SELECT * FROM "books"') == []


@pytest.mark.rule("T44")
def test_inferred_types_accumulate(library: App) -> None:
    def inferred() -> Any:
        return library.attr("books", "meta").wire()["inferred-types"]

    version = library.catalog.version
    assert inferred() is None
    library.put("books", 1, meta=None)
    assert inferred() is None
    for value in ("a", 5, None, "b"):
        library.put("books", 1, meta=value)
    assert inferred() == ["number", "string"]
    library.put("books", 1, meta=True)
    library.put("books", 1, meta={}, author=uid(2))
    assert inferred() == ["number", "string", "boolean", "json"]
    assert library.attr("books", "author").wire()["inferred-types"] == ["string"]
    assert library.catalog.version == version


@pytest.mark.rule("T46")
def test_a_batch_reads_once(library: App) -> None:
    library.put("books", 0, title="a", pages=1, author=uid(5))
    steps: list[Any] = []
    for number in range(1, 1001):
        steps += library.put_steps("books", number, title=f"t{number}", pages=number)
        steps.append(["add-triple", uid(number), library.attr("books", "author").id, uid(5)])
    library.transact(steps)
    reads = [sql for sql in library.statements if sql.startswith("SELECT")]
    inserts = [sql for sql in library.statements if sql.startswith("INSERT")]
    assert (len(reads), len(inserts), len(set(inserts))) == (1, 1000, 1)
    assert len(library.statements) == 1001


@pytest.mark.rule("T47")
def test_an_update_writes_only_what_changed(library: App) -> None:
    library.put("books", 1, title="a", pages=1)
    library.put("books", 1, title="a", pages=2)
    (update,) = [sql for sql in library.statements if sql.startswith("UPDATE")]
    assert update == 'UPDATE "books" SET "pages" = ? WHERE id = ?'


@pytest.mark.rule("T102")
def test_one_statement_reads_a_row_and_one_writes_it(library: App) -> None:
    library.put("books", 0, title="a", pages=1, isbn="0", author=uid(5))
    library.put("books", 1, title="b", pages=2, isbn="1", author=uid(5))
    assert [sql.split()[0] for sql in library.statements] == ["SELECT", "INSERT"]
    library.put("books", 1, title="c", pages=3, isbn="2", author=uid(6))
    assert [sql.split()[0] for sql in library.statements] == ["SELECT", "UPDATE"]
