"""Where the durable bytes of streams are: what streams ask of the files of a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from trice.apps.apps import App
from trice.protocol.ids import AppId


class Parts(Protocol):
    """Bytes by their content, and URLs for rows of `$files`."""

    def kept(self, app_id: AppId, data: bytes) -> AbstractAsyncContextManager[str]:
        """Keep bytes durably; inside, their SHA-256 as hex. Equal bytes are kept once. They may be
        deleted after the end of the block unless a row names them by then.

        raises   OSError, Unavailable
        """
        ...

    def read(self, app: App, location_id: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a row from `start` up to `end`, in pieces of bounded size.

        raises   NotFound if there is no such row, or its bytes are gone
        """
        ...

    def url(self, app_id: AppId, location_id: str) -> str:
        """A signed URL at which the bytes of a row can be read."""
        ...
