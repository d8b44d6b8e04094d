"""The suites of the official JavaScript clients against `trice.asgi.App` in a Starlette program
under uvicorn: below a prefix, and at the root."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from interop.test_interop import HERE, NODE, TEST_TIMEOUT_MS, needs_node
from support.patience import SUITE_WAIT_S

MOUNTED = HERE / "support" / "mounted.py"
SUITES = {
    "/trice": ("core-live", "admin", "rooms", "tus", "streams"),
    "": ("core-live",),
}


@needs_node
@pytest.mark.rule("PY103")
@pytest.mark.parametrize(
    ("at", "name"), [(at, name) for at, names in SUITES.items() for name in names]
)
def test_official_clients_reach_a_mounted_server(at: str, name: str, tmp_path: Path) -> None:
    command = tmp_path / "trice"
    words = shlex.join([sys.executable, str(MOUNTED)])
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o700)
    assert NODE is not None
    result = subprocess.run(
        [
            *(NODE, "--test", "--test-force-exit", "--test-reporter=spec"),
            *(f"--test-timeout={TEST_TIMEOUT_MS}", f"{name}.test.mjs"),
        ],
        cwd=HERE,
        env={**os.environ, "TRICE_COMMAND": str(command), "TRICE_MOUNTED_AT": at},
        capture_output=True,
        text=True,
        timeout=SUITE_WAIT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-4_000:]
