"""Attacks by files: uploads, deletions, downloads, image variants."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path
from urllib.parse import quote

from connections import held
from stage import Attack, Stage
from stranger import App, address_of

MEGABYTE = 1_000_000
LARGE = 19 * MEGABYTE
"""A file almost as large as one of a throw-away app may be."""

SIDES = (16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1600, 1920)


def upload_head(app: App, path: str, size: int) -> bytes:
    """The head of an upload that says it has `size` bytes."""
    return (
        b"PUT /admin/storage/upload HTTP/1.1\r\nHost: x\r\n"
        + f"app-id: {app.id}\r\nauthorization: Bearer {app.token}\r\npath: {path}\r\n".encode()
        + f"Content-Length: {size}\r\n\r\n".encode()
    )


def _code_of(line: bytes) -> str:
    """What the first line of an answer says; 503 is how a bound is told."""
    status = line.split(b" ")[1].decode() if line else "cut off"
    return "overloaded" if status == "503" else status


def spooled_mb(stage: Stage) -> float:
    """What the spool of the server has on disk now."""
    found = 0
    for link in Path(f"/proc/{stage.pid}/fd").iterdir():
        try:
            if "/spool/" in str(link.readlink()):
                found += link.stat().st_size
        except OSError:
            continue
    return found / MEGABYTE


# --- uploads --------------------------------------------------------------------------------------


async def uploads_trickle(stage: Stage) -> None:
    """Uploads that send a byte a second."""
    app = await stage.stranger.new_app()
    await held(stage, upload_head(app, "slow", LARGE), b"a")


async def uploads_at_once(stage: Stage) -> None:
    """As many uploads at once as there are connections; each is tried once."""
    app = await stage.stranger.new_app()
    host, port = address_of(stage.url)
    body = b"x" * 60_000

    async def send(n: int) -> None:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(upload_head(app, f"{n}", len(body)) + body)
                line = await reader.readline()
                stage.stranger.heard.note(_code_of(line))
            finally:
                writer.close()

    await stage.at_once(min(stage.force.connections, 1_000), send)


async def uploads_cut_off(stage: Stage) -> None:
    """Files without their last byte, again and again: they lie in the spool until they are cut."""
    app = await stage.stranger.new_app()
    host, port = address_of(stage.url)
    piece = b"x" * 500_000
    most = 0.0

    async def send(n: int) -> None:
        nonlocal most
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(upload_head(app, f"{n}", LARGE))
            for _ in range(LARGE // len(piece) - 1):
                writer.write(piece)
                await writer.drain()
            writer.write(piece[:-1])
            await writer.drain()
            most = max(most, spooled_mb(stage))
            async with asyncio.timeout(stage.force.hold_s):
                line = await reader.readline()
            stage.stranger.heard.note(_code_of(line))
        except TimeoutError:
            stage.stranger.heard.note("held")
        except ConnectionError:
            stage.stranger.heard.note("cut off")
        finally:
            writer.transport.abort()

    for _ in range(stage.force.repeats):
        await stage.at_once(min(stage.force.connections, 60), send)
    await asyncio.sleep(1)
    stage.stranger.heard.note(f"spool: {most:.0f} MB, {spooled_mb(stage):.0f} afterwards")


async def uploads_too_large(stage: Stage) -> None:
    """More than was said, more than is accepted, in chunks without an end."""
    app = await stage.stranger.new_app()
    host, port = address_of(stage.url)
    head = upload_head(app, "x", 1).replace(b"Content-Length: 1", b"Transfer-Encoding: chunked")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"

    async def send(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(head)
            async with asyncio.timeout(60):
                for _ in range(100):
                    writer.write(chunk)
                    await writer.drain()
                line = await reader.readline()
                stage.stranger.heard.note(_code_of(line))
        except ConnectionError:
            stage.stranger.heard.note("cut off")
        finally:
            writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 40), send)
    await stage.stranger.send(
        "PUT",
        "/admin/storage/upload",
        b"x" * LARGE,
        {"app-id": app.id, "authorization": f"Bearer {app.token}", "path": "all of it"},
    )


async def giant_paths(stage: Stage) -> None:
    """Paths that are long, deep, climb out of the folder, or are no text; in every place."""
    app = await stage.stranger.new_app()
    paths = (
        "x" * 1_024,
        "x" * 1_025,
        "x" * 60_000,
        "a/" * 30_000,
        "../" * 300 + "etc/passwd",
        "/etc/passwd",
        "a\x00b",
        "\ud800",
        "e\u0301" * 500,
        "%2e%2e%2f" * 100,
    )
    headers = {"app-id": app.id, "authorization": f"Bearer {app.token}"}
    for path in paths * stage.force.repeats:
        raw = path.encode("utf-8", "surrogatepass")
        named = quote(raw)
        await stage.stranger.send(
            "GET", f"/admin/storage/signed-download-url?filename={named[:60_000]}", b"", headers
        )
        await stage.stranger.send(
            "DELETE", f"/admin/storage/files?filename={named[:60_000]}", b"", headers
        )
        text = raw.decode("utf-8", "replace")
        for route in ("signed-upload-url", "files/delete"):
            body = {"filename": text, "filenames": [text] * 1_000}
            await stage.stranger.as_admin(app, f"/admin/storage/{route}", body)
        if raw.isascii() and b"\0" not in raw:
            await stage.stranger.upload(app, path, b"x")
    await stage.stranger.as_admin(
        app, "/admin/storage/files/delete", {"filenames": ["x"] * 500_000}
    )


async def small_files(stage: Stage) -> None:
    """Small files by the thousand, deleted again, under a live query that shows their URLs."""
    app = await stage.stranger.new_app(rules={"$files": {"allow": {"$default": "true"}}})
    socket = await stage.stranger.socket(app)
    await socket.ask({"op": "add-query", "q": {"$files": {}}})
    reading = asyncio.create_task(_read_on(socket))
    count = 1_000 * stage.force.repeats if stage.force.repeats > 1 else 100
    for start in range(0, count, 20):
        await stage.at_once(
            20,
            lambda n, start=start: stage.stranger.upload(app, f"{start + n}", b"%d" % (start + n)),
        )
    await stage.at_once(
        20, lambda n: stage.stranger.as_admin(app, "/admin/query", {"query": {"$files": {}}})
    )
    for start in range(0, count, 500):
        names = [f"{n}" for n in range(start, start + 500)]
        await stage.stranger.as_admin(app, "/admin/storage/files/delete", {"filenames": names})
    await asyncio.sleep(min(stage.force.hold_s, 8))
    reading.cancel()
    socket.close()


async def _read_on(socket: object) -> None:
    while await socket.frame() is not None:  # type: ignore[attr-defined]
        pass


# --- downloads ------------------------------------------------------------------------------------


async def _large_file(stage: Stage) -> str:
    app = await stage.stranger.new_app()
    await stage.stranger.upload(app, "large", bytes(LARGE), is_setup=True)
    return await stage.stranger.file_url(app, "large")


async def ranges(stage: Stage) -> None:
    """One byte of a large file, over and over, many requests ahead; ranges that make no sense."""
    target = await _large_file(stage)
    host, port = address_of(stage.url)
    spans = (
        "0-0",
        f"{LARGE - 1}-{LARGE - 1}",
        ",".join(f"{n}-{n}" for n in range(0, 8_000, 2)),
        ",".join(["0-"] * 2_000),
        "5-2",
        f"{LARGE}-",
        "-" + "9" * 30,
        "x" * 60_000,
    )

    async def ask(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for span in spans:
                count = 12 if len(span) < 20 else 1  # servers take 16 requests ahead
                request = f"GET {target} HTTP/1.1\r\nHost: x\r\nRange: bytes={span}\r\n\r\n"
                writer.write(request.encode() * count)
                for _ in range(count):
                    async with asyncio.timeout(60):
                        head = await reader.readuntil(b"\r\n\r\n")
                        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                        await reader.readexactly(size if size < 100_000 else 0)
                        stage.stranger.heard.note(head.split(b" ")[1].decode())
                    if size > 100_000:
                        return  # a body as large as the file: its end is not looked for
        except (ConnectionError, asyncio.IncompleteReadError):
            stage.stranger.heard.note("cut off")
        finally:
            writer.transport.abort()

    for _ in range(stage.force.repeats):
        await stage.at_once(min(stage.force.connections, 100), ask)


async def downloads_unread(stage: Stage) -> None:
    """Large files that are asked for on every connection and not read."""
    target = await _large_file(stage)
    host, port = address_of(stage.url)
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    async def ask(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, limit=1_024)
        writer.write(request * 5)
        await asyncio.sleep(stage.force.hold_s)
        stage.stranger.heard.note("cut off" if reader.at_eof() else "held")
        writer.transport.abort()

    await stage.at_once(min(stage.force.connections, 400), ask)


async def downloads_left(stage: Stage) -> None:
    """Downloads that are left as soon as they have begun."""
    target = await _large_file(stage)
    host, port = address_of(stage.url)
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    async def ask(n: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request)
        if n % 2:
            await reader.readline()
        writer.transport.abort()

    for _ in range(10 * stage.force.repeats):
        await stage.at_once(min(stage.force.connections, 100), ask)


# --- images ---------------------------------------------------------------------------------------


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, *more: bytes) -> bytes:
    """A PNG that says it has this size; `data` is its rows, deflated."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    )


def gif(width: int, height: int, frames: int) -> bytes:
    """A GIF with so many frames, each as large as the whole, of one colour."""
    size = struct.pack("<HH", width, height)
    frame = b"\x2c" + bytes(4) + size + b"\x00\x08\x03\x00\x01\x04\x01\x00\x00"
    return b"GIF89a" + size + b"\x80\x00\x00" + bytes(6) + frame * frames + b"\x3b"


def images() -> dict[str, bytes]:
    """Images that are bombs, each by its name."""
    side = 7_000
    rows = zlib.compress((b"\x00" + bytes(3 * side)) * side, 9)
    words = _chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(50 * MEGABYTE), 9))
    colours = _chunk(b"iCCP", b"profile\x00\x00" + zlib.compress(bytes(50 * MEGABYTE), 9))
    return {
        "as large as accepted": png(side, side, rows),
        "larger than accepted": png(60_000, 60_000, rows),
        "larger than a number": png(2**31 - 1, 2**31 - 1, rows),
        "much text": png(16, 16, zlib.compress((b"\x00" + bytes(48)) * 16), words, words),
        "a large profile": png(16, 16, zlib.compress((b"\x00" + bytes(48)) * 16), colours),
        "too few rows": png(side, side, rows[:1_000]),
        "many frames": gif(6_000, 6_000, 10_000),
        "no image": b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 1_000,
    }


async def image_bombs(stage: Stage) -> None:
    """Images that are small to send and large to decode, in as many sizes as there are."""
    app = await stage.stranger.new_app()
    for name, data in images().items():
        await stage.stranger.upload(app, name, data, is_setup=True)
        target = await stage.stranger.file_url(app, name)
        for width in SIDES[: 2 * stage.force.repeats]:
            await stage.stranger.send("GET", f"{target}&w={width}")


async def variants_at_once(stage: Stage) -> None:
    """Every variant of large images at once, and some whose sizes are none."""
    app = await stage.stranger.new_app()
    bombs = images()
    targets = []
    for n in range(stage.force.repeats):
        data = bombs["as large as accepted"] + b"%d" % n  # other bytes, the same image
        await stage.stranger.upload(app, f"{n}", data, is_setup=True)
        targets.append(await stage.stranger.file_url(app, f"{n}"))

    async def ask(n: int) -> None:
        target = targets[n % len(targets)]
        width = SIDES[n % len(SIDES)] if n % 10 else -n
        formats = ("webp", "jpeg", "png", "avif")
        await stage.stranger.send("GET", f"{target}&w={width}&q=95&format={formats[n % 4]}")

    # One is made at a time, in seconds: the short form must not wait longer than its client does.
    await stage.at_once(200 if stage.force.repeats > 1 else 4, ask)


ATTACKS = (
    Attack("uploads that trickle", uploads_trickle),
    Attack("uploads, all at once", uploads_at_once),
    Attack("uploads that fill the spool and are cut off", uploads_cut_off),
    Attack("uploads without an end", uploads_too_large),
    Attack("giant paths", giant_paths),
    Attack("small files, stored and deleted", small_files),
    Attack("storms of ranges", ranges),
    Attack("downloads nobody reads", downloads_unread),
    Attack("downloads that are left", downloads_left),
    Attack("images that are bombs", image_bombs),
    Attack("image variants, all at once", variants_at_once),
)
