"""`trice serve` on data it cannot use, on a disk that is full, and with few descriptors."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from contextlib import ExitStack
from typing import Any

import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from support.patience import WAIT_S
from support.serving import TRICE, connect, get, post, serving

T1 = "e1000000-0000-4000-8000-000000000001"
STEPS = {"steps": [["update", "todos", T1, {"title": "x"}]]}


def make_app(url: str) -> tuple[str, dict[str, str]]:
    """A new app's id, and headers of its admin."""
    app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
    return app["id"], {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}


def ask(session: ClientConnection, **message: Any) -> dict[str, Any]:
    session.send(orjson.dumps(message).decode())
    answer: dict[str, Any] = orjson.loads(session.recv(WAIT_S))
    return answer


def set_limit(pid: int, kind: int, most: int) -> None:
    """Bound what another process of ours may do from now on."""
    _, hard = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (most, hard))


@pytest.mark.rule("CLI40")
def test_a_full_disk_is_told_passes_and_does_not_spoil_the_stop(tmp_path):
    with serving(tmp_path, "--port", "0") as (process, url):
        app_id, admin = make_app(url)
        with (
            httpx.Client(base_url=url, headers=admin, timeout=WAIT_S) as client,
            connect(url.replace("http", "ws") + "/runtime/session") as session,
        ):
            token = admin["authorization"].split()[1]
            said = {"op": "init", "app-id": app_id, "__admin-token": token}
            opened = ask(session, **said)
            assert opened["op"] == "init-ok"
            assert client.post("/admin/transact", json=STEPS).status_code == 200
            query = {"query": {"todos": {}}}
            attrs = client.post("/runtime/framework/query", json=query).json()["attrs"]
            names = {tuple(attr["forward-identity"][1:]): attr["id"] for attr in attrs}
            id_attr = names["todos", "id"]
            unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
            set_limit(process.pid, resource.RLIMIT_FSIZE, 0)
            answer = client.post("/admin/transact", json=STEPS)
            assert (answer.status_code, answer.json()["type"]) == (503, "overloaded")
            answer = client.post("/runtime/auth/sign_in_guest", json={"app-id": app_id})
            assert answer.json()["type"] == "overloaded"
            body = {"app-id": app_id, "email": "ann@example.com"}
            answer = client.post("/runtime/auth/send_magic_code", json=body)
            assert answer.json()["type"] == "overloaded"
            answer = client.post("/dash/apps/ephemeral", json={"title": "y"})
            assert answer.json()["type"] == "overloaded"
            answer = client.post(f"/dash/apps/{app_id}/rules", json={"code": {"a": {"allow": {}}}})
            assert answer.json()["type"] == "overloaded"
            step = ["add-triple", T1.replace("1", "2"), id_attr, T1.replace("1", "2")]
            answer = ask(session, op="transact", **{"tx-steps": [step], "client-event-id": "w"})
            while answer["op"] == "refresh-ok":  # of the attrs that the admin made
                answer = orjson.loads(session.recv(WAIT_S))
            assert (answer["type"], answer["client-event-id"]) == ("overloaded", "w")
            assert client.post("/admin/query", json={"query": {"todos": {}}}).status_code == 200
            set_limit(process.pid, resource.RLIMIT_FSIZE, unlimited)
            assert client.post("/admin/transact", json=STEPS).status_code == 200
            answer = client.post("/runtime/auth/send_magic_code", json=body)
            assert answer.json() == {"sent": True}
            set_limit(process.pid, resource.RLIMIT_FSIZE, 0)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0
        assert "Traceback" not in errors
    with serving(tmp_path, "--port", "0") as (_, url):
        query = {"query": {"todos": {}}}
        found = post(f"{url}/admin/query", json=query, headers=admin).json()
        assert [todo["title"] for todo in found["todos"]] == ["x"]


@pytest.mark.rule("CLI41")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"x" * 8192), "is damaged"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:60] + b"\0\0\0\x63"), "format 99"),
    ],
)
def test_data_that_cannot_be_used_ends_the_start_in_words(tmp_path, spoil, said):
    with serving(tmp_path, "--port", "0") as (process, url):
        make_app(url)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)
    spoil(tmp_path / "platform.db")
    for command in (
        ("serve", "--port", "0", "--data-dir", tmp_path),
        ("explain", "query", "{}", "--data-dir", tmp_path, "--app", T1, "--as-guest"),
    ):
        done = subprocess.run(
            [TRICE, *command], capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert done.returncode in (1, 2)
        if command[0] == "serve":
            assert said in done.stderr
            assert str(tmp_path / "platform.db") in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.rule("CLI42")
def test_an_app_without_its_file_is_1013_to_sockets_and_words_to_requests(tmp_path):
    with serving(tmp_path, "--port", "0") as (process, url):
        app_id, admin = make_app(url)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)
    (tmp_path / "apps" / f"{app_id}.db").unlink()
    with serving(tmp_path, "--port", "0") as (process, url):
        with connect(url.replace("http", "ws") + "/runtime/session") as session:
            session.send(orjson.dumps({"op": "init", "app-id": app_id}).decode())
            with pytest.raises(ConnectionClosed) as closed:
                session.recv(WAIT_S)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013
        answer = post(f"{url}/admin/query", json={"query": {"todos": {}}}, headers=admin)
        assert (answer.status_code, answer.json()["type"]) == (503, "data-unusable")
        assert "restore a backup" in answer.json()["message"]
        assert not (tmp_path / "apps" / f"{app_id}.db").exists()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=WAIT_S)
    assert errors.count("app not opened") == 1
    assert "Traceback" not in errors


@pytest.mark.rule("CLI43")
def test_whatever_a_server_makes_is_its_own(tmp_path):
    data = tmp_path / "data"
    before = os.umask(0)
    try:
        with serving(data, "--port", "0") as (process, url):
            app_id, admin = make_app(url)
            post(f"{url}/admin/transact", json=STEPS, headers=admin)
            body = {"app-id": app_id, "email": "ann@example.com"}
            post(f"{url}/runtime/auth/send_magic_code", json=body)
            made = sorted(path for path in (data, *data.rglob("*")))
            modes = {path.name: oct(path.stat().st_mode & 0o777) for path in made}
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=WAIT_S)
    finally:
        os.umask(before)
    folders = {"data", "apps", "files", "spool", "partial"}
    assert {name for name, mode in modes.items() if mode == "0o700"} == folders
    assert {modes[name] for name in modes.keys() - folders} == {"0o600"}
    expected = {"lock", "platform.db", "secret.key", f"{app_id}.db", f"{app_id}.db-wal"}
    assert expected <= modes.keys()


@pytest.mark.rule("CLI44")
def test_many_apps_in_use_leave_descriptors_for_everybody_else(tmp_path):
    with (
        serving(tmp_path, "--port", "0", descriptors=256) as (process, url),
        ExitStack() as sessions,
    ):
        address = url.replace("http", "ws") + "/runtime/session"
        codes = []
        for _ in range(15):
            answer = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()
            codes.append(answer.get("type", "made"))
            if codes[-1] == "made":
                session = sessions.enter_context(connect(address))
                opened = ask(session, op="init", **{"app-id": answer["app"]["id"]})
                assert opened["op"] == "init-ok"
        # Half of the descriptors are for databases, a quarter of these for runs of functions: eight
        # databases may be open, and half of them are for apps that anybody makes.
        assert codes == ["made"] * 4 + ["overloaded"] * 11
        for _ in range(60):
            assert get(f"{url}/health").status_code == 200
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < 128
