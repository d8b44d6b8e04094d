"""The package, and `client/api.py` of `trice generate --python`, as mypy and pyright see them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from checkers import CHECKERS, PYRIGHT, ROOT, Check, wrong_lines
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


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with its `client/api.py`, and a program that uses it."""
    root = tmp_path_factory.mktemp("generated")
    (root / "functions").mkdir()
    (root / "functions/messages.py").write_text(FUNCTIONS)
    (root / "schema.py").write_text(PROJECT_SCHEMA)
    (root / "trice.toml").write_text("")
    assert run("trice", "generate", "--python", "--check", cwd=root).returncode == 1
    made = run("trice", "generate", "--python", cwd=root)
    assert made.returncode == 0, made.stderr
    assert run("trice", "generate", "--python", "--check", cwd=root).returncode == 0
    (root / "program.py").write_text(PROGRAM)
    return root


@pytest.mark.rule("PY21")
@pytest.mark.parametrize("check", CHECKERS)
def test_generated_references_are_typed(check: Check, generated: Path) -> None:
    checked = check(generated, "program.py", "client/api.py")
    assert checked.revealed == REVEALED, checked.text
    assert checked.refused == wrong_lines("program.py", PROGRAM), checked.text


@pytest.mark.rule("PY91")
def test_the_examples_of_frameworks_are_strict_for_mypy() -> None:
    folder = "examples/frameworks"
    checked = run("mypy", "--config-file", f"{folder}/mypy.ini", folder, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.rule("PY80")
@pytest.mark.skipif(not PYRIGHT.exists(), reason="`make setup` installs pyright")
def test_the_package_is_strict_for_pyright() -> None:
    """`make check` asks mypy."""
    command = [PYRIGHT, "--outputjson", "--pythonpath", sys.executable]
    folder = ROOT / "clients" / "python"
    told = json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout)
    assert told["generalDiagnostics"] == []
    assert told["summary"]["filesAnalyzed"] > 40
