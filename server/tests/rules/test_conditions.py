"""View rules as conditions: what SQL decides alone, what Python must, and what neither may read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from support.library import uid
from support.notes import GUEST, Notes, user
from trice import limits
from trice.errors import LimitExceeded, PermissionDenied
from trice.identity import Identity
from trice.query import ast
from trice.query.ast import NOTHING, AllOf, AnyOf, Condition, Judged, Op, Scope
from trice.rules.document import Rules


def scope_of(
    world: Notes, expression: str | bool, identity: Identity = GUEST, **given: Any
) -> Scope:
    rules = Rules.parse({"notes": {"allow": {"view": expression}}})
    return world.visibility(rules, identity, **given).entities("notes")


def conditions(scope: Scope) -> Iterator[Condition]:
    for condition in scope:
        match condition:
            case AllOf(scopes) | AnyOf(scopes):
                for inner in scopes:
                    yield from conditions(inner)
            case _:
                yield condition


def judged(scope: Scope) -> Sequence[Judged]:
    return [condition for condition in conditions(scope) if isinstance(condition, Judged)]


def asked(scope: Scope) -> list[tuple[str, Op, Any]]:
    return [(t.attr.label, t.op, t.value) for t in conditions(scope) if isinstance(t, ast.Test)]


@pytest.fixture
def world(notes: Notes) -> Notes:
    """Notes 10 to 13: titles a%b, ab, none, _; n 1, 2, none, 3; owners 1, 2, none, 1."""
    library = notes.library
    library.add("$users", 1, email="ann@a.b", role="admin", team=50)
    library.add("$users", 2, email="bob@a.b")
    library.add("teams", 50, name="Red")
    library.add("tags", 60, name="new", level=1)
    library.add("tags", 61, name="old", level=2)
    library.add("notes", 10, title="a%b", n=1, owner=1, done=True, note=[1])
    library.add("notes", 11, title="ab", n=2, owner=2, done=False, note={"k": 1})
    library.add("notes", 12)
    library.add("notes", 13, title="_", n=3, owner=1, kind="x", team=50)
    library.pair("notes", "tags", 10, 60, 61)
    library.pair("notes", "tags", 11, 61)
    return notes


CONVERTED = [
    ("auth.id == data.owner", [10, 13]),
    ("data.owner != auth.id", [11, 12]),
    ("data.owner == null", [12]),
    ("data.id == ruleParams.id", [11]),
    ("data.id in ruleParams.ids", [10, 11]),
    ("data.id == ruleParams.loud || data.id in [ruleParams.loud, ruleParams.loud]", []),
    ("data.owner in ['x', null]", [12]),
    ("data.kind in ['x', 1, true]", [13]),
    ("data.kind in ['x', null]", [10, 11, 12, 13]),
    ("!(data.kind in ['x', 'y'])", [10, 11, 12]),
    ("data.n != null && data.n < 3", [10, 11]),
    ("data.n != null && 2 <= data.n", [11, 13]),
    ("data.n == null || data.n > 2.5", [12, 13]),
    ("data.n != null && !(data.n < 2)", [11, 13]),
    ("data.n != null && !(data.n <= 2)", [13]),
    ("data.n != null && !(data.n > 2)", [10, 11]),
    ("data.n != null && !(data.n >= 2)", [10]),
    ("data.title != null && data.title >= 'a'", [10, 11]),
    ("data.n == null ? false : data.n == 1", [10]),
    ("data.done", [10]),
    ("data.done == true", [10]),
    ("data.done != null && !data.done", [11]),
    ("data.title", [10, 11, 13]),
    ("data.title != null && data.title.startsWith('a')", [10, 11]),
    ("data.title != null && data.title.contains('%')", [10]),
    ("data.title != null && data.title.endsWith('_')", [13]),
    ("data['n'] == 1u", [10]),
    ("'new' in data.ref('tags.name')", [10]),
    ("'new' in data.ref('tags.name') && 2 in data.ref('tags.level')", [10]),
    ("data.ref('tags.id') != []", [10, 11]),
    ("size(data.ref('tags.level')) > 0", [10, 11]),
    ("data.ref('tags') == []", [12, 13]),
    ("auth.id in data.ref('owner.id')", [10, 13]),
    ("auth.team in data.ref('team.id')", [13]),
    ("data.team in auth.ref('$user.team.id')", [13]),
    ("auth.role == 'admin' || data.owner == auth.id", [10, 11, 12, 13]),
    ("auth.role == 'user' && data.note.k > 1", []),
    ("has(data.nope) && data.nope == null", [10, 11, 12, 13]),
    ("data.n == b'a' || data.n == request.time", []),
    ("cel.bind(mine, data.owner == auth.id, mine && auth.email != null)", [10, 13]),
]


@pytest.mark.rule("R71")
@pytest.mark.parametrize(("expression", "shown"), CONVERTED)
def test_sql_decides_alone(world: Notes, expression: str, shown: list[int]) -> None:
    ids = [uid(10), uid(11), "no", None, 3]
    params = {"id": uid(11), "ids": ids, "loud": uid(10).upper()}
    assert judged(scope_of(world, expression, user(1), params=params)) == []
    assert world.seen(expression, user(1), params) == shown


@pytest.mark.rule("R71")
def test_one_statement_as_without_rules(world: Notes) -> None:
    world.seen("auth.id == data.owner && 'new' in data.ref('tags.name')", user(1))
    assert len(world.library.statements) == 1


@pytest.mark.rule("R71")
def test_binds_are_part_of_a_rule(world: Notes) -> None:
    bind = {"mine": "data.owner == me", "me": "auth.id"}
    assert world.seen("mine", user(1), bind=bind) == [10, 13]
    rules = Rules.parse({"notes": {"bind": bind, "allow": {"view": "mine || mine"}}})
    assert judged(world.visibility(rules, user(1)).entities("notes")) == []


@pytest.mark.rule("R72")
@pytest.mark.parametrize(
    ("expression", "scope"),
    [
        (True, ()),
        ("true", ()),
        ("'yes'", ()),
        ("false", NOTHING),
        ("null", NOTHING),
        ("auth.id == null", ()),
        ("auth.id != null && data.note.k == 1", NOTHING),
        ("auth.id == null || data.note.k == 1", ()),
        ("request.ip == '10.0.0.9' ? true : data.n < 1", ()),
        ("ruleParams.secret == 'x'", NOTHING),
    ],
)
def test_what_the_caller_decides_needs_no_rows(
    world: Notes, expression: str | bool, scope: Scope
) -> None:
    world.library.statements.clear()
    assert scope_of(world, expression) == scope
    assert world.library.statements == []


@pytest.mark.rule("R73")
@pytest.mark.parametrize(
    "expression",
    [
        "data.n < 3",
        "!data.done",
        "data.done && true == (data.n == 1)",
        "data.title.startsWith('a')",
        "data.title != null || data.n < 3",
        "data.sub != null && data.n < 3",
        "data.size != null && data.size < 3",
        "data.kind != null && data.kind < 3",
        "data.title != null && !data.title.contains('a')",
        "data.n != null && data.n < 'a'",
        "data.day == '2025-01-02'",
        "'2025-01-02' in data.ref('parent.day')",
        "data.note == [1]",
        "data.n == data.size",
        "!('new' in data.ref('tags.name'))",
        "data.ref('tags.id') == []",
        "data.ref('parent.id')[0] == auth.id",
        "size(data.ref('tags.id')) == 2",
        "data.nope.x == 1",
        "timestamp(data.day) < request.time",
        "auth.nope.x == 1 || data.n == 1",
        "rateLimit.a.limit(auth.id)",
    ],
)
def test_what_may_fail_or_differ_is_left_to_python(world: Notes, expression: str) -> None:
    section = {"a": {"limits": [{"capacity": 9}]}}
    rules = Rules.parse({"$rateLimits": section, "notes": {"allow": {"view": expression}}})
    assert judged(world.visibility(rules, user(1)).entities("notes"))


@pytest.mark.rule("R74")
@pytest.mark.parametrize(
    ("expression", "by_sql"),
    [
        (
            "data.owner == auth.id && data.note.k == 1",
            [("owner", Op.EQ, bytes(15) + b"\x01")],
        ),
        (
            "data.n != null && data.note.k == 1 && data.n < 2",
            [("n", Op.IS_NULL, False), ("n", Op.LT, 2)],
        ),
        ("data.n < 2 && data.note.k == 1 && data.kind == 'x'", [("kind", Op.EQ, "x")]),
        ("data.note.k == 1 || data.n == 2 || data.n == 3", [("n", Op.EQ, 2), ("n", Op.EQ, 3)]),
    ],
)
def test_safe_parts_of_a_rule_narrow_what_python_sees(
    world: Notes, expression: str, by_sql: list[tuple[str, Op, Any]]
) -> None:
    scope = scope_of(world, expression, user(1))
    assert asked(scope) == by_sql
    assert len(judged(scope)) == 1
    found = scope[-1]
    assert isinstance(found, Judged if "||" not in expression else AnyOf)


@pytest.mark.rule("R74")
def test_a_false_part_hides_the_error_of_another(world: Notes) -> None:
    assert world.seen("data.title == 'ab' && data.note.k == 1") == [11]
    assert world.seen("data.note.k == 1 && data.title == 'ab'") == [11]
    assert world.seen("data.title != 'ab' || data.note.k == 1") == [10, 11, 12, 13]
    with pytest.raises(PermissionDenied):
        world.seen("data.title != 'ab' && data.note.k == 1")


@pytest.mark.rule("R75")
@pytest.mark.parametrize(
    ("text", "shown"),
    [("%", [10]), ("_", [13]), ("a\\\\", []), ("*", []), ("[a]", []), ("", [10, 11, 13])],
)
def test_texts_are_found_literally(world: Notes, text: str, shown: list[int]) -> None:
    guard = "data.title != null &&"
    for function in ("contains", "startsWith", "endsWith"):
        expression = f"{guard} data.title.{function}('{text}')"
        found = world.seen(expression)
        assert judged(scope_of(world, expression)) == []
        if function == "contains":
            assert found == shown
        else:
            assert set(found) <= set(shown)


@pytest.mark.rule("R76")
def test_each_ref_looks_at_linked_entities_of_its_own(world: Notes) -> None:
    assert world.seen("'new' in data.ref('tags.name') && 2 in data.ref('tags.level')") == [10]
    assert world.seen("'old' in data.ref('tags.name') && 1 in data.ref('tags.level')") == [10]


@pytest.mark.rule("R77")
def test_too_many_conditions_are_judged(world: Notes) -> None:
    many = " || ".join(f"data.n == {number}" for number in range(limits.RULE_CONDITIONS_MAX + 1))
    assert judged(scope_of(world, many))
    assert world.seen(many) == [10, 11, 13]
    params = {"list": ["x", *range(limits.RULE_IN_VALUES_MAX)]}
    assert judged(scope_of(world, "data.kind in ruleParams.list", params=params))
    assert world.seen("data.kind in ruleParams.list", GUEST, params) == [13]
    ids = {"list": [uid(number) for number in range(2_000)]}
    assert not judged(scope_of(world, "data.id in ruleParams.list", params=ids))
    assert world.seen("data.id in ruleParams.list", GUEST, ids) == [10, 11, 12, 13]


@pytest.mark.rule("R77")
def test_binds_that_double_do_not_explode(world: Notes) -> None:
    bind = {"b0": "data.n == 1"} | {
        f"b{n + 1}": f"b{n} && (b{n} || data.n == {n})" for n in range(18)
    }
    assert world.seen("b18", bind=bind) == [10]


@pytest.mark.rule("R80")
def test_judged_rows_and_their_refs_take_no_statements(world: Notes) -> None:
    expression = (
        "data.ref('tags.name').exists(t, t == 'old') && size(data.ref('tags.id')) >= 1 "
        "&& data.note != null"
    )
    assert world.seen(expression) == [10, 11]
    assert len(world.library.statements) == 1
    world.seen("data.ref(ruleParams.path) == ['new', 'old']", GUEST, {"path": "tags.name"})
    assert len(world.library.statements) == 5


@pytest.mark.rule("R80")
def test_a_rule_may_look_at_the_whole_entity(world: Notes) -> None:
    assert world.seen("data == {'id': data.id} || size(data) > 100 || 'x' in [data.kind]") == [13]
    whole = "[data].exists(d, d.id == ruleParams.id && d.note == [1] && d.owner != null)"
    assert world.seen(whole, GUEST, {"id": uid(10)}) == [10]


@pytest.mark.rule("R81")
@pytest.mark.parametrize(
    "expression",
    [
        "[1,2,3,4,5,6,7,8].all(a, [1,2,3,4,5,6,7,8].all(b, [1,2,3,4,5,6,7,8].all(c, "
        "[1,2,3,4,5,6,7,8].all(d, [1,2,3,4,5,6,7,8].all(e, a + b + c + d + e != data.size)))))",
        "cel.bind(a, string(data.id) + 'xxxxxxxxxx', cel.bind(b, a+a+a+a+a+a+a+a, cel.bind(c, "
        "b+b+b+b+b+b+b+b, cel.bind(d, c+c+c+c+c+c+c+c, cel.bind(e, d+d+d+d+d+d+d+d, "
        "cel.bind(f, e+e+e+e+e+e+e+e, f.size() > 1))))))",
        "ruleParams.text.matches(data.id + '(x+x+)+y') || ruleParams.text.split('').all(c, "
        "ruleParams.text.split('').all(d, c == d))",
    ],
)
def test_hostile_rules_end_with_a_clear_error(world: Notes, expression: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        world.seen(expression, GUEST, {"text": "x" * 5_000})
    assert caught.value.hint["rule"] == ["notes", "view"]
    assert caught.value.hint["error"]["type"] == "budget-exceeded"


@pytest.mark.rule("R81")
def test_hostile_parts_that_do_not_depend_on_rows_share_one_budget(world: Notes) -> None:
    loop = "[1,2,3,4,5,6,7,8].all(a, [1,2,3,4,5,6,7,8].all(b, [1,2,3,4].all(c, auth.id != 'x')))"
    expression = " && ".join([*[loop] * 60, "data.n != null"])
    with pytest.raises(PermissionDenied) as caught:
        world.seen(expression)
    assert caught.value.hint["error"]["type"] == "budget-exceeded"


LIMITS = {"reads": {"limits": [{"capacity": 4}]}}


@pytest.mark.rule("R82")
def test_a_rate_limit_is_taken_once_for_each_entity(world: Notes) -> None:
    rules = Rules.parse(
        {
            "$rateLimits": LIMITS,
            "notes": {"allow": {"view": "data.n != 100 && rateLimit.reads.limit(auth.id)"}},
        }
    )
    page = {"notes": {"$": {"order": {"n": "asc"}, "first": 2}, "children": {}, "parent": {}}}
    world.ask(rules, {"notes": {}}, user(1))
    with pytest.raises(LimitExceeded) as caught:
        world.ask(rules, page, user(1))
    assert caught.value.code == "rate-limited"
    world.ask(rules, {"notes": {}}, user(2))


@pytest.mark.rule("R83")
def test_one_row_that_fails_fails_the_query(world: Notes) -> None:
    with pytest.raises(PermissionDenied) as caught:
        world.seen("data.note.k == 1")
    assert caught.value.code == "permission-evaluation-failed"
    rules = Rules.parse({"notes": {"fields": {"title": "data.note.k == 1"}}})
    with pytest.raises(PermissionDenied) as caught:
        world.ask(rules, {"notes": {}})
    assert caught.value.hint["rule"] == ["notes", "fields.title"]
