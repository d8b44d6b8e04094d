"""Backups of an app over HTTP (`trice.api.app_backups`)."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import namedtuple

import pytest

from support.account_http import account_of, problem_of
from support.app_backups import (
    fetched,
    files_of,
    finished,
    listed,
    make,
    objects_of,
    parts_of,
    path_of,
    zipped,
)
from support.archive_stage import open_stage as open_data_dir
from trice import app_backup_limits as limits
from trice.app_backups import app_backups, parts
from trice.app_backups.app_backups import AppBackups
from trice.archive.export import Export
from trice.background import Background
from trice.server import backup_source
from trice.store.copies import CopyEnded

DAY_MS = 86_400_000
OTHER = "22222222-2222-4222-8222-222222222222"


async def write(stage, number=1, **fields):
    step = ["update", "goods", f"00000000-0000-4000-8000-{number:012d}", {"n": number, **fields}]
    answer = await stage.ask("POST", "/admin/transact", {"steps": [step]}, stage.admin())
    assert answer.status == 200, answer.body


async def upload(stage, path, data):
    answer = await stage.ask("PUT", "/admin/storage/upload", data, stage.admin(path=path))
    assert answer.status == 200, answer.body


# --- made, listed, fetched ----------------------------------------------------------------------


@pytest.mark.rule("BK70", "BK71", "BK77")
async def test_a_backup_is_made_by_a_job_and_listed_with_its_sizes(stage):
    await write(stage)
    await upload(stage, "a.txt", b"hello")
    assert await listed(stage) == []
    body = {"description": "before the move"}
    answer = await stage.ask("POST", path_of(stage), body, stage.admin())
    job = answer.json()["job"]
    assert (job["job_status"], job["description"]) == ("waiting", "before the move")
    jobs = f"/dash/apps/{stage.app_id}/backup-jobs"
    active = await stage.ask("GET", jobs, None, stage.admin())
    assert [each["id"] for each in active.json()["jobs"]] == [job["id"]]
    done = await finished(stage, job)
    assert (done["job_status"], done["error"]) == ("completed", None)
    assert done["work_completed"] == done["work_estimate"] >= 2
    assert (await stage.ask("GET", jobs, None, stage.admin())).json() == {"jobs": []}
    (backup,) = await listed(stage)
    assert backup["id"] == done["app_backup_id"]
    assert backup["description"] == "before the move"
    assert (backup["files_size"], backup["isn"][:2]) == (5, "0/")
    parts = await parts_of(stage, backup["id"])
    assert backup["uncompressed_size"] == sum(map(len, parts.values()))
    assert backup["db_size"] > 0
    assert backup["backup_at"] == json.loads(parts["config.json"])["backupAt"]


@pytest.mark.rule("BK71")
async def test_the_newest_backup_is_the_first(stage):
    made = [(await make(stage, text))["id"] for text in ("one", "two")]
    assert [each["id"] for each in await listed(stage)] == made[::-1]


@pytest.mark.rule("BK72")
async def test_parts_are_fetched_without_a_token_for_an_hour(stage):
    await write(stage)
    backup = await make(stage)
    path = path_of(stage, f"/{backup['id']}")
    parts = await parts_of(stage, backup["id"])
    assert next(iter(parts)) == "config.json" and "entities/goods.jsonl" in parts
    line = json.loads(parts["entities/goods.jsonl"])
    assert line["entity"]["n"] == 1
    asked = await stage.ask("GET", f"{path}/file-url?name=config.json", None, stage.admin())
    url = asked.json()["url"]
    for wrong in (
        url.replace("gzip", "identity"),
        url.replace("expires=1", "expires=2"),
        url.replace(stage.app_id, OTHER),
        url.partition("?")[0],
    ):
        assert problem_of(await fetched(stage, wrong))[1] == "file-url-invalid"
    stage.runtime.advance(3_599_000)
    assert (await fetched(stage, url)).status == 200
    stage.runtime.advance(1_001)
    assert problem_of(await fetched(stage, url))[1] == "file-url-invalid"
    for name in ("", "?name=entities%2Fnone.jsonl", "?name=..%2F..%2Fplatform.db"):
        answer = await stage.ask("GET", f"{path}/file-url{name}", None, stage.admin())
        assert problem_of(answer)[:2] == (400, "param-malformed" if name else "param-missing")


@pytest.mark.rule("BK73")
async def test_files_are_listed_to_the_last_line(stage, monkeypatch):
    monkeypatch.setattr(limits, "LINES_AT_ONCE", 2)
    for number in range(5):
        await upload(stage, f"f/{number}.bin", bytes([number]) * 10)
    await upload(stage, "equal.bin", bytes([4]) * 10)
    backup = await make(stage)
    found = await files_of(stage, backup["id"])
    assert sorted(each["path"] for each in found) == [
        "equal.bin",
        *(f"f/{number}.bin" for number in range(5)),
    ]
    assert len({each["locationId"] for each in found}) == 6
    answers = {each["path"]: await fetched(stage, each["url"]) for each in found}
    assert answers["f/3.bin"].body == bytes([3]) * 10
    assert "content-encoding" not in answers["f/3.bin"].headers
    stage.runtime.advance(limits.FILE_URL_S * 1000 + 1)
    assert (await fetched(stage, found[0]["url"])).status == 403


@pytest.mark.rule("BK74")
async def test_the_parts_make_an_archive_that_is_imported_equal(stage, tmp_path):
    await write(stage, 1, title="cup")
    await write(stage, 2, title="a\u2028b")
    await upload(stage, "a.txt", b"hello")
    rules = {"goods": {"allow": {"view": "true"}}}
    await stage.apps.set_rules(stage.app_id, rules)
    archive = await zipped(stage, (await make(stage))["id"], tmp_path / "backup.zip")
    async with open_data_dir(tmp_path / "other") as other:
        await other.load(archive)
        row = other.registry.find(stage.app_id)
        assert row is not None and row.rules == rules
        compared = await other.compare(stage.app_id, archive)
        assert compared.is_equal, compared


# --- deleted ------------------------------------------------------------------------------------


@pytest.mark.rule("BK75")
async def test_what_did_not_change_is_kept_once_and_goes_with_the_last(stage):
    await write(stage)
    await upload(stage, "a.txt", b"hello")
    first = await make(stage)
    before = objects_of(stage)
    await stage.ask(
        "POST", "/admin/transact", {"steps": [["update", "more", OTHER, {"n": 1}]]}, stage.admin()
    )
    second = await make(stage)
    new = objects_of(stage) - before
    assert len(new) == 2  # config.json and the new namespace
    gone = await stage.ask("DELETE", path_of(stage, f"/{first['id']}"), None, stage.admin())
    assert gone.json() == {"id": first["id"]}
    assert [each["id"] for each in await listed(stage)] == [second["id"]]
    assert (await parts_of(stage, second["id"]))["entities/goods.jsonl"]
    assert len(before - objects_of(stage)) == 1  # the former config.json
    await stage.ask("DELETE", path_of(stage, f"/{second['id']}"), None, stage.admin())
    assert objects_of(stage) == set()
    for rest in ("/files", "/file-url?name=config.json", "/storage-files"):
        answer = await stage.ask(
            "GET", path_of(stage, f"/{second['id']}{rest}"), None, stage.admin()
        )
        assert problem_of(answer) == (400, "record-not-found", "app-backup")
    again = await stage.ask("DELETE", path_of(stage, f"/{second['id']}"), None, stage.admin())
    assert problem_of(again) == (400, "record-not-found", "app-backup")


@pytest.mark.rule("BK79")
async def test_a_backup_ends_after_thirty_days(stage):
    backup = await make(stage)
    stage.runtime.advance(30 * DAY_MS - 5 * 60_000 - 1)
    assert [each["id"] for each in await listed(stage)] == [backup["id"]]
    await stage.backups.sweep()
    assert objects_of(stage)
    stage.runtime.advance(2)
    assert await listed(stage) == []
    await stage.backups.sweep()
    assert objects_of(stage) == set()


@pytest.mark.rule("BK82")
async def test_backups_go_with_their_app(stage):
    await make(stage)
    folder = stage.settings.data_dir / "app-backups" / stage.app_id
    await stage.apps.hide(stage.app_id)
    await stage.backups.sweep()
    assert folder.exists()
    await stage.apps.restore(stage.app_id)
    assert len(await listed(stage)) == 1
    await stage.backups.forget_app(stage.app_id)
    assert not folder.exists()


@pytest.mark.rule("BK79")
async def test_backups_of_an_app_that_is_not_there_end_too(stage):
    await make(stage)
    folder = stage.settings.data_dir / "app-backups" / stage.app_id
    await stage.apps.delete(stage.app_id)  # nothing but its row, in this stage
    await stage.backups.sweep()
    assert folder.exists()
    stage.runtime.advance(30 * DAY_MS)
    await stage.backups.sweep()
    assert not folder.exists()


# --- bounds -------------------------------------------------------------------------------------


@pytest.mark.rule("BK76")
async def test_an_app_is_backed_up_once_in_five_minutes(stage):
    await make(stage)
    stage.runtime.advance(-1)
    answer = await stage.ask("POST", path_of(stage), {}, stage.admin())
    assert (answer.status, answer.json()["type"]) == (429, "rate-limited")
    assert {"retry-at", "retry-after"} <= answer.json()["hint"].keys()
    stage.runtime.advance(1)
    await make(stage)


@pytest.mark.rule("BK76")
async def test_a_network_asks_for_two_backups_in_five_minutes(stage):
    asked = []
    for title in ("one", "two", "three"):
        app, token = await stage.apps.create(title=title, is_open=True)
        stage.apps.give_back(app)
        headers = {"authorization": f"Bearer {token}"}
        answer = await stage.ask("POST", f"/dash/apps/{app.id}/backups", {}, headers)
        asked.append(answer.status)
        if answer.status == 200:
            await finished(stage, answer.json()["job"], headers)
    assert asked == [200, 200, 429]


@pytest.mark.rule("BK76")
async def test_there_are_so_many_backups_and_one_job(stage, monkeypatch):
    monkeypatch.setattr(limits, "KEPT_MAX", 1)
    first = await make(stage)
    answer = await stage.ask("POST", path_of(stage), {}, stage.admin())
    assert answer.json()["type"] == "app-quota-exceeded"
    await stage.ask("DELETE", path_of(stage, f"/{first['id']}"), None, stage.admin())
    answer = await stage.ask("POST", path_of(stage), {}, stage.admin())
    second = await stage.ask("POST", path_of(stage), {}, stage.admin())
    assert problem_of(second)[2] == "app-backup-job"
    await finished(stage, answer.json()["job"])


@pytest.mark.rule("BK76")
async def test_a_throw_away_app_is_not_backed_up(stage):
    made = (await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})).json()["app"]
    headers = {"authorization": f"Bearer {made['admin-token']}"}
    answer = await stage.ask("POST", f"/dash/apps/{made['id']}/backups", {}, headers)
    assert answer.json()["type"] == "permission-denied"


@pytest.mark.parametrize("given", [7, "two\nlines", "x" * (limits.DESCRIPTION_CHARS_MAX + 1)])
async def test_a_description_is_one_line(stage, given):
    answer = await stage.ask("POST", path_of(stage), {"description": given}, stage.admin())
    assert problem_of(answer)[:2] == (400, "param-malformed")


@pytest.mark.rule("BK83")
async def test_a_job_without_room_on_the_disk_says_so(stage, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, limits.FREE_BYTES_MIN - 1))
    answer = await stage.ask("POST", path_of(stage), {}, stage.admin())
    job = await finished(stage, answer.json()["job"])
    assert job["job_status"] == "errored" and "bytes left" in job["error"]
    assert await listed(stage) == []


@pytest.mark.rule("BK83")
async def test_an_app_with_too_many_values_says_so(stage, monkeypatch):
    monkeypatch.setattr(limits, "TRIPLES_MAX", 3)
    await write(stage, 1, a=1, b=2)
    answer = await stage.ask("POST", path_of(stage), {}, stage.admin())
    job = await finished(stage, answer.json()["job"])
    assert job["job_status"] == "errored" and "3 are the most" in job["error"]
    assert objects_of(stage) == set()


# --- jobs ---------------------------------------------------------------------------------------


@pytest.mark.rule("BK77")
async def test_a_job_is_cancelled_and_leaves_nothing(stage, monkeypatch):
    await write(stage)
    begun, may_go_on = asyncio.Event(), asyncio.Event()
    real = parts.draft

    async def draft(*args, **options):
        begun.set()
        await may_go_on.wait()
        return await real(*args, **options)

    monkeypatch.setattr(app_backups, "draft", draft)
    job = (await stage.ask("POST", path_of(stage), {}, stage.admin())).json()["job"]
    await begun.wait()
    path = f"/dash/apps/{stage.app_id}/backup-jobs/{job['id']}"
    assert (await stage.ask("DELETE", path, None, stage.admin())).json() == {"id": job["id"]}
    assert (await finished(stage, job))["job_status"] == "cancelled"
    assert await listed(stage) == [] and objects_of(stage) == set()
    folder = stage.settings.data_dir / "app-backups" / stage.app_id / "coming"
    assert list(folder.iterdir()) == []
    may_go_on.set()
    stage.runtime.advance(limits.APP_WAIT_MS)
    await make(stage)
    again = await stage.ask("DELETE", path, None, stage.admin())
    assert again.json() == {"id": job["id"]}
    unknown = await stage.ask("GET", path.replace(job["id"], OTHER), None, stage.admin())
    assert problem_of(unknown)[2] == "app-backup-job"


@pytest.mark.rule("BK77")
async def test_a_job_is_cancelled_while_lines_are_written(stage, monkeypatch):
    await write(stage)
    loop, begun = asyncio.get_running_loop(), asyncio.Event()
    ended = []
    real = Export.write

    def write_slowly(self, snapshot):
        loop.call_soon_threadsafe(begun.set)
        try:
            while True:
                self._on_progress(0, 1)
        except CopyEnded:
            ended.append("ended")
            raise

    monkeypatch.setattr(Export, "write", write_slowly)
    job = (await stage.ask("POST", path_of(stage), {}, stage.admin())).json()["job"]
    await begun.wait()
    path = f"/dash/apps/{stage.app_id}/backup-jobs/{job['id']}"
    gone = await stage.ask("DELETE", path, None, stage.admin())
    assert gone.status == 200
    monkeypatch.setattr(Export, "write", real)
    assert (await finished(stage, job))["job_status"] == "cancelled"
    assert ended == ["ended"] and await listed(stage) == []


@pytest.mark.rule("BK84")
async def test_a_file_that_is_deleted_meanwhile(stage, monkeypatch):
    await upload(stage, "a.txt", b"hello")
    await upload(stage, "b.txt", b"world")
    real = app_backups.draft

    async def draft(*args, **options):
        drafted = await real(*args, **options)
        if len(tries) == 0:
            await stage.ask(
                "DELETE",
                f"/admin/storage/files?app_id={stage.app_id}&filename=a.txt",
                None,
                stage.admin(),
            )
            blobs = [blob async for blob in stage.storage.blobs.list(stage.app_id)]
            for blob in blobs:
                if blob.size == 5:
                    await stage.storage.blobs.delete(stage.app_id, blob.hash)
            await upload(stage, "b.txt", b"world")
        tries.append(drafted)
        return drafted

    tries = []
    monkeypatch.setattr(app_backups, "draft", draft)
    backup = await make(stage)
    assert len(tries) == 2
    assert [each["path"] for each in await files_of(stage, backup["id"])] == ["b.txt"]


@pytest.mark.rule("BK83")
async def test_bytes_that_the_app_has_lost_end_the_job(stage):
    await upload(stage, "a.txt", b"hello")
    async for blob in stage.storage.blobs.list(stage.app_id):
        await stage.storage.blobs.delete(stage.app_id, blob.hash)
    answer = await stage.ask("POST", path_of(stage), {}, stage.admin())
    job = await finished(stage, answer.json()["job"])
    assert job["job_status"] == "errored" and "not where files are kept" in job["error"]


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.rule("BK78")
async def test_who_may_do_what_with_backups(stage):
    _, ann = await account_of(stage)
    _, reader = await account_of(stage, scopes=["data-read"])
    _, maker = await account_of(stage, scopes=["apps-write"])
    _, eve = await account_of(stage, "eve@example.com")
    made = await stage.ask("POST", "/superadmin/apps", {"title": "shop"}, ann)
    path = f"/dash/apps/{made.json()['app']['id']}/backups"
    assert (await stage.ask("GET", path, None, reader)).json() == {"backups": []}
    assert (await stage.ask("POST", path, {}, reader)).json()["type"] == "permission-denied"
    assert (await stage.ask("GET", path, None, maker)).json()["type"] == "permission-denied"
    job = (await stage.ask("POST", path, {}, maker)).json()["job"]
    done = await finished(stage, job, ann)
    one = f"{path}/{done['app_backup_id']}"
    assert (await stage.ask("GET", f"{one}/files", None, reader)).status == 200
    assert (await stage.ask("DELETE", one, None, reader)).json()["type"] == "permission-denied"
    for method, each in (("GET", path), ("POST", path), ("DELETE", one), ("GET", f"{one}/files")):
        answer = await stage.ask(method, each, {} if method == "POST" else None, eve)
        assert answer.json()["hint"]["data-type"] == "user-role", (method, each)
    other = await stage.ask("GET", path, None, stage.admin())
    assert other.json()["hint"]["reason"] == "admin-token-mismatch"
    assert (await stage.ask("DELETE", one, None, ann)).status == 200


# --- by itself ----------------------------------------------------------------------------------


@pytest.mark.rule("BK79", "BK80")
async def test_each_lasting_app_is_backed_up_by_itself(open_stage):
    stage = await open_stage(app_backup_every="24h")
    await write(stage)
    await stage.ask("POST", "/dash/apps/ephemeral", {"title": "x"})
    for day in range(9):
        await stage.backups.run_due()
        await stage.backups.run_due()
        found = await listed(stage)
        assert len(found) == min(day + 1, limits.AUTOMATIC_KEPT_MAX)
        assert found[0]["description"] == "Automated Daily Snapshot"
        stage.runtime.advance(DAY_MS)
    assert len(list((stage.settings.data_dir / "app-backups").iterdir())) == 1
    # It is not asked for, so one may be.
    await make(stage, "by hand")


@pytest.mark.rule("BK80")
async def test_a_restart_makes_no_further_backup(open_stage):
    stage = await open_stage(app_backup_every="24h")
    await stage.backups.run_due()
    folder, blobs = stage.settings.data_dir, stage.storage.blobs
    background = Background(stage.runtime)
    again = AppBackups(
        stage.apps,
        backup_source(folder, blobs, runtime=stage.runtime),
        background=background,
        every_ms=DAY_MS,
    )
    stage.runtime.advance(DAY_MS - 1)
    await again.run_due()
    assert len(await listed(stage)) == 1
    stage.runtime.advance(1)
    await again.run_due()
    await background.stop()
    assert len(await listed(stage)) == 2
