"""What expressions see of callers, entities and links, and how judgements fail."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from support.attrs import entity
from support.library import uid
from support.notes import Notes, user
from trice import limits
from trice.cel.values import Timestamp
from trice.errors import LimitExceeded, PermissionDenied
from trice.protocol.ids import EntityId
from trice.rules.document import Rules

LIMITS = {"calls": {"limits": [{"capacity": 2, "refill": {"period": "1 minute"}}]}}


@pytest.fixture
def world(notes: Notes) -> Notes:
    """Ann (1) of team Red (50) owns note 10 with two tags; a guest account (2); note 11 is bare."""
    library = notes.library
    library.add("teams", 50, name="Red")
    library.add("$users", 1, created=1_700_000_000_120, email="ann@a.b", role={"k": 1}, team=50)
    library.add("$users", 2, type="guest")
    library.add("tags", 60, name="new")
    library.add("tags", 61, name="old")
    library.add("tags", 62)
    values: dict[str, Any] = {"title": "Hi", "n": 3, "note": {"a": [1]}, "owner": 1, "team": 50}
    library.add("notes", 10, **values)
    library.pair("notes", "tags", 10, 60, 61, 62, 99)
    library.add("notes", 11, parent=10)
    library.add("notes", 12, created=None, title="stub", parent=10)
    return notes


def failure(world: Notes, expression: str, number: int = 10, **given: Any) -> PermissionDenied:
    with pytest.raises(PermissionDenied) as caught:
        world.value(expression, number, **given)
    assert caught.value.code == "permission-evaluation-failed"
    return caught.value


@pytest.mark.rule("R50")
def test_auth_is_the_users_row(world: Notes) -> None:
    assert world.value("auth", 10, user(1)) == {
        "id": uid(1),
        "email": "ann@a.b",
        "role": {"k": 1},
        "team": uid(50),
        "app_id": "app",
        "created_at": "2023-11-14T22:13:20.120Z",
        "isGuest": False,
    }
    assert world.value("auth.isGuest", 10, user(2)) is True
    assert world.value("auth.nothing", 10, user(1)) is None


@pytest.mark.rule("R50")
def test_with_nobody_signed_in_every_key_of_auth_is_null(world: Notes) -> None:
    assert world.value("auth == null", 10) is False
    for key in ("id", "email", "isGuest", "app_id", "created_at"):
        assert world.value(f"auth.{key} == null", 10) is True
    assert world.value("auth.ref('$user.notes.id')", 10) == []


@pytest.mark.rule("R51")
def test_data_holds_attrs_of_cardinality_one(world: Notes) -> None:
    judge = world.judge(Rules.parse(None))
    found = judge.entity("notes", EntityId(entity(10)))
    assert found is not None
    assert {key: value for key, value in found.items() if value is not None} == {
        "id": uid(10),
        "title": "Hi",
        "n": 3,
        "note": {"a": [1]},
        "owner": uid(1),
        "team": uid(50),
    }
    assert "tags" not in found
    assert world.value("data.sub == null && data.tags == null && data.nope == null", 10) is True


@pytest.mark.rule("R51")
def test_there_is_no_entity_without_its_id(world: Notes) -> None:
    judge = world.judge(Rules.parse(None))
    for etype, number in (("notes", 12), ("notes", 77), ("nothing", 10)):
        assert judge.entity(etype, EntityId(entity(number))) is None


@pytest.mark.rule("R52")
@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("title", ["Hi"]),
        ("id", [uid(10)]),
        ("owner", [uid(1)]),
        ("owner.id", [uid(1)]),
        ("owner.role", [{"k": 1}]),
        ("owner.team.name", ["Red"]),
        ("tags.name", ["new", "old"]),
        ("tags.id", [uid(60), uid(61), uid(62)]),
        ("tags", [uid(60), uid(61), uid(62), uid(99)]),
        ("children.id", [uid(11)]),
        ("team.members.notes.title", ["Hi"]),
        ("children.owner.id", []),
        ("sub", []),
        ("n", [3]),
        ("done", []),
    ],
)
def test_ref_follows_links_in_either_direction(world: Notes, path: str, values: list[Any]) -> None:
    assert sorted(world.value(f"data.ref('{path}')", 10), key=repr) == sorted(values, key=repr)


@pytest.mark.rule("R52")
def test_ref_is_empty_where_there_is_no_entity(world: Notes) -> None:
    rules = Rules.parse({"notes": {"allow": {"view": "data.ref('owner.id')"}}})
    program = rules.find("notes", "view")
    judge = world.judge(rules)
    for data in (None, {}, {"id": None}, {"id": "no uuid"}, {"id": uid(77)}):
        assert judge.evaluate(program, etype="notes", action="view", data=data) == []


@pytest.mark.rule("R53")
@pytest.mark.parametrize(
    ("path", "segment"),
    [
        ("nope", "`notes` has no attr or link `nope`"),
        ("owner.nope", "`$users` has no attr or link `nope`"),
        ("nope.id", "`notes` has no link `nope`"),
        ("title.id", "`notes` has `title`, but it is no link"),
        ("", "`notes` has no attr or link ``"),
        (".".join(["parent"] * 40), "walks 39 links; at most 32"),
    ],
)
def test_a_wrong_path_is_named(world: Notes, path: str, segment: str) -> None:
    error = failure(world, f"data.ref('{path}') == []", is_detailed=True)
    assert segment in error.message


@pytest.mark.rule("R53")
def test_ref_is_bounded(world: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RULE_REF_VALUES_MAX", 2)
    assert "more than 2 values" in failure(world, "data.ref('tags.id')", is_detailed=True).message
    assert world.value("data.ref('tags.name') != []", 10) is True


@pytest.mark.rule("R54")
def test_auth_ref_starts_at_the_caller(world: Notes) -> None:
    assert world.value("auth.ref('$user.team.name')", 10, user(1)) == ["Red"]
    assert world.value("auth.ref('$user.notes.id')", 10, user(1)) == [uid(10)]
    assert world.value("auth.ref('$user.notes.id')", 10, user(2)) == []


@pytest.mark.rule("R55")
def test_request_tells_when_and_from_where(world: Notes) -> None:
    now_ns = world.runtime.now * 1_000_000
    assert world.value("request.time", 10) == Timestamp(now_ns)
    assert world.value("[request.ip, request.origin]", 10) == ["10.0.0.9", "https://a.test"]
    assert world.value("request.modifiedFields", 10) == []


@pytest.mark.rule("R55")
def test_writes_tell_what_they_change(world: Notes) -> None:
    expression = (
        "[newData.title, linkedData.name, linkedData.ref('notes.id'), actions.data, "
        "request.modifiedFields]"
    )
    rules = Rules.parse({"notes": {"allow": {"link": {"tags": expression}}}})
    program = rules.find_link("notes", "link", "tags")
    assert program is not None
    judge = world.judge(rules)
    value = judge.evaluate(
        program,
        etype="notes",
        action="link",
        data={"id": uid(10)},
        new_data={"title": "new"},
        linked=("tags", {"id": uid(60), "name": "new"}),
        actions={"data": "update", "linkedData": "create"},
        modified=("title",),
    )
    assert value == ["new", "new", [uid(10)], "update", ["title"]]


@pytest.mark.rule("R55")
def test_at_sign_up_the_new_user_is_auth(world: Notes) -> None:
    rules = Rules.parse({"$users": {"allow": {"create": "auth.email == data.email"}}})
    program = rules.sign_up_rule()
    assert program is not None
    would_be = {"id": uid(9), "email": "new@a.b"}
    assert world.judge(rules).allows(
        program, etype="$users", action="create", data=would_be, new_data=would_be, auth=would_be
    )


@pytest.mark.rule("R56")
def test_rule_params_that_are_missing_are_null(world: Notes) -> None:
    assert world.value("ruleParams.a.b", 10, params={"a": {"b": 1}}) == 1
    assert world.value("ruleParams.c == null && ruleParams.a.c == null", 10, params={"a": {}})


@pytest.mark.rule("R57")
@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [("null", False), ("false", False), ("true", True), ("''", True), ("0", True), ("[]", True)],
)
def test_null_and_false_deny(world: Notes, expression: str, is_allowed: bool) -> None:
    rules = Rules.parse({"notes": {"allow": {"view": expression, "update": f"[{expression}][0]"}}})
    judge = world.judge(rules)
    for action in ("view", "update"):
        program = rules.find("notes", action)  # type: ignore[arg-type]
        assert judge.allows(program, etype="notes", action=action, data={}) is is_allowed


@pytest.mark.rule("R58")
def test_a_failed_evaluation_names_the_rule_and_keeps_its_reason(world: Notes) -> None:
    error = failure(world, "data.sub.x == 1")
    assert error.hint["rule"] == ["notes", "view"]
    assert error.hint["error"]["type"] == "evaluation-error"
    assert error.hint["error"]["message"] == "You may have a typo"
    assert "Could not evaluate permission rule for `notes.view`" in error.message
    assert "null" not in error.message
    detailed = failure(world, "data.sub.x == 1", is_detailed=True)
    assert "Field `x` was asked of null" in detailed.message
    assert "Field `x` was asked of null" in detailed.hint["error"]["message"]


@pytest.mark.rule("R58")
def test_a_rule_that_is_too_expensive_says_so(world: Notes) -> None:
    error = failure(world, _nested(9))
    assert error.hint["error"]["type"] == "budget-exceeded"
    assert "too many steps" in error.message


def _nested(depth: int) -> str:
    listed = "[1,2,3,4,5]"
    body = "true"
    for level in range(depth):
        body = f"{listed}.all(x{level}, {body})"
    return body


@pytest.mark.rule("R59")
def test_reads_are_remembered(world: Notes) -> None:
    rules = Rules.parse(None)
    judge = world.judge(rules, user(1))
    statements = world.library.statements
    statements.clear()
    for _ in range(3):
        judge.entity("notes", EntityId(entity(10)))
        assert judge.auth["email"] == "ann@a.b"
    assert len(statements) == 2
    program = Rules.parse(
        {"notes": {"allow": {"view": "data.ref('tags.id') == auth.ref('$user.team.id')"}}}
    ).find("notes", "view")
    for number in (10, 10, 11):
        judge.evaluate(program, etype="notes", action="view", data={"id": uid(number)})
    assert len(statements) == 5


@pytest.mark.rule("R59")
def test_only_the_id_of_auth_needs_no_read(world: Notes) -> None:
    world.library.statements.clear()
    rules = Rules.parse({"notes": {"allow": {"view": "auth.id == data.owner"}}})
    judge = world.judge(rules, user(1))
    data = {"id": uid(10), "owner": uid(1)}
    assert judge.allows(rules.find("notes", "view"), etype="notes", action="view", data=data)
    assert world.library.statements == []


@pytest.mark.rule("R59")
def test_refs_in_loops_end(world: Notes) -> None:
    words = ("parent", "children")
    paths = [f"{'.'.join(path)}.id" for path in itertools.product(words, repeat=7)]
    world.library.statements.clear()
    expression = "ruleParams.paths.all(path, data.ref(path) != ['x'])"
    error = failure(world, expression, params={"paths": paths})
    assert error.hint["error"]["type"] == "budget-exceeded"
    assert len(world.library.statements) < len(paths)
    assert world.value(expression, 10, params={"paths": paths[:40]}) is True


def limited(expression: str) -> Rules:
    return Rules.parse({"$rateLimits": LIMITS, "notes": {"allow": {"view": expression}}})


@pytest.mark.rule("R60", "E114")
@pytest.mark.parametrize(
    "expression", ["rateLimit.calls.limit(data.id)", "rateLimit['calls'].limit(data.id)"]
)
def test_a_limit_takes_tokens_and_then_refuses(world: Notes, expression: str) -> None:
    rules = limited(expression)
    program = rules.find("notes", "view")
    judge = world.judge(rules)
    given: dict[str, Any] = {"etype": "notes", "action": "view"}
    assert judge.evaluate(program, data={"id": uid(10)}, **given) is True
    assert judge.evaluate(program, data={"id": uid(10)}, **given) is True
    assert judge.evaluate(program, data={"id": uid(11)}, **given) is True
    with pytest.raises(LimitExceeded) as caught:
        judge.evaluate(program, data={"id": uid(10)}, **given)
    assert (caught.value.code, caught.value.message) == (
        "rate-limited",
        "Your request exceeded the rate limit.",
    )
    assert caught.value.hint == {
        "retry-at": "2023-11-14T22:13:50.000Z",
        "retry-after": 30_000,
        "remaining-tokens": 0,
    }
    world.runtime.advance(30_000)
    assert world.judge(rules).evaluate(program, data={"id": uid(10)}, **given) is True


@pytest.mark.rule("R60")
def test_keys_of_different_kinds_have_buckets_of_their_own(world: Notes) -> None:
    for key in ("1", "'1'", "true", "null", "'" + "x" * 500 + "'"):
        rules = limited(f"rateLimit.calls.limit({key}, 2)")
        judge = world.judge(rules)
        given: dict[str, Any] = {"etype": "notes", "action": "view", "data": {}}
        assert judge.evaluate(rules.find("notes", "view"), **given) is True
        with pytest.raises(LimitExceeded):
            judge.evaluate(rules.find("notes", "view"), **given)


@pytest.mark.rule("R60")
def test_more_tokens_than_fit_are_never_there(world: Notes) -> None:
    rules = limited("rateLimit.calls.limit('a', 3)")
    with pytest.raises(LimitExceeded) as caught:
        world.judge(rules).evaluate(
            rules.find("notes", "view"), etype="notes", action="view", data={}
        )
    assert caught.value.hint == {"retry-at": None, "retry-after": None, "remaining-tokens": 2}


@pytest.mark.rule("R61")
@pytest.mark.parametrize("call", ["limit([1])", "limit('a', 0)", "limit('a', -1)", "limit(data)"])
def test_wrong_keys_and_tokens_fail(world: Notes, call: str) -> None:
    rules = limited(f"rateLimit.calls.{call} || true == false")
    judge = world.judge(rules, is_detailed=True)
    with pytest.raises(PermissionDenied) as caught:
        judge.evaluate(rules.find("notes", "view"), etype="notes", action="view", data={})
    assert "rateLimit.calls.limit takes" in caught.value.message
