"""A process that puts and deletes blobs until it is killed: `blob_worker.py FOLDER SEED`.

It prints a line before and after each call: `put HASH`, `kept HASH`, `delete HASH`, `gone HASH`.
Tests in `files/test_kill.py` read them.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
from pathlib import Path

from trice.files.local import LocalBlobs
from trice.files.spool import Spool
from trice.files.threads import FileThreads
from trice.protocol.ids import AppId
from trice.runtime import SystemRuntime

APP = AppId("11111111-1111-4111-8111-111111111111")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def work(folder: Path, seed: int) -> None:
    runtime, threads, choices = SystemRuntime(), FileThreads(), random.Random(seed)
    spool = Spool(folder / "spool", threads=threads, runtime=runtime)
    blobs = LocalBlobs(folder / "blobs", threads=threads, runtime=runtime)
    say("ready")

    async def one(number: int) -> None:
        """Work on keys of its own; `files/pins` keeps callers of one key apart."""
        while True:
            data = bytes([number, choices.randrange(3)]) * choices.choice((1, 100_000, 1_500_000))
            hash = hashlib.sha256(data).hexdigest()
            if choices.random() < 0.7:
                say(f"put {hash}")
                async with await spool.begin(len(data)) as spooling:
                    for start in range(0, len(data), 400_000):
                        await spooling.write(data[start : start + 400_000])
                    spooled = await spooling.finish()
                await blobs.put(APP, spooled)
                say(f"kept {hash}")
            else:
                say(f"delete {hash}")
                await blobs.delete(APP, hash)
                say(f"gone {hash}")

    await asyncio.gather(*(one(number) for number in range(3)))


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))
