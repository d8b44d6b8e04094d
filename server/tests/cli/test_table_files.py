"""`trice import` of tables and `trice export` to them, as people run them."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.serving import serving
from trice.cli.main import main


def run(*flags: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(main, [str(flag) for flag in flags], input=answer)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands close what they make to other users; the rest of this process stays as it was."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    todos, people = tmp_path / "todos.csv", tmp_path / "people.jsonl"
    todos.write_text("title,done,owner\nTea,true,a@x\nCup,false,\n")
    people.write_text('{"email": "a@x", "age": 3}\n')
    return [todos, people]


LINK = ("--link", "todos.owner=people.email")


@pytest.mark.rule("AR80", "AR86", "AR91", "AR92")
@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_tables_go_in_and_come_out(files: list[Path], tmp_path: Path, format: str) -> None:
    data = tmp_path / "data"
    told = run("import", *files, "--data-dir", data, *LINK, "--title", "My list", "--yes", "--json")
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout)
    assert report["title"] == "My list" and report["entities"] == {"todos": 2, "people": 1}
    out = tmp_path / "out"
    flags = ("--app", report["app_id"], "--data-dir", data, "--format", format)
    written = run("export", out, *flags)
    assert written.exit_code == 0, written.output
    assert sorted(path.name for path in out.iterdir()) == [f"people.{format}", f"todos.{format}"]
    assert out.stat().st_mode & 0o077 == 0
    assert run("export", out, *flags).exit_code == 2
    command = shlex.split(written.stdout.partition("An app of it: ")[2])
    assert command[:2] == ["trice", "import"]
    again = run("import", *out.iterdir(), *command[3:], "--data-dir", data, "--yes", "--json")
    assert again.exit_code == 0, again.output
    assert sorted(json.loads(again.stdout)["entities"].items()) == [("people", 1), ("todos", 2)]


@pytest.mark.rule("AR86")
def test_the_schema_is_shown_and_asked_about(files: list[Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    told = run("import", *files, "--data-dir", data, *LINK, "--dry-run")
    assert told.exit_code == 0
    assert told.stdout == (
        "The schema:\n"
        "\n  todos: 2 rows\n"
        "    id                   new\n"
        "    title  string     2\n"
        "    done   boolean    2\n"
        "    owner  link, one  1  by people.email; back: people.todos\n"
        "\n  people: 1 row\n"
        "    id                new\n"
        "    email  string  1  unique, indexed\n"
        "    age    number  1\n"
    )
    no = run("import", *files, "--data-dir", data, answer="n\n")
    assert no.exit_code == 1 and "Make an app with this schema?" in no.output
    assert not data.exists()
    yes = run("import", *files, "--data-dir", data, "--namespace", "todos.csv=tasks", answer="y\n")
    assert (
        yes.exit_code == 0 and "todos is here, as app " in yes.stdout and "  tasks " in yes.stdout
    )


@pytest.mark.rule("AR86")
def test_nothing_is_asked_while_a_server_has_the_directory(
    files: list[Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with serving(data, "--port", "0"):
        told = run("import", *files, "--data-dir", data, *LINK)
    assert told.exit_code == 1 and "Stop it first" in told.stderr
    assert told.stdout == ""


@pytest.mark.rule("AR82", "AR90")
def test_wrong_files_and_flags(files: list[Path], tmp_path: Path) -> None:
    data = tmp_path / "data"
    files[0].write_text("a,b\n1\n")
    told = run("import", *files, "--data-dir", data, "--yes")
    assert told.exit_code == 1 and "todos.csv line 2: the row has 1 cells" in told.output
    assert not data.exists()
    other = tmp_path / "x.zip"
    other.write_bytes(b"")
    for flags, said in (
        ((files[0], other), "x.zip is none of .jsonl"),
        ((other, other), "Import one backup, one export of Convex"),
        ((files[1], "--replace"), "--replace is for backups only"),
        ((other, "--link", "a.b=c.d"), "--link is for tables only"),
        ((files[1], "--namespace", "nothing=x"), "write FILE=NAME with one of the files"),
        ((files[1], "--title", ""), "--title takes 1 to 200 characters"),
    ):
        wrong = run("import", *flags, "--data-dir", data)
        assert wrong.exit_code == 2 and said in wrong.output, wrong.output
    twice = run("import", files[1], files[1], "--data-dir", data, "--yes")
    assert twice.exit_code == 1 and "becomes `people` already" in twice.output
