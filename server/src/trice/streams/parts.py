"""Where the durable bytes of streams are: what streams ask of the files of a server."""

from __future__ import annotations

from typing import Protocol

from trice.protocol.ids import AppId


class Parts(Protocol):
    """Bytes by their content, and URLs for rows of `$files`."""

    async def put(self, app_id: AppId, data: bytes) -> str:
        """Keep bytes durably; return their SHA-256 as hex. Equal bytes are kept once.

        raises   OSError, Unavailable
        """
        ...

    def url(self, app_id: AppId, location_id: str) -> str:
        """A signed URL at which the bytes of a row can be read."""
        ...
