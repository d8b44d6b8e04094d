"""Which rules a write asks, and what these see."""

from __future__ import annotations

from typing import Any

import pytest

from support.ruled_app import RuledApp
from support.transact_app import App, uid
from trice.errors import InvalidInput, LimitExceeded, PermissionDenied

DENY_UPDATES = {"todos": {"allow": {"update": "false"}}}
DENY_CREATES = {"todos": {"allow": {"create": "false"}}}


def allow(etype: str, **rules: Any) -> dict[str, Any]:
    return {etype: {"allow": rules}}


@pytest.mark.rule("R100")
def test_what_exists_is_judged_by_update_and_what_is_new_by_create(app: App) -> None:
    app.put("todos", 1, title="a")
    ruled = RuledApp(app, DENY_UPDATES)
    for steps in (ruled.put("todos", 1), ruled.set("todos", 1, "deep-merge-triple", meta={"a": 1})):
        assert not ruled.is_allowed(steps)
    assert ruled.is_allowed(ruled.put("todos", 2, title="b"))
    ruled = RuledApp(app, DENY_CREATES)
    assert ruled.is_allowed(ruled.put("todos", 1, title="c"))
    assert not ruled.is_allowed(ruled.put("todos", 3, title="d"))
    assert not ruled.is_allowed(ruled.set("todos", 3, title="no id"))
    assert app.get("todos", 1) == {"title": "c", "done": None}


@pytest.mark.rule("R101")
def test_update_sees_before_and_after_all_writes(app: App) -> None:
    app.put("todos", 1, title="a", meta={"k": 1})
    rule = "data.title == 'a' && newData.title == 'c' && newData.meta == {'k': 1, 'n': 2}"
    ruled = RuledApp(app, allow("todos", update=rule))
    merge = ruled.set("todos", 1, "deep-merge-triple", meta={"n": 2})
    first, last = ruled.set("todos", 1, title="b"), ruled.set("todos", 1, title="c")
    assert not ruled.is_allowed([*first, *merge])
    assert not ruled.is_allowed([*last, *first, *merge])
    assert ruled.is_allowed([*first, *merge, *last])


@pytest.mark.rule("R101")
def test_links_of_cardinality_one_are_values_of_the_entity(app: App) -> None:
    app.put("todos", 1)
    app.put("todos", 2)
    app.transact([["add-triple", uid(1), app.attr("todos", "owner").id, uid(9)]])
    rule = f"data.owner == '{uid(9)}' && newData.owner == '{uid(8)}' && data.id == newData.id"
    ruled = RuledApp(app, allow("todos", update=rule))
    assert ruled.is_allowed([ruled.link("todos", 1, "owner", 8)])
    assert not ruled.is_allowed([ruled.link("todos", 2, "owner", 8)])
    ruled = RuledApp(app, allow("todos", update="data.owner != null && newData.owner == null"))
    assert ruled.is_allowed([ruled.unlink("todos", 1, "owner", 8)])


@pytest.mark.rule("R101")
def test_an_update_that_is_deleted_too_is_judged_as_written(app: App) -> None:
    app.put("todos", 1, title="a")
    ruled = RuledApp(app, allow("todos", update="newData.title == 'b'", delete="data.title == 'a'"))
    steps = [*ruled.set("todos", 1, title="b"), ruled.delete("todos", 1)]
    assert ruled.is_allowed(steps)
    app.put("todos", 1, title="a", meta=1)
    ruled = RuledApp(app, allow("todos", update="newData == {'id': data.id, 'done': null}"))
    assert ruled.is_allowed([ruled.delete("todos", 1), *ruled.put("todos", 1)])


@pytest.mark.rule("R102")
def test_create_sees_what_has_become(app: App) -> None:
    rule = "data == newData && data.title == 'b' && data.done == null && data.id != null"
    ruled = RuledApp(app, allow("todos", create=rule))
    steps = [*ruled.put("todos", 1, title="a"), *ruled.set("todos", 1, title="b")]
    assert not ruled.is_allowed(ruled.put("todos", 1, title="a"))
    assert ruled.is_allowed(steps)


@pytest.mark.rule("R103")
def test_namespaces_are_judged_alone(app: App) -> None:
    ruled = RuledApp(app, allow("todos", create="false", delete="false"))
    assert ruled.is_allowed(ruled.put("tags", 1))
    assert not ruled.is_allowed([*ruled.put("tags", 2), *ruled.put("todos", 2)])
    assert not ruled.is_allowed(ruled.put("todos", 1, title="a"))
    assert not ruled.is_allowed([*ruled.put("tags", 2), ruled.delete("todos", 2)])


@pytest.mark.rule("R104")
def test_parts_without_id_are_protected_and_need_create_to_appear(app: App) -> None:
    app.transact([["add-triple", uid(1), app.attr("todos", "title").id, "secret"]])
    mine = RuledApp(app, allow("todos", update="data.title == 'mine'"))
    assert not mine.is_allowed(mine.put("todos", 1, title="mine"))
    nobody = RuledApp(app, DENY_CREATES)
    assert nobody.is_allowed(nobody.set("todos", 1, title="still a part"))
    assert not nobody.is_allowed(nobody.put("todos", 1))
    assert app.get("todos", 1) is None


@pytest.mark.rule("R105")
def test_modified_fields_are_the_labels_written(app: App) -> None:
    app.put("todos", 1, title="a", done=True)
    rule = "request.modifiedFields == ['title', 'owner', 'tags', 'meta']"
    ruled = RuledApp(app, allow("todos", update=rule))
    steps = [
        *ruled.put("todos", 1, title="b"),
        *ruled.put("todos", 2, done=False),
        ruled.link("todos", 1, "owner", 5),
        ruled.link("todos", 1, "tags", 5),
        *ruled.set("todos", 1, "deep-merge-triple", meta=1),
        *ruled.set("todos", 1, title="c"),
        *ruled.set("todos", 1, "retract-triple", done=True),
    ]
    assert ruled.is_allowed(steps)
    assert not ruled.is_allowed(ruled.put("todos", 1, title="b"))
    ruled = RuledApp(app, allow("todos", create="request.modifiedFields.all(f, f in ['title'])"))
    assert ruled.is_allowed(ruled.put("todos", 3, title="b"))
    assert not ruled.is_allowed(ruled.put("todos", 4, title="b", done=True))
    ruled = RuledApp(app, allow("todos", delete="request.modifiedFields == []"))
    assert ruled.is_allowed([*ruled.put("todos", 1, title="z"), ruled.delete("todos", 1)])


@pytest.mark.rule("R106")
def test_each_check_runs_once_per_entity(app: App) -> None:
    app.put("todos", 1)
    app.put("todos", 2)
    app.put("people", 7)
    limits = {"$rateLimits": {"writes": {"limits": [{"capacity": 2}]}}}
    rule = "rateLimit.writes.limit('all')"
    ruled = RuledApp(app, {**limits, **allow("todos", update=rule)})
    steps = [
        *ruled.put("todos", 1, title="a", meta=1),
        *ruled.set("todos", 1, "deep-merge-triple", meta=2),
        ruled.link("todos", 1, "owner", 7),
        *ruled.put("todos", 2, title="b"),
    ]
    ruled.act(steps)
    with pytest.raises(LimitExceeded) as caught:
        ruled.act(ruled.put("todos", 1, title="c"))
    assert caught.value.code == "rate-limited"
    assert app.get("todos", 1) == {"title": "a", "meta": 2, "done": None, "owner": uid(7)}


@pytest.mark.rule("R112")
def test_removing_a_field_is_an_update(app: App) -> None:
    app.put("todos", 1, title="a")
    ruled = RuledApp(app, DENY_UPDATES)
    assert not ruled.is_allowed(ruled.set("todos", 1, "retract-triple", title="a"))
    assert not ruled.is_allowed(ruled.set("todos", 1, "retract-triple", id=uid(1)))
    assert not ruled.is_allowed(ruled.set("todos", 1, "retract-triple", title="wrong guess"))
    ruled = RuledApp(app, allow("todos", update="newData.title == null", create="false"))
    assert ruled.is_allowed(ruled.set("todos", 1, "retract-triple", title="a"))
    assert ruled.is_allowed(ruled.set("todos", 9, "retract-triple", title="a"))


@pytest.mark.rule("R113")
def test_delete_sees_the_entity_before(app: App) -> None:
    app.put("todos", 1, title="a")
    app.put("todos", 2, title="b")
    ruled = RuledApp(app, allow("todos", delete="data.title == 'a'"))
    assert not ruled.is_allowed([ruled.delete("todos", 1), ruled.delete("todos", 2)])
    assert not ruled.is_allowed([["delete-entity", uid(2)]])
    assert ruled.is_allowed([*ruled.set("todos", 1, title="z"), ruled.delete("todos", 1)])
    assert app.all("todos").keys() == {uid(2)}


@pytest.mark.rule("R113")
def test_deleting_what_does_not_exist_is_judged_on_nothing(app: App) -> None:
    ruled = RuledApp(app, allow("todos", delete="false"))
    assert not ruled.is_allowed([ruled.delete("todos", 9)])
    assert ruled.is_allowed([["delete-entity", uid(9)]])
    assert not ruled.is_allowed([ruled.delete("todos", ruled.by("todos", "code", "none"))])
    ruled = RuledApp(app, allow("todos", delete="data.id == null && data.title == null"))
    assert ruled.is_allowed([ruled.delete("todos", 9)])


@pytest.mark.rule("R113")
def test_cascaded_deletes_are_judged_each(app: App) -> None:
    for number in (1, 2, 3):
        app.put("todos", number, title=f"t{number}")
    parent = app.attr("todos", "parent").id
    app.transact([["add-triple", uid(2), parent, uid(1)], ["add-triple", uid(3), parent, uid(2)]])
    for last in ("t1", "t2", "t3"):
        ruled = RuledApp(app, allow("todos", delete=f"data.title != '{last}'"))
        assert not ruled.is_allowed([ruled.delete("todos", 1)])
    ruled = RuledApp(app, allow("todos", delete="ruleParams.key == 'k'"))
    assert not ruled.is_allowed([ruled.delete("todos", 1)])
    own = ruled.params("todos", 3, key="other")
    steps = [ruled.params("todos", 1, key="k"), ruled.delete("todos", 1)]
    assert not ruled.is_allowed([own, *steps])
    assert ruled.is_allowed(steps)
    assert app.all("todos") == {}


@pytest.mark.rule("R113")
def test_delete_asks_neither_unlink_nor_update(app: App) -> None:
    app.put("todos", 1)
    app.put("todos", 2)
    app.put("people", 5)
    for label in ("owner", "tags"):
        app.transact([["add-triple", uid(1), app.attr("todos", label).id, uid(5)]])
    rules = {
        "todos": {"allow": {"update": "false", "unlink": {"$default": "false"}}},
        "people": {"allow": {"update": "false", "unlink": {"todos": "false"}}},
    }
    ruled = RuledApp(app, rules)
    assert ruled.is_allowed([ruled.delete("people", 5), ruled.delete("todos", 1)])


@pytest.mark.rule("R114")
def test_rule_params_belong_to_an_entity(app: App) -> None:
    app.put("todos", 1, title="a", code="c1")
    app.put("todos", 2, title="a")
    rule = "ruleParams.key == 'k' && ruleParams.other == null"
    ruled = RuledApp(app, allow("todos", update=rule, create=rule))
    write = ruled.set("todos", 1, title="b")
    key = {"key": "k"}
    assert not ruled.is_allowed(write)
    assert not ruled.is_allowed([*write, ruled.params("todos", 2, **key)])
    assert not ruled.is_allowed([*write, ruled.params("tags", 1, **key)])
    assert not ruled.is_allowed([*write, ruled.params("todos", 1, **key, other=1)])
    assert ruled.is_allowed([*write, ruled.params("todos", 1, **key)])
    first = ruled.params("todos", 1, key="wrong", other=1)
    last = ruled.params("todos", 1, key="k", other=None)
    assert ruled.is_allowed([first, *write, last])
    by = ruled.by("todos", "code", "c1")
    assert ruled.is_allowed([*write, ruled.params("todos", by, **key)])
    assert ruled.is_allowed([*ruled.set("todos", by, title="c"), ruled.params("todos", 1, **key)])
    new = ruled.by("todos", "code", "new")
    assert not ruled.is_allowed(ruled.set("todos", new, title="d"))
    assert ruled.is_allowed(
        [ruled.params("todos", new, **key), *ruled.set("todos", new, title="d")]
    )
    lost = ruled.params("todos", ruled.by("todos", "code", "none"), **key)
    assert not ruled.is_allowed([lost, *write])


@pytest.mark.rule("R115")
def test_lookups_are_judged_as_the_entities_they_mean(app: App) -> None:
    app.put("people", 1, email="a", role="x")
    ruled = RuledApp(app, allow("people", update="data.email == 'a'", create="false"))
    old, new = ruled.by("people", "email", "a"), ruled.by("people", "email", "b")
    assert ruled.is_allowed(ruled.set("people", old, role="y"))
    assert not ruled.is_allowed(ruled.set("people", new, role="y"))
    rule = "data.email == 'b' && data.id != null && size(data.id) == 36"
    ruled = RuledApp(app, allow("people", update="false", create=rule))
    assert not ruled.is_allowed(ruled.set("people", old, role="y"))
    assert ruled.is_allowed([*ruled.set("people", new, role="y", id=new)])


@pytest.mark.rule("R116")
def test_references_are_read_before_or_after(app: App) -> None:
    app.put("todos", 1)
    app.put("tags", 1, name="old")
    app.transact([["add-triple", uid(1), app.attr("todos", "tags").id, uid(1)]])
    rename = ["add-triple", uid(1), app.attr("tags", "name").id, "new"]
    see = "data.ref('tags.name') == ['{}']"
    for name, is_seen in (("old", True), ("new", False)):
        ruled = RuledApp(app, allow("todos", update=see.format(name)))
        assert ruled.is_allowed([rename, *ruled.set("todos", 1, title=name)]) is is_seen
        app.transact([["add-triple", uid(1), app.attr("tags", "name").id, "old"]])
    ruled = RuledApp(app, allow("todos", create=see.format("new")))
    create = [*ruled.put("todos", 2), ruled.link("todos", 2, "tags", 1)]
    assert not ruled.is_allowed(create)
    assert ruled.is_allowed([*create, rename])


@pytest.mark.rule("R117")
def test_new_attrs_are_judged(app: App) -> None:
    attr = app.attr_json("todos", "extra", index=True)
    ruled = RuledApp(app, allow("attrs", create="false"))
    denial = ruled.denied([["add-attr", attr]])
    assert denial.hint == {"input": ["attrs", "attr"], "expected": "perms-pass?"}
    assert app.catalog.find_forward("todos", "extra") is None
    rule = "data['forward-identity'][1] == 'todos' && newData['index?'] && data.id != null"
    ruled = RuledApp(app, allow("attrs", create=rule))
    other = app.attr_json("tags", "extra", index=True)
    assert not ruled.is_allowed([["add-attr", attr], ["add-attr", other]])
    assert ruled.is_allowed([["add-attr", attr]])
    closed = RuledApp(app, allow("attrs", create="false"))
    assert closed.is_allowed([["add-attr", attr]])
    again = {**app.attr_json("todos", "extra"), "isUnsynced": True}
    assert closed.is_allowed([["add-attr", again], ["add-triple", uid(1), again["id"], 1]])


@pytest.mark.rule("R117")
def test_attrs_are_changed_by_admins_only(app: App) -> None:
    attr = app.attr("todos", "title")
    ruled = RuledApp(app, allow("attrs", create="true", **{"$default": "true"}))
    steps: tuple[tuple[Any, ...], ...] = (
        ("update", ["update-attr", {"id": attr.id, "index?": True}]),
        ("delete", ["delete-attr", attr.id]),
        ("update", ["restore-attr", attr.id]),
    )
    for action, step in steps:
        denial = ruled.denied([step])
        assert denial.hint == {"input": ["attrs", action], "expected": "perms-pass?"}


@pytest.mark.rule("R118")
def test_a_denial_says_which_rule_but_nothing_of_the_data(app: App) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 1)
    rules = {
        "todos": {"allow": {"update": "false", "create": "false", "delete": "false"}},
        "people": {"allow": {"view": "false", "link": {"$default": "false"}}},
    }
    ruled = RuledApp(app, rules)
    messages = {}
    for number in (1, 2):
        for kind, steps in (
            ("write", ruled.put("todos", number, title="b")),
            ("delete", [ruled.delete("todos", number)]),
        ):
            denial = ruled.denied(steps)
            assert denial.code == "permission-denied"
            assert denial.hint == {"input": ["todos", "object"], "expected": "perms-pass?"}
            messages[number, kind] = denial.message
    assert messages[1, "write"] == messages[2, "write"]
    assert messages[1, "delete"] == messages[2, "delete"]
    start = "Permission denied: not perms-pass? ("
    assert messages[1, "write"].startswith(f"{start}`todos.create` or `todos.update` does not")
    assert messages[1, "delete"].startswith(f"{start}`todos.delete` does not")
    denial = ruled.denied([ruled.link("todos", 1, "owner", 1)])
    assert denial.message.startswith(f"{start}`people.link.todos` does not")
    assert denial.hint["input"] == ["people", "object"]
    ruled = RuledApp(app, allow("people", view="false"))
    denial = ruled.denied([ruled.link("todos", 1, "owner", 1)])
    assert denial.message.startswith(f"{start}`people.view` does not allow a link")


@pytest.mark.rule("R119")
def test_rules_come_after_guards_and_before_modes_and_values(app: App) -> None:
    app.put("todos", 1, title="a", code={"secret": "x" * 900})
    ruled = RuledApp(app, {"$default": {"allow": {"$default": "false"}}})
    users_id = app.attr("$users", "id").id
    with pytest.raises(InvalidInput, match="system entity"):
        ruled.act([["add-triple", uid(1), users_id, uid(1)]])
    assert not ruled.is_allowed([[*step, {"mode": "create"}] for step in ruled.put("todos", 1)])
    strict = [[*step, {"mode": "update"}] for step in ruled.put("todos", 9)]
    assert not ruled.is_allowed(strict)
    with pytest.raises(InvalidInput, match="Updating entities that don't exist"):
        RuledApp(app).act(strict)
    too_much = ruled.set("todos", 1, "deep-merge-triple", code={"mine": "y" * 200})
    assert not ruled.is_allowed(too_much)
    with pytest.raises(InvalidInput) as caught:
        RuledApp(app).act(too_much)
    assert caught.value.hint["value-too-large?"] and caught.value.hint["value"] is None
    assert "secret" not in repr(caught.value.body())


@pytest.mark.rule("R120")
def test_rules_that_are_always_true_cost_nothing(app: App) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 1)
    steps = [*app.put_steps("todos", 1, title="b"), *app.put_steps("todos", 2, title="c")]
    steps += [["add-triple", uid(1), app.attr("todos", "tags").id, uid(1)]]
    app.transact(steps)
    open_app, opened = RuledApp(app), RuledApp(app, {"$default": {"allow": {"$default": "true"}}})
    counts = []
    for checks in (None, open_app.checks(1), opened.checks(1)):
        app.transact([["delete-entity", uid(2)], ["retract-triple", *steps[-1][1:]]])
        app.put("todos", 1, title="a")
        app.transact(steps, is_admin=False, checks=checks)
        counts.append(len(app.statements))
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.rule("R120")
def test_a_rule_reads_no_row_twice(app: App) -> None:
    app.transact([*app.put_steps("$users", 7)], is_internal=True)
    app.put("todos", 1, title=uid(7))
    ruled = RuledApp(app, allow("todos", update="newData.title != null"))
    app.put("todos", 1, meta=0)
    app.put("todos", 1, meta=1)
    plain = len(app.statements)
    ruled.act(ruled.put("todos", 1, meta=2), user=7)
    assert len(app.statements) == plain
    ruled = RuledApp(app, allow("todos", update="auth.id == data.title"))
    ruled.act(ruled.put("todos", 1, meta=3), user=7)
    assert len(app.statements) == plain + 1, "but the caller's own"
    assert not ruled.is_allowed(ruled.put("todos", 1, meta=4), user=8)
    many = [step for number in range(2, 50) for step in ruled.put("todos", number, title=uid(7))]
    ruled.act(many)
    ruled.act(
        [["add-triple", *step[1:3], uid(7)] for step in many if step[2] != step[1]][1::2], user=7
    )
    selects = [sql for sql in app.statements if sql.startswith("SELECT")]
    assert len(selects) == 2


@pytest.mark.rule("R121")
def test_the_caller_is_as_before_the_transaction(app: App) -> None:
    app.transact(app.put_steps("$users", 7, role="member"), is_internal=True)
    create = {"todos": {"allow": {"create": "auth.role == 'admin'"}}}
    attrs = {"attrs": {"allow": {"create": "auth.role == 'admin'"}}}
    promote = ["add-triple", uid(7), app.attr("$users", "role").id, "admin"]
    for update in ("auth.id == data.id", "true"):
        rules = {"$users": {"allow": {"update": update}}}
        ruled = RuledApp(app, {**rules, **create})
        assert not ruled.is_allowed([promote, *ruled.put("todos", 1)], user=7)
        add = ["add-attr", app.attr_json("todos", "extra")]
        assert not RuledApp(app, {**rules, **attrs}).is_allowed([promote, add], user=7)
    assert not ruled.is_allowed([promote, *ruled.put("todos", 1)], user=7)
    assert ruled.is_allowed([promote], user=7)
    assert ruled.is_allowed(ruled.put("todos", 1), user=7)


@pytest.mark.rule("R122")
def test_system_columns_stay_closed_and_own_ones_follow_rules(app: App) -> None:
    app.transact(app.put_steps("$users", 7, role="member", email="a@b.c"), is_internal=True)
    ruled = RuledApp(app, {"$users": {"allow": {"$default": "true", "delete": "false"}}})
    email = app.attr("$users", "email").id
    with pytest.raises(InvalidInput, match="system column"):
        ruled.act([["add-triple", uid(7), email, "x@y.z"]], user=7)
    assert ruled.is_allowed(ruled.set("$users", 7, role="x"), user=7)
    own = RuledApp(app)
    assert own.is_allowed(own.set("$users", 7, role="y"), user=7)
    assert not own.is_allowed(own.set("$users", 7, role="z"), user=8)
    app.transact([["add-triple", uid(7), email, "x@y.z"]])
    size = app.attr("$files", "size").id
    for is_admin in (True, False):
        with pytest.raises(InvalidInput, match="system column"):
            app.transact([["add-triple", uid(7), size, 1]], is_admin=is_admin)


@pytest.mark.rule("R123")
def test_a_recorder_gets_every_check_and_nothing_is_refused(app: App) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 3)
    rules = {
        "todos": {"allow": {"update": "newData.title == 'z'", "create": "data.meta.x == 1"}},
        "people": {"allow": {"link": {"todos": "linkedData.title == 'a'"}}},
    }
    ruled = RuledApp(app, rules)
    found: list[Any] = []
    attr = app.attr_json("tags", "extra")
    ruled.act(
        [
            ["add-attr", attr],
            *ruled.put("todos", 1, title="b"),
            *ruled.put("todos", 2, title="c"),
            ruled.link("todos", 1, "owner", 3),
            ruled.delete("tags", 4),
        ],
        recorder=found,
    )
    shown = [(each.scope, each.etype, each.id, each.action, each.is_allowed) for each in found]
    assert shown == [
        ("object", "todos", uid(1), "update", False),
        ("link", "people", uid(3), "link", True),
        ("object", "tags", uid(4), "delete", True),
        ("object", "todos", uid(2), "create", False),
        ("attr", "attrs", attr["id"], "create", True),
    ]
    update, link, delete, create, _ = found
    assert (update.data["title"], update.new_data["title"], update.value) == ("a", "b", False)
    assert (link.label, link.given["linked"][1]["title"]) == ("todos", "a")
    assert delete.data is None and delete.new_data is None
    assert create.error.code == "permission-evaluation-failed" and create.value is None
    assert update.judge.evaluate(update.program, **update.given) is False
    assert app.get("todos", 2) == {"title": "c", "done": None}


@pytest.mark.rule("R124")
def test_long_transactions_are_judged_on_the_writers_thread(app: App) -> None:
    limits = {"$rateLimits": {"writes": {"limits": [{"capacity": 3}]}}}
    ruled = RuledApp(app, {**limits, **allow("todos", create="rateLimit.writes.limit('x')")})
    steps = [step for number in range(3) for step in ruled.put("todos", number)]
    ruled.act(steps, is_long=True)
    with pytest.raises(LimitExceeded):
        ruled.act(ruled.put("todos", 9), is_long=True)
    ruled = RuledApp(app, DENY_UPDATES)
    with pytest.raises(PermissionDenied):
        ruled.act(steps, is_long=True)
    assert len(app.all("todos")) == 3


@pytest.mark.rule("R125")
def test_a_rule_that_fails_fails_the_transaction(app: App) -> None:
    app.put("todos", 1)
    ruled = RuledApp(app, allow("todos", update="data.meta.x == 1"))
    before = app.snapshot()
    with pytest.raises(PermissionDenied) as caught:
        ruled.act(ruled.put("todos", 1, title="a"))
    assert caught.value.code == "permission-evaluation-failed"
    assert caught.value.hint["rule"] == ["todos", "update"]
    assert app.snapshot() == before
