"""Failures as exceptions: a class for each kind; each instance carries a registered code.

    TriceError
    ├── InvalidInput      400   malformed or invalid       fix the input
    ├── PermissionDenied  400   not allowed
    ├── NotFound          400   absent
    ├── Conflict          400   clash                      re-read, then try again
    ├── LimitExceeded     413   too much                   send less, or later
    ├── Unavailable       503   not now                    back off
    ├── FunctionFailed    500   the app's function         its author reads the log of the app
    └── Bug               500   our bug                    the log has the traceback

Raise them nearest to the cause. Only `api.middleware` and `session.dispatch` answer callers with
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import orjson

from trice import limits
from trice.protocol.errors import CODES, Kind

E = TypeVar("E", bound=Exception)


class TriceError(Exception):
    """A failure the caller is told about.

    code      a name in `protocol.errors.CODES`
    message   one sentence: what was wrong, where, what is accepted
    hint      JSON object for programs: input path and value, never a secret
    """

    kind: ClassVar[Kind] = Kind.BUG

    def __init__(self, code: str, message: str, hint: Mapping[str, Any] | None = None) -> None:
        assert CODES[code].kind is self.kind, f"{code} is not a {self.kind}"
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint: dict[str, Any] = dict(hint or {})

    def body(self) -> dict[str, Any]:
        """The error as JSON: `{"type", "message", "hint"}`. `hint` is always an object.

        Input that the hint repeats may be readable yet not writable (nested too deeply, over 64
        bits). Such a value is left out, so that telling a failure cannot fail. So is a value larger
        than limits.HINT_BYTES_MAX: the caller knows what it sent.
        """
        hint = {key: value for key, value in self.hint.items() if _is_repeatable(value)}
        message = self.message
        if len(message) > limits.ERROR_MESSAGE_CHARS_MAX:
            message = message[: limits.ERROR_MESSAGE_CHARS_MAX] + "…"
        return {"type": self.code, "message": message, "hint": hint}


def _is_repeatable(value: Any) -> bool:
    if not _is_small(value):
        return False
    try:
        return len(orjson.dumps(value)) <= limits.HINT_BYTES_MAX
    except orjson.JSONEncodeError:
        return False


def _is_small(value: Any) -> bool:
    """Whether a value as JSON may stay within limits.HINT_BYTES_MAX, found without writing it. Each
    value takes at least two bytes, a text at least as many as it has characters."""
    bytes_left = limits.HINT_BYTES_MAX
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            bytes_left -= len(item)
        elif isinstance(item, (list, tuple, dict)):
            bytes_left -= 2 * len(item)
            if bytes_left >= 0:
                pending += item
                pending += item.values() if isinstance(item, dict) else ()
        if bytes_left < 0:
            return False
    return True


class InvalidInput(TriceError):
    """What was sent is malformed or breaks a rule."""

    kind = Kind.INVALID


class PermissionDenied(TriceError):
    """The caller may not do this."""

    kind = Kind.DENIED


class NotFound(TriceError):
    """The thing named does not exist."""

    kind = Kind.NOT_FOUND


class Conflict(TriceError):
    """The request clashes with what is stored."""

    kind = Kind.CONFLICT


class LimitExceeded(TriceError):
    """A request is larger, deeper or more frequent than `limits` allows."""

    kind = Kind.LIMIT


class Unavailable(TriceError):
    """The server cannot do it now; the same request may succeed later."""

    kind = Kind.UNAVAILABLE


class FunctionFailed(TriceError):
    """A function of the app raised, or ended its process."""

    kind = Kind.FUNCTION


class Bug(TriceError):
    """A promise of ours was broken."""

    kind = Kind.BUG


def invalid(
    data_type: str, given: Any, errors: Sequence[Mapping[str, Any]], *, message: str | None = None
) -> InvalidInput:
    """Build Instant's `validation-failed` error.

    data_type   what was being checked: "query", "tx-steps", "tx-step", "schema", …
    given       the input, as received
    errors      entries `{"expected"?: str, "in"?: [path…], "message"?: str, …}`
    message     replaces the text built from the entries
    source      instant-semantics §2.3
    """
    texts = [str(entry["message"]) for entry in errors if entry.get("message")]
    # Sentences follow one another. Instant's own texts have no full stop, and become a list.
    joint = " " if all(text.endswith(".") for text in texts) else ", "
    text = message or ": ".join(
        [f"Validation failed for {data_type}", *([joint.join(texts)] if texts else [])]
    )
    return InvalidInput(
        "validation-failed",
        text,
        {"data-type": data_type, "input": given, "errors": [dict(entry) for entry in errors]},
    )


def no_record(record_type: str, told: str, args: Mapping[str, Any] | None = None) -> NotFound:
    """Build Instant's `record-not-found` error.

    record_type   the kind of record that was looked for: "app", "app-user", …
    told          a sentence to the caller
    args          the values it was looked for by
    source        instant-http §0.9
    """
    return NotFound(
        "record-not-found",
        f"Record not found: {record_type}. {told}",
        {"record-type": record_type, "args": [] if args is None else [dict(args)]},
    )


def not_built(feature: str) -> InvalidInput:
    """Build the error that says that `feature` does not exist in this version."""
    return InvalidInput("not-built", f"{feature} is not built yet in this version of trice.")


def without_traceback(failure: E) -> E:
    """`failure` without its traceback. The frames of the traceback hold the refused message, and
    the failure holds the frames, until the next collection: a thousand refused messages of 8 MB
    are 8 GB by then."""
    failure.__context__ = None
    return failure.with_traceback(None)
