"""All streams of the process that are written or read now, and what they are on disk.

A stream is in memory while somebody writes or reads it, and a while longer. Else it is a row of
`$streams` with parts in `$files`. Bytes are put first, then one transaction names them: a stop
leaves bytes without a row at worst (instant-realtime §10).

A little over 500 lines, one file because all of it says which streams are in memory, until when.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final
from weakref import WeakSet, ref

from trice import stream_limits as limits
from trice.apps.apps import App, Apps
from trice.auth.throttle import Throttle
from trice.database import Change, Database, Look
from trice.errors import Conflict, TriceError, Unavailable
from trice.identity import Identity
from trice.log import Seldom, fields
from trice.metrics import StreamCounts
from trice.protocol.ids import AppId, uuid_text
from trice.runtime import Runtime, new_key, new_uuid
from trice.shares import ALL, Held, Shares
from trice.store.commit import Commit
from trice.streams import rows
from trice.streams.live import Live, Party
from trice.streams.merge import merge
from trice.streams.parts import Parts
from trice.streams.store_queue import StoreQueue
from trice.streams.stream import MISSING, Part, Reader, refused, too_much

logger: Final = logging.getLogger("trice.streams")
flush_logger: Final = logging.getLogger("trice.streams.flush")
flush_logger.addFilter(Seldom())

_SERVER_ENDED: Final = "server-ended"
"""Why a stream is aborted whose action was lost with its server."""

Key = tuple[str, str]
"""An app and a stream."""


class Streams:
    """Holds the live streams. Does not hold rows or durable bytes."""

    def __init__(self, apps: Apps, parts: Parts, *, runtime: Runtime) -> None:
        self.parts = parts
        self.is_stopping = False
        self.apps = apps
        self._throttle = Throttle(apps.buckets, runtime)
        self._runtime = runtime
        self.counts = StreamCounts()
        self._live: dict[Key, Live] = {}
        self._idle: dict[Key, tuple[Live, int]] = {}
        self._idle_parts = 0
        self._loading: dict[Key, asyncio.Task[None]] = {}
        self._begun: set[str] = set()
        self._buffers = Shares()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stores = StoreQueue(self._store, on_stored=self._after_store, spawn=self._spawn)
        self._merges = asyncio.Semaphore(limits.MERGES_AT_ONCE)
        self._watched: WeakSet[Database] = WeakSet()

    @property
    def in_memory(self) -> int:
        """How many streams are in memory, used or not."""
        return len(self._live)

    def stop(self) -> None:
        """End the requests that follow streams."""
        self.is_stopping = True
        for live in self._live.values():
            live.news.ring()

    def __len__(self) -> int:
        """How many streams are written or read now."""
        return sum(not live.is_idle for live in self._live.values())

    @property
    def is_storing(self) -> bool:
        """Whether something is on its way to the disk."""
        return bool(self._tasks)

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
        return self.parts.url(live.app_id, part.location_id)

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
                  token, or the stream is done; LimitExceeded("rate-limited"); Unavailable: it could
                  not be made durable
        """
        rows.check_name(client_id)
        hashed = rows.hash_token(token)
        self.count_bytes(writer.network, limits.START_BYTES)

        def work(change: Change) -> str:
            data = {"clientId": client_id}
            rows.judge(app.database, identity, change, "create", data, params)
            row = rows.find_stream(change, None, client_id)
            if row is None:
                return self._write_row(change, client_id, hashed)
            if row.fields.get("hashedReconnectToken") != hashed:
                raise rows.wrong_token()
            if row.fields.get("done"):
                raise refused("start-stream", "Stream is closed.")
            return str(row.fields["id"])

        live = await self.find(app, await app.database.change(work))
        if live.stream.is_done:
            raise refused("start-stream", "Stream is closed.")
        self.take_over(live, writer)
        failures = live.failures
        try:
            while live.stream.needs_flush and live.failures == failures and not live.is_gone:
                # Again if the session appended meanwhile. A flush goes on when its session ends.
                self._stores.put(live)
                await live.stored.heard()
        except asyncio.CancelledError:
            self.leave(live, writer)
            raise
        if live.failures != failures or live.is_gone:
            self.forget_if_idle(live)
            raise Unavailable("overloaded", "The stream could not be stored; try again.")
        return live

    async def create(
        self,
        app: App,
        identity: Identity,
        *,
        client_id: str,
        hashed: str,
        params: Mapping[str, Any],
    ) -> tuple[Live, bool]:
        """Make a stream if there is none of this name, without a writer.

        hashed    what its row keeps of who may write it
        returns   the stream, and whether it is new
        raises    PermissionDenied by the rule `create`; Conflict if it belongs to another writer
        """

        def work(look: Look) -> str | None:
            return rows.find_owned(look, app.database, identity, client_id, hashed, params)

        def make(change: Change) -> tuple[str, bool]:
            found = work(change)
            if found is None:
                return self._write_row(change, client_id, hashed), True
            return found, False

        found = await app.database.look(work)
        if found is not None:
            return await self.find(app, found), False
        stream_id, is_new = await app.database.change(make)
        return await self.find(app, stream_id), is_new

    async def find_owned(
        self,
        app: App,
        identity: Identity,
        *,
        client_id: str,
        hashed: str,
        params: Mapping[str, Any],
    ) -> Live:
        """The stream of this name. raises   as `create`; StreamMissing if there is none"""

        def work(look: Look) -> str | None:
            return rows.find_owned(look, app.database, identity, client_id, hashed, params)

        found = await app.database.look(work)
        if found is None:
            raise refused("start-stream", MISSING)
        return await self.find(app, found)

    async def begin(
        self, app: App, *, client_id: str, writer: Party, fill: Callable[[Change, str], None]
    ) -> Live:
        """Make a stream that an action writes, with `writer` as its writer. No rule is asked.

        fill     writes the rest of its row, in the same transaction, by its id
        raises   InvalidInput for the name; Conflict("stream-conflict") if there is one already;
                 what `fill` does
        """
        rows.check_name(client_id)
        begun: list[str] = []

        def make(change: Change) -> str:
            if rows.find_stream(change, None, client_id) is not None:
                raise Conflict("stream-conflict", "A stream of this name is there already.")
            stream_id = self._write_row(change, client_id, rows.OF_ACTIONS)
            begun.append(stream_id)
            self._begun.add(stream_id)  # before anybody can read it
            fill(change, stream_id)
            return stream_id

        live = None
        try:
            live = await self.find(app, await app.database.change(make))
            self.take_over(live, writer)
        finally:
            self._begun.difference_update(begun)
            if live is None:  # who began it has left, and perhaps it is there
                for stream_id in begun:
                    made = self._live.get((app.id, stream_id))
                    if made is not None:
                        self.abandon(made, writer, "cancelled")
        return live

    def abandon(self, live: Live, writer: Party, reason: str) -> None:
        """`writer`, an action, has not ended its stream, and will not: it is aborted."""
        if live.stream.writer in (writer, None) and not live.is_gone:
            live.leave(writer)
            live.stream.abandon(reason)
            self._tell_soon(live)
        self.leave(live, writer)

    def _write_row(self, change: Change, client_id: str, hashed: str) -> str:
        stream_id = new_key(self._runtime)
        values = {"clientId": client_id, "hashedReconnectToken": hashed}
        change.write(["update", rows.STREAMS, stream_id, values])
        return stream_id

    def take_over(self, live: Live, writer: Party) -> None:
        """Make `writer` the only one who may append."""
        live.stream.take_over(writer)
        live.writer, live.network = writer, writer.network or None

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
        size = sum(map(len, chunks))
        if stream.writer is writer:
            if not live.held.has_room(size + limits.APPEND_OVERHEAD_BYTES, live.network):
                raise too_much()
            stream.check_append(writer, offset, size)
            self.count_bytes(writer.network, size)
        stream.append(writer, offset, chunks, is_done=is_done, abort_reason=abort_reason)
        live.held.note(stream.held_bytes, live.network)
        self.counts.appends += 1
        self.counts.appended_bytes += sum(map(len, chunks))
        self._tell_soon(live)
        self._store_soon(live)

    def count_bytes(self, network: str, count: int) -> None:
        """Count bytes appended from a network; raises LimitExceeded("rate-limited")."""
        problem = "Too much is appended to streams from this network address."
        self._throttle.take(("stream-bytes", network), limits.APPEND_RATE, problem, tokens=count)

    def leave(self, live: Live, writer: Party) -> None:
        """A writer is gone: its bytes become durable, the stream stays open."""
        live.leave(writer)
        self._store_soon(live)
        self.forget_if_idle(live)

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
        live = await self.view(
            app, identity, stream_id=stream_id, client_id=client_id, params=params
        )
        live.stream.readers[reader] = None
        live.parties[reader] = party
        return live

    async def view(
        self,
        app: App,
        identity: Identity,
        *,
        stream_id: str | None,
        client_id: str | None,
        params: Mapping[str, Any],
    ) -> Live:
        """The stream, if the caller may read it. raises   as `subscribe`"""

        def work(look: Look) -> str:
            row = rows.find_stream(look, stream_id, client_id)
            if row is None:
                raise refused("subscribe-stream", MISSING)
            rows.judge(app.database, identity, look, "view", row.fields, params)
            return str(row.fields["id"])

        return await self.find(app, await app.database.look(work))

    def unsubscribe(self, live: Live, reader: Reader) -> None:
        """Forget a reader."""
        live.stream.readers.pop(reader, None)
        live.parties.pop(reader, None)
        self.forget_if_idle(live)

    def tell(self, live: Live) -> None:
        """Tell every reader that has room what it does not know."""
        live.is_telling = False
        live.news.ring()
        for reader in list(live.stream.readers):
            self.tell_one(live, reader)

    def tell_one(self, live: Live, reader: Reader) -> None:
        """Tell one reader what it does not know, if it has room; many parts in several turns."""
        party = live.parties.get(reader)
        if party is None or not party.has_room:
            return
        news = live.stream.news(reader)
        if news is None:
            return
        party.on_news(reader, live.stream, news)
        if news.is_done:
            self.unsubscribe(live, reader)
        elif reader.offset < live.stream.end:
            asyncio.get_running_loop().call_soon(self.tell_one, live, reader)

    # --- in memory -------------------------------------------------------------------------------

    async def find(self, app: App, stream_id: str) -> Live:
        """The live stream of a row; it becomes live if it was not. Nothing else runs between its
        end and the caller.

        raises   InvalidInput("validation-failed") if it was deleted meanwhile
        """
        key = (app.id, stream_id)
        while True:
            live = self._live.get(key)
            if live is not None and live.database() is app.database:
                return live
            if live is not None and not self._forget(live):
                # The app was closed and opened again: what is not durable yet comes first.
                await live.stored.heard()
                continue
            loading = self._loading.get(key)
            if loading is None:
                loading = self._loading[key] = self._spawn(self._load(app.id, stream_id))
                loading.add_done_callback(lambda _: self._loading.pop(key, None))
            await asyncio.shield(loading)

    async def _load(self, app_id: AppId, stream_id: str) -> None:
        app = await self.apps.lend(app_id, is_own=True)
        try:
            if app.database not in self._watched:
                self._watched.add(app.database)
                app.database.on_commits(partial(self._on_commits, app.id))
            stream = await rows.load(app.database, stream_id)
            held = Held(
                self._buffers,
                total=limits.BUFFERS_BYTES_MAX,
                share=limits.BUFFERS_BYTES_OF_NETWORK_MAX,
            )
            live = Live(app_id, stream, held, ref(app.database))
            self._live[app_id, stream_id] = live
            if stream.is_left and stream_id not in self._begun:
                # Whoever wrote it would have kept it in memory: that server ended.
                stream.abandon(_SERVER_ENDED)
                self._store_soon(live)
            self.forget_if_idle(live)
        finally:
            self.apps.give_back(app)

    def forget_if_idle(self, live: Live) -> None:
        """Nobody uses it now, perhaps: it is kept only if others were used longer ago."""
        key: Key = (live.app_id, live.stream.id)
        if not live.is_idle or self._live.get(key) is not live:
            return
        live.held.note(0, live.network)
        self._drop_idle(key)
        parts = len(live.stream.parts)
        self._idle[key] = live, parts
        self._idle_parts += parts
        while len(self._idle) > limits.IDLE_STREAMS_MAX or self._idle_parts > limits.IDLE_PARTS_MAX:
            unused, (oldest, _) = next(iter(self._idle.items()))
            self._drop_idle(unused)
            self._forget(oldest)

    def _drop_idle(self, key: Key) -> None:
        """Take a stream out of those that were idle when they were looked at last."""
        _, parts = self._idle.pop(key, (None, 0))
        self._idle_parts -= parts

    def _forget(self, live: Live) -> bool:
        """Forget a stream that is idle; return whether it was."""
        key = (live.app_id, live.stream.id)
        if live.is_idle and self._live.get(key) is live:
            del self._live[key]
            self._drop_idle(key)
        return self._live.get(key) is not live

    def _on_commits(self, app_id: AppId, commits: Sequence[Commit]) -> None:
        """End the streams whose rows were deleted."""
        if not self._live:
            return
        for commit in commits:
            for change in commit.entities:
                if change.etype == rows.STREAMS and change.new is None:
                    key = (app_id, uuid_text(change.id))
                    self._drop_idle(key)
                    live = self._live.pop(key, None)
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
        live.news.ring()
        live.stored.ring()

    def _tell_soon(self, live: Live) -> None:
        """Tell the readers once a turn of the loop, whatever was appended in it."""
        if not live.is_telling and (live.stream.readers or live.news):
            live.is_telling = True
            asyncio.get_running_loop().call_soon(self.tell, live)

    # --- to the disk -----------------------------------------------------------------------------

    def _store_soon(self, live: Live) -> None:
        if live.stream.wants_flush and not live.is_gone:
            self._stores.put(live)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _after_store(self, live: Live) -> None:
        self._store_soon(live)  # what came meanwhile, or whose writer left meanwhile
        if live.stream.small_parts() and not live.is_merging and not live.is_gone:
            live.is_merging = True
            self._spawn(self._merge(live))
        self.forget_if_idle(live)

    async def _store(self, live: Live) -> None:
        """Make what is in memory durable. Never raises: the writer is told."""
        stream = live.stream
        if not stream.needs_flush or live.is_gone:
            return
        flush = stream.begin_flush()
        started_ms = self._runtime.monotonic_ms()
        try:
            part = await self._write(live, flush.data, is_last=flush.is_last)
        except Exception as cause:
            # Of a disk that is full every stream tells: the trace is for what is no such reason.
            trace = None if isinstance(cause, TriceError) else cause
            told = fields(stream=stream.id, reason=cause)
            flush_logger.error("flush failed %s", told, exc_info=trace)
            self.counts.flushes_failed += 1
            stream.fail_flush()
            live.failures += 1
            live.news.ring()
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
        live.stored.ring()

    async def _write(self, live: Live, data: bytes, *, is_last: bool) -> Part | None:
        """Put bytes durably, then name them in one transaction."""
        stream = live.stream
        part = self._new_part(stream.flushed, len(data), stream.next_number) if data else None
        hashed = ""
        abort_reason = stream.abort_reason

        def work(change: Change) -> None:
            if part is not None:
                rows.write_part(change, stream.id, part, hash=hashed)
            if is_last:
                rows.write_end(
                    change,
                    stream.id,
                    size=stream.flushed + len(data),
                    abort_reason=abort_reason,
                )

        app = await self.apps.lend(live.app_id, is_own=True)
        try:
            if data:
                async with self.parts.kept(live.app_id, data) as hashed:
                    await app.database.change(work)
            else:
                await app.database.change(work)
        finally:
            self.apps.give_back(app)
        return part

    def _new_part(self, start: int, size: int, number: int) -> Part:
        return Part(new_key(self._runtime), new_uuid(self._runtime), start, size, number)

    async def _merge(self, live: Live) -> None:
        """Merge small parts while there are many. Never raises: the parts stay as they are."""
        try:
            async with self._merges:
                app = await self.apps.lend(live.app_id, is_own=True)
                try:
                    while (old := live.stream.small_parts()) and not live.is_gone:
                        size = sum(part.size for part in old)
                        new = self._new_part(old[0].start, size, old[0].number)
                        await merge(app, self.parts, live.stream.id, old, new)
                        live.stream.merge(old, new)
                        live.stored.ring()
                finally:
                    self.apps.give_back(app)
        except Exception as cause:
            told = fields(stream=live.stream.id)
            logger.warning("parts were not merged %s", told, exc_info=cause)
        finally:
            live.is_merging = False
            live.stored.ring()  # who waits until it is idle, or where bytes are now
            self.forget_if_idle(live)
