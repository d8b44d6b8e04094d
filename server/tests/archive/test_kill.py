"""An import is killed (SIGKILL) at moments from its first to its last."""

from __future__ import annotations

import os
import random
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


@pytest.mark.rule("AR2", "AR1")
async def test_an_import_killed_at_any_moment_is_whole_or_gone(tmp_path: Path) -> None:
    shop = small_shop()
    for number in range(60):
        shop.add("goods", {"title": f"Cup {number}"})
    for number in range(6):
        shop.file(f"photos/{number}.png", bytes([number]) * 10_000)
    archive = shop.write(tmp_path / "in.zip")
    app_id = AppId(shop.app_id or "")
    done = run_worker(archive, tmp_path / "whole", 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > CHOSEN + END
    chosen = random.Random(count).sample(range(1, count - END), CHOSEN)
    outcomes = set()
    for moment in (*sorted(chosen), *range(count - END, count + 1)):
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
