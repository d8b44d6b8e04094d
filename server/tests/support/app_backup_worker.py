"""A backup of an app that kills itself (SIGKILL) at a moment.

    app_backup_worker.py DATA MOMENT

Moments are counted before and after each step that makes something last. With the moment 0 it runs
to its end, and prints how many there were. `app_backups/test_kill.py` reads that.

The clock stands. A backup tells when it was made, objects are kept by their hash, in folders by its
first byte; a folder that is there already need not be made. With a clock that goes, one run would
have more moments than the next.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.backup_stage import SHOP
from support.moments import Moments
from trice.app_backups import app_backups, parts
from trice.app_backups.app_backups import AppBackups
from trice.apps.apps import Apps
from trice.background import Background
from trice.backups import folder_vault
from trice.backups.folder_vault import FolderVault
from trice.runtime import SystemRuntime
from trice.server import backup_source, open_engines, open_storage

MADE_MS = 1_700_000_000_000
"""When a worker makes its backup."""


class StandingRuntime(SystemRuntime):
    """The system's, but for the wall clock: it stands."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


@asynccontextmanager
async def opened_backups(
    folder: Path, *, now_ms: int = MADE_MS
) -> AsyncIterator[tuple[AppBackups, Apps]]:
    """The backups of a data directory without a server."""
    runtime = StandingRuntime(now_ms)
    engines = open_engines(folder, runtime=runtime)
    apps = await Apps.open(engines, runtime=runtime, is_open_by_default=False)
    storage = open_storage(folder, runtime=runtime)
    background = Background(runtime)
    source = backup_source(folder, storage.blobs, runtime=runtime)
    try:
        yield AppBackups(apps, source, background=background), apps
    finally:
        await background.stop()
        await apps.close()
        await storage.close()
        engines.close()


async def make(backups: AppBackups, apps: Apps) -> None:
    """Make a backup and wait for it."""
    app = await apps.lend(SHOP)
    try:
        job = await backups.create(app, None, ip="127.0.0.1")
    finally:
        apps.give_back(app)
    await backups.wait(job)
    assert job.status == "completed", job.error


async def work(folder: Path) -> None:
    async with opened_backups(folder) as (backups, apps):
        await make(backups, apps)


def main() -> None:
    moments = Moments(int(sys.argv[2]))
    moments.around(FolderVault, "put")
    moments.around(FolderVault, "put_bytes")
    moments.around(FolderVault, "delete")
    moments.around(folder_vault, "_sync")
    moments.around(parts, "_copy")
    moments.around(parts, "_list_files")
    moments.around(app_backups, "sweep_objects")
    asyncio.run(work(Path(sys.argv[1])))
    sys.stdout.write(f"{moments.seen}\n")


if __name__ == "__main__":
    main()
