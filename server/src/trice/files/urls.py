"""Signed URLs of files: whoever has one may read these bytes until it ends. No I/O.

    {base}/files/<app id>/<location id>?expires=<unix seconds>&signature=<base64url>

The time of signing is rounded down to the start of its day (UTC), so a file has the same URL all
day: browsers keep its bytes, and live queries hold still. Instant does the same.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from trice.errors import PermissionDenied

VALID_S: Final = 7 * 24 * 3600
_DAY_S: Final = 24 * 3600
_EXPIRES: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


def sign(key: bytes, app_id: str, location_id: str, *, now_ms: int) -> str:
    """The path and query of a file's URL; ids as in its row.

    key   32 bytes that only this server has
    """
    expires = str(now_ms // 1000 // _DAY_S * _DAY_S + VALID_S)
    signature = _signature(key, app_id, location_id, expires)
    return f"/files/{app_id}/{location_id}?expires={expires}&signature={signature}"


def verify(
    key: bytes, app_id: str, location_id: str, params: Mapping[str, str], *, now_ms: int
) -> int:
    """Check a URL by what came with it; return when it ends, in seconds since 1970.

    raises   PermissionDenied("file-url-invalid")
    """
    expires, signature = params.get("expires", ""), params.get("signature", "")
    right = _signature(key, app_id, location_id, expires)
    is_right = hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))
    if not is_right or not _EXPIRES.fullmatch(expires):
        raise PermissionDenied(
            "file-url-invalid",
            "The URL of this file is not one that this server signed; use the `url` of the file"
            " as a query gives it, unchanged.",
        )
    if int(expires) <= now_ms // 1000:
        raise PermissionDenied(
            "file-url-invalid",
            "The URL of this file is over; query the file again to get a new `url`.",
            {"expires": int(expires)},
        )
    return int(expires)


def _signature(key: bytes, *parts: str) -> str:
    text = "\n".join(parts).encode("utf-8", "replace")
    return urlsafe_b64encode(hmac.digest(key, text, "sha256")).rstrip(b"=").decode()
