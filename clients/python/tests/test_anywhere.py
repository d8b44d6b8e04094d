"""Where the client runs besides a plain program: inside of a loop that runs, and on Windows."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest

from client_apps import App
from support.patience import WAIT_S
from trice_client import new_id
from trice_client._bytes import local_name

PACKAGE = Path(__file__).parents[1] / "src" / "trice_client"
EVERYWHERE = {"PathLike", "SEEK_END", "environ", "getpid"}
"""What the package may take of `os`: Windows has it, too."""
POSIX_ONLY = {
    *("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "signal", "syslog"),
    *("termios", "tty"),
}
IMPORTED = """
import os, sys
for name in {names!r}:
    sys.modules[name] = None
for name in ("fork", "register_at_fork", "getuid", "geteuid", "kill", "setsid", "mkfifo"):
    delattr(os, name) if hasattr(os, name) else None
import trice_client, trice_client._async.typed, trice_client.__main__
db = trice_client.Client("x")
print(db.tx.todos["1"].delete())
"""


@pytest.mark.rule("PY88")
def test_the_sync_client_works_where_a_loop_runs(app: App) -> None:
    """As in a cell of Jupyter: the thread has a loop that is running."""

    async def cell() -> list[int]:
        assert asyncio.get_running_loop().is_running()
        with app.sync() as db, db.subscribe_query({"todos": {}}) as live:
            assert live.get(WAIT_S).data == {"todos": []}
            db.transact(db.tx.todos[new_id()].create({"n": 1}))
            for answer in live:
                return [row["n"] for row in answer.data["todos"]]
        raise AssertionError("it ended")

    assert asyncio.run(cell()) == [1]


@pytest.mark.rule("PY89")
def test_nothing_is_of_posix_alone(tmp_path: Path) -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 40
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found: set[str] = set()
            match node:
                case ast.Import():
                    found = {each.name.partition(".")[0] for each in node.names} & POSIX_ONLY
                case ast.ImportFrom():
                    names = {each.name for each in node.names}
                    found = {(node.module or "").partition(".")[0]} & POSIX_ONLY
                    found |= names - EVERYWHERE if node.module == "os" else set()
                case ast.Attribute(value=ast.Name(id="os")):
                    found = {node.attr} - EVERYWHERE
            assert not found, f"{path.name}:{node.lineno} {found}"  # type: ignore[attr-defined]
    program = IMPORTED.format(names=sorted(POSIX_ONLY - {"posix", "signal"}))
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.rule("PY89")
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("photos/cat.txt", "cat.txt"),
        ("../../etc/passwd", "passwd"),
        ("a/..\\..\\boot.ini", "boot.ini"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("a/C:stream", "C_stream"),
        ('a/what? <"x">|*.txt', "what_ __x____.txt"),
        ("line\nbreak\x00.txt", "line_break_.txt"),
        ("NUL", "_NUL"),
        ("a/con.tar.gz", "_con.tar.gz"),
        ("aux .txt", "_aux .txt"),
        ("com¹.log", "_com¹.log"),
        ("LPT9", "_LPT9"),
        ("console.txt", "console.txt"),
        ("dots. . .", "dots"),
        ("..", "_"),
        ("a/", "_"),
        ("", "_"),
        (".env", "_.env"),
        ("日" * 100, "日" * 66),
    ],
)
def test_names_of_downloads_are_files_on_every_system(path: str, name: str) -> None:
    assert local_name(path) == name
    folder = PureWindowsPath("D:/downloads")
    assert (folder / name).parent == folder and (folder / name).name == name
    assert not PureWindowsPath(name).is_reserved()
    assert len(f"{name}.0123456789ab.part".encode()) <= 255


@pytest.mark.rule("PY42", "PY89")
def test_a_download_into_a_folder_stays_there(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    with app.sync() as db:
        db.storage.upload("a/..\\nul.txt", b"meow")
        assert db.storage.download("a/..\\nul.txt", folder) == 4
        assert db.storage.download("a/..\\nul.txt", folder / "mine.txt") == 4
    assert sorted(each.name for each in folder.iterdir()) == ["_nul.txt", "mine.txt"]
    assert [each.name for each in tmp_path.iterdir()] == ["downloads"]
