"""Where the durable bytes of streams are: what streams ask of the files of a server."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from trice.protocol.ids import AppId


class Parts(Protocol):
    """Bytes by their content, and URLs for rows of `$files`."""

    def kept(self, app_id: AppId, data: bytes) -> AbstractAsyncContextManager[str]:
        """Keep bytes durably; inside, their SHA-256 as hex. Equal bytes are kept once. They may be
        deleted after the end of the block unless a row names them by then.

        raises   OSError, Unavailable
        """
        ...

    def url(self, app_id: AppId, location_id: str) -> str:
        """A signed URL at which the bytes of a row can be read."""
        ...
