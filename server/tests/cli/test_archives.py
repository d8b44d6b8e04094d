"""`trice import`, `trice export` and `trice doctor` as people run them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.archive_stage import open_stage, small_shop
from support.archives import attr, read_archive
from support.s3_server import CREDENTIALS, s3_server
from trice.accounts.accounts import Accounts
from trice.apps.registry import hash_token
from trice.auth.oauth.sealed import Seal
from trice.cli.main import main
from trice.protocol.ids import AppId


def run(*flags: str | Path) -> Result:
    return CliRunner().invoke(main, [str(flag) for flag in flags])


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands close what they make to other users; the rest of this process stays as it was."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return small_shop().write(tmp_path / "backup.zip")


@pytest.mark.rule("AR1", "AR61", "AR63", "AR70")
def test_an_app_moves_in_and_out(backup: Path, tmp_path: Path) -> None:
    app, data = small_shop().app_id, tmp_path / "data"
    assert app is not None
    told = run("import", backup, "--data-dir", data)
    assert told.exit_code == 0, told.output
    assert told.stdout.startswith(f"A shop is here, as app {app}.\n\n  $files")
    assert "1 file with 5,004 bytes came." in told.stdout
    assert "Its admin token is " in told.stdout and "  Next: " in told.stdout

    same = run("doctor", "--app", app, "--archive", backup, "--data-dir", data)
    assert same.exit_code == 0 and same.stdout.endswith("\nEqual.\n"), same.output

    out = tmp_path / "out.zip"
    written = run("export", out, "--app", app, "--data-dir", data)
    assert written.exit_code == 0, written.output
    assert out.stat().st_mode & 0o077 == 0
    assert f"{out} is written: {out.stat().st_size:,} bytes." in written.stdout
    again = run("export", out, "--app", app, "--data-dir", data)
    assert again.exit_code == 2 and "--force replaces it" in again.output
    assert run("export", out, "--app", app, "--data-dir", data, "--force").exit_code == 0

    other = small_shop()
    other.lines["tags"][0][0]["name"] = "old"
    other.lines["goods"].pop()
    differs = run(
        *("doctor", "--app", app, "--archive", other.write(tmp_path / "other.zip")),
        *("--data-dir", data, "--all"),
    )
    assert differs.exit_code == 1 and "They differ." in differs.stdout


@pytest.mark.rule("AR3", "AR56")
def test_the_report_as_json(backup: Path, tmp_path: Path) -> None:
    app, token = str(uuid.uuid4()), str(uuid.uuid4())
    told = run(
        *("import", backup, "--data-dir", tmp_path / "data", "--app-id", app),
        *("--admin-token", token, "--closed", "--json"),
    )
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout)
    assert report["app_id"] == app and report["admin_token"] is None
    assert report["entities"] == {"$files": 1, "$users": 1, "goods": 2, "tags": 1}
    assert {"what", "next"} == set(report["notes"][0])


@pytest.mark.rule("AR57", "AR7")
async def test_an_app_is_given_to_an_account(backup: Path, tmp_path: Path) -> None:
    app, data = AppId(small_shop().app_id or ""), tmp_path / "data"
    flags = ("import", str(backup), "--data-dir", str(data), "--owner", "ann@example.com")
    told = await asyncio.to_thread(run, *flags)
    assert told.exit_code == 1 and "instant-user" in told.output
    async with open_stage(data) as stage:
        assert stage.registry.find(app) is None
        account = await Accounts(stage.registry.database, runtime=stage.runtime).create(
            "ann@example.com"
        )
    told = await asyncio.to_thread(run, *flags)
    assert told.exit_code == 0, told.output
    for again in range(2):
        async with open_stage(data) as stage:
            row = stage.registry.find(app)
            assert row is not None and row.owner == account.id and row.sealed_token is not None
            token = Seal(data, secret_key=None, runtime=stage.runtime).open(
                row.sealed_token, holder=app
            )
            assert token in told.output and hash_token(token) == row.admin_token_hash
            if not again:
                await stage.load(backup, replaces=True)  # the holder and the token stay


@pytest.mark.rule("AR7")
def test_replacing_asks(backup: Path, tmp_path: Path) -> None:
    flags = ("import", str(backup), "--data-dir", str(tmp_path / "data"))
    assert run(*flags).exit_code == 0
    assert "Replace it with --replace" in run(*flags).output
    asked = CliRunner().invoke(main, [*flags, "--replace"], input="n\n")
    assert asked.exit_code == 1 and "will be gone. Go on?" in asked.output
    assert run(*flags, "--replace", "--yes").exit_code == 0


@pytest.mark.rule("AR41")
def test_ids_of_attrs_come_from_a_file(backup: Path, tmp_path: Path) -> None:
    attrs = tmp_path / "attrs.json"
    wanted = str(uuid.uuid4())
    pulled = {"attrs": [{"id": wanted, "forward-identity": [str(uuid.uuid4()), "goods", "title"]}]}
    attrs.write_text(json.dumps(pulled))
    told = run("import", backup, "--data-dir", tmp_path / "data", "--attrs", attrs)
    assert told.exit_code == 0, told.output
    out = tmp_path / "out.zip"
    app = small_shop().app_id or ""
    assert run("export", out, "--app", app, "--data-dir", tmp_path / "data").exit_code == 0
    assert wanted in [attr["id"] for attr in read_archive(out)["config"]["trice"]["attrs"]]
    attrs.write_text('{"attrs": 5}')
    told = run("import", backup, "--data-dir", tmp_path / "data", "--attrs", attrs)
    assert told.exit_code == 2 and "has no list of attrs" in told.output


@pytest.mark.rule("AR4")
async def test_an_import_beside_a_server_is_refused(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with open_stage(data):
        told = await asyncio.to_thread(run, "import", backup, "--data-dir", data)
    assert told.exit_code == 1
    # What has the directory here is no server that could import it.
    assert f"Another process uses {data}" in told.output and "Stop it first" in told.output
    table = tmp_path / "t.csv"
    table.write_text("a\n1\n")
    async with open_stage(data):
        told = await asyncio.to_thread(run, "import", table, "--data-dir", data, "--yes")
    assert told.exit_code == 1 and "Stop it first" in told.output


@pytest.mark.rule("AR65", "AR62")
async def test_an_export_beside_a_server(backup: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out.zip"
    async with open_stage(data) as stage:
        app = (await stage.load(backup)).app_id
        spooled = await stage.storage.spool.begin(100)  # an upload that goes on meanwhile
        async with stage.database(app) as database:
            flags = ("--app", app, "--data-dir", data)
            told = await asyncio.to_thread(run, "doctor", "--archive", backup, *flags)
            assert told.exit_code == 0, told.output
            step = ["create", "tags", str(uuid.uuid4()), {"name": "written while it runs"}]
            await database.change(lambda change: change.write(step))
            told = await asyncio.to_thread(run, "export", out, *flags)
            assert told.exit_code == 0, told.output
            step = ["create", "tags", str(uuid.uuid4()), {"name": "later"}]
            await database.change(lambda change: change.write(step))
        await spooled.write(b"more")
        assert (await spooled.finish()).size == 4
        told = await asyncio.to_thread(run, "export", out, "--app", "x", "--data-dir", data)
        assert told.exit_code == 2 and "--force" in told.output
        other = tmp_path / "other.zip"
        told = await asyncio.to_thread(run, "export", other, "--app", str(uuid.uuid4()), *flags[2:])
        assert told.exit_code == 1 and "There is no app" in told.output
        assert list((data / "loading").iterdir()) == []
    names = [line[0]["name"] for line in read_archive(out)["entities"]["tags"].values()]
    assert sorted(names) == ["new", "written while it runs"]


@pytest.mark.rule("AR2", "AR11", "AR12")
def test_what_cannot_be_used_is_told_in_a_sentence(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    cut = tmp_path / "cut.zip"
    cut.write_bytes(backup.read_bytes()[:200])
    told = run("import", cut, "--data-dir", data)
    assert told.exit_code == 1
    assert told.stderr.startswith("Error: cut.zip: it is no zip file, or not whole")
    for flag in ("--app-id", "--admin-token"):
        told = run("import", backup, "--data-dir", data, flag, "x")
        assert told.exit_code == 2 and f"{flag} must be a uuid" in told.output
    nowhere = tmp_path / "nowhere"
    told = run("export", tmp_path / "out.zip", "--app", "x", "--data-dir", nowhere)
    assert told.exit_code == 2 and "does not exist" in told.output and not nowhere.exists()
    told = run("export", tmp_path / "out.zip", "--app", "x", "--data-dir", data)
    assert told.exit_code == 1 and "There is no app x in this data directory." in told.output
    assert not (tmp_path / "out.zip").exists()
    told = run("import", backup, "--data-dir", data, "--files-url", "ftp://x")
    assert told.exit_code == 1 and "files-url" in told.output


@pytest.mark.rule("AR42", "AR2", "AR70")
def test_bytes_in_a_bucket(backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, data = small_shop().app_id or "", ("--data-dir", tmp_path / "data")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as server:
        place = ("--files-url", server.make_bucket())
        lost = small_shop().write(
            tmp_path / "lost.zip", lambda entries: [*entries, ("files/lost", b"x")]
        )
        told = run("import", lost, *data, *place)
        assert told.exit_code == 1 and "files/lost: no entity" in told.output
        told = run("import", backup, *data, *place)
        assert told.exit_code == 0, told.output
        assert list((tmp_path / "data" / "files").rglob("*.png")) == []
        assert run("doctor", "--app", app, "--archive", backup, *data, *place).exit_code == 0
        missing = run("doctor", "--app", app, "--archive", backup, *data)
        assert missing.exit_code == 1 and "photos/kettle.png are missing" in missing.output
        out = tmp_path / "out.zip"
        assert run("export", out, "--app", app, *data, *place).exit_code == 0
    assert list(read_archive(out)["files"].values()) == list(small_shop().files.values())


@pytest.mark.rule("AR114")
@pytest.mark.parametrize("format", ["zip", "jsonl"])
def test_what_a_killed_export_left_is_taken_over(backup: Path, tmp_path: Path, format: str) -> None:
    app, data, out = small_shop().app_id or "", tmp_path / "data", tmp_path / "out"
    assert run("import", backup, "--data-dir", data).exit_code == 0
    part = tmp_path / "out.part"
    if format == "zip":
        part.write_bytes(b"half" * 100_000)
    else:
        part.mkdir()
        (part / "goods.jsonl").write_text("half")
        (part / "gone.jsonl").write_text("half")
    words = ("export", out, "--app", app, "--data-dir", data, "--format", format)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        busy = run(*words)
        assert busy.exit_code == 1 and "Another export is writing it" in busy.output
    finally:
        os.close(descriptor)
    assert part.exists() and not out.exists()
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert not part.exists()
    if format == "zip":
        assert read_archive(out)["config"]["appId"] == app
        assert zipfile.ZipFile(out).testzip() is None
    else:
        assert sorted(path.name for path in out.iterdir()) == ["goods.jsonl", "tags.jsonl"]


@pytest.mark.rule("AR115")
async def test_the_disk_has_room_for_it(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    assert (await asyncio.to_thread(run, "import", backup, "--data-dir", data)).exit_code == 0
    table = tmp_path / "t.csv"
    table.write_text("a\n" + "1\n" * 500)
    app = small_shop().app_id or ""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type(usage)(usage.total, usage.used, 100))
    tables = await asyncio.to_thread(run, "import", table, "--data-dir", data, "--yes")
    assert tables.exit_code == 1 and "takes 2,004 bytes" in tables.output
    assert "the disk has 100 left" in tables.output
    again = ("import", backup, "--data-dir", data, "--app-id", str(uuid.uuid4()))
    archive = await asyncio.to_thread(run, *again)
    assert archive.exit_code == 1 and "the disk has 100 left" in archive.output
    async with open_stage(data):
        out = ("export", tmp_path / "out.zip", "--app", app, "--data-dir", data)
        copied = await asyncio.to_thread(run, *out)
    assert copied.exit_code == 1 and "a copy of" in copied.output
    assert "the disk has 100 left" in copied.output and not list(data.glob("loading/*"))


@pytest.mark.rule("AR116")
def test_names_of_an_archive_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    evil = "\x1b[2J\u202eevil"
    shop = small_shop()
    shop.title = f"Shop{evil}"
    shop.namespace(f"ns{evil}", name=attr("string"))
    shop.add(f"ns{evil}", {"name": "x"})
    shop.add("$users", {"email": f"A{evil}@example.com", "type": "user"})
    shop.more = {"webhooks": [{"sink": {"url": f"https://{evil}"}}, evil]}
    archive = shop.write(tmp_path / f"in{evil}.zip")
    data, app = tmp_path / "data", shop.app_id or ""
    shop.lines[f"ns{evil}"].pop()
    other = shop.write(tmp_path / "other.zip")
    table = tmp_path / "t.csv"
    table.write_text(f"a{evil}\n1\n")
    for words, code in (
        (("import", archive), 0),
        (("import", archive), 1),
        (("import", archive, "--replace", "--yes", "--json"), 0),
        (("doctor", "--app", app, "--archive", other), 1),
        (("export", tmp_path / "out.zip", "--app", app), 0),
        (("export", tmp_path / f"out{evil}", "--app", app, "--format", "csv"), 0),
        (("import", table, "--yes"), 0),
        (("import", table, "--yes", "--type", f"t.b{evil}=string"), 1),
    ):
        told = run(*words, "--data-dir", data)
        assert told.exit_code == code, (words, told.output)
        assert told.output.isascii() or "\u202e" not in told.output
        assert "\x1b" not in told.output, (words, told.output)
