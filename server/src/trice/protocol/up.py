"""What a client may send over a WebSocket or an SSE push (instant-realtime §3, §5, §6,
§11).

    {"op":"init","client-event-id":"…","app-id":"…","refresh-token":"…","__admin-token":"…",
     "trice":{"version":1,"features":["delta","resume","functions"],"tx":41,"catalog":"…"}}
    {"op":"add-query","client-event-id":"…","q":{…},"return-type":"join-rows"|"tree","held":"…"}
    {"op":"remove-query","client-event-id":"…","q":{…}}
    {"op":"transact","client-event-id":"…","tx-steps":[[…],…]}
    {"op":"start-stream","client-event-id":"…","client-id":"…","reconnect-token":"…"}
    {"op":"append-stream","client-event-id":"…","stream-id":"…","chunks":["…"],"offset":0}
    {"op":"subscribe-stream","client-event-id":"…","client-id":"…","offset":0}
    {"op":"unsubscribe-stream","client-event-id":"…","subscribe-event-id":"…"}
    {"op":"call","client-event-id":"…","name":"messages.send","args":{…},"parallel":false}
    {"op":"add-call","client-event-id":"…","name":"messages.recent","args":{…}}
    {"op":"remove-call","client-event-id":"…","name":"messages.recent","args":{…}}
    {"op":"add-call","client-event-id":"…","name":"messages.history","args":{…},"paged":true}
    {"op":"more-call","client-event-id":"…","name":"messages.history","args":{…}}

Unknown keys are ignored. Absent and null are the same. Some keys are `Any` here, because a handler
checks them, with error texts of its own. Their form stands beside them, for generators of clients
(`make gen`), and costs the decoder nothing. No I/O.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


def _told(schema: dict[str, Any], *, is_required: bool = False) -> Meta:
    """The form of a value as JSON Schema, where the decoder takes any value.

    is_required   whether a handler refuses the message without it
    """
    return Meta(extra_json_schema=schema, extra={"is_required": is_required})


OptionalUuid = Annotated[Any, _told({"type": ["string", "null"], "format": "uuid"})]
Query = Annotated[
    Any,
    _told({"type": "object", "description": "An InstaQL query (spec/query.md)."}, is_required=True),
]


class _Up(msgspec.Struct, rename="kebab", tag_field="op", kw_only=True):
    """Fields every message has.

    client_event_id   chosen by the client; answers echo it
    """

    client_event_id: str | None = None


class Announced(msgspec.Struct, rename="kebab"):
    """What a client that knows trice's extensions says of itself in `init` (P71-P75).

    version    the newest version it speaks
    features   the features it asks for
    tx         the highest transaction id it has seen
    catalog    the name of the catalog it holds
    """

    version: Annotated[int, Meta(ge=1)]
    features: list[str] | None = None
    tx: Annotated[int, Meta(ge=0)] | None = None
    catalog: str | None = None


class Init(_Up, tag="init"):
    """Opens the session: names its app, and proves its identity.

    refresh_token   that of the user who asks; null for a guest
    admin_token     that of the app; if it is there, `refresh_token` is ignored
    versions        those of the client's packages; not read
    trice           asks for features beyond Instant's protocol
    """

    app_id: Annotated[Any, _told({"type": "string", "format": "uuid"}, is_required=True)] = None
    refresh_token: OptionalUuid = None
    admin_token: OptionalUuid = msgspec.field(name="__admin-token", default=None)
    versions: Annotated[Any, _told({"type": ["object", "null"]})] = None
    trice: Annotated[Any, _told({"anyOf": [{"$ref": "#/$defs/Announced"}, {"type": "null"}]})] = (
        None
    )


class AddQuery(_Up, tag="add-query"):
    """Subscribes to a query.

    return_type   "tree" asks for nested objects instead of triples; null is "join-rows"
    is_inferring  with "tree": a link to at most one entity is that object or null (Q79)
    held          version of the answer that the client still has, if `resume` was agreed on
    """

    q: Query = None
    return_type: Annotated[Any, _told({"enum": ["join-rows", "tree", None]})] = None
    is_inferring: Annotated[Any, _told({"type": ["boolean", "null"]})] = msgspec.field(
        name="inference?", default=None
    )
    held: Annotated[Any, _told({"type": ["string", "null"]})] = None


class RemoveQuery(_Up, tag="remove-query"):
    """Ends the subscription to `q`, in every shape it was asked for; unknown ones are no error."""

    q: Query = None


class Transact(_Up, tag="transact"):
    """Applies `tx_steps` as one transaction, all or nothing."""

    tx_steps: Annotated[
        Any, _told({"type": "array", "items": {"$ref": "#/$defs/Step"}}, is_required=True)
    ] = None


RoomId = Annotated[Any, _told({"type": "string"}, is_required=True)]


class JoinRoom(_Up, tag="join-room"):
    """Enters a room.

    room_type    the kind of room: rules of rooms are by type
    data         what the session shows at first; null is `{}`
    rule_params  what rules of rooms read as `ruleParams` (trice only)
    """

    room_id: RoomId = None
    room_type: Annotated[Any, _told({"type": ["string", "null"]})] = None
    data: Any = None
    rule_params: Annotated[Any, _told({"type": ["object", "null"]})] = None


class LeaveRoom(_Up, tag="leave-room"):
    """Leaves a room; no error if the session is not in it."""

    room_id: RoomId = None


class SetPresence(_Up, tag="set-presence"):
    """Shows something else in a room, in place of all that was shown before; null is `{}`."""

    room_id: RoomId = None
    data: Any = None


class ClientBroadcast(_Up, tag="client-broadcast"):
    """Sends a message to a topic, for all others in the room."""

    room_id: RoomId = None
    topic: Annotated[Any, _told({"type": "string"}, is_required=True)] = None
    data: Any = None


class StartStream(_Up, kw_only=True, tag="start-stream"):
    """Makes the session the writer of a stream, which is made if there is none (ST1).

    client_id         the name of the stream
    reconnect_token   proves later that the same writer comes back
    """

    client_id: str
    reconnect_token: str
    rule_params: dict[str, Any] | None = None


class AppendStream(_Up, kw_only=True, tag="append-stream"):
    """Adds text to a stream of which the session is the writer (ST3).

    offset         where it begins, in bytes of UTF-8: the end of the stream
    done           nothing follows
    abort_reason   why it ended early
    """

    stream_id: str
    chunks: list[str]
    offset: Annotated[int, Meta(ge=0)]
    done: bool | None = None
    abort_reason: str | None = None


class SubscribeStream(_Up, kw_only=True, tag="subscribe-stream"):
    """Reads a stream from an offset on, and follows it (ST6). Either id is enough."""

    stream_id: str | None = None
    client_id: str | None = None
    offset: Annotated[int, Meta(ge=0)] | None = None
    rule_params: dict[str, Any] | None = None


class UnsubscribeStream(_Up, kw_only=True, tag="unsubscribe-stream"):
    """Ends what the `subscribe-stream` with this event id began."""

    subscribe_event_id: str


class StartSync(_Up, tag="start-sync"):
    """Asks an admin's session for a namespace whole, and for every change of it."""

    q: Query = None


class ResyncTable(_Up, tag="resync-table"):
    """Continues a sync table after the last transaction that the client has.

    token   as `start-sync-ok` told it
    """

    subscription_id: str = ""
    tx_id: Annotated[int, Meta(ge=0)] = 0
    token: str = ""


class RemoveSync(_Up, tag="remove-sync"):
    """Ends a sync table; there is no answer, and unknown ones are no error.

    keep_subscription   whether the client may continue it later; the server keeps nothing for that
    """

    subscription_id: str = ""
    keep_subscription: bool | None = None


FunctionName = Annotated[Any, _told({"type": "string"}, is_required=True)]
Arguments = Annotated[Any, _told({"type": ["object", "null"]})]
Paged = Annotated[Any, _told({"type": ["boolean", "null"]})]


class Call(_Up, tag="call"):
    """Calls a function once, if `functions` was agreed on (FN200). The event id of a mutation names
    it: sent again, it is answered as it was, and not run.

    args       by name; null is `{}`
    parallel   a mutation that neither waits for the writes before it nor holds those after it
    """

    name: FunctionName = None
    args: Arguments = None
    parallel: Annotated[Any, _told({"type": ["boolean", "null"]})] = None


class AddCall(_Up, tag="add-call"):
    """Watches what a query function answers (FN230), or what it lists, page by page (FN610).

    held    version of the value that the client still has, if `call-delta` was agreed on (FN583)
    paged   it is a list: the first page is loaded, and `more-call` loads another
    pages   the `until` of each page that is loaded at once; of the last one it may be "" or null
    """

    name: FunctionName = None
    args: Arguments = None
    paged: Paged = None
    pages: Annotated[Any, _told({"type": ["array", "null"]})] = None
    held: Annotated[Any, _told({"type": ["string", "null"]})] = None


class MoreCall(_Up, tag="more-call"):
    """Loads the page behind the last one of a list that is watched. It is told by `refresh-ok`."""

    name: FunctionName = None
    args: Arguments = None


class RemoveCall(_Up, tag="remove-call"):
    """Ends that, without an answer; unknown ones are no error.

    paged   the list is meant, not the call of these arguments
    """

    name: FunctionName = None
    args: Arguments = None
    paged: Paged = None


Up = (
    Init
    | AddQuery
    | RemoveQuery
    | Transact
    | JoinRoom
    | LeaveRoom
    | SetPresence
    | ClientBroadcast
    | StartStream
    | AppendStream
    | SubscribeStream
    | UnsubscribeStream
    | StartSync
    | ResyncTable
    | RemoveSync
    | Call
    | AddCall
    | MoreCall
    | RemoveCall
)
