"""Which rules linking and unlinking ask, at which ends, and what these see."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from support.ruled_app import RuledApp
from support.transact_app import App, uid
from trice import limits
from trice.rules.hearing import CheckResult

SIDES = ("neither", "forward", "reverse", "both")
LINKS = {"owner": "people", "tags": "tags"}


def rules_for(label: str, sides: str, action: str = "link") -> dict[str, Any]:
    """Every rule asks for a parameter of its own: S, T for the ends, F, R for the link."""
    source: dict[str, Any] = {"update": "ruleParams.S == 1", "create": "ruleParams.S == 1"}
    target: dict[str, Any] = {"view": "ruleParams.T == 1"}
    if sides in ("forward", "both"):
        source[action] = {label: "ruleParams.F == 1"}
    if sides in ("reverse", "both"):
        target[action] = {"$default": "ruleParams.R == 1"}
    return {"todos": {"allow": source}, LINKS[label]: {"allow": target}}


NEEDED = {
    "neither": {"S": "source", "T": "target"},
    "forward": {"F": "source"},
    "reverse": {"R": "target"},
    "both": {"F": "source", "R": "target"},
}


@pytest.mark.rule("R107", "R108", "R114")
@pytest.mark.parametrize("label", LINKS)
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("is_by_lookup", [False, True])
def test_exactly_the_rules_of_the_table_are_asked(
    app: App, label: str, sides: str, is_new: bool, is_by_lookup: bool
) -> None:
    ruled = RuledApp(app, rules_for(label, sides))
    far = LINKS[label]
    app.put(far, 5)
    source: Any = ruled.by("todos", "code", "c1") if is_by_lookup else uid(1)
    if not is_new:
        app.put("todos", 1, code="c1")
    step = ruled.link("todos", source, label, 5)
    ends = {"source": ("todos", source), "target": (far, uid(5))}
    needed = NEEDED[sides]
    for chosen in product(ends, repeat=len(needed)):
        given = list(zip(needed, chosen, strict=True))
        params = [ruled.params(*ends[end], **{name: 1}) for name, end in given]
        for missing in range(len(params)):
            assert not ruled.would_allow([*params[:missing], *params[missing + 1 :], step])
        # A link's rule knows the parameters of both ends, others those of their own entity.
        is_enough = sides != "neither" or dict(given) == needed
        assert ruled.would_allow([*params, step]) is is_enough


@pytest.mark.rule("R114")
def test_the_judged_sides_own_params_win(app: App) -> None:
    app.put("todos", 1)
    app.put("people", 5)
    ruled = RuledApp(app, rules_for("owner", "forward"))
    step = ruled.link("todos", 1, "owner", 5)
    right, wrong = ruled.params("todos", 1, F=1), ruled.params("people", 5, F=2)
    assert ruled.is_allowed([right, wrong, step])
    right, wrong = ruled.params("people", 5, F=1), ruled.params("todos", 1, F=2)
    assert not ruled.is_allowed([right, wrong, step])


@pytest.mark.rule("R108")
def test_a_field_beside_a_link_still_needs_update(app: App) -> None:
    app.put("todos", 1)
    app.put("people", 5)
    rules = {"todos": {"allow": {"update": "false", "create": "false", "link": {"owner": "true"}}}}
    ruled = RuledApp(app, rules)
    for number in (1, 2):
        step = ruled.link("todos", number, "owner", 5)
        assert not ruled.is_allowed([step, *ruled.set("todos", number, title="a")])
        assert not ruled.is_allowed([step, *ruled.set("todos", number, id=uid(number))])
        assert ruled.is_allowed([step])


@pytest.mark.rule("R109")
def test_link_rules_see_both_ends(app: App) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 5, role="x")
    sees = (
        "data.title == 'a' && newData.title == 'b' && newData.owner == linkedData.id"
        " && linkedData.role == 'x' && actions.data == 'update' && actions.linkedData == 'update'"
        " && request.modifiedFields == ['title', 'owner'] && linkedData.ref('todos.id') == []"
    )
    ruled = RuledApp(app, {"todos": {"allow": {"link": {"owner": sees}}}})
    change = [
        *ruled.set("todos", 1, title="b"),
        ruled.link("todos", 1, "owner", 5),
        *ruled.set("people", 5, role="y"),
    ]
    assert not ruled.is_allowed(change[1:])
    assert ruled.is_allowed(change)
    sees = (
        "data.role == 'y' && newData.role == 'y' && linkedData.title == 'new'"
        " && actions.data == 'update' && actions.linkedData == 'create'"
        " && data.ref('todos.title') == ['b']"
    )
    ruled = RuledApp(app, {"people": {"allow": {"link": {"todos": sees}}}})
    assert ruled.is_allowed(
        [*ruled.put("todos", 2, title="new"), ruled.link("todos", 2, "owner", 5)]
    )
    sees = (
        "data == newData && data.title == 'c' && linkedData.role == 'z'"
        " && actions.data == 'create' && actions.linkedData == 'create'"
        " && linkedData.ref('todos.title') == ['c']"
    )
    ruled = RuledApp(app, {"todos": {"allow": {"link": {"owner": sees}}}})
    both = [*ruled.put("todos", 3, title="c"), *ruled.put("people", 6, role="z")]
    assert ruled.is_allowed([*both, ruled.link("todos", 3, "owner", 6)])


@pytest.mark.rule("R110")
@pytest.mark.parametrize("label", LINKS)
def test_targets_that_do_not_exist_are_not_judged(app: App, label: str) -> None:
    app.put("todos", 1)
    far = LINKS[label]
    for allow in ({"view": "false"}, {"link": {"todos": "false"}}):
        ruled = RuledApp(app, {far: {"allow": allow}})
        step = ruled.link("todos", 1, label, 5)
        assert ruled.is_allowed([step])
        made = [*ruled.put(far, 6), ruled.link("todos", 1, label, 6)]
        assert not ruled.is_allowed(made)


@pytest.mark.rule("R126")
@pytest.mark.parametrize("label", LINKS)
def test_a_rule_at_a_missing_target_leaves_the_source_protected(app: App, label: str) -> None:
    app.put("todos", 1)
    far = LINKS[label]
    app.put(far, 5)
    rules = {
        "todos": {"allow": {"update": "false", "create": "false"}},
        far: {"allow": {"link": {"todos": "data.id != null"}, "unlink": {"todos": "auth == 1"}}},
    }
    ruled = RuledApp(app, rules)
    for source in (1, 2):
        assert not ruled.would_allow([ruled.link("todos", source, label, 9)])
        assert ruled.would_allow([ruled.link("todos", source, label, 5)])
        assert ruled.would_allow([ruled.link("todos", source, label, 6), *ruled.put(far, 6)])
    assert not ruled.would_allow([ruled.unlink("todos", 1, label, 9)])
    both = {"todos": {"allow": {**rules["todos"]["allow"], "link": {label: "true"}}}}
    assert RuledApp(app, {**rules, **both}).would_allow([ruled.link("todos", 1, label, 9)])
    closed = {"todos": {"allow": {"update": "false"}}}
    made = [ruled.link("todos", 1, label, 6), *ruled.put(far, 6)]
    assert RuledApp(app, {**rules, **closed}).would_allow(made)
    anybody = {far: {"allow": {"link": {"todos": "true"}}}}
    opened = RuledApp(app, {**rules, **anybody})
    assert opened.would_allow([ruled.link("todos", 1, label, 9)])
    found: list[CheckResult] = []
    opened.act([ruled.link("todos", 1, label, 9)], recorder=found)
    assert found == []


@pytest.mark.rule("R110")
def test_targets_made_with_the_link_are_judged_as_they_become(app: App) -> None:
    app.put("todos", 1)
    for rule in ({"view": "data.role == 'x'"}, {"link": {"todos": "newData.role == 'x'"}}):
        ruled = RuledApp(app, {"people": {"allow": rule}})
        step = ruled.link("todos", 1, "owner", 5)
        assert not ruled.is_allowed([step, *ruled.put("people", 5, role="y")])
        assert ruled.is_allowed([step, *ruled.put("people", 5, role="x")])
        app.transact([["delete-entity", uid(5), "people"]])


@pytest.mark.rule("R110")
def test_a_target_by_lookup_is_judged_as_its_entity(app: App) -> None:
    app.put("todos", 1)
    app.put("people", 5, email="a", role="x")
    app.put("people", 6, email="b")
    ruled = RuledApp(app, {"people": {"allow": {"view": "data.role == 'x'"}}})
    for email, is_allowed in (("a", True), ("b", False)):
        step = ruled.link("todos", 1, "owner", ruled.by("people", "email", email))
        assert ruled.is_allowed([step]) is is_allowed


@pytest.mark.rule("R111")
@pytest.mark.parametrize("label", LINKS)
@pytest.mark.parametrize("sides", SIDES)
def test_unlinking_asks_its_own_rules(app: App, label: str, sides: str) -> None:
    far = LINKS[label]
    app.put("todos", 1)
    app.put(far, 5)
    app.transact([["add-triple", uid(1), app.attr("todos", label).id, uid(5)]])
    ruled = RuledApp(app, rules_for(label, sides, "unlink"))
    step = ruled.unlink("todos", 1, label, 5)
    ends = {"source": ("todos", uid(1)), "target": (far, uid(5))}
    params = [ruled.params(*ends[end], **{name: 1}) for name, end in NEEDED[sides].items()]
    for missing in range(len(params)):
        assert not ruled.is_allowed([*params[:missing], *params[missing + 1 :], step])
    assert ruled.is_allowed([*params, step])
    assert ruled.is_allowed([ruled.unlink("todos", 8, label, 9)]), "neither end exists"


@pytest.mark.rule("R111")
@pytest.mark.parametrize("label", LINKS)
def test_unlinking_from_what_is_only_made_now_asks_nothing_of_it(app: App, label: str) -> None:
    app.put("todos", 1)
    far = LINKS[label]
    steps = [
        ["retract-triple", uid(1), app.attr("todos", label).id, uid(9)],
        *app.put_steps(far, 9),
    ]
    for allow in ({"view": "false"}, {"unlink": {"todos": "false"}}):
        assert RuledApp(app, {far: {"allow": allow}}).would_allow(steps)


@pytest.mark.rule("R111")
def test_unlink_rules_see_both_ends_before(app: App) -> None:
    app.put("todos", 1, title="a")
    app.put("people", 5, role="x")
    app.transact([["add-triple", uid(1), app.attr("todos", "owner").id, uid(5)]])
    rules = {
        "todos": {
            "allow": {
                "unlink": {
                    "owner": "data.owner == linkedData.id && newData.owner == null"
                    " && linkedData.role == 'x'"
                }
            }
        },
        "people": {"allow": {"unlink": {"todos": "linkedData.title == 'a'"}}},
    }
    ruled = RuledApp(app, rules)
    assert ruled.is_allowed([ruled.unlink("todos", 1, "owner", 5), *ruled.set("people", 5, role=1)])


@pytest.mark.rule("R120")
def test_link_rules_that_do_not_look_do_not_read_the_other_end(app: App) -> None:
    app.put("todos", 1)
    app.put("tags", 5)
    step = ["add-triple", uid(1), app.attr("todos", "tags").id, uid(5)]
    counts = []
    for rule in (None, "data.title == null", "linkedData.name == null"):
        app.transact([step])
        app.transact([["retract-triple", *step[1:]]])
        rules = None if rule is None else {"todos": {"allow": {"link": {"tags": rule}}}}
        RuledApp(app, rules).act([step])
        counts.append(len(app.statements))
    assert [count - counts[0] for count in counts] == [0, 1, 2]


@pytest.mark.rule("R130")
@pytest.mark.parametrize("kept_max", [1, 1000])
def test_what_writes_ask_follows_names_that_change(
    app: App, monkeypatch: pytest.MonkeyPatch, kept_max: int
) -> None:
    monkeypatch.setattr(limits, "RULE_DEMANDS_KEPT", kept_max)
    closed = {"link": {"owner": "false", "keeper": "true"}}
    ruled = RuledApp(app, {"todos": {"allow": {"$default": "true", **closed}}})
    app.put("todos", 1)
    app.put("people", 5)
    linking = [ruled.link("todos", 1, "owner", 5)]
    assert not ruled.would_allow(linking)
    owner = app.attr("todos", "owner")
    names = [[owner.forward.id, "todos", "keeper"], [owner.forward.id, "todos", "owner"]]
    for name, is_allowed in zip(names, (True, False), strict=True):
        app.transact([["update-attr", {"id": owner.id, "forward-identity": name}]])
        assert ruled.would_allow(linking) is is_allowed
