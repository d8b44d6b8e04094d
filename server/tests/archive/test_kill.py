"""An import is killed (SIGKILL) at moments from its first to its last."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import import_worker
from support.archive_stage import Stage, open_stage, small_shop
from support.patience import WAIT_S
from trice.files.sweep import Collector
from trice.protocol.ids import AppId

CHOSEN = 6
"""Moments of the first part of an import; of its end every one is tried."""
END = 8


def run_worker(archive: Path, folder: Path, moment: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, import_worker.__file__, archive, folder, str(moment)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


async def sweep(stage: Stage) -> None:
    """What a server does when it starts."""

    async def is_named(app_id: AppId, hashes: list[str]) -> set[str]:
        return set(hashes)

    await Collector(
        stage.storage.blobs,
        stage.storage.pins,
        is_named=is_named,
        has_app=lambda app_id: stage.registry.find(app_id) is not None,
        runtime=stage.runtime,
    ).sweep()


def moments(archive: Path, folder: Path) -> list[int]:
    """Which moments are tried."""
    done = run_worker(archive, folder, 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > CHOSEN + END
    chosen = random.Random(count).sample(range(1, count - END), CHOSEN)
    return [*sorted(chosen), *range(count - END, count + 1)]


@pytest.mark.rule("AR2", "AR1")
async def test_an_import_killed_at_any_moment_is_whole_or_gone(tmp_path: Path) -> None:
    shop = small_shop()
    for number in range(60):
        shop.add("goods", {"title": f"Cup {number}"})
    for number in range(6):
        shop.file(f"photos/{number}.png", bytes([number]) * 10_000)
    archive = shop.write(tmp_path / "in.zip")
    app_id = AppId(shop.app_id or "")
    outcomes = set()
    for moment in moments(archive, tmp_path / "whole"):
        folder = tmp_path / f"killed-{moment}"
        killed = run_worker(archive, folder, moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        async with open_stage(folder) as stage:
            await sweep(stage)
            is_there = stage.registry.find(app_id) is not None
            outcomes.add(is_there)
            if not is_there:
                assert stage.left() == [], moment
                await stage.load(archive)
            compared = await stage.compare(app_id, archive)
            assert compared.is_equal, (moment, compared)
    assert outcomes == {True, False}


@pytest.mark.rule("AR7")
async def test_an_app_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    old, new = small_shop(), small_shop()
    old.rules, old.title = {"goods": {"allow": {"view": "false"}}}, "Old"
    new.rules, new.title = {"tags": {"allow": {"view": "true"}}}, "New"
    new.add("tags", {"name": "in the new one"})
    given = {"Old": old.write(tmp_path / "old.zip"), "New": new.write(tmp_path / "new.zip")}
    app_id = AppId(old.app_id or "")
    async with open_stage(tmp_path / "before") as stage:
        await stage.load(given["Old"])
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    outcomes = set()
    for moment in moments(given["New"], tmp_path / "whole"):
        folder = tmp_path / f"killed-{moment}"
        shutil.copytree(tmp_path / "before", folder)
        killed = run_worker(given["New"], folder, moment)
        assert killed.returncode == -9, (moment, killed.stderr)
        async with open_stage(folder) as stage:
            row = stage.registry.find(app_id)
            assert row is not None
            outcomes.add(row.title)
            compared = await stage.compare(app_id, given[row.title])
            assert compared.is_equal, (moment, row.title, compared)
            assert list((folder / "loading").iterdir()) == []
    assert outcomes == {"Old", "New"}
