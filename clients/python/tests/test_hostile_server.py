"""Servers that mean harm, or are none: each request ends in an error that says what it was, soon,
in bounded memory."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest

from support.patience import POLL_S, WAIT_S
from trice_client import AsyncClient, Client, TriceError

APP = "00000000-0000-4000-8000-000000000000"
MIB = 2**20
Serve = Callable[[socket.socket, bytes], None]


@contextmanager
def hostile(serve: Serve) -> Iterator[str]:
    """A server that reads the head of each request, and does what it likes. Yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with connection:
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(65_536)
                    if not piece:
                        return
                    head += piece
                serve(connection, head)
            except OSError:
                pass  # the client has gone

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def saying(raw: bytes) -> Serve:
    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(raw)

    return serve


def failure(serve: Serve, *, retry_s: float = 0.0, timeout_s: float = WAIT_S) -> TriceError:
    """What a query ends with."""
    with (
        hostile(serve) as url,
        Client(APP, server=url, admin_token="secret", retry_s=retry_s, timeout_s=timeout_s) as db,
        pytest.raises(TriceError) as refused,
    ):
        db.query({"todos": {}})
    assert "secret" not in f"{refused.value!r} {refused.value}"
    return refused.value


@pytest.mark.rule("PY110")
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x00\xff not http at all\r\n\r\n", "offline"),
        (answer(b"{}", length=100), "offline"),
        (answer(b"<html>", status="200 OK"), "answer-malformed"),
        (answer(b'{"todos": ' + b"[" * 100_000), "answer-malformed"),
        (answer(b"\xff\xfe"), "answer-malformed"),
        (answer(b"x" * 64, "content-encoding: gzip"), "answer-malformed"),
        (answer(b"", "location: http://127.0.0.1:9/", status="302 Found"), "answer-malformed"),
        (answer(b"", "location: /admin/query", status="307 Temporary"), "answer-malformed"),
        (answer(b"", status="204 No Content"), "answer-malformed"),
        (answer(b"[1, 2]"), "answer-malformed"),
        (answer(b'"text"'), "answer-malformed"),
        (answer(b"null"), "answer-malformed"),
        (answer(b'{"type": 7, "message": ["x"]}', status="400 Bad"), "unknown"),
        (answer(b"x" * 10_000, status="500 Oops"), "unknown"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 200_000 + b"\r\n\r\n", "offline"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"\r\n", "offline"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "offline"),
    ],
    ids=str.split(
        "noise short html deep bytes not-gzip redirect itself empty list text null odd-error"
        " long-error long-header many-headers bad-chunk"
    ),
)
def test_answers_that_are_none(raw: bytes, code: str) -> None:
    error = failure(saying(raw))
    assert error.code == code, repr(error)
    assert len(str(error)) < 500


@pytest.mark.rule("PY110")
@pytest.mark.parametrize("body", [b"{}", b'{"tx-id": "7"}', b'{"tx-id": null}', b"[]", b"7"])
def test_a_transaction_is_answered_with_a_number(body: bytes) -> None:
    with hostile(saying(answer(body))) as url, Client(APP, server=url, retry_s=0) as db:
        with pytest.raises(TriceError) as refused:
            db.transact(db.tx.todos["x"].update({"n": 1}))
        assert refused.value.code == "answer-malformed"


def endless(head: bytes, piece: bytes) -> Serve:
    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return serve


def bomb(size: int) -> bytes:
    """So many bytes of JSON, compressed to a thousandth."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [pack.compress(b'{"a":"'), *(pack.compress(b" " * MIB) for _ in range(size // MIB))]
    return b"".join([*pieces, pack.compress(b'"}'), pack.flush()])


@pytest.mark.rule("PY111")
@pytest.mark.parametrize("kind", ["endless", "error", "bomb"])
def test_an_answer_has_a_bound(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from trice_client import _asked

    monkeypatch.setattr(_asked, "ANSWER_BYTES_MAX", 8 * MIB)
    monkeypatch.setattr(_asked, "ERROR_BYTES_MAX", MIB)
    chunked = b"transfer-encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    serve = {
        "endless": endless(b"HTTP/1.1 200 OK\r\n" + chunked, piece),
        "error": endless(b"HTTP/1.1 400 Bad\r\n" + chunked, piece),
        "bomb": saying(answer(bomb(256 * MIB), "content-encoding: gzip")),
    }[kind]
    tracemalloc.start()
    try:
        error = failure(serve)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    sys.stdout.write(f"{kind}: {error}; peak {peak / MIB:.0f} MiB\n")
    assert error.code == ("unknown" if kind == "error" else "answer-too-large")
    assert peak < 64 * MIB


@pytest.mark.rule("PY111")
def test_an_answer_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then is no silence."""
    from trice_client import _asked

    monkeypatch.setattr(_asked, "ANSWER_S_MAX", 0.2)

    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\n \r\n")
            time.sleep(0.01)

    error = failure(drip)
    assert (error.code, error.is_silence) == ("offline", False) and "0.2 s" in str(error)


@pytest.mark.rule("PY112")
@pytest.mark.parametrize("told", [1e12, 86_400_000, -5, "soon", None, True])
def test_a_server_cannot_make_a_client_wait_for_ever(told: object) -> None:
    body = json.dumps({"type": "rate-limited", "message": "no", "hint": {"retry-after": told}})
    began_s = time.monotonic()
    error = failure(saying(answer(body.encode(), status="429 Too Many")), retry_s=0.5)
    assert error.code == "rate-limited"
    assert time.monotonic() - began_s < WAIT_S


# --- WebSockets -----------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes, *, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    if size < 126:
        return bytes([0x80 | opcode, size]) + payload
    return bytes([0x80 | opcode, 127]) + struct.pack(">Q", size) + payload


def websocket(*frames: bytes, head: str = "") -> Serve:
    """Shakes hands, and says so much; then nothing."""
    from websockets.utils import accept_key

    def serve(connection: socket.socket, asked: bytes) -> None:
        lines = dict(
            line.split(": ", 1) for line in asked.decode().split("\r\n")[1:] if ": " in line
        )
        key = {name.lower(): value for name, value in lines.items()}["sec-websocket-key"]
        told = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{told}{head}Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode())
        for each in frames:
            connection.sendall(each)
        while connection.recv(65_536):
            pass

    return serve


INIT_OK = frame(1, b'{"op": "init-ok", "session-id": "s"}')


async def live_failure(serve: Serve) -> TriceError:
    """What a live query ends with."""
    with hostile(serve) as url, anyio.fail_after(WAIT_S):
        async with AsyncClient(APP, server=url) as db:
            with pytest.raises(TriceError) as refused:
                await anext(db.subscribe_query({"todos": {}}))
            return refused.value


@pytest.mark.rule("PY113")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "frames",
    [
        (frame(1, b"no json"),),
        (frame(1, b"7"),),
        (frame(1, b'{"op": 7}'),),
        (INIT_OK, frame(1, b'{"op": "refresh-ok", "computations": 7}')),
        (INIT_OK, frame(1, b'{"op": "error", "status": "x"}')),
        (INIT_OK, frame(1, b"[" * 100_000)),
        (INIT_OK, frame(2, b"\xff\xff")),
    ],
    ids=str.split("noise number op computations status deep binary"),
)
async def test_messages_that_are_none_end_what_is_live(frames: tuple[bytes, ...]) -> None:
    error = await live_failure(websocket(*frames))
    assert error.code == "answer-malformed", repr(error)


@pytest.mark.rule("PY113")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "serve",
    [
        saying(answer(b"hello")),
        saying(answer(b"", "location: http://127.0.0.1:9/", status="302 Found")),
        saying(answer(b"", status="404 Not Found")),
    ],
    ids=["page", "redirect", "not-found"],
)
async def test_what_speaks_no_websockets_is_said_at_once(serve: Serve) -> None:
    error = await live_failure(serve)
    assert error.code == "answer-malformed" and "WebSockets" in str(error), repr(error)


@pytest.mark.rule("PY113")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "frames",
    [
        (INIT_OK, frame(1, b"", length=2**62)),
        (INIT_OK, frame(11, b"x")),
        (INIT_OK, frame(9, b"x" * 200)),
        (INIT_OK, b"\xff" * 64),
        (INIT_OK, frame(8, b"\x00")),
    ],
    ids=str.split("huge opcode long-ping noise close"),
)
async def test_frames_that_are_none_break_the_connection(frames: tuple[bytes, ...]) -> None:
    """As any connection that breaks: the client comes back."""
    came: list[bytes] = []
    with hostile(counted(websocket(*frames), came)) as url, anyio.fail_after(WAIT_S):
        async with AsyncClient(APP, server=url) as db:
            live = db.subscribe_query({"todos": {}})
            while len(came) < 2:  # noqa: ASYNC110 (a thread counts)
                await anyio.sleep(POLL_S)
            assert not live.is_closed


def counted(serve: Serve, came: list[bytes]) -> Serve:
    """The same, with the head of each request that came."""

    def count(connection: socket.socket, head: bytes) -> None:
        came.append(head)
        serve(connection, head)

    return count


def deflated(size: int) -> bytes:
    """A compressed frame that becomes so many bytes."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = b"".join(pack.compress(b" " * MIB) for _ in range(size // MIB))
    raw += pack.flush(zlib.Z_SYNC_FLUSH)
    found = bytearray(frame(1, raw.removesuffix(b"\x00\x00\xff\xff")))
    found[0] |= 0x40
    return bytes(found)


@pytest.mark.rule("PY113")
@pytest.mark.anyio
async def test_a_bomb_in_a_frame_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    from trice_client._live import socket as live_socket

    monkeypatch.setattr(live_socket, "MESSAGE_BYTES_MAX", 8 * MIB)
    monkeypatch.setattr(live_socket, "_LOOPBACK", frozenset())
    came: list[bytes] = []
    agreed = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    serve = counted(websocket(INIT_OK, deflated(256 * MIB), head=agreed), came)
    tracemalloc.start()
    try:
        with hostile(serve) as url, anyio.fail_after(WAIT_S):
            async with AsyncClient(APP, server=url) as db:
                db.subscribe_query({"todos": {}})
                while len(came) < 2:  # noqa: ASYNC110 (a thread counts)
                    await anyio.sleep(POLL_S)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB
