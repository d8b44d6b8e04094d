"""Hosts of their own, each an origin with nothing else: for the bytes of files
(spec/files.md F115), and for endpoints of apps (spec/functions.md FN529).
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from trice.api.middleware import ENDPOINTS_PATH
from trice.config import Settings, names_host
from trice.errors import NotFound
from trice.protocol.quoting import bare

FILES_PATH: Final = "/files/"


class OwnHosts:
    """ASGI layer that keeps the paths of files, of endpoints, and all others, at their hosts.

    Sockets of picows come past it: `bounded_http` asks the same.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self._settings
        has_own = settings.files_host is not None or settings.http_host is not None
        if has_own and scope["type"] != "lifespan":
            fault = self._fault(Headers(scope=scope).get("host", ""), str(scope["path"]))
            if fault is not None:
                if scope["type"] == "websocket":
                    await send({"type": "websocket.close"})
                    return
                path = str(scope["path"])
                message = f"{bare(path)} is not served at this host: {fault}."
                raise NotFound("route-not-found", message, {"path": path})
        await self._app(scope, receive, send)

    def _fault(self, host: str, path: str) -> str | None:
        """Why a path is not served at a host; None: it is."""
        settings = self._settings
        kinds = (
            ("files", FILES_PATH, settings.files_host, settings.is_files_host(host)),
            ("endpoints", ENDPOINTS_PATH, settings.http_host, settings.is_http_host(host)),
        )
        for what, prefix, own_host, is_there in kinds:
            if own_host is not None and is_there and not path.startswith(prefix):
                return f"only {what} are"
        for what, prefix, own_host, is_there in kinds:
            if own_host is not None and not is_there and path.startswith(prefix):
                return f"{what} are at {own_host}"
        if path.startswith(ENDPOINTS_PATH) and settings.http_host is not None:
            wanted = settings.http_host_of(path.removeprefix(ENDPOINTS_PATH).partition("/")[0])
            if wanted is not None and not names_host(host, wanted.lower()):
                return f"endpoints of each app are at a host of its own, {settings.http_host}"
        return None
