"""Copies the bytes of all apps from one place to another.

It may be stopped and run again: what the other place has with the right size is skipped. It may run
beside a server, because the bytes of a key never change.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from trice.errors import NotFound
from trice.files.blobs import Blob, Blobs
from trice.files.spool import Spool
from trice.protocol.ids import AppId


@dataclass(slots=True)
class Moved:
    """What became of the blobs.

    gone     deleted while they were about to be copied
    damaged  files `APP/HASH` whose bytes have another hash; they are not copied
    """

    copied: int = 0
    copied_bytes: int = 0
    skipped: int = 0
    gone: int = 0
    damaged: list[str] | None = None

    @property
    def seen(self) -> int:
        return self.copied + self.skipped + self.gone + len(self.damaged or ())


async def count_blobs(source: Blobs) -> int:
    """How many blobs all apps have."""
    count = 0
    async for app_id in source.apps():
        async for _ in source.list(app_id):
            count += 1
    return count


async def move(
    source: Blobs, target: Blobs, spool: Spool, *, on_progress: Callable[[Moved], None]
) -> Moved:
    """Copy what `target` does not have. Each blob is hashed on its way.

    on_progress  called after each blob
    raises       Unavailable; what was copied stays
    """
    moved = Moved()
    async for app_id in source.apps():
        async for blob in source.list(app_id):
            if await target.size(app_id, blob.hash) == blob.size:
                moved.skipped += 1
            else:
                await _copy(source, target, spool, app_id, blob, moved)
            on_progress(moved)
    return moved


async def _copy(
    source: Blobs, target: Blobs, spool: Spool, app_id: AppId, blob: Blob, moved: Moved
) -> None:
    async with await spool.begin(blob.size) as spooling:
        try:
            async with aclosing(source.read(app_id, blob.hash, 0, blob.size)) as pieces:
                async for piece in pieces:
                    await spooling.write(piece)
        except NotFound:
            moved.gone += 1
            return
        spooled = await spooling.finish()
    if spooled.hash != blob.hash:
        spooled.discard()
        moved.damaged = [*(moved.damaged or ()), f"{app_id}/{blob.hash}"]
        return
    # A target of the same key but another size is damaged; it would be taken for the same bytes.
    await target.delete(app_id, blob.hash)
    await target.put(app_id, spooled)
    moved.copied += 1
    moved.copied_bytes += blob.size


def moving_folder(files: Path) -> Path:
    """Where bytes on their way are kept: apart from the spool of a server that may be running."""
    return files / "moving"
