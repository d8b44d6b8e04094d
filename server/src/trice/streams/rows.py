"""Rows of `$streams` and of their parts: who may use them, how they are read and written.

source   instant-realtime §10, §20; spec/streams.md
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeVar

from trice import stream_limits as limits
from trice.database import Change, Database, Look
from trice.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from trice.files.rows import CONTENT_TYPE, DISPOSITION, STREAM_PREFIX, FileRow, upload_steps
from trice.identity import Identity
from trice.protocol.ids import EntityId, find_uuid_bytes
from trice.rules.judge import Caller
from trice.streams.stream import MISSING, Part, Stream, refused, too_long
from trice.system_rows import FoundRow, find_row

STREAMS: Final = "$streams"
FILES: Final = "$files"
OF_ACTIONS: Final = hashlib.sha256(b"an action of the app").hexdigest()
"""What a row keeps in place of a token if an action of this app's functions writes it. No token and
no caller has this hash, so nobody takes it over."""

T = TypeVar("T")


def judge(
    database: Database,
    identity: Identity,
    look: Look,
    action: Literal["create", "view"],
    data: Mapping[str, Any],
    params: Mapping[str, Any],
) -> None:
    """Ask the rule of `$streams`; admins may do everything.

    raises   PermissionDenied("permission-denied")
    """
    if identity.is_admin:
        return
    rights = database.rights
    judge = rights.judge(Caller(identity, params), look.statements, look.catalog)
    program = rights.rules.find(STREAMS, action)
    given = {**data, "done": data.get("done")} if action == "view" else data
    if not judge.allows(program, etype=STREAMS, action=action, data=given, new_data=None):
        raise PermissionDenied(
            "permission-denied",
            "Permission denied: not has-streams-permission?",
            {"input": [STREAMS, action], "expected": "has-streams-permission?"},
        )


def find_stream(look: Look, stream_id: str | None, client_id: str | None) -> FoundRow | None:
    """The row of a stream, by its id or its name."""
    if stream_id is None:
        return find_row(look, STREAMS, "clientId", client_id)
    raw = find_uuid_bytes(stream_id)
    return None if raw is None else find_row(look, STREAMS, "id", raw)


def hash_token(token: str) -> str:
    """What a row keeps of a reconnect token.

    raises   InvalidInput("validation-failed") if it is no uuid
    """
    raw = find_uuid_bytes(token)
    if raw is None:
        raise refused("start-stream", "`reconnect-token` must be a uuid.")
    return hashlib.sha256(raw).hexdigest()


def hash_owner(identity: Identity) -> str | None:
    """What a row keeps in place of a token that was not given: who writes. None for guests, who
    cannot be told apart. No token has such a hash: it would be longer than a uuid."""
    if identity.is_admin:
        return hashlib.sha256(b"the admin of the app").hexdigest()
    if identity.user_id is None:
        return None
    return hashlib.sha256(b"the user of the app " + identity.user_id).hexdigest()


def find_owned(
    look: Look,
    database: Database,
    identity: Identity,
    client_id: str,
    hashed: str,
    params: Mapping[str, Any],
) -> str | None:
    """The id of the stream of this name, for a request that appends; None if there is none.

    raises   PermissionDenied by the rule `create`; Conflict if it belongs to another writer
    """
    judge(database, identity, look, "create", {"clientId": client_id}, params)
    row = find_stream(look, None, client_id)
    if row is None:
        return None
    if row.fields.get("hashedReconnectToken") != hashed:
        raise other_writer()
    return str(row.fields["id"])


def check_name(client_id: str) -> None:
    """Hold that a stream can have this name; raises InvalidInput("validation-failed")."""
    if not 0 < len(client_id) <= limits.CLIENT_ID_CHARS_MAX:
        raise refused(
            "start-stream",
            f"`client-id` must have 1 to {limits.CLIENT_ID_CHARS_MAX} characters.",
        )


def wrong_token() -> InvalidInput:
    """The error for a stream that belongs to another token."""
    return refused(
        "start-stream", "A stream with that clientId already exists. Reconnect token is invalid."
    )


def other_writer() -> Conflict:
    """The same error for a request."""
    return Conflict(
        "stream-conflict",
        "A stream of this name is there already, and belongs to another writer: to another user, or"
        " to another `Stream-Token`.",
    )


async def load(database: Database, stream_id: str) -> Stream:
    """A stream as it is on disk. Its row was there in the last turn of the loop.

    raises   InvalidInput("validation-failed") if it was deleted, LimitExceeded beyond PARTS_MAX
    cost     10 µs a part, some in each turn of the loop
    """
    raw = find_uuid_bytes(stream_id)
    assert raw is not None, "ids of rows are uuids"
    ids = await database.look(partial(_part_ids, stream_id=raw))
    if len(ids) > limits.PARTS_MAX:
        raise too_long()
    found: list[Part] = []
    for page in _pages(ids):
        found += await database.look(partial(_read_parts, ids=page))
        await asyncio.sleep(0)
    found.sort(key=lambda part: part.number)
    start, parts = 0, []
    for few in _pages(found):
        for part in few:
            parts.append(replace(part, start=start))
            start += part.size
        await asyncio.sleep(0)
    row = await database.look(lambda look: find_row(look, STREAMS, "id", raw))
    if row is None:
        raise refused("subscribe-stream", MISSING)
    stream = Stream(stream_id, row.fields["clientId"], parts)
    stream.is_done = stream.is_stored = bool(row.fields.get("done"))
    stream.abort_reason = row.fields.get("abortReason")
    is_of_action = row.fields.get("hashedReconnectToken") == OF_ACTIONS
    stream.is_left = is_of_action and not stream.is_done
    return stream


def _pages(every: Sequence[T]) -> Iterator[Sequence[T]]:
    size = limits.PARTS_READ_AT_ONCE
    return (every[first : first + size] for first in range(0, len(every), size))


def _part_ids(look: Look, *, stream_id: EntityId) -> list[EntityId]:
    attr = look.catalog.find_forward(STREAMS, FILES)
    assert attr is not None, "a system attr is missing"
    pairs = look.stored.find_targets(attr, [stream_id], count=limits.PARTS_MAX + 1)
    return [pair[1] for pair in pairs]


def _read_parts(look: Look, *, ids: Sequence[EntityId]) -> list[Part]:
    parts = []
    for id in ids:
        row = find_row(look, FILES, "id", id)
        if row is not None:
            path, location_id = row.fields["path"], row.fields["location-id"]
            number = int(path.rsplit("/", 1)[1])
            parts.append(Part(row.fields["id"], location_id, 0, int(row.fields["size"]), number))
    return parts


def write_part(change: Change, stream_id: str, part: Part, *, hash: str) -> None:
    """Name the bytes of a part.

    raises   NotFound("record-not-found") if the stream was deleted
    """
    if find_stream(change, stream_id, None) is None:
        raise NotFound("record-not-found", MISSING)
    path = f"{STREAM_PREFIX}{stream_id}/{part.number}"
    row = FileRow(part.file_id, path, part.location_id, hash, part.size, CONTENT_TYPE, DISPOSITION)
    change.write(upload_steps(row))
    change.write(["link", STREAMS, stream_id, {FILES: part.file_id}])


async def delete(database: Database, client_id: str) -> bool:
    """Delete the stream of this name and its parts; return whether there was one."""

    def work(change: Change) -> bool:
        row = find_stream(change, None, client_id)
        if row is not None:
            change.write(["delete", STREAMS, row.fields["id"]])
        return row is not None

    return await database.change(work)


def write_end(change: Change, stream_id: str, *, size: int, abort_reason: str | None) -> None:
    """Say that a stream is done; raises as `write_part`."""
    if find_stream(change, stream_id, None) is None:
        raise NotFound("record-not-found", MISSING)
    told: dict[str, Any] = {"done": True, "size": size}
    if abort_reason is not None:
        told["abortReason"] = abort_reason
    change.write(["update", STREAMS, stream_id, told])
