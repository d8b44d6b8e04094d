"""Which backups stay, and which bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.archive_stage import Stage
from support.backup_stage import OTHER, SHOP, add_file, check, make, objects, vault_in, write
from trice import backup_limits
from trice.backups.listing import find_names


async def change(stage: Stage, number: int) -> str:
    """Write, and replace a file; return the hash of its bytes."""
    async with stage.database(SHOP) as database:
        await write(database, stage.runtime, number)
        if number:
            step = ["delete", "$files", ["path", f"{number - 1}.bin"]]
            await database.change(lambda change: change.write(step))
        return await add_file(stage, database, f"{number}.bin", b"bytes %d" % number)


@pytest.mark.rule("BK40")
@pytest.mark.parametrize("held", [500_000, 1])
async def test_the_newest_good_ones_stay(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr(backup_limits, "SWEEP_HASHES_MAX", held)
    vault = vault_in(tmp_path / "vault")
    single = (await make(stage, vault, app_id=OTHER)).manifest.name
    names, hashes = [], []
    for number in range(5):
        hashes.append(await change(stage, number))
        made = await make(stage, vault, keep=2)
        names.append(made.manifest.name)
        assert made.unswept is None
        assert made.expired == names[-3:-2]
    assert await find_names(vault) == sorted([single, *names[-2:]])
    kept = {path.name for path in objects(tmp_path / "vault")}
    assert kept.isdisjoint(hashes[:3]) and kept.issuperset(hashes[3:])
    for name in await find_names(vault):
        assert (await check(vault, name)).problems == []


@pytest.mark.rule("BK40", "BK7")
async def test_bad_ones_do_not_push_out_the_last_good_ones(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    good = [(await make(stage, vault, keep=2)).manifest.name for _ in range(2)]
    path = stage.folder / "apps" / f"{OTHER}.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    bad = [(await make(stage, vault, keep=2)).manifest.name for _ in range(4)]
    assert await find_names(vault) == [*good, *bad]
    for name in good:
        assert (await check(vault, name)).problems == []
    path.write_bytes(whole)
    healed = [(await make(stage, vault, keep=2)).manifest.name for _ in range(2)]
    assert await find_names(vault) == healed


@pytest.mark.rule("BK41")
async def test_nothing_is_swept_while_a_manifest_is_damaged(stage: Stage, tmp_path: Path) -> None:
    vault = vault_in(tmp_path / "vault")
    first = (await make(stage, vault)).manifest.name
    before = set(objects(tmp_path / "vault"))
    path = tmp_path / "vault" / "backups" / first
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    await change(stage, 0)
    made = await make(stage, vault, keep=1)
    assert made.unswept is not None and first in made.unswept
    assert before < set(objects(tmp_path / "vault"))
    path.write_bytes(whole)
    assert (await check(vault, first)).problems == []
