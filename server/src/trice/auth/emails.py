"""E-mail addresses: one spelling of each, in lower case, safe in a header. No I/O.

source   instant-http §0.4; RFC 5321 §4.5.3.1 (sizes); spec/auth.md A30-A32
"""

from __future__ import annotations

import re
from typing import Final

_CHARS_MAX: Final = 254
_LOCAL_CHARS_MAX: Final = 64
_LOCAL: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_HOST_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def find_email(text: object) -> str | None:
    """Read an address as people type it: trimmed, in lower case; None for anything else.

    The result has one `@`, a dot after it, and only printable ASCII.
    """
    if not isinstance(text, str):
        return None
    email = text.strip().lower()
    local, at, host = email.rpartition("@")
    if not at or len(email) > _CHARS_MAX or len(local) > _LOCAL_CHARS_MAX:
        return None
    labels = host.split(".")
    is_host = len(labels) > 1 and all(_HOST_LABEL.fullmatch(label) for label in labels)
    return email if is_host and _LOCAL.fullmatch(local) else None
