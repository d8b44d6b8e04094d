"""Bytes of an archive's files: put where files are kept, and named by their rows.

source   instant-http §6.7, §6.8; spec/archive.md AR42
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from trice import archive_limits as limits
from trice.archive.container import Container
from trice.archive.lines import LineReader, ReadLine
from trice.archive.refusals import refused
from trice.archive.users import get_cell, get_text, put_cell
from trice.errors import InvalidInput
from trice.files.blobs import Blobs
from trice.files.rows import FILES, check_header, check_path
from trice.files.spool import Spool, Spooled
from trice.protocol.ids import AppId


class FilePlace(Protocol):
    """Where bytes go: to a spool first, then to their place."""

    @property
    def blobs(self) -> Blobs: ...

    @property
    def spool(self) -> Spool: ...


class FileBytes:
    """Puts the bytes of files in place, as their rows are read.

    Holds which entries no row has named yet.

    count, total   how many files are in place, and their bytes
    """

    def __init__(
        self,
        container: Container,
        storage: FilePlace,
        app_id: AppId,
        on_progress: Callable[[], None],
    ) -> None:
        self.count = 0
        self.total = 0
        self._container = container
        self._storage = storage
        self._app_id = app_id
        self._on_progress = on_progress
        self._left = set(container.files)

    def go_on(self, used: Iterable[str], *, count: int, total: int) -> None:
        """Go on where an earlier import ended, which put the bytes of these locations in place."""
        self.count, self.total = count, total
        for location in used:
            self._left.discard(location)
            self._container.unpacked += self._container.files[location].file_size

    async def put(self, reader: LineReader, batch: Sequence[ReadLine]) -> None:
        """Put the bytes of these files in place, and name them in their rows."""
        for start in range(0, len(batch), limits.FILES_AT_ONCE):
            some = batch[start : start + limits.FILES_AT_ONCE]
            done = await asyncio.gather(
                *(self._put_one(reader, line) for line in some), return_exceptions=True
            )
            for failure in done:
                if failure is not None:
                    raise failure

    async def _put_one(self, reader: LineReader, line: ReadLine) -> None:
        place = f"{reader.place} line {line.number}"
        namespace = reader.namespace
        location = get_text(namespace, line, "location-id")
        if location not in self._left:
            is_known = location in self._container.files
            problem = "another entity has these bytes too" if is_known else "the bytes are missing"
            raise refused(place, f"{problem}: there must be one entry files/{location} for it.")
        self._left.discard(location)
        try:
            check_path(get_text(namespace, line, "path") or "", may_be_stream=True)
            for name in ("content-type", "content-disposition"):
                check_header(get_text(namespace, line, name) or "", name=name)
        except InvalidInput as failure:
            raise refused(place, failure.message) from failure
        spooled = await self._spool(location)
        size = get_cell(namespace, line, "size")
        if size != spooled.size:
            spooled.discard()
            problem = f"`size` is {size!r}, but files/{location} has {spooled.size:,} bytes."
            raise refused(place, problem)
        put_cell(namespace, line, "content-hash", spooled.hash)
        await self._storage.blobs.put(self._app_id, spooled)
        self.count += 1
        self.total += spooled.size

    async def _spool(self, location: str) -> Spooled:
        async with await self._storage.spool.begin(limits.FILE_ENTRY_BYTES_MAX) as spooling:
            for piece in self._container.pieces(location):
                await spooling.write(piece)
                self._on_progress()
            return await spooling.finish()

    def check_used(self) -> None:
        """Refuse bytes that no row has named."""
        if self._left:
            raise refused(
                f"files/{min(self._left)}",
                f"no entity of entities/{FILES}.jsonl has this `location-id`"
                f" ({len(self._left):,} entries have none).",
            )
