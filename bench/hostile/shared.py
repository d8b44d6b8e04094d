"""Attacks by streams and rooms: readers, writers, parts, presence, topics."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from stage import Attack, Stage
from stranger import App, RawSocket

SILENCE_S = 2
"""After so long without a frame an attacker stops reading."""

OPEN = {"$streams": {"allow": {"$default": "true"}}, "$files": {"allow": {"$default": "true"}}}
TOKEN = "00000000-0000-4000-8000-00000000000f"


async def _writer(stage: Stage, app: App, name: str) -> tuple[RawSocket, str, int]:
    """A socket that is the writer of a stream; with the stream's id and end."""
    socket = await stage.stranger.socket(app)
    return socket, *await _begin(socket, name)


async def _begin(socket: RawSocket, name: str) -> tuple[str, int]:
    begun = await socket.ask({"op": "start-stream", "client-id": name, "reconnect-token": TOKEN})
    if not begun or "stream-id" not in begun:
        raise ConnectionError(f"no stream for the attack: {begun}")
    return begun["stream-id"], begun["offset"]


def _append(socket: RawSocket, stream: str, offset: int, *chunks: str, **more: Any) -> None:
    message = {"op": "append-stream", "stream-id": stream, "offset": offset, "chunks": chunks}
    socket.say(orjson.dumps({**message, **more}))


async def _read_all(socket: RawSocket) -> int:
    """Read until the connection ends or nothing comes for a while; return how many bytes."""
    size = 0
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                frame = await socket.frame()
            if frame is None:
                return size
            size += len(frame[1])
            if frame[0] == 9:
                socket.say(frame[1], opcode=10)
    except TimeoutError:
        return size


async def many_readers(stage: Stage) -> None:
    """One stream, read by hundreds of sockets, half of which do not read what comes."""
    app = await stage.stranger.new_app(rules=OPEN)
    writer, stream, offset = await _writer(stage, app, "read by many")
    count = min(stage.force.connections, 500)
    readers: list[RawSocket] = []

    async def follow(n: int) -> None:
        socket = await stage.stranger.socket(app)
        readers.append(socket)
        subscribe = {"op": "subscribe-stream", "client-id": "read by many", "offset": 0}
        socket.say(orjson.dumps({**subscribe, "client-event-id": f"read-{n}"}))

    for start in range(0, count, 50):
        await stage.at_once(min(50, count - start), lambda n, start=start: follow(start + n))
    stage.stranger.heard.note(f"{len(readers)} readers")
    reading = [asyncio.create_task(_read_all(each)) for each in readers[::2]]
    text = "x" * 60_000
    for _ in range(40 * stage.force.repeats):
        _append(writer, stream, offset, text)
        offset += len(text)
        await writer.writer.drain()
        await asyncio.sleep(0.05)
    _append(writer, stream, offset, done=True)
    await asyncio.gather(*reading, return_exceptions=True)
    for socket in (writer, *readers):
        socket.writer.transport.abort()


async def never_finished(stage: Stage) -> None:
    """As many streams as sessions may write, each with a little text, and left open."""
    app = await stage.stranger.new_app(rules=OPEN)

    async def write(n: int) -> None:
        socket = await stage.stranger.socket(app)
        for m in range(260 if stage.force.repeats > 1 else 40):
            message = {"op": "start-stream", "client-id": f"{n} {m}", "reconnect-token": TOKEN}
            begun = await socket.ask(message)
            if begun and "stream-id" in begun:
                _append(socket, begun["stream-id"], 0, "x" * 4_000)
        await asyncio.sleep(min(stage.force.hold_s, 10))
        stage.stranger.heard.note("cut off" if socket.reader.at_eof() else "held")
        socket.writer.transport.abort()

    await stage.at_once(4 * stage.force.repeats, write)


async def buffers_full(stage: Stage) -> None:
    """Text that comes faster than it can be stored, to many streams at once."""
    app = await stage.stranger.new_app(rules=OPEN)

    async def write(n: int) -> None:
        socket, stream, offset = await _writer(stage, app, f"{n}")
        text = "x" * 900_000
        try:
            async with asyncio.timeout(60):
                for _ in range(stage.force.megabytes // 10):
                    _append(socket, stream, offset, text)
                    offset += len(text)
                    await socket.writer.drain()
            stage.stranger.heard.note("took all of it")
        except TimeoutError:
            stage.stranger.heard.note("stopped reading")
        except ConnectionError:
            stage.stranger.heard.note("cut off")
        socket.writer.transport.abort()

    await stage.at_once(10 * stage.force.repeats, write)


async def tiny_appends(stage: Stage) -> None:
    """Text byte by byte, and chunks with nothing in them, as fast as they go."""
    app = await stage.stranger.new_app(rules=OPEN)
    socket, stream, offset = await _writer(stage, app, "byte by byte")
    for n in range(10_000 * stage.force.repeats):
        _append(socket, stream, offset, *([""] * 50), "x")
        offset += 1
        if n % 200 == 0:
            await socket.writer.drain()
    await socket.ask({"op": "subscribe-stream", "client-id": "byte by byte"})
    socket.close()


async def many_parts(stage: Stage) -> None:
    """A stream of thousands of parts of one byte, then read again and again."""
    app = await stage.stranger.new_app(rules=OPEN)
    socket, stream, offset = await _writer(stage, app, "parts")
    for _ in range(600 * stage.force.repeats if stage.force.repeats > 1 else 100):
        _append(socket, stream, offset, "x")
        _, offset = await _begin(socket, "parts")
    stage.stranger.heard.note(f"{offset} parts")

    async def read(n: int) -> None:
        reader = await stage.stranger.socket(app)
        for m in range(100):
            subscribe = {"op": "subscribe-stream", "client-id": "parts", "offset": m % 2}
            reader.say(orjson.dumps({**subscribe, "client-event-id": f"{n}-{m}"}))
        stage.stranger.heard.note("MB read", await _read_all(reader))
        reader.writer.transport.abort()

    await stage.at_once(4 * stage.force.repeats, read)
    socket.close()


async def crowded_room(stage: Stage) -> None:
    """A room of the app that others use: all show as much as they may, all the time, and talk."""

    async def move(n: int) -> None:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        reading = asyncio.create_task(_read_all(socket)) if n % 2 else None
        shown = {f"key{m}": "x" * 14 for m in range(400)}
        socket.say(orjson.dumps({"op": "join-room", "room-id": "one", "data": shown}))
        for m in range(100 * stage.force.repeats):
            shown["moved"] = f"{m}"
            room = {"room-id": "one"}
            socket.say(orjson.dumps({"op": "set-presence", **room, "data": shown}))
            talk = {"op": "client-broadcast", **room, "topic": "t", "data": "x" * 5_000}
            socket.say(orjson.dumps(talk))
            await socket.writer.drain()
            await asyncio.sleep(0.05)
        if reading is not None:
            reading.cancel()
        socket.writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 100), move)


async def many_rooms(stage: Stage) -> None:
    """As many rooms as sessions may be in, of every session, with deep presence; in and out."""

    async def join(n: int) -> None:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        deep: Any = "x" * 8_000
        for _ in range(60):
            deep = {"a": deep}
        for _ in range(stage.force.repeats):
            for m in range(220):
                room = {"room-id": f"{n % 7}-{m}"}
                socket.say(orjson.dumps({"op": "join-room", **room, "data": deep}))
            await socket.ask({"op": "leave-room", "room-id": "0-0"})
            for m in range(220):
                socket.say(orjson.dumps({"op": "leave-room", "room-id": f"{n % 7}-{m}"}))
        await _read_all(socket)
        socket.writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 50), join)


ATTACKS = (
    Attack("a stream with hundreds of readers", many_readers),
    Attack("streams that never end", never_finished),
    Attack("streams that come too fast", buffers_full),
    Attack("streams byte by byte", tiny_appends),
    Attack("a stream of thousands of parts", many_parts),
    Attack("a room where all move and talk", crowded_room),
    Attack("rooms by the hundred", many_rooms),
)
