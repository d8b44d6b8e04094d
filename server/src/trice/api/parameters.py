"""Parameters of requests, read as leniently as Instant reads them (instant-http §0.2, §0.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request

from trice import limits
from trice.auth.emails import find_email
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import find_uuid_bytes, uuid_text

Values = Mapping[str, Any]


def missing(*path: str) -> InvalidInput:
    """A required parameter is absent."""
    return InvalidInput("param-missing", f"Missing parameter: {_vector(path)}", {"in": list(path)})


def malformed(*path: str, given: Any, accepted: str) -> InvalidInput:
    """A parameter has the wrong form; `accepted` says which would do: "a uuid"."""
    return InvalidInput(
        "param-malformed",
        f"Malformed parameter: {_vector(path)}. It must be {accepted}.",
        {"in": list(path), "original-input": given},
    )


def _vector(path: tuple[str, ...]) -> str:
    return "[" + " ".join(f'"{part}"' for part in path) + "]"


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty object."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as cause:
        raise InvalidInput(
            "param-malformed", f"The body is not valid JSON: {cause}.", {"in": ["body"]}
        ) from cause
    if not isinstance(body, dict):
        raise malformed("body", given="not an object", accepted="a JSON object")
    return body


def is_true(value: Any) -> bool:
    """Whether an optional JSON flag was given as true."""
    return value is True


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
    try:
        size_bytes = len(orjson.dumps(given))
    except orjson.JSONEncodeError as cause:
        # It can be read deeper than it can be written.
        raise malformed("body", key, given=None, accepted="nested less deeply") from cause
    if size_bytes > limits.EXTRA_FIELDS_BYTES_MAX:
        problem = (
            f"They have {size_bytes:,} bytes of JSON; at most "
            f"{limits.EXTRA_FIELDS_BYTES_MAX:,} are accepted."
        )
        raise invalid(key, None, [{"message": problem, "in": [key]}])
    return given
