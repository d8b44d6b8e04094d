"""URLs at which a bucket serves an object to whoever has them (AWS Signature Version 4). No I/O.

source   "Authenticating Requests: Using Query Parameters", Amazon S3 API reference
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from trice.files.files_url import S3Place


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key of the bucket's owner. `token` comes with keys that end."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def find(cls, variables: Mapping[str, str]) -> Credentials | None:
        """Those of the usual variables; None where a machine has a role instead."""
        key_id, secret = variables.get("AWS_ACCESS_KEY_ID"), variables.get("AWS_SECRET_ACCESS_KEY")
        if not key_id or not secret:
            return None
        return cls(key_id, secret, variables.get("AWS_SESSION_TOKEN") or None)


def sign_url(
    place: S3Place,
    key: str,
    credentials: Credentials,
    *,
    now_ms: int,
    expires_s: int,
    content_type: str,
    disposition: str,
) -> str:
    """The URL of an object, for `expires_s` seconds from now on.

    key   with the prefix of the place
    """
    time = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{time[:8]}/{place.region}/s3/aws4_request"
    options = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.key_id}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
        "response-content-disposition": disposition,
        "response-content-type": content_type,
    }
    if credentials.token is not None:
        options["X-Amz-Security-Token"] = credentials.token
    query = "&".join(f"{name}={quote(options[name], safe='')}" for name in sorted(options))
    path = f"/{place.bucket}/{quote(key)}"
    host = urlsplit(place.endpoint).netloc
    request = "\n".join(("GET", path, query, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"))
    digest = hashlib.sha256(request.encode()).hexdigest()
    signed = "\n".join(("AWS4-HMAC-SHA256", time, scope, digest))
    signing_key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), signed):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return f"{place.endpoint}{path}?{query}&X-Amz-Signature={signing_key.hex()}"
