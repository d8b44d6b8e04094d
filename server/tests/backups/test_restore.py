"""Back again: what comes, what stays, and what a damaged backup does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.archive_stage import open_stage, small_shop
from support.backup_stage import (
    OTHER,
    SHOP,
    add_file,
    check,
    content,
    contents,
    everything,
    fill,
    make,
    objects,
    put_back,
    vault_in,
    write,
)
from trice import backup_limits
from trice.errors import Conflict, InvalidInput
from trice.runtime import new_uuid


async def backed_up(tmp_path: Path) -> Path:
    """A vault with one backup of a server, whose data directory is `data`."""
    async with open_stage(tmp_path / "data") as stage:
        await fill(stage)
        await make(stage, vault_in(tmp_path / "vault"))
    return tmp_path / "vault"


@pytest.mark.rule("BK32", "BK31")
async def test_existing_data_stay_unless_asked(tmp_path: Path) -> None:
    folder = await backed_up(tmp_path)
    before = await contents(tmp_path / "data")
    async with open_stage(tmp_path / "other") as stage:
        await stage.load(small_shop(), app_id=OTHER)
    (tmp_path / "other" / "secret.key").write_text("11" * 32)
    untouched = everything(tmp_path / "other")
    with pytest.raises(Conflict, match="has data already"):
        await put_back(vault_in(folder), tmp_path / "other")
    assert everything(tmp_path / "other") == untouched
    restored = await put_back(vault_in(folder), tmp_path / "other", replaces=True)
    assert restored.kept is not None and restored.kept.parent == tmp_path / "other"
    kept = everything(restored.kept)
    assert kept == untouched
    assert await contents(tmp_path / "other") == before
    assert not (tmp_path / "other" / "secret.key").exists()
    # What was kept can be put back by hand, and is whole.
    assert set(await contents(restored.kept)) == {OTHER}


@pytest.mark.rule("BK36", "BK31", "BK20")
async def test_a_damaged_object_is_found_and_refused(tmp_path: Path) -> None:
    folder = await backed_up(tmp_path)
    draw = random.Random(11)
    assert (await check(vault_in(folder))).problems == []
    for path in objects(folder):
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        for damage in (bytes(flipped), whole[: len(whole) // 2], whole + b"\0", b"", None):
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)
            verified = await check(vault_in(folder))
            assert any(path.name in problem for problem in verified.problems), path
            with pytest.raises(InvalidInput, match=path.name):
                await put_back(vault_in(folder), tmp_path / "new")
            assert not (tmp_path / "new").exists()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
    assert (await check(vault_in(folder))).problems == []


@pytest.mark.rule("BK38")
async def test_what_is_written_afterwards_does_not_reach_the_vault(tmp_path: Path) -> None:
    folder = await backed_up(tmp_path)
    before = everything(folder)
    await put_back(vault_in(folder), tmp_path / "new")
    async with open_stage(tmp_path / "new") as stage, stage.database(SHOP) as database:
        await write(database, stage.runtime, 1)
        await add_file(stage, database, "new.bin", b"new bytes")
        await stage.registry.set_rules(SHOP, {"goods": {"allow": {"view": "true"}}})
    (tmp_path / "new" / "secret.key").write_text("22" * 32)
    assert everything(folder) == before


@pytest.mark.rule("BK35")
async def test_transactions_go_on_higher(tmp_path: Path) -> None:
    folder = await backed_up(tmp_path)
    async with open_stage(tmp_path / "data") as stage, stage.database(SHOP) as database:
        await write(database, stage.runtime, 1)
        latest = database.engine.tx
    await put_back(vault_in(folder), tmp_path / "new")
    async with open_stage(tmp_path / "new") as stage, stage.database(SHOP) as database:
        assert database.engine.tx == latest - 1 + backup_limits.RESTORED_TX_GAP
        await write(database, stage.runtime, 1)
        assert database.engine.tx == latest + backup_limits.RESTORED_TX_GAP
        # It is backed up, restored and raised like any other.
        await make(stage, vault_in(folder))
    assert (await check(vault_in(folder))).problems == []


@pytest.mark.rule("BK34", "BK32")
async def test_one_app_is_restored_beside_others(tmp_path: Path) -> None:
    folder = await backed_up(tmp_path)
    before = await contents(tmp_path / "data")
    async with open_stage(tmp_path / "data") as stage:
        token = new_uuid(stage.runtime)
        await stage.registry.set_token(SHOP, token)
        await stage.registry.set_rules(SHOP, {"goods": {"allow": {"view": "false"}}})
        async with stage.database(SHOP) as database:
            await write(database, stage.runtime, 1)
            await database.change(
                lambda change: change.write(["delete", "$files", ["path", "photos/kettle.png"]])
            )
        async with stage.database(OTHER) as database:
            await write(database, stage.runtime, 2)
        other = await content(stage, OTHER)
        await stage.storage.blobs.delete_app(SHOP)
    with pytest.raises(Conflict, match="There is an app"):
        await put_back(vault_in(folder), tmp_path / "data", app_id=SHOP)
    restored = await put_back(vault_in(folder), tmp_path / "data", app_id=SHOP, replaces=True)
    assert restored.kept is not None
    assert [name for name, data in everything(restored.kept).items() if data] == [
        f"apps/{SHOP}.db",
        "platform.db",
    ]
    async with open_stage(tmp_path / "data") as stage:
        assert await content(stage, OTHER) == other
        found = await content(stage, SHOP)
        assert stage.registry.has_token(token)
    row = found.pop("row")
    former = before[SHOP].pop("row")
    assert found == before[SHOP]
    assert (row.rules, row.settings) == (former.rules, former.settings)
    # Into another server, whose other apps stay.
    async with open_stage(tmp_path / "third") as stage:
        await stage.load(small_shop(), app_id=OTHER)
    await put_back(vault_in(folder), tmp_path / "third", app_id=SHOP)
    assert set(await contents(tmp_path / "third")) == {SHOP, OTHER}


@pytest.mark.rule("BK33")
async def test_a_running_server_is_not_touched(tmp_path: Path) -> None:
    folder = await backed_up(tmp_path)
    async with open_stage(tmp_path / "data") as stage:
        with pytest.raises(BlockingIOError, match="another trice server"):
            await put_back(vault_in(folder), tmp_path / "data", replaces=True)
        assert {SHOP, OTHER} == {each for each in (SHOP, OTHER) if stage.registry.find(each)}
