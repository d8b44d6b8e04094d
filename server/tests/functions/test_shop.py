"""`examples/shop` as its README has it: its own tests, its types, and what is generated of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trice.functions import channel

SOURCE = Path(channel.__file__).parents[2]
SHOP = Path(__file__).parents[3] / "examples/shop"


@pytest.mark.rule("FN700")
@pytest.mark.parametrize(
    "command",
    [
        ("pytest", "-q", "-p", "no:cacheprovider"),
        ("mypy", "--no-error-summary", "--cache-dir={tmp}", "."),
        ("trice", "generate", "--check"),
    ],
    ids=["tests", "types", "generated"],
)
def test_the_shop_is_whole(command: tuple[str, ...], tmp_path: Path) -> None:
    arguments = [each.format(tmp=tmp_path) for each in command]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "MYPYPATH": str(SOURCE)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    ended = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=SHOP,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
