"""Files that a call uploads. A piece is answered when it is on the disk, or in a bounded buffer on
its way there: neither this process nor a frame holds a whole file.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from trice import reach_limits as limits
from trice.apps.app import App
from trice.errors import InvalidInput, LimitExceeded
from trice.files.files import Files
from trice.files.rows import check_header, check_path
from trice.files.spool import Spooling
from trice.functions import frames


@dataclass(slots=True, eq=False)
class _Upload:
    """One upload under way.

    ends   gives back its place, and removes what was spooled
    turn   its pieces come one after the other
    """

    asked: frames.PutFile
    spooling: Spooling
    ends: AsyncExitStack
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    """Holds the uploads of one call, by the numbers that it gave them; None: it begins."""

    def __init__(self, files: Files, app: App) -> None:
        self._files = files
        self._app = app
        self._network = f"functions of {app.id}"
        self._under_way: dict[int, _Upload | None] = {}

    async def take(self, asked: frames.PutFile | frames.FilePiece | frames.DropFile) -> None:
        """raises   what `Files.upload` does; LimitExceeded("parameter-limit-exceeded")"""
        match asked:
            case frames.PutFile():
                await self._begin(asked)
            case frames.FilePiece(file=file, data=data):
                await self._add(self._get(file), data)
            case frames.DropFile(file=file):
                upload = self._under_way.get(file)
                if upload is not None:
                    async with upload.turn:
                        await self._drop(file)

    async def keep(self, file: int) -> str:
        """Make it the file of its path, which is returned."""
        upload = self._get(file)
        async with upload.turn:
            if self._under_way.pop(file, None) is not upload:
                raise _not_under_way()
            async with upload.ends:
                spooled = await upload.spooling.finish()
                asked = upload.asked
                await self._files.store(
                    self._app,
                    spooled,
                    asked.path,
                    content_type=asked.content_type,
                    disposition=asked.disposition,
                )
        return upload.asked.path

    async def end(self) -> None:
        """Give up what is under way."""
        for file in list(self._under_way):
            await self._drop(file)

    async def _begin(self, asked: frames.PutFile) -> None:
        check_path(asked.path)
        for name, value in (
            ("content-type", asked.content_type),
            ("content-disposition", asked.disposition),
        ):
            if value is not None:
                check_header(value, name=name)
        if len(self._under_way) >= limits.FILES_OF_CALL_MAX or asked.file in self._under_way:
            raise LimitExceeded(
                "parameter-limit-exceeded",
                f"A call uploads {limits.FILES_OF_CALL_MAX} files at a time at most.",
            )
        self._under_way[asked.file] = None
        try:
            async with AsyncExitStack() as ends:
                ends.enter_context(self._files.under_way(self._network))
                if asked.size is not None:
                    self._files.check_size(self._app, asked.size)
                    await self._files.check_room(self._app, asked.path, asked.size)
                bytes_max = self._files.bytes_max(self._app)
                spooling = await ends.enter_async_context(await self._files.spool.begin(bytes_max))
                self._under_way[asked.file] = _Upload(asked, spooling, ends.pop_all())
        finally:
            if self._under_way.get(asked.file) is None:
                self._under_way.pop(asked.file, None)

    async def _add(self, upload: _Upload, data: bytes) -> None:
        if len(data) > limits.FILE_PIECE_BYTES:
            raise LimitExceeded(
                "call-too-big", f"A piece has {limits.FILE_PIECE_BYTES:,} bytes at most."
            )
        async with upload.turn:
            if self._under_way.get(upload.asked.file) is not upload:
                raise _not_under_way()
            self._files.counts.received_bytes += len(data)
            try:
                await upload.spooling.write(data)
            except BaseException:
                await self._drop(upload.asked.file)
                raise

    async def _drop(self, file: int) -> None:
        upload = self._under_way.pop(file, None)
        if upload is not None:
            self._files.counts.not_stored += 1
            await upload.ends.aclose()

    def _get(self, file: int) -> _Upload:
        upload = self._under_way.get(file)
        if upload is None:
            raise _not_under_way()
        return upload


def _not_under_way() -> InvalidInput:
    return InvalidInput("validation-failed", "This upload is not under way.")
