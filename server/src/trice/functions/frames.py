"""What the server and a worker tell each other: msgpack, each frame behind its length in 4 bytes
(big-endian). `call` is a number that the server chose; it is unique among calls under way.

    server → worker   hello  call  rows  refused  cancel  ping  drain
    worker → server   ready  broken  read  page  draft  sub  sub-end  run  done  fail  log  pong
                      later  step  step-done  sleep  reply  piece
                      send-mail  find-file  read-file  put-file  file-piece  keep-file  drop-file
                      delete-file  begin-stream  stream-text  end-stream  ask-http

A worker speaks for one app's bundle only: no frame names an app, so none can name another one.
No I/O.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from trice.functions.signature import Kind, Signature

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
"""Longest frame; a result may be 8 MiB and its escapes."""


class _Frame(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", tag_field="is"):
    pass


class Caller(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """Who calls, as the worker may know it.

    user      the row of `$users` with its attributes, or None
    is_admin  it holds the admin token, or is the server itself (jobs, crons, hooks)
    ip        its network address; None for the server itself
    origin    the header of the page it came from
    """

    user: dict[str, Any] | None = None
    is_admin: bool = False
    ip: str | None = None
    origin: str | None = None


# --- server to worker -----------------------------------------------------------------------------


class Hello(_Frame, frozen=True, tag="hello"):
    """The first frame: load this bundle.

    path     folder of the unpacked bundle
    env      the app's secrets, by name
    is_pure  it runs queries and mutations; else actions and endpoints
    is_dev   warnings of what functions should not do, tracebacks to callers
    memory_bytes  what the process may take (RLIMIT_DATA)
    allows_private  whether `ctx.http` reaches addresses of a private network, too
    asks_http  requests of `ctx.http` are asked of the server: for tests
    packages  folder of packages that it may import, before those of the server; None: there is none
    scratch  folder that it may write to, and is confined to with what it reads; None: it is not
             confined
    """

    path: str
    env: dict[str, str]
    is_pure: bool
    is_dev: bool = False
    memory_bytes: int = 512 * 1024 * 1024
    allows_private: bool = False
    asks_http: bool = False
    packages: str | None = None
    scratch: str | None = None


Pairs = list[tuple[str, str]]
"""Headers: names in lower case, and texts."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """What an endpoint is asked.

    url       whole, as the client asked it
    path      below the app's part of the URL, escapes decoded
    headers   names in lower case; without `cookie`
    """

    method: str
    url: str
    path: str
    headers: Pairs
    body: bytes


class Call(_Frame, frozen=True, tag="call"):
    """Run a function.

    function   its name
    args       JSON, checked by the worker
    caller     who asks
    left_ms    time until its deadline
    now_ms     what `ctx.now` is: never before a row it can see
    seed       of `ctx.random` and `ctx.new_id()`: the same for every try of one event id
    trace      W3C trace id, 32 hex digits
    scheduled_for_ms   of a job: the time it was meant for
    request    of an endpoint: what it is asked
    """

    call: int
    function: str
    args: bytes
    caller: Caller
    left_ms: int
    now_ms: int
    seed: str
    trace: str
    scheduled_for_ms: int | None = None
    request: HttpRequest | None = None


class Rows(_Frame, frozen=True, tag="rows"):
    """The answer of `read` or `run` number `seq`: JSON."""

    call: int
    seq: int
    value: bytes


class Refused(_Frame, frozen=True, tag="refused"):
    """`read` or `run` number `seq` failed: the error is raised where it was awaited."""

    call: int
    seq: int
    code: str
    message: str
    hint: Any = None


class Cancel(_Frame, frozen=True, tag="cancel"):
    """Nobody waits for this call any more."""

    call: int


class Ping(_Frame, frozen=True, tag="ping"):
    number: int


class Drain(_Frame, frozen=True, tag="drain"):
    """No more calls come: end when those under way have."""


# --- worker to server -----------------------------------------------------------------------------


class Ready(_Frame, frozen=True, tag="ready"):
    """The bundle is loaded: its functions, and the schema document if it has a `schema.py`."""

    functions: list[Signature]
    schema: dict[str, Any] | None = None


class LoadError(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A fault of the project: where, and what is accepted."""

    file: str
    line: int | None
    message: str


class Broken(_Frame, frozen=True, tag="broken"):
    """The bundle could not be loaded."""

    errors: list[LoadError]


class Read(_Frame, frozen=True, tag="read"):
    """An InstaQL query. A run answers all of its reads from one snapshot, with its own writes.

    as_caller   the rules of the caller apply; else everything is seen
    """

    call: int
    seq: int
    query: Any
    as_caller: bool = False


class Page(_Frame, frozen=True, tag="page"):
    """A page of a list, read as by `read`. Answered with `rows`: `{"next", "most", "answer"}`; only
    the first `most` rows of the answer are in the page.

    query   one form with an order, which says no page
    size    how many rows are asked for
    after   the cursor that the function was given; None: the first page. The server reads another
            stretch where it keeps a list live
    """

    call: int
    seq: int
    query: dict[str, Any]
    size: int
    after: str | None = None
    as_caller: bool = False


class Draft(_Frame, frozen=True, tag="draft"):
    """Steps of the admin API that the call has written so far, after those told before. Not
    answered; what it gets wrong is told to the next `read`, or fails the call at its end."""

    call: int
    steps: list[Any]


class Sub(_Frame, frozen=True, tag="sub"):
    """A mutation within the mutation begins: a savepoint, all drafts before it were told."""

    call: int


class SubEnd(_Frame, frozen=True, tag="sub-end"):
    """It ended. If it is not kept, drafts since its `sub` are undone."""

    call: int
    is_kept: bool


class Run(_Frame, frozen=True, tag="run"):
    """An action calls a query or mutation, each with a snapshot or transaction of its own."""

    call: int
    seq: int
    function: str
    args: bytes


class Later(_Frame, frozen=True, tag="later"):
    """A job: run a mutation or action later. In a mutation it is part of its transaction, in order
    with drafts and savepoints, and not answered. In an action it has a `seq`, and is answered with
    `rows` (`null`) once it is durable.

    id       of the job, a uuid that the worker made
    due_ms   when, by the wall clock
    key      it replaces a job with this key that still waits
    is_kept  that one stays, and this is not made
    """

    call: int
    id: str
    function: str
    args: bytes
    due_ms: int
    key: str | None = None
    is_kept: bool = False
    seq: int | None = None


class Step(_Frame, frozen=True, tag="step"):
    """A step of a job begins. Answered with `rows`: `{"value": …}` if it was recorded, else `{}`,
    and then it runs.

    is_once  it must not run again if it began and was not recorded: `step-unknown`
    """

    call: int
    seq: int
    name: str
    is_once: bool = False


class StepDone(_Frame, frozen=True, tag="step-done"):
    """A step returned: record it. Answered with `rows` (`null`) once that is durable."""

    call: int
    seq: int
    name: str
    value: bytes


class Sleep(_Frame, frozen=True, tag="sleep"):
    """A job waits. Answered with `rows`: `true` when the time has passed; at `false` the worker
    ends the call, and it is called again then.

    ms    for how long, counted from when this was asked for the first time
    """

    call: int
    seq: int
    name: str
    ms: int


class Reply(_Frame, frozen=True, tag="reply"):
    """An endpoint answers. Answered with `rows` (`null`), or refused if no answer may be so.

    body       all of it, unless `is_stream`: then it comes in `piece`s until `done`
    """

    call: int
    seq: int
    status: int
    headers: Pairs
    body: bytes = b""
    is_stream: bool = False


class Piece(_Frame, frozen=True, tag="piece"):
    """The next piece of a stream. Answered with `rows` (`null`) once the client's socket took it:
    no piece is made before that."""

    call: int
    seq: int
    data: bytes


class Done(_Frame, frozen=True, tag="done"):
    """The call returned.

    value   JSON, checked against its hint
    steps   what it wrote and did not tell yet
    facts   what it looked at of its caller, in order: name, and JSON of the value
    """

    call: int
    value: bytes
    steps: list[Any] = []
    facts: list[tuple[str, Any]] = []


class Fail(_Frame, frozen=True, tag="fail"):
    """The call raised.

    code       of trice's own codes: `function-error` for a FunctionError, `function-failed` for
               other exceptions, else `bad-args`, `signed-out`, what a read was refused with, …
    status     HTTP status that a FunctionError asks for
    data       the hint of the error: `{"code", "data"}` of a FunctionError
    traceback  for the log, and for the caller in dev
    facts      as in `done`
    """

    call: int
    code: str
    message: str
    status: int | None = None
    data: Any = None
    traceback: str = ""
    facts: list[tuple[str, Any]] = []


class Log(_Frame, frozen=True, tag="log"):
    """A line of a call; `call` 0 is the loading of the bundle."""

    call: int
    level: Literal["debug", "info", "warning", "error"]
    text: str


class Pong(_Frame, frozen=True, tag="pong"):
    """The worker lives; sent by a thread, so also while its loop is busy.

    held_ms  for how long the loop has not turned, since a ping asked it to; 0: it turns
    cpu_ms   processor time of the loop's thread in that time
    busy     the call whose code holds the loop, or None
    stack    where it is: file, line, function, innermost last
    """

    number: int
    held_ms: int = 0
    cpu_ms: int = 0
    busy: int | None = None
    stack: list[tuple[str, int, str]] = []


# --- what an action reaches through the server (`calls.reached`) ----------------------------------


class _OfReach(_Frame, frozen=True, kw_only=True):
    """Each is answered with `rows`, JSON but for `read-file`, or `refused`; with `seq` 0 it is not.
    What belongs to one upload or stream is done in the order in which it was told."""

    call: int = 0
    seq: int = 0


class SendMail(_OfReach, frozen=True, tag="send-mail"):
    """Send an e-mail. Answered with `null` once the mail server has it."""

    to: str
    subject: str
    text: str | None
    html: str | None


class FindFile(_OfReach, frozen=True, tag="find-file"):
    """The file of a path: `{"id", "path", "size", "content-type", "location", "url"}` or `null`."""

    path: str


class ReadFile(_OfReach, frozen=True, tag="read-file"):
    """Bytes of a file, from `start` on: reach_limits.FILE_PIECE_BYTES, but at its end."""

    location: str
    start: int


class PutFile(_OfReach, frozen=True, tag="put-file"):
    """An upload begins.

    file   a number that the worker chose; unique among uploads of the call under way
    size   bytes, if it is known: too many are refused before any is sent
    """

    file: int
    path: str
    content_type: str | None
    disposition: str | None
    size: int | None


class FilePiece(_OfReach, frozen=True, tag="file-piece"):
    """The next bytes. Answered once they are taken."""

    file: int
    data: bytes


class KeepFile(_OfReach, frozen=True, tag="keep-file"):
    """That was all: it becomes the file of its path. Answered as `find-file`."""

    file: int


class DropFile(_OfReach, frozen=True, tag="drop-file"):
    """The upload is given up."""

    file: int


class DeleteFile(_OfReach, frozen=True, tag="delete-file"):
    """Delete the file of a path. Answered with whether there was one."""

    path: str


class BeginStream(_OfReach, frozen=True, tag="begin-stream"):
    """Make a row of `$streams` and become its writer. Answered with `{"id", "name"}`.

    stream   a number that the worker chose; unique among streams of the call
    name     `clientId`; None: a new one
    values   attributes and links of the row by label; ids of links as a text, or a list of them
    """

    stream: int
    name: str | None
    values: dict[str, Any]


class StreamText(_OfReach, frozen=True, tag="stream-text"):
    """Append text. Answered once it is taken: readers may have it, and it may not be durable."""

    stream: int
    text: str


class EndStream(_OfReach, frozen=True, tag="end-stream"):
    """The stream is done. Answered once all of it is durable.

    abort_reason   why it is not whole; None: it is
    """

    stream: int
    abort_reason: str | None


class AskHttp(_OfReach, frozen=True, tag="ask-http"):
    """In tests only: a request of `ctx.http`, which the test answers with `{"status", "headers",
    "body" (base64)}` or `{"error": [class, message]}`."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes


ToWorker = Hello | Call | Rows | Refused | Cancel | Ping | Drain
OfJob = Later | Step | StepDone | Sleep
OfFile = FindFile | ReadFile | PutFile | FilePiece | KeepFile | DropFile | DeleteFile
OfStream = BeginStream | StreamText | EndStream
OfReach = SendMail | OfFile | OfStream | AskHttp
OfEndpoint = Reply | Piece
OfData = Read | Page | Draft | Sub | SubEnd
OfFunction = OfData | Run | Done | Fail | Log | OfJob | OfEndpoint | OfReach
ToServer = Ready | Broken | Pong | OfFunction

__all__ = ["FRAME_BYTES_MAX", "Kind", "ToServer", "ToWorker"]
