"""The admin API's high-level steps."""

from __future__ import annotations

from typing import Any

import pytest

from support.transact_app import App, raw, uid
from trice.errors import InvalidInput, TriceError


def refused(app: App, *steps: Any) -> InvalidInput:
    before = app.snapshot()
    with pytest.raises(InvalidInput) as caught:
        app.admin(*steps)
    assert app.snapshot() == before
    return caught.value


@pytest.mark.rule("T91")
def test_create_update_merge_delete(library: App) -> None:
    library.admin(["create", "books", uid(1), {"title": "a", "meta": {"x": 1}, "id": uid(5)}])
    assert library.all("books") == {uid(1): {"title": "a", "meta": {"x": 1}, "pages": None}}
    library.admin(["merge", "books", uid(1), {"meta": {"y": 2}}])
    library.admin(["update", "books", uid(1), {"title": "b"}])
    assert library.get("books", 1) == {"title": "b", "meta": {"x": 1, "y": 2}, "pages": None}
    assert "Creating entities" in refused(library, ["create", "books", uid(1), {}]).message
    library.admin(["delete", "books", uid(1), {}], ["delete", "books", uid(2)])
    assert library.all("books") == {}


@pytest.mark.rule("T92")
def test_upsert(library: App) -> None:
    step = ["update", "books", uid(1), {"title": "a"}]
    assert "don't exist" in refused(library, [*step, {"upsert": False}]).message
    library.admin([*step, {"upsert": True}])
    library.admin([*step, {"upsert": False}])
    refused(library, ["merge", "books", uid(2), {"title": "a"}, {"upsert": False}])
    refused(library, [*step, {"upsert": "no"}])
    refused(library, [*step, 5])


@pytest.mark.rule("T93")
@pytest.mark.parametrize("eid", [["email", "a__b"], {"email": "a__b"}, 'lookup__email__"a__b"'])
def test_a_lookup_has_three_spellings(library: App, eid: Any) -> None:
    library.put("people", 1, email="a__b")
    library.admin(["update", "people", eid, {"name": "found"}])
    assert library.all("people") == {uid(1): {"email": "a__b", "name": "found"}}
    library.admin(["link", "people", eid, {"books": uid(2)}])
    library.admin(["create", "books", uid(3), {"author": eid}])
    assert library.all("books")[uid(3)]["author"] == uid(1)
    library.admin(["link", "books", uid(4), {"author": eid}], ["update", "books", uid(4), {}])
    assert library.all("books")[uid(4)]["author"] == uid(1)
    library.admin(["delete", "people", eid, None])
    assert library.all("people") == {}


@pytest.mark.rule("T94")
@pytest.mark.parametrize(
    ("eid", "message"),
    [
        ("12345", "Invalid entity ID '12345'. Entity IDs must be UUIDs or lookup references."),
        (5, "Invalid entity ID '5'"),
        (["name", "x"], "`name` is not a unique attribute on `people`"),
        ([5, "x"], "is not a valid lookup attribute."),
        (["books.title", "x"], "books.title is not a valid lookup attribute."),
        ("lookup__email", "lookup value is invalid"),
        ("lookup__email__{", "lookup value is invalid"),
        (["email", None], "lookup value is invalid"),
        ({"email": "a", "name": "b"}, "lookup must be an object with a single unique attr"),
        ({}, "lookup must be an object with a single unique attr and value."),
    ],
)
def test_bad_ids(library: App, eid: Any, message: str) -> None:
    error = refused(library, ["delete", "people", uid(1)], ["update", "people", eid, {}])
    assert message in error.message
    assert error.hint["data-type"] == "steps"
    assert error.hint["errors"][0]["in"] == [1, 2]


@pytest.mark.rule("T97")
def test_missing_attrs_are_created(app: App) -> None:
    app.admin(
        ["update", "todos", uid(1), {"title": "a", "extra": {"k": 1}}],
        ["update", "people", ["handle", "ada"], {"name": "Ada"}],
        ["link", "todos", uid(1), {"people": uid(2)}],
    )
    assert app.get("todos", 1) == {"title": "a", "extra": {"k": 1}}
    title, handle = app.attr("todos", "title"), app.attr("people", "handle")
    assert (title.is_unique, title.is_indexed, title.checked_type) == (False, False, None)
    assert (handle.is_unique, handle.is_indexed) == (True, True)
    assert app.attr("todos", "id").is_unique and not app.attr("todos", "id").is_indexed
    link = app.attr("todos", "people")
    assert link.reverse is not None and link.reverse.name == ("people", "todos")
    assert (link.cardinality, link.is_unique) == ("many", False)
    assert app.pairs("todos", "people") == {(raw(1), raw(2))}


@pytest.mark.rule("T98")
def test_lookups_through_links(library: App) -> None:
    library.admin(["update", "people", ["passport.id", uid(5)], {"name": "Ada"}])
    passport = library.attr("people", "passport")
    assert (passport.cardinality, passport.is_unique) == ("one", True)
    library.admin(["update", "people", ["passport.id", uid(5)], {"name": "Countess"}])
    assert [person["name"] for person in library.all("people").values()] == ["Countess"]
    refused(library, ["update", "books", ["author.id", uid(5)], {"title": "x"}])


@pytest.mark.rule("T99")
def test_missing_attrs_may_be_forbidden(library: App) -> None:
    with pytest.raises(InvalidInput) as caught:
        library.admin(
            ["update", "books", uid(1), {"title": "a", "genre": 1}],
            ["link", "shelves", uid(2), {"books": uid(1)}],
            throw_on_missing_attrs=True,
        )
    assert caught.value.message == "Attributes are missing in your schema"
    assert caught.value.hint["errors"][0]["hint"] == {
        "attributes": ["books.genre", "shelves.books", "shelves.id"]
    }
    assert library.all("books") == {}
    library.admin(["update", "books", uid(1), {"title": "a"}], throw_on_missing_attrs=True)


@pytest.mark.rule("T100")
def test_other_actions(library: App) -> None:
    attr = library.attr_json("books", "genre", index=True)
    library.admin(["add-attr", attr], ["update", "books", uid(1), {"genre": "x"}])
    assert library.attr("books", "genre").id == attr["id"]
    library.admin(["delete-attr", attr["id"]], ["ruleParams", "books", uid(1), {"k": 1}])
    assert library.catalog.find_forward("books", "genre") is None
    error = refused(library, ["update-attr", {"id": attr["id"]}])
    assert error.hint["data-type"] == "action"
    assert "Unsupported action update-attr" in error.message
    refused(library, ["ruleParams", "books", uid(1), 5])
    refused(library, ["update", "", uid(1), {}])
    refused(library, ["update", "books", uid(1), {"": 1}])


@pytest.mark.rule("T97")
def test_implied_attrs_follow_the_rules_of_system_namespaces(app: App) -> None:
    for step in (["update", "$foo", uid(1), {}], ["update", "$magicCodes", uid(1), {"x": 1}]):
        with pytest.raises(TriceError, match="reserved for system tables"):
            app.admin(step)
