"""Copies of bundles for the user that runs them. The data directory is closed to other users of
the machine, and stays so.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_KEPT: Final = 2
"""Copies of an app that stay: the one in use, and the one whose last calls end."""


class Staging:
    """Holds a folder of copies outside of the data directory, each readable to one user only. It
    is made with the first copy, and there until `close`."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._copies: dict[tuple[str, Path, int], asyncio.Future[Path]] = {}

    async def place(self, app_id: str, source: Path, uid: int) -> Path:
        """Where the user finds what is in `source`, which does not change any more.

        raises   OSError
        """
        key = (app_id, source, uid)
        copying = self._copies.get(key)
        if copying is None:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="trice-functions-"))
                self._folder.chmod(0o711)
            target = Path(tempfile.mkdtemp(dir=self._folder))
            copying = asyncio.get_running_loop().run_in_executor(None, _copy, source, target, uid)
            self._copies[key] = copying
        try:
            return await asyncio.shield(copying)
        except OSError:
            self._copies.pop(key, None)
            raise
        finally:
            await self._forget([each for each in self._copies if each[0] == app_id][:-_KEPT])

    async def forget(self, uid: int) -> None:
        """Remove what a user may read: it becomes another app's."""
        await self._forget([key for key in self._copies if key[2] == uid])

    async def _forget(self, keys: list[tuple[str, Path, int]]) -> None:
        for key in keys:
            copying = self._copies.pop(key, None)
            if copying is not None and copying.done() and copying.exception() is None:
                await asyncio.to_thread(shutil.rmtree, copying.result(), ignore_errors=True)

    def close(self) -> None:
        """Remove the copies."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None
        self._copies.clear()


def _copy(source: Path, target: Path, uid: int) -> Path:
    shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
    for folder, _, names in os.walk(target, topdown=False):
        for path in (*(os.path.join(folder, name) for name in names), folder):
            if not os.path.islink(path):
                os.chmod(path, 0o500 if path == folder else 0o400)
                os.chown(path, uid, -1)
    return target
