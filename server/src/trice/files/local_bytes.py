"""Bytes of a file on this machine, opened once and read in pieces on threads."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

from trice import download_limits as limits
from trice.files.threads import FileThreads


class LocalBytes:
    """An open file. It stays readable when its name is removed meanwhile.

    size          bytes
    modified_ms   when the bytes came
    """

    def __init__(self, descriptor: int, threads: FileThreads) -> None:
        told = os.fstat(descriptor)
        self._threads = threads
        self._descriptor: int | None = descriptor
        self.size = told.st_size
        self.modified_ms = told.st_mtime_ns // 1_000_000

    @classmethod
    async def open(
        cls, path: Path, *, threads: FileThreads, used_ms: int | None = None
    ) -> LocalBytes:
        """Open a file.

        threads   read it
        used_ms   becomes its time of change, to be read at the next start
        raises    FileNotFoundError, Unavailable
        """
        opened: list[LocalBytes] = []

        def work() -> None:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                found = cls(descriptor, threads)
                if used_ms is not None:
                    os.utime(descriptor, ns=(used_ms * 1_000_000, used_ms * 1_000_000))
            except BaseException:
                os.close(descriptor)
                raise
            opened.append(found)

        try:
            await threads.run(work)
        except BaseException:
            # A caller that was cancelled does not get what was opened for it.
            for found in opened:
                found.close()
            raise
        return opened[0]

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes start..end (exclusive), in pieces of `limits.READ_BYTES`; then it is closed."""
        try:
            while start < end:
                piece = await self._threads.run(self._piece, start, end)
                if not piece:
                    raise EOFError("a file of bytes that never change became shorter")
                start += len(piece)
                yield piece
        finally:
            self.close()

    def _piece(self, start: int, end: int) -> bytes:
        assert self._descriptor is not None, "it is open while it is read"
        return os.pread(self._descriptor, min(end - start, limits.READ_BYTES), start)

    def close(self) -> None:
        """Close it; nothing happens when it is closed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
