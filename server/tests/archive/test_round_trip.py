"""Archives that go in and come out again, and apps that come out and go in again."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, open_stage, small_shop
from support.archives import Archive, attr, random_archive, read_archive
from support.seeds import seeds
from trice import archive_limits
from trice.errors import InvalidInput
from trice.identity import ADMIN
from trice.protocol.ids import AppId

GROUPS = 4
SEEDS = range(1, 25)


def content(path: Path) -> dict[str, Any]:
    """What must be equal: the schema's links by their sides, and the rest as it is."""
    found = read_archive(path)
    config = found["config"]
    for key in ("backupAt", "description", "trice", "isn"):
        config.pop(key, None)
    links = config["schema"].pop("links").values()
    config["links"] = sorted(str(link) for link in links)
    return {key: found[key] for key in ("config", "entities", "files")}


@pytest.mark.rule("AR61", "AR33", "AR40", "AR60", "AR70")
@pytest.mark.parametrize("group", range(GROUPS))
async def test_what_goes_in_comes_out(group: int) -> None:
    for seed in seeds(SEEDS, group=group, groups=GROUPS):
        archive = random_archive(seed)
        archive.file("a/one.txt", b"one" * (seed % 1_000))
        archive.file("a/two.txt", b"")
        folder = Path(tempfile.mkdtemp())
        try:
            await round_trip(folder, archive)
        except BaseException as failure:
            failure.add_note(f"seed {seed}")
            raise
        finally:
            shutil.rmtree(folder)


async def round_trip(folder: Path, archive: Archive) -> None:
    given = archive.write(folder / "given.zip")
    async with open_stage(folder / "data") as stage:
        report = await stage.load(given)
        compared = await stage.compare(report.app_id, given)
        assert compared.is_equal, compared
        await stage.export(report.app_id, folder / "out.zip")
        async with stage.database(report.app_id) as database:
            wire = database.catalog.wire()
    assert content(folder / "out.zip") == content(given)

    # What came out goes in elsewhere, and is the same app, to the ids of its attrs.
    async with open_stage(folder / "other") as other:
        again = await other.load(folder / "out.zip")
        assert again.app_id == report.app_id
        async with other.database(report.app_id) as database:
            assert database.catalog.wire() == wire
        await other.export(report.app_id, folder / "again.zip")
    assert content(folder / "again.zip") == content(given)


@pytest.mark.rule("AR61", "AR41")
async def test_settings_of_an_app_come_back(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    shop.more = {
        "authorizedRedirectOrigins": [{"service": "generic", "params": ["shop.example.com"]}],
        "trice": {
            "attrs": [],
            "isOpen": False,
            "settings": {
                "code_expiry_minutes": 30,
                "has_passwords": True,
                "test_users": [
                    {
                        "id": "11111111-1111-4111-8111-111111111111",
                        "email": "review@example.com",
                        "code": "123456",
                        "created_ms": 5,
                    }
                ],
            },
        },
    }
    report = await stage.load(shop)
    await stage.export(report.app_id, tmp_path / "out.zip")
    row = stage.registry.find(AppId(report.app_id))
    assert row is not None and not row.is_open
    async with open_stage(tmp_path / "other") as other:
        await other.load(tmp_path / "out.zip")
        copy = other.registry.find(row.id)
        assert copy is not None
        same = [origin.params for origin in copy.settings.origins]
        assert same == [("shop.example.com",)]
        assert copy.settings.test_users == row.settings.test_users != ()
        assert (copy.settings.code_expiry_minutes, copy.settings.has_passwords) == (30, True)
        assert copy.is_open == row.is_open


@pytest.mark.rule("AR62")
async def test_an_export_is_of_one_moment(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = await stage.load(small_shop())
    loop = asyncio.get_running_loop()
    async with stage.database(report.app_id) as database:

        async def write() -> None:
            step = ["create", "tags", "22222222-2222-4222-8222-222222222222", {"name": "late"}]
            await database.change(lambda change: change.write(step))

        def on_progress(done: int, of: int) -> None:
            if done == 2:  # inside of the first entry, on the thread that reads the snapshot
                asyncio.run_coroutine_threadsafe(write(), loop).result()

        out = tmp_path / "out.zip"
        monkeypatch.setattr(archive_limits, "PAGE_ROWS", 1)
        await stage.export_open(report.app_id, out, database, on_progress=on_progress)
        found = await database.look(lambda look: look.find({"tags": {}}))
        assert len(found["tags"]) == 2
    assert len(read_archive(out)["entities"]["tags"]) == 1


@pytest.mark.rule("AR63")
async def test_a_failed_export_leaves_no_file(stage: Stage, tmp_path: Path) -> None:
    report = await stage.load(small_shop())
    await stage.storage.blobs.delete_app(AppId(report.app_id))
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(Exception, match="bytes of this file are not where"):
        await stage.export(report.app_id, folder / "out.zip")
    assert list(folder.iterdir()) == []


@pytest.mark.rule("AR64")
async def test_passwords_are_left_out_for_instant(stage: Stage, tmp_path: Path) -> None:
    shop = small_shop()
    user = shop.lines["$users"][0][0]["id"]
    shop.add("$userPasswords", {"hash": "$argon2id$x", "$user": user})
    report = await stage.load(shop)
    await stage.export(report.app_id, tmp_path / "ours.zip")
    await stage.export(report.app_id, tmp_path / "theirs.zip", is_for_instant=True)
    assert "$userPasswords" in read_archive(tmp_path / "ours.zip")["entities"]
    theirs = read_archive(tmp_path / "theirs.zip")
    assert "$userPasswords" not in theirs["entities"]
    assert "$userPasswords" not in theirs["config"]["counts"]


@pytest.mark.rule("AR61", "AR10")
async def test_names_of_any_kind_come_back(stage: Stage, tmp_path: Path) -> None:
    """Names of namespaces become names of entries; two may differ in case only."""
    made = Archive()
    names = ("a/b", "..", "x\ny", "back\\slash", 'quo"te', "é", "TODOS", "todos", "a.b", " ")
    for number, etype in enumerate(names):
        made.namespace(etype, **{f"odd {number}/é\n": attr("string", indexed=True)})
        made.add(etype, {f"odd {number}/é\n": f"v{number}"})
    given = made.write(tmp_path / "given.zip")
    report = await stage.load(given)
    await stage.export(report.app_id, tmp_path / "out.zip")
    assert content(tmp_path / "out.zip") == content(given)


@pytest.mark.rule("AR61")
async def test_what_is_deleted_does_not_come_out(stage: Stage, tmp_path: Path) -> None:
    report = await stage.load(small_shop())
    async with stage.database(report.app_id) as database:
        price = database.catalog.find_forward("goods", "price")
        assert price is not None
        await database.transact([["delete-attr", price.id]], identity=ADMIN)
        await stage.export_open(report.app_id, tmp_path / "out.zip", database)
    out = read_archive(tmp_path / "out.zip")
    assert "price" not in out["config"]["schema"]["entities"]["goods"]["attrs"]
    assert all("price" not in line[0] for line in out["entities"]["goods"].values())
    async with open_stage(tmp_path / "other") as other:
        again = await other.load(tmp_path / "out.zip")
        assert again.entities["goods"] == 2


@pytest.mark.rule("AR5", "AR61")
async def test_many_links_are_read_a_part_at_a_time(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Archive()
    made.namespace("lists")
    made.namespace("items")
    made.link("lists.items:many", "items.lists:many")
    items = [made.add("items", {}) for _ in range(40)]
    for count in (0, 1, 40, 7, 40, 12):
        made.add("lists", {"items": items[:count]} if count else {})
    given = made.write(tmp_path / "given.zip")
    report = await stage.load(given)
    monkeypatch.setattr(archive_limits, "LINKS_AT_ONCE_MAX", 45)
    monkeypatch.setattr(archive_limits, "LINKS_OF_ENTITY_MAX", 40)
    await stage.export(report.app_id, tmp_path / "out.zip")
    assert content(tmp_path / "out.zip") == content(given)
    assert (await stage.compare(report.app_id, given)).is_equal
    monkeypatch.setattr(archive_limits, "LINKS_AT_ONCE_MAX", 39)
    monkeypatch.setattr(archive_limits, "LINKS_OF_ENTITY_MAX", 39)
    with pytest.raises(InvalidInput, match="more than 39 links by one attr"):
        await stage.export(report.app_id, tmp_path / "out.zip")
    monkeypatch.undo()
    monkeypatch.setattr(archive_limits, "LINE_BYTES_MAX", 1_000)
    with pytest.raises(InvalidInput, match="bytes, which no import accepts"):
        await stage.export(report.app_id, tmp_path / "out.zip")
