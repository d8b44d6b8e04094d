"""Backups and restores are killed (SIGKILL) at moments from their first to their last."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import backup_worker
from support.archive_stage import open_stage
from support.backup_stage import (
    OTHER,
    SHOP,
    check,
    contents,
    everything,
    fill,
    make,
    put_back,
    vault_in,
    write,
)
from support.patience import WAIT_S
from trice.backups.listing import find_backups

CHOSEN = 8
"""Moments of the first part; of the end every one is tried."""
END = 8


def run_worker(
    work: str, folder: Path, vault: Path, moment: int
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, backup_worker.__file__, work, folder, vault, str(moment)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


def moments(count: int, end: int) -> list[int]:
    chosen = random.Random(count).sample(range(1, count - end), CHOSEN)
    return [*sorted(chosen), *range(count - end, count + 1)]


@pytest.mark.rule("BK3")
async def test_a_backup_killed_at_any_moment_is_whole_or_none(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        await fill(stage)
        await make(stage, vault_in(tmp_path / "first"))
        async with stage.database(SHOP) as database:
            await write(database, stage.runtime, 1)
    shutil.copytree(tmp_path / "first", tmp_path / "whole")
    done = run_worker("make", tmp_path / "data", tmp_path / "whole", 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > CHOSEN + END
    outcomes = set()
    for moment in moments(count, END):
        folder = tmp_path / f"killed-{moment}"
        shutil.copytree(tmp_path / "first", folder)
        killed = run_worker("make", tmp_path / "data", folder, moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        found = await find_backups(vault_in(folder))
        assert found.damaged == {} and len(found.manifests) in (1, 2), moment
        outcomes.add(found.manifests[-1].name)
        for manifest in found.manifests:
            assert (await check(vault_in(folder), manifest.name)).problems == [], moment
        async with open_stage(tmp_path / "data") as stage:
            stage.runtime.now = found.manifests[-1].begun_ms
            made = await make(stage, vault_in(folder), keep=1)
        assert (await check(vault_in(folder))).problems == []
        # All that the killed one left is gone.
        names = {"lock", *(f"backups/{made.manifest.name}",)}
        left = {name for name in everything(folder) if not name.startswith("objects/")}
        assert left | {"lock"} == names, moment
        assert (made.unswept, len(made.expired)) == (None, len(found.manifests))
        assert len([name for name in everything(folder) if name.startswith("objects/")]) == 7
    assert len(outcomes) > 2


@pytest.mark.rule("BK31")
async def test_a_restore_killed_at_any_moment_is_all_or_nothing(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        await fill(stage)
        await make(stage, vault_in(tmp_path / "vault"))
    async with open_stage(tmp_path / "old") as stage:
        await fill(stage)
        async with stage.database(SHOP) as database:
            await write(database, stage.runtime, 1)
        await stage.registry.delete(OTHER)
        stage.engines.delete(OTHER)
    old, new = await contents(tmp_path / "old"), await contents(tmp_path / "data")
    assert old != new
    shutil.copytree(tmp_path / "old", tmp_path / "whole")
    done = run_worker("restore", tmp_path / "whole", tmp_path / "vault", 0)
    assert done.returncode == 0, done.stderr
    assert await contents(tmp_path / "whole") == new
    count = int(done.stdout)
    outcomes = []
    for moment in moments(count, 2 * END):
        folder = tmp_path / f"killed-{moment}"
        shutil.copytree(tmp_path / "old", folder)
        killed = run_worker("restore", folder, tmp_path / "vault", moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        found = await contents(folder)
        assert found in (old, new), moment
        outcomes.append(found == new)
        assert not (folder / "restoring").exists()
        kept = list(folder.glob("before-restore-*"))
        if found == new:
            assert await contents(kept[0]) == old
        else:
            assert kept == []
            await put_back(vault_in(tmp_path / "vault"), folder, replaces=True)
            assert await contents(folder) == new
    assert outcomes == sorted(outcomes) and set(outcomes) == {True, False}
