"""Runs the Node suite of this folder, a file at a time: official clients against `trice serve`.

Skipped where Node or the npm packages are absent (`npm ci` in the root installs them).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.patience import SUITE_WAIT_S, patient

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FILES = sorted(path.name for path in HERE.glob("*.test.mjs"))
TEST_TIMEOUT_MS = round(patient(480) * 1_000)
"""A test that hangs is named, instead of its file."""
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(
    NODE is None or not (ROOT / "node_modules" / "@instantdb" / "core").exists(),
    reason="needs Node and `npm ci`",
)


def test_suite_is_found() -> None:
    assert len(FILES) >= 8


@needs_node
@pytest.mark.parametrize("name", FILES)
def test_official_clients(name: str) -> None:
    assert NODE is not None
    command = Path(sys.executable).parent / "trice"
    result = subprocess.run(
        [
            *(NODE, "--test", "--test-force-exit", "--test-reporter=spec"),
            *(f"--test-timeout={TEST_TIMEOUT_MS}", name),
        ],
        cwd=HERE,
        env={**os.environ, "TRICE_COMMAND": str(command)},
        capture_output=True,
        text=True,
        timeout=SUITE_WAIT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-4_000:]
