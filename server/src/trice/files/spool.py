"""Bytes on their way in: files in the data directory that are hashed while they are written.

    begin ──> write, write, … ──> finish ──> Spooled, which `Blobs.put` takes over
                  └── abort

Leaving `async with` aborts what is not finished. What a stop leaves is removed at the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from trice import file_limits as limits
from trice.errors import LimitExceeded, Unavailable
from trice.files.threads import FileThreads
from trice.runtime import Runtime, new_uuid


@dataclass(frozen=True, slots=True)
class Spooled:
    """All bytes of a file, in the spool.

    hash   SHA-256, as 64 hex digits
    size   bytes
    """

    path: Path
    hash: str
    size: int

    @property
    def is_there(self) -> bool:
        """Whether nobody took the file over or removed it."""
        return self.path.exists()

    def discard(self) -> None:
        """Remove the file, unless it has been taken over."""
        self.path.unlink(missing_ok=True)


class Spool:
    """The folder of spooled files. Does not hold files that are finished: their callers do.

    hashing      entered while many bytes are hashed
    held_bytes   of the files that are being spooled
    """

    def __init__(self, folder: Path, *, threads: FileThreads, runtime: Runtime) -> None:
        """Remove what a stop left.

        raises  OSError
        """
        self._folder = folder
        self._threads = threads
        self._runtime = runtime
        self._count = 0
        self.hashing = asyncio.Semaphore(limits.FILE_HASHES_AT_ONCE)
        self.held_bytes = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()

    async def begin(self, bytes_max: int) -> Spooling:
        """Begin to spool a file of up to `bytes_max` bytes.

        raises  Unavailable("overloaded"): limits.SPOOLINGS_MAX are under way
        """
        if self._count >= limits.SPOOLINGS_MAX:
            raise Unavailable("overloaded", "Too many files are being uploaded; try again.")
        self._count += 1
        return Spooling(self, self._folder / new_uuid(self._runtime), bytes_max)

    async def spool_bytes(self, data: bytes) -> Spooled:
        """Spool bytes that are in memory. Raises as `begin` and `write`."""
        async with await self.begin(len(data)) as spooling:
            await spooling.write(data)
            return await spooling.finish()

    def __len__(self) -> int:
        """How many files are being spooled."""
        return self._count

    async def link(self, path: Path, *, hash: str, size: int) -> Spooled:
        """A file that is whole already, in the spool too. It has the bytes under both names until
        one of them is removed.

        raises  Unavailable("overloaded")
        """
        spooled = Spooled(self._folder / new_uuid(self._runtime), hash, size)
        await self._threads.run(os.link, path, spooled.path)
        return spooled

    @property
    def threads(self) -> FileThreads:
        return self._threads

    async def discard(self, spooled: Spooled) -> None:
        """Remove the file, unless it has been taken over. A gigabyte takes 0.2 s."""
        if spooled.is_there:  # seldom; a switch to a thread costs more than the look
            await self._threads.run(spooled.discard)

    def forget(self, size: int) -> None:
        """Count one spooling of so many bytes less."""
        self._count -= 1
        self.held_bytes -= size


class Spooling:
    """A file that is being spooled. One call at a time.

    size   bytes written so far
    """

    def __init__(self, spool: Spool, path: Path, bytes_max: int) -> None:
        """Use `Spool.begin`."""
        self.size = 0
        self._spool = spool
        self._path = path
        self._bytes_max = bytes_max
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._collected: list[bytes] = []
        self._collected_bytes = 0
        self._unsynced_bytes = 0
        self._is_over = False

    async def write(self, piece: bytes) -> None:
        """Add bytes.

        raises  LimitExceeded("message-too-big"), Unavailable("overloaded") when the disk is full;
                then it is aborted
        """
        assert not self._is_over, "nothing is written to a file that is finished or aborted"
        if self.size + len(piece) > self._bytes_max:
            await self.abort()
            raise LimitExceeded(
                "message-too-big",
                f"The file is larger than this server accepts: {self._bytes_max} bytes.",
                {"limit": self._bytes_max},
            )
        self.size += len(piece)
        self._spool.held_bytes += len(piece)
        self._collected.append(piece)
        self._collected_bytes += len(piece)
        if self._collected_bytes >= limits.SPOOL_WRITE_BYTES:
            await self._flush()

    async def finish(self) -> Spooled:
        """Close the file and return it. Raises as `write`."""
        assert not self._is_over, "a file is finished once"
        await self._flush(is_last=True)
        self._end()
        self._close()
        return Spooled(self._path, self._hash.hexdigest(), self.size)

    async def abort(self) -> None:
        """Remove the file. Nothing happens when it is finished or aborted."""
        if self._is_over:
            return
        self._end()
        if self._file is not None:
            await self._spool.threads.run(self._remove)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.abort()

    async def _flush(self, *, is_last: bool = False) -> None:
        pieces, self._collected, self._collected_bytes = self._collected, [], 0
        if not pieces and not is_last:
            return
        is_long = sum(map(len, pieces)) > limits.HASHED_ALONE_BYTES
        try:
            async with self._spool.hashing if is_long else nullcontext():
                await self._spool.threads.run(self._write, pieces)
        except BaseException:
            await self.abort()
            raise

    def _write(self, pieces: list[bytes]) -> None:
        if self._file is None:
            # With the first bytes, so that a small file takes one turn on a thread.
            self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115
        for piece in pieces:
            self._hash.update(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._file.fileno(), rest) :]
            self._unsynced_bytes += len(piece)
        if self._unsynced_bytes >= limits.SPOOL_SYNC_BYTES:
            os.fdatasync(self._file.fileno())
            self._unsynced_bytes = 0

    def _end(self) -> None:
        self._is_over = True
        self._collected = []
        self._spool.forget(self.size)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._close()  # what frees the bytes, and takes 0.2 s for a gigabyte
