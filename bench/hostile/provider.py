"""The stranger's sign-in provider, on this machine: documents of half a megabyte, or none."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import orjson

DOCUMENT_BYTES = 500_000


class Provider:
    """Answers `/fat-N/…` with a large discovery document or key set, `/dead-N/…` never."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode("latin-1")
            if path.startswith("/dead"):
                await self._over.wait()
            else:
                self.asked += 1
                body = orjson.dumps(self._document(path))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                    + f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _document(self, path: str) -> dict[str, Any]:
        issuer = self.url + "/" + path.split("/")[1]
        filler = {f"unused{n}": [n] * 10 for n in range(DOCUMENT_BYTES // 40)}
        if path.endswith("openid-configuration"):
            return {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
                **filler,
            }
        key = {"kty": "RSA", "kid": "k", "e": "AQAB", "n": "x" * 340}
        return {"keys": [{**key, "kid": f"k{n}"} for n in range(900)]}
