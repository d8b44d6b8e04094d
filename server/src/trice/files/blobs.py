"""What keeps the bytes of files: the contract of a place, on this machine or in a bucket.

A blob is kept by its content. Its key is the id of its app and the SHA-256 of its bytes, as 64 hex
digits, so the bytes of a key never change and equal bytes of one app are kept once. Which rows name
a blob is not known here: `sweep` deletes those that no row names.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from trice.errors import NotFound
from trice.files.spool import Spooled
from trice.protocol.ids import AppId, find_uuid_bytes

_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Blob(NamedTuple):
    """A blob in a list.

    size          bytes
    modified_ms   when its bytes were put for the last time, by the clock of the place
    """

    hash: str
    size: int
    modified_ms: int


class Blobs(Protocol):
    """Every method may raise Unavailable("overloaded"): the disk is full, the bucket is not
    reached. A put and a delete of one key must not overlap; `Pins` sees to that."""

    async def put(self, app_id: AppId, spooled: Spooled) -> None:
        """Keep the bytes durably. The spooled file is gone afterwards, also after a failure.

        A key that exists stays, with a new `modified_ms`.
        """
        ...

    async def size(self, app_id: AppId, hash: str) -> int | None:
        """How many bytes the blob has; None if there is none."""
        ...

    def read(self, app_id: AppId, hash: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `end` (exclusive; not past the last), in pieces of up to
        file_limits.PIECE_BYTES.

        raises  NotFound("record-not-found")
        """
        ...

    def path(self, app_id: AppId, hash: str) -> Path | None:
        """The file of the blob, whether it exists or not; None where there are no files."""
        ...

    async def signed_url(
        self, app_id: AppId, hash: str, *, expires_s: int, content_type: str, disposition: str
    ) -> str | None:
        """A URL at which the place itself serves the bytes; None if it cannot.

        expires_s     seconds for which it works
        content_type, disposition    the headers of that answer
        """
        ...

    async def delete(self, app_id: AppId, hash: str) -> None:
        """Delete the blob, if there is one."""
        ...

    async def delete_app(self, app_id: AppId) -> None:
        """Delete all blobs of an app."""
        ...

    def list(self, app_id: AppId) -> AsyncIterator[Blob]:
        """All blobs of an app, in any order. One put or deleted meanwhile may be missing."""
        ...

    def apps(self) -> AsyncIterator[AppId]:
        """The apps that have blobs, in any order."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


def check_key(app_id: AppId, hash: str) -> None:
    """Hold that app and hash can be parts of a path."""
    assert find_uuid_bytes(app_id) is not None, "an app id is a uuid"
    assert is_hash(hash), "a hash is 64 hex digits"


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def no_blob(hash: str) -> NotFound:
    """The error for bytes that are not there."""
    told = "The bytes of this file are not there."
    return NotFound(
        "record-not-found",
        f"Record not found: file. {told}",
        {"record-type": "file", "args": [{"content-hash": hash}]},
    )
