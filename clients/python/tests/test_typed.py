"""`client/api.py` of `trice generate --python`, as mypy sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from client_apps import FUNCTIONS, PROJECT_SCHEMA

PROGRAM = """
from trice_client import Client
from client.api import MessagesCountArgs, MessagesGreetArgs, MessagesSendArgs, api, namespaces

db = Client("x")
reveal_type(db.call(api.messages.send, MessagesSendArgs(text="Hi")))
reveal_type(db.call(api.messages.greet, MessagesGreetArgs(name="Ann")))
reveal_type(db.subscribe_call(api.messages.count, MessagesCountArgs()).get())
reveal_type(db.find(namespaces.messages)[0]["size"])
reveal_type(db.watch(namespaces.messages).get()[0]["text"])
db.call(api.messages.send, MessagesSendArgs(test="Hi"))  # no
db.call(api.messages.send)  # no
db.call(api.messages.send, MessagesGreetArgs(name="Ann"))  # no
db.subscribe_call(api.messages.send, MessagesSendArgs(text="Hi"))  # no
db.find(namespaces.messages)[0]["sise"]  # no
"""
REVEALED = ["str", "str", "int", "float", "str"]


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True)


@pytest.mark.rule("PY21")
def test_generated_references_are_typed(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/messages.py").write_text(FUNCTIONS)
    (tmp_path / "schema.py").write_text(PROJECT_SCHEMA)
    (tmp_path / "trice.toml").write_text("")
    assert run("trice", "generate", "--python", "--check", cwd=tmp_path).returncode == 1
    made = run("trice", "generate", "--python", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert run("trice", "generate", "--python", "--check", cwd=tmp_path).returncode == 0
    (tmp_path / "program.py").write_text(PROGRAM)
    checked = run("mypy", "--strict", "--no-incremental", "program.py", cwd=tmp_path).stdout
    assert re.findall(r'Revealed type is "(?:builtins\.)?(\w+)"', checked) == REVEALED, checked
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line[-4:] == "# no"}
    told = {int(number) for number in re.findall(r"^program.py:(\d+): error", checked, re.M)}
    assert told == wrong, checked
    assert "client/api.py" not in checked, checked
