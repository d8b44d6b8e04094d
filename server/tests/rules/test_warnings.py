"""What is told of rules that can be saved, and how rules with a fault that can be saved behave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.notes import GUEST, Notes, user
from support.ruled_app import RuledApp
from support.transact_app import App
from trice import limits
from trice.catalog.catalog import Catalog
from trice.catalog.system import system_attrs
from trice.errors import InvalidInput, PermissionDenied
from trice.rules.document import Rules
from trice.rules.nulls import NodeBudget
from trice.rules.warnings import warnings_of, warnings_wire

EMPTY = Catalog(system_attrs())
CLOSED = {"view": "false", "create": "false", "update": "false", "delete": "false"}


def told(document: Any, catalog: Catalog = EMPTY, **how: Any) -> list[tuple[str, str, str]]:
    """Path, message and hint of every warning."""
    found = warnings_of(Rules.parse(document, **how), catalog)
    return [(".".join(each.path), each.message, each.hint) for each in found]


def traps(expression: str, *, action: str = "view", bind: Mapping[str, str] | None = None) -> int:
    """How many comparisons with null on both sides are told of."""
    section = {"allow": {**CLOSED, action: expression}, "bind": dict(bind or {})}
    return sum("both sides are null" in message for _, message, _ in told({"notes": section}))


# --- what is saved ------------------------------------------------------------------------------


@pytest.mark.rule("R180")
@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"bind": ["secret_token", "refresh_token"]}, "notes.bind.secret_token"),
        ({"bind": {"a": "(", "b": "true"}, "allow": {"view": "b"}}, "notes.bind.a"),
        ({"allow": {"view": "false", "$default": "newData.x == 1"}}, "notes.allow.$default"),
        ({"allow": {"link": {"owner": "nope"}}}, "notes.allow.link.owner"),
        ({"allow": {"unlink": {"$default": "1 +"}}}, "notes.allow.unlink.$default"),
    ],
)
def test_what_instant_does_not_look_at_is_saved_with_a_warning(section: Any, path: str) -> None:
    found = [(where, message) for where, message, _ in told({"notes": section}) if where == path]
    assert len(found) == 1, told({"notes": section})
    is_unused = ".bind." in path
    assert ("No rule uses this bind" if is_unused else "fails whenever it is asked") in found[0][1]


@pytest.mark.rule("R180", "R22")
def test_a_bind_that_a_rule_uses_is_still_a_fault() -> None:
    with pytest.raises(InvalidInput) as caught:
        Rules.parse({"notes": {"bind": {"a": "(", "b": "a"}, "allow": {"view": "b"}}})
    assert [each["in"] for each in caught.value.hint["errors"]] == [["notes", "bind", "a"]]


@pytest.mark.rule("R180")
def test_a_rule_with_a_fault_allows_nobody(app: App, notes: Notes) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 2)
    broken = {"view": "true", "create": "true", "$default": "newData.title == 'x' && ("}
    ruled = RuledApp(app, {"todos": {"allow": {**broken, "link": {"owner": "nope"}}}})
    for step in (ruled.link("todos", 1, "owner", 2), ruled.delete("todos", 1)):
        with pytest.raises(PermissionDenied) as caught:
            ruled.act([step], user=1)
        assert caught.value.code == "permission-evaluation-failed"
    ruled.act(ruled.put("todos", 3, title="b"), user=1)
    notes.library.add("notes", 10, title="a")
    rules = Rules.parse({"notes": {"allow": {"$default": "nope == 1"}}})
    for who in (GUEST, user(1)):
        with pytest.raises(PermissionDenied, match=r"notes\.view"):
            notes.ask(rules, {"notes": {}}, who)


@pytest.mark.rule("R181")
def test_ref_of_what_is_written_fails_when_evaluated(app: App) -> None:
    app.put("todos", 1, title="a")
    either = "data.title == 'a' || 'x' in newData.ref('owner.id')"
    rules = {"todos": {"bind": {"still": "'x' in newData.ref('owner.id')"}, "allow": {}}}
    rules["todos"]["allow"] = {"create": "still", "update": either, "delete": "true"}
    ruled = RuledApp(app, rules)
    ruled.act(ruled.set("todos", 1, done=True), user=1)
    with pytest.raises(PermissionDenied) as caught:
        ruled.act(ruled.put("todos", 2), user=1)
    assert caught.value.code == "permission-evaluation-failed"
    found = [entry for entry in told(rules) if "fails whenever it is evaluated" in entry[1]]
    assert [path for path, _, _ in found] == ["todos.bind.still", "todos.allow.update"]
    assert "newData.field" in found[0][2]


@pytest.mark.rule("R182")
def test_what_was_saved_is_in_force_again(notes: Notes) -> None:
    document = {
        "notes": {"allow": {"view": "request.modifiedFields == 1", "update": "true"}, "fields": 5},
        "tags": {"allow": {"view": "data.name == 'a'"}, "bind": {"x": "("}},
        "$magicCodes": {"allow": {"view": "true"}},
    }
    with pytest.raises(InvalidInput):
        Rules.parse(document)
    rules = Rules.parse(document, is_stored=True)
    notes.library.add("notes", 1, title="a")
    notes.library.add("tags", 2, name="a")
    with pytest.raises(PermissionDenied, match=r"notes\.view"):
        notes.ask(rules, {"notes": {}}, user(1))
    assert len(notes.ask(rules, {"tags": {}}, user(1)).nodes[0].rows) == 1
    assert notes.ask(rules, {"$magicCodes": {}}, user(1)).nodes[0].rows == []
    assert any(note.path == ("notes", "fields") for note in rules.notes)


# --- misspelt -----------------------------------------------------------------------------------


@pytest.mark.rule("R184")
@pytest.mark.parametrize(
    ("document", "path", "hint"),
    [
        ({"notes": {"allow": {**CLOSED, "veiw": "true"}}}, "notes.allow.veiw", "view"),
        ({"notes": {"allow": {**CLOSED, "read": "true"}}}, "notes.allow.read", "view"),
        ({"notes": {"alow": {"view": "true"}}}, "notes.alow", "allow"),
        ({"notes": {"view": "false"}}, "notes.view", '{"allow": {"view": …}}'),
        ({"note": {"allow": CLOSED}}, "note", "notes"),
        ({"$default": {"fields": {"x": "true"}}}, "$default.fields", ""),
        ({"$default": {"allow": {**CLOSED, "link": {"a": "true"}}}}, "$default.allow.link", ""),
    ],
)
def test_what_nothing_reads(notes: Notes, document: Any, path: str, hint: str) -> None:
    found = told(document, notes.library.catalog)
    assert [entry[0] for entry in found] == [path], found
    assert hint in found[0][2]


@pytest.mark.rule("R185")
@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("auth.uid == data.title", "`auth.uid` is null for everybody", "`id`"),
        ("data.tilte == 'a'", "`notes` has no attr `tilte`", "`title`"),
        ("data.tags == 'a'", "`tags` is a link to many", "data.ref('tags.id')"),
        ("auth.notes == 'a'", "`notes` is a link to many", "auth.ref('$user.notes.id')"),
        ("'a' in data.ref('ownr.id')", "`notes` has no link `ownr`", ""),
        ("'a' in data.ref('owner.handle')", "`$users` has no attr or link `handle`", ""),
        ("'a' in auth.ref('$user.teams.id')", "`$users` has no link `teams`", ""),
        ("data.title == 'a' && mine", "`notes` has no attr `ownr`", "`owner`"),
    ],
)
def test_what_does_not_exist(notes: Notes, expression: str, message: str, hint: str) -> None:
    section = {"bind": {"mine": "data.ownr == 'x'"}, "allow": {**CLOSED, "view": expression}}
    ((path, found, advice),) = told({"notes": section}, notes.library.catalog)
    assert path == ("notes.bind.mine" if "mine" in expression else "notes.allow.view")
    assert message in found and hint in advice


@pytest.mark.rule("R185")
def test_rules_of_fields_and_links_that_do_not_exist(notes: Notes) -> None:
    fields = {"titel": "false", "children": "false", "title": "false"}
    link = {"ownr": "true", "owner": "linkedData.nmae == 'a'", "tags": "linkedData.name == 'a'"}
    section = {"allow": {**CLOSED, "link": link}, "fields": fields}
    found = {path: message for path, message, _ in told({"notes": section}, notes.library.catalog)}
    assert set(found) == {
        "notes.fields.titel",
        "notes.fields.children",
        "notes.allow.link.ownr",
        "notes.allow.link.owner",
    }
    assert "`$users` has no attr `nmae`" in found["notes.allow.link.owner"]


@pytest.mark.rule("R185")
def test_before_there_is_a_schema_names_are_not_judged() -> None:
    rules = {"posts": {"allow": dict.fromkeys(CLOSED, "data.a == 1 && 'x' in data.ref('b.c')")}}
    assert told({**rules, "$users": {"fields": {"plan": "auth.role == 'x'"}}}) == []
    assert len(told({"posts": {"allow": {**CLOSED, "view": "auth.uid == 'x'"}}})) == 1


@pytest.mark.rule("R186")
@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("data.ref('owner.id') == auth.id", "compares a list", "auth.id in data.ref('owner.id')"),
        ("auth.ref('$user.team.name') != null", "compares a list", "`[]`"),
        ("auth.id in data.sub == 'a'", "compares a condition", "`&&`"),
        ("auth != null", "`auth` is never null", "`auth.id`"),
        ("data.owner.email == 'a'", "the id of the linked entity", "data.ref('owner.email')"),
    ],
)
def test_what_is_never_equal(notes: Notes, expression: str, message: str, hint: str) -> None:
    rules = {"notes": {"allow": {**CLOSED, "view": expression}}}
    found = told(rules, notes.library.catalog)
    assert any(message in text and hint in advice for _, text, advice in found), found


# --- null equals null ---------------------------------------------------------------------------


@pytest.mark.rule("R187")
@pytest.mark.parametrize(
    "expression",
    [
        "auth.id == data.owner",
        "data.owner == auth.id",
        "data['owner'] == auth['id']",
        "data.open == true || auth.id == data.owner",
        "data.open == true && auth.id == data.owner",
        "data.a == 1 || (data.b == 1 && auth.id == data.owner)",
        "!(data.a == 1) && auth.id == data.owner",
        "data.a == 1 ? auth.id == data.owner : false",
        "mine",
        "data.a == 1 && mine",
        "me == data.owner",
        "auth.id in [data.owner, data.helper]",
        "data.code == ruleParams.code",
        "auth.id != null && data.code == ruleParams.code",
    ],
)
def test_comparisons_that_let_strangers_in(expression: str) -> None:
    bind = {"mine": "auth.id == data.owner", "me": "auth.id"}
    assert traps(expression, bind=bind) >= 1


@pytest.mark.rule("R187")
@pytest.mark.parametrize(
    "expression",
    [
        "auth.id == data.id",
        "auth.id != null && auth.id == data.owner",
        "auth.id == data.owner && auth.id != null",
        "data.owner != null && auth.id == data.owner",
        "data.open == true || (signedIn && auth.id == data.owner)",
        "signedIn && mine",
        "auth.email == 'a@b.c' && auth.id == data.owner",
        "auth.isGuest == false && auth.id == data.owner",
        "auth.id in data.ref('team.members.id') && auth.id == data.owner",
        "'admin' in auth.ref('$user.roles.name') && auth.id == data.owner",
        "size(auth.ref('$user.roles.name')) > 0 && auth.id == data.owner",
        "auth.email.endsWith('@a.b') && auth.id == data.owner",
        "auth.id == null ? false : auth.id == data.owner",
        "!(auth.id == null) && auth.id == data.owner",
        "cel.bind(me, auth.id, me != null && auth.id == data.owner)",
        "true || auth.id == data.owner",
        "data.code != null && data.code == ruleParams.code",
        "newData.owner == data.owner",
        "auth.id != data.owner",
    ],
)
def test_comparisons_that_are_guarded(expression: str) -> None:
    bind = {"mine": "auth.id == data.owner", "signedIn": "auth.id != null"}
    assert traps(expression, action="update", bind=bind) == 0


@pytest.mark.rule("R187")
def test_a_required_attr_is_never_null(app: App) -> None:
    app.transact([["add-attr", app.attr_json("docs", "id")]])
    for label, is_required in (("owner", True), ("editor", False)):
        app.transact([["add-attr", app.attr_json("docs", label, required=is_required)]])
    rule = "auth.id == data.owner || auth.id == data.editor"
    found = told({"docs": {"allow": {**CLOSED, "view": rule}}}, app.catalog)
    assert [message.split(" is ")[0] for _, message, _ in found] == ["`auth.id == data.editor`"]
    assert found[0][2] == "Write `auth.id != null && auth.id == data.editor`."


@pytest.mark.rule("R187")
def test_what_is_told_of_is_what_happens(notes: Notes) -> None:
    """Each of the expressions above, asked by a guest of an entity in which nothing is set."""
    notes.library.add("notes", 1, title="a")
    for expression, is_shown in (
        ("auth.id == data.owner", True),
        ("auth.id != null && auth.id == data.owner", False),
        ("auth.email.endsWith('@a.b') || auth.id == data.owner", True),
        ("size(auth.ref('$user.team.name')) > 0 && auth.id == data.owner", False),
    ):
        rules = Rules.parse({"notes": {"allow": {"view": expression}}})
        assert bool(notes.ask(rules, {"notes": {}}, GUEST).nodes[0].rows) is is_shown
        assert traps(expression) == is_shown


# --- what is left open --------------------------------------------------------------------------


@pytest.mark.rule("R188")
@pytest.mark.parametrize(
    ("allow", "missing"),
    [
        ({"view": "true", "create": "true", "update": "false"}, "`delete`"),
        ({"view": "auth.id != null"}, "`create` and `update` and `delete`"),
        ({"create": "auth.id != null", "delete": "false"}, "`update`"),
        ({"view": "true"}, ""),
        ({"view": "true", "create": "true", "$default": "false"}, ""),
        (CLOSED, ""),
    ],
)
def test_what_is_left_open(allow: Any, missing: str) -> None:
    document = {"notes": {"allow": allow}}
    found = told(document)
    assert [path for path, _, _ in found] == (["notes.allow"] if missing else [])
    assert all(f"may {missing} in `notes`" in message for _, message, _ in found)
    assert told(document, is_open=False) == []
    assert told({**document, "$default": {"allow": {"$default": "false"}}}) == []
    assert told({"$files": {"allow": allow}}) == []


# --- in general ---------------------------------------------------------------------------------


@pytest.mark.rule("R189")
def test_rules_as_people_write_them_are_not_nagged_about(notes: Notes) -> None:
    owner = "auth.id != null && auth.id in data.ref('owner.id')"
    document = {
        "attrs": {"allow": {"$default": "false"}},
        "$files": {
            "bind": ["mine", "auth.id != null && data.path.startsWith(auth.id + '/')"],
            "allow": {"view": "true", "create": "mine", "delete": "mine"},
        },
        "$users": {
            "allow": {"view": "auth.id == data.id", "update": "auth.id == data.id"},
            "fields": {"email": "auth.id == data.id"},
        },
        "notes": {
            "bind": {
                "isOwner": owner,
                "inTeam": "auth.id in data.ref('team.members.id') || auth.isGuest == false",
                "admin": "auth.ref('$user.team.name')[0] == 'admins' || auth.role == 'admin'",
                "kept": "newData.owner == data.owner && !('title' in request.modifiedFields)",
                "recent": "(request.time - timestamp(data.when)).getMinutes() < 6",
            },
            "allow": {
                "view": "data.done == true || isOwner || inTeam",
                "create": "isOwner && size(newData.title) < 100",
                "update": "admin || (isOwner && kept)",
                "delete": "isOwner && recent",
                "link": {"owner": "linkedData.id == auth.id", "$default": "isOwner"},
                "unlink": {"tags": "isOwner && linkedData.name != 'fixed'"},
            },
            "fields": {"sub": "isOwner"},
        },
        "tags": {"allow": {"$default": "false", "view": "true"}},
    }
    assert told(document, notes.library.catalog) == []
    assert told(document) == []


@pytest.mark.rule("R183")
def test_warnings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"e{number}": {"alow": 1} for number in range(limits.RULE_WARNINGS_MAX + 7)}
    found = told(many)
    assert len(found) == limits.RULE_WARNINGS_MAX + 1
    assert found[-1] == ("", "There are more warnings than are told.", "")
    long = {"x" * 5_000: {"y" * 5_000: 1, "allow": {"z" * 5_000: "true"}}}
    for entry in warnings_wire(Rules.parse(long), EMPTY):
        assert max(len(entry["message"]), len(entry.get("hint", ""))) <= 500
    monkeypatch.setattr(limits, "RULE_WARNING_STEPS", 50)
    large = {"notes": {"allow": {**CLOSED, "view": " || ".join(["auth.id == data.owner"] * 40)}}}
    assert "too large to be looked at" in told(large)[-1][1]


@pytest.mark.rule("R183")
def test_a_document_made_to_be_looked_at_for_long_is_not() -> None:
    each = " || ".join(["auth.id == data.owner"] * 250)
    guarded = f"auth.id != null && ({each})"
    document = {f"n{number}": {"allow": {**CLOSED, "view": guarded}} for number in range(4)}
    budget = NodeBudget(1_000)
    found = warnings_of(Rules.parse(document), EMPTY, budget=budget)
    assert "too large to be looked at" in found[-1].message
    assert budget.left == -1  # the first one that was not there ended it


NAMES = st.sampled_from(
    ["$default", "notes", "allow", "bind", "fields", "view", "link", "owner", "veiw", "create"]
)
TEXTS = st.sampled_from(
    ["true", "auth.id == data.owner", "a && b", "newData.ref('x')", "data.x.y.z", "(", "a", "1"]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.rule("R182", "R183")
@settings(max_examples=200, deadline=None)
@given(st.dictionaries(NAMES, DOCUMENTS))
def test_no_document_breaks_what_looks_at_it(document: Any) -> None:
    rules = Rules.parse(document, is_stored=True)
    for entry in warnings_wire(rules, EMPTY):
        assert entry["message"] and isinstance(entry["in"], list)


@pytest.mark.rule("R183")
def test_notes_are_bounded_too() -> None:
    name = "n" * 5_000
    rules = {f"e{number}": {"allow": {"link": {"a": name}}} for number in range(200)}
    notes = Rules.parse(rules).notes
    assert len(notes) <= limits.RULE_WARNINGS_MAX + 1
    assert max(len(note.message) for note in notes) <= limits.RULE_WARNING_CHARS_MAX
    kept = Rules.parse(rules).find_link("e1", "link", "a")
    assert kept is not None and len(repr(kept.expression.root)) < 1_000
