"""A host of its own for the bytes of files, an origin with nothing else (spec/files.md F115)."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from trice.config import Settings
from trice.errors import NotFound
from trice.protocol.quoting import bare

FILES_PATH: Final = "/files/"


class FilesHost:
    """ASGI layer that keeps the paths of files, and all others, at their hosts.

    Sockets of picows come past it: `bounded_http` asks the same.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._settings
        if settings.files_host is not None and scope["type"] != "lifespan":
            is_there = settings.is_files_host(Headers(scope=scope).get("host", ""))
            path = str(scope["path"])
            if path.startswith(FILES_PATH) != is_there:
                if scope["type"] == "websocket":
                    await send({"type": "websocket.close"})
                    return
                wanted = "only files are" if is_there else f"files are at {settings.files_host}"
                message = f"{bare(path)} is not served at this host: {wanted}."
                raise NotFound("route-not-found", message, {"path": path})
        await self._app(scope, receive, send)
