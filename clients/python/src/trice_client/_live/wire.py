"""Messages of a session. Of those that come only what is read is made. No I/O.

source   spec/protocol.schema.json; instant-realtime §3, §5, §9
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Answer(msgspec.Struct, rename="kebab"):
    """One answer of a query, of `add-query-ok` or `refresh-ok`."""

    query_id: str | None = None
    version: str | None = None
    held: str | None = msgspec.field(name="from", default=None)
    result: Any = UNSET
    instaql_query: msgspec.Raw = msgspec.Raw(b"")
    instaql_result: Any = UNSET
    result_meta: dict[str, Any] | None = None


class CallNews(msgspec.Struct):
    """What a watched function answers now."""

    name: str
    args: msgspec.Raw
    value: Any = UNSET
    error: dict[str, Any] | None = None


class Agreed(msgspec.Struct):
    """What the server agreed on."""

    features: list[str] = []
    catalog: str | None = None


class Down(Answer, rename="kebab"):
    """Any message: keys that its op does not have are as here, others are skipped."""

    op: str = ""
    client_event_id: str | None = None
    processed_tx_id: int = 0
    computations: list[Answer] = []
    calls: list[CallNews] = []
    catalog: str | None = None
    session_id: str | None = None
    trice: Agreed | None = None
    value: Any = UNSET
    room_id: str | None = None
    topic: str | None = None
    data: Any = None
    edits: list[Any] = []
    error: str | None = None
    type: str | None = None
    message: str | None = None
    hint: dict[str, Any] | None = None
    status: int | None = None
    trace_id: str | None = None
    original_event: Any = None

    def failure(self) -> dict[str, Any]:
        """The body of an `error`, as HTTP has it."""
        return {
            "type": self.type,
            "message": self.message,
            "hint": self.hint,
            "trace-id": self.trace_id,
        }


_ENCODER = msgspec.json.Encoder()
_CANONICAL = msgspec.json.Encoder(order="sorted")
_DECODER: msgspec.json.Decoder[Down | list[Down]] = msgspec.json.Decoder(Down | list[Down])
Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """The bytes of a message up."""
    return _ENCODER.encode(message)


def decode(raw: bytes) -> list[Down]:
    """The messages of a frame."""
    found = _DECODER.decode(raw)
    return found if isinstance(found, list) else [found]


def canonical(value: Any) -> bytes:
    """A name of a JSON value that is the same for equal ones, whatever the order of keys."""
    return _CANONICAL.encode(value)


def canonical_raw(raw: msgspec.Raw) -> bytes:
    """`canonical` of JSON."""
    return _CANONICAL.encode(msgspec.json.decode(raw))


def is_set(value: Any) -> bool:
    """Whether the message had this key."""
    return not isinstance(value, UnsetType)
