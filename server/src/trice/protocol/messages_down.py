"""The messages that the server may send: the description that clients are generated from.

The server does not send these structs: `down` joins the bytes by hand. Every test client of this
repository reads what arrives with them, strictly: a key that is not described here, or has another
form, is a failure. `make gen` writes them into `spec/protocol.schema.json`. No I/O.

A little over 500 lines, one file because the generator reads all messages in one place.

source   instant-realtime §3, §5, §6, §11; spec/protocol.md
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trice.protocol.errors import CODES

Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
TxNumber = Annotated[int, Meta(ge=1)]
ProcessedTx = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[int, Meta(ge=0)]
Version = Annotated[str, Meta(pattern="^[0-9a-f]+$")]
ErrorCode = Annotated[str, Meta(extra_json_schema={"enum": list(CODES)})]

Triple = tuple[Uuid, Uuid, Any, Milliseconds]
"""Entity, attr, value, and when the entity or link was made."""

Name = tuple[Uuid, str, str]
"""The name of one side of an attr: its own id, the namespace, the label."""

Gone = Annotated[list[Any], Meta(min_length=2, max_length=3)]
"""Entity and attr: all their triples are removed. With a value: only that triple is."""


class _Strict(msgspec.Struct, rename="kebab", forbid_unknown_fields=True):
    """Keys are in kebab-case on the wire; there are no others."""


class Attr(_Strict):
    """One field or link of the catalog.

    forward_identity   the name in the namespace that owns it
    reverse_identity   links only: the name seen from the other end
    value_type         "blob" for a field, "ref" for a link
    cardinality        that of the forward side; a field has "one"
    is_unique          no two entities share a value; for a link: a target has at most one source
    inferred_types     JSON types written so far; null when there are none
    is_indexing, is_setting_unique, is_checking_type   stored values are being brought into line
                       with a change, which the attr shows when that is done
    """

    id: Uuid
    forward_identity: Name
    value_type: Literal["blob", "ref"]
    cardinality: Literal["one", "many"]
    is_unique: bool = msgspec.field(name="unique?")
    is_indexed: bool = msgspec.field(name="index?")
    is_required: bool = msgspec.field(name="required?")
    inferred_types: list[Literal["number", "string", "boolean", "json"]] | None
    catalog: Literal["system", "user"]
    reverse_identity: Name | UnsetType = UNSET
    checked_data_type: Literal["string", "number", "boolean", "date"] | UnsetType = UNSET
    on_delete: Literal["cascade"] | UnsetType = UNSET
    on_delete_reverse: Literal["cascade"] | UnsetType = UNSET
    is_indexing: bool | UnsetType = msgspec.field(name="indexing?", default=UNSET)
    is_setting_unique: bool | UnsetType = msgspec.field(name="setting-unique?", default=UNSET)
    is_checking_type: bool | UnsetType = msgspec.field(name="checking-data-type?", default=UNSET)
    metadata: dict[str, Any] | UnsetType = UNSET


class AppName(_Strict):
    """The app of a session."""

    id: Uuid
    title: str


class Auth(_Strict):
    """The user and the app of a session; `user` is always null, as in Instant's protocol."""

    app: AppName
    user: None


class AppStatus(_Strict):
    """Whether the app may be used."""

    status: Literal["active"]


class Agreed(_Strict):
    """The answer to the `trice` of `init` (P71).

    features    those that the client asked for and that hold from here on
    tx          the app's last transaction id, 0 before the first
    is_reset    the data was put back to an older state (P74)
    catalog     the name of the catalog, for clients that resume (P75)
    """

    version: Annotated[int, Meta(ge=1)]
    features: list[Literal["delta", "resume", "functions", "call-delta"]]
    tx: Annotated[int, Meta(ge=0)]
    is_reset: Literal[True] | UnsetType = msgspec.field(name="reset?", default=UNSET)
    catalog: str | UnsetType = UNSET


class InitOk(_Strict, tag_field="op", tag="init-ok"):
    """The session is open.

    attrs   the whole catalog, system attrs included; left out when the client holds it (P75)
    trice   only for a client whose `init` has `trice`
    """

    session_id: Uuid
    client_event_id: str | None
    auth: Auth
    app_status: AppStatus
    attrs: list[Attr] | UnsetType = UNSET
    trice: Agreed | UnsetType = UNSET


class JoinRows(_Strict):
    """The triples of a flat answer: one row, which has each triple once."""

    join_rows: Annotated[list[list[Triple]], Meta(min_length=1, max_length=1)]


class Page(_Strict):
    """Where a page begins and ends; cursors are null when it is empty."""

    start_cursor: Triple | None
    end_cursor: Triple | None
    has_next_page: bool = msgspec.field(name="has-next-page?")
    has_previous_page: bool = msgspec.field(name="has-previous-page?")


class Total(_Strict):
    """The totals of the matching entities, by function and attr (Q110-Q124)."""

    count: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    sum: dict[str, int | float | None] | UnsetType = UNSET
    avg: dict[str, int | float | None] | UnsetType = UNSET
    min: dict[str, int | float | str | None] | UnsetType = UNSET
    max: dict[str, int | float | str | None] | UnsetType = UNSET


class GroupTotal(Total, kw_only=True):
    """The same for one group; `key` is the value that its entities share, null for none."""

    key: Any


class Totals(Total):
    """Totals of all matching entities, or of each group of `groupBy`, in order of keys (Q117)."""

    groups: list[GroupTotal] | UnsetType = UNSET


class ResultMeta(_Strict):
    """What a query asked for besides entities, by namespace of the top forms."""

    page_info: dict[str, Page] | UnsetType = UNSET
    aggregate: dict[str, Totals] | UnsetType = UNSET


class Data(ResultMeta, kw_only=True):
    """The content of a flat answer."""

    datalog_result: JoinRows


class Node(_Strict):
    """The one node of a flat answer."""

    data: Data
    child_nodes: Annotated[list[Any], Meta(max_length=0)]


Flat = Annotated[list[Node], Meta(min_length=1, max_length=1)]
Tree = dict[str, Any]
"""For each top form a list of objects with their links inside, or the totals of the form."""


class Delta(_Strict):
    """The steps, in order, from one version of an answer to another (P77)."""

    removed: list[Gone] | UnsetType = UNSET
    changed: list[Triple] | UnsetType = UNSET
    added: list[Triple] | UnsetType = UNSET
    data: ResultMeta | UnsetType = UNSET


class _Answer(_Strict):
    """An answer in full, or the steps to it from the one that the client holds.

    query_id   a short name of the query, the same for equal queries of equal shape (P76)
    version    the name of the content of the answer (P76)
    held       the version to start from; equal to `version`: nothing changed (P80, P82)
    delta      the steps from `held` to `version`
    """

    query_id: Version | UnsetType = UNSET
    version: Version | UnsetType = UNSET
    held: Version | UnsetType = msgspec.field(name="from", default=UNSET)
    delta: Delta | UnsetType = UNSET

    def check(self, *full: object) -> None:
        """Check that the keys are those of the full form, or those that start from a version.

        raises   ValueError, which the decoder reports as a message of the wrong form
        """
        is_full = UNSET not in full
        if not is_full and any(value is not UNSET for value in full):
            raise ValueError("only a part of the full form is there")
        if (self.query_id is UNSET) != (self.version is UNSET):
            raise ValueError("`query-id` and `version` go together")
        if is_full == (self.held is not UNSET):
            raise ValueError("either the full form or `from`")
        if not is_full and (self.held == self.version) != (self.delta is UNSET):
            raise ValueError("`delta` stands exactly where `from` is not `version`")
        if is_full and self.delta is not UNSET:
            raise ValueError("`delta` needs `from`")


class AddQueryOk(_Answer, kw_only=True, tag_field="op", tag="add-query-ok"):
    """The answer to a query. In full it has `q`, `result` and `result-meta`, and for clients that
    asked for versions `query-id` and `version`. Else it has `query-id`, `from` and `version`, and
    `delta` if those two differ.

    q                 the query as it was sent
    result            one node of triples; for the return type "tree", objects by top form
    processed_tx_id   the answer contains every transaction up to this one; before the first it is
                      0 for clients that asked for versions, else 1 (P10)
    """

    client_event_id: str | None
    processed_tx_id: ProcessedTx
    q: dict[str, Any] | UnsetType = UNSET
    result: Flat | Tree | UnsetType = UNSET
    result_meta: ResultMeta | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        self.check(self.q, self.result, self.result_meta)


class Computation(_Answer):
    """The new answer of one query in `refresh-ok`. In full it has `instaql-query`,
    `instaql-result`, `result-meta` and `result-changed?`, and for clients that asked for versions
    `query-id` and `version`. Else it has `query-id`, `from` and `version`, and `delta` if those two
    differ."""

    instaql_query: dict[str, Any] | UnsetType = UNSET
    instaql_result: Flat | Tree | UnsetType = UNSET
    result_meta: ResultMeta | UnsetType | None = UNSET
    is_changed: Literal[True] | UnsetType = msgspec.field(name="result-changed?", default=UNSET)

    def __post_init__(self) -> None:
        self.check(self.instaql_query, self.instaql_result, self.result_meta, self.is_changed)


class CallFailure(_Strict):
    """Why a function has no answer: an error as HTTP bodies have it."""

    type: ErrorCode
    message: str
    hint: dict[str, Any]


class ListChanges(_Strict):
    """What changed in a list of a value, in this order (FN581). What is left out did not.

    gone    ids of the items that leave it
    put     items that are others now, or new
    order   places, rising, of items whose place does not follow from the others' order
    """

    gone: list[str] | UnsetType = UNSET
    put: list[Any] | UnsetType = UNSET
    order: list[tuple[Annotated[int, Meta(ge=0)], str]] | UnsetType = UNSET


class CallDelta(_Strict):
    """The steps from one value of a watched function to another (FN581).

    rest    the value with its lists empty; left out: as before
    lists   by path, labels joined by `.`; with `rest` each list that is to keep what it had
    """

    rest: Any = UNSET
    lists: dict[str, ListChanges] | UnsetType = UNSET


class _CallValue(_Strict):
    """What a watched function returns: whole, or the steps to it from what the client holds.

    version   the name of the value, for clients that agreed on `call-delta` (FN580)
    held      the version to start from; equal to `version`: nothing changed
    delta     the steps from `held` to `version`
    """

    value: Any = UNSET
    version: Version | UnsetType = UNSET
    held: Version | UnsetType = msgspec.field(name="from", default=UNSET)
    delta: CallDelta | UnsetType = UNSET

    @property
    def is_any(self) -> bool:
        """Whether there is any of it."""
        return (self.value, self.version, self.held, self.delta) != (UNSET,) * 4

    def check(self) -> None:
        """Check that it is whole, or starts from a version; raises ValueError."""
        if (self.value is UNSET) == (self.held is UNSET):
            raise ValueError("either `value` or `from`")
        if self.held is not UNSET and self.version is UNSET:
            raise ValueError("`from` needs `version`")
        is_other = self.held is not UNSET and self.held != self.version
        if is_other == (self.delta is UNSET):
            raise ValueError("`delta` stands exactly where `from` is not `version`")


class CallPage(_Strict):
    """A page of a list: a value, or why there is none (FN612).

    at      its place
    new     it comes before what was at that place; else it is that page
    until   names its end; "" ends with the list; null: not known
    """

    at: int
    until: str | None
    new: Literal[True] | UnsetType = UNSET
    value: Any = UNSET
    error: CallFailure | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.value is UNSET) == (self.error is UNSET):
            raise ValueError("either `value` or `error`")


class CallNews(_CallValue, kw_only=True):
    """What a watched function answers now: a value, or why there is none (FN233), or pages.

    pages   of a list: those that are new or changed, in order
    count   how many pages it has then
    whole   these are all pages: those before are no more
    """

    name: str
    args: dict[str, Any]
    error: CallFailure | UnsetType = UNSET
    pages: list[CallPage] | UnsetType = UNSET
    count: int | UnsetType = UNSET
    whole: Literal[True] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.error is UNSET and self.pages is UNSET:
            self.check()
        elif self.is_any or UNSET not in (self.error, self.pages):
            raise ValueError("one of an answer, `error` and `pages`")
        if (self.pages is UNSET) != (self.count is UNSET):
            raise ValueError("`pages` with their `count`, and neither without the other")


class RefreshOk(_Strict, tag_field="op", tag="refresh-ok"):
    """Answers that changed. If attrs changed too, the client applies those first (P24, P81).

    processed_tx_id   each computation and call contains every transaction up to this one
    catalog           the name of `attrs`, for clients that resume (P75)
    calls             answers of functions, for clients that agreed on `functions`
    """

    processed_tx_id: TxNumber
    computations: list[Computation]
    attrs: list[Attr] | UnsetType = UNSET
    catalog: str | UnsetType = UNSET
    calls: list[CallNews] | UnsetType = UNSET


class RemoveQueryOk(_Strict, tag_field="op", tag="remove-query-ok"):
    """The query is not live any more, or never was; `q` is null if it was no object."""

    client_event_id: str | None
    q: dict[str, Any] | None


class TransactOk(_Strict, tag_field="op", tag="transact-ok"):
    """The transaction is durable and has this id."""

    client_event_id: str | None
    tx_id: TxNumber


class CallOk(_Strict, tag_field="op", tag="call-ok"):
    """A function returned.

    tx_id   of a mutation: its transaction, durable; one that wrote nothing has the id of the state
            that it read, 0 before the first
    """

    client_event_id: str | None
    value: Any
    tx_id: Annotated[int, Meta(ge=0)] | UnsetType = UNSET


class AddCallOk(_CallValue, kw_only=True, tag_field="op", tag="add-call-ok"):
    """What a watched function answers; `name` and `args` are repeated as they were sent.

    pages             of a list, in place of the value: all that are loaded
    processed_tx_id   the value contains every transaction up to this one
    """

    client_event_id: str | None
    name: str
    args: dict[str, Any]
    processed_tx_id: Annotated[int, Meta(ge=0)]
    pages: list[CallPage] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.pages is UNSET:
            self.check()
        elif self.is_any:
            raise ValueError("either an answer or `pages`")


class JoinRoomOk(_Strict, tag_field="op", tag="join-room-ok"):
    """The session is in the room; `refresh-presence` follows."""

    room_id: str
    client_event_id: str | None


class JoinRoomError(_Strict, tag_field="op", tag="join-room-error"):
    """The session is not in the room, because the rules of rooms do not allow it; or it was a
    member, and lost the right: then `client_event_id` is null. A `refresh-presence` without members
    follows, by which the official client learns that it waits in vain."""

    room_id: str
    error: str
    client_event_id: str | None


class LeaveRoomOk(_Strict, tag_field="op", tag="leave-room-ok"):
    """The session is not in the room any more, or never was."""

    room_id: str
    client_event_id: str | None


class SetPresenceOk(_Strict, tag_field="op", tag="set-presence-ok"):
    """The presence is set; the others are told with the next patch."""

    room_id: str
    client_event_id: str | None


class PeerUser(_Strict):
    """The user of a member."""

    id: Uuid


class Peer(_Strict):
    """What one member of a room shows.

    peer_id   the id of its session, or the name that a server gave it
    data      JSON of any form
    """

    peer_id: str
    instance_id: str
    user: PeerUser | None
    data: Any


class RefreshPresence(_Strict, tag_field="op", tag="refresh-presence"):
    """The whole state of a room, by peer id; the receiver is in it too."""

    room_id: str
    data: dict[str, Peer]


PresenceEdit = Annotated[list[Any], Meta(min_length=2, max_length=3)]
"""`[path, "+" | "r", value]` or `[path, "-"]`; a path begins with the peer id (instant-realtime
§9.1)."""


class PatchPresence(_Strict, tag_field="op", tag="patch-presence"):
    """The edits that lead to the current state of a room, in order."""

    room_id: str
    edits: Annotated[list[PresenceEdit], Meta(min_length=1)]


class TopicContent(_Strict):
    """A message to a topic, and its sender."""

    peer_id: str | None
    user: PeerUser | None
    data: Any


class ServerBroadcast(_Strict, tag_field="op", tag="server-broadcast"):
    """Another member, or a server, sent a message to a topic of the room."""

    room_id: str
    topic: str
    data: TopicContent


class ClientBroadcastOk(_Strict, tag_field="op", tag="client-broadcast-ok"):
    """The message was handed to the room."""

    room_id: str
    topic: str
    data: TopicContent
    client_event_id: str | None


class StartSyncOk(_Strict, tag_field="op", tag="start-sync-ok"):
    """The sync table is there, and its entities follow.

    token   what `resync-table` must present
    """

    client_event_id: str | None
    q: dict[str, Any]
    subscription_id: Uuid
    token: str


class SyncLoadBatch(_Strict, tag_field="op", tag="sync-load-batch"):
    """Some entities of a sync table, each with all its triples of cardinality one."""

    subscription_id: Uuid
    join_rows: list[list[Triple]]


class SyncInitFinish(_Strict, tag_field="op", tag="sync-init-finish"):
    """All entities were sent, as of this transaction."""

    subscription_id: Uuid
    tx_id: Annotated[int, Meta(ge=0)]


class SyncChange(_Strict):
    """One triple that was added or removed."""

    action: Literal["added", "removed"]
    triple: Triple


class SyncTx(_Strict):
    """What one transaction changed in a sync table."""

    tx_id: TxNumber
    changes: list[SyncChange]


class SyncUpdateTriples(_Strict, tag_field="op", tag="sync-update-triples"):
    """What transactions changed in a sync table, oldest first."""

    subscription_id: Uuid
    txes: list[SyncTx]


class Error(_Strict, tag_field="op", tag="error"):
    """A message failed. Match `type`, never `message`.

    status           from the table of codes: 400, or 500 where the server is at fault
    type             the code, see spec/errors.md
    message          one sentence for people
    hint             for programs
    original_event   the message that failed, or the part that is repeated of it (P33, P116)
    trace_id         the name of the failure in the server's log
    """

    status: Literal[400, 500]
    type: ErrorCode
    message: str
    hint: dict[str, Any]
    client_event_id: str | None
    original_event: msgspec.Raw
    trace_id: Uuid


class SseInit(_Strict, tag_field="op", tag="sse-init"):
    """The first event of an event stream. Pushes to it must present its id and token (P50)."""

    machine_id: Uuid
    session_id: Uuid
    sse_token: Uuid


class StartStreamOk(_Strict, tag_field="op", tag="start-stream-ok"):
    """The session is the writer of the stream; `offset` bytes are durable (ST1)."""

    client_event_id: str | None
    client_id: str
    stream_id: Uuid
    offset: Annotated[int, Meta(ge=0)]


class StreamFlushed(_Strict, tag_field="op", tag="stream-flushed"):
    """`offset` bytes of the stream are durable; with `done` so is its end (ST4)."""

    stream_id: Uuid
    offset: Annotated[int, Meta(ge=0)]
    done: bool


class AppendFailed(_Strict, tag_field="op", tag="append-failed"):
    """What was not flushed is lost; the writer starts again and sends it once more (ST5)."""

    stream_id: Uuid


class StreamFile(_Strict):
    """A durable part of a stream, to be read at `url`."""

    id: Uuid
    size: Annotated[int, Meta(ge=0)]
    url: str


class StreamAppend(_Strict, tag_field="op", tag="stream-append"):
    """What a reader of a stream was not told yet: the files, then the content (ST6).

    offset   of the first byte; it may lie before what the reader has, never after
    error    the reader is told nothing more; with `retry` it may subscribe again
    """

    client_event_id: str | None
    stream_id: Uuid
    client_id: str
    offset: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    files: list[StreamFile] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    done: Literal[True] | UnsetType = UNSET
    abort_reason: str | UnsetType = UNSET
    error: str | UnsetType = UNSET


Down = (
    InitOk
    | AddQueryOk
    | RefreshOk
    | RemoveQueryOk
    | TransactOk
    | CallOk
    | AddCallOk
    | JoinRoomOk
    | JoinRoomError
    | LeaveRoomOk
    | SetPresenceOk
    | RefreshPresence
    | PatchPresence
    | ServerBroadcast
    | ClientBroadcastOk
    | StartStreamOk
    | StreamFlushed
    | AppendFailed
    | StreamAppend
    | StartSyncOk
    | SyncLoadBatch
    | SyncInitFinish
    | SyncUpdateTriples
    | Error
    | SseInit
)
