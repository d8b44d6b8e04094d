"""Modes, system columns, required attrs, value types."""

from __future__ import annotations

from typing import Any

import pytest

from support.transact_app import App, uid
from trice.errors import InvalidInput, PermissionDenied
from trice.transact.steps import DeleteAttr, RestoreAttr, UpdateAttr


def refused(app: App, steps: Any, *, is_admin: bool = True) -> InvalidInput:
    before = app.snapshot()
    with pytest.raises(InvalidInput) as caught:
        app.transact(steps, is_admin=is_admin)
    assert caught.value.code == "validation-failed"
    assert app.snapshot() == before
    return caught.value


def with_mode(steps: list[Any], mode: str) -> list[Any]:
    return [[*step, {"mode": mode}] for step in steps]


@pytest.mark.rule("T50")
def test_create_needs_a_new_entity(library: App) -> None:
    library.transact(with_mode(library.put_steps("books", 1, title="a"), "create"))
    error = refused(library, with_mode(library.put_steps("books", 1, title="b"), "create"))
    assert f"Creating entities that exist: {uid(1)}" in error.message
    assert error.hint["data-type"] == "tx-step"
    library.put("people", 2, email="a@b.c")
    by = [library.attr("people", "email").id, "a@b.c"]
    step = ["add-triple", by, library.attr("people", "id").id, by, {"mode": "create"}]
    assert "Creating entities that exist" in refused(library, [step]).message


@pytest.mark.rule("T51")
def test_update_needs_an_existing_entity(library: App) -> None:
    error = refused(library, with_mode(library.put_steps("books", 1, title="a"), "update"))
    assert f"Updating entities that don't exist: {uid(1)}" in error.message
    by = [library.attr("people", "email").id, "a@b.c"]
    step = ["add-triple", by, library.attr("people", "id").id, by, {"mode": "update"}]
    assert "Updating entities that don't exist" in refused(library, [step]).message
    link = ["add-triple", uid(1), library.attr("books", "tags").id, uid(2), {"mode": "update"}]
    refused(library, [link])
    library.put("books", 1)
    library.transact([link])


@pytest.mark.rule("T54")
@pytest.mark.parametrize(
    ("etype", "label", "value"),
    [
        ("$users", "email", "a@b.c"),
        ("$users", "type", "guest"),
        ("$magicCodes", "email", "a@b.c"),
        ("$oauthClients", "name", "google"),
    ],
)
def test_system_columns_are_for_admins(app: App, etype: str, label: str, value: Any) -> None:
    app.put(etype, 1)
    for op in ("add-triple", "deep-merge-triple", "retract-triple"):
        step = [op, uid(1), app.attr(etype, label).id, value]
        error = refused(app, [step], is_admin=False)
        assert f"{etype}.{label} is a system column." in error.message
        assert error.hint["data-type"] == "tx-step"
        app.transact([step])


@pytest.mark.rule("T55")
@pytest.mark.parametrize("is_admin", [False, True])
@pytest.mark.parametrize(
    ("etype", "label", "value"),
    [("$files", "size", 5), ("$files", "location-id", "x"), ("$streams", "done", True)],
)
def test_files_and_streams_belong_to_the_server(
    app: App, etype: str, label: str, value: Any, is_admin: bool
) -> None:
    step = ["add-triple", uid(1), app.attr(etype, label).id, value]
    error = refused(app, [step], is_admin=is_admin)
    expected = f"{etype}.{label} is a system column. You aren't allowed to change this directly."
    assert expected in error.message


def upload(app: App, number: int, path: str) -> None:
    values = {"path": path, "size": 1, "location-id": f"l{number}"}
    steps = app.put_steps("$files", number, **values)
    app.transact(steps, is_internal=True)


@pytest.mark.rule("T56")
def test_files_may_be_moved_extended_and_deleted(app: App) -> None:
    note = app.define("$files", "note")
    upload(app, 1, "a.png")
    path = app.attr("$files", "path").id
    app.transact(
        [["add-triple", uid(1), path, "b.png"], ["add-triple", uid(1), note, "n"]], is_admin=False
    )
    found = app.get("$files", 1)
    assert found is not None and (found["path"], found["note"]) == ("b.png", "n")
    error = refused(app, [["add-triple", uid(1), path, "$stream/x/0"]])
    assert "The path for stream files can't be edited." in error.message
    by = [path, "$stream/x/0"]
    refused(app, [["add-triple", by, app.attr("$files", "id").id, by]])
    error = refused(app, app.put_steps("$files", 2, path="c.png"), is_admin=False)
    assert "Missing required attribute" in error.message
    app.transact([["delete-entity", uid(1), "$files"]], is_admin=False)
    assert app.all("$files") == {}


@pytest.mark.rule("T57")
def test_only_admins_create_and_delete_users(app: App) -> None:
    nick = app.define("$users", "nick")
    create = app.put_steps("$users", 1, nick="x")
    error = refused(app, create, is_admin=False)
    assert "$users is a system entity. You aren't allowed to create this" in error.message
    app.transact(create)
    app.transact(app.put_steps("$users", 1, nick="y"), is_admin=False)
    id_attr = app.attr("$users", "id").id
    for step in (["delete-entity", uid(1), "$users"], ["retract-triple", uid(1), id_attr, uid(1)]):
        error = refused(app, [step], is_admin=False)
        assert "$users is a system entity. You aren't allowed to delete this" in error.message
    by = [app.attr("$users", "email").id, "a@b.c"]
    error = refused(app, [["add-triple", by, nick, "z"]], is_admin=False)
    assert "$users.email is a system column" in error.message
    app.transact([["delete-entity", uid(1), "$users"]])
    assert app.all("$users") == {}


@pytest.fixture
def strict(app: App) -> App:
    """Posts need a title and an owner; users nothing."""
    app.define("users", "id")
    app.define("posts", "id")
    app.define("posts", "title", required=True)
    app.define("posts", "owner", to=("users", "posts"), required=True)
    app.put("users", 9)
    app.put("posts", 1, title="t", owner=uid(9))
    return app


@pytest.mark.rule("T60")
def test_required_attrs(strict: App) -> None:
    title, owner = strict.attr("posts", "title").id, strict.attr("posts", "owner").id
    error = refused(strict, strict.put_steps("posts", 2, owner=uid(9)))
    assert error.message == f"Missing required attribute `posts/title`: {uid(2)}"
    assert error.hint["records"] == [{"etype": "posts", "label": "title", "entity-id": uid(2)}]
    refused(strict, strict.put_steps("posts", 2, title="t"))
    for step in (
        ["add-triple", uid(1), title, None],
        ["retract-triple", uid(1), title, "t"],
        ["retract-triple", uid(1), owner, uid(9)],
        ["delete-entity", uid(9), "users"],
        ["retract-triple", uid(1), strict.attr("posts", "id").id, uid(1)],
    ):
        assert "Missing required attribute" in refused(strict, [step]).message
    strict.transact([["delete-entity", uid(9), "users"], ["delete-entity", uid(1), "posts"]])
    assert strict.all("posts") == {}


@pytest.mark.rule("T60")
def test_several_missing_attrs_are_all_named(strict: App) -> None:
    steps = strict.put_steps("posts", 2) + strict.put_steps("posts", 3, title="t")
    assert refused(strict, steps).message == (
        f"Missing required attribute `posts/title`: {uid(2)}. "
        f"Missing required attribute `posts/owner`: {uid(2)}, {uid(3)}"
    )


@pytest.mark.rule("T63")
@pytest.mark.parametrize(
    ("checked", "right", "wrong"),
    [
        ("string", ["", "x"], [1, True, {}, []]),
        ("number", [0, -1.5], ["1", False, {}, []]),
        ("boolean", [True, False], [0, "true", {}, []]),
        ("date", [0, 1.5, "2025-01-02", "now"], [True, "2025-01-0", "x", {}, 1e300]),
    ],
)
def test_checked_types(app: App, checked: str, right: list[Any], wrong: list[Any]) -> None:
    app.define("todos", "id")
    attr_id = app.define("todos", "field", checked_data_type=checked)
    for value in [*right, None]:
        app.put("todos", 1, field=value)
        assert app.get("todos", 1) == {"field": value}
    for value in wrong:
        error = refused(app, app.put_steps("todos", 1, field=value))
        assert error.message.startswith("Invalid value type for todos.field. Value must be a ")
        assert set(error.hint) == {
            "namespace",
            "attribute",
            "value",
            "checked-data-type",
            "attr-id",
            "entity-id",
        }
        assert error.hint["attr-id"] == attr_id and error.hint["entity-id"] == uid(1)
    merge = [["deep-merge-triple", uid(1), attr_id, {}]]
    assert "Invalid value type" in refused(app, merge).message


@pytest.mark.rule("T64")
@pytest.mark.parametrize(
    ("flags", "kind"), [({"index": True}, "an indexed"), ({"unique": True}, "a unique")]
)
def test_indexed_and_unique_values_are_short(app: App, flags: Any, kind: str) -> None:
    app.define("todos", "id")
    app.define("todos", "key", **flags)
    app.put("todos", 1, key="x" * 1012)
    for value in ("x" * 1013, "é" * 507, ["x" * 1012]):
        error = refused(app, app.put_steps("todos", 1, key=value))
        assert f"too large for {kind} attribute" in error.message
        assert error.hint["value-too-large?"] is True
        assert len(error.hint["value"]) < 200


@pytest.mark.rule("T65")
@pytest.mark.parametrize(
    "value",
    [
        "a\x00b",
        ["\x00"],
        {"\x00": 1},
        "\ud800",
        {"a": ["\udfff"]},
        2**1024,
        [-(2**1024)],
        float("nan"),
        [float("inf")],
        {1: 2},
        b"x",
        (1,),
    ],
)
def test_values_the_store_cannot_keep(library: App, value: Any) -> None:
    error = refused(library, library.put_steps("books", 1, meta=value))
    assert error.hint["attribute"] == "meta"


@pytest.mark.rule("T65")
@pytest.mark.parametrize("label", ["meta", "isbn"])
@pytest.mark.parametrize("number", [10**20, 2**64, -(2**63) - 1, 2**1023])
def test_numbers_beyond_64_bits_are_kept_as_doubles(library: App, label: str, number: int) -> None:
    """JavaScript sends all digits of numbers below 1e21."""
    if label == "isbn":
        library.define("books", "size", index=True, checked_data_type="number")
        label = "size"
    for value, kept in ((number, float(number)), ([{"a": number}], [{"a": float(number)}])):
        if label == "size" and isinstance(value, list):
            continue
        library.put("books", 1, **{label: value})
        found = library.get("books", 1)
        assert found is not None and found[label] == kept
        assert not library.put("books", 1, **{label: value}).entities


@pytest.mark.rule("T65")
def test_values_are_bounded_in_depth(library: App) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    library.put("books", 1, meta=deep)
    for _ in range(5_000):
        deep = [deep]
    refused(library, library.put_steps("books", 1, meta=deep))
    refused(library, [["deep-merge-triple", uid(1), library.attr("books", "meta").id, deep]])


@pytest.mark.rule("T6")
def test_only_admins_change_attrs_whatever_the_form_of_the_steps(library: App) -> None:
    attr = library.attr("books", "title")
    steps = (UpdateAttr(attr.id, {"is_indexed": True}), DeleteAttr(attr.id), RestoreAttr(attr.id))
    for step in steps:
        with pytest.raises(PermissionDenied) as caught:
            library.apply(step, is_admin=False)
        assert caught.value.hint["input"][0] == "attrs"
        library.apply(step, is_admin=True)


@pytest.mark.rule("T66")
def test_a_refused_merge_does_not_repeat_what_was_stored(library: App) -> None:
    library.define("books", "card", unique=True)
    library.put("books", 1, card={"secret": "x" * 900})
    step = ["deep-merge-triple", uid(1), library.attr("books", "card").id, {"mine": "y" * 200}]
    error = refused(library, [step])
    assert error.hint["value-too-large?"] is True
    assert "secret" not in repr(error.body())
