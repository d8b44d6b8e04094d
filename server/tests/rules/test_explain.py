"""Explanations: which rule decided, what its parts came to, what would have had to be true."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from support.runtime import FakeRuntime
from trice.catalog.catalog import Catalog
from trice.catalog.schema import plan_schema
from trice.catalog.system import system_attrs
from trice.cel.errors import EvaluationError
from trice.cel.evaluate import evaluate
from trice.cel.trace import Trace
from trice.cel.uint import Uint
from trice.cel.values import Budget, Duration, Map, Timestamp, Type
from trice.rules.document import Rules
from trice.rules.explain.why import Setting, code_of, decided_by, explain, json_of

ANN = {"id": "ann", "email": "ann@x.y"}
SCHEMA = {
    "entities": {
        "todos": {"attrs": {"title": {"valueType": "string", "config": {}}}},
        "tags": {"attrs": {}},
    },
    "links": {
        "todoTags": {
            "forward": {"on": "todos", "has": "many", "label": "tags"},
            "reverse": {"on": "tags", "has": "many", "label": "todos"},
        }
    },
}


def catalog() -> Catalog:
    known = Catalog(system_attrs())
    return known.with_attrs(plan_schema(SCHEMA, known, FakeRuntime()))


def explained(
    rule: str, data: dict[str, Any] | None = None, auth: dict[str, Any] | None = None, **binds: str
) -> dict[str, Any]:
    """Explain one update of a todo under `rule`."""
    rules = Rules.parse({"todos": {"bind": binds, "allow": {"update": rule}}})
    trace = Trace(rules.find("todos", "update"))
    variables = {
        "auth": auth or {},
        "data": data or {},
        "newData": data or {},
        "ruleParams": {},
        "request": {"modifiedFields": []},
    }
    with contextlib.suppress(EvaluationError):
        evaluate(trace.program, variables, Budget())
    return explain(trace, Setting("todos", None, bool(auth), catalog()))


DOCUMENT = {
    "todos": {
        "allow": {
            "view": "true",
            "$default": "true",
            "link": {"owner": "true", "$default": "true"},
        },
        "fields": {"title": "true"},
    },
    "people": {"allow": {"unlink": {"todos": "true"}, "view": None}},
    "$default": {"allow": {"view": "true", "$default": "false"}},
    "attrs": {"allow": {"create": "false"}},
}


@pytest.mark.rule("R150")
@pytest.mark.parametrize(
    ("etype", "action", "label", "rule"),
    [
        ("todos", "view", None, "todos.allow.view"),
        ("todos", "update", None, "todos.allow.$default"),
        ("people", "view", None, "$default.allow.view"),
        ("people", "delete", None, "$default.allow.$default"),
        ("$users", "view", None, "$default.allow.view"),
        ("attrs", "create", None, "attrs.allow.create"),
        ("todos", "view", "title", "todos.fields.title"),
        ("todos", "link", "owner", "todos.allow.link.owner"),
        ("todos", "link", "tags", "todos.allow.link.$default"),
        ("people", "unlink", "todos", "people.allow.unlink.todos"),
    ],
)
def test_the_rule_is_named_by_its_path(
    etype: str, action: str, label: str | None, rule: str
) -> None:
    rules = Rules.parse(DOCUMENT)
    assert decided_by(rules, etype, action, label) == {"rule": rule, "origin": "rule"}


@pytest.mark.rule("R150")
def test_where_the_document_is_silent_the_origin_is_told() -> None:
    rules = Rules.parse({"todos": {"allow": {"view": "true"}}})
    assert decided_by(rules, "todos", "update", None) == {"rule": None, "origin": "default"}
    assert decided_by(rules, "$users", "view", None) == {"rule": None, "origin": "built-in"}
    assert decided_by(Rules.parse(None), "todos", "view", None)["origin"] == "default"
    internal = decided_by(Rules.parse(DOCUMENT), "$magicCodes", "view", None)
    assert internal == {"rule": None, "origin": "built-in"}


@pytest.mark.rule("R151", "R152")
def test_a_refusal() -> None:
    found = explained(
        "isSignedIn && data.owner == auth.id",
        {"owner": "bob"},
        ANN,
        isSignedIn="auth.id != null",
        unused="true",
    )
    assert found == {
        "source": "isSignedIn && data.owner == auth.id",
        "binds": {"isSignedIn": "auth.id != null"},
        "allowed": False,
        "value": False,
        "error": None,
        "parts": [
            part("auth.id != null", 1, True, bind="isSignedIn"),
            part("auth.id", 2, "ann", bind="isSignedIn"),
            part("isSignedIn && data.owner == auth.id", 1, False),
            part("isSignedIn", 2, True),
            part("data.owner == auth.id", 2, False),
            part("data.owner", 3, "bob"),
            part("auth.id", 3, "ann"),
        ],
        "values": [fact("auth.id", "ann"), fact("data.owner", "bob")],
        "needed": {
            "condition": "data.owner == auth.id",
            "values": [fact("data.owner", "bob"), fact("auth.id", "ann")],
            "error": None,
        },
    }


def part(text: str, depth: int, value: Any, *, bind: str | None = None) -> dict[str, Any]:
    return {"text": text, "depth": depth, "bind": bind, "value": value, "skipped": False}


def fact(text: str, value: Any, note: str = "") -> dict[str, Any]:
    return {"text": text, "value": value, "note": note}


@pytest.mark.rule("R151")
def test_an_error_is_located() -> None:
    found = explained(
        "auth.id != null &&\n  isMine", {"nested": None}, ANN, isMine="1 == 1 && data.nested.x == 1"
    )
    assert found["error"] == {
        "message": "Field `x` was asked of null; only maps have fields.",
        "part": "data.nested.x",
        "line": 1,
        "column": 23,
        "bind": "isMine",
    }
    assert found["allowed"] is False
    assert found["value"] is None


@pytest.mark.rule("R151")
def test_skipped_parts_are_marked() -> None:
    found = explained("auth.id != null && data.title == 'x'", {"title": "x"})
    skipped = {each["text"]: each["skipped"] for each in found["parts"]}
    assert skipped["data.title == 'x'"] is True
    assert skipped["auth.id != null"] is False


@pytest.mark.rule("R152")
def test_only_null_and_false_deny() -> None:
    assert explained("data.count", {"count": 0})["allowed"] is True
    refused = explained("data.count", {})
    assert refused["allowed"] is False
    assert refused["needed"]["condition"] == "data.count != null"
    assert explained("false")["needed"] is None
    allowed = explained("data.a || data.b == 1", {"a": True})
    assert allowed["needed"] == {
        "condition": "!data.a",
        "values": [fact("data.a", True)],
        "error": None,
    }


@pytest.mark.rule("R152")
def test_alternatives_nest() -> None:
    found = explained("data.a == 1 || (data.b == 1 && data.c == 1)", {})
    first, second = found["needed"]["any"]
    assert first["condition"] == "data.a == 1"
    assert [each["condition"] for each in second["all"]] == ["data.b == 1", "data.c == 1"]


@pytest.mark.rule("R153")
@pytest.mark.parametrize(
    ("rule", "auth", "note"),
    [
        ("auth.id == 'x'", None, "nobody is signed in"),
        ("auth.mail == 'x'", ANN, "$users has no attr `mail`"),
        ("auth.isGuest == 'x'", ANN, ""),
        ("auth.imageURL == 'x'", ANN, ""),
        ("data.titel == 'x'", ANN, "todos has no attr `titel`"),
        ("newData.titel == 'x'", ANN, "todos has no attr `titel`"),
        ("data.title == 'x'", ANN, ""),
        ("data.tags == 'x'", ANN, "`tags` is a link to many; read it with data.ref"),
        ("ruleParams.key == 'x'", ANN, "no such rule param was given"),
    ],
)
def test_a_null_tells_where_it_comes_from(
    rule: str, auth: dict[str, Any] | None, note: str
) -> None:
    (value,) = explained(rule, {}, auth)["values"]
    assert value["value"] is None
    assert value["note"] == note


@pytest.mark.rule("R154")
def test_values_are_json_and_short() -> None:
    deep: Any = "x"
    for _ in range(9):
        deep = [deep]
    assert json_of(Uint(7)) == 7
    assert json_of(Timestamp(1_500_000_000)) == "1970-01-01T00:00:01.500Z"
    assert json_of(Duration(90_000_000_000)) == "90s"
    assert json_of(Type("int")) == "int"
    assert json_of(b"abc") == "3 bytes"
    assert json_of(Map([(1, "one"), ("k", None)])) == {"1": "one", "k": None}
    assert json_of("x" * 500) == "x" * 200 + "…"
    assert json_of(list(range(25))) == [*range(20), "… 5 more"]
    assert json_of({str(n): n for n in range(25)})["…"] == "5 more"
    assert json_of(deep) == [[[["[…]"]]]]
    assert json_of({"a": {"a": {"a": {"a": {"a": 1}}}}}) == {"a": {"a": {"a": {"a": "{…}"}}}}


@pytest.mark.rule("R155")
def test_code_has_the_binds_inside() -> None:
    rules = Rules.parse(
        {"todos": {"bind": {"a": "auth.id", "b": "a != null"}, "allow": {"view": "b"}}}
    )
    program = rules.find("todos", "view")
    code = code_of(program.expression, program.binds)
    assert code == "cel.bind(a, auth.id, cel.bind(b, a != null, b))"
