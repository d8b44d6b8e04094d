"""Stored files in memory or in a folder, behind the routes that read their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from support.runtime import FakeRuntime
from trice.apps.apps import App
from trice.errors import NotFound
from trice.files import urls
from trice.metrics import FileCounts

KEY = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `$files`."""

    path: str
    content_type: str | None
    content_disposition: str | None
    hash: str
    size: int


class Bytes:
    """Bytes in a folder, or in a bucket: then they have no path, and maybe URLs of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_bucket = False
        self.pieces_read = 0
        self.closed = 0

    def path(self, app_id: str, hash: str) -> Path | None:
        return None if self.is_bucket else self.folder / hash

    async def read(
        self, app_id: str, hash: str, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        try:
            data = (self.folder / hash).read_bytes()[start:end]
        except FileNotFoundError:
            raise NotFound("record-not-found", "The bytes are not there.") from None
        try:
            for at in range(0, len(data), 1000):
                self.pieces_read += 1
                yield data[at : at + 1000]
        finally:
            self.closed += 1

    async def signed_url(
        self, app_id: str, hash: str, *, expires_s: int, content_type: str, disposition: str
    ) -> str | None:
        if not self.is_bucket:
            return None
        return f"https://bucket.example/{hash}?{expires_s}&{content_type}&{disposition}"


class StoredFiles:
    """Files of every app; `put` writes one."""

    def __init__(self, folder: Path, runtime: FakeRuntime) -> None:
        self.blobs = Bytes(folder)
        self.counts = FileCounts()
        self.url_key = KEY
        self.rows: dict[str, Row] = {}
        self._runtime = runtime

    def put(
        self,
        location_id: str,
        data: bytes,
        path: str = "photos/cat.png",
        content_type: str | None = "image/png",
    ) -> str:
        """Store bytes; return their hash."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs.folder.mkdir(exist_ok=True)
        (self.blobs.folder / digest).write_bytes(data)
        self.rows[location_id] = Row(path, content_type, None, digest, len(data))
        return digest

    def url(self, app_id: str, location_id: str) -> str:
        """The path and query of a file's URL."""
        return urls.sign(KEY, app_id, location_id, now_ms=self._runtime.now_ms())

    async def open(self, app: App, location_id: str) -> Row:
        row = self.rows.get(location_id)
        if row is None:
            raise NotFound("file-not-found", "The file was deleted.")
        return row
