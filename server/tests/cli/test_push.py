"""`trice pull`, `push`, `diff`, `schema`: a project's files and its app."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from support.remote_cli import Person
from trice.cli.push_plan import LINES_MAX, rules_items

SCHEMA: dict[str, Any] = {
    "entities": {
        "lists": {"attrs": {}},
        "todos": {
            "attrs": {
                "note": {"valueType": "string"},
                "title": {"valueType": "string", "required": True, "config": {"indexed": True}},
            }
        },
    },
    "links": {
        "todosList": {
            "forward": {"on": "todos", "label": "list", "has": "one", "onDelete": "cascade"},
            "reverse": {"on": "lists", "label": "todos", "has": "many"},
        }
    },
}
RULES = {"todos": {"allow": {"view": "true", "create": "auth.id != null"}}}
IDS = [f"7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a1{digit}" for digit in range(3)]
MILK = [["create", "todos", each, {"title": "milk"}] for each in IDS]


class Project:
    """A folder with the files of an app, and its developer."""

    def __init__(self, person: Person, folder: Path) -> None:
        self.person = person.with_app()
        self.folder = folder
        self.schema = deepcopy(SCHEMA)

    @property
    def attrs(self) -> dict[str, Any]:
        return self.schema["entities"]["todos"]["attrs"]

    def save(self) -> None:
        (self.folder / "schema.json").write_text(json.dumps(self.schema))

    def run(self, *words: str, **options: Any) -> Any:
        return self.person.run(*words, "--dir", self.folder, **options)

    def push(self, *flags: str) -> Any:
        """Save and push; it must succeed."""
        self.save()
        done = self.run("push", *flags)
        assert done.exit_code == 0, done.output
        return done


@pytest.fixture
def project(ann: Person, tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(ann, folder)


@pytest.mark.rule("CLI203", "CLI204")
def test_a_push_shows_what_it_adds_and_makes_the_app_as_the_files_say(project: Project) -> None:
    (project.folder / "rules.yaml").write_text(
        "todos: {allow: {view: 'true', create: auth.id != null}}"
    )
    project.save()
    plan = """\
schema
  + todos                      namespace
  + lists                      namespace
  + todos.title                string, indexed, required
  + todos.note                 string
  + todos.list -> lists.todos  has one, reverse many, onDelete cascade
rules
  + todos.allow.view    true
  + todos.allow.create  auth.id != null
"""
    before = project.run("diff")
    assert before.exit_code == 1
    assert sorted(before.stdout.splitlines()) == sorted(plan.splitlines())
    done = project.push()
    assert done.stdout == ""
    assert sorted(done.stderr.splitlines()) == sorted(
        [*plan.splitlines(), "The schema is pushed.", "The rules are pushed."]
    )
    after = project.run("diff")
    assert (after.exit_code, after.stdout) == (0, "")
    again = project.push()
    assert again.stderr == "There is nothing to push: the app is as the files say.\n"
    assert project.person.data("schema") == SCHEMA
    assert (
        project.person.told("schema")
        == """\
lists
todos
  list -> lists.todos  has one, reverse many, onDelete cascade
  note                 string
  title                string, indexed, required
"""
    )


@pytest.mark.rule("CLI203")
def test_what_is_pulled_is_what_was_pushed(project: Project, tmp_path: Path) -> None:
    (project.folder / "rules.json").write_text(json.dumps(RULES))
    project.push()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "rules.yml").write_text("{}")
    refused = project.person.run("pull", "--dir", copy, typed="n\n")
    assert refused.exit_code == 1 and "rules.yml is different. Overwrite it?" in refused.stderr
    assert sorted(path.name for path in copy.iterdir()) == ["rules.yml"]
    project.person.told("pull", "--dir", copy, "--yes")
    assert json.loads((copy / "schema.json").read_text()) == SCHEMA
    assert (copy / "schema.json").stat().st_mode & 0o077 == (0o666 & ~_umask()) & 0o077
    assert project.person.run("diff", "--dir", copy).exit_code == 0
    again = project.person.run("pull", "--dir", copy)
    assert again.stderr.count("is the same already") == 2
    (copy / "schema.json").write_text("{")
    assert project.person.run("pull", "schema", "--dir", copy, typed="n\n").exit_code == 1
    assert (copy / "schema.json").read_text() == "{"


def _umask() -> int:
    import os

    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@pytest.mark.rule("CLI205")
def test_what_is_lost_is_asked_before(project: Project) -> None:
    project.push()
    project.person.told("transact", json.dumps(MILK))
    del project.attrs["note"], project.schema["links"]["todosList"]
    del project.schema["entities"]["lists"]
    project.save()
    for typed in ("n\n", ""):
        refused = project.run("push", typed=typed)
        assert refused.exit_code == 1
        assert "3 removed from the schema, with all values. Go on?" in refused.stderr
        assert "Nothing was done" in refused.stderr
    assert project.person.data("schema") == SCHEMA
    assert project.run("diff", "--no-delete").exit_code == 0
    shown = project.run("diff").stdout
    assert shown.splitlines()[1:] == [
        "  - todos.list -> lists.todos  with its link",
        "  - todos.note                 with its values",
        "  - lists                      namespace, with its entities",
    ]
    project.push("--yes")
    assert project.person.data("schema") == project.schema
    assert len(project.person.data("query", '{"todos": {}}')["todos"]) == 3


@pytest.mark.rule("CLI205")
def test_what_has_another_name_keeps_its_values(project: Project) -> None:
    project.push()
    project.person.told("transact", json.dumps(MILK))
    project.attrs["name"] = project.attrs.pop("title")
    project.schema["links"]["todosList"]["forward"]["label"] = "within"
    project.save()
    project.schema["links"]["todosList"]["reverse"]["label"] = "items"
    project.attrs["name"]["config"] = {}
    pairs = ("todos.title=todos.name", "todos.list=todos.within", "lists.todos=lists.items")
    done = project.push(*(word for pair in pairs for word in ("--rename", pair)))
    assert "~ todos.title                is called todos.name\n" in done.stderr
    assert "~ todos.list -> lists.todos  is called todos.within -> lists.items\n" in done.stderr
    assert "no longer indexed (job)" in done.stderr
    found = project.person.data("query", '{"todos": {"within": {}}}')["todos"]
    assert [row["name"] for row in found] == ["milk"] * 3 and found[0]["within"] == []
    assert project.run("diff").exit_code == 0
    for wrong in (
        *("x", "x=y", "todos.title=todos.name", "todos.note=todos.name", "todos.x=todos.y"),
        *("todos.note=lists.note", "todos.x=todos.name"),
    ):
        refused = project.run("push", "--rename", wrong)
        assert refused.exit_code == 2 and "--rename" in refused.stderr


@pytest.mark.rule("CLI206")
def test_jobs_are_told_and_failed_ones_name_rows(project: Project) -> None:
    project.push()
    noted = [["update", "todos", IDS[0], {"note": "whole"}]]
    project.person.told("transact", json.dumps(MILK + noted))
    project.attrs["title"]["config"]["unique"] = True
    project.attrs["note"]["required"] = True
    project.attrs["note"]["config"] = {"indexed": True}
    project.save()
    shown = project.run("diff").stdout
    assert "~ todos.title  unique (job)" in shown
    done = project.run("push", "--json")
    assert done.exit_code == 1
    assert "] done    index todos.note\n" in done.stderr
    assert "failed  unique todos.title: several entities have the value milk" in done.stderr
    assert "failed  required todos.note: 2 entities have no value" in done.stderr
    assert [done.stderr.count(each) for each in IDS] == [1, 2, 2]
    assert "The schema is pushed, but for 2 of its jobs." in done.stderr
    assert "2 jobs failed" in done.stderr
    jobs = json.loads(done.stdout)["jobs"]
    assert sorted(job["job_status"] for job in jobs) == ["completed", "errored", "errored"]
    left = json.loads(project.run("diff", "--json").stdout)["schema"]
    assert sorted((item["name"], item["job"]) for item in left) == [
        ("todos.note", "required"),
        ("todos.title", "unique"),
    ]


@pytest.mark.rule("CLI204")
def test_a_diff_that_cannot_be_made_ends_with_2(project: Project, tmp_path: Path) -> None:
    assert project.run("diff").exit_code == 2  # no files
    for text in ("{", "[]", '{"entities": 3}', '{"entities": {}, "links": 3}'):
        (project.folder / "schema.json").write_text(text)
        assert project.run("diff").exit_code == 2, text
        assert project.run("push").exit_code == 2, text
    (project.folder / "schema.json").write_text('{"entities": {"todos": {}}}')
    refused = project.run("diff")
    assert refused.exit_code == 2 and "entities.todos: it has no `attrs`" in refused.stderr
    refused = project.run("push")
    assert refused.exit_code == 2 and "entities.todos: it has no `attrs`" in refused.stderr
    project.save()
    (project.folder / "rules.json").write_text("{}")
    (project.folder / "rules.yaml").write_text("todos: [")
    assert "Keep one of them" in project.run("diff").stderr
    (project.folder / "rules.json").unlink()
    refused = project.run("diff")
    assert refused.exit_code == 2 and "rules.yaml cannot be read: line" in refused.stderr
    down = Person("http://127.0.0.1:1", tmp_path, project.person.token, project.person.app_id)
    assert down.run("diff", "schema", "--dir", project.folder).exit_code == 2


@pytest.mark.rule("CLI204")
def test_rules_with_mistakes_change_nothing(project: Project) -> None:
    rules = project.folder / "rules.json"
    rules.write_text(json.dumps(RULES))
    project.push()
    rules.write_text(json.dumps({"todos": {"allow": {"view": "nonsense("}}}))
    refused = project.run("push", "rules")
    assert refused.exit_code == 1 and "todos.allow.view" in refused.stderr
    assert json.loads(project.person.run("diff", "rules", "--dir", project.folder, "--json").stdout)
    rules.write_text(json.dumps({"todos": {"allow": {"view": "data.titel == 'x'"}}}))
    done = project.run("push", "rules")
    assert done.exit_code == 0 and "Warning: " in done.stderr
    assert "- todos.allow.create  auth.id != null" in done.stderr
    assert "~ todos.allow.view    true -> data.titel == 'x'" in done.stderr


@pytest.mark.rule("CLI213")
def test_a_long_plan_is_cut(project: Project) -> None:
    for number in range(LINES_MAX + 5):
        project.attrs[f"field{number}"] = {"valueType": "number"}
    done = project.push()
    assert done.stderr.count("field") == LINES_MAX - 4
    assert "… and 10 more" in done.stderr


@pytest.mark.rule("CLI204")
def test_rules_are_compared_by_path() -> None:
    before = {"a": {"allow": {"view": "1"}}, "b": {"bind": ["x", "y"]}, "c": {}}
    after = {"a": {"allow": {}}, "b": {"bind": ["x", "z"]}, "c": {}}
    items = [(item.deed, item.name) for item in rules_items(before, after)]
    assert items == [("add", "a.allow"), ("change", "b.bind"), ("remove", "a.allow.view")]
    assert rules_items(None, {}) == []
