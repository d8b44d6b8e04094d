"""One message of a session, from bytes to its handler; every failure becomes an `error` message.

Messages of a session are handled strictly in order of arrival. A handler that must wait (for the
app to open, a long first query, a commit) answers when that is done, and does not hold up the
messages after it. A long message is read on a thread (`read_long`), and those after it wait.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from trice import limits
from trice.errors import Bug, InvalidInput, TriceError, invalid, without_traceback
from trice.protocol import decode, up
from trice.protocol.quoting import brief, quote, why_no_json
from trice.session.incoming import Incoming, Letter, TooBig
from trice.session.ops import OPS, OPS_BY_NAME, Op
from trice.session.refused import Outline, outline
from trice.session.session import Session
from trice.session.weigh import check_weight

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that cannot be handled: why, its event id, and the part that the error repeats."""

    failure: TriceError
    event_id: str | None
    echo: bytes
    is_write: bool = False


def on_message(session: Session, raw: bytes) -> None:
    """Decode one short message and carry it out. Never raises."""
    try:
        message = decode.decoder.decode(raw)
    except _UNREADABLE as cause:
        _refuse(session, explain(raw, cause))
        return
    _handle(session, message, raw)


def read_long(incoming: Incoming) -> Letter | Refusal:
    """Read a long message, on a thread.

    raises   MustClose
    cost     at most 60 ms; for up to 25 ms of that in one piece no other thread runs Python
    """
    try:
        raw = incoming.text()
        check_weight(raw)
    except TriceError as failure:
        found = outline(failure.head if isinstance(failure, TooBig) else raw)
        told = without_traceback(failure)
        return Refusal(told, found.text("client-event-id"), found.echo(), _is_write(found))
    try:
        message = decode.decoder.decode(raw)
    except _UNREADABLE as cause:
        return explain(raw, cause)
    op = OPS[type(message)]
    try:
        if op.weight_max < limits.MESSAGE_WEIGHT_MAX:
            check_weight(raw, weight_max=op.weight_max)
        digest = op.work_ahead(message, raw)
    except TriceError as failure:
        told = without_traceback(failure)
        return Refusal(told, message.client_event_id, echo_in_part(message), op.is_write)
    is_echoed = len(raw) <= limits.ERROR_ECHO_BYTES_MAX
    return Letter(message, raw if is_echoed else echo_in_part(message), len(raw), digest)


def on_read(session: Session, read: Letter | Refusal | Exception) -> None:
    """Carry out a message that a thread read, or failed to read. Never raises."""
    match read:
        case Letter():
            _handle(session, read.message, read.echo, read)
        case Refusal():
            _refuse(session, read)
        case _:
            session.fail(_bug(read), raw=b"{}", event_id=None)


def _handle(session: Session, message: up.Up, raw: bytes, letter: Letter | None = None) -> None:
    try:
        if session.opened is not None:
            app = session.opened.app
            app.meter.take(app.allowed)
        OPS[type(message)].handle(session, message, raw, letter)
    except TriceError as failure:
        session.fail(failure, raw=raw, event_id=message.client_event_id)
    except Exception as cause:
        session.fail(_bug(cause), raw=raw, event_id=message.client_event_id)


def _bug(cause: Exception) -> Bug:
    bug = Bug("unknown", "Something went wrong in the server while handling this message.")
    bug.__cause__ = cause
    return bug


def _refuse(session: Session, refusal: Refusal) -> None:
    session.fail(refusal.failure, raw=refusal.echo, event_id=refusal.event_id)
    if refusal.is_write:
        # The client takes back a write that it shows already (instant-realtime §6.8).
        session.tell_again()


def echo_in_part(message: up.Up) -> bytes:
    """The part of a long message that errors repeat: what clients recognise it by."""
    op = OPS[type(message)]
    kept = {"op": op.name}
    if message.client_event_id is not None:
        kept["client-event-id"] = message.client_event_id
    echo = orjson.dumps(kept)
    value = None if op.repeats is None else getattr(message, op.repeats.replace("-", "_"))
    if value is None:
        return echo
    try:
        value_json = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return echo
    if len(value_json) > limits.ERROR_ECHO_QUERY_BYTES_MAX:
        return echo
    return b'%b,"%b":%b}' % (echo[:-1], str(op.repeats).encode(), value_json)


def explain(raw: bytes, cause: Exception) -> Refusal:
    """Say what is wrong with bytes that are no message of `protocol.up`, and find their event
    id."""
    if isinstance(cause, RecursionError):
        return _too_deep(raw)
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as reason:
        return _unreadable(raw, reason)
    return _no_message(raw, message, cause)


def _no_message(raw: bytes, message: Any, cause: Exception) -> Refusal:
    """The refusal of bytes that are JSON, but no message."""
    echo = raw if isinstance(message, dict) and len(raw) <= limits.ERROR_ECHO_BYTES_MAX else b"{}"
    if not isinstance(message, dict):
        failure = InvalidInput(
            "param-malformed",
            "A message must be a JSON object with an `op`.",
            {"in": [], "original-input": brief(message)},
        )
        return Refusal(failure, None, echo)
    event_id = message.get("client-event-id")
    if not isinstance(event_id, str):
        event_id = None
    return Refusal(_no_op(message.get("op"), cause), event_id, echo)


def _no_op(op: Any, cause: Exception) -> InvalidInput:
    if op is None:
        return InvalidInput("param-missing", 'Missing parameter: ["op"]', {"in": ["op"]})
    if not isinstance(op, str) or op not in OPS_BY_NAME:
        known = ", ".join(f'"{name}"' for name in sorted(OPS_BY_NAME))
        problem = f"Invalid op: {quote(op)}. It must be one of {known}."
        return InvalidInput("param-malformed", problem, {"in": ["op"], "op": op})
    path, problem = decode.explain_misfit(cause)
    place = " ".join(f'"{name}"' for name in path)
    return InvalidInput(
        "param-malformed", f"Malformed parameter: [{place}]. {problem}", {"in": path, "op": op}
    )


def _unreadable(raw: bytes, reason: orjson.JSONDecodeError) -> Refusal:
    until = len(raw)
    with suppress(UnicodeDecodeError):
        # Python's decoder counts positions in characters.
        until = max(len(raw.decode()[: reason.pos].encode()), 1)
    path = outline(raw, until=until).path
    return _refusal(
        Outline(outline(raw).members, path), f"The message is not valid JSON: {why_no_json(reason)}"
    )


def _too_deep(raw: bytes) -> Refusal:
    depth_max = limits.JSON_VALUE_DEPTH_MAX
    path = outline(raw, depth_max=depth_max).path
    return _refusal(
        Outline(outline(raw).members, path),
        f"The JSON of the message nests too deeply; {depth_max} levels of a value are accepted.",
    )


def _refusal(found: Outline, problem: str) -> Refusal:
    """A refusal with the message's event id, if that can be read, and the place where it broke."""
    event_id = found.text("client-event-id")
    op = _find_op(found)
    if op is None or event_id is None:
        failure = InvalidInput("param-malformed", problem, {"in": found.path})
    else:
        failure = invalid(op.content, None, [{"in": found.path, "message": problem}])
    return Refusal(failure, event_id, found.echo(), _is_write(found))


def _find_op(found: Outline) -> Op[Any] | None:
    return OPS_BY_NAME.get(found.text("op") or "")


def _is_write(found: Outline) -> bool:
    op = _find_op(found)
    return op is not None and op.is_write
