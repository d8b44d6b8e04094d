"""push, pull, diff and convert, with each kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.remote_cli import Person
from trice.cli.main import main
from trice.cli.schema_files import read_schema

NODE_MODULES = Path(__file__).resolve().parents[3] / "node_modules"
SCHEMA = """\
from datetime import datetime
from typing import Annotated, Literal

from trice.schema import Fields, Indexed, Json, Namespace, One, Room, Schema, Table, Users
from trice.schema import link, now


class Cursor(Fields):
    x: float


class Message(Namespace):
    text: str
    kind: Literal["text", "image"] = "text"
    sent_at: Annotated[datetime, Indexed] = now
    meta: Json | None
    author: One[Users] | None = link(back="messages")


class Db(Schema):
    messages: Table[Message]
    rooms = {"chat": Room(presence=Cursor)}
"""
RULES = "messages:\n  allow:\n    view: 'true'\n    create: auth.id != null\n"
ONE = "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "schema.py").write_text(SCHEMA)
    (folder / "rules.yaml").write_text(RULES)
    return folder


@pytest.fixture
def dev(ann: Person) -> Person:
    return ann.with_app()


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stderr


def convert(*words: str | Path, typed: str | None = None) -> Result:
    given = ["schema", "convert", *map(str, words)]
    return CliRunner().invoke(main, given, input=typed, prog_name="trice")


@pytest.mark.rule("SF40", "SF41", "SF43")
def test_python_and_yaml_are_pushed_and_pulled(dev: Person, project: Path) -> None:
    files = ("--dir", project)
    assert dev.run("diff", *files).exit_code == 1
    told = done(dev.run("push", *files))
    kept = "Values, defaults and formats stay in the file, which no server checks: "
    assert f"{kept}messages.kind, messages.sent_at\n" in told
    assert dev.run("diff", *files).exit_code == 0
    assert done(dev.run("pull", *files)).count("is the same already") == 2
    assert (project / "schema.py").read_text() == SCHEMA
    unchecked = {"text": "a", "sent_at": 1, "kind": "neither"}
    dev.told("transact", json.dumps([["create", "messages", ONE, unchecked]]))
    assert dev.data("query", '{"messages": {}}')["messages"][0]["kind"] == "neither"


@pytest.mark.rule("SF41")
def test_a_pull_keeps_what_only_the_file_has(dev: Person, project: Path) -> None:
    files = ("--dir", project)
    done(dev.run("push", *files))
    more = project / "more.json"
    more.write_text(json.dumps({"entities": {"tags": {"attrs": {"a": {"valueType": "date"}}}}}))
    done(dev.run("push", "schema", "--schema", more, "--no-delete"))
    refused = dev.run("pull", *files, typed="n\n")
    assert refused.exit_code == 1
    assert "Its comments, and types that only it has, are lost." in refused.stderr
    assert (project / "schema.py").read_text() == SCHEMA
    told = done(dev.run("pull", *files, typed="y\n"))
    assert "schema.py is written" in told and "rules.yaml is the same already" in told
    pulled = read_schema(project / "schema.py")
    before = project / "before.py"
    before.write_text(SCHEMA)
    tags = {"attrs": {"a": {"valueType": "date"}}}
    wanted = read_schema(before)
    assert pulled == {**wanted, "entities": {**wanted["entities"], "tags": tags}}
    assert list(pulled["entities"]["messages"]["attrs"]) == ["text", "kind", "sent_at", "meta"]


@pytest.mark.rule("SF40")
def test_typescript_is_pushed_and_pulled(dev: Person, project: Path, tmp_path: Path) -> None:
    for name in ("schema.py", "rules.yaml"):
        done(convert(project / name, _as_typescript(project, name)))
        (project / name).unlink()
    files = ("--dir", project)
    done(dev.run("push", *files))
    assert dev.run("diff", *files).exit_code == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "node_modules").symlink_to(NODE_MODULES)
    (copy / "instant.schema.ts").write_text("import { i } from '@instantdb/react';\n")
    done(dev.run("pull", "--dir", copy, "--yes"))
    assert "export default rules" in (copy / "instant.perms.ts").read_text()
    assert 'from "@instantdb/react"' in (copy / "instant.schema.ts").read_text()
    assert dev.run("diff", "--dir", copy).exit_code == 0


def _as_typescript(project: Path, name: str) -> Path:
    return project / {"schema.py": "instant.schema.ts", "rules.yaml": "instant.perms.ts"}[name]


@pytest.mark.rule("SF40")
def test_two_files_of_a_kind_are_refused_until_one_is_named(dev: Person, project: Path) -> None:
    files = ("--dir", project)
    (project / "schema.json").write_text('{"entities": {"notes": {"attrs": {}}}}')
    (project / "rules.json").write_text("{}")
    refused = dev.run("push", *files)
    assert refused.exit_code == 2
    told = "There are schema.json and schema.py. Keep one of them, or name it with --schema."
    assert told in refused.stderr
    named = ("--schema", project / "schema.json", "--rules", project / "rules.yaml")
    done(dev.run("push", *files, *named))
    assert list(dev.data("schema")["entities"]) == ["notes"]
    done(dev.run("pull", *named, "--dir", project))
    for name in ("schema.py", "rules.json"):
        (project / name).unlink()
    (project / "rules.yaml").unlink()
    (project / "schema.json").unlink()
    nothing = dev.run("push", *files)
    assert nothing.exit_code == 2 and "schema.py, instant.schema.ts" in nothing.stderr


@pytest.mark.rule("SF42")
def test_what_was_called_otherwise_keeps_its_values(dev: Person, project: Path) -> None:
    files = ("--dir", project)
    done(dev.run("push", *files))
    values = {"text": "hi", "kind": "text", "sent_at": "2024-01-01T00:00:00Z"}
    dev.told("transact", json.dumps([["create", "messages", ONE, values]]))
    renamed = SCHEMA.replace("    text: str", '    body: Annotated[str, Was("text")]')
    renamed = renamed.replace('back="messages"', 'back="sent", was="author", back_was="messages"')
    renamed = renamed.replace("    author:", "    writer:").replace(
        "import link", "import Was, link"
    )
    (project / "schema.py").write_text(renamed)
    told = done(dev.run("push", *files))
    assert "messages.text" in told and "is called messages.body" in told
    assert "is called messages.writer -> $users.sent" in told
    assert dev.data("query", '{"messages": {}}')["messages"][0]["body"] == "hi"
    for command in ("push", "diff"):
        assert "as the files say" in done(dev.run(command, *files))


@pytest.mark.rule("SF44")
def test_rules_that_are_refused_are_told_with_their_line(dev: Person, project: Path) -> None:
    (project / "rules.yaml").write_text(RULES.replace("auth.id != null", "auth.id !="))
    refused = dev.run("push", "rules", "--dir", project)
    assert refused.exit_code == 1
    assert refused.stderr.endswith(f"{project / 'rules.yaml'}, line 4\n")


@pytest.mark.rule("SF40")
def test_an_app_is_made_from_each_kind_of_file(ann: Person, project: Path) -> None:
    made = ann.data(
        *("apps", "create", "x", "--schema", project / "schema.py"),
        *("--rules", project / "rules.yaml"),
    )
    attrs = ann.data("schema", "--app", made["id"])["entities"]["messages"]["attrs"]
    assert attrs["sent_at"] == {"valueType": "date", "required": True, "config": {"indexed": True}}


@pytest.mark.rule("SF45", "SF5")
def test_convert_goes_by_names_and_asks_before_it_overwrites(project: Path) -> None:
    schema, target = project / "schema.py", project / "db.schema.ts"
    told = done(convert(schema, target))
    assert told == (
        "Left out, as TypeScript has no words for it: messages.kind: default\n"
        "Left out, as TypeScript has no words for it: messages.sent_at: default\n"
        f"{target} is written.\n"
    )
    before = target.read_text()
    assert 'kind: i.string<"text" | "image">()' in before
    assert done(convert(schema, target)).endswith("is written.\n")
    target.write_text("mine")
    assert convert(schema, target, typed="n\n").exit_code == 1
    assert target.read_text() == "mine"
    done(convert(schema, target, "--yes"))
    assert target.read_text() == before
    plain = project / "plain.json"
    done(convert(schema, plain))
    assert read_schema(plain) == read_schema(schema)
    done(convert(plain, project / "back.json"))
    done(convert(project / "rules.yaml", project / "other.json"))
    assert json.loads((project / "other.json").read_text())["messages"]["allow"]["view"] == "true"
    assert sorted(path.name for path in project.iterdir() if path.name.startswith(".")) == []


REFUSED: dict[tuple[str, str], str] = {
    ("schema.py", "rules.json"): "One is a file of a schema and the other of rules",
    ("lost.py", "schema.json"): "lost.py: No such file or directory",
    ("schema.py", "schema.toml"): "accepted are names such as schema.py, schema.json",
    ("rules.yaml", "rules.txt"): "accepted are names such as rules.yaml, rules.json",
    ("notes.md", "x.json"): "its name does not say which it is",
    ("notes.json", "x.json"): "notes.json is not valid JSON",
}


@pytest.mark.rule("SF45")
@pytest.mark.parametrize("names", REFUSED)
def test_convert_says_what_it_takes(project: Path, names: tuple[str, str]) -> None:
    (project / "notes.md").write_text("x")
    (project / "notes.json").write_text("x")
    refused = convert(*(project / name for name in names))
    assert refused.exit_code == 2
    assert REFUSED[names] in refused.stderr
    assert not (project / "x.json").exists()


@pytest.mark.rule("SF6")
def test_what_the_system_has_made_is_in_no_document(project: Path) -> None:
    path = project / "instant.schema.ts"
    done(convert(project / "schema.py", path))
    text = path.read_text()
    for line in ("$users: i.entity({", "email: i.string().unique()", "linkedPrimaryUser"):
        assert line in text
    shown: dict[str, Any] = read_schema(path)
    assert list(shown["entities"]) == ["messages"]
    assert list(shown["links"]) == ["messagesAuthor"]
