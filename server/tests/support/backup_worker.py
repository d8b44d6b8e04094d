"""A backup, or a restore, that kills itself (SIGKILL) at a moment.

    backup_worker.py make|restore DATA VAULT MOMENT

Moments are counted before and after each step that makes something last. With the moment 0 it runs
to its end, and prints how many there were. `backups/test_kill.py` reads that.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.archive_stage import open_stage
from support.backup_stage import put_back, source_of
from support.moments import Moments
from trice.backups import folder_vault, retention
from trice.backups.folder_vault import FolderVault
from trice.backups.make import back_up
from trice.files.local import LocalBlobs
from trice.runtime import SystemRuntime
from trice.store.sqlite import swap


async def make(folder: Path, vault: Path) -> None:
    runtime = SystemRuntime()
    async with open_stage(folder, runtime) as stage:  # type: ignore[arg-type]
        await back_up(FolderVault(vault, runtime=runtime), source_of(stage), keep=1)


async def restore(folder: Path, vault: Path) -> None:
    runtime = SystemRuntime()
    await put_back(FolderVault(vault, runtime=runtime), folder, replaces=True, runtime=runtime)


def main() -> None:
    work, folder, vault = sys.argv[1], *map(Path, sys.argv[2:4])
    moments = Moments(int(sys.argv[4]))
    moments.around(FolderVault, "put")
    moments.around(FolderVault, "put_bytes")
    moments.around(FolderVault, "delete")
    moments.around(folder_vault, "_sync")
    moments.around(retention, "_sweep")
    moments.around(LocalBlobs, "put")
    moments.around(swap, "_move")
    moments.around(swap, "_sync")
    asyncio.run((make if work == "make" else restore)(folder, vault))
    sys.stdout.write(f"{moments.seen}\n")


if __name__ == "__main__":
    main()
