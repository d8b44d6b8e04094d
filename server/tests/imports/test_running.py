"""`trice import` into a server that runs, as people do it; and both sides killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from support.archive_stage import small_shop
from support.archives import Archive
from support.patience import WAIT_S
from support.remote_cli import Person
from support.serving import TRICE, Serving, get, post, serving, until


def big_shop() -> Archive:
    shop = small_shop()
    for number in range(30_000):
        shop.add("goods", {"title": f"Cup {number}", "sku": f"c-{number}", "price": number})
    shop.more = {
        "webhooks": [
            {
                "sink": {"url": "https://hooks.example/x"},
                "namespaces": ["goods"],
                "actions": ["create"],
            }
        ]
    }
    return shop


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def token(data_dir: Path) -> str:
    """An access token of an account, which is made while no server runs."""
    words = [TRICE, "accounts", "create", "ann@example.com", "--print-token"]
    made = subprocess.run(
        [*words, "--data-dir", data_dir], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    return made.stdout.splitlines()[-1]


@pytest.fixture
def server(data_dir: Path, token: str) -> Iterator[Serving]:
    with serving(data_dir, "--port", "0") as running:
        yield running


def ann_at(url: str, token: str, tmp_path: Path) -> Person:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Person(url, home, token)


def same(app_id: str, archive: Path, data_dir: Path) -> None:
    """`trice doctor` finds no difference."""
    words = [TRICE, "doctor", "--app", app_id, "--archive", archive, "--data-dir", data_dir]
    told = subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert told.returncode == 0 and told.stdout.endswith("\nEqual.\n"), told


@pytest.mark.rule("AR120", "AR110")
def test_a_backup_is_imported_by_url(
    server: Serving, token: str, data_dir: Path, tmp_path: Path
) -> None:
    shop = small_shop()
    shop.more = big_shop().more
    backup = shop.write(tmp_path / "shop.zip")
    ann = ann_at(server[1], token, tmp_path)
    told = ann.told("import", backup)
    assert told.startswith(f"A shop is here, as app {shop.app_id}.\n\n  $files")
    assert "trice serve" not in told and "1 webhooks came" in told
    admin = told.partition("Its admin token is ")[2][:36]
    headers = {"authorization": f"Bearer {admin}"}
    query = {"query": {"goods": {"tags": {}}}}
    found = post(
        f"{ann.url}/admin/query", json=query, headers={**headers, "app-id": shop.app_id or ""}
    )
    assert len(found.json()["goods"]) == 2
    hooks = f"{ann.url}/dash/apps/{shop.app_id}/webhooks"
    (hook,) = get(hooks, headers=headers).json()["webhooks"]
    assert hook["status"] == "disabled" and hook["sink"]["url"] == "https://hooks.example/x"
    enabled = post(f"{hooks}/{hook['id']}/enable", json={}, headers=headers).json()["webhook"]
    assert enabled["status"] == "active"
    assert [app["id"] for app in ann.data("apps", "list")] == [shop.app_id]
    same(shop.app_id or "", backup, data_dir)

    again = ann.run("import", backup)
    assert again.exit_code == 1 and "on this server already" in again.stderr
    assert ann.run("import", backup, "--replace", "--yes").exit_code == 0
    both = ann.run("import", backup, "--url", ann.url, "--data-dir", data_dir)
    assert both.exit_code == 2 and "not both" in both.stderr
    table = tmp_path / "t.csv"
    table.write_text("a\n1\n")
    tables = ann.run("import", table, "--url", ann.url)
    assert tables.exit_code == 2 and "--url is for backups only" in tables.stderr


@pytest.mark.rule("AR123")
def test_the_server_of_a_data_directory_imports(
    server: Serving, token: str, data_dir: Path, tmp_path: Path
) -> None:
    shop = small_shop()
    backup = shop.write(tmp_path / "shop.zip")
    nobody = Person("", tmp_path)
    told = nobody.told(
        *("import", backup, "--data-dir", data_dir, "--owner", "ann@example.com", "--closed")
    )
    assert "Compare: trice doctor" in told
    same(shop.app_id or "", backup, data_dir)
    assert backup.exists()
    listed = ann_at(server[1], token, tmp_path).data("apps", "list")
    assert [app["title"] for app in listed] == ["A shop"]
    (data_dir / "operator.json").unlink()
    lost = nobody.run("import", backup, "--data-dir", data_dir, "--replace", "--yes")
    assert lost.exit_code == 1 and "Stop it first" in lost.stderr


@pytest.mark.rule("AR124", "AR100")
def test_a_server_that_is_killed_goes_on(token: str, data_dir: Path, tmp_path: Path) -> None:
    shop = big_shop()
    backup = shop.write(tmp_path / "shop.zip")
    with serving(data_dir, "--port", "0") as (process, url):
        command = [TRICE, "import", backup, "--url", url, "--token", token]
        importing = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: list(data_dir.glob("loading/*.kept.db")))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(WAIT_S)
        finally:
            importing.kill()
            importing.communicate()
    # Its process ends by itself.
    with serving(data_dir, "--port", "0") as (_, url):
        headers = {"authorization": f"Bearer {token}"}

        def status() -> str:
            jobs = get(f"{url}/dash/restore-jobs", headers=headers).json()["restore-jobs"]
            assert len(jobs) == 1
            return str(jobs[0]["job_status"])

        until(lambda: status() not in ("waiting", "processing"))
        assert status() == "completed"
        same(shop.app_id or "", backup, data_dir)
        assert list(data_dir.glob("loading/*")) == []
        assert list(data_dir.glob("imports/*.zip")) == []


class Cutting:
    """A proxy that ends its connections after some bytes of what is sent. Holds how many bytes of
    bodies it passed on."""

    def __init__(self, url: str) -> None:
        self.passed = 0
        self.cut_after: int | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                is_cut = outer.cut_after is not None and length > outer.cut_after
                body = self.rfile.read(outer.cut_after if is_cut else length)
                headers = {name: value for name, value in self.headers.items() if name != "Host"}
                if is_cut:
                    outer.cut_after = None
                    self.close_connection = True
                    headers.pop("Content-Length", None)
                    headers.pop("content-length", None)
                answer = httpx.request(
                    self.command, url + self.path, headers=headers, content=body, timeout=WAIT_S
                )
                if self.command == "PUT":
                    outer.passed += len(body)
                if is_cut:
                    return
                self.send_response(answer.status_code)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_DELETE = pass_on

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def cutting(server: Serving) -> Iterator[Cutting]:
    proxy = Cutting(server[1])
    thread = threading.Thread(target=proxy.server.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        thread.join()
        proxy.server.server_close()


@pytest.mark.rule("AR121")
def test_what_was_sent_before_a_cut_is_not_sent_again(
    cutting: Cutting, token: str, data_dir: Path, tmp_path: Path
) -> None:
    shop = small_shop()
    shop.file("big.bin", os.urandom(1_000_000))
    backup = shop.write(tmp_path / "shop.zip")
    cutting.cut_after = 400_000
    assert ann_at(cutting.url, token, tmp_path).run("import", backup).exit_code == 0
    assert cutting.passed == backup.stat().st_size
    same(shop.app_id or "", backup, data_dir)


@pytest.mark.rule("AR126")
def test_clients_of_a_replaced_app_find_the_new_one(
    server: Serving, token: str, tmp_path: Path
) -> None:
    """A client that writes all the time is told of the old app or of the new one, never of none."""
    shop = small_shop()
    backup = shop.write(tmp_path / "shop.zip")
    ann = ann_at(server[1], token, tmp_path)
    admin = ann.told("import", backup).partition("Its admin token is ")[2][:36]
    headers = {"authorization": f"Bearer {admin}", "app-id": shop.app_id or ""}
    shop.add("goods", {"title": "Newest"})
    newer = shop.write(tmp_path / "newer.zip")
    seen: list[tuple[int, int]] = []
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=ann.url, headers=headers, timeout=WAIT_S) as client:
            while not is_over.is_set():
                found = client.post("/admin/query", json={"query": {"goods": {}}})
                seen.append((found.status_code, len(found.json().get("goods", []))))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        done = ann.run("import", newer, "--replace", "--yes")
        done_at = len(seen)
        until(lambda: len(seen) > done_at + 1)
    finally:
        is_over.set()
        asking.join()
    assert done.exit_code == 0, done.output
    assert set(seen) == {(200, 2), (200, 3)} and seen == sorted(seen)


@pytest.mark.rule("AR124")
def test_the_process_of_an_import_ends_with_its_server(data_dir: Path) -> None:
    data_dir.mkdir()
    command = [sys.executable, "-m", "trice", "import-worker", str(data_dir), "local"]
    for given in (b"", b"no task\n"):
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, _ = worker.communicate(given, timeout=WAIT_S)
        assert worker.returncode != 0 and told == b""
