"""Tokens in upload URLs: whoever has one may upload one file to one path, once, and soon.

base64url(JSON [app id, path, end in ms, nonce]) "." base64url(HMAC-SHA256 of what precedes)
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final

import orjson

from trice import file_limits as limits
from trice.errors import InvalidInput, invalid
from trice.files.used_tokens import UsedTokens

_PURPOSE: Final = b"upload "


class UploadTokens:
    """Makes and takes tokens. Does not hold which were used: `UsedTokens` does."""

    def __init__(self, get_key: Callable[[], bytes], used: UsedTokens) -> None:
        """get_key   returns 32 bytes that only this server has"""
        self._get_key = get_key
        self._used = used

    def make(self, app_id: str, path: str, *, now_ms: int, nonce: str) -> str:
        """A token that ends limits.UPLOAD_URL_MS from now."""
        fields = [app_id, path, now_ms + limits.UPLOAD_URL_MS, nonce]
        body = _base64(orjson.dumps(fields))
        return f"{body}.{self._signature(body)}"

    async def take(self, token: str, *, now_ms: int) -> tuple[str, str]:
        """The app id and the path of a token, which does not work again.

        raises   InvalidInput("validation-failed"): forged, ended or used;
                 Unavailable: too many were used lately, or the disk is full
        """
        body, _, signature = token.partition(".")
        right = self._signature(body)
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
            raise _refused("This upload URL is not one that this server made.")
        padded = body + "=" * (-len(body) % 4)
        fields: list[Any] = orjson.loads(urlsafe_b64decode(padded))
        app_id, path, ends_ms, nonce = fields
        if ends_ms <= now_ms:
            raise _refused("This upload URL is over. Ask for a new one.")
        if nonce in self._used:
            raise _refused("This upload URL was used. Ask for a new one.")
        await self._used.add(nonce, ends_ms=ends_ms, now_ms=now_ms)
        return app_id, path

    def _signature(self, body: str) -> str:
        text = _PURPOSE + body.encode("utf-8", "replace")
        return _base64(hmac.digest(self._get_key(), text, "sha256"))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _refused(problem: str) -> InvalidInput:
    return invalid("app-upload-url", None, [{"message": problem}])
