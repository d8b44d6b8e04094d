"""`trice import` of what other systems export, as people run it."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.convex_exports import ConvexExport, small_chat
from support.pocketbase_folders import small_shop
from trice.cli.main import main


def run(*flags: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(main, [str(flag) for flag in flags], input=answer)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands close what they make to other users; the rest of this process stays as it was."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def query(data: Path, app_id: str, text: str) -> dict[str, object]:
    """The answer to a query of an admin."""
    told = run("export", data.parent / "out", "--app", app_id, "--data-dir", data, "--format", text)
    assert told.exit_code == 0, told.output
    folder = data.parent / "out"
    return {
        path.stem: [json.loads(line) for line in path.read_text().splitlines()]
        for path in folder.iterdir()
    }


@pytest.mark.rule("AR140", "AR86", "AR147", "AR159")
def test_an_export_of_convex_is_shown_and_imported(tmp_path: Path) -> None:
    path, data = small_chat().write(tmp_path / "chat.zip"), tmp_path / "data"
    told = run("import", path, "--data-dir", data, "--users", "users", "--dry-run")
    assert told.exit_code == 0, told.output
    for line in (
        "\n  channels: 1 row\n"
        "    id                            made of _id, kept as _id\n"
        "    _id            string      1  unique, indexed\n"
        "    _creationTime  number      1  indexed\n"
        "    title          string      1\n"
        "    topics         json        1\n"
        "    members        link, many  1  by $users.id; back: $users.channels\n",
        "\n  $files: 1 row\n",
        "- Functions, indexes and validators are in no export",
    ):
        assert line in told.stdout, told.stdout
    assert not data.exists()
    made = run("import", path, "--data-dir", data, "--users", "users", answer="y\n")
    assert made.exit_code == 0, made.output
    assert "chat is here, as app " in made.stdout and "1 file with 3,004 bytes came." in made.stdout
    assert "Next: Push rules with `instant-cli push perms`" in made.stdout
    kept = run("import", path, "--data-dir", data, "--open", "--namespace", "messages=posts",
               "--type", "posts.author=string", "--title", "Kept", "--yes", "--json")  # fmt: skip
    assert kept.exit_code == 0, kept.output
    report = json.loads(kept.stdout)
    assert report["title"] == "Kept" and report["entities"]["posts"] == 2
    rows = query(data, report["app_id"], "jsonl")
    assert len(rows["posts"][0]["author"]) == 32  # type: ignore[index]
    assert any("Everybody may read" in note["what"] for note in report["notes"])


@pytest.mark.rule("AR142", "AR148", "AR157")
def test_exports_that_cannot_be_used(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = ConvexExport()
    user = made.add("users", {"name": "Ada"})
    gone = made.new_id("users")
    for each in (user, gone):
        made.add("notes", {"by": each})
    path = made.write(tmp_path / "x.zip")
    told = run("import", path, "--data-dir", data, "--yes")
    assert told.exit_code == 1 and "With --drop-dangling these links" in told.output
    assert run("import", path, "--data-dir", data, "--yes", "--drop-dangling").exit_code == 0
    for flags, code, said in (
        (
            ("--users", "people"),
            1,
            '--users: the export has no table "people". It has notes, users',
        ),
        (("--namespace", "nothing"), 2, "write TABLE=NAME"),
        (("--replace",), 2, "--replace is for backups only"),
        (("--type", "notes.by=text"), 1, "is no type"),
        (("--link", "notes.x=users.name"), 1, 'no file has a column "notes.x"'),
        (("--title", ""), 2, "--title takes"),
    ):
        wrong = run("import", path, "--data-dir", data, *flags)
        assert wrong.exit_code == code and said in wrong.output, wrong.output
    path.write_bytes(path.read_bytes()[:-200])
    wrong = run("import", path, "--data-dir", data)
    assert wrong.exit_code == 1 and "it is no zip file, or not whole" in wrong.output


@pytest.mark.rule("AR150", "AR154", "AR159")
def test_a_folder_of_pocketbase_is_shown_and_imported(tmp_path: Path) -> None:
    data = tmp_path / "data"
    small_shop(tmp_path / "shop" / "pb_data").close()
    told = run("import", tmp_path / "shop" / "pb_data", "--data-dir", data, "--dry-run")
    assert told.exit_code == 0, told.output
    for line in (
        "\n  $users: 2 rows\n",
        "    title    string      3  required\n",
        "    sku      string      1  unique, indexed\n",
        "by $users.id; back: $users.goods; deleted with it\n",
        "- 2 users of `users` come without their passwords",
    ):
        assert line in told.stdout, told.stdout
    assert not data.exists()
    flags = ("--data-dir", data, "--yes", "--type", "goods.price=string", "--json")
    made = run("import", tmp_path / "shop" / "pb_data", *flags)
    assert made.exit_code == 0, made.output
    report = json.loads(made.stdout)
    assert report["title"] == "shop" and report["entities"]["$users"] == 2
    assert sorted(row["price"] for row in query(data, report["app_id"], "jsonl")["goods"]) == [
        "0", "0", "20.5",
    ]  # type: ignore[attr-defined]  # fmt: skip


@pytest.mark.rule("AR159")
def test_what_a_path_is_is_found_out(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "folder").mkdir()
    table = tmp_path / "t.csv"
    table.write_text("a\n1\n")
    backup = tmp_path / "pb.zip"
    folder = small_shop(tmp_path / "pb_data").close()
    with zipfile.ZipFile(backup, "w") as archive:
        archive.write(folder / "data.db", "data.db")
    for paths, said in (
        ((tmp_path / "folder",), "has no data.db, so it is no data folder of PocketBase"),
        ((backup,), "is a backup of PocketBase. Unpack it, and import the folder"),
        ((folder, table), "pb_data is none of .jsonl"),
        ((folder, backup), "Import one backup, one export of Convex"),
        ((table, "--components"), "--components is for exports of Convex only"),
        ((folder, "--components"), "--components is for exports of Convex only"),
    ):
        wrong = run("import", *paths, "--data-dir", data)
        assert wrong.exit_code == 2 and said in wrong.output, wrong.output
    assert not data.exists()


@pytest.mark.rule("AR146")
def test_rows_of_a_file_become_users(tmp_path: Path) -> None:
    people, todos, data = tmp_path / "people.csv", tmp_path / "todos.csv", tmp_path / "data"
    people.write_text("email,type\nAda@X.io ,admin\nb@x.io,\n")
    todos.write_text("title,owner\nTea,Ada@X.io \n")
    flags = ("--data-dir", data, "--yes", "--json", "--users", "people")
    told = run("import", people, todos, *flags, "--type", "people.type_=string")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["entities"] == {"$users": 2, "todos": 1}
    todos.write_text("title,owner\nTea,ada@x.io\n")
    told = run("import", people, todos, *flags, "--link", "todos.owner=people.email")
    assert told.exit_code == 0, told.output
    wrong = run("import", people, "--data-dir", data, "--users", "nobody")
    assert wrong.exit_code == 2 and "no file becomes a namespace" in wrong.output


@pytest.mark.rule("AR148", "AR158")
def test_names_from_anybody_are_only_shown(tmp_path: Path) -> None:
    data, bad = tmp_path / "data", "a\x1b[2J\x07"
    made = ConvexExport()
    made.add("notes", {bad: made.new_id("users"), "text": "x"})
    path = made.write(tmp_path / "x.zip")
    told = run("import", path, "--data-dir", data, "--yes")
    assert told.exit_code == 0 and r"notes.a\x1b[2J\x07" in told.stdout, told.output
    shop = small_shop(tmp_path / "pb_data")
    shop.db.execute("UPDATE _collections SET name = ? WHERE name = 'empty'", (bad,))
    wrong = run("import", shop.close(), "--data-dir", data, "--yes")
    assert wrong.exit_code == 1 and "the collection" in wrong.output
    shop = small_shop(tmp_path / "two" / "pb_data")
    shop.db.execute(f'ALTER TABLE empty RENAME TO "{bad}"')
    shop.db.execute("UPDATE _collections SET name = ?, fields = '{' WHERE name = 'empty'", (bad,))
    worse = run("import", shop.close(), "--data-dir", data, "--yes")
    assert worse.exit_code == 1 and "no JSON" in worse.output
    for each in (told, wrong, worse):
        assert "\x1b" not in each.output and "\x07" not in each.output
