"""What actions reach through the server (`calls.reached`), each by the engine that it has anyway.

    ctx.mail    ──send-mail──────────────────────────> mailing   ──> mail
    ctx.files   ──put-file, file-piece, …, keep-file──> uploads   ──> files: spool, quota, row
                ──find-file, read-file, delete-file───> CallReach ──> files
    ctx.stream  ──begin-stream, stream-text, end──────> texts     ──> streams

Nobody is asked for rights: what an action does is what its app does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, assert_never

import orjson

from trice import reach_limits as limits
from trice.apps.app import App
from trice.calls.side import Level
from trice.errors import PermissionDenied, Unavailable
from trice.files.files import Files
from trice.files.rows import FileRow, check_path, find_file
from trice.functions import frames
from trice.reach.mailing import Mailing
from trice.reach.texts import Texts
from trice.reach.uploads import Uploads
from trice.streams.streams import Streams


class ServerReach:
    """Implements `reached.Reach`.

    files, streams   called when they are needed; None: this process has no place for them
    """

    def __init__(
        self,
        *,
        mailing: Mailing,
        files: Callable[[], Files | None],
        streams: Callable[[], Streams | None],
    ) -> None:
        self.mailing = mailing
        self.files = files
        self.streams = streams

    def of(self, app: App, note: Callable[[Level, str], None]) -> CallReach:
        return CallReach(self, app, note)


class CallReach:
    """What one call reaches. Implements `reached.Reached`."""

    def __init__(self, reach: ServerReach, app: App, note: Callable[[Level, str], None]) -> None:
        self._reach = reach
        self._app = app
        self._note = note
        self._uploads: Uploads | None = None
        self._texts: Texts | None = None

    async def ask(self, asked: frames.OfReach) -> bytes:
        match asked:
            case frames.SendMail():
                await self._reach.mailing.send(self._app, asked, note=self._note)
                return b"null"
            case frames.FindFile(path=path):
                return await self._find(path)
            case frames.ReadFile(location=location, start=start):
                return await self._read(location, start)
            case frames.DeleteFile(path=path):
                (id,) = await self._files.delete(self._app, [check_path(path)])
                return b"false" if id is None else b"true"
            case frames.PutFile() | frames.FilePiece() | frames.DropFile():
                await self._own_uploads.take(asked)
                return b"null"
            case frames.KeepFile(file=file):
                return await self._find(await self._own_uploads.keep(file))
            case frames.BeginStream():
                return orjson.dumps(await self._own_texts.begin(asked))
            case frames.StreamText() | frames.EndStream():
                await self._own_texts.take(asked)
                return b"null"
            case frames.AskHttp():
                told = "Requests leave the process of an action; only tests are asked."
                raise PermissionDenied("permission-denied", told)
            case _:
                assert_never(asked)

    async def end(self, reason: str) -> None:
        if self._texts is not None:
            self._texts.end(reason)
        if self._uploads is not None:
            # Whoever waits may be cancelled once more: what is spooled must go all the same.
            await asyncio.shield(self._uploads.end())

    @property
    def _files(self) -> Files:
        files = self._reach.files()
        if files is None:
            raise Unavailable("overloaded", "This server has no place for files.")
        return files

    @property
    def _own_uploads(self) -> Uploads:
        if self._uploads is None:
            self._uploads = Uploads(self._files, self._app)
        return self._uploads

    @property
    def _own_texts(self) -> Texts:
        if self._texts is None:
            streams = self._reach.streams()
            if streams is None:
                raise Unavailable("overloaded", "This server has no place for streams.")
            self._texts = Texts(streams, self._app)
        return self._texts

    async def _find(self, path: str) -> bytes:
        check_path(path, may_be_stream=True)
        row = await self._app.database.look(lambda look: find_file(look, path=path))
        return b"null" if row is None else orjson.dumps(self._told(row))

    def _told(self, row: FileRow) -> dict[str, Any]:
        return {
            "id": row.id,
            "path": row.path,
            "size": row.size,
            "content-type": row.content_type,
            "location": row.location_id,
            "url": self._files.url(self._app.id, row.location_id),
        }

    async def _read(self, location: str, start: int) -> bytes:
        row = await self._files.open(self._app, location)
        start, end = max(start, 0), min(max(start, 0) + limits.FILE_PIECE_BYTES, row.size)
        found = bytearray()
        if start < end:
            pieces = self._files.blobs.read(self._app.id, row.hash, start, end)
            async with aclosing(pieces):
                async for piece in pieces:
                    found += piece
        return bytes(found)
