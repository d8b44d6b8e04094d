"""Checks of all frames and HTTP bodies by the description of the wire.

A test client that failed while a session writes to it would only look like a client that broke off.
So misfits are noted here, and the fixture in `conftest.py` fails the test that noted one.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec
import orjson

from trice.protocol.errors import CLOSE_CODES
from trice.protocol.http_bodies import ROUTES, HttpError
from trice.protocol.messages_down import Down

misfits: list[str] = []
"""The misfits since a test last looked."""

_DOWN = msgspec.json.Decoder(Down)


def check_frame(frame: bytes) -> None:
    """Note a frame that differs, key by key, from what `protocol/messages_down` says (P200)."""
    why = why_not_described(frame)
    if why is not None:
        misfits.append(f"{why}: {frame[:1000]!r}")


def check_close_code(code: int) -> None:
    """Note a close code that the table does not have (P205)."""
    if code not in CLOSE_CODES:
        misfits.append(f"closed with {code}, which `protocol/errors` does not list")


def why_not_described(frame: bytes) -> str | None:
    """What is wrong with a frame, None when nothing is."""
    frame = b"%b" % frame  # a shared frame is of a subclass, which orjson does not take
    try:
        orjson.loads(frame)
    except orjson.JSONDecodeError:
        # It repeats text of a client that no strict decoder takes: 1e999, half of a pair.
        message = json.loads(frame)
        message["original-event"] = {}
        frame = orjson.dumps(message)
    try:
        _DOWN.decode(frame)
    except msgspec.DecodeError as cause:
        return str(cause)
    return None


_ROUTES: Final = {
    re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route))): (
        *(None if body is None else msgspec.json.Decoder(body) for body in bodies),
    )
    for route, bodies in ROUTES.items()
}
_ERROR: Final = msgspec.json.Decoder(HttpError)
_JSON: Final = "application/json"


def check_exchange(
    route: str, sent: bytes, *, status: int, headers: dict[str, str], answer: bytes
) -> None:
    """Note a request or its answer that differs from what `protocol/http_bodies` says (P203).

    A body that strict decoders do not take as JSON is skipped: pushes may have such (P121).

    route    method and path
    sent     the body of the request; it is checked when the request succeeded
    """
    found = [decoders for pattern, decoders in _ROUTES.items() if pattern.fullmatch(route)]
    is_json = headers.get("content-type", "").startswith(_JSON)
    checks: list[tuple[Any, bytes]] = []
    if is_json and status >= 400 and route != "GET /health":
        checks = [(_ERROR, answer)]
    elif found and is_json and status == 200:
        checks = [*zip(found[0], (sent, answer), strict=True)]
    for decoder, body in checks:
        try:
            if decoder is not None:
                decoder.decode(body)
        except msgspec.ValidationError as cause:
            misfits.append(f"{route} {status}: {cause}: {body[:1000]!r}")
        except msgspec.DecodeError:
            assert body is sent
