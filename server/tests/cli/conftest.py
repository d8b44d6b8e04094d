"""A server for the commands that ask one: started once for the tests of a file."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.remote_cli import Person
from support.serving import serving
from trice.cli.main import main


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server_url(data_dir: Path) -> Iterator[str]:
    with serving(data_dir, "--port", "0") as (_, url):
        yield url


@pytest.fixture(scope="module")
def new_account(data_dir: Path, server_url: str):
    def make(email: str) -> str:
        words = ["accounts", "create", email, "--print-token", "--data-dir", str(data_dir)]
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()[-1]

    return make


@pytest.fixture
def ann(request, new_account, server_url: str, tmp_path: Path) -> Person:
    """Somebody with an account of her own in each test."""
    name = re.sub(r"[^a-z0-9]+", "_", request.node.name)[:60]
    email = f"{name}@example.com"
    home = tmp_path / "home"
    home.mkdir()
    return Person(server_url, home, new_account(email))


class Stranger:
    """A server that is none of ours. Holds the headers of the requests it got.

    answer   status, content type and body of every answer
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, str]] = []
        self.answer: tuple[int, str, bytes] = (200, "text/html", b"<p>hello</p>")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append({name.lower(): value for name, value in self.headers.items()})
                status, kind, body = outer.answer
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    stranger = Stranger()
    thread = threading.Thread(target=stranger.server.serve_forever)
    thread.start()
    try:
        yield stranger
    finally:
        stranger.server.shutdown()
        thread.join()
        stranger.server.server_close()
