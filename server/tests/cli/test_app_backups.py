"""`trice backup create | list | download | delete APP` on a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from support.archives import read_archive
from support.remote_cli import Person
from support.serving import post
from trice.cli.main import main

GOODS = {"entities": {"goods": {"attrs": {"title": {"valueType": "string"}}}}, "links": {}}
CUP = "7f3c0a52-6f5e-4a57-9d0c-3f1f5f0e8a11"


@pytest.mark.rule("BK85", "BK74")
def test_a_backup_is_made_listed_downloaded_imported_and_deleted(
    ann: Person, tmp_path: Path
) -> None:
    shop = ann.with_app(schema=GOODS)
    app_id = shop.app_id
    shop.told("transact", json.dumps(["update", "goods", CUP, {"title": "cup"}]))
    assert "There is no backup." in shop.run("backup", "list", app_id).stderr
    assert shop.run("backup", "download", app_id).exit_code == 1
    made = shop.told("backup", "create", app_id, "--description", "before the move")
    listed = shop.run("backup", "list", app_id)
    assert listed.exit_code == 0 and made.strip() in listed.stdout
    (backup,) = shop.data("backup", "list", app_id)
    assert (backup["id"], backup["description"]) == (made.strip(), "before the move")
    again = shop.run("backup", "create", app_id)
    assert again.exit_code == 1 and "Too many backups of this app." in again.stderr

    target = tmp_path / "shop.zip"
    done = shop.run("backup", "download", app_id, "--out", target)
    assert done.exit_code == 0 and done.stdout == "", done.output
    assert [each["title"] for each in _entities(target)] == ["cup"]
    kept = shop.run("backup", "download", app_id, backup["id"], "--out", target)
    assert (kept.exit_code, "--force" in kept.stderr) == (2, True)
    assert shop.run("backup", "download", app_id, "--out", target, "--force").exit_code == 0
    assert list(tmp_path.glob("*.part")) == []
    imported = CliRunner().invoke(main, ["import", str(target), "--data-dir", str(tmp_path / "to")])
    assert imported.exit_code == 0, imported.output
    compared = CliRunner().invoke(
        main,
        [
            *("doctor", "--app", app_id, "--archive", str(target), "--all"),
            *("--data-dir", str(tmp_path / "to")),
        ],
    )
    assert "Equal." in compared.output

    unknown = shop.run("backup", "download", app_id, CUP, "--out", tmp_path / "x.zip")
    assert unknown.exit_code == 1 and "There is no backup" in unknown.stderr
    asked = shop.run("backup", "delete", app_id, backup["id"], typed="n\n")
    assert asked.exit_code == 1 and len(shop.data("backup", "list", app_id)) == 1
    shop.told("backup", "delete", app_id, backup["id"], "--yes")
    assert shop.data("backup", "list", app_id) == []
    assert shop.run("backup", "delete", app_id, backup["id"], "--yes").exit_code == 1


def _entities(path: Path) -> list[dict[str, Any]]:
    found = read_archive(path)
    return [entity for entity, _ in found["entities"]["goods"].values()]


@pytest.mark.rule("BK85")
def test_the_admin_token_of_an_app_is_enough(ann: Person) -> None:
    made = post(f"{ann.url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
    person = Person(ann.url, ann.home, made["admin-token"], made["id"])
    assert person.data("backup", "list", made["id"]) == []
    refused = person.run("backup", "create", made["id"])
    assert refused.exit_code == 1 and "throw-away app" in refused.stderr
    assert person.run("backup", "create", "shop").exit_code == 2


@pytest.mark.rule("BK85", "CLI215")
@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("text/html", b"<p>hello</p>", "is no trice server"),
        ("application/json", b"[]", "does not answer as a trice server does"),
        ("application/json", b'{"backups": [{}]}', "does not answer as a trice server does"),
    ],
)
def test_a_server_that_is_none_of_ours(
    ann: Person, stranger: Any, tmp_path: Path, kind: str, body: bytes, told: str
) -> None:
    stranger.answer = (200, kind, body)
    done = ann.run("backup", "download", CUP, "--url", stranger.url, "--out", tmp_path / "x.zip")
    assert done.exit_code == 1 and told in done.stderr
    assert list(tmp_path.glob("x*")) == []
