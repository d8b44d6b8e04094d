"""An import that kills itself (SIGKILL) at a moment: `import_worker.py ARCHIVE FOLDER MOMENT`.

An app with the same id is replaced.

Moments are counted: each time the import says how far it is, and before and after each step that
makes something last. With the moment 0 it runs to its end, and prints how many there were.
`archive/test_kill.py` reads that.
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
from trice import archive_limits
from trice.apps.registry import Registry
from trice.files.local import LocalBlobs
from trice.runtime import SystemRuntime
from trice.store.sqlite.loading import SqliteFilling, SqliteLoading

seen = 0
stop = 0


def moment() -> None:
    """One more moment; the last one for this process if it is the chosen one."""
    global seen
    seen += 1
    if seen == stop:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner: type, name: str) -> None:
    """Count a moment before and after each call of a method."""
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


class Counting:
    """Progress that counts moments."""

    def read(self, *_: int) -> None:
        moment()

    def indexed(self, *_: int) -> None:
        moment()


async def work(archive: Path, folder: Path) -> None:
    async with open_stage(folder, SystemRuntime()) as stage:  # type: ignore[arg-type]
        stage.ears = Counting()  # type: ignore[assignment]
        await stage.load(archive, replaces=True)


def main() -> None:
    global stop
    archive, folder, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    archive_limits.BATCH_ROWS = 10
    around(LocalBlobs, "put")
    around(SqliteFilling, "insert")
    around(SqliteFilling, "link")
    around(SqliteLoading, "open")
    around(SqliteLoading, "publish")
    around(SqliteLoading, "settle")
    around(Registry, "put")
    asyncio.run(work(archive, folder))
    sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
