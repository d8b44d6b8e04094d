"""`trice schema jobs | deleted | restore`."""

from __future__ import annotations

import json

import pytest

from support.remote_cli import Person

ONE = "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a10"
FIELD = {"valueType": "string", "required": False, "config": {"indexed": False, "unique": False}}


@pytest.fixture
def person(ann: Person) -> Person:
    schema = {"entities": {"todos": {"attrs": {"title": FIELD, "note": FIELD}}}, "links": {}}
    person = ann.with_app(schema=schema)
    person.told("transact", f'[["create", "todos", "{ONE}", {{"title": "milk", "note": "n"}}]]')
    return person


def push_indexed(person: Person, tmp_path) -> None:
    document = person.data("schema")
    indexed = {**FIELD, "config": {"indexed": True, "unique": False}}
    document["entities"]["todos"]["attrs"]["title"] = indexed

    (tmp_path / "schema.json").write_text(json.dumps(document))
    done = person.run("push", "schema", "--dir", tmp_path, "--yes")
    assert done.exit_code == 0, done.output


@pytest.mark.rule("SJ30")
def test_jobs_are_listed_and_canceled(person: Person, tmp_path) -> None:
    assert "No job" in person.run("schema", "jobs").stderr
    push_indexed(person, tmp_path)
    (job,) = person.data("schema", "jobs")
    assert (job["attr_name"], job["job_status"]) == ("todos.title", "completed")
    listed = person.told("schema", "jobs")
    assert "todos.title" in listed and "done" in listed and "completed" not in listed
    late = person.run("schema", "jobs", "--cancel", job["id"], "--yes")
    assert late.exit_code == 1 and "over already" in late.stderr


@pytest.mark.rule("SJ30")
def test_a_job_that_failed_is_listed_with_its_reason(person: Person, tmp_path) -> None:
    person.told("transact", f'[["create", "todos", "{ONE[:-1]}1", {{"title": "milk"}}]]')
    document = person.data("schema")
    unique = {**FIELD, "config": {"indexed": False, "unique": True}}
    document["entities"]["todos"]["attrs"]["title"] = unique
    (tmp_path / "schema.json").write_text(json.dumps(document))
    assert person.run("push", "schema", "--dir", tmp_path, "--yes").exit_code == 1
    listed = person.told("schema", "jobs")
    assert "failed" in listed and "several entities have the value milk" in listed


@pytest.mark.rule("SJ30")
def test_a_deleted_attr_is_listed_and_restored_by_its_name(person: Person, tmp_path) -> None:

    assert "Nothing" in person.run("schema", "deleted").stderr
    document = person.data("schema")
    del document["entities"]["todos"]["attrs"]["note"]
    (tmp_path / "schema.json").write_text(json.dumps(document))
    assert person.run("push", "schema", "--dir", tmp_path, "--yes").exit_code == 0
    listed = person.run("schema", "deleted")
    assert "todos.note" in listed.stdout and "2 days" in listed.stderr
    assert person.data("schema", "deleted")["grace-period-days"] == 2
    wrong = person.run("schema", "restore", "todos.none")
    assert wrong.exit_code == 1 and "trice schema deleted" in wrong.stderr
    assert "todos.note is back" in person.run("schema", "restore", "todos.note").stderr
    (row,) = person.data("query", '{"todos": {}}')["todos"]
    assert row == {"id": ONE, "title": "milk", "note": "n"}
    assert "todos" in person.told("schema")
