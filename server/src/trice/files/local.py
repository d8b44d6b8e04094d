"""Blobs on this machine: `FOLDER/APP/HH/HASH`, where HH are the first two digits of the hash.

A file is moved there whole. It and its folder are synced to disk before `put` returns.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from trice import file_limits as limits
from trice.files.blobs import Blob, check_key, is_hash, no_blob
from trice.files.spool import Spooled
from trice.files.threads import FileThreads, disk_refuses
from trice.protocol.ids import AppId, find_uuid_bytes
from trice.runtime import Runtime


class LocalBlobs:
    """`Blobs` in a folder. The spool must be on the same file system."""

    def __init__(self, folder: Path, *, threads: FileThreads, runtime: Runtime) -> None:
        self._folder = folder
        self._threads = threads
        self._runtime = runtime

    async def put(self, app_id: AppId, spooled: Spooled) -> None:
        check_key(app_id, spooled.hash)
        await self._threads.run(self._put, app_id, spooled)

    async def size(self, app_id: AppId, hash: str) -> int | None:
        try:
            return (await self._threads.run(os.stat, self.path(app_id, hash))).st_size
        except FileNotFoundError:
            return None

    async def read(
        self, app_id: AppId, hash: str, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        path = self.path(app_id, hash)
        try:
            # Opening takes microseconds, and a descriptor that a cancelled caller does not get
            # would stay open.
            file = open(path, "rb", buffering=0)  # noqa: ASYNC230, SIM115
        except FileNotFoundError:
            raise no_blob(hash) from None
        except OSError as cause:
            raise disk_refuses(cause) from cause
        with file:
            while start < end:
                count = min(end - start, limits.PIECE_BYTES)
                piece = await self._threads.run(os.pread, file.fileno(), count, start)
                if not piece:
                    break
                start += len(piece)
                yield piece

    def path(self, app_id: AppId, hash: str) -> Path:
        check_key(app_id, hash)
        return self._folder / app_id / hash[:2] / hash

    async def signed_url(
        self, app_id: AppId, hash: str, *, expires_s: int, content_type: str, disposition: str
    ) -> str | None:
        return None

    async def delete(self, app_id: AppId, hash: str) -> None:
        path = self.path(app_id, hash)
        await self._threads.run(lambda: path.unlink(missing_ok=True))

    async def delete_app(self, app_id: AppId) -> None:
        assert find_uuid_bytes(app_id) is not None, "an app id is a uuid"
        try:
            await self._threads.run(shutil.rmtree, self._folder / app_id)
        except FileNotFoundError:
            return

    async def list(self, app_id: AppId) -> AsyncIterator[Blob]:
        assert find_uuid_bytes(app_id) is not None, "an app id is a uuid"
        folder = self._folder / app_id
        for name in await self._threads.run(_names, folder):
            # Each folder, which has a 256th of an app's blobs, is read whole.
            for found in await self._threads.run(_blobs, folder / name):
                yield found

    async def apps(self) -> AsyncIterator[AppId]:
        for name in await self._threads.run(_names, self._folder):
            if find_uuid_bytes(name) is not None:
                yield AppId(name)

    async def close(self) -> None:
        """Nothing is open between calls."""

    def _put(self, app_id: AppId, spooled: Spooled) -> None:
        target = self.path(app_id, spooled.hash)
        try:
            _make_folder(target.parent)
            if target.exists():
                _sync(target)  # a stop may have come before the earlier put did
            else:
                _sync(spooled.path)
                os.replace(spooled.path, target)
            # By its new time a sweep leaves it.
            now_ns = self._runtime.now_ms() * 1_000_000
            os.utime(target, ns=(now_ns, now_ns))
            _sync(target.parent)
        finally:
            spooled.discard()


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _blobs(folder: Path) -> list[Blob]:
    """The blobs in a folder; other files, and those deleted meanwhile, are left out."""
    blobs = []
    for name in filter(is_hash, _names(folder)):
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(folder / name)
            blobs.append(Blob(name, found.st_size, found.st_mtime_ns // 1_000_000))
    return blobs
