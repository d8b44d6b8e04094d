"""Files of cases: names, faults, coverage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trice import limits
from trice.errors import InvalidInput
from trice.protocol.ids import find_uuid_bytes
from trice.rules.explain.testing import Coverage, RuleCoverage, Suite, id_of, parse_suite

DATA = {"todos": {"milk": {"title": "Milk", "owner": "@alice"}}}
USERS = {"alice": {"email": "alice@x.y"}}


def suite(*cases: dict[str, Any], **rest: Any) -> Suite:
    return parse_suite({"users": USERS, "data": DATA, "cases": list(cases), **rest})


def faults(document: Any) -> list[tuple[list[str | int], str]]:
    with pytest.raises(InvalidInput) as caught:
        parse_suite(document)
    assert caught.value.code == "validation-failed"
    assert caught.value.hint["data-type"] == "rules-tests"
    return [(fault["in"], fault["message"]) for fault in caught.value.hint["errors"]]


VIEW = {"as": "guest", "op": "view", "on": "todos/milk", "expect": "deny"}


@pytest.mark.rule("R170")
def test_names_stand_for_ids() -> None:
    alice, milk, new = (
        id_of("$users", "alice"),
        id_of("todos", "milk"),
        id_of("todos", "new"),
    )
    found = suite(
        VIEW,
        {
            "as": "alice",
            "op": "create",
            "on": "@todos/new",
            "set": {"title": "@@home", "of": ["@todos/milk", {"by": "@alice"}]},
            "link": {"owner": "@alice"},
            "expect": "allow",
        },
        {"as": "alice", "op": "query", "query": {"todos": {}}, "expect": ["@todos/milk"]},
    )
    assert find_uuid_bytes(milk) is not None
    assert len({alice, milk, new}) == 3
    assert found.users == {"alice": alice}
    assert found.rows == (
        ("$users", alice, {"email": "alice@x.y"}),
        ("todos", milk, {"title": "Milk", "owner": alice}),
    )
    view, create, query = found.cases
    assert (view.who, view.etype, view.entity, view.expect) == (None, "todos", milk, "deny")
    assert (create.entity, create.links) == (new, {"owner": alice})
    assert create.given == {"title": "@home", "of": [milk, {"by": alice}]}
    assert query.expect == frozenset((milk,))
    assert found.names[milk] == "todos/milk"
    assert found.names[alice] == "alice"


@pytest.mark.rule("R170")
def test_a_uuid_is_a_name_of_its_own() -> None:
    text = "AAAAAAAA-0000-4000-8000-000000000001"
    found = suite({**VIEW, "on": f"todos/{text}"})
    assert found.cases[0].entity == text.lower()


@pytest.mark.rule("R171")
@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"op": "look"}, ["cases", 0, "op"], "view, query, create"),
        ({"as": "zed"}, ["cases", 0, "as"], "guest, alice"),
        ({"expect": "maybe"}, ["cases", 0, "expect"], "allow, deny, error"),
        ({"on": "todos/none"}, ["cases", 0, "on"], "there is: $users/alice, todos/milk"),
        ({"op": "update"}, ["cases", 0], "needs `set`"),
        ({"op": "link"}, ["cases", 0], "needs `link`"),
        ({"exp": 1}, ["cases", 0, "exp"], "`exp` is not known"),
        ({"op": "update", "set": {"a": "@bob"}}, ["cases", 0, "set", "a"], "no `bob`"),
        ({"params": 1}, ["cases", 0, "params"], "an object"),
        ({"field": ["a"]}, ["cases", 0, "field"], "a text"),
        ({"op": "update", "set": [1]}, ["cases", 0, "set"], "an object"),
        ({"op": "transact", "steps": {}}, ["cases", 0, "steps"], "a list"),
    ],
)
def test_faults_of_a_case(changes: dict[str, Any], path: list[Any], said: str) -> None:
    found = faults({"users": USERS, "data": DATA, "cases": [{**VIEW, **changes}]})
    assert [(at, said in message) for at, message in found] == [(path, True)]


@pytest.mark.rule("R171")
@pytest.mark.parametrize(
    ("document", "path", "said"),
    [
        ([], [], "an object with `cases`"),
        ({}, ["cases"], "a list of 1 to"),
        ({"cases": [1]}, ["cases", 0], "must be an object"),
        ({"cases": [VIEW], "date": 1, "data": DATA, "users": USERS}, ["date"], "not known"),
        ({"cases": [VIEW], "open": "yes", "data": DATA, "users": USERS}, ["open"], "true or false"),
        ({"cases": [VIEW], "data": {"todos": 1}}, ["data", "todos"], "must be an object"),
        ({"cases": [VIEW], "users": [1], "data": {}}, ["users"], "must be an object"),
        ({"cases": [VIEW], "data": DATA}, ["data", "todos", "milk", "owner"], "no `alice`"),
    ],
)
def test_faults_of_a_file(document: Any, path: list[Any], said: str) -> None:
    assert any(at == path and said in message for at, message in faults(document))


@pytest.mark.rule("R171")
def test_cases_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RULE_CASES_MAX", 2)
    assert len(suite(VIEW, VIEW).cases) == 2
    assert faults({"users": USERS, "data": DATA, "cases": [VIEW] * 3})[0][0] == ["cases"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["@alice", "@@x", "x", "view"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cases", "data", "users", "as", "op", "on", "set", "expect", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.rule("R171")
@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_document_breaks_the_reader(document: Any) -> None:
    try:
        parse_suite(document)
    except InvalidInput as failure:
        assert failure.hint["errors"]


@pytest.mark.rule("R175")
def test_every_rule_of_a_document_is_counted() -> None:
    coverage = Coverage(
        {
            "$rateLimits": {"x": {"limits": []}},
            "todos": {
                "allow": {"view": "true", "delete": None, "link": {"owner": "a"}},
                "fields": {"title": "b"},
                "bind": {"c": "d"},
            },
            "$default": {"allow": {"$default": "false"}},
        }
    )
    assert list(coverage.rules) == [
        "todos.allow.view",
        "todos.allow.link.owner",
        "todos.fields.title",
        "$default.allow.$default",
    ]
    assert coverage.percent == 0
    assert Coverage(None).percent == 100


@pytest.mark.rule("R175")
def test_a_percentage_counts_results_of_conditions() -> None:
    coverage = Coverage({"a": {"allow": {"view": "x", "update": "true", "create": "y"}}})
    coverage.rules["a.allow.view"] = RuleCoverage(1, 0, {"p": {True}, "q": {True, False}})
    coverage.rules["a.allow.update"] = RuleCoverage(3, 0, {})
    # 3 of 4, 1 of 1 for a constant, 0 of 2 for the rule that never decided.
    assert coverage.percent == pytest.approx(100 * 4 / 7)
