"""`trice backup` and `trice restore` as people run them; a server that makes backups by itself."""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from support.archive_stage import open_stage
from support.backup_stage import OTHER, SHOP, contents, fill, objects
from support.deploy_stage import DeployStage, bundle_of
from support.patience import WAIT_S
from support.serving import get, post, serving
from trice.cli.main import main


def run(*flags: str | Path) -> Result:
    return CliRunner().invoke(main, [str(flag) for flag in flags])


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands close what they make to other users; the rest of this process stays as it was."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two apps."""

    async def work() -> None:
        async with open_stage(tmp_path / "data") as stage:
            await fill(stage)

    asyncio.run(work())
    return tmp_path / "data"


@pytest.mark.rule("BK30", "BK32", "BK34", "BK20", "BK40")
def test_back_up_check_and_restore(data: Path, tmp_path: Path) -> None:
    vault, new = tmp_path / "vault", tmp_path / "new"
    told = run("backup", vault, "--data-dir", data)
    assert told.exit_code == 0, told.output
    found = re.match(r"Backup (\S+): 2 apps, 3 files, [\d,]+ bytes, of which", told.stdout)
    assert found is not None, told.stdout
    name = found[1]
    again = run("backup", vault, "--data-dir", data, "--keep", "1")
    assert again.exit_code == 0 and f"Backup {name} is deleted." in again.stdout
    assert "of which 0 are new" in again.stdout
    assert run("backup", "--app", SHOP, vault, "--data-dir", data).exit_code == 0

    listed = run("backup", "list", vault)
    assert listed.exit_code == 0
    assert "the whole server" in listed.stdout and f"app {SHOP}" in listed.stdout
    whole = run("backup", "verify", vault)
    assert whole.exit_code == 0 and "is whole: 2 apps, 3 files," in whole.stdout, whole.output

    restored = run("restore", vault, "--data-dir", new)
    assert restored.exit_code == 0, restored.output
    assert "is restored: 2 apps, 3 files." in restored.stdout
    assert asyncio.run(contents(new)) == asyncio.run(contents(data))
    refused = run("restore", vault, "--data-dir", new)
    assert refused.exit_code == 1 and "--yes puts the backup in its place" in refused.output
    replaced = run("restore", vault, "--app", OTHER, "--data-dir", new, "--yes")
    assert replaced.exit_code == 0 and "before-restore-" in replaced.stdout, replaced.output

    largest = max(objects(vault), key=lambda path: path.stat().st_size)
    flipped = bytearray(largest.read_bytes())
    flipped[100] ^= 1
    largest.write_bytes(flipped)
    damaged = run("backup", "verify", vault)
    assert damaged.exit_code == 1 and largest.name in damaged.output
    assert run("restore", vault, "--data-dir", tmp_path / "third").exit_code == 1
    assert not (tmp_path / "third").exists()


@pytest.mark.rule("BK5", "BK22", "BK30")
def test_what_is_wrong_is_said(data: Path, tmp_path: Path) -> None:
    vault, empty = tmp_path / "vault", tmp_path / "empty"
    empty.mkdir()
    for flags, code, said in (
        (("backup", vault, "--data-dir", tmp_path / "nothing"), 2, "does not exist"),
        (("backup", vault, "--data-dir", empty), 1, "is no data directory"),
        (("backup", vault, "--data-dir", data, "--app", "x"), 2, "--app must be a uuid"),
        (("backup", vault, "--data-dir", data, "--keep", "0"), 2, "--keep must be from 1"),
        (("backup", "s3://B/x", "--data-dir", data), 2, "DEST is 's3://B/x'"),
        (("backup", "list", vault), 0, "There is no backup."),
        (("backup", "list", tmp_path / "other"), 0, "other does not exist."),
        (("backup", "verify", vault), 1, "has no good backup of the whole server"),
        (("restore", vault, "--data-dir", tmp_path / "new"), 1, "has no good backup"),
        (("restore", vault, "--at", "x", "--data-dir", tmp_path / "new"), 2, "--at must be a"),
        (("restore", vault, "x", "--at", "now", "--data-dir", data), 2, "leave out NAME"),
        (("restore", vault, "--at", "now", "--data-dir", tmp_path / "new"), 1, "has no backup of"),
        (("restore", vault, "../x", "--data-dir", tmp_path / "new"), 1, "There is no backup ../x"),
    ):
        told = run(*flags)
        assert told.exit_code == code and said in told.output, (flags, told.output)
        assert "Traceback" not in told.output
    assert not (tmp_path / "new").exists() and not (tmp_path / "nothing").exists()
    assert run("backup", vault, "--data-dir", data).exit_code == 0
    manifest = next((vault / "backups").iterdir())
    manifest.write_bytes(manifest.read_bytes()[:-9])
    listed = run("backup", "list", vault)
    assert listed.exit_code == 1 and f"Backup {manifest.name} is damaged" in listed.output


@pytest.mark.rule("BK1", "BK33", "BK50", "BK51")
def test_a_server_makes_backups_and_others_may_too(data: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    flags = ("--port", "0", "--backup-to", str(vault), "--backup-every", "1h")
    with serving(data, *flags, TRICE_METRICS_TOKEN="a-token-of-twenty-ch") as (process, url):
        assert process.stderr is not None
        while "backup made" not in (line := process.stderr.readline()):
            assert line, "the server ended"
        page = get(f"{url}/metrics", headers={"authorization": "Bearer a-token-of-twenty-ch"}).text
        assert float(re.findall(r"^trice_backup_newest_seconds (\S+)", page, re.M)[0]) > 1e9
        assert 'trice_work_runs_total{work="backups"}' in page or "backups" in page
        by_hand = run("backup", vault, "--data-dir", data)
        assert by_hand.exit_code == 0, by_hand.output
        refused = run("restore", vault, "--data-dir", data, "--yes")
        assert refused.exit_code == 1 and "Stop it first" in refused.output, refused.output
    assert len(list((vault / "backups").iterdir())) == 2
    assert "is whole" in run("backup", "verify", vault).stdout


@pytest.mark.rule("BK60", "BK61", "BK51")
def test_what_was_written_seconds_before_the_disk_died(tmp_path: Path) -> None:
    data, vault = tmp_path / "data", tmp_path / "vault"
    flags = ("--port", "0", "--backup-to", str(vault))
    bearer = {"authorization": "Bearer a-token-of-twenty-ch"}
    with serving(data, *flags, TRICE_METRICS_TOKEN="a-token-of-twenty-ch") as (process, url):
        made = post(f"{url}/dash/apps/ephemeral", json={"title": "lost"}).json()["app"]
        admin = {"app-id": made["id"], "authorization": f"Bearer {made['admin-token']}"}
        steps = [["update", "todos", str(uuid.uuid4()), {"text": "the last one"}]]
        body = {"steps": steps, "throw-on-missing-attrs?": False}
        assert post(f"{url}/admin/transact", json=body, headers=admin).status_code == 200
        written = datetime.datetime.now(datetime.UTC).timestamp()
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            page = get(f"{url}/metrics", headers=bearer).text
            if float(re.findall(r"^trice_backup_shipped_seconds (\S+)", page, re.M)[0]) > written:
                break
        process.kill()
        process.wait(WAIT_S)
    shutil.rmtree(data)
    restored = run("restore", vault, "--at", "now", "--data-dir", data)
    assert restored.exit_code == 0 and f"  app {made['id']}: last transaction" in restored.output
    with serving(data, "--port", "0") as (_, url):
        query = {"query": {"todos": {}}}
        found = post(f"{url}/admin/query", json=query, headers=admin).json()
    assert [todo["text"] for todo in found["todos"]] == ["the last one"]


async def deploy_to_shop(data: Path) -> None:
    stage = DeployStage(data)
    stage.app_id = SHOP
    await stage.open()
    await stage.deploy("a.one")
    await stage.close()


@pytest.mark.rule("FN308", "FN306")
def test_code_that_is_lost_is_told(data: Path, tmp_path: Path) -> None:
    asyncio.run(deploy_to_shop(data))
    vault, lost = tmp_path / "vault", tmp_path / "lost"
    assert run("backup", vault, "--data-dir", data).exit_code == 0
    told = run("backup", "verify", vault)
    assert told.exit_code == 0, told.output
    told = run("restore", vault, "--data-dir", tmp_path / "new")
    assert (told.exit_code, told.stderr.count("deploy it again")) == (0, 0)
    name = f"functions/{SHOP}/bundles/{bundle_of('a.one').hash}.zip"
    assert (tmp_path / "new" / name).read_bytes() == (data / name).read_bytes()
    (data / name).unlink()
    told = run("backup", lost, "--data-dir", data)
    assert told.exit_code == 1
    assert f"The data directory itself lacks the file {name}." in told.stderr
    told = run("restore", lost, "--data-dir", tmp_path / "without")
    assert told.exit_code == 0
    assert f"App {SHOP} had functions, but the backup has no code of them" in told.stderr
