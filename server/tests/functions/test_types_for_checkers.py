"""mypy --strict finds mistakes in functions without any generated file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.function_stage import PROJECTS
from trice.functions import channel

SOURCE = Path(channel.__file__).parents[2]


@pytest.mark.rule("FN130", "FN517")
def test_mypy_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    """`projects/mistakes.py` says at which lines there are errors, and which; the chat has none."""
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases"),
            *("--config-file=", "--no-error-summary", f"--cache-dir={tmp_path}"),
            *("--hide-error-context", "--no-color-output"),
            *("../mistakes.py", "schema.py", "functions"),
        ],
        cwd=PROJECTS / "chat",
        env={"MYPYPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+?):(\d+): error: .*\[([a-z-]+)\]$", checked.stdout, re.MULTILINE)
    told = {
        ("../mistakes.py", str(number), code)
        for number, line in enumerate((PROJECTS / "mistakes.py").read_text().splitlines(), 1)
        for code in re.findall(r"# error: (.*)$", line)
        for code in code.split(", ")
    }
    assert set(found) == told, checked.stdout + checked.stderr
