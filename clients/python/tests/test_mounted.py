"""`trice.asgi` in FastAPI under uvicorn, as a process, and in Starlette, without one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from client_apps import make_app
from frameworks import EXAMPLES
from support.patience import WAIT_S
from support.serving import connect, get
from trice import asgi, limits
from trice.errors import InvalidInput
from trice_client import new_id

TUS = {"tus-resumable": "1.0.0", "upload-length": "4"}


@contextmanager
def mounted(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The example under uvicorn, and the address below which the server is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"http://127.0.0.1:{port}/trice"
        command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "mounted:app"]
        process = subprocess.Popen(
            [*command, "--fd", str(listener.fileno()), "--ws", "websockets-sansio"],
            env={**os.environ, "TRICE_DATA_DIR": str(data_dir), "TRICE_PUBLIC_URL": url},
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
        )
        try:
            yield process, url
        finally:
            process.kill()
            process.communicate()


@pytest.mark.rule("PY75", "PY76")
def test_a_program_of_fastapi_has_the_server_in_it(tmp_path: Path) -> None:
    with mounted(tmp_path) as (process, url):
        assert get(url.replace("/trice", "/hello")).json() == "Hello"
        app = make_app(url)
        with app.sync() as db:
            with db.subscribe_query({"todos": {}}) as answers:
                assert answers.get(timeout_s=WAIT_S).data == {"todos": []}
                db.transact(db.tx.todos[new_id()].create({"title": "Milk"}))
                (found,) = answers.get(timeout_s=WAIT_S).data["todos"]
                assert found["title"] == "Milk"
            db.storage.upload("cat.txt", b"meow")
            db.storage.download("cat.txt", tmp_path / "again.txt")
            assert (tmp_path / "again.txt").read_bytes() == b"meow"
            (file,) = db.query({"$files": {}})["$files"]
            assert file["url"].startswith(url)
        headers = {**TUS, "app-id": app.id, "authorization": f"Bearer {app.admin_token}"}
        headers["upload-metadata"] = "path YS50eHQ="
        made = httpx.post(f"{url}/admin/storage/tus", headers=headers, timeout=WAIT_S)
        assert made.headers["location"].startswith("/trice/admin/storage/tus/"), made.text
        ends_when_told(process, url, app.id)
        assert process.stderr is not None
        log = process.stderr.read().decode()
        assert "Application shutdown complete." in log and "Traceback" not in log


def ends_when_told(process: subprocess.Popen[bytes], url: str, app_id: str) -> None:
    """A socket and an event stream, as any client has them, and then SIGTERM."""
    path = f"/runtime/session?app_id={app_id}"
    events = httpx.stream("GET", f"{url}/runtime/sse?app_id={app_id}", timeout=WAIT_S)
    with connect(url.replace("http", "ws") + path) as raw, events as stream:
        raw.send(json.dumps({"op": "init", "app-id": app_id, "client-event-id": new_id()}))
        assert json.loads(raw.recv(WAIT_S))["op"] == "init-ok"
        lines = stream.iter_lines()
        assert "sse-init" in next(each for each in lines if each)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) in (0, -signal.SIGTERM)
        with pytest.raises(Exception, match="1012"):
            raw.recv(WAIT_S)
        list(lines)  # it ends


@asynccontextmanager
async def asked(program: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(program, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as web:
        yield web


@pytest.mark.rule("PY76", "PY77")
def test_it_is_open_while_its_lifespan_is(tmp_path: Path) -> None:
    backend = asgi.App(tmp_path, url="http://test/deep/trice/")
    program = Starlette(routes=[Mount("/deep", routes=[Mount("/trice", backend)])])

    async def scenario() -> None:
        async with asked(program) as web:
            for _ in range(2):
                with pytest.raises(RuntimeError, match="lifespan=backend"):
                    await web.get("/deep/trice/health")
                async with backend.lifespan(program):
                    assert (await web.get("/deep/trice/health")).status_code == 200
                    page = await web.get("/deep/trice/")
                    assert "http://test/deep/trice" in page.text
                    missing = await web.get("/deep/trice/nothing")
                    assert missing.json()["hint"]["path"] == "/nothing"
                    with pytest.raises(RuntimeError, match="open already"):
                        await backend.lifespan().__aenter__()
                    with pytest.raises(OSError, match="another trice server"):
                        await asgi.App(tmp_path).lifespan().__aenter__()

    before = signal.getsignal(signal.SIGTERM)
    anyio.run(scenario)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.rule("PY75", "PY77")
def test_alone_it_speaks_the_lifespan_protocol(tmp_path: Path) -> None:
    async def run(data_dir: Path) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        events = iter(("lifespan.startup", "lifespan.shutdown"))

        async def receive() -> dict[str, Any]:
            return {"type": next(events)}

        async def send(message: Any) -> None:
            told.append(message)

        try:
            await asgi.App(data_dir)({"type": "lifespan"}, receive, send)
        except OSError:
            told.append({"type": "raised"})
        return told

    async def scenario() -> None:
        kinds = [each["type"] for each in await run(tmp_path)]
        assert kinds == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        async with asgi.App(tmp_path).lifespan():
            refused, raised = await run(tmp_path)
        assert refused["type"] == "lifespan.startup.failed" and raised["type"] == "raised"
        assert "another trice server" in refused["message"]

    anyio.run(scenario)


@pytest.mark.rule("PY77")
def test_settings_of_a_port_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="host, port is for a server with its own port"):
        asgi.App(tmp_path, port=1, host="::")
    for url in ("example.org", "ftp://x", "http://x/?a", ""):
        with pytest.raises(InvalidInput, match="must be like"):
            asgi.App(tmp_path, url=url)
    with pytest.raises(InvalidInput, match="slow-ms"):
        asgi.App(tmp_path, slow_ms=-1)
    assert asgi.App(tmp_path, slow_ms=7).settings.slow_ms == 7


async def socket_of(backend: asgi.App, *came: dict[str, Any]) -> list[dict[str, Any]]:
    """What a WebSocket is sent that brings these messages."""
    told: list[dict[str, Any]] = []
    messages = iter([{"type": "websocket.connect"}, *came, {"type": "websocket.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        told.append(message)

    scope = {"type": "websocket", "path": "/trice/runtime/session", "root_path": "/trice"}
    more = {"headers": [], "query_string": b"", "client": ("127.0.0.1", 1)}
    await backend({**scope, **more}, receive, send)
    return told


@pytest.mark.rule("PY78")
def test_what_the_program_lets_through_has_bounds(tmp_path: Path) -> None:
    backend = asgi.App(tmp_path)

    async def scenario() -> None:
        async with backend.lifespan():
            large = {"type": "websocket.receive", "bytes": bytes(limits.FRAME_BYTES_MAX + 1)}
            accepted, closed = await socket_of(backend, large)
            assert (accepted["type"], closed["code"]) == ("websocket.accept", 1009)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(limits, "SESSIONS_MAX", 0)
                _, closed = await socket_of(backend)
            assert (closed["type"], closed["code"]) == ("websocket.close", 1013)

    anyio.run(scenario)
