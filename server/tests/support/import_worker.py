"""An import that kills itself (SIGKILL) at a moment: `import_worker.py ARCHIVE FOLDER MOMENT`.

An app with the same id is replaced.

Moments are counted: each time the import says how far it is, and before and after each step that
makes something last. With the moment 0 it runs to its end, and prints how many there were.
`archive/test_kill.py` reads that.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.archive_stage import open_stage
from support.moments import Moments
from trice import archive_limits
from trice.apps.registry import Registry
from trice.files.local import LocalBlobs
from trice.runtime import SystemRuntime
from trice.store.sqlite.loading import SqliteFilling, SqliteLoading


class Counting:
    """Progress that counts moments."""

    def __init__(self, moments: Moments) -> None:
        self.moments = moments

    def read(self, *_: int) -> None:
        self.moments.count()

    def indexed(self, *_: int) -> None:
        self.moments.count()


async def work(archive: Path, folder: Path, moments: Moments) -> None:
    async with open_stage(folder, SystemRuntime()) as stage:  # type: ignore[arg-type]
        stage.ears = Counting(moments)  # type: ignore[assignment]
        await stage.load(archive, replaces=True)


def main() -> None:
    archive, folder, moments = Path(sys.argv[1]), Path(sys.argv[2]), Moments(int(sys.argv[3]))
    archive_limits.BATCH_ROWS = 10
    archive_limits.KEEP_BYTES = 500
    moments.around(LocalBlobs, "put")
    moments.around(SqliteFilling, "insert")
    moments.around(SqliteFilling, "link")
    moments.around(SqliteFilling, "keep")
    moments.around(SqliteLoading, "open")
    moments.around(SqliteLoading, "publish")
    moments.around(SqliteLoading, "settle")
    moments.around(Registry, "put")
    asyncio.run(work(archive, folder, moments))
    sys.stdout.write(f"{moments.seen}\n")


if __name__ == "__main__":
    main()
