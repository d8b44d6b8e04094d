"""What a client may send over a WebSocket or an SSE push (instant-realtime §3, §5, §6,
§11).

    {"op":"init","client-event-id":"…","app-id":"…","refresh-token":"…","__admin-token":"…",
     "trice":{"version":1,"features":["delta","resume"],"tx":41,"catalog":"…"}}
    {"op":"add-query","client-event-id":"…","q":{…},"return-type":"join-rows"|"tree","held":"…"}
    {"op":"remove-query","client-event-id":"…","q":{…}}
    {"op":"transact","client-event-id":"…","tx-steps":[[…],…]}

Unknown keys are ignored. Absent and null are the same. Some keys are `Any` here, because a handler
checks them, with error texts of its own. Their form stands beside them, for generators of clients
(`make gen`), and costs the decoder nothing. No I/O.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

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


class _Up(msgspec.Struct, rename="kebab", tag_field="op"):
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


Up = Init | AddQuery | RemoveQuery | Transact | StartSync | ResyncTable | RemoveSync

NOT_BUILT_OPS: Final = {
    "join-room": "Rooms",
    "leave-room": "Rooms",
    "set-presence": "Rooms",
    "client-broadcast": "Rooms",
    "start-stream": "Streams",
    "append-stream": "Streams",
    "subscribe-stream": "Streams",
    "unsubscribe-stream": "Streams",
}
"""Ops of the protocol that this version answers with `not-built`, with the feature of each."""
