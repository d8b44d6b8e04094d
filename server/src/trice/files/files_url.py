"""Where bytes are kept, as a URL: `local`, or `s3://BUCKET/PREFIX?endpoint=…&region=…`. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from trice.errors import InvalidInput

LOCAL: Final = "local"

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9_.-]+/)*", re.ASCII)
_ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII)
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_DEFAULT_REGION: Final = "us-east-1"
_ACCEPTED: Final = (
    f"`{LOCAL}` (the data directory) or s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION,"
    " where PREFIX, endpoint and region may be left out"
)


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket.

    prefix     what keys begin with: empty, or ends with a slash
    endpoint   the URL of the service, without a path
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str


def parse_files_url(url: str, *, flag: str = "files-url") -> S3Place | None:
    """Read a URL; None means the data directory.

    raises  InvalidInput("param-malformed"), which says what is accepted
    """
    if url == LOCAL:
        return None
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        has_secrets = parts.username is not None
    except ValueError:
        raise _bad(flag, url, _ACCEPTED) from None
    if has_secrets:
        # The message does not repeat the URL: a secret is in it.
        raise InvalidInput(
            "param-malformed",
            f"--{flag} has a user or password; the bucket's credentials come from the variables"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    prefix = parts.path.strip("/")
    prefix = f"{prefix}/" if prefix else ""
    found = dict(options)
    region = found.get("region", _DEFAULT_REGION)
    endpoint = found.get("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    is_good = (
        parts.scheme == "s3"
        and _BUCKET.fullmatch(parts.netloc) is not None
        and _PREFIX.fullmatch(prefix) is not None
        and not {".", ".."} & set(prefix.split("/"))
        and not parts.fragment
        and len(found) == len(options)
        and found.keys() <= {"endpoint", "region"}
        and _ENDPOINT.fullmatch(endpoint) is not None
        and _REGION.fullmatch(region) is not None
    )
    if not is_good:
        raise _bad(flag, url, _ACCEPTED)
    return S3Place(parts.netloc, prefix, endpoint, region)


def _bad(flag: str, url: str, accepted: str) -> InvalidInput:
    return InvalidInput("param-malformed", f"--{flag} is {url!r}, but must be {accepted}.")
