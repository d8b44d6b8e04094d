"""Servers of the tests, and apps on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_apps import FUNCTIONS, PROJECT_SCHEMA, App, Project, make_app
from support.serving import serving

SOURCE = Path(__file__).parents[1] / "src"
FOUND = os.environ.get("PYTHONPATH")
os.environ["PYTHONPATH"] = f"{SOURCE}{os.pathsep}{FOUND}" if FOUND else str(SOURCE)
"""Programs that tests run find the client, which is not installed."""


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Every coroutine that is a test runs on each of them."""
    return request.param


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("data"), "--port", "0") as (_, found):
        yield found


@pytest.fixture
def app(url: str) -> App:
    return make_app(url)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """`trice dev` on a project of functions."""
    root = tmp_path_factory.mktemp("project")
    (root / "functions").mkdir()
    (root / "functions/messages.py").write_text(FUNCTIONS)
    (root / "schema.py").write_text(PROJECT_SCHEMA)
    (root / "trice.toml").write_text("")
    command = [sys.executable, "-m", "trice", "dev", str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        printed = ""
        while "In force" not in printed:
            line = process.stdout.readline()
            assert line, f"it ended:\n{printed}"
            printed += line
        told = json.loads((root / ".trice/dev.json").read_text())
        yield Project(root, App(told["server"], told["app"], told["token"]))
    finally:
        process.kill()
        process.communicate()
