"""A data directory that was damaged, restored in part, or newer than we are; a full disk."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest

from support.engines import open_apps
from trice.apps.settings import Settings
from trice.errors import Unavailable
from trice.identity import ADMIN
from trice.store.sqlite.data_dir import claim_data_dir
from trice.store.sqlite.migrations import FORMAT

T1 = "e1000000-0000-4000-8000-000000000001"
STEPS = [["update", "todos", T1, {"title": "a"}]]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def refused(work: Any) -> Unavailable:
    """What `work` fails with: words, of neither statements nor paths."""
    with pytest.raises(Unavailable) as caught:
        await work
    for told in ("SELECT", "PRAGMA", "INSERT", "BEGIN", "/", "Error"):
        assert told not in caught.value.message
    return caught.value


# --- whose it is --------------------------------------------------------------------------------


@pytest.mark.rule("S114")
def test_what_is_kept_is_nobody_elses_to_read(tmp_path):
    folder = tmp_path / "data"
    apps = folder / "apps"
    apps.mkdir(parents=True)
    # As an earlier version, or a restored backup, left them.
    kept = [folder / "platform.db", folder / "secret.key", apps / "x.db", apps / "x.db-wal"]
    for path in kept:
        path.write_bytes(b"")
        path.chmod(0o644)
    (folder / "notes.txt").touch(0o644)
    for path in (folder, apps):
        path.chmod(0o755)
    claim_data_dir(folder).close()
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, apps)] == ["0o700"] * 2
    assert {oct(path.stat().st_mode & 0o777) for path in (*kept, folder / "lock")} == {"0o600"}
    assert oct((folder / "notes.txt").stat().st_mode & 0o777) == "0o644", "not ours"


@pytest.mark.rule("S114")
def test_a_folder_of_others_is_told_of(tmp_path, monkeypatch, caplog):
    (tmp_path / "data").mkdir(mode=0o755)

    def not_permitted(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", not_permitted)
    claim_data_dir(tmp_path / "data").close()
    assert "others may read what is kept here" in caplog.text


# --- apps whose file is not what it should be -----------------------------------------------------


@pytest.mark.rule("S115")
@pytest.mark.parametrize("state", ["missing", "empty", "no database", "damaged", "newer"])
async def test_an_app_whose_file_cannot_be_used_is_refused_in_words(stage, caplog, state):
    app_id, other = await stage.make(), await stage.make()
    await stage.reopen()
    path = stage.path(app_id)
    good = path.read_bytes()
    match state:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "no database":
            path.write_bytes(b"x" * len(good))
        case "damaged":
            path.write_bytes(good[:100] + b"\xff" * (len(good) - 100))
        case "newer":
            file = apsw.Connection(str(path))
            file.execute("PRAGMA user_version = 99")
            file.close()
    before = path.read_bytes() if path.exists() else None
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            failure = await refused(stage.apps.lend(app_id))
            assert failure.code == "data-unusable"
    assert caplog.text.count("app not opened") == 1, "said once, not at each try"
    assert str(path) in caplog.text
    assert "Traceback" not in caplog.text
    assert (path.read_bytes() if path.exists() else None) == before, "left as it was"
    assert (await stage.apps.lend(other)).id == other
    assert stage.apps.files == 1
    path.write_bytes(good)
    app = await stage.apps.lend(app_id)
    await app.database.transact_admin(STEPS, identity=ADMIN)


def killed(path):
    """Bytes of a database and its log as a process that was killed leaves them."""
    return path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()


def put(path, database, log):
    path.write_bytes(database)
    beside = path.with_name(path.name + "-wal")
    beside.unlink(missing_ok=True)
    if log is not None:
        beside.write_bytes(log)


SPOILED_LOGS = {
    "left out": lambda log: None,
    "empty": lambda log: b"",
    "zeros": lambda log: bytes(len(log)),
    "no log": lambda log: b"x" * len(log),
    "damaged": lambda log: log[:17] + bytes([log[17] ^ 1]) + log[18:],
}


@pytest.mark.rule("S150")
@pytest.mark.parametrize("how", SPOILED_LOGS)
async def test_a_file_without_its_log_is_no_empty_app(stage, how):
    app_id = await stage.make()
    database, log = killed(stage.path(app_id))
    assert len(log) > 32 and len(database) <= 4096, "all of it is in the log yet"
    await stage.reopen()
    spoiled = SPOILED_LOGS[how](log)
    put(stage.path(app_id), database, spoiled)
    failure = await refused(stage.apps.lend(app_id))
    assert failure.code == "data-unusable"
    assert "-wal" in failure.message
    assert stage.path(app_id).read_bytes() == database
    put(stage.path(app_id), database, log)
    stage.apps.give_back(await stage.apps.lend(app_id))


@pytest.mark.rule("S150")
async def test_a_damaged_log_is_not_taken_for_none(stage):
    app_id = await stage.make()
    await stage.reopen()
    app = await stage.apps.lend(app_id)
    await app.database.transact_admin(STEPS, identity=ADMIN)
    database, log = killed(stage.path(app_id))
    stage.apps.give_back(app)
    await stage.reopen()
    damaged = SPOILED_LOGS["damaged"](log)
    put(stage.path(app_id), database, damaged)
    assert (await refused(stage.apps.lend(app_id))).code == "data-unusable"
    assert killed(stage.path(app_id)) == (database, damaged)


@pytest.mark.rule("S151")
@pytest.mark.parametrize("how", SPOILED_LOGS)
async def test_a_list_of_apps_without_its_log_is_not_an_empty_one(stage, how):
    await stage.make()
    path = stage.folder / "platform.db"
    database, log = killed(path)
    assert len(log) > 32
    await stage.apps.close()
    put(path, database, SPOILED_LOGS[how](log))
    with pytest.raises(Unavailable) as caught:
        await open_apps(stage.folder, runtime=stage.runtime, is_open_by_default=True)
    assert caught.value.code == "data-unusable"
    assert "-wal" in caught.value.message
    assert path.read_bytes() == database
    put(path, database, log)
    await stage.reopen()


@pytest.mark.rule("S115")
async def test_damage_found_later_is_told_in_words(stage, caplog):
    app_id = await stage.make()
    app = await stage.apps.lend(app_id)
    long = [["update", "todos", T1, {"title": "x" * 20_000}]]
    await app.database.transact_admin(long, identity=ADMIN)
    stage.apps.give_back(app)
    await stage.reopen()
    path = stage.path(app_id)
    # Pages that hold but a part of the text, which opening the file does not look at.
    pages = [path.read_bytes()[at : at + 4096] for at in range(0, path.stat().st_size, 4096)]
    is_text = [page[4:].startswith(b"x" * 4000) for page in pages]
    assert sum(is_text) > 3
    path.write_bytes(
        b"".join(
            b"\xff" * 4096 if is_bad else page for page, is_bad in zip(pages, is_text, strict=True)
        )
    )
    app = await stage.apps.lend(app_id)
    for _ in range(2):
        failure = await refused(app.database.query_nested({"todos": {}}, identity=ADMIN))
        assert failure.code == "data-unusable"
    failure = await refused(app.database.transact_admin(STEPS, identity=ADMIN))
    assert failure.code == "data-unusable"
    assert str(path) in caplog.text


# --- platform.db ----------------------------------------------------------------------------------


@pytest.mark.rule("S116")
@pytest.mark.parametrize("state", ["missing", "empty", "no database", "damaged", "newer"])
async def test_a_list_of_apps_that_cannot_be_used_is_refused_at_start(stage, state):
    await stage.make()
    await stage.apps.close()
    path = stage.folder / "platform.db"
    good = path.read_bytes()
    match state:
        case "missing":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "no database":
            path.write_bytes(b"x" * len(good))
        case "damaged":
            path.write_bytes(good[:4096] + b"\xff" * (len(good) - 4096))
        case "newer":
            file = apsw.Connection(str(path))
            file.execute(f"PRAGMA user_version = {FORMAT + 1}")
            file.close()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(Unavailable) as caught:
        await open_apps(stage.folder, runtime=stage.runtime, is_open_by_default=True)
    assert caught.value.code == "data-unusable"
    assert str(path) in caught.value.message
    if state == "newer":
        assert f"format {FORMAT + 1}" in caught.value.message
    assert (path.read_bytes() if path.exists() else None) == before
    path.write_bytes(good)
    stage.apps = await open_apps(stage.folder, runtime=stage.runtime, is_open_by_default=True)


# --- a full disk ----------------------------------------------------------------------------------


@pytest.mark.rule("S117")
async def test_a_full_disk_is_overloaded_everywhere_and_passes(stage):
    app_id = await stage.make(rules={"todos": {"allow": {"view": "true"}}})
    closed = await stage.make()
    app = await stage.apps.lend(app_id)
    await app.database.transact_admin(STEPS, identity=ADMIN)
    before = stage.files()

    def rename(settings: Settings) -> Settings:
        return Settings(code_expiry_minutes=5)

    with full_disk():
        for work in (
            app.database.transact_admin(STEPS, identity=ADMIN),
            app.database.change(
                lambda change: change.write(["update", "todos", T1, {"title": "b"}])
            ),
            app.database.add_schema({"entities": {"posts": {"attrs": {}}}}),
            stage.apps.set_rules(app_id, {"todos": {"allow": {"view": "false"}}}),
            stage.apps.change_settings(app_id, rename),
            stage.apps.create(title="x"),
            stage.apps.create(title="x", schema={"entities": {"posts": {"attrs": {}}}}),
        ):
            assert (await refused(work)).code == "overloaded"
        # What needs no room is answered.
        found = await app.database.query_nested({"todos": {}}, identity=ADMIN)
        assert orjson.loads(found)["todos"][0]["title"] == "a"
        stage.apps.give_back(await stage.apps.lend(closed))
    assert stage.files() == before
    assert stage.apps.get_row(app_id).rules == app.row.rules
    assert app.settings.code_expiry_minutes == Settings().code_expiry_minutes
    await app.database.transact_admin(STEPS, identity=ADMIN)
    await stage.apps.set_rules(app_id, {"todos": {"allow": {"view": "false"}}})
    await stage.apps.change_settings(app_id, rename)
    await stage.make()


@pytest.mark.rule("S117")
async def test_a_full_disk_does_not_spoil_the_stop(stage, caplog):
    app = await stage.apps.lend(await stage.make())
    await app.database.transact_admin(STEPS, identity=ADMIN)
    with full_disk():
        await stage.apps.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    stage.apps = await open_apps(stage.folder, runtime=stage.runtime, is_open_by_default=True)
    app = await stage.apps.lend(app.id)
    found = await app.database.query_nested({"todos": {}}, identity=ADMIN)
    assert orjson.loads(found)["todos"][0]["title"] == "a"


def test_the_disk_of_these_tests_is_full(tmp_path):
    with full_disk(), pytest.raises(OSError):
        (tmp_path / "x").write_bytes(b"x")
    assert os.path.getsize(tmp_path / "x") == 0
    asyncio.run(asyncio.sleep(0))
