"""Writes until it is killed; prints each transaction id after it was acknowledged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.attrs import blob, committed, creating
from trice.runtime import SystemRuntime, new_key_bytes
from trice.store.commit import Commit
from trice.store.engine import WriteTx
from trice.store.sqlite.engine import SqliteEngine


async def main(path: str) -> None:
    runtime = SystemRuntime()
    engine = SqliteEngine.open(path, runtime=runtime)
    await engine.write(creating(blob("t", "id"), blob("t", "n")))

    def insert(tx: WriteTx) -> Commit:
        row = (new_key_bytes(runtime), tx.time_ms, tx.tx)
        tx.rows("INSERT INTO t (id, _created_ms, n) VALUES (?, ?, ?)", row)
        return committed(tx)

    async def write_on() -> None:
        while True:
            sys.stdout.write(f"{await engine.write(insert)}\n")
            sys.stdout.flush()

    await asyncio.gather(*(write_on() for _ in range(5)))


asyncio.run(main(sys.argv[1]))
