"""What commands load, and by which names they call what was wrong."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from support.patience import WAIT_S
from trice.cli import explain
from trice.cli.main import main

ROOT = Path(__file__).resolve().parents[3]
TRICE = Path(sys.executable).with_name("trice")

_LOADED = """
import sys
from trice.cli.main import main
try:
    main({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sys.modules))
"""

APP = "5f3a1c1e-2f0b-4bb0-9c53-6b1c3c1f9a01"


def loaded(*arguments: str) -> set[str]:
    """The modules in memory after a command has run."""
    script = _LOADED.format(arguments=list(arguments))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    return set(done.stderr.split())


def serve(*flags: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [TRICE, "serve", *flags]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=WAIT_S, env=environment, check=False
    )


@pytest.mark.rule("CLI45")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_little_is_loaded_to_say_who_one_is(arguments):
    modules = loaded(*arguments)
    assert "click" in modules
    heavy = ("uvicorn", "uvloop", "starlette", "icu", "apsw", "picows", "orjson", "asyncio", "yaml")
    assert modules & {*heavy, "trice.server", "trice.database", "trice.limits"} == set()


@pytest.mark.rule("CLI45")
def test_help_of_a_server_loads_no_server():
    modules = loaded("serve", "--help")
    assert modules & {"uvicorn", "uvloop", "starlette", "icu", "apsw", "picows"} == set()


@pytest.mark.rule("CLI45")
def test_help_names_every_command():
    done = subprocess.run([TRICE, "--help"], capture_output=True, text=True, check=True)
    for name in ("serve", "explain", "test-rules"):
        assert f"  {name}  " in done.stdout
        subprocess.run([TRICE, name, "--help"], capture_output=True, check=True)


@pytest.mark.rule("CLI46")
@pytest.mark.parametrize(
    ("flag", "variable", "value"),
    [
        ("--port", "TRICE_PORT", "abc"),
        ("--port", "TRICE_PORT", "99999"),
        ("--keep-alive-s", "TRICE_KEEP_ALIVE_S", "0"),
        ("--history-days", "TRICE_HISTORY_DAYS", "0"),
        ("--backup-every", "TRICE_BACKUP_EVERY", "10s"),
        ("--backup-keep", "TRICE_BACKUP_KEEP", "0"),
        ("--backup-to", "TRICE_BACKUP_TO", "ftp://x/y"),
        ("--log-level", "TRICE_LOG_LEVEL", "loud"),
        ("--sample", "TRICE_SAMPLE", "/nowhere/at/all"),
        ("--secret-key", "TRICE_SECRET_KEY", "abc"),
        ("--smtp-url", "TRICE_SMTP_URL", "ftp://x"),
    ],
)
def test_what_is_wrong_is_called_by_the_name_used(tmp_path, flag, variable, value):
    by_flag = serve("--data-dir", tmp_path, flag, value)
    assert by_flag.returncode == 2
    assert flag in by_flag.stderr.splitlines()[-1]
    assert variable not in by_flag.stderr
    by_variable = serve("--data-dir", tmp_path, **{variable: value})
    assert by_variable.returncode == 2
    assert variable in by_variable.stderr.splitlines()[-1]
    assert flag not in by_variable.stderr.splitlines()[-1]


@pytest.mark.rule("CLI47")
def test_a_file_that_cannot_be_used_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = serve("--data-dir", blocked / "inside", "--port", "0")
    assert done.returncode == 1
    assert f"{blocked}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Errno" not in done.stderr


@pytest.mark.rule("CLI47")
def test_a_folder_that_is_no_data_directory_is_named(tmp_path):
    (tmp_path / "platform.db").write_bytes(b"")
    (tmp_path / "lock").mkdir()
    command = [TRICE, "explain", "query", '{"a":{}}', "--data-dir", tmp_path, "--app", APP]
    done = subprocess.run(
        [*command, "--as-guest", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    message = orjson.loads(done.stdout)["message"]
    assert str(tmp_path / "lock") in message
    assert "--url" not in message


@pytest.mark.rule("CLI48")
def test_make_says_what_it_does_before_it_takes_long():
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "serve"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    slow = [n for n, line in enumerate(lines) if " venv " in line or "npm ci" in line]
    slow += [
        n for n, line in enumerate(lines) if "vite build" in line or "--require-hashes" in line
    ]
    assert len(slow) >= 6
    for number in slow:
        assert lines[number - 1].startswith("echo "), lines[number]


UNREADABLE = b"\x80\x81"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TRICE, *arguments], capture_output=True, text=True, timeout=WAIT_S, check=False
    )


@pytest.mark.rule("CLI130")
def test_a_variable_that_is_no_setting_is_named_with_what_was_meant(tmp_path):
    blocked = tmp_path / "file" / "inside"
    blocked.parent.write_text("")
    variables = {"TRICE_PROT": "9000", "TRICE_LOG_FORMAT": "json", "TRICE_APP": "x"}
    done = serve("--data-dir", blocked, **variables)
    lines = [orjson.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    told = {line["name"]: line.get("did_you_mean") for line in lines if "name" in line}
    assert told["TRICE_PROT"] == "TRICE_PORT"
    assert not {"TRICE_LOG_FORMAT", "TRICE_APP"} & told.keys()


@pytest.mark.rule("CLI131")
def test_a_port_that_somebody_has_is_told_from_an_address_that_is_none(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = serve("--data-dir", tmp_path, "--port", port)
        assert done.returncode == 1
        assert f"127.0.0.1:{port}, where another process does; choose another" in done.stderr
    done = serve("--data-dir", tmp_path, "--port", "0", "--host", "192.0.2.1")
    assert done.returncode == 1
    assert "cannot listen on 192.0.2.1:0; choose another --port or --host" in done.stderr


@pytest.mark.rule("CLI132")
def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path, monkeypatch):
    # Also for root, who may look into every folder.
    def refuse(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    inside = tmp_path / "closed" / "inside"
    real_stat = Path.stat
    monkeypatch.setattr(
        Path, "stat", lambda path, **how: (refuse if tmp_path in path.parents else real_stat)(path)
    )
    told = CliRunner().invoke(main, ["serve", "--data-dir", str(inside)])
    assert told.exit_code == 1
    assert told.stderr == f"Error: {inside}: Permission denied\n"
    where = ["--data-dir", str(inside), "--app", APP, "--as-guest"]
    told = CliRunner().invoke(main, ["explain", "query", "{}", *where])
    assert told.exit_code == 2
    assert f"{inside}/platform.db: Permission denied." in told.stderr


@pytest.mark.rule("CLI132")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rules.json", UNREADABLE, "is not text in UTF-8: its byte 0 is part of no character"),
        ("rules.json", b"[" * 100_000, "is not valid JSON"),
        ("cases.yaml", UNREADABLE, "is not text in UTF-8: its byte 0 is part of no character"),
        (
            "cases.yaml",
            b"cases: [\n",
            "cannot be read: line 2, column 1: did not find expected node",
        ),
        ("cases.yaml", b"rules: none.json\n", "none.json: No such file or directory."),
    ],
)
def test_a_file_that_cannot_be_read_is_named_once(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    commands: list[list[str | Path]] = [["test-rules", path]]
    if name == "rules.json":
        where = ["--as-guest", "--app", APP, "--data-dir", tmp_path, "--rules", path]
        commands.append(["explain", "query", "{}", *where])
    for command in commands:
        done = run(*command)
        assert done.returncode == 2
        *_, said = done.stderr.splitlines()
        assert reason in said
        assert said.count(str(tmp_path)) == 1
        assert "Errno" not in said and "codec" not in said


@pytest.mark.rule("CLI133")
def test_a_server_that_cannot_be_asked_is_told_in_one_sentence(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        who = ("--as-guest", "--app", APP, "--token", "x")
        done = run("explain", "query", "{}", "--url", url, *who)
    assert done.stderr == f"error    {url} does not answer: Connection refused.\n"
    done = run("explain", "query", "{}", "--url", "localhost:8888", *who)
    assert done.returncode == 2
    assert "'localhost:8888' is no URL of a server. It begins with http://" in done.stderr


@pytest.mark.rule("CLI133")
def test_a_reason_that_a_message_ends_with_is_not_said_twice(monkeypatch):
    hint = {"record-type": "app-admin-token", "message": "There is none."}
    body = {"message": "Record not found: app-admin-token. There is none.", "hint": hint}

    def refuse(_: object) -> None:
        raise explain.Failed(body)

    monkeypatch.setattr(explain, "ask_server", refuse)
    where = ["--url", "http://localhost", "--app", APP, "--token", "x", "--as-guest"]
    told = CliRunner().invoke(main, ["explain", "query", "{}", *where])
    assert told.stderr == "error    Record not found: app-admin-token. There is none.\n"


@pytest.mark.rule("CLI134")
def test_what_a_switch_takes_is_said_by_its_variable():
    done = serve(TRICE_EPHEMERAL_APPS="maybe")
    assert done.returncode == 2
    assert (
        "Invalid value for 'TRICE_EPHEMERAL_APPS': 'maybe' is neither 1 nor 0, true nor false,"
        " yes nor no, on nor off." in done.stderr
    )
