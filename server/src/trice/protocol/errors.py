"""The registry of error codes and close codes, one row for each. It alone decides how a failure
travels.

Clients and tests match the code (`type` on the wire), never the message. A new code needs a row
here and a test; `spec/errors.md` and a part of `spec/protocol.schema.json` are generated from these
tables. A little over 500 lines, one file because it is one table. No I/O.

Statuses follow Instant's HTTP API (instant-http §0.9): "not found" and "denied" are 400 there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

NORMAL: Final = 1000
IDLE: Final = 1001
PROTOCOL_ERROR: Final = 1002
BAD_DATA: Final = 1007
SIGNED_OUT: Final = 1008
TOO_BIG: Final = 1009
GOING_AWAY: Final = 1012
TRY_LATER: Final = 1013


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One row: why the server closes a WebSocket with this number.

    may_retry  whether a client that connects again and does the same can succeed
    sentence   when it happens, for the generated documentation
    """

    number: int
    may_retry: bool
    sentence: str


CLOSE_CODES: Final = {
    code.number: code
    for code in (
        CloseCode(NORMAL, True, "The session has ended without a reason of its own."),
        CloseCode(IDLE, True, "No `init` came in time, or nothing was heard for too long."),
        CloseCode(PROTOCOL_ERROR, False, "A frame breaks the WebSocket protocol."),
        CloseCode(BAD_DATA, False, "A compressed message cannot be inflated."),
        CloseCode(
            SIGNED_OUT, True, "The refresh token was deleted; the next `init` with it says so."
        ),
        CloseCode(TOO_BIG, False, "One frame is larger than this server reads."),
        CloseCode(GOING_AWAY, True, "The server restarts, or the app was deleted."),
        CloseCode(
            TRY_LATER,
            True,
            "The app cannot be opened now, or more is on its way than the server holds.",
        ),
    )
}
"""Every close code that the server sends, by its number (RFC 6455 §7.4 and its registry)."""


class Kind(Enum):
    """The ways to fail; each has one exception class in `trice.errors`."""

    INVALID = "malformed or invalid"
    DENIED = "not allowed"
    NOT_FOUND = "absent"
    CONFLICT = "clash"
    LIMIT = "too much"
    UNAVAILABLE = "not now"
    FUNCTION = "the app's function"
    BUG = "our bug"


@dataclass(frozen=True, slots=True)
class Code:
    """One row: how a failure is classified and how it travels.

    http_status      status of the HTTP answer
    session_status   `status` of an `error` message on WebSocket and SSE
    may_retry        whether sending the same thing again can succeed
    sentence         what happened, for the generated documentation
    """

    name: str
    kind: Kind
    http_status: int
    session_status: int
    may_retry: bool
    sentence: str

    @property
    def init_closes_with(self) -> int | None:
        """The close code that ends a session when its `init` fails with this code. After an `error`
        clients stay away for ever; after a close they connect again (instant-realtime §16).

        returns  None if the client gets an `error`, and the session waits for another `init`. If
                 any other message fails, that is an `error` too, and never ends a session
        """
        return TRY_LATER if self.kind in (Kind.UNAVAILABLE, Kind.BUG) else None


CODES: Final = {
    code.name: code
    for code in (
        Code("param-missing", Kind.INVALID, 400, 400, False, "A required parameter is absent."),
        Code("param-malformed", Kind.INVALID, 400, 400, False, "A parameter has the wrong form."),
        Code(
            "validation-failed",
            Kind.INVALID,
            400,
            400,
            False,
            "A query, transaction or schema breaks a rule; `hint.errors` says where.",
        ),
        Code(
            "sql-raise",
            Kind.INVALID,
            400,
            400,
            False,
            "A step names an attr that does not exist, or redefines one.",
        ),
        Code(
            "not-built",
            Kind.INVALID,
            501,
            400,
            False,
            "This server does not have that feature yet.",
        ),
        Code("permission-denied", Kind.DENIED, 400, 400, False, "The caller may not do this."),
        Code(
            "permission-evaluation-failed",
            Kind.DENIED,
            400,
            400,
            False,
            "A rule could not be evaluated; `hint.rule` says which.",
        ),
        Code(
            "app-read-only",
            Kind.DENIED,
            400,
            400,
            False,
            "The app accepts no writes at the moment.",
        ),
        Code("app-disabled", Kind.DENIED, 400, 400, False, "The app is switched off."),
        Code(
            "record-not-found",
            Kind.NOT_FOUND,
            400,
            400,
            False,
            "There is no such app, token or user.",
        ),
        Code(
            "record-expired",
            Kind.NOT_FOUND,
            400,
            400,
            False,
            "The code or link was right once; its time is over.",
        ),
        Code(
            "oauth-error",
            Kind.DENIED,
            400,
            400,
            False,
            "Signing in with another provider failed; `error` says how.",
        ),
        Code(
            "route-not-found", Kind.NOT_FOUND, 404, 404, False, "No route has this path and method."
        ),
        Code(
            "file-url-invalid",
            Kind.DENIED,
            403,
            400,
            False,
            "The URL of a file was changed, or is over; read its `url` again to get a new one.",
        ),
        Code(
            "file-not-found",
            Kind.NOT_FOUND,
            404,
            400,
            False,
            "The file was deleted, or has other bytes now.",
        ),
        Code(
            "stream-not-found",
            Kind.NOT_FOUND,
            404,
            400,
            False,
            "There is no such stream, or the caller may not read it.",
        ),
        Code(
            "stream-conflict",
            Kind.CONFLICT,
            409,
            400,
            False,
            "The stream is done, ends elsewhere or has another writer; `hint` says where it ends.",
        ),
        Code(
            "upload-not-found",
            Kind.NOT_FOUND,
            404,
            400,
            False,
            "No such upload is under way for this caller; it has expired, or was deleted.",
        ),
        Code(
            "upload-offset-wrong",
            Kind.CONFLICT,
            409,
            400,
            True,
            "The part begins elsewhere than the bytes end that are there; ask for the offset.",
        ),
        Code(
            "upload-busy",
            Kind.CONFLICT,
            423,
            400,
            True,
            "Another request adds to the same upload, or asked for its offset.",
        ),
        Code(
            "checksum-wrong",
            Kind.CONFLICT,
            460,
            400,
            True,
            "The bytes that came are not those that were sent; the part was dropped.",
        ),
        Code(
            "tus-version-unknown",
            Kind.INVALID,
            412,
            400,
            False,
            "The request does not say that it speaks tus 1.0.0.",
        ),
        Code(
            "content-type-refused",
            Kind.INVALID,
            415,
            400,
            False,
            "The body is of a type that this route does not take.",
        ),
        Code(
            "session-missing",
            Kind.NOT_FOUND,
            400,
            400,
            False,
            "The session has ended or its token is wrong; open a new one.",
        ),
        Code(
            "record-not-unique", Kind.CONFLICT, 400, 400, False, "Another record holds this value."
        ),
        Code(
            "deploy-blocked",
            Kind.CONFLICT,
            409,
            400,
            False,
            "Work waits that the new code cannot do, or the old code names attrs that are gone.",
        ),
        Code(
            "parameter-limit-exceeded",
            Kind.LIMIT,
            400,
            500,
            False,
            "The transaction or query has too many parts.",
        ),
        Code(
            "app-quota-exceeded",
            Kind.LIMIT,
            400,
            400,
            False,
            "A quota of the app is used up; `hint` has the quota, what is used and the limit.",
        ),
        Code(
            "message-too-big",
            Kind.LIMIT,
            413,
            400,
            False,
            "The message is larger than this server accepts.",
        ),
        Code(
            "rate-limited",
            Kind.LIMIT,
            429,
            400,
            True,
            "Too many requests; wait `hint.retry-after` ms.",
        ),
        Code(
            "value-expired",
            Kind.NOT_FOUND,
            410,
            400,
            False,
            "This call was carried out before; what it returned is not kept any more.",
        ),
        Code("timeout", Kind.UNAVAILABLE, 429, 500, True, "The query took too long to complete."),
        Code(
            "email-send-failed",
            Kind.UNAVAILABLE,
            500,
            500,
            True,
            "The mail server did not take the message.",
        ),
        Code(
            "operation-timed-out",
            Kind.UNAVAILABLE,
            500,
            500,
            True,
            "Handling the message took too long.",
        ),
        Code(
            "overloaded",
            Kind.UNAVAILABLE,
            503,
            500,
            True,
            "The server is busy or stopping; try again.",
        ),
        Code(
            "data-unusable",
            Kind.UNAVAILABLE,
            503,
            500,
            True,
            "The data file is missing, damaged or of another version; the operator must act.",
        ),
        Code(
            "function-error",
            Kind.FUNCTION,
            400,
            400,
            False,
            "A function refused; `hint.code` and `hint.data` are what it said.",
        ),
        Code(
            "function-failed",
            Kind.FUNCTION,
            500,
            400,
            False,
            "A function raised; the log of the app has the traceback.",
        ),
        Code(
            "function-crashed",
            Kind.FUNCTION,
            500,
            400,
            False,
            "A function ended its process, twice.",
        ),
        Code(
            "function-memory",
            Kind.FUNCTION,
            500,
            400,
            False,
            "A function took more memory than its process may have.",
        ),
        Code(
            "call-too-big",
            Kind.LIMIT,
            413,
            400,
            False,
            "The arguments of a function, its result or what it wrote are larger than they may be.",
        ),
        Code(
            "function-timeout",
            Kind.UNAVAILABLE,
            504,
            500,
            True,
            "A function took longer than it may.",
        ),
        Code(
            "worker-lost",
            Kind.UNAVAILABLE,
            502,
            500,
            False,
            "The process of an action ended; what the action did until then stands.",
        ),
        Code(
            "functions-broken",
            Kind.UNAVAILABLE,
            503,
            500,
            True,
            "The app's functions cannot be loaded; `hint.errors` says why.",
        ),
        Code(
            "functions-off",
            Kind.UNAVAILABLE,
            501,
            500,
            False,
            "This server runs no functions.",
        ),
        Code(
            "function-not-found",
            Kind.NOT_FOUND,
            404,
            400,
            False,
            "The app has no such function, or it is internal, or of another kind than was asked.",
        ),
        Code(
            "bad-args",
            Kind.INVALID,
            400,
            400,
            False,
            "The arguments do not fit the function; `hint` has path, what is expected and given.",
        ),
        Code(
            "bad-result",
            Kind.FUNCTION,
            500,
            400,
            False,
            "What the function returned does not fit its return type.",
        ),
        Code("signed-out", Kind.DENIED, 401, 400, False, "The function is for signed-in users."),
        Code(
            "too-many-rows",
            Kind.LIMIT,
            400,
            400,
            False,
            "The function asked for more rows than it may, or for more than fit without a limit.",
        ),
        Code(
            "not-loaded",
            Kind.FUNCTION,
            500,
            400,
            False,
            "The function used a link that it did not ask for.",
        ),
        Code(
            "conflict",
            Kind.CONFLICT,
            409,
            400,
            True,
            "Others kept changing what the mutation read; `hint` names them and the namespace.",
        ),
        Code(
            "job-over",
            Kind.CONFLICT,
            409,
            400,
            False,
            "The job was cancelled, is finished, or another server has it; it can write no more.",
        ),
        Code(
            "too-many-jobs",
            Kind.LIMIT,
            429,
            400,
            True,
            "A call scheduled more jobs than it may, or the app has as many as it may.",
        ),
        Code(
            "step-unknown",
            Kind.FUNCTION,
            500,
            400,
            False,
            "A step that runs once only began before, and what became of it is not known.",
        ),
        Code(
            "value-expired",
            Kind.NOT_FOUND,
            410,
            400,
            False,
            "The mutation ran once, so long ago that its value is not kept any more.",
        ),
        Code(
            "unknown",
            Kind.BUG,
            500,
            500,
            True,
            "Something broke in the server; the log has the trace id.",
        ),
    )
}
"""Every code by its name on the wire."""
