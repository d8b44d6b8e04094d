"""The case files through clients in Node, each against a server of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.patience import SUITE_WAIT_S

ROOT = Path(__file__).parents[4]
READY = "trice is ready at "


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """The address of a fresh server."""
    command = [Path(sys.executable).with_name("trice"), "serve", "--host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--port", "0", "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        ready = next(line for line in server.stdout if READY in line)
        yield ready.partition(READY)[2].strip()
        server.terminate()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
@pytest.mark.skipif(
    not (ROOT / "node_modules" / "@instantdb" / "core").exists(), reason="needs `npm ci`"
)
@pytest.mark.parametrize("client", ["@instantdb/core", "clients/js/dist/index.js"])
def test_clients_show_the_expected_answers(origin: str, client: str) -> None:
    script = Path(__file__).with_name("run.mjs")
    result = subprocess.run(
        ["node", script, origin, ROOT / "spec" / "cases", client],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SUITE_WAIT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
