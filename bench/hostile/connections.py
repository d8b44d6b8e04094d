"""Attacks by connections: what is not read, not finished, held open, or sent around the session."""

from __future__ import annotations

import asyncio
import os
import signal

import orjson

from stage import Attack, Stage
from stranger import address_of, frame_head

MEGABYTE = 1_000_000


async def pings_unread(stage: Stage) -> None:
    """Hundreds of megabytes of pings, whose pongs are not read."""
    await _unread(stage, frame_head(0x89, 125) + b"p" * 125)


async def messages_unread(stage: Stage) -> None:
    """Messages whose errors are not read."""
    body = orjson.dumps({"op": "add-query", "client-event-id": "x" * 30_000, "q": {"?": 1}})
    await _unread(stage, frame_head(0x81, len(body)) + body)


async def _unread(stage: Stage, frame: bytes) -> None:
    socket = await stage.stranger.socket(stage.guest_of_victim)
    piece = frame * max(1, 65_536 // len(frame))
    sent = 0
    try:
        async with asyncio.timeout(60):
            while sent < stage.force.megabytes * MEGABYTE:
                socket.writer.write(piece)
                await socket.writer.drain()
                sent += len(piece)
        stage.stranger.heard.note("took all of it")
    except TimeoutError:
        stage.stranger.heard.note("stopped reading")
    except ConnectionError:
        stage.stranger.heard.note("cut off")
    stage.stranger.heard.note(f"{sent / MEGABYTE:.0f} MB taken")
    socket.writer.transport.abort()


async def wrong_frames(stage: Stage) -> None:
    """Control frames that are too long, in pieces, or with reserved bits; forbidden close codes."""
    frames = (
        frame_head(0x89, 60_000) + b"p" * 60_000,
        frame_head(0x8A, 126) + b"p" * 126,
        frame_head(0x09, 4) + b"ping",
        frame_head(0xC9, 4) + b"ping",
        frame_head(0x83, 4) + b"what",
        frame_head(0x88, 1) + b"x",
        frame_head(0x88, 2) + (1005).to_bytes(2, "big"),
        frame_head(0x88, 2) + (99).to_bytes(2, "big"),
        frame_head(0x88, 4) + (1000).to_bytes(2, "big") + b"\xff\xfe",
        frame_head(0x80, 3) + b"abc",
    )
    for frame in frames:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        socket.writer.write(frame)
        try:
            async with asyncio.timeout(20):
                while (answer := await socket.frame()) is not None:
                    if answer[0] == 8:
                        code = int.from_bytes(answer[1][:2], "big") if answer[1] else None
                        stage.stranger.heard.note(f"closed {code}")
        except TimeoutError:
            stage.stranger.heard.note("stays open")
        socket.close()


async def stalled(stage: Stage) -> None:
    """The server's process stops for a while, as on a suspended machine: sessions must survive."""
    sockets = [await stage.stranger.socket(stage.guest_of_victim) for _ in range(20)]
    await asyncio.sleep(1)
    os.kill(stage.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(stage.force.stall_s)
    finally:
        os.kill(stage.pid, signal.SIGCONT)
    await asyncio.sleep(2)
    for socket in sockets:
        answer = await socket.ask({"op": "add-query", "q": {"todos": {"$": {"limit": 1}}}})
        stage.stranger.heard.note("still there" if answer else "thrown out")
        socket.close()


async def held(stage: Stage, first: bytes, then: bytes) -> None:
    """Connections that send `first` and then a byte a second, until they are cut off."""
    host, port = address_of(stage.url)

    async def hold(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(first)
        try:
            async with asyncio.timeout(stage.force.hold_s):
                while True:
                    writer.write(then)
                    await writer.drain()
                    try:
                        async with asyncio.timeout(1):
                            if not await reader.read(65_536):
                                break
                    except TimeoutError:
                        continue
            stage.stranger.heard.note("ended by the server")
        except TimeoutError:
            stage.stranger.heard.note("held")
        except ConnectionError:
            stage.stranger.heard.note("cut off")
        writer.close()

    await stage.at_once(stage.force.connections, hold)


async def headers_unfinished(stage: Stage) -> None:
    await held(stage, b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a")


async def bodies_unfinished(stage: Stage) -> None:
    head = b"POST /admin/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    await held(stage, head + b"Content-Length: 8000000\r\n\r\n{", b" " * 20_000)


async def messages_unfinished(stage: Stage) -> None:
    """WebSocket messages of 8 MB in fragments that never end, with pings in between."""

    async def hold(n: int) -> None:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        part = b" " * 400_000
        try:
            async with asyncio.timeout(stage.force.hold_s):
                socket.writer.write(frame_head(0x01, len(part)) + part)
                for _ in range(19):
                    socket.writer.write(frame_head(0x00, len(part)) + part)
                while True:
                    socket.writer.write(frame_head(0x89, 1) + b"p")
                    await socket.writer.drain()
                    async with asyncio.timeout(5):
                        frame = await socket.frame()
                    if frame is None or frame[0] == 8:
                        break
                    await asyncio.sleep(1)
            stage.stranger.heard.note("ended by the server")
        except TimeoutError:
            stage.stranger.heard.note("held")
        except ConnectionError:
            stage.stranger.heard.note("cut off")
        socket.close()

    await stage.at_once(min(stage.force.connections, 100), hold)


async def answers_unread(stage: Stage) -> None:
    """Large answers over HTTP that are not read."""
    app = await stage.crowded_app(2_000, owners=20)
    host, port = address_of(stage.url)
    body = orjson.dumps({"query": {"todos": {"owner": {}}}})
    request = (
        b"POST /admin/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        + f"app-id: {app.id}\r\nauthorization: Bearer {app.token}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )

    async def ask(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=1_024)
        for _ in range(20):
            writer.write(request)
        await asyncio.sleep(stage.force.hold_s)
        stage.stranger.heard.note("cut off" if reader.at_eof() else "held")
        writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 100), ask)


async def frames_unfinished(stage: Stage) -> None:
    """Large frames, each sent without its last byte."""

    async def hold(n: int) -> None:
        socket = await stage.stranger.socket(stage.guest_of_victim)
        socket.writer.write(frame_head(0x81, 8 * MEGABYTE) + b"x" * (8 * MEGABYTE - 1))
        async with asyncio.timeout(20):
            await socket.writer.drain()
        stage.stranger.heard.note("taken")
        await asyncio.sleep(stage.force.hold_s)
        socket.writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 100), hold)


async def frames_remembered(stage: Stage) -> None:
    """Sockets that each sent one large message, were refused, and stay open."""
    sockets = []
    for n in range(min(stage.force.connections, 300)):
        socket = await stage.stranger.socket(stage.guest_of_victim)
        sockets.append(socket)
        await socket.ask({"op": "remove-query", "q": {"n": n}, "pad": "x" * 7 * MEGABYTE})
    for socket in sockets:
        socket.close()


async def frames_empty(stage: Stage) -> None:
    """Empty pings and fragments, after a frame that made the buffer large."""
    fragment = frame_head(0x00, 0)
    for frame in (frame_head(0x89, 0), frame_head(0x8A, 0), fragment):
        socket = await stage.stranger.socket(stage.guest_of_victim)
        await socket.ask({"op": "remove-query", "q": {}, "pad": "x" * MEGABYTE})
        if frame == fragment:
            socket.writer.write(frame_head(0x01, 0))
        for _ in range(stage.force.megabytes // 10):
            socket.writer.write(frame * 100_000)
            try:
                async with asyncio.timeout(30):
                    await socket.writer.drain()
            except (TimeoutError, ConnectionError):
                break
        socket.writer.transport.abort()


async def bodies_waiting(stage: Stage) -> None:
    """Bodies of 8 MB for every route, from clients that leave before they are read."""
    app = await stage.stranger.new_app()
    body = b'{"query":[%b[]],"steps":[%b[]]}' % (b"[]," * 100_000, b"[]," * 2_000_000)
    paths = ("/admin/transact", "/admin/query", "/runtime/framework/query", "/dash/apps/ephemeral")

    async def send(n: int) -> None:
        async with asyncio.timeout(stage.force.hold_s / 2 if n % 2 else 60):
            await stage.stranger.as_admin(app, paths[n % len(paths)], body)

    await stage.at_once(min(stage.force.connections, 200), send)


async def sockets_idle(stage: Stage) -> None:
    """As many sockets as the force allows, which never send `init`."""

    async def hold(n: int) -> None:
        socket = await stage.stranger.socket()
        await asyncio.sleep(min(stage.force.hold_s, 12))
        stage.stranger.heard.note("cut off" if socket.reader.at_eof() else "held")
        socket.close()

    await stage.at_once(stage.force.connections, hold)


ATTACKS = (
    Attack("pings, pongs unread", pings_unread),
    Attack("messages, errors unread", messages_unread),
    Attack("wrong control frames and close codes", wrong_frames),
    Attack("the process stops for a while", stalled),
    Attack("headers that never end", headers_unfinished),
    Attack("bodies that never end", bodies_unfinished),
    Attack("messages that never end", messages_unfinished),
    Attack("large answers nobody reads", answers_unread),
    Attack("sockets that never begin", sockets_idle),
    Attack("large frames that never end", frames_unfinished),
    Attack("large frames, and then nothing", frames_remembered),
    Attack("frames with nothing in them", frames_empty),
    Attack("large bodies nobody waits for", bodies_waiting),
)
