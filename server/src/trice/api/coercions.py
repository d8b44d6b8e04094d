"""Parameters of requests, read as leniently as Instant reads them (instant-http §0.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from trice import limits
from trice.api.parameters import malformed, missing
from trice.auth.emails import find_email
from trice.errors import invalid
from trice.protocol.ids import find_uuid_bytes, uuid_text

Values = Mapping[str, Any]


def email_in(values: Values, key: str, *, place: str = "body") -> str:
    """A required e-mail address: trimmed, in lower case."""
    found = find_email_in(values, key, place=place)
    if found is None:
        raise missing(place, key)
    return found


def find_email_in(values: Values, key: str, *, place: str = "body") -> str | None:
    """An optional e-mail address; null counts as absent."""
    given = values.get(key)
    if given is None:
        return None
    email = find_email(given)
    if email is None:
        raise malformed(place, key, given=given, accepted="an e-mail address such as you@here.com")
    return email


def uuid_in(values: Values, key: str, *, place: str = "body") -> str:
    """A required uuid: trimmed, in lower case."""
    found = find_uuid_in(values, key, place=place)
    if found is None:
        raise missing(place, key)
    return found


def find_uuid_in(values: Values, key: str, *, place: str = "body") -> str | None:
    """An optional uuid; null counts as absent."""
    given = values.get(key)
    if given is None:
        return None
    raw = find_uuid_bytes(given.strip()) if isinstance(given, str) else None
    if raw is None:
        raise malformed(place, key, given=given, accepted="a uuid")
    return uuid_text(raw)


def text_in(values: Values, key: str, *, place: str = "body") -> str:
    """A required text that is not blank: trimmed. A number counts as its digits."""
    given = values.get(key)
    if given is None:
        raise missing(place, key)
    text = str(given) if type(given) in (int, float) else given
    if not isinstance(text, str) or not text.strip():
        raise malformed(place, key, given=given, accepted="text that is not blank")
    return text.strip()


def extra_fields_in(values: Values, key: str) -> dict[str, Any] | None:
    """Optional fields of a new user: an object of bounded size; null counts as absent."""
    given = values.get(key)
    if given is None:
        return None
    if not isinstance(given, dict):
        raise malformed("body", key, given=given, accepted="an object")
    size_bytes = len(orjson.dumps(given))
    if size_bytes > limits.EXTRA_FIELDS_BYTES_MAX:
        problem = (
            f"They have {size_bytes:,} bytes of JSON; at most "
            f"{limits.EXTRA_FIELDS_BYTES_MAX:,} are accepted."
        )
        raise invalid(key, None, [{"message": problem, "in": [key]}])
    return given
