"""`trice explain`: what people read, and what scripts get."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.engines import open_apps
from trice.auth.tokens import mint_token
from trice.cli.main import main
from trice.identity import ADMIN
from trice.runtime import SystemRuntime

TRICE = Path(sys.executable).with_name("trice")
ANN = "aaaaaaaa-0000-4000-8000-000000000001"
MINE = "bbbbbbbb-0000-4000-8000-000000000001"
OTHER = "bbbbbbbb-0000-4000-8000-000000000002"
RULES = {
    "todos": {
        "bind": ["isMine", "auth.id == data.owner"],
        "allow": {
            "view": "isMine || data.shared",
            "update": "isMine && (size(newData.title) > 0 || request.ip == '1.2.3.4')",
            "delete": "data.owner.x == 1",
        },
        "fields": {"secret": "isMine"},
    }
}
SEED = [
    ["update", "$users", ANN, {"email": "ann@x.y"}],
    ["update", "todos", MINE, {"title": "mine", "owner": ANN, "secret": "s", "shared": True}],
    ["update", "todos", OTHER, {"title": "other", "owner": "bob", "secret": "t", "shared": False}],
]


class Place:
    """A data directory with one app in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app_id, self.token = asyncio.run(self._make())

    async def _make(self) -> tuple[str, str]:
        apps = await open_apps(self.folder, runtime=SystemRuntime(), is_open_by_default=False)
        app, token = await apps.create(title="x", rules=RULES)
        await app.database.transact_admin(SEED, identity=ADMIN)
        self.ann_token = await app.database.change(
            lambda change: mint_token(change, ANN, runtime=SystemRuntime())
        )
        apps.give_back(app)
        await apps.close()
        return app.id, token

    def explain(self, subject: str, what: Any, *flags: str, who: str = "--as-guest") -> Result:
        text = what if isinstance(what, str) else json.dumps(what)
        where = ("--data-dir", str(self.folder), "--app", self.app_id)
        return run("explain", subject, text, *flags, *where, *who.split())


def run(*arguments: str, variables: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=variables or {}, prog_name="trice")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


@pytest.mark.rule("CLI20", "CLI21")
def test_what_is_hidden_is_explained_and_the_rest_counted(place: Place) -> None:
    done = place.explain("query", {"todos": {}}, who="--as-email Ann@x.y")
    assert done.exit_code == 1
    assert (
        done.stdout
        == f"""\
hidden   todos {OTHER}
  rule     todos.allow.view
           isMine || data.shared
           isMine = auth.id == data.owner
  values   auth.id      "{ANN}"
           data.owner   "bob"
           data.shared  false
  needed   auth.id == data.owner
           or data.shared

visible  todos × 1         by todos.allow.view
visible  todos.secret × 1  by todos.fields.secret
"""
    )


@pytest.mark.rule("CLI20", "CLI21")
def test_a_transaction(place: Place) -> None:
    rename = ["update", "todos", MINE, {"title": ""}]
    done = place.explain("transact", [rename], who="--as-email ann@x.y")
    assert done.exit_code == 1
    assert (
        done.stdout
        == f"""\
denied   update todos {MINE}
  rule     todos.allow.update
           isMine && (size(newData.title) > 0 || request.ip == '1.2.3.4')
           isMine = auth.id == data.owner
  values   auth.id        "{ANN}"
           data.owner     "{ANN}"
           newData.title  ""
           request.ip     ""
  needed   size(newData.title) > 0
           or request.ip == '1.2.3.4'

told     permission-denied: Permission denied: not perms-pass? (`todos.create` or `todos.update` \
does not allow this write)
"""
    )
    allowed = place.explain("transact", rename, "--ip", "1.2.3.4", who="--as-email ann@x.y")
    assert allowed.exit_code == 0
    assert allowed.stdout == "allowed  update todos × 1  by todos.allow.update\n"


@pytest.mark.rule("CLI20")
def test_why_a_value_is_null_and_who_decides_without_rules(place: Place) -> None:
    rename = place.explain("transact", ["update", "todos", MINE, {"title": "x"}])
    assert "auth.id        null  (nobody is signed in)" in rename.stdout
    create = place.explain("transact", ["create", "todos", ANN, {"title": "x"}])
    assert "rule     the app's default: no rule says anything about this\n" in create.stdout
    assert "needed   a rule that allows it\n" in create.stdout
    user = place.explain("query", {"$users": {}})
    assert "rule     the built-in rule of this system namespace" in user.stdout
    nothing = place.explain("query", {"nothing": {}})
    assert nothing.exit_code == 0
    assert "the query finds no entity of `nothing`" in nothing.stdout
    assert "a name is misspelt" in nothing.stdout


@pytest.mark.rule("CLI20")
def test_the_holder_of_a_token(place: Place) -> None:
    steps = [["update", "todos", MINE, {"title": "x"}]]
    done = place.explain("transact", steps, who=f"--as-token {place.ann_token}")
    assert done.exit_code == 0, done.output
    assert place.explain("transact", steps, who=f"--as-token {ANN}").exit_code == 2


@pytest.mark.rule("CLI20")
def test_of_many_refusals_by_one_rule_some_are_explained(place: Place, tmp_path: Path) -> None:
    steps = [
        ["update", "todos", f"dddddddd-0000-4000-8000-00000000000{n}", {"title": "x"}]
        for n in range(5)
    ]
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"todos": {"allow": {"create": "auth.id != null"}}}))
    done = place.explain("transact", steps, "--rules", str(rules))
    assert done.stdout.count("denied   create todos dddddddd") == 3
    assert "\ndenied   create todos × 5  by todos.allow.create\n" in done.stdout


@pytest.mark.rule("CLI20", "CLI21")
def test_a_rule_without_a_value(place: Place, tmp_path: Path) -> None:
    done = place.explain("transact", ["delete", "todos", MINE, {}])
    assert done.exit_code == 1
    assert "error    delete todos" in done.stdout
    assert "at data.owner.x (line 1, column 12)" in done.stdout
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"todos": {"allow": {"view": "data.owner.x == 1"}}}))
    query = place.explain("query", {"todos": {}}, "--rules", str(rules))
    assert query.exit_code == 2
    assert query.stderr.startswith("error    Could not evaluate permission rule for `todos.view`")
    assert "at data.owner.x (line 1, column 12)" in query.stderr
    assert query.stdout == ""


@pytest.mark.rule("CLI22")
def test_json_is_the_answer_of_the_api(place: Place) -> None:
    done = place.explain("query", {"todos": {}}, "--json")
    answer = json.loads(done.stdout)
    assert [todo["id"] for todo in answer["result"]["todos"]] == [MINE]
    assert len(answer["check-results"]) == 4
    failed = place.explain("query", {"todos": {}}, "--json", who="--as-email no@x.y")
    assert failed.exit_code == 2
    assert json.loads(failed.stdout)["type"] == "record-not-found"


@pytest.mark.rule("CLI21", "CLI23")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("query", "{", "--as-guest"), "QUERY is not valid JSON"),
        (("query", "[]", "--as-guest"), "QUERY has another form"),
        (("transact", "{}", "--as-guest"), "STEPS has another form"),
        (("query", "{}"), "Say who acts"),
        (("query", "{}", "--as-guest", "--as-email", "a@b.c"), "Say who acts"),
        (("query", "{}", "--as-guest", "--url", "x"), "no URL of a server"),
        (("query", "{}", "--as-guest", "--app", "x"), "no id of an app"),
    ],
)
def test_wrong_usage(place: Place, arguments: tuple[str, ...], said: str) -> None:
    where = ("--app", place.app_id, "--data-dir", str(place.folder))
    done = run("explain", arguments[0], arguments[1], *where, *arguments[2:])
    assert done.exit_code == 2
    assert said in done.stderr
    assert run("explain", "query", "{}", "--as-guest", "--app", "x").exit_code == 2


@pytest.mark.rule("CLI21", "CLI23")
def test_what_cannot_be_found_out_is_told(place: Place, tmp_path: Path) -> None:
    missing = run(
        "explain", "query", "{}", "--as-guest", "--app", place.app_id, "--data-dir", str(tmp_path)
    )
    assert missing.exit_code == 2
    assert "is no data directory of trice" in missing.stderr
    nobody = place.explain("query", {"todos": {}}, who="--as-email no@x.y")
    assert nobody.exit_code == 2
    assert nobody.stderr == "error    There is no such user in this app.\n"
    url = "http://127.0.0.1:1"
    where = ("--url", url, "--token", place.token, "--app", place.app_id)
    silent = run("explain", "query", "{}", "--as-guest", *where)
    assert silent.exit_code == 2
    assert f"{url} does not answer" in silent.stderr


@pytest.mark.rule("CLI24")
def test_a_server_answers_as_its_data_directory_does(place: Place) -> None:
    who = "--as-email Ann@x.y"
    rename = [["update", "todos", OTHER, {"title": "x"}]]
    offline = [
        place.explain("query", {"todos": {}}, who=who).stdout,
        place.explain("transact", rename, "--ip", "9.9.9.9", who=who).stdout,
    ]
    command = [TRICE, "serve", "--port", "0", "--data-dir", place.folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            variables = {
                "TRICE_URL": url,
                "TRICE_APP": place.app_id,
                "TRICE_TOKEN": place.token,
            }
            flags = (*who.split(), "--ip", "9.9.9.9")
            online = [
                run("explain", subject, json.dumps(what), *flags, variables=variables)
                for subject, what in (("query", {"todos": {}}), ("transact", rename))
            ]
            assert [done.stdout for done in online] == offline
            assert [done.exit_code for done in online] == [1, 1]
            variables["TRICE_TOKEN"] = ANN
            wrong = run("explain", "query", "{}", "--as-guest", variables=variables)
            assert wrong.exit_code == 2
            assert "app-admin-token" in wrong.stderr
            variables["TRICE_TOKEN"] = ""
            nobody = run("explain", "query", "{}", "--as-guest", variables=variables)
            assert nobody.exit_code == 2
            assert "You are not signed in" in nobody.stderr
            taken = place.explain("query", {"todos": {}})
            assert taken.exit_code == 2
            assert "another trice server" in taken.stderr
        finally:
            server.kill()


@pytest.mark.rule("CLI70")
def test_warnings_go_to_standard_error(place: Place, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"todos": {"allow": {"$default": "false", "veiw": "true"}}}))
    done = place.explain("query", {"todos": {}}, "--rules", str(rules))
    assert "warning  todos.allow.veiw: `todos.allow.veiw` is never asked" in done.stderr
    assert "\n         Did you mean `view`?\n" in done.stderr
    assert "veiw" not in done.stdout
    many = {"todos": {"allow": {f"a{number}": "true" for number in range(14)}}}
    rules.write_text(json.dumps(many))
    done = place.explain("query", {"todos": {}}, "--rules", str(rules), "--json")
    assert len(json.loads(done.stdout)["warnings"]) == 14
    done = place.explain("query", {"todos": {}}, "--rules", str(rules))
    assert "warning  4 warnings more; --json has them all" in done.stderr


@pytest.mark.rule("CLI70", "R205")
def test_a_failed_query_says_what_its_caller_is_told(place: Place, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"todos": {"allow": {"view": "data.title.x == 1"}}}))
    done = place.explain("query", {"todos": {}}, "--rules", str(rules))
    assert done.exit_code == 2
    assert "told     permission-evaluation-failed: Could not evaluate" in done.stderr


@pytest.mark.rule("CLI20", "R177")
def test_a_room(place: Place, tmp_path: Path) -> None:
    open_rooms = place.explain("room", "chat/r", "join")
    assert open_rooms.exit_code == 0
    assert "rooms are open" in open_rooms.stdout
    rules = tmp_path / "rules.json"
    rule = {"join": "auth.id != null", "read": "true", "publish": {"wave": "data == 'hi'"}}
    rules.write_text(json.dumps({"$rooms": {"chat": rule}}))
    joined = place.explain("room", "chat/r", "join", "--rules", str(rules))
    assert joined.exit_code == 1
    assert (
        joined.stdout
        == """\
denied   join $rooms.chat r
  rule     $rooms.chat.join
           auth.id != null
  values   auth.id  null  (nobody is signed in)
  needed   auth.id != null

allowed  read $rooms.chat × 1  by $rooms.chat.read

told     permission-denied: Permission denied: not perms-pass? (`$rooms.chat.join` does not allow \
this)
"""
    )
    wave = ("publish", "--topic", "wave", "--data", '"hi"', "--rules", str(rules))
    assert place.explain("room", "chat/r", *wave).exit_code == 0
    assert "--topic" in place.explain("room", "chat/r", "publish").stderr
    assert "give a type and an id" in place.explain("room", "r", "join").stderr
