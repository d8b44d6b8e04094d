"""A data directory with an app that is written to, and vaults of its backups."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.archive_stage import Stage, open_stage, small_shop
from support.runtime import FakeRuntime
from trice.backups.folder_vault import FolderVault
from trice.backups.listing import newest_name, read_manifest
from trice.backups.make import Made, Source, back_up
from trice.backups.moment import Moment
from trice.backups.opening import open_vault
from trice.backups.restore import Restored, restore
from trice.backups.vaults import Vault
from trice.backups.verify import Verified, verify
from trice.database import Database
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_uuid
from trice.server import RestorePlace, backup_source, open_copies

SHOP = AppId("5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01")
OTHER = AppId("22222222-2222-4222-8222-222222222222")


def source_of(stage: Stage) -> Source:
    """What backups of a data directory are made of, whose server runs."""
    return backup_source(stage.folder, stage.storage.blobs, runtime=stage.runtime)


async def fill(stage: Stage) -> None:
    """Two apps with files and users."""
    await stage.load(small_shop())
    other = small_shop()
    other.file("only/here.bin", bytes(range(256)))
    await stage.load(other, app_id=OTHER)


async def write(database: Database, runtime: Runtime, number: int) -> None:
    """One transaction with two rows that belong together."""
    steps = [
        ["create", "goods", new_uuid(runtime), {"title": f"{kind} {number}", "price": number}]
        for kind in ("cup", "lid")
    ]
    await database.change(lambda change: change.write(*steps))


async def add_file(stage: Stage, database: Database, path: str, data: bytes) -> str:
    """Upload a file; return its hash."""
    spooled = await stage.storage.spool.spool_bytes(data)
    await stage.storage.blobs.put(SHOP, spooled)
    fields = {
        "path": path,
        "size": len(data),
        "location-id": new_uuid(stage.runtime),
        "key-version": 1,
        "content-hash": spooled.hash,
    }
    step = ["create", "$files", new_uuid(stage.runtime), fields]
    await database.change(lambda change: change.write(step))
    return spooled.hash


async def content(stage: Stage, app_id: AppId) -> dict[str, Any]:
    """All that an app has, in an order that does not depend on how it is stored."""
    row = stage.registry.find(app_id)
    assert row is not None
    async with stage.database(app_id) as database:
        return {"row": row, **await _content(stage, database, app_id)}


async def _content(stage: Stage, database: Database, app_id: AppId) -> dict[str, Any]:
    found = await database.look(
        lambda look: look.find({"goods": {"tags": {}, "owner": {}}, "$users": {}, "$files": {}})
    )
    hashes = []
    for each in found["$files"]:
        path = stage.storage.blobs.path(app_id, each["content-hash"])
        assert path is not None
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
        assert hashes[-1] == each["content-hash"]
    return {
        "entities": {
            etype: sorted(found[etype], key=lambda entity: entity["id"]) for etype in found
        },
        "bytes": sorted(hashes),
    }


def vault_in(folder: Path, runtime: FakeRuntime | None = None) -> FolderVault:
    return FolderVault(folder, runtime=runtime or FakeRuntime(seed=7))


async def make(stage: Stage, vault: Vault, **options: Any) -> Made:
    """Make a backup; a second passes."""
    stage.runtime.advance(1_000)
    return await back_up(vault, source_of(stage), **options)


async def check(vault: Vault, name: str | None = None) -> Verified:
    """Verify a backup, the newest one by default."""
    found = name or await newest_name(vault, None)
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        return await verify(vault, found, copies=open_copies(scratch), scratch=scratch)


async def put_back(
    vault: Vault,
    folder: Path,
    *,
    name: str | None = None,
    app_id: AppId | None = None,
    replaces: bool = False,
    skips_damaged: bool = False,
    at_ms: int | None = None,
    runtime: Any = None,
) -> Restored:
    """Restore into a data directory that is not open."""
    made = runtime or FakeRuntime(seed=9)
    moment = None
    if at_ms is None:
        manifest = await read_manifest(vault, name or await newest_name(vault, app_id))
    else:
        moment = await Moment.find(vault, at_ms, open_copies(folder))
        manifest = moment.manifest
    place = RestorePlace(folder, "local", runtime=made)
    try:
        return await restore(
            vault,
            manifest,
            place,
            copies=open_copies(folder),
            runtime=made,
            app_id=app_id,
            replaces=replaces,
            skips_damaged=skips_damaged,
            moment=moment,
        )
    finally:
        place.close()


async def contents(folder: Path) -> dict[str, Any]:
    """All apps of a data directory that is not open, by id."""
    async with open_stage(folder) as stage:
        return {
            app_id: await content(stage, app_id)
            for app_id in (SHOP, OTHER)
            if stage.registry.find(app_id) is not None
        }


def objects(folder: Path) -> list[Path]:
    """The objects of a vault in a folder."""
    return sorted(path for path in (folder / "objects").rglob("*") if path.is_file())


def everything(folder: Path) -> dict[str, bytes]:
    """Each file in a folder, but locks and what SQLite shares between processes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock" and not path.name.endswith("-shm")
    }


@asynccontextmanager
async def writer(database: Database, runtime: Runtime) -> AsyncIterator[list[int]]:
    """Somebody who writes all the time. The list has the numbers that were acknowledged."""
    told: list[int] = []

    async def work() -> None:
        while True:
            await write(database, runtime, len(told))
            told.append(len(told))

    task = asyncio.get_running_loop().create_task(work())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])


opened_vault = partial(open_vault, flag="backup-to")
