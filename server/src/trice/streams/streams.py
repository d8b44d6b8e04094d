"""All streams of the process that are written or read now, and what they are on disk.

A stream is in memory while somebody writes or reads it. Else it is a row of `$streams` with parts
in `$files`. Bytes are put first, then one transaction names them: a stop leaves bytes without a row
at worst (instant-realtime §10).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol
from weakref import WeakSet

from trice import stream_limits as limits
from trice.apps.apps import App, Apps
from trice.database import Change, Database, Look
from trice.errors import NotFound, PermissionDenied, Unavailable
from trice.files.rows import CONTENT_TYPE, DISPOSITION, STREAM_PREFIX, FileRow, upload_steps
from trice.identity import Identity
from trice.log import fields
from trice.metrics import StreamCounts
from trice.protocol.ids import AppId, find_uuid_bytes, uuid_text
from trice.rules.judge import Caller
from trice.runtime import Runtime, new_key, new_uuid
from trice.shares import ALL, Held, Shares
from trice.store.commit import Commit
from trice.store.engine import ReadTooLong
from trice.streams.parts import Parts
from trice.streams.stream import MISSING, News, Part, Reader, Stream, refused, too_much
from trice.system_rows import FoundRow, find_row

logger: Final = logging.getLogger("trice.streams")
STREAMS: Final = "$streams"


class Party(Protocol):
    """A session, as writer or reader of streams."""

    @property
    def network(self) -> str:
        """Whose share of the memory its bytes take."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether more may be told to it now."""
        ...

    def on_flushed(self, stream: Stream, *, is_done: bool) -> None:
        """As the writer: everything up to `stream.flushed` is durable."""
        ...

    def on_failed(self, stream: Stream) -> None:
        """As the writer: what was not flushed is lost; start again."""
        ...

    def on_news(self, reader: Reader, stream: Stream, news: News) -> None:
        """As a reader: this is new. After the last of it the reader is forgotten."""
        ...

    def on_gone(self, reader: Reader, stream: Stream) -> None:
        """As a reader: the stream was deleted."""
        ...


@dataclass(slots=True, eq=False)
class Live:
    """A stream in memory.

    parties   the session of each reader
    lock      held while a part is made
    held      its share of the memory for buffers
    """

    app_id: AppId
    stream: Stream
    held: Held
    parties: dict[Reader, Party] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    writer: Party | None = None
    network: str | None = None
    is_telling: bool = False
    is_gone: bool = False


class Streams:
    """Holds the live streams. Does not hold rows or durable bytes."""

    def __init__(self, apps: Apps, parts: Parts, *, runtime: Runtime) -> None:
        self._apps = apps
        self._parts = parts
        self._runtime = runtime
        self.counts = StreamCounts()
        self._live: dict[tuple[str, str], Live] = {}
        self._buffers = Shares()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watched: WeakSet[Database] = WeakSet()

    def __len__(self) -> int:
        """How many streams are written or read now."""
        return len(self._live)

    @property
    def writers(self) -> int:
        """How many streams have a writer now."""
        return sum(live.writer is not None for live in self._live.values())

    @property
    def readers(self) -> int:
        """How many subscriptions there are now."""
        return sum(len(live.parties) for live in self._live.values())

    @property
    def buffered_bytes(self) -> int:
        """About how much memory holds what is not durable yet."""
        return self._buffers.used(ALL)

    async def close(self) -> None:
        """Wait until everything that writers left is durable."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def url(self, live: Live, part: Part) -> str:
        """Where the bytes of a part are."""
        return self._parts.url(live.app_id, part.location_id)

    # --- writing ---------------------------------------------------------------------------------

    async def start(
        self,
        app: App,
        identity: Identity,
        writer: Party,
        *,
        client_id: str,
        token: str,
        params: Mapping[str, Any],
    ) -> Live:
        """Make `writer` the writer of the stream with this name, which is made if there is none.

        returns   the stream, with nothing in memory: `flushed` is where the writer goes on
        raises    PermissionDenied by the rule `create`; InvalidInput("validation-failed"): another
                  token, or the stream is done; Unavailable: it could not be made durable
        """
        if not 0 < len(client_id) <= limits.CLIENT_ID_CHARS_MAX:
            raise refused(
                "start-stream",
                f"`client-id` must have 1 to {limits.CLIENT_ID_CHARS_MAX} characters.",
            )
        raw = find_uuid_bytes(token)
        if raw is None:
            raise refused("start-stream", "`reconnect-token` must be a uuid.")
        hashed = hashlib.sha256(raw).hexdigest()

        def work(change: Change) -> str:
            _judge(app, identity, change, "create", {"clientId": client_id}, params)
            row = find_row(change, STREAMS, "clientId", client_id)
            if row is None:
                stream_id = new_key(self._runtime)
                values = {"clientId": client_id, "hashedReconnectToken": hashed}
                change.write(["update", STREAMS, stream_id, values])
                return stream_id
            if row.fields.get("hashedReconnectToken") != hashed:
                raise refused(
                    "start-stream",
                    "A stream with that clientId already exists. Reconnect token is invalid.",
                )
            if row.fields.get("done"):
                raise refused("start-stream", "Stream is closed.")
            return str(row.fields["id"])

        live = self._find(app, await app.database.change(work))
        if live.stream.is_done:
            raise refused("start-stream", "Stream is closed.")
        live.stream.take_over(writer)
        live.writer, live.network = writer, writer.network or None
        await self._store(live)
        if live.stream.needs_flush or live.is_gone:
            self._forget_if_idle(live)
            raise Unavailable("overloaded", "The stream could not be stored; try again.")
        return live

    def append(
        self,
        live: Live,
        writer: Party,
        *,
        offset: int,
        chunks: list[bytes],
        is_done: bool,
        abort_reason: str | None,
    ) -> None:
        """Add to the end of a stream; see `Stream.append` for what it raises."""
        stream = live.stream
        more = sum(map(len, chunks)) + limits.APPEND_OVERHEAD_BYTES
        if stream.writer is writer and not live.held.has_room(more, live.network):
            raise too_much()
        stream.append(writer, offset, chunks, is_done=is_done, abort_reason=abort_reason)
        live.held.note(stream.held_bytes, live.network)
        self.counts.appends += 1
        self.counts.appended_bytes += sum(map(len, chunks))
        self._tell_soon(live)
        self._store_soon(live)

    def leave(self, live: Live, writer: Party) -> None:
        """The connection of a writer is gone: its bytes become durable, the stream stays open."""
        live.stream.leave(writer)
        if live.stream.writer is None:
            live.writer = None
        self._store_soon(live)
        self._forget_if_idle(live)

    # --- reading ---------------------------------------------------------------------------------

    async def subscribe(
        self,
        app: App,
        identity: Identity,
        party: Party,
        reader: Reader,
        *,
        stream_id: str | None,
        client_id: str | None,
        params: Mapping[str, Any],
    ) -> Live:
        """Let `reader` follow a stream; what is there is told in this turn of the loop.

        raises   InvalidInput("validation-failed") without an id, or if there is no such stream;
                 PermissionDenied by the rule `view`
        """
        if stream_id is None and client_id is None:
            raise refused("subscribe-stream", "Must provide either a stream-id or a client-id")

        def work(look: Look) -> str:
            row = _find_stream(look, stream_id, client_id)
            if row is None:
                raise refused("subscribe-stream", MISSING)
            _judge(app, identity, look, "view", row.fields, params)
            return str(row.fields["id"])

        live = self._find(app, await app.database.look(work))
        live.stream.readers[reader] = None
        live.parties[reader] = party
        return live

    def unsubscribe(self, live: Live, reader: Reader) -> None:
        """Forget a reader."""
        live.stream.readers.pop(reader, None)
        live.parties.pop(reader, None)
        self._forget_if_idle(live)

    def tell(self, live: Live) -> None:
        """Tell every reader that has room what it does not know."""
        live.is_telling = False
        for reader in list(live.stream.readers):
            self.tell_one(live, reader)

    def tell_one(self, live: Live, reader: Reader) -> None:
        """Tell one reader what it does not know, if it has room."""
        party = live.parties.get(reader)
        if party is None or not party.has_room:
            return
        news = live.stream.news(reader)
        if news is None:
            return
        party.on_news(reader, live.stream, news)
        if news.is_done:
            self.unsubscribe(live, reader)

    # --- inside ----------------------------------------------------------------------------------

    def _find(self, app: App, stream_id: str) -> Live:
        """The live stream of a row; it becomes live if it was not."""
        key = (app.id, stream_id)
        live = self._live.get(key)
        if live is not None:
            return live
        try:
            stream = app.database.look_now(lambda look: _load(look, stream_id))
        except ReadTooLong as cause:
            raise Unavailable("overloaded", "The stream has too many parts.") from cause
        held = Held(
            self._buffers,
            total=limits.BUFFERS_BYTES_MAX,
            share=limits.BUFFERS_BYTES_OF_NETWORK_MAX,
        )
        live = self._live[key] = Live(app.id, stream, held)
        if app.database not in self._watched:
            self._watched.add(app.database)
            app.database.on_commits(partial(self._on_commits, app.id))
        return live

    def _on_commits(self, app_id: AppId, commits: Sequence[Commit]) -> None:
        """End the streams whose rows were deleted."""
        if not self._live:
            return
        for commit in commits:
            for change in commit.entities:
                if change.etype == STREAMS and change.new is None:
                    live = self._live.pop((app_id, uuid_text(change.id)), None)
                    if live is not None:
                        self._end(live)

    def _end(self, live: Live) -> None:
        live.is_gone = True
        writer, live.writer = live.writer, None
        live.stream.writer = None
        if writer is not None:
            writer.on_failed(live.stream)
        for reader, party in list(live.parties.items()):
            party.on_gone(reader, live.stream)
        live.parties.clear()
        live.stream.readers.clear()
        live.held.note(0, live.network)

    def _tell_soon(self, live: Live) -> None:
        """Tell the readers once a turn of the loop, whatever was appended in it."""
        if not live.is_telling and live.stream.readers:
            live.is_telling = True
            asyncio.get_running_loop().call_soon(self.tell, live)

    def _store_soon(self, live: Live) -> None:
        if live.stream.wants_flush and not live.is_gone:
            self._spawn(self._store_while_wanted(live))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store_while_wanted(self, live: Live) -> None:
        while live.stream.wants_flush and not live.is_gone:
            await self._store(live)
        self._forget_if_idle(live)

    async def _store(self, live: Live) -> None:
        """Make what is in memory durable, after what is on its way. Never raises: the writer is
        told."""
        stream = live.stream
        async with live.lock:
            if not stream.needs_flush or live.is_gone:
                return
            flush = stream.begin_flush()
            started_ms = self._runtime.monotonic_ms()
            try:
                part = await self._write(live, flush.data, is_last=flush.is_last)
            except Exception as cause:
                logger.error("flush failed %s", fields(stream=stream.id), exc_info=cause)
                self.counts.flushes_failed += 1
                stream.fail_flush()
                writer, live.writer = live.writer, None
                if writer is not None:
                    writer.on_failed(stream)
            else:
                stream.end_flush(flush, part)
                self.counts.flushes += 1
                self.counts.flush_ms += self._runtime.monotonic_ms() - started_ms
                self.counts.parts += part is not None
                if live.writer is not None:
                    live.writer.on_flushed(stream, is_done=flush.is_last)
                if flush.is_last:
                    live.writer = None
            live.held.note(stream.held_bytes, live.network)

    async def _write(self, live: Live, data: bytes, *, is_last: bool) -> Part | None:
        """Put bytes durably, then name them in one transaction."""
        stream = live.stream
        part = None
        hashed = ""
        if data:
            file_id, location_id = new_key(self._runtime), new_uuid(self._runtime)
            part = Part(file_id, location_id, stream.flushed, len(data))
        number = len(stream.parts)
        abort_reason = stream.abort_reason

        def work(change: Change) -> None:
            if _find_stream(change, stream.id, None) is None:
                raise NotFound("record-not-found", MISSING)
            if part is not None:
                row = FileRow(
                    part.file_id,
                    f"{STREAM_PREFIX}{stream.id}/{number}",
                    part.location_id,
                    hashed,
                    part.size,
                    CONTENT_TYPE,
                    DISPOSITION,
                )
                change.write(upload_steps(row))
                change.write(["link", STREAMS, stream.id, {"$files": part.file_id}])
            if is_last:
                told: dict[str, Any] = {"done": True, "size": stream.flushed + len(data)}
                if abort_reason is not None:
                    told["abortReason"] = abort_reason
                change.write(["update", STREAMS, stream.id, told])

        app = await self._apps.lend(live.app_id)
        try:
            if data:
                async with self._parts.kept(live.app_id, data) as hashed:
                    await app.database.change(work)
            else:
                await app.database.change(work)
        finally:
            self._apps.give_back(app)
        return part

    def _forget_if_idle(self, live: Live) -> None:
        key = (live.app_id, live.stream.id)
        if live.stream.is_idle and not live.lock.locked() and self._live.get(key) is live:
            live.held.note(0, live.network)
            del self._live[key]


def _judge(
    app: App,
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
    rights = app.database.rights
    judge = rights.judge(Caller(identity, params), look.statements, look.catalog)
    program = rights.rules.find(STREAMS, action)
    given = {**data, "done": data.get("done")} if action == "view" else data
    if not judge.allows(program, etype=STREAMS, action=action, data=given, new_data=None):
        raise PermissionDenied(
            "permission-denied",
            "Permission denied: not has-streams-permission?",
            {"input": [STREAMS, action], "expected": "has-streams-permission?"},
        )


def _find_stream(look: Look, stream_id: str | None, client_id: str | None) -> FoundRow | None:
    if stream_id is None:
        return find_row(look, STREAMS, "clientId", client_id)
    raw = find_uuid_bytes(stream_id)
    return None if raw is None else find_row(look, STREAMS, "id", raw)


def _load(look: Look, stream_id: str) -> Stream:
    """A stream as it is on disk.

    raises   InvalidInput("validation-failed") if it was deleted
    """
    where = {"where": {"id": stream_id}}
    rows = look.find({STREAMS: {"$": where, "$files": {}}})[STREAMS]
    if not rows:
        raise refused("subscribe-stream", MISSING)
    row = rows[0]
    stream = Stream(stream_id, row["clientId"])
    start = 0
    files = sorted(row["$files"], key=lambda file: int(file["path"].rsplit("/", 1)[1]))
    for file in files:
        stream.parts.append(Part(file["id"], file["location-id"], start, int(file["size"])))
        start += int(file["size"])
    stream.is_done = stream.is_stored = bool(row.get("done"))
    stream.abort_reason = row.get("abortReason")
    return stream
