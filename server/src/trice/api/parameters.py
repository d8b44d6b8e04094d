"""Parameters of requests, read as leniently as Instant reads them (instant-http §0.2, §0.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request

from trice import auth_limits
from trice.auth.emails import find_email
from trice.errors import InvalidInput, invalid
from trice.protocol.ids import find_uuid_bytes, uuid_text
from trice.protocol.quoting import brief, why_no_json

Values = Mapping[str, Any]

_OTHER_JSON: Final = re.compile(r"application/[^/ ]+\+json")


def missing(*path: str, possible: list[list[str]] | None = None) -> InvalidInput:
    """A required parameter is absent.

    possible   where it may stand, if there is more than one place
    """
    hint: dict[str, Any] = {"in": list(path)}
    message = f"Missing parameter: {_vector(path)}"
    if possible is not None:
        hint["possible-ins"] = possible
        message += f". It may stand in {' or '.join(map(_vector, possible))}."
    return InvalidInput("param-missing", message, hint)


def malformed(*path: str, given: Any, accepted: str) -> InvalidInput:
    """A parameter has the wrong form; `accepted` says which would do: "a uuid".

    given   what the hint repeats; None: nothing, as it may hold a secret, or is long, or null
    """
    hint = {"in": list(path)} if given is None else {"in": list(path), "original-input": given}
    message = f"Malformed parameter: {_vector(path)}. It must be {accepted}."
    return InvalidInput("param-malformed", message, hint)


def _vector(path: Iterable[str]) -> str:
    return "[" + " ".join(f'"{part}"' for part in path) + "]"


async def json_body(request: Request, *, also: str = "") -> dict[str, Any]:
    """The JSON object of a request; an empty body is an empty object, whatever its type.

    also     what else the route takes, for the message: `, or "application/…"`
    raises   InvalidInput for a body that is not said to be JSON: a page of another site may send
             text and forms here without the browser asking first
    """
    raw = await request.body()
    if not raw:
        return {}
    check_json_type(request, also=also)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as cause:
        raise InvalidInput(
            "param-malformed", f"The body is not valid JSON: {why_no_json(cause)}", {"in": ["body"]}
        ) from cause
    if not isinstance(body, dict):
        raise malformed("body", given=brief(body), accepted="a JSON object")
    return body


def check_json_type(request: Request, *, also: str = "") -> None:
    """Raise InvalidInput unless the body of a request is said to be JSON, and plain."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not _OTHER_JSON.fullmatch(kind):
        accepted = f'"application/json"{also}; the body is read as nothing else'
        raise malformed("headers", "content-type", given=brief(kind) or None, accepted=accepted)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise malformed(
            *("headers", "content-encoding"),
            given=brief(request.headers["content-encoding"]),
            accepted="absent: bodies of requests are read as they are",
        )


def flag_in(values: Values, key: str) -> bool:
    """An optional flag; absent and null are false."""
    given = values.get(key)
    if given is None or isinstance(given, bool):
        return given is True
    # "false" must not count as true, nor "true" as false.
    raise malformed("body", key, given=brief(given), accepted="true or false")


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
        # It can be read deeper than it can be written.
        raise malformed("body", key, given=None, accepted="nested less deeply") from cause
    if size_bytes > auth_limits.EXTRA_FIELDS_BYTES_MAX:
        problem = (
            f"They have {size_bytes:,} bytes of JSON; at most "
            f"{auth_limits.EXTRA_FIELDS_BYTES_MAX:,} are accepted."
        )
        raise invalid(key, None, [{"message": problem, "in": [key]}])
    return given
