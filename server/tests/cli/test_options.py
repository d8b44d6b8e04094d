"""What commands load, and by which names they call what was wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).resolve().parents[3]
TRICE = Path(sys.executable).with_name("trice")
WAIT_S = 60

_LOADED = """
import sys
from trice.cli.main import main
try:
    main({arguments!r})
except SystemExit as end:
    assert not end.code, end.code
sys.stderr.write(" ".join(sys.modules))
"""


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
    command = [TRICE, "explain", "query", '{"a":{}}', "--data-dir", tmp_path, "--app", "x"]
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
