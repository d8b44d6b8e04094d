"""Bytes of files that come with tables: put where files are kept, and named by their rows.

source   spec/archive.md AR144, AR162
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from trice import archive_limits as limits
from trice.archive.refusals import refused
from trice.archive.tables.read import Source
from trice.errors import InvalidInput
from trice.files.rows import DISPOSITION, KEY_VERSION, check_header, check_path
from trice.files.spool import Spooled
from trice.files.storage import Storage
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_uuid


class FileSource(Source, Protocol):
    """A source of rows of `$files`: `path`, `content-type`; `size` and `content-hash` if it knows
    them."""

    def pieces(self, row: Mapping[str, Any]) -> Iterator[bytes]:
        """The bytes of the file of a row.

        raises   InvalidInput that names the file, OSError
        """
        ...


class TableFiles:
    """Puts the bytes of files in place. Holds how many, and how large they are."""

    def __init__(self, storage: Storage, app_id: AppId, runtime: Runtime) -> None:
        self.count = 0
        self.total = 0
        self._storage = storage
        self._app_id = app_id
        self._runtime = runtime

    async def put(
        self, source: FileSource, entities: Sequence[tuple[int, dict[str, Any], Mapping[str, Any]]]
    ) -> None:
        """Put bytes in place, and name them in their entities.

        entities   number, entity and row of each
        """
        for start in range(0, len(entities), limits.FILES_AT_ONCE):
            some = entities[start : start + limits.FILES_AT_ONCE]
            done = await asyncio.gather(
                *(self._put_one(source, *each) for each in some), return_exceptions=True
            )
            for failure in done:
                if failure is not None:
                    raise failure

    async def _put_one(
        self, source: FileSource, number: int, entity: dict[str, Any], row: Mapping[str, Any]
    ) -> None:
        place = f"{source.name} {source.unit} {number}"
        try:
            check_path(str(entity.get("path")))
            check_header(str(entity.get("content-type") or ""), name="content-type")
        except InvalidInput as failure:
            raise refused(place, failure.message) from failure
        spooled = await self._spool(source, row)
        for label, found in (("size", spooled.size), ("content-hash", spooled.hash)):
            if entity.get(label) not in (None, found):
                spooled.discard()
                problem = f"`{label}` is {entity[label]}, but the file has {found}."
                raise refused(place, f"{problem} It is damaged.")
        entity |= {
            "size": spooled.size,
            "content-hash": spooled.hash,
            "content-disposition": DISPOSITION,
            "location-id": new_uuid(self._runtime),
            "key-version": KEY_VERSION,
        }
        await self._storage.blobs.put(self._app_id, spooled)
        self.count += 1
        self.total += spooled.size

    async def _spool(self, source: FileSource, row: Mapping[str, Any]) -> Spooled:
        async with await self._storage.spool.begin(limits.FILE_ENTRY_BYTES_MAX) as spooling:
            for piece in source.pieces(row):
                await spooling.write(piece)
            return await spooling.finish()
