"""One message of a session, from bytes to its handler; every failure becomes an `error` message.

Messages of a session are handled strictly in order of arrival; what must wait (opening the app, a
long first query, a commit) answers when it is done, without holding up the messages after it.
"""

from __future__ import annotations

from typing import Final

import msgspec
import orjson

from trice import limits
from trice.errors import Bug, InvalidInput, LimitExceeded, TriceError
from trice.protocol import up
from trice.protocol.quoting import brief, quote, why_no_json
from trice.session import handlers
from trice.session.session import Session
from trice.session.socket import TOO_BIG

KNOWN_OPS: Final = frozenset({"init", "add-query", "remove-query", "transact"})


def on_message(session: Session, raw: bytes) -> None:
    """Decode one message and carry it out. Never raises."""
    if len(raw) > limits.MESSAGE_BYTES_MAX:
        session.fail(_too_big(len(raw)), raw=b"{}", event_id=None)
        session.outbox.flush()
        session.close(TOO_BIG, "message too big")
        return
    try:
        message = up.decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        failure, event_id = explain_bad_message(raw, cause)
        session.fail(failure, raw=raw, event_id=event_id)
        return
    try:
        handlers.handle(session, message, raw)
    except TriceError as failure:
        session.fail(failure, raw=raw, event_id=message.client_event_id)
    except Exception as cause:
        bug = Bug("unknown", "Something went wrong in the server while handling this message.")
        bug.__cause__ = cause
        session.fail(bug, raw=raw, event_id=message.client_event_id)


def explain_bad_message(raw: bytes, cause: Exception) -> tuple[TriceError, str | None]:
    """Say what is wrong with a message that is not one of `protocol.up`, and whose it was."""
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as reason:
        return InvalidInput(
            "param-malformed", f"The message is not valid JSON: {why_no_json(reason)}", {"in": []}
        ), None
    if not isinstance(message, dict):
        return InvalidInput(
            "param-malformed",
            "A message must be a JSON object with an `op`.",
            {"in": [], "original-input": brief(message)},
        ), None
    event_id = message.get("client-event-id")
    if not isinstance(event_id, str):
        event_id = None
    op = message.get("op")
    if op is None:
        return InvalidInput("param-missing", 'Missing parameter: ["op"]', {"in": ["op"]}), event_id
    feature = up.NOT_BUILT_OPS.get(op) if isinstance(op, str) else None
    if feature is not None:
        return InvalidInput(
            "not-built", f"{feature} are not built yet in this version of trice.", {"op": op}
        ), event_id
    if not isinstance(op, str) or op not in KNOWN_OPS:
        known = ", ".join(f'"{name}"' for name in sorted(KNOWN_OPS))
        problem = f"Invalid op: {quote(op)}. It must be one of {known}."
        return InvalidInput("param-malformed", problem, {"in": ["op"], "op": op}), event_id
    path, problem = up.explain_misfit(cause)
    place = " ".join(f'"{name}"' for name in path)
    return InvalidInput(
        "param-malformed", f"Malformed parameter: [{place}]. {problem}", {"in": path, "op": op}
    ), event_id


def _too_big(size_bytes: int) -> LimitExceeded:
    return LimitExceeded(
        "message-too-big",
        f"The message has {size_bytes} bytes; at most {limits.MESSAGE_BYTES_MAX} are accepted.",
        {"bytes": size_bytes, "bytes-max": limits.MESSAGE_BYTES_MAX},
    )
