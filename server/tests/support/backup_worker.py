"""A backup, or a restore, that kills itself (SIGKILL) at a moment.

    backup_worker.py make|restore DATA VAULT MOMENT

Moments are counted before and after each step that makes something last. With the moment 0 it runs
to its end, and prints how many there were. `backups/test_kill.py` reads that.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.archive_stage import open_stage
from support.backup_stage import put_back, source_of
from trice.backups import folder_vault, retention
from trice.backups.folder_vault import FolderVault
from trice.backups.make import back_up
from trice.files.local import LocalBlobs
from trice.runtime import SystemRuntime
from trice.store.sqlite import swap

seen = 0
stop = 0


def moment() -> None:
    """One more moment; the last one for this process if it is the chosen one."""
    global seen
    seen += 1
    if seen == stop:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str) -> None:
    """Count a moment before and after each call of a function or method."""
    real = getattr(owner, name)

    def plain(*args: Any, **options: Any) -> Any:
        moment()
        found = real(*args, **options)
        moment()
        return found

    async def awaited(*args: Any, **options: Any) -> Any:
        moment()
        found = await real(*args, **options)
        moment()
        return found

    wrapped: Callable[..., Any] = awaited if asyncio.iscoroutinefunction(real) else plain
    setattr(owner, name, wrapped)


async def make(folder: Path, vault: Path) -> None:
    runtime = SystemRuntime()
    async with open_stage(folder, runtime) as stage:  # type: ignore[arg-type]
        await back_up(FolderVault(vault, runtime=runtime), source_of(stage), keep=1)


async def restore(folder: Path, vault: Path) -> None:
    runtime = SystemRuntime()
    await put_back(FolderVault(vault, runtime=runtime), folder, replaces=True, runtime=runtime)


def main() -> None:
    global stop
    work, folder, vault, stop = sys.argv[1], *map(Path, sys.argv[2:4]), int(sys.argv[4])
    around(FolderVault, "put")
    around(FolderVault, "put_bytes")
    around(FolderVault, "delete")
    around(folder_vault, "_sync")
    around(retention, "_sweep")
    around(LocalBlobs, "put")
    around(swap, "_move")
    around(swap, "_sync")
    asyncio.run((make if work == "make" else restore)(folder, vault))
    sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
