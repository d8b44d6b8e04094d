"""Parameters of requests, read as leniently as Instant reads them (instant-http §0.2, §0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request

from trice import auth_limits
from trice.auth.emails import find_email
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import EventId, find_uuid_bytes, uuid_text
from trice.protocol.quoting import brief

Values = Mapping[str, Any]

_EVENT_ID_CHARS_MAX: Final = 256


def missing(*path: str, possible: list[list[str]] | None = None) -> InvalidInput:
    """The error for a required parameter that is absent.

    possible   the places where it may stand, if there are several
    """
    hint: dict[str, Any] = {"in": list(path)}
    message = f"Missing parameter: {_vector(path)}"
    if possible is not None:
        hint["possible-ins"] = possible
        message += f". It may stand in {' or '.join(map(_vector, possible))}."
    return InvalidInput("param-missing", message, hint)


def malformed(*path: str, given: Any, accepted: str) -> InvalidInput:
    """The error for a parameter of the wrong form; `accepted` names a right one: "a uuid".

    given   the value that the hint repeats; None: nothing, as it may be secret, long, or null
    """
    hint = {"in": list(path)} if given is None else {"in": list(path), "original-input": given}
    message = f"Malformed parameter: {_vector(path)}. It must be {accepted}."
    return InvalidInput("param-malformed", message, hint)


def _vector(path: Iterable[str]) -> str:
    return "[" + " ".join(f'"{part}"' for part in path) + "]"


def flag_in(values: Values, key: str) -> bool:
    """An optional flag; absent and null are false."""
    given = values.get(key)
    if given is None or isinstance(given, bool):
        return given is True
    # "false" must not count as true, nor "true" as false.
    raise malformed("body", key, given=brief(given), accepted="true or false")


def idempotency_key(request: Request) -> EventId | None:
    """The header `Idempotency-Key`, by which a write that is sent again is known."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return None
    if not given or len(given) > _EVENT_ID_CHARS_MAX:
        accepted = f"a text of at most {_EVENT_ID_CHARS_MAX} characters"
        raise malformed("headers", "idempotency-key", given=brief(given), accepted=accepted)
    return EventId(given)


def _present(found: str | None, key: str, *, place: str) -> str:
    if found is None:
        raise missing(place, key)
    return found


def email_in(values: Values, key: str, *, place: str = "body") -> str:
    """A required e-mail address: trimmed, in lower case."""
    return _present(find_email_in(values, key, place=place), key, place=place)


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
    return _present(find_uuid_in(values, key, place=place), key, place=place)


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
    """A required text that is not blank: trimmed. A number is taken as its digits."""
    given = values.get(key)
    if given is None:
        raise missing(place, key)
    text = str(given) if type(given) in (int, float) else given
    if not isinstance(text, str) or not text.strip():
        raise malformed(place, key, given=given, accepted="a string that is not blank")
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
        # JSON can be read with more levels than can be written.
        raise malformed("body", key, given=None, accepted="nested less deeply") from cause
    if size_bytes > auth_limits.EXTRA_FIELDS_BYTES_MAX:
        problem = (
            f"They have {size_bytes:,} bytes of JSON; at most "
            f"{auth_limits.EXTRA_FIELDS_BYTES_MAX:,} are accepted."
        )
        raise invalid(key, None, [{"message": problem, "in": [key]}])
    return given
