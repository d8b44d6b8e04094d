"""What the server sends, as encoded bytes; parts that many sockets share are encoded once.

Parameters named `*_json` are JSON already: a shared result, catalog or query goes into each
message as it is. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from trice.protocol.ids import SessionId, TxId

Frame = bytes
"""One message, encoded."""


def init_ok(
    session_id: SessionId, *, event_id: str | None, app: Mapping[str, Any], attrs_json: bytes
) -> Frame:
    """The session is open; `attrs` is the whole catalog (instant-realtime §3.2)."""
    return orjson.dumps(
        {
            "op": "init-ok",
            "session-id": session_id,
            "client-event-id": event_id,
            "auth": {"app": app, "user": None},
            "attrs": orjson.Fragment(attrs_json),
            "app-status": {"status": "active"},
        }
    )


def add_query_ok(
    *, event_id: str | None, q_json: bytes, result_json: bytes, meta_json: bytes, tx: TxId
) -> Frame:
    """The first, or once more the current, answer to a query (§5.2)."""
    return b"".join(
        (
            b'{"op":"add-query-ok","client-event-id":',
            orjson.dumps(event_id),
            b',"q":',
            q_json,
            b',"result":',
            result_json,
            b',"result-meta":',
            meta_json,
            b',"processed-tx-id":%d}' % max(tx, 1),
        )
    )


def computation(*, q_json: bytes, result_json: bytes, meta_json: bytes) -> bytes:
    """One query's new answer inside `refresh-ok` (§5.3)."""
    return b"".join(
        (
            b'{"instaql-query":',
            q_json,
            b',"instaql-result":',
            result_json,
            b',"result-meta":',
            meta_json,
            b',"result-changed?":true}',
        )
    )


def refresh_ok(computations: Iterable[bytes], *, tx: TxId, attrs_json: bytes | None) -> Frame:
    """New answers, each containing every transaction up to `tx`; `attrs` if they changed."""
    return b"".join(
        (
            b'{"op":"refresh-ok","processed-tx-id":%d' % max(tx, 1),
            b"" if attrs_json is None else b',"attrs":' + attrs_json,
            b',"computations":[',
            b",".join(computations),
            b"]}",
        )
    )


def remove_query_ok(q_json: bytes, *, event_id: str | None) -> Frame:
    """The subscription is gone, or never was."""
    return b'{"op":"remove-query-ok","client-event-id":%b,"q":%b}' % (
        orjson.dumps(event_id),
        q_json,
    )


def transact_ok(tx: TxId, *, event_id: str | None) -> Frame:
    """The transaction is durable and has this id (§6.6)."""
    return b'{"op":"transact-ok","client-event-id":%b,"tx-id":%d}' % (orjson.dumps(event_id), tx)


def error(
    body: Mapping[str, Any],
    *,
    status: int,
    event_id: str | None,
    original_json: bytes,
    trace_id: str,
) -> Frame:
    """A failure (§7.1). `original_json` is the message that caused it, which clients route by."""
    return orjson.dumps(
        {
            "op": "error",
            "status": status,
            **body,
            "client-event-id": event_id,
            "original-event": orjson.Fragment(original_json),
            "trace-id": trace_id,
        }
    )


def sse_init(session_id: SessionId, *, machine_id: str, sse_token: str) -> Frame:
    """First event of an SSE connection: what its pushes must present (§2.2)."""
    return orjson.dumps(
        {
            "op": "sse-init",
            "machine-id": machine_id,
            "session-id": session_id,
            "sse-token": sse_token,
        }
    )
