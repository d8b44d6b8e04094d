"""Steps that change attrs."""

from __future__ import annotations

from typing import Any

import pytest

from support.transact_app import App, raw, uid
from trice import limits
from trice.errors import Conflict, InvalidInput, LimitExceeded


def refused(app: App, steps: Any, *, code: str = "validation-failed") -> InvalidInput:
    before = app.snapshot()
    with pytest.raises(InvalidInput) as caught:
        app.transact(steps)
    assert caught.value.code == code
    assert app.snapshot() == before
    return caught.value


def update(app: App, etype: str, label: str, **changes: Any) -> list[Any]:
    renamed = {key.replace("_", "-"): value for key, value in changes.items()}
    flags = {"unique": "unique?", "index": "index?", "required": "required?"}
    body = {flags.get(key, key): value for key, value in renamed.items()}
    return [["update-attr", {"id": app.attr(etype, label).id, **body}]]


@pytest.mark.rule("S100", "T70")
def test_attrs_added_in_one_transaction_know_each_other(library: App) -> None:
    """They are placed on disk together, and still each sees the ones before it."""
    first = library.attr_json("shelves", "id")
    name = library.attr_json("shelves", "name", index=True)
    same = {**library.attr_json("shelves", "name"), "isUnsynced": True}
    refused(
        library,
        [["add-attr", name], ["add-attr", {**name, "index?": False}]],
        code="sql-raise",
    )
    before = library.snapshot()
    with pytest.raises(Conflict, match="`name` already exists on `shelves`"):
        library.transact([["add-attr", name], ["add-attr", {**same, "isUnsynced": False}]])
    assert library.snapshot() == before
    steps = [["add-attr", attr] for attr in (first, name, same)]
    steps += [
        ["update-attr", {"id": name["id"], "required?": True}],
        ["add-triple", uid(7), first["id"], uid(7)],
        ["add-triple", uid(7), same["id"], "fiction"],
    ]
    library.transact(steps)
    assert library.attr("shelves", "name").is_required
    assert {attr.label for attr in library.catalog.namespaces["shelves"].attrs()} == {"id", "name"}


@pytest.mark.rule("T70")
def test_adding_the_same_attr_again_changes_nothing(library: App) -> None:
    attr = {**library.attr_json("books", "isbn2"), "isUnsynced": True, "unknown": {"key": 1}}
    library.transact([["add-attr", attr]])
    catalog = library.catalog
    library.put("books", 1, isbn2=5)
    again = library.transact([["add-attr", attr], ["add-attr", {**attr, "isUnsynced": False}]])
    assert not again.is_catalog_changed
    assert library.catalog.version == catalog.version


@pytest.mark.rule("T71")
def test_the_same_id_with_other_properties_is_an_error(library: App) -> None:
    attr = library.attr_json("books", "isbn2")
    library.transact([["add-attr", attr]])
    for change in ({"unique?": True}, {"forward-identity": [uid(1), "books", "isbn3"]}):
        refused(library, [["add-attr", {**attr, **change}]], code="sql-raise")


@pytest.mark.rule("T73")
def test_an_invented_link_that_runs_the_other_way_is_turned_around(library: App) -> None:
    link = library.attr_json("people", "books", to=("books", "people"), cardinality="many")
    add = ["add-attr", {**link, "isUnsynced": True}]
    library.put("people", 5, email="a@b.c")
    by = [library.attr("people", "email").id, "a@b.c"]
    library.transact(
        [add, ["add-triple", uid(5), link["id"], uid(1)], *library.put_steps("books", 1)]
    )
    library.transact([add, ["add-triple", by, link["id"], uid(2)], *library.put_steps("books", 2)])
    assert set(library.all("books")) == {uid(1), uid(2)}
    assert {each["author"] for each in library.all("books").values()} == {uid(5)}
    library.transact([add, ["retract-triple", uid(5), link["id"], uid(1)]])
    assert library.get("books", 1) == {"pages": None}


@pytest.mark.rule("T74")
@pytest.mark.parametrize(
    ("etype", "label", "flags", "message"),
    [
        ("$foo", "id", {}, "$ is reserved for system tables. You can't create $foo"),
        ("$magicCodes", "mine", {}, "$ is reserved for system tables."),
        ("books", "codes", {"to": ("$magicCodes", "book")}, "$ is reserved for system tables."),
        ("$users", "email", {}, "$users.email is a system column and it already exists."),
        ("$users", "nick", {"required": True}, "as required"),
    ],
)
def test_system_namespaces(app: App, etype: str, label: str, flags: Any, message: str) -> None:
    error = refused(app, [["add-attr", app.attr_json(etype, label, **flags)]])
    assert message in error.message
    assert error.hint["data-type"] == "attributes"


@pytest.mark.rule("T74")
def test_some_system_namespaces_may_be_extended(app: App) -> None:
    for etype in ("$users", "$files", "$streams"):
        app.define(etype, "nick")
        app.define("notes", f"of{etype[1:]}", to=(etype, "notes"))
    app.put("$users", 1, nick="x")
    found = app.get("$users", 1)
    assert found is not None and found["nick"] == "x"


@pytest.mark.rule("T75")
def test_a_required_attr_needs_an_empty_namespace(library: App) -> None:
    attr = ["add-attr", library.attr_json("books", "genre", required=True)]
    library.put("people", 1)
    library.put("books", 1)
    error = refused(library, [attr])
    expected = "Can't create attribute `genre` as required because `books` already have entities"
    assert expected in error.message
    library.transact([["delete-entity", uid(1), "books"]])
    library.transact([attr])


@pytest.mark.rule("T77")
def test_attrs_are_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ATTRS_PER_NAMESPACE_MAX", 2)
    app.define("a", "id")
    app.define("a", "b")
    for limit, attr in (("", "a"), ("ATTRS_PER_APP_MAX", "c"), ("TX_ATTR_STEPS_MAX", "c")):
        if limit:
            monkeypatch.setattr(limits, limit, 0)
        with pytest.raises(LimitExceeded) as caught:
            app.transact([["add-attr", app.attr_json(attr, "x")]])
        assert caught.value.code == "parameter-limit-exceeded"


@pytest.mark.rule("T78")
def test_updating_an_attr(library: App) -> None:
    library.put("books", 1, title="b", meta=None)
    library.put("books", 2)
    forward = [library.attr("books", "title").forward.id, "books", "name"]
    steps = update(
        library, "books", "title", forward_identity=forward, index=True, checked_data_type="string"
    )
    commit = library.transact(steps)
    assert commit.is_catalog_changed and library.catalog.find_forward("books", "title") is None
    attr = library.attr("books", "name")
    assert attr.is_sortable and library.all("books")[uid(2)]["name"] is None
    library.transact(update(library, "books", "name", checked_data_type=None, index=False))
    assert library.attr("books", "name").checked_type is None
    refused(library, [["update-attr", {"id": uid(9)}]], code="sql-raise")


@pytest.mark.rule("T80")
def test_existing_values_must_fit_the_change(library: App) -> None:
    library.put("books", 1, title="a", meta="2025-01-02", tags=uid(9), author=uid(9))
    library.put("books", 2, title="a", meta=5, tags=uid(9), author=uid(9))
    library.put("books", 3, meta="x" * 2000)
    error = refused(library, update(library, "books", "title", required=True))
    assert "Can't update attribute `title` to required because `books`" in error.message
    refused(library, update(library, "books", "tags", required=True))
    for label in ("title", "tags", "author"):
        with pytest.raises(Conflict) as caught:
            library.transact(update(library, "books", label, unique=True))
        assert caught.value.hint["value"] == ("a" if label == "title" else uid(9))
    error = refused(library, update(library, "books", "meta", index=True))
    assert error.hint["value-too-large?"] is True
    for checked in ("string", "number", "boolean", "date"):
        error = refused(library, update(library, "books", "meta", checked_data_type=checked))
        assert error.hint["checked-data-type"] == checked
    library.put("books", 3, title="c", meta="now", tags=uid(8))
    library.transact(update(library, "books", "meta", checked_data_type="date", index=True))
    library.transact(update(library, "books", "title", required=True))
    library.transact(update(library, "books", "tags", required=True))


@pytest.mark.rule("T82")
def test_deleting_and_restoring_an_attr(library: App) -> None:
    library.put("books", 1, title="a", pages=7)
    pages = library.attr("books", "pages")
    library.transact([["delete-attr", pages.id]])
    assert library.get("books", 1) == {"title": "a"}
    assert pages.id not in [attr["id"] for attr in library.catalog.wire()]
    hidden = library.catalog.by_id[pages.id]
    assert hidden.label == f"{pages.id}_deleted$pages"
    assert hidden.metadata is not None
    assert hidden.metadata["soft_delete_snapshot"] == {
        "is_indexed": True,
        "is_required": False,
        "id_attr_id": library.attr("books", "id").id,
    }
    refused(library, [["add-triple", uid(1), pages.id, 8]], code="sql-raise")
    library.transact([["restore-attr", pages.id]])
    assert library.get("books", 1) == {"title": "a", "pages": 7}
    assert not library.attr("books", "pages").is_indexed
    assert library.attr("books", "pages").metadata is None


@pytest.mark.rule("T82")
def test_links_are_hidden_and_restored_too(library: App) -> None:
    tags = library.attr("books", "tags").id
    library.put("books", 1, tags=uid(9))
    library.transact([["delete-attr", tags]])
    assert library.catalog.find_reverse("tags", "books") is None
    library.transact([["restore-attr", tags], ["restore-attr", tags]])
    assert library.pairs("books", "tags") == {(raw(1), raw(9))}
    library.transact([["delete-attr", tags]])
    library.transact([["delete-entity", uid(1), "books"]])
    library.transact([["restore-attr", tags]])
    assert library.pairs("books", "tags") == set()


@pytest.mark.rule("T82")
def test_a_delete_takes_hidden_values_too(library: App) -> None:
    library.put("books", 1, title="a", isbn=7)
    isbn = library.attr("books", "isbn").id
    library.transact([["delete-attr", isbn]])
    again = [["delete-entity", uid(1), "books"], *library.put_steps("books", 1, title="a")]
    assert library.transact(again).entities == []
    library.transact([["restore-attr", isbn]])
    assert library.get("books", 1) == {"title": "a", "pages": None}


@pytest.mark.rule("T83")
def test_the_name_of_a_deleted_attr_is_free(library: App) -> None:
    title = library.attr("books", "title").id
    library.put("books", 1, title="old")
    library.transact([["delete-attr", title]])
    library.define("books", "title")
    assert library.get("books", 1) == {"pages": None}
    library.put("books", 1, title="new")
    assert library.get("books", 1) == {"pages": None, "title": "new"}
    with pytest.raises(Conflict) as caught:
        library.transact([["restore-attr", title]])
    assert caught.value.hint["record-type"] == "ident"
    refused(library, [["delete-attr", title]], code="sql-raise")
    refused(library, [["restore-attr", uid(9)]], code="sql-raise")
    refused(library, [["delete-attr", library.attr("$users", "email").id]])


@pytest.mark.rule("T84")
def test_a_namespace_made_again_starts_empty(library: App) -> None:
    library.put("tags", 1)
    library.put("books", 1, title="a")
    library.transact([["delete-attr", library.attr("tags", "id").id]])
    for label in ("id", "title", "pages", "meta", "isbn", "author", "tags"):
        library.transact([["delete-attr", library.attr("books", label).id]])
    library.define("tags", "id")
    library.define("books", "id")
    library.define("books", "title")
    assert (library.all("tags"), library.all("books")) == ({}, {})
    library.put("books", 1)
    assert library.all("books") == {uid(1): {}}


@pytest.mark.rule("T78")
def test_an_update_that_says_nothing_new_changes_nothing(library: App) -> None:
    version = library.catalog.version
    title = library.attr("books", "title")
    for change in ({}, {"unknown": 1}, {"index": title.is_indexed}):
        commit = library.transact(update(library, "books", "title", **change))
        assert not commit.is_catalog_changed
    assert library.catalog.version == version


@pytest.mark.rule("T78")
def test_an_id_attr_stays_what_lookups_and_clients_need(library: App) -> None:
    refused(library, update(library, "books", "id", unique=False))
    refused(library, update(library, "books", "id", checked_data_type="number"))
    library.transact(update(library, "books", "id", checked_data_type="string", index=True))
    library.put("books", 1, title="t")
    by_id = [library.attr("books", "id").id, uid(1)]
    library.transact([["add-triple", by_id, library.attr("books", "title").id, "u"]])
    assert library.all("books")[uid(1)]["title"] == "u"


@pytest.mark.rule("T22")
@pytest.mark.parametrize("cardinality", ["one", "many"])
@pytest.mark.parametrize("deleted", ["people", "notes"])
def test_a_delete_takes_hidden_links_along(app: App, cardinality: str, deleted: str) -> None:
    app.define("notes", "id")
    app.define("people", "id")
    app.define("notes", "writer", to=("people", "notes"), cardinality=cardinality)
    link = app.attr("notes", "writer").id
    app.put("people", 2)
    app.put("notes", 1, writer=uid(2))
    app.transact([["delete-attr", link]])
    app.transact([["delete-entity", uid(2 if deleted == "people" else 1), deleted]])
    app.transact([["restore-attr", link]])
    app.put("people", 2)
    app.put("notes", 1)
    if cardinality == "many":
        assert app.pairs("notes", "writer") == set()
    else:
        assert "writer" not in app.all("notes")[uid(1)]


@pytest.mark.rule("T78")
@pytest.mark.rule("T80")
@pytest.mark.rule("T81")
def test_flags_change_under_a_thousand_rows_and_survive_reopening(app: App) -> None:
    """Each change of an attr with data present, then the same questions; the file is reopened."""
    app.define("notes", "id")
    app.define("people", "id")
    for label in ("title", "pages", "day", "code"):
        app.define("notes", label)
    app.define("notes", "writer", to=("people", "notes"))
    app.transact([step for each in range(10) for step in app.put_steps("people", 5000 + each)])
    app.transact(
        [
            step
            for each in range(1_000)
            for step in app.put_steps(
                "notes",
                each,
                title=f"t{each % 50}",
                pages=each if each % 7 else None,
                day=f"2025-01-{each % 28 + 1:02d}",
                code=f"c{each}",
                writer=uid(5000 + each % 10),
            )
        ]
    )
    before = app.all("notes")

    def change(label: str, **changes: Any) -> None:
        app.transact(update(app, "notes", label, **changes))
        app.reopen()

    for label in ("title", "pages", "code", "day"):
        change(label, index=True)
    for label, kind in (("title", "string"), ("pages", "number"), ("day", "date")):
        change(label, checked_data_type=kind)
    change("code", unique=True)
    change("title", required=True)
    refused(app, update(app, "notes", "pages", required=True))
    refused(app, update(app, "notes", "pages", checked_data_type="string"))
    for label in ("title", "writer"):
        with pytest.raises(Conflict):
            app.transact(update(app, "notes", label, unique=True))
    by_code = [app.attr("notes", "code").id, "c3"]
    app.transact([["add-triple", by_code, app.attr("notes", "pages").id, 33]])
    change("writer", cardinality="many")
    assert len(app.pairs("notes", "writer")) == 1_000
    change("writer", cardinality="one")
    for label, kind in (("title", None), ("pages", None), ("day", None)):
        change(label, checked_data_type=kind, index=False, required=False)
    change("code", unique=False, index=False)
    before[uid(3)]["pages"] = 33
    assert app.all("notes") == before
