"""Places that keep bytes, for the suite that all must pass."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from support.runtime import FakeRuntime
from support.s3_server import place_of
from trice.files.blobs import Blob, Blobs
from trice.files.local import LocalBlobs
from trice.files.s3 import S3Blobs
from trice.files.spool import Spool
from trice.files.threads import FileThreads
from trice.protocol.ids import AppId

OTHER_APP = AppId("22222222-2222-4222-8222-222222222222")


class Place:
    """A place, and the spool from which it is filled.

    let_time_pass   moves the clock of the place, if tests can
    """

    def __init__(
        self, blobs: Blobs, spool: Spool, folder: Path, let_time_pass: Callable[[], None]
    ) -> None:
        self.blobs = blobs
        self.spool = spool
        self.let_time_pass = let_time_pass
        self._folder = folder

    @classmethod
    def local(
        cls,
        data_dir: Path,
        *,
        threads: FileThreads,
        runtime: FakeRuntime | None = None,
        blobs: str = "blobs",
    ) -> Place:
        """One in the folder `blobs` of a data directory."""
        runtime = runtime or FakeRuntime()
        folder = data_dir / "spool"
        return cls(
            LocalBlobs(data_dir / blobs, threads=threads, runtime=runtime),
            Spool(folder, threads=threads, runtime=runtime),
            folder,
            lambda: runtime.advance(1_000),
        )

    @classmethod
    def bucket(cls, url: str, data_dir: Path, *, threads: FileThreads) -> Place:
        """One in a bucket; credentials come from the environment. Its clock is that of the bucket's
        server, which goes by itself."""
        runtime = FakeRuntime()
        folder = data_dir / "spool"
        return cls(
            S3Blobs(place_of(url), os.environ, threads=threads, runtime=runtime),
            Spool(folder, threads=threads, runtime=runtime),
            folder,
            lambda: None,
        )

    async def put(self, app_id: AppId, data: bytes) -> str:
        """Spool bytes and put them; return their hash."""
        spooled = await self.spool.spool_bytes(data)
        await self.blobs.put(app_id, spooled)
        return spooled.hash

    def spooled_files(self) -> list[Path]:
        return list(self._folder.iterdir())


async def kept(blobs: Blobs, app_id: AppId) -> list[Blob]:
    """All that is kept of an app."""
    return [blob async for blob in blobs.list(app_id)]


async def read_all(blobs: Blobs, app_id: AppId, hash: str, *, size: int | None = None) -> bytes:
    """All bytes of a blob."""
    end = size if size is not None else await blobs.size(app_id, hash) or 0
    return b"".join([piece async for piece in blobs.read(app_id, hash, 0, end)])
