"""Rules documents: which program decides, and what is refused when they are saved."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trice import limits
from trice.cel.evaluate import Program, evaluate
from trice.cel.values import Budget
from trice.errors import InvalidInput
from trice.rules.document import Rules
from trice.rules.rate_limits import RateLimit


def decide(program: Program, **variables: Any) -> Any:
    known = {"data": {}, "auth": {}, "ruleParams": {}, "request": {}, "newData": {}, **variables}
    return evaluate(program, known, Budget())


def source(program: Program | None) -> str | None:
    return None if program is None else program.expression.source


def faults(document: Any) -> list[tuple[list[str], str]]:
    with pytest.raises(InvalidInput) as caught:
        Rules.parse(document)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["data-type"] == "rule"
    assert caught.value.hint["input"] == document
    return [(entry["in"], entry["message"]) for entry in caught.value.hint["errors"]]


def notes(document: Any) -> list[tuple[list[str], str]]:
    """What is wrong with a document that can be saved."""
    return [(list(note.path), note.message) for note in Rules.parse(document).notes]


@pytest.mark.rule("R1")
def test_the_first_place_that_has_a_rule_decides() -> None:
    rules = Rules.parse(
        {
            "$default": {"allow": {"view": "'3'", "$default": "'4'"}},
            "a": {"allow": {"view": "'1'", "$default": "'2'"}},
            "b": {"allow": {"update": "'1'"}},
        }
    )
    found = {etype: source(rules.find(etype, "view")) for etype in ("a", "b", "c")}
    assert found == {"a": "'1'", "b": "'3'", "c": "'3'"}
    found = {etype: source(rules.find(etype, "delete")) for etype in ("a", "b", "c")}
    assert found == {"a": "'2'", "b": "'4'", "c": "'4'"}
    assert source(rules.find("b", "update")) == "'1'"


@pytest.mark.rule("R2")
def test_without_rules_system_namespaces_have_their_own() -> None:
    rules = Rules.parse({"posts": {"allow": {"view": "true"}}})
    assert decide(rules.find("posts", "create")) is True
    assert decide(rules.find("other", "view")) is True
    for action in ("view", "update"):
        program = rules.find("$users", action)  # type: ignore[arg-type]
        assert decide(program, auth={"id": "a"}, data={"id": "a"}) is True
        assert decide(program, auth={"id": "a"}, data={"id": "b"}) is False
        guest = {"id": "b", "linkedPrimaryUser": "a"}
        assert decide(program, auth={"id": "a"}, data=guest) is True
        assert decide(program, auth={}, data={"id": "b"}) is False
    assert decide(rules.find("$users", "create")) is True
    assert decide(rules.find("$users", "delete")) is False
    for etype in ("$files", "$streams"):
        assert decide(rules.find(etype, "view")) is False
        assert decide(rules.find(etype, "create")) is False


@pytest.mark.rule("R3")
def test_default_opens_files_but_nothing_internal() -> None:
    rules = Rules.parse({"$default": {"allow": {"$default": "true"}}})
    assert decide(rules.find("$files", "view")) is True
    assert decide(rules.find("$users", "view")) is True
    assert decide(rules.find("$magicCodes", "view")) is False
    assert decide(rules.find("$unheard", "view")) is False


@pytest.mark.rule("R4", "R5", "R6")
def test_links_fields_and_attrs() -> None:
    rules = Rules.parse(
        {
            "$default": {"allow": {"$default": "false"}},
            "posts": {
                "allow": {
                    "$default": "false",
                    "link": {"owner": "'owner'", "$default": "'any'"},
                    "unlink": {"owner": "linkedData.id == auth.id"},
                },
                "fields": {"secret": "false"},
            },
            "attrs": {"allow": {"create": "'attrs'"}},
        }
    )
    assert source(rules.find_link("posts", "link", "owner")) == "'owner'"
    assert source(rules.find_link("posts", "link", "tags")) == "'any'"
    assert rules.find_link("posts", "unlink", "tags") is None
    assert rules.find_link("users", "link", "posts") is None
    assert source(rules.find_field("posts", "secret")) == "false"
    assert rules.find_field("posts", "title") is None
    assert source(rules.find("attrs", "create")) == "'attrs'"


@pytest.mark.rule("R7")
def test_booleans_and_nulls() -> None:
    rules = Rules.parse({"posts": {"allow": {"view": True, "create": False, "update": None}}})
    assert decide(rules.find("posts", "view")) is True
    assert decide(rules.find("posts", "create")) is False
    assert source(rules.find("posts", "update")) == "true"
    assert source(Rules.parse(None).find("posts", "view")) == "true"
    assert source(Rules.parse(None, is_open=False).find("posts", "view")) == "false"


@pytest.mark.rule("R10", "R11")
@pytest.mark.parametrize("as_object", [True, False])
def test_binds(as_object: bool) -> None:
    pairs = {
        "isBoth": "isOwner && isDone",
        "isOwner": "data.owner == me",
        "me": "auth.id",
        "isDone": "data.done == limit",
        "unused": "newData.x",
    }
    listed = [part for pair in pairs.items() for part in pair]
    rules = Rules.parse(
        {
            "$default": {"bind": {"limit": "false", "me": "'nobody'"}},
            "posts": {
                "bind": pairs if as_object else listed,
                "allow": {"view": "isBoth", "link": {"a": "isOwner"}},
                "fields": {"b": "!isOwner"},
            },
        }
    )
    row = {"owner": "ann", "done": False}
    ann = {"id": "ann"}
    assert decide(rules.find("posts", "view"), data=row, auth=ann) is True
    assert decide(rules.find("posts", "view"), data={**row, "done": True}, auth=ann) is False
    assert decide(rules.find_link("posts", "link", "a"), data=row, auth=ann) is True
    assert decide(rules.find_field("posts", "b"), data=row, auth=ann) is False


@pytest.mark.rule("R12")
def test_default_rules_see_the_binds_of_the_namespace() -> None:
    rules = Rules.parse(
        {
            "$default": {"bind": ["ok", "'default'"], "allow": {"view": "ok"}},
            "a": {"bind": ["ok", "'own'"]},
            "b": {"allow": {"update": "ok"}},
        }
    )
    assert decide(rules.find("a", "view")) == "own"
    assert decide(rules.find("b", "view")) == "default"
    assert decide(rules.find("b", "update")) == "default"


@pytest.mark.rule("R13")
def test_cycles() -> None:
    binds = {"a": "b", "b": "c && a", "c": "true", "d": "d"}
    found = faults({"p": {"bind": binds, "allow": {"view": "a", "create": "c"}}})
    assert [path for path, _ in found] == [["p", "allow", "view"]]
    assert "Cyclic dependency" in found[0][1]
    assert "`a`" in found[0][1] and "`b`" in found[0][1]
    Rules.parse({"p": {"bind": binds, "allow": {"create": "c"}}})


@pytest.mark.rule("R20", "R21")
def test_every_fault_is_reported_at_its_path() -> None:
    later = {
        "$default": {"allow": {"$default": "("}},
        "posts": {
            "allow": {
                "link": {"owner": "nope"},
                "unlink": {"$default": "actions.data == 'create'"},
            }
        },
    }
    assert sorted(path for path, _ in notes(later)) == [
        ["$default", "allow", "$default"],
        ["posts", "allow", "link", "owner"],
        ["posts", "allow", "unlink", "$default"],
    ]
    posts = {"view": "true &&", "create": "dta.x", "update": "1 + 'a'"}
    found = faults({**later, "posts": {"allow": posts, "fields": {"secret": "foo(1)"}}})
    paths = [tuple(path) for path, _ in found]
    assert sorted(set(paths)) == [
        ("posts", "allow", "create"),
        ("posts", "allow", "update"),
        ("posts", "allow", "view"),
        ("posts", "fields", "secret"),
    ]
    assert len(paths) == len(set(paths))
    assert ("posts.allow.view: line 1, column 8: unexpected end; a value is expected.") in [
        message for _, message in found
    ]
    many = {f"e{number}": {"allow": {"view": "("}} for number in range(100)}
    assert len(faults(many)) == limits.ERROR_SAMPLES_MAX


@pytest.mark.rule("R22")
def test_faults_within_binds() -> None:
    binds = {"bad": "(", "worse": "nope == 1", "user": "bad", "fresh": "newData.x == 1"}
    allow = {"view": "bad || worse", "create": "fresh", "update": "user", "delete": "fresh"}
    found = faults({"p": {"bind": binds, "allow": allow}})
    assert [path for path, _ in found] == [
        ["p", "bind", "bad"],
        ["p", "bind", "worse"],
        ["p", "allow", "delete"],
    ]
    assert "(for delete): line 1, column 1 of bind `fresh`: undeclared name" in found[2][1]


@pytest.mark.rule("R23")
def test_malformed_binds() -> None:
    assert faults({"p": {"bind": ["a", "true", "b"]}})[0][0] == ["p", "bind"]
    assert "even number" in faults({"p": {"bind": ["a", "true", "b"]}})[0][1]
    repeated = faults({"p": {"bind": ["a", "true", "a", "false"]}})
    assert repeated[0][0] == ["p", "bind", "a"]
    assert "only contain a given variable name once" in repeated[0][1]
    assert faults({"p": {"bind": [1, "true"]}})[0][0] == ["p", "bind"]
    assert faults({"p": {"bind": "x"}})[0][0] == ["p", "bind"]
    assert faults({"p": {"bind": {"a": 1}}})[0][0] == ["p", "bind", "a"]


@pytest.mark.rule("R24")
def test_no_field_rules_for_id() -> None:
    found = faults({"p": {"fields": {"id": "true", "title": "true"}}})
    assert found[0][0] == ["p", "fields"]
    assert "You cannot set field rules for `id`" in found[0][1]


@pytest.mark.rule("R25", "R26")
def test_system_namespaces() -> None:
    found = faults({"$users": {"allow": {"view": "true", "delete": "true"}}})
    assert found[0][0] == ["$users", "allow", "delete"]
    assert "doesn't support permissions for delete" in found[0][1]
    for closed in ("false", False):
        rules = Rules.parse({"$users": {"allow": {"view": "true", "delete": closed}}})
        assert decide(rules.find("$users", "delete")) is False
    found = faults({"$oauthClients": {"allow": {"view": "true"}}, "$jobs": {}})
    assert [path for path, _ in found] == [["$oauthClients", "allow", "view"], ["$jobs"]]
    assert "reserved internal namespace" in found[0][1]


@pytest.mark.rule("R27")
@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], []),
        ("x", []),
        ({"p": 1}, ["p"]),
        ({"p": {"allow": []}}, ["p", "allow"]),
        ({"p": {"allow": {"view": 1}}}, ["p", "allow", "view"]),
        ({"p": {"allow": {"link": "true"}}}, ["p", "allow", "link"]),
        ({"p": {"fields": "x"}}, ["p", "fields"]),
        ({"$default": {"allow": 1}}, ["$default", "allow"]),
        ({"p": {"allow": {"view": {"deep": [[]]}}}}, ["p", "allow", "view"]),
    ],
)
def test_wrong_shapes(document: Any, path: list[str]) -> None:
    assert [found for found, _ in faults(document)] == [path]


@pytest.mark.rule("R27")
def test_unknown_keys_are_ignored() -> None:
    rules = Rules.parse({"p": {"view": "nope", "allow": {"veiw": "nope"}}, "$default": {"x": 1}})
    assert source(rules.find("p", "view")) == "true"


@pytest.mark.rule("R28")
def test_too_many_expressions() -> None:
    document = {
        "p": {"fields": {f"f{number}": True for number in range(limits.RULES_EXPRESSIONS_MAX + 9)}}
    }
    found = faults(document)
    assert len(found) == 1
    assert "more than 2,000 expressions" in found[0][1]


@pytest.mark.rule("R30", "R31")
def test_what_each_action_may_name() -> None:
    everywhere = (
        "data.a == auth.b && ruleParams.c == request.ip && request.origin == 'x' && "
        "'a' in request.modifiedFields && request.time > timestamp(data.due)"
    )
    actions = ("view", "create", "update", "delete")
    Rules.parse({"p": {"allow": dict.fromkeys(actions, everywhere)}})
    for name, known in {
        "newData.x": {"create", "update", "link", "unlink"},
        "linkedData.x": {"link", "unlink"},
        "actions.linkedData": {"link"},
        "request.foo": set(),
    }.items():
        for action in actions:
            document: Any = {"p": {"allow": {action: f"{name} == 'a'"}}}
            if action in known:
                Rules.parse(document)
            else:
                assert faults(document)[0][0] == ["p", "allow", action]
        for action in ("link", "unlink"):
            document = {"p": {"allow": {action: {"owner": f"{name} == 'a'"}}}}
            noted = [path for path, _ in notes(document)]
            assert noted == ([] if action in known else [["p", "allow", action, "owner"]])


@pytest.mark.rule("R32")
def test_default_expressions_are_checked_for_what_they_decide() -> None:
    closed = {"view": "false", "delete": "false", "$default": "newData.x == 1"}
    assert notes({"p": {"allow": closed}}) == []
    found = notes({"p": {"allow": {"view": "false", "$default": "newData.x == 1"}}})
    assert found[0][0] == ["p", "allow", "$default"]
    assert "(for delete)" in found[0][1]


@pytest.mark.rule("R33")
def test_refs() -> None:
    Rules.parse(
        {
            "p": {
                "allow": {
                    "view": "auth.id in data.ref('owner.id') && data.x in auth.ref('$user.a.id')",
                    "link": {"a": "'x' in linkedData.ref('b.c' + data.path)"},
                }
            }
        }
    )
    for wrong in ("auth.ref('a.b')", "auth.ref(data.path)", "auth.ref('$user' + '.a')"):
        found = faults({"p": {"allow": {"view": f"'x' in {wrong}"}}})
        assert found[0][0] == ["p", "allow", "view"]
        assert "auth.ref arg must start with `$user.`" in found[0][1]
    found = faults({"p": {"allow": {"create": "'x' in request.ip.ref('a.b')"}}})
    assert "`ref` can be called only as auth.ref, data.ref." in found[0][1]


@pytest.mark.rule("R34", "R40", "R41")
def test_rate_limits() -> None:
    rules = Rules.parse(
        {
            "$rateLimits": {
                "a": {"limits": [{"capacity": 10}]},
                "b": {
                    "limits": [
                        {
                            "capacity": 5,
                            "refill": {"amount": 2, "period": "30 minutes", "type": "interval"},
                        },
                        {"capacity": 1, "refill": {"period": "1 day"}},
                        {"capacity": 1, "refill": {"period": "minute", "type": "greedy"}},
                    ]
                },
            },
            "p": {"allow": {"view": "rateLimit.a.limit(auth.id) && rateLimit.b.limit('x', 2)"}},
        }
    )
    hour = 3_600_000
    assert rules.rate_limits == {
        "a": (RateLimit(10, 10, hour, "greedy"),),
        "b": (
            RateLimit(5, 2, hour // 2, "interval"),
            RateLimit(1, 1, 24 * hour, "greedy"),
            RateLimit(1, 1, 60_000, "greedy"),
        ),
    }
    found = faults({"p": {"allow": {"view": "rateLimit.c.limit(auth.id)"}}})
    assert found[0][0] == ["p", "allow", "view"]
    assert "not a valid rate limit config; define it in `$rateLimits`" in found[0][1]


@pytest.mark.rule("R42")
@pytest.mark.parametrize(
    ("config", "message"),
    [
        (1, "must be {limits: [...]}"),
        ({"limits": []}, "must be {limits: [...]}"),
        ({"limits": [1]}, "an object with `capacity`"),
        ({"limits": [{"capacity": 0}]}, "capacity must be a positive integer"),
        ({"limits": [{"capacity": True}]}, "capacity must be a positive integer"),
        ({"limits": [{"capacity": 1.5}]}, "capacity must be a positive integer"),
        ({"limits": [{"capacity": 1, "refill": 1}]}, "refill must be an object"),
        ({"limits": [{"capacity": 1, "refill": {"amount": -1}}]}, "refill amount must be"),
        ({"limits": [{"capacity": 1, "refill": {"period": 5}}]}, "period must be"),
        ({"limits": [{"capacity": 1, "refill": {"period": "0 seconds"}}]}, "period must be"),
        ({"limits": [{"capacity": 1, "refill": {"period": "25 hours"}}]}, "period must be"),
        ({"limits": [{"capacity": 1, "refill": {"type": "x"}}]}, "Unknown refill type 'x'"),
    ],
)
def test_malformed_rate_limits(config: Any, message: str) -> None:
    document = {
        "$rateLimits": {"a": config},
        "p": {"allow": {"view": "rateLimit.a.limit(auth.id)"}},
    }
    found = faults(document)
    assert [path for path, _ in found] == [["$rateLimits", "a"]]
    assert message in found[0][1]
    assert faults({"$rateLimits": []})[0] == (
        ["$rateLimits"],
        "$rateLimits must be an object; it is a list.",
    )


KEYS = st.sampled_from(
    ["$default", "$rateLimits", "$users", "p", "bind", "allow", "fields", "view", "link", "limits"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["true", "(", "a", "data.x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.rule("R27")
@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES))
def test_no_document_breaks_the_parser(document: Any) -> None:
    try:
        Rules.parse(document)
    except InvalidInput as error:
        assert error.hint["errors"]


@pytest.mark.rule("R45")
def test_only_a_rule_of_its_own_judges_sign_up() -> None:
    own = {"$users": {"allow": {"create": "data.email != null"}}}
    assert source(Rules.parse(own).sign_up_rule()) == "data.email != null"
    for document in (
        None,
        {"$users": {"allow": {"$default": "false"}}},
        {"$default": {"allow": {"create": "false"}}},
        {"$default": {"allow": {"create": "false"}}, "$users": {"bind": {"a": "1"}}},
    ):
        assert Rules.parse(document).sign_up_rule() is None, document


@pytest.mark.rule("R46")
def test_what_nothing_says_anything_about_is_open_or_closed_as_the_app_is_set() -> None:
    for is_open in (True, False):
        rules = Rules.parse({"posts": {"allow": {"view": "true"}}}, is_open=is_open)
        assert rules.is_open is is_open
        assert decide(rules.find("posts", "view")) is True
        assert decide(rules.find("posts", "update")) is is_open
        assert decide(rules.find("attrs", "create")) is is_open
        assert decide(rules.find("$files", "view")) is False
        assert decide(rules.find("$users", "create")) is True
    document = {"a": {"allow": {"view": "true"}}}
    assert Rules.parse(document).source is document
