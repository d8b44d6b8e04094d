"""Failures as exceptions: kinds, each instance carrying a registered code.

    TriceError
    ├── InvalidInput      400   malformed or invalid       fix the input
    ├── PermissionDenied  400   not allowed
    ├── NotFound          400   absent
    ├── Conflict          400   clash                      re-read, then try again
    ├── LimitExceeded     413   too much                   send less, or later
    ├── Unavailable       503   not now                    back off
    └── Bug               500   our bug                    the log has the traceback

Raise nearest to the cause; caught in two places only: `api.middleware` and the session's worker.
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

        Input it repeats may be readable yet not writable (nested too deeply, over 64 bits): the
        failure to name it must not become a failure of its own, so it is left out. So is what is
        larger than limits.HINT_BYTES_MAX: the caller knows what it sent.
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
    """Whether writing it as JSON may stay within limits.HINT_BYTES_MAX, without writing it: each
    value takes two bytes at least, a text as many as it has characters."""
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
    """It clashes with what is stored."""

    kind = Kind.CONFLICT


class LimitExceeded(TriceError):
    """It is larger, deeper or more frequent than `limits` allows."""

    kind = Kind.LIMIT


class Unavailable(TriceError):
    """The server cannot do it now; the same request may succeed later."""

    kind = Kind.UNAVAILABLE


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
    # Sentences stand beside each other; Instant's own texts, which have no full stop, are a list.
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

    record_type   what was looked for: "app", "app-user", …
    told          a sentence to the caller
    args          what it was looked for by
    source        instant-http §0.9
    """
    return NotFound(
        "record-not-found",
        f"Record not found: {record_type}. {told}",
        {"record-type": record_type, "args": [] if args is None else [dict(args)]},
    )


def not_built(feature: str) -> InvalidInput:
    """Say plainly that `feature` does not exist in this version."""
    return InvalidInput("not-built", f"{feature} is not built yet in this version of trice.")


def without_traceback(failure: E) -> E:
    """A refusal as its sender is told it. The frames of its traceback would hold what was refused,
    and be held by it, until a collection: a thousand refused messages of 8 MB are 8 GB by then."""
    failure.__context__ = None
    return failure.with_traceback(None)
