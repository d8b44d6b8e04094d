"""Backups of an app are killed (SIGKILL) at moments from their first to their last."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import app_backup_worker
from support.app_backup_worker import MADE_MS, make, opened_backups
from support.archive_stage import open_stage
from support.backup_stage import SHOP, fill, write
from support.patience import WAIT_S
from trice.app_backups.app_backups import AppBackups
from trice.app_backups.manifest import AppBackup
from trice.backups.vaults import hash_file
from trice.runtime import SystemRuntime

CHOSEN = 8
"""Moments of the first part; of the end every one is tried."""
END = 8


def run_worker(folder: Path, moment: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, app_backup_worker.__file__, folder, str(moment)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


def check_whole(backups: AppBackups, backup: AppBackup) -> None:
    """Every byte of a backup is there."""
    hashes = backups.path(SHOP, backup.files.hashes.hash).read_text().split()[::2]
    for hash in {*backup.hashes(), *hashes}:
        assert hash_file(backups.path(SHOP, hash))[0] == hash
    assert len(hashes) == backup.files.count > 0


@pytest.mark.rule("BK81")
async def test_a_backup_of_an_app_killed_at_any_moment_is_whole_or_none(tmp_path: Path) -> None:
    first = tmp_path / "first"
    async with open_stage(first) as stage:
        await fill(stage)
    async with opened_backups(first, now_ms=MADE_MS - 1) as (backups, apps):
        await make(backups, apps)
    async with open_stage(first) as stage, stage.database(SHOP) as database:
        await write(database, stage.runtime, 1)
    shutil.copytree(first, tmp_path / "whole")
    done = run_worker(tmp_path / "whole", 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > CHOSEN + END
    chosen = random.Random(count).sample(range(1, count - END), CHOSEN)
    counts = set()
    for moment in [*sorted(chosen), *range(count - END, count + 1)]:
        folder = tmp_path / f"killed-{moment}"
        shutil.copytree(first, folder)
        killed = run_worker(folder, moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        async with opened_backups(folder, now_ms=MADE_MS + 1) as (backups, apps):
            found = await backups.find_all(SHOP)
            counts.add(len(found))
            for backup in found:
                check_whole(backups, backup)
            await make(backups, apps)
            assert len(await backups.find_all(SHOP)) == len(found) + 1
            assert list((folder / "app-backups" / SHOP / "coming").iterdir()) == []
        shutil.rmtree(folder)
    assert counts == {1, 2}


@pytest.mark.rule("BK70")
async def test_a_backup_made_beside_writers_has_each_transaction_whole(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        await fill(stage)
    async with opened_backups(tmp_path / "data") as (backups, apps):
        app = await apps.lend(SHOP)
        told = []

        async def write_on() -> None:
            while True:
                await write(app.database, SystemRuntime(), len(told))
                told.append(len(told))

        writing = asyncio.get_running_loop().create_task(write_on())
        await make(backups, apps)
        count = len(told)
        writing.cancel()
        await asyncio.wait([writing])
        apps.give_back(app)
        (backup,) = await backups.find_all(SHOP)
        (part,) = (part for part in backup.parts if part.name == "entities/goods.jsonl")
        data = gzip.decompress(backups.path(SHOP, part.piece.hash).read_bytes())
        titles = [json.loads(line)["entity"]["title"] for line in data.splitlines()]
        cups = {title[4:] for title in titles if title.startswith("cup ")}
        lids = {title[4:] for title in titles if title.startswith("lid ")}
        assert cups == lids == {str(number) for number in range(len(cups))}
        assert count > 0
