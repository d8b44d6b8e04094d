"""Signed URLs of the bytes of a backup: whoever has one may read these bytes until it ends. No I/O.

    {base}/files/<app id>/backups/<hash>?encoding=gzip&expires=<unix seconds>&signature=<base64url>

They are below the path of files, so that a host of its own for files serves them too.

source   instant-http §6.6
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final, Literal

from trice.errors import PermissionDenied

Encoding = Literal["gzip", "identity"]
_EXPIRES: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


def sign(key: bytes, app_id: str, hash: str, *, encoding: Encoding, expires_s: int) -> str:
    """The path and query of a URL. key   32 bytes that only this server has"""
    signature = _signature(key, app_id, hash, encoding, str(expires_s))
    query = f"encoding={encoding}&expires={expires_s}&signature={signature}"
    return f"/files/{app_id}/backups/{hash}?{query}"


def verify(
    key: bytes, app_id: str, hash: str, params: Mapping[str, str], *, now_ms: int
) -> tuple[str, int]:
    """Check a URL by what came with it; return how its bytes are encoded, and when it ends, in
    seconds since 1970.

    raises   PermissionDenied("file-url-invalid")
    """
    encoding, expires = params.get("encoding", ""), params.get("expires", "")
    right = _signature(key, app_id, hash, encoding, expires)
    given = params.get("signature", "").encode("utf-8", "replace")
    if not hmac.compare_digest(right.encode(), given) or not _EXPIRES.fullmatch(expires):
        raise PermissionDenied(
            "file-url-invalid",
            "The URL of this part of a backup is not one that this server signed.",
        )
    if int(expires) <= now_ms // 1000:
        raise PermissionDenied(
            "file-url-invalid",
            "The URL of this part of a backup is over; ask for a new one.",
            {"expires": int(expires)},
        )
    return encoding, int(expires)


def _signature(key: bytes, *parts: str) -> str:
    # URLs of files are signed with the same key, over two ids and a time.
    text = "\n".join(("backup", *parts)).encode("utf-8", "replace")
    return urlsafe_b64encode(hmac.digest(key, text, "sha256")).rstrip(b"=").decode()
