"""Streams: what appending, following and reading late cost.

Writers and readers are sessions of their own, in this process. Streams are text: a piece is one
`append-stream`, as of a model that answers word by word.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque

import orjson

from connection import Connection
from process import ServerProcess
from scale import Scale
from transfer import download, forget_cached, read_plain
from workloads import DELIVERY_LIMIT_S, Cost, Row, connect_many, percentile, rest

RULES = {"$streams": {"allow": {"create": "true", "view": "true"}}}
PIECE = "a word or two of an answer, as they come "
PAUSE_S = 0.002
CHUNK = "x" * (1 << 18)
AHEAD_BYTES = 4 << 20
"""How far a writer of much text goes beyond what is durable."""
MB = 1_000_000


class Author:
    """A session that writes one stream after the other.

    is_ready   a stream is begun, and not at its end
    flushed    how many bytes of it are durable
    flush_ms   how long each last piece took until all was durable
    """

    def __init__(self, connection: Connection) -> None:
        self.is_ready = False
        self.flushed = self.end = 0
        self.flush_ms: list[float] = []
        self.name = ""
        self.ended = asyncio.Event()
        self.moved = asyncio.Event()
        self._connection = connection
        self._sent_at = 0.0
        self._id = b""
        self._keep = connection.on_message
        connection.on_message = self._hear

    async def start(self) -> None:
        """Begin another stream."""
        self.name = str(uuid.uuid4())
        token = str(uuid.uuid4())
        message = {"op": "start-stream", "client-id": self.name, "reconnect-token": token}
        ok = await self._connection.ask(message)
        self._id = ok["stream-id"].encode()
        self.flushed = self.end = 0
        self.ended.clear()
        self.is_ready = True

    def append(self, text: bytes, *, is_last: bool = False) -> None:
        """Send ASCII that JSON need not escape."""
        self._connection.send(
            b'{"op":"append-stream","stream-id":"%b","offset":%d,"chunks":["%b"],"done":%b}'
            % (self._id, self.end, text, b"true" if is_last else b"false")
        )
        self.end += len(text)
        if is_last:
            self.is_ready = False
            self._sent_at = time.perf_counter()

    async def write_much(self, size: int) -> None:
        """Write all of a stream that is begun, as fast as it becomes durable."""
        chunk = CHUNK.encode()
        while self.end < size:
            data = chunk[: size - self.end]
            self.append(data, is_last=self.end + len(data) == size)
            while self.end - self.flushed > AHEAD_BYTES:
                self.moved.clear()
                await asyncio.wait_for(self.moved.wait(), DELIVERY_LIMIT_S)
        await asyncio.wait_for(self.ended.wait(), DELIVERY_LIMIT_S)

    def _hear(self, payload: bytes) -> None:
        if b'"stream-flushed"' in payload:
            parsed = orjson.loads(payload)
            for message in parsed if isinstance(parsed, list) else [parsed]:
                if message["op"] == "stream-flushed":
                    self.flushed = message["offset"]
                    self.moved.set()
                    if message["done"]:
                        self.flush_ms.append((time.perf_counter() - self._sent_at) * 1000)
                        self.ended.set()
            return
        if b'"error"' in payload or b'"append-failed"' in payload:
            raise RuntimeError(payload[:500].decode())
        self._keep(payload)


async def appends(server: ServerProcess, scale: Scale) -> list[Row]:
    """Many streams of a hundred pieces at a time; each that ends is followed by another."""
    count, rate = scale.streams, scale.stream_pieces_per_s
    label = f"{rate:,} pieces/s over {count} streams of {scale.stream_pieces}"
    arrived = Row("streams_rate", f"{label}: appended", "1/s")
    p50 = Row("streams_flush_p50", f"{label}: last piece to all durable p50", "ms")
    p99 = Row("streams_flush_p99", f"{label}: last piece to all durable p99", "ms")
    cpu = Row("streams_cpu", f"{label}: server CPU of one core", "%")
    app_id = server.create_app(RULES)
    connections = await connect_many(server, app_id, count)
    authors = [Author(connection) for connection in connections]
    for _ in range(scale.rounds):
        await rest(server, scale)
        for author in authors:
            author.flush_ms.clear()
        cost = Cost(server)
        started = time.perf_counter()
        rate_now, took_ms = await _append_all(authors, scale)
        arrived.samples.append(rate_now)
        p50.samples.append(percentile(took_ms, 0.5))
        p99.samples.append(percentile(took_ms, 0.99))
        cpu.samples.append(cost.server_s() / (time.perf_counter() - started) * 100)
        for row in (arrived, p50, p99, cpu):
            row.client_share.append(cost.client_share())
    for connection in connections:
        connection.close()
    return [arrived, p50, p99, cpu]


async def _append_all(authors: list[Author], scale: Scale) -> tuple[float, list[float]]:
    """Let the authors append in turn, evenly, until the time is over, then end all streams.

    If this process or the server falls behind, pieces are late, so that fewer are sent.
    returns   pieces a second, and how long the streams that ended meanwhile took to be durable
    """
    piece, most = PIECE.encode(), scale.stream_pieces
    await asyncio.gather(*(author.start() for author in authors))
    # So that streams do not all end at the same moment.
    left = {author: 1 + n * most // len(authors) for n, author in enumerate(authors)}
    ready = deque(authors)

    async def go_on(author: Author) -> None:
        """Begin the next stream, once this one is durable."""
        await asyncio.wait_for(author.ended.wait(), DELIVERY_LIMIT_S)
        await author.start()
        left[author] = most
        ready.append(author)

    sent = 0
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        while (passed_s := time.perf_counter() - started) < scale.stream_round_s:
            while ready and sent < passed_s * scale.stream_pieces_per_s:
                author = ready.popleft()
                left[author] -= 1
                sent += 1
                author.append(piece, is_last=left[author] == 0)
                if left[author]:
                    ready.append(author)
                else:
                    group.create_task(go_on(author))
            await asyncio.sleep(PAUSE_S)
        rate = sent / (time.perf_counter() - started)
    took_ms = [each for author in authors for each in author.flush_ms]
    for author in authors:
        author.append(piece, is_last=True)
    await asyncio.gather(*(asyncio.wait_for(a.ended.wait(), DELIVERY_LIMIT_S) for a in authors))
    return rate, took_ms


# --- following ---------------------------------------------------------------------------------


class Follower:
    """A session that reads a stream, and notes how old each line is when it arrives.

    have    bytes it was told of, in messages or as parts
    urls    parts that it was told of
    """

    def __init__(self, connection: Connection) -> None:
        self.ages_ms: list[float] = []
        self.have = 0
        self.urls: list[str] = []
        self.is_ended = asyncio.Event()
        self.is_begun = asyncio.Event()
        self._connection = connection
        connection.on_message = self._hear

    async def follow(self, name: str, offset: int = 0) -> None:
        """Subscribe; returns when something was told."""
        message = {"op": "subscribe-stream", "client-id": name, "offset": offset}
        self._connection.send(orjson.dumps({"client-event-id": str(uuid.uuid4()), **message}))
        await asyncio.wait_for(self.is_begun.wait(), DELIVERY_LIMIT_S)

    def _hear(self, payload: bytes) -> None:
        now = time.perf_counter()
        parsed = orjson.loads(payload)
        for message in parsed if isinstance(parsed, list) else [parsed]:
            if message["op"] != "stream-append" or "error" in message:
                raise RuntimeError(payload[:500].decode())
            self.is_begun.set()
            files = message.get("files", ())
            content = message.get("content", "")
            self.urls += [file["url"] for file in files]
            told = sum(file["size"] for file in files) + len(content)
            self.have = max(self.have, message["offset"] + told)
            if "\n" in content:
                self.ages_ms += [(now - float(at)) * 1000 for at in content.split()]
            if message.get("done"):
                self.is_ended.set()


async def followers(server: ServerProcess, scale: Scale) -> list[Row]:
    """One stream, and many who follow it: time from a piece to each of them."""
    count, rate = scale.stream_followers, scale.followed_pieces_per_s
    label = f"{count} followers of one stream, {rate} pieces/s"
    p50 = Row("followers_p50", f"{label}: piece to follower p50", "ms")
    p99 = Row("followers_p99", f"{label}: piece to follower p99", "ms")
    cpu = Row("followers_cpu", f"{label}: server CPU a delivery", "µs")
    app_id = server.create_app(RULES)
    connections = await connect_many(server, app_id, count + 1)
    author = Author(connections[0])
    for _ in range(scale.rounds):
        await author.start()
        readers = [Follower(connection) for connection in connections[1:]]
        await asyncio.gather(*(reader.follow(author.name) for reader in readers))
        await rest(server, scale)
        cost = Cost(server)
        started, sent = time.perf_counter(), 0
        while (passed_s := time.perf_counter() - started) < scale.stream_round_s:
            while sent < passed_s * rate:
                author.append(b"%.6f\\n" % time.perf_counter())
                author.end -= 1  # JSON says a line end in two characters
                sent += 1
            await asyncio.sleep(PAUSE_S)
        author.append(b"", is_last=True)
        ends = (asyncio.wait_for(each.is_ended.wait(), DELIVERY_LIMIT_S) for each in readers)
        await asyncio.gather(*ends)
        ages_ms = [age for reader in readers for age in reader.ages_ms]
        if len(ages_ms) < sent * count:
            raise RuntimeError(f"{len(ages_ms)} of {sent * count} deliveries came")
        p50.samples.append(percentile(ages_ms, 0.5))
        p99.samples.append(percentile(ages_ms, 0.99))
        cpu.samples.append(cost.server_s() * 1e6 / len(ages_ms))
        for row in (p50, p99, cpu):
            row.client_share.append(cost.client_share())
    for connection in connections:
        connection.close()
    return [p50, p99, cpu]


async def sleeper(server: ServerProcess, scale: Scale) -> list[Row]:
    """A reader takes nothing more from its socket while much is written. Measures how much the
    server grows, and how soon the reader is told the rest once it reads again.

    The same is written before with a reader that reads, so that caches do not count as growth.
    """
    size = scale.sleeper_bytes
    app_id = server.create_app(RULES)
    connections = await connect_many(server, app_id, 2)
    author = Author(connections[0])
    peaks_mb = []
    for is_asleep in (False, True):
        await author.start()
        reader = Follower(connections[1])
        await reader.follow(author.name)
        if is_asleep:
            connections[1].stop_reading()
        server.forget_peak()
        before_mb = server.rss_mb()
        await author.write_much(size)
        peaks_mb.append(server.peak_mb() - before_mb)
        started = time.perf_counter()
        if is_asleep:
            connections[1].start_reading()
        await asyncio.wait_for(reader.is_ended.wait(), DELIVERY_LIMIT_S)
        caught_up_ms = (time.perf_counter() - started) * 1000
        if reader.have != size:
            raise RuntimeError(f"the reader was told of {reader.have} of {size} bytes")
        await rest(server, scale)
    for connection in connections:
        connection.close()
    label = f"reader sleeps while {size / MB:,.0f} MB are written"
    return [
        Row("sleeper_memory", f"{label}: server grows by", "MB", [peaks_mb[1]]),
        Row("sleeper_reading", f"{label}: beside one that reads", "MB", [peaks_mb[0]]),
        Row("sleeper_caught_up", f"{label}: told of all after waking", "ms", [caught_up_ms]),
    ]


# --- reading late --------------------------------------------------------------------------------


async def replay(server: ServerProcess, scale: Scale) -> list[Row]:
    """A long stream that is done: read whole, from the disk and from the system's memory.

    For a server that the bench started, the same files are also read without a server.
    """
    size = scale.replayed_bytes
    label = f"a stream of {size / MB:,.0f} MB"
    written = Row("replay_write", f"{label}: written", "MB/s")
    cold = Row("replay_cold", f"{label}: read from the disk", "MB/s")
    warm = Row("replay_warm", f"{label}: read from the system's memory", "MB/s")
    plain = Row("replay_plain", f"{label}: its files read from the disk without a server", "MB/s")
    peak = Row("replay_peak", f"{label}: server grows at its peak while it is read by", "MB")
    app_id = server.create_app(RULES)
    connections = await connect_many(server, app_id, 2)
    author = Author(connections[0])
    cost = Cost(server)
    started = time.perf_counter()
    await author.start()
    await author.write_much(size)
    written.samples.append(size / MB / (time.perf_counter() - started))
    written.client_share.append(cost.client_share())
    await rest(server, scale)
    server.forget_peak()
    before_mb = server.rss_mb()
    for _ in range(scale.rounds):
        for row in (cold, warm):
            if row is cold and server.directory:
                forget_cached(server.directory)
            elif row is cold:
                continue
            reader = Follower(connections[1])
            cost = Cost(server)
            started = time.perf_counter()
            await reader.follow(author.name)
            found = await asyncio.to_thread(download, reader.urls)
            row.samples.append(found / MB / (time.perf_counter() - started))
            row.client_share.append(cost.client_share())
            if found != size:
                raise RuntimeError(f"{found} of {size} bytes were read")
        if server.directory:
            forget_cached(server.directory)
            started = time.perf_counter()
            found = await asyncio.to_thread(read_plain, server.directory)
            plain.samples.append(found / MB / (time.perf_counter() - started))
    peak.samples.append(server.peak_mb() - before_mb)
    for connection in connections:
        connection.close()
    return [written, cold, warm, plain, peak]


ALL = (appends, followers, sleeper, replay)
