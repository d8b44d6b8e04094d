"""Backups that a server makes by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.archive_stage import Stage
from support.backup_stage import OTHER, make, source_of, vault_in
from trice.background import Background
from trice.backups.folder_vault import FolderVault
from trice.backups.listing import find_names
from trice.backups.schedule import Schedule
from trice.errors import Unavailable
from trice.metrics import BackupCounts

HOUR_MS = 3_600_000


@pytest.fixture
def vault(tmp_path: Path) -> FolderVault:
    return vault_in(tmp_path / "vault")


def scheduled(stage: Stage, vault: FolderVault, counts: BackupCounts, keep: int = 3) -> Schedule:
    return Schedule(
        vault,
        source_of(stage),
        counts,
        every_ms=24 * HOUR_MS,
        keep=keep,
        is_sweeping=asyncio.Lock(),
    )


@pytest.mark.rule("BK50", "BK40")
async def test_a_backup_is_due_when_the_newest_is_old(
    stage: Stage, vault: FolderVault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trice.backups")
    counts = BackupCounts()
    schedule = scheduled(stage, vault, counts)
    await schedule.run_if_due()
    assert len(await find_names(vault)) == 1
    assert counts.newest_ms == stage.runtime.now and counts.bytes > 0 and counts.put_bytes > 0
    assert "backup made name=" in caplog.text
    stage.runtime.advance(23 * HOUR_MS)
    await schedule.run_if_due()
    assert len(await find_names(vault)) == 1
    stage.runtime.advance(HOUR_MS)
    await schedule.run_if_due()
    assert len(await find_names(vault)) == 2
    # After a restart, and after one that somebody else made.
    stage.runtime.advance(12 * HOUR_MS)
    restarted = BackupCounts()
    again = scheduled(stage, vault, restarted)
    await again.run_if_due()
    assert len(await find_names(vault)) == 2
    assert restarted.newest_ms == stage.runtime.now - 12 * HOUR_MS
    await make(stage, vault)
    stage.runtime.advance(13 * HOUR_MS)
    await again.run_if_due()
    assert len(await find_names(vault)) == 3
    for _ in range(4):
        stage.runtime.advance(25 * HOUR_MS)
        await again.run_if_due()
    assert len(await find_names(vault)) == 3


@pytest.mark.rule("BK50")
async def test_a_clock_that_was_wrong_keeps_no_backup_away(
    stage: Stage, vault: FolderVault
) -> None:
    right_ms = stage.runtime.now
    stage.runtime.now = right_ms + 1_000 * HOUR_MS
    await make(stage, vault)
    stage.runtime.now = right_ms
    schedule = scheduled(stage, vault, BackupCounts())
    for _ in range(3):
        await schedule.run_if_due()
    assert len(await find_names(vault)) == 2


@pytest.mark.rule("BK51")
async def test_a_failure_is_told_and_tried_again(
    stage: Stage, vault: FolderVault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vault").write_text("no folder")
    counts = BackupCounts()
    schedule = scheduled(stage, vault, counts)
    with pytest.raises(Unavailable, match="folder of backups cannot be used"):
        await schedule.run_if_due()
    assert counts.newest_ms is None
    (tmp_path / "vault").unlink()
    path = stage.folder / "apps" / f"{OTHER}.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    await schedule.run_if_due()
    assert (counts.newest_ms, counts.damaged_apps) == (None, 1)
    assert "backup is not whole" in caplog.text
    path.write_bytes(whole)
    stage.runtime.advance(24 * HOUR_MS)
    await schedule.run_if_due()
    assert (counts.newest_ms, counts.damaged_apps) == (stage.runtime.now, 0)


@pytest.fixture
async def background(stage: Stage) -> AsyncIterator[Background]:
    started = Background(stage.runtime)
    yield started
    await started.stop()


@pytest.mark.rule("BK51")
async def test_it_is_background_work(
    stage: Stage, vault: FolderVault, background: Background
) -> None:
    scheduled(stage, vault, BackupCounts()).start(background)
    assert "backups" in background.counts
