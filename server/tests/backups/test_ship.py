"""The log of transactions in the vault, and restores to a moment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.archive_stage import Stage, open_stage, small_shop
from support.backup_stage import (
    OTHER,
    SHOP,
    add_file,
    check,
    content,
    contents,
    make,
    put_back,
    source_of,
    vault_in,
    write,
)
from trice import backup_limits
from trice.backups.folder_vault import FolderVault
from trice.backups.log_area import find_bases, find_segments, read_base
from trice.backups.ship import Shipper
from trice.backups.vaults import object_key
from trice.errors import InvalidInput, NotFound
from trice.metrics import BackupCounts
from trice.protocol.ids import AppId
from trice.runtime import new_uuid

THIRD = AppId("33333333-3333-4333-8333-333333333333")
MINUTE_MS = 60_000


class Shipping:
    """A server that ships its log."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.vault = vault_in(folder)
        self.counts = BackupCounts()
        self.is_sweeping = asyncio.Lock()
        self.start()

    def start(self) -> None:
        """As after a restart."""
        runtime = self.stage.runtime
        shipping = FolderVault(self.folder, runtime=runtime, is_shipping=True)
        self.shipper = Shipper(
            shipping, source_of(self.stage), self.counts, is_sweeping=self.is_sweeping
        )

    async def ship(self) -> int:
        """Ship; return the moment up to which all is shipped."""
        await self.shipper.ship()
        now: int = self.stage.runtime.now
        assert self.counts.shipped_ms == now
        return now


async def everything_of(stage: Stage) -> dict[AppId, Any]:
    return {
        app_id: await content(stage, app_id)
        for app_id in (SHOP, OTHER)
        if stage.registry.find(app_id) is not None
    }


@pytest.mark.rule("BK60", "BK61", "BK63")
async def test_every_moment_can_be_restored(stage: Stage, tmp_path: Path) -> None:
    server = Shipping(stage, tmp_path / "vault")
    await make(stage, server.vault)
    states: list[tuple[int, dict[AppId, Any]]] = []

    async def done() -> None:
        states.append((await server.ship(), await everything_of(stage)))
        stage.runtime.advance(MINUTE_MS)

    await done()
    for number in range(3):
        async with stage.database(SHOP) as database:
            await write(database, stage.runtime, number)
            await add_file(stage, database, f"{number}.bin", b"bytes %d" % number)
        await done()
    await stage.registry.set_rules(SHOP, {"goods": {"allow": {"view": "false"}}})
    async with stage.database(SHOP) as database:
        await database.change(lambda change: change.write(["delete", "$files", ["path", "0.bin"]]))
    await done()
    await stage.registry.delete(OTHER)
    stage.engines.delete(OTHER)
    await done()
    server.start()
    async with stage.database(SHOP) as database:
        await write(database, stage.runtime, 9)
    await done()
    for number, (at_ms, state) in enumerate(states):
        folder = tmp_path / f"new-{number}"
        restored = await put_back(server.vault, folder, at_ms=at_ms)
        assert (restored.lost, restored.missing) == ([], [])
        assert not any(built.is_behind for built in restored.built.values())
        assert await contents(folder) == state, number
    # Between two of them nothing happened; before the backup nothing is known.
    await put_back(server.vault, tmp_path / "between", at_ms=states[2][0] + MINUTE_MS // 2)
    assert await contents(tmp_path / "between") == states[2][1]
    with pytest.raises(NotFound, match="from before that moment"):
        await put_back(server.vault, tmp_path / "early", at_ms=states[0][0] - 2 * MINUTE_MS)
    assert not (tmp_path / "early").exists()
    # One app of a moment.
    await put_back(server.vault, tmp_path / "one", app_id=SHOP, at_ms=states[3][0])
    assert await contents(tmp_path / "one") == {SHOP: states[3][1][SHOP]}


@pytest.mark.rule("BK61", "BK62")
async def test_a_new_app_and_a_changed_schema(stage: Stage, tmp_path: Path) -> None:
    server = Shipping(stage, tmp_path / "vault")
    await stage.registry.end(OTHER)
    await make(stage, server.vault)
    await server.ship()
    stage.runtime.advance(MINUTE_MS)
    await stage.load(small_shop(), app_id=THIRD)
    made_ms, made = await server.ship(), await content(stage, THIRD)
    bases = server.counts.bases
    stage.runtime.advance(MINUTE_MS)
    async with stage.database(SHOP) as database:
        # An attr that is new is in the log; one that changes is not.
        attr_id = new_uuid(stage.runtime)
        added = {
            "id": attr_id,
            "forward-identity": [new_uuid(stage.runtime), "goods", "colour"],
            "value-type": "blob",
            "cardinality": "one",
            "unique?": False,
            "index?": False,
        }
        await database.change(lambda change: change.write(["add-attr", added]))
        red = ["create", "goods", new_uuid(stage.runtime), {"colour": "red", "title": "pot"}]
        await database.change(lambda change: change.write(red))
        await server.ship()
        assert server.counts.bases == bases
        changed = ["delete-attr", attr_id]
        await database.change(lambda change: change.write(changed))
        await write(database, stage.runtime, 1)
        changed_ms = await server.ship()
        assert server.counts.bases == bases + 1
        stage.runtime.advance(1_000)
        # So soon again it waits, and says so.
        due = database.engine.catalog.find_forward("goods", "due")
        assert due is not None
        again = ["delete-attr", due.id]
        await database.change(lambda change: change.write(again))
        before_ms = server.counts.shipped_ms
        await server.shipper.ship()
        assert server.counts.shipped_ms == before_ms and server.counts.bases == bases + 1
        stage.runtime.advance(backup_limits.BASE_WAIT_MS)
    after = await content(stage, SHOP)
    last_ms = await server.ship()
    assert server.counts.bases == bases + 2
    for number, at_ms in enumerate((made_ms, changed_ms, last_ms)):
        folder = tmp_path / f"new-{number}"
        await put_back(server.vault, folder, app_id=THIRD, at_ms=at_ms)
        await put_back(server.vault, folder, app_id=SHOP, at_ms=at_ms)
        goods = (await contents(folder))[SHOP]["entities"]["goods"]
        assert len(goods) == (2, 5, 5)[number]
    async with open_stage(folder) as restored:
        assert await content(restored, THIRD) == made
        assert await content(restored, SHOP) == after


@pytest.mark.rule("BK62", "BK64")
async def test_a_gap_and_damage(stage: Stage, tmp_path: Path) -> None:
    server = Shipping(stage, tmp_path / "vault")
    await make(stage, server.vault)
    moments = [await server.ship()]
    for number in range(3):
        stage.runtime.advance(MINUTE_MS)
        async with stage.database(SHOP) as database:
            await write(database, stage.runtime, number)
        moments.append(await server.ship())
    segments = await find_segments(server.vault, SHOP)
    assert len(segments) == 3
    path = tmp_path / "vault" / segments[1].key
    whole = path.read_bytes()
    for data in (whole[:-1], b"", whole[:70] + bytes([whole[70] ^ 1]) + whole[71:]):
        path.write_bytes(data)
        with pytest.raises(InvalidInput, match=segments[1].key):
            await put_back(server.vault, tmp_path / "new", at_ms=moments[3])
        assert not (tmp_path / "new").exists()
    path.unlink()
    restored = await put_back(server.vault, tmp_path / "gap", at_ms=moments[3])
    assert restored.built[SHOP].is_behind and restored.built[SHOP].time_ms == moments[1]
    # The vault lost what it had; a new backup begins anew.
    stage.runtime.advance(MINUTE_MS)
    await make(stage, server.vault)
    restored = await put_back(server.vault, tmp_path / "healed", at_ms=await server.ship())
    assert not restored.built[SHOP].is_behind
    assert (await contents(tmp_path / "healed"))[SHOP] == await content(stage, SHOP)


@pytest.mark.rule("BK62")
async def test_a_restored_server_ships_on(stage: Stage, tmp_path: Path) -> None:
    server = Shipping(stage, tmp_path / "vault")
    await make(stage, server.vault)
    await server.ship()
    stage.runtime.advance(MINUTE_MS)
    async with stage.database(SHOP) as database:
        await write(database, stage.runtime, 1)
    first_ms, first = await server.ship(), await everything_of(stage)
    await put_back(server.vault, tmp_path / "second", at_ms=first_ms)
    stage.runtime.advance(MINUTE_MS)
    async with open_stage(tmp_path / "second", stage.runtime) as second:
        later = Shipping(second, tmp_path / "vault")
        await later.ship()
        assert later.counts.bases >= 2  # ids go on higher: nothing follows the former log
        stage.runtime.advance(MINUTE_MS)
        async with second.database(SHOP) as database:
            await write(database, second.runtime, 2)
        second_ms, state = await later.ship(), await everything_of(second)
    for number, (at_ms, wanted) in enumerate(((first_ms, first), (second_ms, state))):
        folder = tmp_path / f"new-{number}"
        await put_back(server.vault, folder, at_ms=at_ms)
        assert await contents(folder) == wanted


@pytest.mark.rule("BK63", "BK65", "BK40")
async def test_what_no_moment_needs_goes(stage: Stage, tmp_path: Path) -> None:
    server = Shipping(stage, tmp_path / "vault")
    states = []
    for number in range(4):
        stage.runtime.advance(MINUTE_MS)
        made = await make(stage, server.vault, keep=2, is_sweeping=server.is_sweeping)
        assert made.unswept is None
        stage.runtime.advance(MINUTE_MS)
        async with stage.database(SHOP) as database:
            await write(database, stage.runtime, number)
            await add_file(stage, database, f"{number}.bin", b"bytes %d" % number)
            states.append((await server.ship(), await content(stage, SHOP)))
            stage.runtime.advance(1)
            step = ["delete", "$files", ["path", f"{number}.bin"]]
            await database.change(lambda change, step=step: change.write(step))
    kept = [segment.time_ms for segment in await find_segments(server.vault, SHOP)]
    assert kept and min(kept) >= states[1][0]
    assert all(base.time_ms >= states[1][0] for base in await find_bases(server.vault))
    for number in (2, 3):
        at_ms, state = states[number]
        restored = await put_back(server.vault, tmp_path / f"new-{number}", at_ms=at_ms)
        assert restored.missing == []
        assert (await contents(tmp_path / f"new-{number}"))[SHOP] == state
    with pytest.raises(NotFound):
        await put_back(server.vault, tmp_path / "new", at_ms=states[0][0])
    # The bytes of the first files are gone, and another process sweeps nothing.
    names = {path.name for path in (tmp_path / "vault" / "objects").rglob("*")}
    hashes = [each["content-hash"] for _, state in states for each in state["entities"]["$files"]]
    assert len(set(hashes) - names) == 2
    by_hand = await make(stage, server.vault, keep=1)
    assert by_hand.unswept is not None and "sweeps itself" in by_hand.unswept
    assert (await check(server.vault)).problems == []


@pytest.mark.rule("BK62", "BK40")
async def test_a_base_names_nothing_that_was_swept(stage: Stage, tmp_path: Path) -> None:
    server = Shipping(stage, tmp_path / "vault")
    await make(stage, server.vault, keep=1, is_sweeping=server.is_sweeping)
    await server.ship()
    path = stage.folder / "apps" / f"{SHOP}.db"
    async with stage.database(SHOP) as database:
        await write(database, stage.runtime, 1)
    stage.runtime.advance(MINUTE_MS)
    await make(stage, server.vault, keep=1, is_sweeping=server.is_sweeping)
    # As it was in the first backup, which is gone; and nothing follows what was shipped.
    await server.ship()
    names = [segment.key for segment in await find_segments(server.vault, SHOP)]
    await server.vault.delete(names)
    server.start()
    await put_back(server.vault, tmp_path / "other")
    path.write_bytes((tmp_path / "other" / "apps" / f"{SHOP}.db").read_bytes())
    stage.runtime.advance(MINUTE_MS)
    at_ms = await server.ship()
    restored = await put_back(server.vault, tmp_path / "new", at_ms=at_ms)
    assert not restored.built[SHOP].is_behind
    bases = [base for base in await find_bases(server.vault) if base.app_id == SHOP]
    for base in bases:
        part = (await read_base(server.vault, base)).part
        for piece in part.pieces():
            assert await server.vault.size(object_key(piece.hash)) == piece.size
    assert bases
