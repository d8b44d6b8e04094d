"""Bytes of parts on the disk of this machine: `FOLDER/APP/HH/HASH`, HH the first digits of HASH.

It also serves them to `api/downloads`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trice.apps.apps import App
from trice.errors import NotFound
from trice.files.local_bytes import LocalBytes
from trice.files.urls import sign
from trice.protocol.ids import AppId
from trice.runtime import Runtime, new_uuid
from trice.system_rows import find_row


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of `$files`, as downloads need it."""

    path: str
    content_type: str | None
    content_disposition: str | None
    hash: str
    size: int


class LocalParts:
    """`Parts` in a folder.

    url_key   signs URLs
    blobs     what keeps the bytes, for downloads: itself
    base      how URLs begin: scheme, host and port
    """

    def __init__(self, folder: Path, *, url_key: bytes, base: str, runtime: Runtime) -> None:
        self.url_key = url_key
        self.blobs: Any = self
        self.base = base
        self._folder = folder
        self._runtime = runtime

    async def put(self, app_id: AppId, data: bytes) -> str:
        hash = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
        temporary = self._folder / "spool" / new_uuid(self._runtime)
        await asyncio.to_thread(_put, temporary, self.path(app_id, hash), data)
        return hash

    def url(self, app_id: AppId, location_id: str) -> str:
        now_ms = self._runtime.now_ms()
        return self.base + sign(self.url_key, app_id, location_id, now_ms=now_ms)

    def path(self, app_id: str, hash: str, /) -> Path:
        """The file of bytes with this hash."""
        return self._folder / app_id / hash[:2] / hash

    async def read(
        self, app_id: str, hash: str, start: int, end: int, /
    ) -> AsyncGenerator[bytes, None]:
        """The bytes start..end (exclusive)."""
        opened = await LocalBytes.open(self.path(app_id, hash))
        async for piece in opened.read(start, end):
            yield piece

    async def signed_url(
        self, app_id: str, hash: str, /, *, expires_s: int, content_type: str, disposition: str
    ) -> str | None:
        """None: no place other than this server has the bytes."""
        return None

    async def open(self, app: App, location_id: str, /) -> StoredRow:
        """The row that has this location now; raises NotFound("file-not-found")."""
        row = await app.database.look(
            lambda look: find_row(look, "$files", "location-id", location_id)
        )
        fields: dict[str, Any] = {} if row is None else row.fields
        if not isinstance(fields.get("content-hash"), str):
            raise NotFound("file-not-found", "There is no such file; it may have been deleted.")
        return StoredRow(
            fields["path"],
            fields.get("content-type"),
            fields.get("content-disposition"),
            fields["content-hash"],
            int(fields["size"]),
        )


def _put(temporary: Path, target: Path, data: bytes) -> None:
    """Write a file whole and durably, or not at all."""
    for folder in (temporary.parent, target.parent):
        _make_folder(folder)
    if not target.exists():
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    _sync(target.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
