"""Uploads that come in parts, on disk: their bytes so far, and what is known of them.

    FOLDER/ID.bytes    the bytes so far; those past the offset do not count
    FOLDER/ID.record   offset and end, in a line of fixed width that is written in place; then JSON

Bytes are synced before the offset that counts them, so whatever a stop or a power cut leaves, the
bytes up to the offset are those that came. A record whose file is stored has no bytes any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import orjson

from trice import file_limits as limits
from trice.errors import LimitExceeded, Unavailable
from trice.files.spool import Spool, Spooled
from trice.files.threads import FileThreads
from trice.log import fields
from trice.protocol.ids import AppId
from trice.runtime import Runtime
from trice.shares import ALL, Shares

logger: Final = logging.getLogger("trice.files")

_RECORD: Final = ".record"
_BYTES: Final = ".bytes"
_HEAD_BYTES: Final = 32
_KEPT: Final = (
    *("app_id", "owner", "network", "path", "length", "metadata"),
    *("content_type", "disposition", "wanted_id", "file_id", "location_id", "tx"),
)
"""What the JSON of a record has."""


@dataclass(slots=True, eq=False)
class Partial:
    """One upload, until it expires. `Partials` and its `Writing` change it, nobody else.

    owner        name of the identity that made it; no other may go on
    network      where it was made from; it counts there
    length       bytes of the whole file
    metadata     the header Upload-Metadata as it came
    ends_ms      when it expires; later with each part
    offset       bytes that are safe on disk
    disk_bytes   bytes that its file takes, and that are counted; never less than `offset`
    wanted_id    what a new row shall have as its id; None: any
    file_id, location_id   of the row that has its bytes; None before
    tx           the transaction that wrote this row; None before
    lock         held by the request that adds bytes or stores them
    interruption   ends the reading of the request that adds bytes, if there is one
    """

    id: str
    app_id: AppId
    owner: str
    network: str
    path: str
    length: int
    metadata: str
    content_type: str | None
    disposition: str | None
    ends_ms: int
    offset: int = 0
    disk_bytes: int = 0
    wanted_id: str | None = None
    file_id: str | None = None
    location_id: str | None = None
    tx: int | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    interruption: asyncio.Timeout | None = None
    hash: Any = field(default_factory=hashlib.sha256)
    hashed: int = 0

    @property
    def is_stored(self) -> bool:
        return self.file_id is not None

    def counts(self, *, all: int, app: int, network: int) -> dict[Any, int]:
        """Bounds for `Shares`, of all uploads and of those of its app and network."""
        return {ALL: all, ("app", self.app_id): app, ("network", self.network): network}


class Partials:
    """All uploads that come in parts: unfinished ones, and for some time those that are stored.

    reserved         bytes that the unfinished ones of each app will have
    file_bytes_max   how large a file may be; networks and apps have multiples of it on disk
    """

    def __init__(self, folder: Path, *, threads: FileThreads, runtime: Runtime) -> None:
        """Find what an earlier process left. raises  OSError"""
        self.reserved = Shares()
        self._folder = folder
        self._threads = threads
        self._runtime = runtime
        self.file_bytes_max = limits.FILE_BYTES_MAX
        self._all: dict[str, Partial] = {}
        self._stored: dict[str, Partial] = {}
        self._counts = Shares()
        self._disk = Shares()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._load()

    def __len__(self) -> int:
        """How many are unfinished."""
        return self._counts.used(ALL)

    @property
    def disk_bytes(self) -> int:
        """What they take on disk."""
        return self._disk.used(ALL)

    def find(self, id: str) -> Partial | None:
        """The upload, unless it has expired."""
        found = self._all.get(id)
        return found if found is not None and found.ends_ms > self._runtime.now_ms() else None

    def take(self, partial: Partial) -> None:
        """Count an upload that is about to be made.

        raises   Unavailable: too many are unfinished
        """
        bounds = partial.counts(
            all=limits.PARTIALS_MAX,
            app=limits.PARTIALS_OF_APP_MAX,
            network=limits.PARTIALS_OF_NETWORK_MAX,
        )
        if not self._counts.take(1, bounds):
            raise Unavailable("overloaded", "Too many uploads are unfinished; finish some first.")
        self.reserved.add(partial.length, [partial.app_id])
        self._all[partial.id] = partial

    async def make(self, partial: Partial) -> None:
        """Write the files of an upload that was taken. Raises Unavailable."""
        await self._threads.run(self._make, partial)

    async def open(self, partial: Partial, checksum: Any = None) -> Writing:
        """Begin to add bytes at the offset. The caller holds the lock. Raises Unavailable.

        checksum   a hash to feed with the bytes; then no offset is kept before `Writing.keep`
        """
        writing = Writing(self, partial, checksum)
        try:
            await self._threads.run(writing.open)
        except BaseException:
            writing.close()
            raise
        return writing

    async def spooled(self, partial: Partial, spool: Spool) -> Spooled:
        """All bytes of an upload whose offset is its length, as a file in the spool. They stay
        here too, until `note_stored`. Raises Unavailable."""
        while partial.hashed < partial.length:
            await self._threads.run(self._hash_some, partial)
        path = self._path(partial, _BYTES)
        return await spool.link(path, hash=partial.hash.copy().hexdigest(), size=partial.length)

    async def note_stored(
        self, partial: Partial, *, file_id: str, location_id: str, tx: int
    ) -> None:
        """Remember that a row has the bytes, and forget them here."""
        partial.file_id, partial.location_id, partial.tx = file_id, location_id, tx
        partial.ends_ms = self._runtime.now_ms() + limits.STORED_PARTIAL_MS
        self._give_back(partial)
        self._stored[partial.id] = partial
        await self._threads.run(self._note_stored, partial)
        while len(self._stored) > limits.STORED_PARTIALS_MAX:
            await self.remove(next(iter(self._stored.values())))

    async def remove(self, partial: Partial) -> None:
        """Forget an upload, with its bytes. One that is not there is no error."""
        if self._all.pop(partial.id, None) is None:
            return
        if self._stored.pop(partial.id, None) is None:
            self._give_back(partial)
        await self._threads.run(self._unlink, partial.id)

    async def sweep(self, *, has_app: Callable[[AppId], bool]) -> None:
        """Forget those that expired, and those of apps that do not exist any more."""
        now_ms = self._runtime.now_ms()
        for partial in [*self._all.values()]:
            if (partial.ends_ms <= now_ms or not has_app(partial.app_id)) and (
                not partial.lock.locked()
            ):
                await self.remove(partial)

    @property
    def holds_nothing(self) -> bool:
        """Whether no upload is unfinished, and nothing is counted."""
        return all(each.holds_nothing for each in (self._counts, self._disk, self.reserved))

    @property
    def threads(self) -> FileThreads:
        return self._threads

    @property
    def runtime(self) -> Runtime:
        return self._runtime

    def grow(self, partial: Partial, bytes: int) -> None:
        """Count bytes that are about to be written past those of the file.

        raises   Unavailable: unfinished uploads take too much
        """
        bounds = partial.counts(
            all=limits.PARTIAL_FILES_MAX * self.file_bytes_max,
            app=limits.PARTIAL_FILES_OF_APP_MAX * self.file_bytes_max,
            network=limits.PARTIAL_FILES_OF_NETWORK_MAX * self.file_bytes_max,
        )
        if not self._disk.take(bytes, bounds):
            raise Unavailable("overloaded", "Unfinished uploads take too much; finish some first.")
        partial.disk_bytes += bytes

    def _give_back(self, partial: Partial) -> None:
        keys = partial.counts(all=0, app=0, network=0)
        self._counts.give_back(1, keys)
        self._disk.give_back(partial.disk_bytes, keys)
        self.reserved.give_back(partial.length, [partial.app_id])
        partial.disk_bytes = 0

    # --- files -------------------------------------------------------------------------------

    def _path(self, partial: Partial, ending: str) -> Path:
        return self._folder / f"{partial.id}{ending}"

    def open_bytes(self, partial: Partial) -> BinaryIO:
        """The file of the bytes, to be written."""
        return open(self._path(partial, _BYTES), "r+b", buffering=0)

    def write_offset(self, partial: Partial, offset: int) -> None:
        """Write the head of a record in place, durably, and let the upload have that offset."""
        with open(self._path(partial, _RECORD), "r+b", buffering=0) as file:
            file.write(head_of(partial, offset))
            os.fsync(file.fileno())
        partial.offset = offset

    def _make(self, partial: Partial) -> None:
        with open(self._path(partial, _BYTES), "xb"):
            pass
        self._write_record(partial)

    def _note_stored(self, partial: Partial) -> None:
        self._write_record(partial)
        self._path(partial, _BYTES).unlink(missing_ok=True)

    def _write_record(self, partial: Partial) -> None:
        """Write a record whole, durably."""
        told = {name: getattr(partial, name) for name in _KEPT}
        unfinished = self._folder / f"{partial.id}.new"
        with open(unfinished, "wb") as file:
            file.write(head_of(partial, partial.offset) + orjson.dumps(told))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self._path(partial, _RECORD))
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _unlink(self, id: str) -> None:
        for ending in (_RECORD, _BYTES):
            (self._folder / f"{id}{ending}").unlink(missing_ok=True)

    def _hash_some(self, partial: Partial) -> None:
        """Hash what was written before this process, up to HASH_BYTES of it."""
        end = min(partial.length, partial.hashed + limits.HASH_BYTES)
        with open(self._path(partial, _BYTES), "rb", buffering=0) as file:
            file.seek(partial.hashed)
            while partial.hashed < end:
                piece = file.read(min(limits.PIECE_BYTES, end - partial.hashed))
                assert piece, "the bytes up to the offset are there"
                partial.hash.update(piece)
                partial.hashed += len(piece)

    def _load(self) -> None:
        found: list[Partial] = []
        for path in sorted(self._folder.iterdir()):
            partial = _read(path) if path.suffix == _RECORD else None
            if partial is not None:
                found.append(partial)
        known = {partial.id for partial in found}
        for path in self._folder.iterdir():
            if path.stem not in known or path.suffix not in (_RECORD, _BYTES):
                path.unlink()
        for partial in sorted(found, key=lambda each: each.ends_ms):
            self._all[partial.id] = partial
            if partial.is_stored:
                self._stored[partial.id] = partial
                continue
            keys = partial.counts(all=0, app=0, network=0)
            self._counts.add(1, keys)
            self._disk.add(partial.disk_bytes, keys)
            self.reserved.add(partial.length, [partial.app_id])


class Writing:
    """Bytes that are being added to an upload. One call at a time; leaving `async with` closes it.

    What was written and not kept is written again by whoever comes next.
    """

    def __init__(self, partials: Partials, partial: Partial, checksum: Any) -> None:
        """Use `Partials.open`."""
        self._partials = partials
        self._partial = partial
        self._checksum = checksum
        self._position = partial.offset
        self._collected: list[bytes] = []
        self._collected_bytes = 0
        self._kept_ms = partials.runtime.monotonic_ms()
        self._data: BinaryIO | None = None

    def open(self) -> None:
        """Open the file, without what does not count; `Partials.open` calls it, on a thread."""
        self._data = self._partials.open_bytes(self._partial)
        self._data.truncate(self._partial.offset)

    async def write(self, piece: bytes) -> None:
        """Add bytes.

        raises  LimitExceeded("message-too-big") past the length; Unavailable: the disk is full, or
                unfinished uploads take too much
        """
        end = self._position + self._collected_bytes + len(piece)
        if end > self._partial.length:
            raise LimitExceeded(
                "message-too-big",
                f"The upload has {self._partial.length:,} bytes by its Upload-Length; there are"
                f" {end:,} and more.",
                {"bytes": end, "bytes-max": self._partial.length},
            )
        self._collected.append(piece)
        self._collected_bytes += len(piece)
        if self._collected_bytes >= limits.SPOOL_WRITE_BYTES:
            await self.flush()
        if self._checksum is None and self._is_due():
            await self.keep()

    async def keep(self) -> None:
        """Write what was collected, sync it, and let the offset count it. Raises Unavailable."""
        await self.flush()
        self._partial.ends_ms = self._partials.runtime.now_ms() + limits.PARTIAL_MS
        await self._partials.threads.run(self._keep)
        self._kept_ms = self._partials.runtime.monotonic_ms()

    async def flush(self) -> None:
        """Write what was collected. Raises Unavailable."""
        pieces, self._collected, self._collected_bytes = self._collected, [], 0
        if not pieces:
            return
        more = self._position + sum(map(len, pieces)) - self._partial.disk_bytes
        if more > 0:
            self._partials.grow(self._partial, more)
        await self._partials.threads.run(self._write, pieces)

    def close(self) -> None:
        """Close the file. What was written and not kept does not count."""
        if self._position != self._partial.offset:
            self._partial.hash, self._partial.hashed = hashlib.sha256(), 0
        if self._data is not None:
            self._data.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _is_due(self) -> bool:
        """Whether a stop would lose too much."""
        unsafe_bytes = self._position + self._collected_bytes - self._partial.offset
        waited_ms = self._partials.runtime.monotonic_ms() - self._kept_ms
        return unsafe_bytes >= limits.PARTIAL_SYNC_BYTES or waited_ms >= limits.PARTIAL_SYNC_MS

    def _write(self, pieces: Iterable[bytes]) -> None:
        assert self._data is not None, "it is open until it is closed"
        partial = self._partial
        for piece in pieces:
            rest, at = memoryview(piece), self._position
            while rest:
                count = os.pwrite(self._data.fileno(), rest, at)
                rest, at = rest[count:], at + count
            if partial.hashed == self._position:
                partial.hash.update(piece)
                partial.hashed += len(piece)
            if self._checksum is not None:
                self._checksum.update(piece)
            self._position = at

    def _keep(self) -> None:
        assert self._data is not None, "it is open until it is closed"
        os.fsync(self._data.fileno())
        self._partials.write_offset(self._partial, self._position)


def head_of(partial: Partial, offset: int) -> bytes:
    """The first line of a record, which lies within one sector of a disk."""
    head = b"%015d %015d\n" % (offset, partial.ends_ms)
    assert len(head) == _HEAD_BYTES, "it is written in place"
    return head


def _read(path: Path) -> Partial | None:
    """The upload of a record; None when it, or its bytes, are not whole."""
    try:
        raw = path.read_bytes()
        offset, ends_ms = map(int, raw[:_HEAD_BYTES].split())
        told = orjson.loads(raw[_HEAD_BYTES:])
        partial = Partial(id=path.stem, offset=offset, ends_ms=ends_ms, **told)
        if not partial.is_stored:
            partial.disk_bytes = path.with_suffix(_BYTES).stat().st_size
            if partial.disk_bytes < offset:
                raise ValueError("bytes are missing")
    except (OSError, ValueError, TypeError) as cause:
        logger.warning("an unfinished upload was lost %s", fields(id=path.stem, reason=str(cause)))
        return None
    return partial
