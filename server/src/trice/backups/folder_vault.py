"""A vault in a folder of this machine, or of one that is mounted."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from trice import backup_limits as limits
from trice.backups.pace import on_thread
from trice.backups.vaults import hash_file, too_large
from trice.errors import Unavailable
from trice.runtime import Runtime, new_uuid

T = TypeVar("T")


class FolderVault:
    """See `vaults.Vault`. Files are made beside their places, synced and moved there."""

    def __init__(self, folder: Path, *, runtime: Runtime, is_shipping: bool = False) -> None:
        """
        is_shipping   it is for the log, which is written without a claim
        """
        self._folder = folder
        self._coming = folder / ("shipping" if is_shipping else "coming")
        self._runtime = runtime

    @property
    def name(self) -> str:
        return str(self._folder)

    async def put(self, key: str, path: Path, *, is_ours: bool) -> None:
        await _run(self._put, key, path, is_ours)

    async def put_bytes(self, key: str, data: bytes) -> None:
        await _run(self._put_bytes, key, data)

    async def size(self, key: str) -> int | None:
        try:
            return (await _run(os.stat, self._folder / key)).st_size
        except FileNotFoundError:
            return None

    async def fetch(self, key: str, path: Path, *, may_link: bool) -> None:
        await _run(_link_or_copy if may_link else _copy, self._folder / key, path)

    async def hash_of(self, key: str) -> tuple[str, int]:
        return await _run(hash_file, self._folder / key)

    async def read(self, key: str, bytes_max: int) -> bytes:
        def work() -> bytes:
            with open(self._folder / key, "rb") as file:
                data = file.read(bytes_max + 1)
            if len(data) > bytes_max:
                raise too_large(key)
            return data

        return await _run(work)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for name in await _run(_names, self._folder / prefix):
            yield f"{prefix}{name}"

    async def folders(self, prefix: str) -> Sequence[str]:
        return await _run(_folders, self._folder / prefix)

    async def delete(self, keys: Sequence[str]) -> None:
        def work() -> None:
            for key in keys:
                (self._folder / key).unlink(missing_ok=True)

        await _run(work)

    @asynccontextmanager
    async def claimed(self) -> AsyncIterator[None]:
        lock = await _run(self._claim)
        try:
            yield
        finally:
            os.close(lock)

    @asynccontextmanager
    async def scratch(self, other: Path) -> AsyncIterator[Path]:
        folder = self._coming / new_uuid(self._runtime)
        await _run(folder.mkdir, 0o700)
        try:
            yield folder
        finally:
            await _run(lambda: shutil.rmtree(folder, ignore_errors=True))

    def _claim(self) -> int:
        _make_folder(self._folder)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._clear()
        except BlockingIOError:
            os.close(lock)
            raise Unavailable(
                "overloaded", f"Another process is writing to {self._folder}. Try again."
            ) from None
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _clear(self) -> None:
        """Remove what a stop left that was not whole."""
        shutil.rmtree(self._coming, ignore_errors=True)
        self._coming.mkdir(mode=0o700, exist_ok=True)

    async def begin_shipping(self) -> None:
        def work() -> None:
            _make_folder(self._folder)
            self._clear()

        await _run(work)

    def _put(self, key: str, path: Path, is_ours: bool) -> None:
        target = self._folder / key
        part = self._part()
        try:
            if is_ours:
                # It may be on another file system; else this is a rename.
                shutil.move(path, part)
            else:
                _link_or_copy(path, part)
            self._place(part, target)
        finally:
            part.unlink(missing_ok=True)

    def _put_bytes(self, key: str, data: bytes) -> None:
        part = self._part()
        try:
            part.write_bytes(data)
            self._place(part, self._folder / key)
        finally:
            part.unlink(missing_ok=True)

    def _part(self) -> Path:
        return self._coming / new_uuid(self._runtime)

    def _place(self, part: Path, target: Path) -> None:
        _sync(part)
        _make_folder(target.parent)
        os.replace(part, target)
        _sync(target.parent)


async def _run(work: Callable[..., T], *arguments: Any) -> T:
    """Run on a thread; what the disk refuses is told."""
    try:
        return await on_thread(lambda _: work(*arguments))
    except FileNotFoundError:
        raise
    except OSError as cause:
        place = f"{cause.filename}: " if cause.filename else ""
        reason = cause.strerror or type(cause).__name__
        problem = f"The folder of backups cannot be used: {place}{reason}."
        raise Unavailable("overloaded", problem) from cause


def _folders(folder: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(each.name for each in os.scandir(folder) if each.is_dir())
    return []


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably, closed to others."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb", buffering=0) as reading, open(target, "xb", buffering=0) as writing:
        shutil.copyfileobj(reading, writing, limits.PIECE_BYTES)


def _names(folder: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(each.name for each in os.scandir(folder) if each.is_file())
    return []


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
