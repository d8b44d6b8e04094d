"""What rules are asked of those who are not there, so that nobody learns from it who is."""

from __future__ import annotations

from typing import Any

import pytest

from support.ruled_app import RuledApp
from support.transact_app import App, uid
from trice.errors import InvalidInput, TriceError

OWN = "data.role == 'shown'"
PEOPLE = {"view": OWN, "create": "true", "update": OWN, "delete": OWN}


def told(ruled: RuledApp, *steps: Any, user: int | None = 1) -> Any:
    """What a caller hears: "ok", or everything about the refusal."""
    before = ruled.app.snapshot()
    try:
        ruled.act(list(steps), user=user)
    except TriceError as refusal:
        assert ruled.app.snapshot() == before
        return refusal.body()
    return "ok"


def by(ruled: RuledApp, email: str) -> list[Any]:
    return ruled.by("people", "email", email)


@pytest.fixture
def ruled(app: App) -> RuledApp:
    """Todo 1; a person who is shown, one who is hidden."""
    app.put("todos", 1, title="a")
    app.put("people", 1, email="shown@a.b", role="shown")
    app.put("people", 2, email="hidden@a.b", role="other")
    return RuledApp(app, {"people": {"allow": PEOPLE}})


@pytest.mark.rule("R201")
@pytest.mark.parametrize("op", ["add-triple", "retract-triple"])
def test_a_target_lookup_does_not_tell_who_is_there(ruled: RuledApp, op: str) -> None:
    label = ruled.app.attr("todos", "owner").id
    hidden, absent, shown = (
        told(ruled, [op, uid(1), label, by(ruled, f"{who}@a.b")])
        for who in ("hidden", "absent", "shown")
    )
    assert hidden == absent and hidden["type"] == "permission-denied"
    assert shown == "ok"


@pytest.mark.rule("R201")
def test_linking_does_not_tell_which_accounts_there_are(app: App) -> None:
    app.admin(["update", "$users", uid(7), {"email": "there@a.b"}])
    attr = app.attr_json("todos", "writer", to=("$users", "written"))
    app.transact([["add-attr", attr]])
    ruled = RuledApp(app, {"todos": {"allow": {"$default": "true"}}})
    for op in ("add-triple", "retract-triple"):
        there, absent = (
            told(ruled, [op, uid(1), attr["id"], ruled.by("$users", "email", f"{who}@a.b")])
            for who in ("there", "absent")
        )
        assert there == absent and there["type"] == "permission-denied"


@pytest.mark.rule("R201")
def test_where_everybody_is_shown_it_is_told_that_nobody_is_there(app: App) -> None:
    app.put("todos", 1)
    for view in ("true", "auth.id != null"):
        ruled = RuledApp(app, {"people": {"allow": {"view": view, "update": OWN}}})
        assert told(ruled, ruled.unlink("todos", 1, "owner", by(ruled, "absent@a.b"))) == "ok"
        refusal = told(ruled, ruled.link("todos", 1, "owner", by(ruled, "absent@a.b")))
        assert refusal["hint"]["data-type"] == "lookup"
        assert "does not exist" in refusal["message"]
    refusal = told(ruled, ruled.link("todos", 1, "owner", by(ruled, "absent@a.b")), user=None)
    assert refusal["type"] == "permission-denied"


@pytest.mark.rule("R201")
@pytest.mark.parametrize("end", ["todos", "people"])
@pytest.mark.parametrize("source", [1, 9])
def test_rules_for_links_do_not_tell_either(app: App, end: str, source: int) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 2, email="hidden@a.b", role="other")
    rule = "linkedData.role != 'other'" if end == "todos" else "data.role != 'other'"
    label = "owner" if end == "todos" else "todos"
    allow = {"link": {label: rule}, "unlink": {label: rule}}
    rules: dict[str, Any] = {"people": {"allow": {"view": OWN}}}
    rules.setdefault(end, {}).setdefault("allow", {}).update(allow)
    ruled = RuledApp(app, rules)
    for made in (ruled.link, ruled.unlink):
        hidden, absent = (
            told(ruled, made("todos", source, "owner", by(ruled, f"{who}@a.b")))
            for who in ("hidden", "absent")
        )
        assert hidden == absent, made
        if source == 1 or made == ruled.link or end == "people":
            assert hidden["type"] == "permission-denied"


@pytest.mark.rule("R202")
@pytest.mark.parametrize("op", ["add-triple", "deep-merge-triple"])
def test_a_strict_update_does_not_tell_which_ids_there_are(ruled: RuledApp, op: str) -> None:
    role = ruled.app.attr("people", "role").id
    hidden, absent, shown = (
        told(ruled, [op, uid(number), role, "shown", {"mode": "update"}]) for number in (2, 8, 1)
    )
    assert hidden == absent and hidden["type"] == "permission-denied"
    assert shown == "ok"
    open_rules = RuledApp(ruled.app, {"people": {"allow": {"update": "auth.id != null"}}})
    with pytest.raises(InvalidInput, match="Updating entities that don't exist"):
        open_rules.act([[op, uid(8), role, "x", {"mode": "update"}]], user=1)


@pytest.mark.rule("R200")
@pytest.mark.parametrize("rule", ["data.role != 'other'", "!(data.role in ['other'])"])
def test_a_rule_that_allows_empty_data_tells_nothing(app: App, rule: str) -> None:
    app.put("people", 2, email="hidden@a.b", role="other")
    ruled = RuledApp(app, {"people": {"allow": dict.fromkeys(PEOPLE, rule)}})
    role = app.attr("people", "role").id
    for make in (
        lambda who: ["delete-entity", who, "people"],
        lambda who: ["add-triple", who, role, "x", {"mode": "update"}],
    ):
        assert told(ruled, make(uid(2))) == told(ruled, make(uid(8))) != "ok"
    for make in (
        lambda who: ["delete-entity", who, "people"],
        lambda who: ["retract-triple", who, role, "x"],
    ):
        there, absent = make(by(ruled, "hidden@a.b")), make(by(ruled, "absent@a.b"))
        assert told(ruled, there) == told(ruled, absent) != "ok"
    # Who sees everybody is told, as Instant tells.
    shown = RuledApp(app, {"people": {"allow": {"view": "true", "delete": rule}}})
    assert told(shown, ["delete-entity", uid(8), "people"]) == "ok"


@pytest.mark.rule("R204")
def test_whom_a_lookup_does_not_find_is_asked_about_in_its_place(ruled: RuledApp) -> None:
    rules = {
        "people": {"allow": PEOPLE},
        "todos": {"allow": {"update": "request.modifiedFields == ['owner']", "view": "true"}},
    }
    strict = RuledApp(ruled.app, rules)
    title = ruled.set("todos", 1, title="b")
    for steps in (
        lambda who: [strict.link("todos", 1, "owner", by(strict, who))],
        lambda who: [strict.link("todos", 1, "owner", by(strict, who)), *title],
        lambda who: [*title, strict.link("todos", 1, "owner", by(strict, who))],
        lambda who: [["delete-entity", by(strict, who), "people"], strict.delete("todos", 1)],
        lambda who: [strict.delete("todos", 1), ["delete-entity", by(strict, who), "people"]],
    ):
        assert told(strict, *steps("hidden@a.b")) == told(strict, *steps("absent@a.b")) != "ok"


@pytest.mark.rule("R200")
def test_a_link_that_a_required_attr_waits_for_is_told_of_as_such(app: App) -> None:
    attr = app.attr_json("memos", "by", to=("people", "memos"), required=True)
    app.transact([["add-attr", app.attr_json("memos", "id")], ["add-attr", attr]])
    ruled = RuledApp(app)
    memo = [*ruled.put("memos", 1), ["add-triple", uid(1), attr["id"], by(ruled, "absent@a.b")]]
    assert told(ruled, *memo)["hint"]["data-type"] == "lookup"


@pytest.mark.rule("R220")
@pytest.mark.parametrize("mode", [{"mode": "update"}, {}])
def test_an_id_written_by_a_lookup_does_not_tell_whose_it_is(app: App, mode: Any) -> None:
    app.put("people", 2, email="hidden@a.b", role="other")
    ruled = RuledApp(app, {"people": {"allow": {**PEOPLE, "create": "false"}}})
    id_attr, email = app.attr("people", "id").id, app.attr("people", "email").id
    for attr, value in ((id_attr, uid(8)), (email, "new@a.b")):
        hidden, absent = (
            told(ruled, ["add-triple", by(ruled, f"{who}@a.b"), attr, value, mode])
            for who in ("hidden", "absent")
        )
        assert hidden == absent and hidden["type"] == "permission-denied"
    hidden, absent = (
        told(ruled, ["retract-triple", by(ruled, f"{who}@a.b"), id_attr, uid(8)])
        for who in ("hidden", "absent")
    )
    assert hidden == absent == "ok"
    with pytest.raises(InvalidInput) as caught:
        app.transact([["add-triple", by(ruled, "hidden@a.b"), id_attr, uid(8)]])
    assert uid(2) not in caught.value.message


TEAM_RULES: dict[str, dict[str, Any]] = {
    "none": {},
    "source": {"people": {"link": {"team": OWN}, "unlink": {"team": OWN}}},
    "target": {
        "todos": {
            "link": {"members": "linkedData.role == auth.email"},
            "unlink": {"members": "linkedData.role == 'shown'"},
        }
    },
}


@pytest.fixture
def team(app: App) -> App:
    """Todo 1; a hidden person, who may be linked to it."""
    app.transact([["add-attr", app.attr_json("people", "team", to=("todos", "members"))]])
    app.put("todos", 1, title="a", code="there")
    app.put("people", 2, email="hidden@a.b", role="other")
    return app


def team_rules(ends: str) -> dict[str, Any]:
    allow = {"people": dict(PEOPLE), "todos": {"$default": "true"}}
    for etype, more in TEAM_RULES[ends].items():
        allow[etype].update(more)
    return {etype: {"allow": actions} for etype, actions in allow.items()}


@pytest.mark.rule("R221")
@pytest.mark.parametrize("ends", TEAM_RULES)
@pytest.mark.parametrize("op", ["add-triple", "retract-triple"])
@pytest.mark.parametrize("target", ["id", "there", "nowhere"])
def test_a_link_from_a_lookup_does_not_tell_who_is_there(
    team: App, ends: str, op: str, target: str
) -> None:
    ruled = RuledApp(team, team_rules(ends))
    end = uid(1) if target == "id" else ruled.by("todos", "code", target)
    mode = [{"mode": "update"}] if op == "add-triple" else []
    label = team.attr("people", "team").id
    hidden, absent = (
        told(ruled, [op, by(ruled, f"{who}@a.b"), label, end, *mode], user=None)
        for who in ("hidden", "absent")
    )
    assert hidden == absent and hidden["type"] == "permission-denied"


@pytest.mark.rule("R222")
@pytest.mark.parametrize("ends", TEAM_RULES)
@pytest.mark.parametrize("target", ["id", "there", "nowhere"])
def test_a_link_in_mode_update_does_not_tell_which_ids_there_are(
    team: App, ends: str, target: str
) -> None:
    ruled = RuledApp(team, team_rules(ends))
    end = uid(1) if target == "id" else ruled.by("todos", "code", target)
    label = team.attr("people", "team").id
    hidden, absent = (
        told(ruled, ["add-triple", uid(who), label, end, {"mode": "update"}], user=None)
        for who in (2, 9)
    )
    assert hidden == absent and hidden["type"] == "permission-denied"
