"""The messages that the server sends, as bytes. Parts that many sockets share are encoded once.

Parameters named `*_json` are JSON already: a shared result, catalog or query goes into each
message as it is. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from trice.protocol.ids import SessionId, TxId
from trice.protocol.shared import JoinedFrame, SharedFrame, SharedPart


def init_ok(
    session_id: SessionId,
    *,
    event_id: str | None,
    app: Mapping[str, Any],
    attrs: SharedPart | None,
    trice: Mapping[str, Any] | None = None,
) -> JoinedFrame:
    """The session is open (instant-realtime §3.2).

    attrs   JSON of the whole catalog; None when the client holds it already
    trice   the answer to the `trice` of `init` (P71)
    """
    head = {
        "op": "init-ok",
        "session-id": session_id,
        "client-event-id": event_id,
        "auth": {"app": app, "user": None},
    }
    tail: dict[str, Any] = {"app-status": {"status": "active"}}
    if trice is not None:
        tail["trice"] = trice
    parts: list[bytes | SharedPart] = [orjson.dumps(head)[:-1]]
    if attrs is not None:
        parts += (b',"attrs":', attrs)
    parts += (b",", orjson.dumps(tail)[1:])
    return JoinedFrame(parts)


def add_query_ok(
    *,
    event_id: str | None,
    q_json: bytes,
    result: SharedPart,
    meta_json: bytes,
    tx: TxId,
    names: bytes = b"",
) -> JoinedFrame:
    """The current answer to a query, for each `add-query` (§5.2).

    result  JSON of the answer
    names   see `names_of`; empty for clients that did not ask for versions
    """
    return JoinedFrame(
        (
            b'{"op":"add-query-ok","client-event-id":',
            orjson.dumps(event_id),
            b',"q":',
            q_json,
            b',"result":',
            result,
            b',"result-meta":',
            meta_json,
            b',"processed-tx-id":%d' % tx,
            b"," + names if names else b"",
            b"}",
        )
    )


def add_query_ok_from_held(*, event_id: str | None, change: bytes, tx: TxId) -> bytes:
    """The answer to a query for a client that holds an earlier answer, or this one (P82, P83).

    change   see `change_of`
    """
    return b"".join(
        (
            b'{"op":"add-query-ok","client-event-id":',
            orjson.dumps(event_id),
            b',"processed-tx-id":%d,' % tx,
            change,
            b"}",
        )
    )


def computation(*, q_json: bytes, result_json: bytes, meta_json: bytes) -> bytes:
    """The new answer of one query inside `refresh-ok` (§5.3)."""
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


def names_of(query_id: bytes, version: bytes) -> bytes:
    """The keys that name a full answer, without braces, for clients that asked for versions
    (P76)."""
    return b'"query-id":"%b","version":"%b"' % (query_id, version)


def named_computation(full: bytes, names: bytes) -> bytes:
    """`computation` with its `names_of`."""
    return b"%b,%b}" % (full[:-1], names)


def change_of(query_id: bytes, *, held: bytes, version: bytes, delta: bytes | None) -> bytes:
    """The keys that lead from the version that a client holds to another, without braces (P77).

    delta   None when the versions are the same
    """
    return b'"query-id":"%b","from":"%b","version":"%b"%b' % (
        query_id,
        held,
        version,
        b"" if delta is None else b',"delta":' + delta,
    )


def delta(
    *,
    removed: Iterable[bytes],
    changed: Iterable[bytes],
    added: Iterable[bytes],
    data_json: bytes | None,
) -> bytes:
    """The steps from the content of one answer to another's (P77). Empty lists are left out.

    removed         `[e,a]` or `[e,a,v]`
    changed, added  `[e,a,v,t]`
    data_json       None when it is as before
    """
    lists = ((b"removed", removed), (b"changed", changed), (b"added", added))
    found = [(name, b",".join(triples)) for name, triples in lists]
    members = [b'"%b":[%b]' % (name, joined) for name, joined in found if joined]
    if data_json is not None:
        members.append(b'"data":' + data_json)
    return b"{%b}" % b",".join(members)


def refresh_ok(
    computations: Iterable[bytes | SharedPart],
    *,
    tx: TxId,
    attrs: SharedPart | None,
    catalog: str | None = None,
    calls: Sequence[SharedPart] = (),
) -> JoinedFrame:
    """New answers, each of which contains every transaction up to `tx`; `attrs` if they changed.

    catalog   the name of these `attrs`, for clients that resume (P75)
    calls     answers of functions, see `call_news`; none for clients that did not ask for them
    """
    parts: list[bytes | SharedPart] = [b'{"op":"refresh-ok","processed-tx-id":%d' % max(tx, 1)]
    if attrs is not None:
        parts += (b',"attrs":', attrs)
    if catalog is not None:
        parts.append(b',"catalog":"%b"' % catalog.encode())
    parts.append(b',"computations":[')
    for number, element in enumerate(computations):
        parts += (b",", element) if number else (element,)
    parts.append(b"]")
    for number, call in enumerate(calls):
        parts += (b"," if number else b',"calls":[', call)
    parts.append(b"]}" if calls else b"}")
    return JoinedFrame(parts)


def call_delta(*, rest: bytes | None, lists: Mapping[str, Mapping[str, bytes]]) -> bytes:
    """The steps from one value of a watched function to another (FN581).

    rest    the value with its lists empty; None when it is as before
    lists   by path: JSON of what changed, by `gone`, `put` and `order`
    """
    members = [] if rest is None else [b'"rest":' + rest]
    told = [
        b"%b:{%b}"
        % (orjson.dumps(path), b",".join(b'"%b":%b' % (k.encode(), v) for k, v in each.items()))
        for path, each in lists.items()
    ]
    if told:
        members.append(b'"lists":{%b}' % b",".join(told))
    return b"{%b}" % b",".join(members)


def call_value(value: bytes, *, version: bytes = b"") -> bytes:
    """The keys with the whole value of a watched function, without braces.

    version   the name of the value, for clients that agreed on `call-delta`; empty for others
    """
    return b'"value":%b%b' % (value, b',"version":"%b"' % version if version else b"")


def call_change(*, held: bytes, version: bytes, delta: bytes | None) -> bytes:
    """The keys that lead from the value that a client holds to another, without braces (FN581).

    delta   None when the versions are the same
    """
    tail = b"" if delta is None else b',"delta":' + delta
    return b'"from":"%b","version":"%b"%b' % (held, version, tail)


def call_news(name: str, args_json: bytes, *, said: bytes, error: bytes = b"") -> bytes:
    """What a watched function answers now, inside `refresh-ok` (FN233).

    said    `call_value` or `call_change`
    error   JSON; the error in the place of both
    """
    answer = b'"error":' + error if error else said
    return b'{"name":%b,"args":%b,%b}' % (orjson.dumps(name), args_json, answer)


def call_page(
    at: int, *, until: str | None, is_new: bool, value: bytes | None, error: bytes = b""
) -> bytes:
    """A page of a list that is watched (FN612); `value` and `error` as in `call_news`."""
    answer = b'"error":' + error if value is None else b'"value":' + value
    new = b'"new":true,' if is_new else b""
    return b'{"at":%d,"until":%b,%b%b}' % (at, orjson.dumps(until), new, answer)


def list_news(
    name: str, args_json: bytes, pages: Iterable[bytes], *, count: int, is_whole: bool
) -> bytes:
    """Pages of a list that changed, inside `refresh-ok`: `pages` as from `call_page`."""
    return b'{"name":%b,"args":%b,"pages":[%b],"count":%d%b}' % (
        orjson.dumps(name),
        args_json,
        b",".join(pages),
        count,
        b',"whole":true' if is_whole else b"",
    )


def call_pages(pages: Iterable[bytes]) -> bytes:
    """The keys that tell a list that is watched, inside `add_call_ok`: `pages` as from `call_page`,
    all of them."""
    return b'"pages":[%b]' % b",".join(pages)


def add_call_ok(
    name: str, args_json: bytes, *, event_id: str | None, said: SharedPart, tx: TxId
) -> JoinedFrame:
    """What a watched function answers, for each `add-call`.

    said   `call_value`, `call_change` or `call_pages`
    """
    head = b'{"op":"add-call-ok","client-event-id":%b,"name":%b,"args":%b,' % (
        orjson.dumps(event_id),
        orjson.dumps(name),
        args_json,
    )
    return JoinedFrame((head, said, b',"processed-tx-id":%d}' % tx))


def call_ok(value: bytes, *, event_id: str | None, tx: TxId | None) -> bytes:
    """A function returned `value`, JSON; `tx` of a mutation."""
    tail = b"" if tx is None else b',"tx-id":%d' % tx
    return b'{"op":"call-ok","client-event-id":%b,"value":%b%b}' % (
        orjson.dumps(event_id),
        value,
        tail,
    )


def remove_query_ok(q_json: bytes, *, event_id: str | None) -> bytes:
    """The query is not live any more, or never was."""
    return b'{"op":"remove-query-ok","client-event-id":%b,"q":%b}' % (
        orjson.dumps(event_id),
        q_json,
    )


def transact_ok(tx: TxId, *, event_id: str | None) -> bytes:
    """The transaction is durable and has this id (§6.6)."""
    return b'{"op":"transact-ok","client-event-id":%b,"tx-id":%d}' % (orjson.dumps(event_id), tx)


def join_room_ok(room_id: str, *, event_id: str | None) -> bytes:
    """The session is in the room (§9.1)."""
    return _room_ok(b"join-room-ok", room_id, event_id)


def join_room_error(room_id: str, error: str, *, event_id: str | None) -> bytes:
    """The session is not in the room (any more): the rules of rooms do not allow it."""
    told = {"op": "join-room-error", "room-id": room_id, "error": error}
    return orjson.dumps({**told, "client-event-id": event_id})


def leave_room_ok(room_id: str, *, event_id: str | None) -> bytes:
    """The session is not in the room any more, or never was."""
    return _room_ok(b"leave-room-ok", room_id, event_id)


def set_presence_ok(room_id: str, *, event_id: str | None) -> bytes:
    """The presence is set, and the others will be told."""
    return _room_ok(b"set-presence-ok", room_id, event_id)


def _room_ok(op: bytes, room_id: str, event_id: str | None) -> bytes:
    named = orjson.dumps({"room-id": room_id, "client-event-id": event_id})
    return b'{"op":"%b",%b' % (op, named[1:])


def refresh_presence(room_id: str, entries: Mapping[str, Any]) -> SharedFrame:
    """The whole state of a room: what each member shows, by peer id."""
    message = {"op": "refresh-presence", "room-id": room_id, "data": entries}
    return SharedFrame(orjson.dumps(message))


def patch_presence(room_id: str, edits: list[list[Any]]) -> SharedFrame:
    """The edits that lead from the state that was told last to the current one."""
    return SharedFrame(orjson.dumps({"op": "patch-presence", "room-id": room_id, "edits": edits}))


def topic_content(peer_id: str | None, user_id: str | None, data_json: bytes) -> bytes:
    """The content of a message to a topic, with its sender."""
    return orjson.dumps(
        {
            "peer-id": peer_id,
            "user": None if user_id is None else {"id": user_id},
            "data": orjson.Fragment(data_json),
        }
    )


def server_broadcast(room_id: str, topic: str, content: bytes) -> SharedFrame:
    """A message to a topic, for the other members of the room."""
    return SharedFrame(
        orjson.dumps(
            {
                "op": "server-broadcast",
                "room-id": room_id,
                "topic": topic,
                "data": orjson.Fragment(content),
            }
        )
    )


def client_broadcast_ok(room_id: str, topic: str, content: bytes, *, event_id: str | None) -> bytes:
    """The message was handed to the room."""
    return orjson.dumps(
        {
            "op": "client-broadcast-ok",
            "room-id": room_id,
            "topic": topic,
            "data": orjson.Fragment(content),
            "client-event-id": event_id,
        }
    )


def start_stream_ok(*, event_id: str | None, client_id: str, stream_id: str, offset: int) -> bytes:
    """The session is the writer of a stream (§10.1)."""
    return orjson.dumps(
        {
            "op": "start-stream-ok",
            "client-event-id": event_id,
            "client-id": client_id,
            "stream-id": stream_id,
            "offset": offset,
        }
    )


def stream_flushed(stream_id: str, *, offset: int, is_done: bool) -> bytes:
    """`offset` bytes of a stream are durable (§10.1)."""
    return orjson.dumps(
        {"op": "stream-flushed", "stream-id": stream_id, "offset": offset, "done": is_done}
    )


def append_failed(stream_id: str) -> bytes:
    """The writer must start again, and send what was not flushed (§10.1)."""
    return orjson.dumps({"op": "append-failed", "stream-id": stream_id})


def stream_append(
    *, event_id: str | None, stream_id: str, client_id: str, told: Mapping[str, Any]
) -> bytes:
    """What a reader of a stream was not told yet (§10.2).

    told   `offset`, `files`, `content`, `done`, `abort-reason`, `error`; each may be left out
    """
    return orjson.dumps(
        {
            "op": "stream-append",
            "client-event-id": event_id,
            "stream-id": stream_id,
            "client-id": client_id,
            **told,
        }
    )


def start_sync_ok(q_json: bytes, *, event_id: str | None, table_id: str, token: str) -> bytes:
    """The sync table is there (§11)."""
    return orjson.dumps(
        {
            "op": "start-sync-ok",
            "client-event-id": event_id,
            "q": orjson.Fragment(q_json),
            "subscription-id": table_id,
            "token": token,
        }
    )


def sync_load_batch(rows: Iterable[bytes], *, table_id: str) -> bytes:
    """Some entities of a sync table (§11).

    rows   each has the triples of one entity, `["e","a",1,9],…`
    """
    joined = b"],[".join(rows)
    head = b'{"op":"sync-load-batch","subscription-id":"%b"' % table_id.encode()
    return b'%b,"join-rows":[[%b]]}' % (head, joined)


def sync_init_finish(tx: TxId, *, table_id: str) -> bytes:
    """All entities were sent (§11)."""
    return orjson.dumps({"op": "sync-init-finish", "subscription-id": table_id, "tx-id": tx})


def sync_update_triples(txes: Iterable[tuple[TxId, bytes]], *, table_id: str) -> bytes:
    """What transactions changed in a sync table (§11).

    txes   with `{"action":"added","triple":[…]},…` of each
    """
    joined = b",".join([b'{"tx-id":%d,"changes":[%b]}' % pair for pair in txes])
    head = b'{"op":"sync-update-triples","subscription-id":"%b"' % table_id.encode()
    return b'%b,"txes":[%b]}' % (head, joined)


def error(
    body: Mapping[str, Any],
    *,
    status: int,
    event_id: str | None,
    original_json: bytes,
    trace_id: str,
) -> bytes:
    """A failure (§7.1). Clients find the request that failed by `original_json`, their message."""
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


def sse_init(session_id: SessionId, *, machine_id: str, sse_token: str) -> bytes:
    """First event of an SSE connection, whose pushes must present its session id and token
    (§2.2)."""
    return orjson.dumps(
        {
            "op": "sse-init",
            "machine-id": machine_id,
            "session-id": session_id,
            "sse-token": sse_token,
        }
    )
