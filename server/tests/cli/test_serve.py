"""The `trice` command as a process: what it prints, answers, and returns."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import orjson
import pytest

from support.patience import WAIT_S
from support.serving import TRICE, connect, get, post, serving


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [TRICE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


@pytest.mark.rule("CLI1", "CLI2")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_says_when_it_is_ready_and_stops_cleanly(tmp_path, sign):
    with serving(tmp_path, "--port", "0") as (process, url):
        assert get(f"{url}/health").json() == {"status": "ok"}
        with connect(url.replace("http", "ws") + "/runtime/session") as session:
            app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
            session.send(orjson.dumps({"op": "init", "app-id": app["id"]}).decode())
            opened = orjson.loads(session.recv(WAIT_S))
            assert opened["op"] == "init-ok"
            process.send_signal(sign)
            _, errors = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0
            assert "Traceback" not in errors
            with pytest.raises(Exception, match="1012"):
                session.recv(WAIT_S)


@pytest.mark.rule("CLI2")
@pytest.mark.parametrize("signals", [1, 2])
def test_a_reader_that_never_reads_does_not_spoil_the_stop(tmp_path, signals):
    with serving(tmp_path, "--port", "0") as (process, url):
        app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
        headers = {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}
        steps = [
            ["update", "todos", f"e{n:07d}-0000-4000-8000-000000000000", {"text": "x" * 500_000}]
            for n in range(15)
        ]
        post(f"{url}/admin/transact", json={"steps": steps}, headers=headers)
        body = b'{"query":{"todos":{}}}'
        headers["content-type"] = "application/json"
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        request = "POST /admin/subscribe-query HTTP/1.1\r\nhost: x\r\n" + "".join(lines)
        address = url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as stuck:
            stuck.sendall(f"{request}content-length: {len(body)}\r\n\r\n".encode() + body)
            assert stuck.recv(12) == b"HTTP/1.1 200"
            process.send_signal(signal.SIGINT)
            if signals == 2:
                # The first signal must be handled, or both count as one.
                with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
                    while True:
                        socket.create_connection((address[0], int(address[1])), WAIT_S).close()
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0
        assert "Traceback" not in errors


@pytest.mark.rule("CLI3")
def test_every_option_is_a_variable_and_the_flag_wins(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = {"TRICE_PORT": port, "TRICE_EPHEMERAL_APPS": "0"}
        with serving(tmp_path, "--port", "0", **variables) as (_, url):
            answer = post(f"{url}/dash/apps/ephemeral", json={"title": "x"})
            assert answer.json()["type"] == "permission-denied"


@pytest.mark.rule("CLI4")
def test_a_port_in_use_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--data-dir", tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "address already in use" in done.stderr
    assert "choose another --port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.rule("CLI5")
def test_a_data_directory_serves_one_server(tmp_path):
    with serving(tmp_path, "--port", "0"):
        done = run("serve", "--data-dir", tmp_path, "--port", "0")
        assert done.returncode == 1
        assert "another trice server" in done.stderr
        assert str(tmp_path) in done.stderr


@pytest.mark.rule("CLI6")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--port", "99999"), "0 to 65535"),
        (("--port", "x"), "not a valid integer"),
        (("--sample", "/nowhere/at/all"), "an existing folder"),
        (("--log-level", "loud"), "debug"),
        (("--public-url", "api.example.com"), "https://api.example.com"),
        (("--public-url", "https://a@b.example"), "without a path"),
        (("--public-url", "https://api.example/x"), "without a path"),
        (("--nonsense",), "No such option"),
    ],
)
def test_wrong_usage_says_what_is_accepted(tmp_path, flags, said):
    done = run("serve", "--data-dir", tmp_path, *flags)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.rule("CLI6")
def test_a_data_directory_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = run("serve", "--data-dir", file)
    assert done.returncode == 2
    assert "a folder" in done.stderr


@pytest.mark.rule("CLI7")
@pytest.mark.parametrize("kind", ["picows", "asgi"])
def test_both_websockets_speak_the_same(tmp_path, kind):
    with serving(tmp_path, "--port", "0", "--websocket", kind) as (_, url):
        app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
        with connect(url.replace("http", "ws") + "/runtime/session", compression=None) as session:
            session.send(orjson.dumps({"op": "init", "app-id": app["id"]}).decode())
            assert orjson.loads(session.recv(WAIT_S))["op"] == "init-ok"
            # In fragments, as binary, large: 200 kB of `where` values, then a ping.
            query = {"todos": {"$": {"where": {"id": {"$in": [app["id"]] * 5_000}}}}}
            whole = orjson.dumps({"op": "add-query", "q": query})
            session.send([whole[:10].decode(), whole[10:70_000].decode(), whole[70_000:].decode()])
            assert orjson.loads(session.recv(WAIT_S))["q"] == query
            session.send(whole)
            assert orjson.loads(session.recv(WAIT_S))["op"] == "add-query-ok"
            assert session.ping().wait(WAIT_S)
            session.send(b"\xff\xfe")
            assert orjson.loads(session.recv(WAIT_S))["op"] == "error"
        with pytest.raises(Exception, match=r"40[34]"):
            connect(url.replace("http", "ws") + "/elsewhere")


@pytest.mark.rule("P90", "P92", "P95")
def test_a_client_of_another_make_agrees_on_compression(tmp_path):
    """Its deflater and ours read each other, in one frame and in fragments."""
    with serving(tmp_path, "--port", "0") as (_, url):
        app = post(f"{url}/dash/apps/ephemeral", json={"title": "x"}).json()["app"]
        address = url.replace("http", "ws") + "/runtime/session"
        with (
            connect(address) as deflated,
            connect(address, compression=None) as plain,
        ):
            agreed = deflated.response.headers["Sec-WebSocket-Extensions"]
            assert agreed.startswith("permessage-deflate; server_no_context_takeover")
            assert "Sec-WebSocket-Extensions" not in plain.response.headers
            query = {"todos": {"$": {"where": {"id": {"$in": [app["id"]] * 5_000}}}}}
            whole = orjson.dumps({"op": "add-query", "q": query}).decode()
            answers = []
            for session in (deflated, plain):
                session.send(orjson.dumps({"op": "init", "app-id": app["id"]}).decode())
                assert orjson.loads(session.recv(WAIT_S))["op"] == "init-ok"
                session.send(whole)
                answers.append(session.recv(WAIT_S))
                session.send([whole[:10], whole[10:70_000], whole[70_000:]])
                answers.append(session.recv(WAIT_S))
                assert session.ping().wait(WAIT_S)
            assert len(set(answers)) == 1
            assert len(answers[0]) > 100_000


@pytest.mark.rule("P99")
@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        ((), {"TRICE_COMPRESSION": "0"}),
        (("--no-compression",), {}),
        (("--websocket", "asgi"), {}),
    ],
)
def test_compression_can_be_declined(tmp_path, flags, variables):
    with (
        serving(tmp_path, "--port", "0", *flags, **variables) as (_, url),
        connect(url.replace("http", "ws") + "/runtime/session") as session,
    ):
        assert "Sec-WebSocket-Extensions" not in session.response.headers


@pytest.mark.rule("A215")
@pytest.mark.parametrize("kind", ["picows", "asgi"])
def test_sockets_are_from_where_the_proxy_says(tmp_path, kind):
    flags = ("--port", "0", "--websocket", kind, "--trusted-proxies", "1")
    rules = {"todos": {"allow": {"view": "request.ip == '192.0.2.1'"}}}
    # The client's own header stands before the one that the proxy adds.
    told = {"192.0.2.1": ["192.0.2.66", "192.0.2.1"], "192.0.2.66": ["192.0.2.1", "192.0.2.66"]}
    with serving(tmp_path, *flags) as (_, url):
        body = {"title": "x", "rules": {"code": rules}}
        app = post(f"{url}/dash/apps/ephemeral", json=body).json()["app"]
        admin = {"app-id": app["id"], "authorization": f"Bearer {app['admin-token']}"}
        steps = {"steps": [["update", "todos", app["id"], {"title": "x"}]]}
        post(f"{url}/admin/transact", json=steps, headers=admin)
        rows = {}
        for ip, hops in told.items():
            headers = [("X-Forwarded-For", hop) for hop in hops]
            address = url.replace("http", "ws") + "/runtime/session"
            with connect(address, compression=None, additional_headers=headers) as session:
                session.send(orjson.dumps({"op": "init", "app-id": app["id"]}).decode())
                session.send(orjson.dumps({"op": "add-query", "q": {"todos": {}}}).decode())
                assert orjson.loads(session.recv(WAIT_S))["op"] == "init-ok"
                answer = orjson.loads(session.recv(WAIT_S))
                rows[ip] = len(answer["result"][0]["data"]["datalog-result"]["join-rows"][0])
        assert rows["192.0.2.66"] == 0 < rows["192.0.2.1"]


@pytest.mark.rule("CLI8")
def test_sample_apps_are_served_on_an_app_of_their_own(tmp_path):
    dist = tmp_path / "samples" / "demo" / "dist"
    dist.mkdir(parents=True)
    (dist / "index.html").write_text("<h1>demo</h1>")
    samples = str(dist.parents[1])
    with serving(tmp_path / "data", "--port", "0", "--sample", samples) as (
        process,
        url,
    ):
        assert process.stdout is not None
        sample = process.stdout.readline().split()[-1]
        assert sample.startswith(f"{url}/sample/demo/?app=")
        assert get(sample).text == "<h1>demo</h1>"
        query = {"query": {"todos": {}}}
        headers = {"app-id": sample.partition("app=")[2], "as-guest": "true"}
        assert post(f"{url}/admin/query", json=query, headers=headers).json() == {"todos": []}
    with serving(tmp_path / "data", "--port", "0", "--sample", samples) as (
        process,
        _,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().partition("app=")[2] == sample.partition("app=")[2] + "\n"


@pytest.mark.rule("CLI105")
def test_a_terminal_is_told_the_admin_tokens_of_samples(tmp_path):
    dist = tmp_path / "samples" / "demo" / "dist"
    dist.mkdir(parents=True)
    flags = ("--data-dir", tmp_path / "data", "--port", "0", "--sample", dist.parents[1])
    query = {"query": {"$users": {}}}

    def status(url: str, app_id: str, token: str) -> int:
        headers = {"app-id": app_id, "authorization": f"Bearer {token}"}
        return post(f"{url}/admin/query", json=query, headers=headers).status_code

    tokens = []
    for _ in range(2):
        ours, theirs = os.openpty()
        with (
            subprocess.Popen(
                [TRICE, "serve", *flags], stdout=theirs, stderr=subprocess.PIPE
            ) as process,
            open(ours, encoding="utf-8") as terminal,
        ):
            os.close(theirs)
            try:
                url = terminal.readline().split()[-1]
                app_id = terminal.readline().strip().partition("app=")[2]
                words = terminal.readline().split()
                assert words[:2] == ["admin", "token"]
                tokens.append(words[2])
                assert status(url, app_id, tokens[-1]) == 200
                assert [status(url, app_id, old) for old in tokens[:-1]] == [400] * len(tokens[1:])
            finally:
                process.terminate()
                assert process.stderr is not None
                log = process.stderr.read().decode()
        assert tokens[-1] not in log


@pytest.mark.rule("CLI9")
def test_rules_of_a_sample_are_in_force(tmp_path):
    dist = tmp_path / "samples" / "demo" / "dist"
    dist.mkdir(parents=True)
    rules = dist.parent / "rules.json"
    flags = ("--port", "0", "--sample", str(dist.parents[1]))
    rules.write_text('{"todos": {"allow": {"create": "false"}}}')
    with serving(tmp_path / "data", *flags) as (process, url):
        assert process.stdout is not None
        app_id = process.stdout.readline().split()[-1].partition("app=")[2]
        headers = {"app-id": app_id, "as-guest": "true"}
        step = ["update", "todos", "00000000-0000-4000-8000-000000000001", {"title": "x"}]
        answer = post(f"{url}/admin/transact", json={"steps": [step]}, headers=headers)
        assert answer.json()["type"] == "permission-denied"
    mistaken = '{"todos": {"allow": {"view": "data."}}}'
    for broken, said in (("{", "rules.json is not JSON"), (mistaken, "todos.allow.view: line 1")):
        rules.write_text(broken)
        failed = run("serve", *flags, "--data-dir", tmp_path / "data")
        assert failed.returncode == 2
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr


@pytest.mark.rule("H17")
def test_headers_have_a_bound(tmp_path):
    with serving(tmp_path, "--port", "0") as (_, url):
        large = {"x-instant-metadata": "x" * 100_000}
        assert get(f"{url}/health", headers=large).status_code == 200
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=WAIT_S) as raw:
            raw.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nx-endless: ")
            answer = b""
            while not answer:
                try:
                    raw.sendall(b"x" * 65_536)
                    raw.settimeout(0.01)
                    answer = raw.recv(4096)
                except TimeoutError:
                    continue
                finally:
                    raw.settimeout(WAIT_S)
        assert answer.startswith(b"HTTP/1.1 400 ")
        # The same connection takes many requests, each with a count of its own.
        with httpx.Client(timeout=WAIT_S) as client:
            for _ in range(5):
                assert client.get(f"{url}/health", headers=large).status_code == 200


@pytest.mark.rule("H38")
def test_connections_are_kept_as_long_as_set(tmp_path):
    with serving(tmp_path, "--port", "0", "--keep-alive-s", "1") as (_, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=WAIT_S) as raw:
            for _ in range(2):
                raw.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                answer = b""
                while not answer.endswith(b'{"status":"ok"}'):
                    answer += raw.recv(4096)
            assert raw.recv(4096) == b""  # within a second, not before it was asked twice


@pytest.mark.rule("H46", "H53")
def test_load_and_the_bounds_of_connections_are_wired(tmp_path):
    with serving(tmp_path, "--port", "0") as (_, url):
        with httpx.Client(timeout=WAIT_S) as client:
            told = client.get(f"{url}/health/load").json()
        assert told["http-connections"] == 1
        assert told["descriptors"] > 5
        with connect(url.replace("http", "ws") + "/runtime/session"):
            told = get(f"{url}/health/load").json()
            # What became a WebSocket is a session, and no HTTP connection any more.
            assert (told["sessions"], told["http-connections"]) == (1, 1)
