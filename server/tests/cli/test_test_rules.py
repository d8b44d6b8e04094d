"""`trice test-rules`: cases, reasons, coverage."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from trice.cli.main import main

EXAMPLE = Path(__file__).parents[3] / "examples" / "todo" / "rules_test.yaml"
SUITE = """\
rules:
  todos:
    bind: {isMine: auth.id == data.owner}
    allow:
      view: isMine || data.shared == true
      update: isMine
      $default: "false"
users:
  alice: {email: alice@x.y}
  bob: {email: bob@x.y}
data:
  todos:
    milk: {title: Milk, owner: "@alice", on: no, day: 2026-01-02}
    bread: {title: Bread, owner: "@bob", shared: true}
"""


def run(folder: Path, cases: Any, *flags: str, suite: str = SUITE) -> Result:
    """Run cases, given as flow-style YAML, in a file of their own."""
    file = folder / "rules_test.yaml"
    file.write_text(suite + "cases: " + (cases if isinstance(cases, str) else json.dumps(cases)))
    return invoke(str(file), *flags)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["test-rules", *arguments], prog_name="trice")


def case(who: str, op: str, on: str, expect: Any, **rest: Any) -> dict[str, Any]:
    return {"as": who, "op": op, "on": on, "expect": expect, **rest}


@pytest.mark.rule("CLI30")
def test_the_example_passes_and_tries_everything() -> None:
    done = invoke(str(EXAMPLE), "--min-coverage", "100")
    assert done.stdout == ("passed   20 of 20 cases of rules_test.yaml passed; coverage 100 %\n"), (
        done.output
    )
    assert done.exit_code == 0


@pytest.mark.rule("CLI30", "CLI104")
def test_so_do_those_of_the_example_of_sign_in() -> None:
    folder = EXAMPLE.parents[1] / "sign-in"
    done = invoke(str(folder / "rules_test.yaml"), "--min-coverage", "100")
    assert done.stdout == ("passed   16 of 16 cases of rules_test.yaml passed; coverage 100 %\n"), (
        done.output
    )


@pytest.mark.rule("CLI31")
def test_a_failure_tells_the_reason(tmp_path: Path) -> None:
    cases = [
        case("bob", "update", "todos/milk", "allow", set={"title": "x"}, name="bob helps"),
        case("alice", "update", "todos/milk", "deny", set={"title": "x"}),
    ]
    done = run(tmp_path, cases)
    assert done.exit_code == 1
    assert (
        done.stdout
        == """\
failed   bob helps: bob update todos/milk
  expected allow, got deny
  denied   update todos todos/milk
    rule     todos.allow.update
             isMine
             isMine = auth.id == data.owner
    values   auth.id     @bob
             data.owner  @alice
    needed   auth.id == data.owner

failed   case 2: alice update todos/milk
  expected deny, got allow
  allowed  update todos todos/milk
    rule     todos.allow.update
             isMine
             isMine = auth.id == data.owner
    values   auth.id     @alice
             data.owner  @alice

Not tried:
  todos.allow.view        never decided
  todos.allow.$default    never decided

failed   0 of 2 cases of rules_test.yaml passed; coverage 33 %
"""
    )


EVERYTHING = {
    "rules": {
        "todos": {
            "allow": {
                "view": "auth.id == data.owner",
                "create": "newData.title == 'New'",
                "update": "newData.title == 'Changed' || newData.meta.a == 1",
                "delete": "ruleParams.key == 'k'",
                "link": {"tags": "linkedData.name == 'red'"},
                "unlink": {"tags": "request.ip == '1.2.3.4' && request.origin == 'o'"},
            },
            "fields": {"secret": "auth.email == 'bob@x.y'"},
        },
        "tags": {"allow": {"view": "true"}},
    },
    "schema": {
        "entities": {
            "todos": {"attrs": {}},
            "tags": {"attrs": {"name": {"valueType": "string", "config": {}}}},
        },
        "links": {
            "todoTags": {
                "forward": {"on": "todos", "has": "many", "label": "tags"},
                "reverse": {"on": "tags", "has": "many", "label": "todos"},
            }
        },
    },
    "users": {"alice": {"email": "alice@x.y"}, "bob": {"email": "bob@x.y"}},
    "data": {
        "tags": {"red": {"name": "red"}, "blue": {"name": "blue"}},
        "todos": {
            "milk": {
                "title": "Milk",
                "owner": "@alice",
                "secret": 1,
                "tags": "@tags/red",
                "meta": {},
            },
            "bread": {"owner": "@bob", "secret": 1},
        },
    },
}


@pytest.mark.rule("R172", "R173")
def test_every_operation(tmp_path: Path) -> None:
    milk, bread = "todos/milk", "todos/bread"
    red, blue = {"tags": "@tags/red"}, {"tags": "@tags/blue"}
    new = "todos/new"
    cases = [
        case("alice", "view", milk, "allow"),
        case("alice", "view", bread, "deny"),
        case("bob", "view", bread, "allow", field="secret"),
        case("alice", "view", milk, "deny", field="secret"),
        {"as": "bob", "op": "query", "query": {"todos": {}}, "expect": ["@todos/bread"]},
        {"as": "bob", "op": "query", "query": {"todos": {}}, "expect": "deny"},
        {"as": "bob", "op": "query", "query": {"tags": {}}, "expect": "allow"},
        case("guest", "create", new, "allow", set={"title": "New", "tags": "@tags/red"}),
        case("guest", "create", new, "allow", set={"title": "New"}, link=red),
        case("guest", "create", new, "deny", set={"title": "New"}, link=blue),
        case("guest", "create", new, "deny", set={"title": "Old"}),
        case("guest", "update", milk, "allow", set={"title": "Changed"}),
        case("guest", "update", bread, "error", set={"title": "x"}),
        case("guest", "merge", milk, "allow", set={"meta": {"a": 1}}),
        case("guest", "delete", milk, "allow", params={"key": "k"}),
        case("guest", "delete", milk, "deny"),
        case("guest", "link", milk, "deny", link=blue),
        case("guest", "link", milk, "allow", link=red),
        case("guest", "unlink", milk, "allow", link=red, ip="1.2.3.4", origin="o"),
        case("guest", "unlink", milk, "deny", link=red),
        # Nothing of all that was kept.
        case("alice", "view", milk, "allow"),
        {
            "as": "guest",
            "op": "transact",
            "steps": [["update", "todos", "@todos/milk", {"title": "Changed"}]],
            "expect": "allow",
        },
    ]
    file = tmp_path / "suite.json"
    file.write_text(json.dumps({**EVERYTHING, "cases": cases}))
    done = invoke(str(file), "--json")
    found = json.loads(done.stdout)
    failed = [each for each in found["cases"] if not each["passed"]]
    assert failed == []
    assert done.exit_code == 0


@pytest.mark.rule("R174")
def test_the_default_of_the_app(tmp_path: Path) -> None:
    rest = [case("guest", "create", "other/x", "deny")]
    assert run(tmp_path, rest).exit_code == 0
    opened = [case("guest", "create", "other/x", "allow")]
    assert run(tmp_path, opened, suite=SUITE + "open: true\n").exit_code == 0


@pytest.mark.rule("R173")
def test_a_case_that_cannot_be_tried_fails(tmp_path: Path) -> None:
    cases = [{"as": "guest", "op": "transact", "steps": [["fly"]], "expect": "error"}]
    done = run(tmp_path, cases)
    assert done.exit_code == 1
    assert "expected error, got Validation failed" in done.stdout


@pytest.mark.rule("CLI32")
def test_plain_words_of_yaml_stay_texts(tmp_path: Path) -> None:
    cases = (
        "[{as: alice, op: query, query: {todos: {$: {where: {on: no, day: 2026-01-02}}}}, "
        'expect: ["@todos/milk"]}]'
    )
    done = run(tmp_path, cases)
    assert done.exit_code == 0, done.output


@pytest.mark.rule("CLI33")
def test_python_files(tmp_path: Path) -> None:
    file = tmp_path / "cases.py"
    file.write_text(
        "RULES = {'todos': {'allow': {'view': 'true'}}}\n"
        "DATA = {'todos': {'milk': {'title': 'Milk'}}}\n"
        "CASES = [{'as': 'guest', 'op': 'view', 'on': 'todos/milk', 'expect': 'allow'}]\n"
    )
    assert runpy.run_path(str(file))["CASES"]
    assert invoke(str(file)).exit_code == 0
    rules = tmp_path / "rules.json"
    rules.write_text('{"todos": {"allow": {"view": "false"}}}')
    assert invoke(str(file), "--rules", str(rules)).exit_code == 1
    file.write_text("1 / 0")
    broken = invoke(str(file))
    assert broken.exit_code == 2
    assert "division by zero" in broken.stderr


@pytest.mark.rule("CLI104")
def test_rules_and_schema_may_be_files_beside_the_cases(tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(
        "rules: rules.json\nschema: schema.json\ndata: {todos: {milk: {title: Milk}}}\n"
        "cases: [{as: guest, op: view, on: todos/milk, expect: deny}]\n"
    )
    rules = tmp_path / "rules.json"
    rules.write_text('{"todos": {"allow": {"view": "data.title == \'Bread\'"}}}')
    assert "schema.json" in invoke(str(file)).stderr
    title = '{"valueType": "string", "required": true, "config": {"unique": true}}'
    schema = tmp_path / "schema.json"
    schema.write_text('{"entities": {"todos": {"attrs": {"title": ' + title + "}}}}")
    assert invoke(str(file)).exit_code == 0
    schema.write_text(schema.read_text().replace('"string"', '"number"'))
    assert invoke(str(file)).exit_code == 2
    rules.write_text('{"todos": {"allow": {"view": "true"}}}')
    assert invoke(str(file), "--schema", str(tmp_path / "nowhere")).exit_code == 2


@pytest.mark.rule("CLI34")
def test_too_little_coverage_fails(tmp_path: Path) -> None:
    cases = [
        case("alice", "view", "todos/milk", "allow"),
        case("guest", "view", "todos/milk", "deny"),
        case("guest", "delete", "todos/milk", "deny"),
    ]
    done = run(tmp_path, cases, "--min-coverage", "80")
    assert done.exit_code == 1
    assert (
        done.stdout
        == """\
Not tried:
  todos.allow.view    data.shared == true  never true
  todos.allow.update                       never decided

failed   3 of 3 cases of rules_test.yaml passed; coverage 57 %, 80 % wanted
"""
    )
    assert run(tmp_path, cases, "--min-coverage", "50").exit_code == 0


@pytest.mark.rule("CLI35")
@pytest.mark.parametrize(
    ("cases", "suite", "said"),
    [
        ("[{as: zed, op: view, on: todos/milk, expect: deny}]", SUITE, "cases[0].as: `as` must be"),
        (
            "[{as: guest, op: view, on: todos/milk, expect: deny}]",
            SUITE.replace("isMine ||", "isMin ||"),
            "  todos.allow.view (for view): line 1",
        ),
        ("[", SUITE, "cannot be read"),
        (
            "[{as: guest, op: view, on: a/b, expect: deny}]",
            "schema: 1\ndata: {a: {b: {}}}\n",
            "cannot be used",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, cases: str, suite: str, said: str) -> None:
    done = run(tmp_path, cases, suite=suite)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.rule("CLI71")
def test_warnings_fail_nothing(tmp_path: Path) -> None:
    cases = [case("alice", "view", "todos/milk", "allow")]
    suite = SUITE.replace("update: isMine", "update: isMine\n      veiw: isMine")
    done = run(tmp_path, cases, suite=suite)
    assert done.exit_code == 0
    assert "warning  todos.allow.veiw: `todos.allow.veiw` is never asked" in done.stderr
    assert "`auth.id == data.owner` is true for guests" in done.stderr
    assert "warning" not in done.stdout
    found = json.loads(run(tmp_path, cases, "--json", suite=suite).stdout)["warnings"]
    assert [warning["in"][-1] for warning in found] == ["veiw", "isMine"]


ROOMS_SUITE = """\
rules:
  $rooms:
    chat:
      join: auth.id in room.ref('chats', 'members.id')
      read: "true"
      presence: size(data.name) < 9
      publish: {wave: data == 'hi' || ruleParams.loud == true, $default: "false"}
schema:
  entities: {chats: {attrs: {}}}
  links:
    chatMembers:
      forward: {on: chats, label: members, has: many}
      reverse: {on: $users, label: chats, has: many}
users:
  alice: {email: alice@x.y}
  bob: {email: bob@x.y}
data:
  chats: {general: {members: ["@alice"]}}
"""


@pytest.mark.rule("R176")
def test_rooms_are_cases_too_and_count_for_coverage(tmp_path: Path) -> None:
    def room(who: str, op: str, expect: str, room: str = "chat/@chats/general", **rest: Any) -> Any:
        return {"as": who, "op": op, "room": room, "expect": expect, **rest}

    cases = [
        room("alice", "join", "allow"),
        room("alice", "join", "allow", data={"name": "Al"}),
        room("alice", "join", "deny", data={"name": "Adelaide the Great"}),
        room("bob", "join", "deny"),
        room("guest", "join", "deny", "other/x"),
        room("alice", "presence", "error", data={"names": 1}),
        room("alice", "publish", "allow", topic="wave", data="hi"),
        room("alice", "publish", "deny", topic="wave", data="ho"),
        room("alice", "publish", "allow", topic="wave", params={"loud": True}),
        room("alice", "publish", "deny", topic="shout"),
        room("bob", "read", "allow"),
    ]
    done = run(tmp_path, cases, "--min-coverage", "100", suite=ROOMS_SUITE)
    assert done.exit_code == 0, done.output
    cases = [room("bob", "join", "allow", name="bob comes in")]
    done = run(tmp_path, cases, suite=ROOMS_SUITE)
    assert done.exit_code == 1
    assert "failed   bob comes in: bob join chat/chats/general" in done.stdout
    assert "denied   join $rooms.chat" in done.stdout
    assert "needed   auth.id in room.ref('chats', 'members.id')" in done.stdout
    assert "$rooms.chat.publish.wave" in done.stdout, "what was not tried"
