"""The bench of archives with a tiny one: every command still gives numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from support.patience import WAIT_S

BENCH = Path(__file__).resolve().parents[3] / "bench" / "archives.py"
ROW = r"{} +[\d.]+ s +[\d.]+ s CPU +[\d,]+ rows/s +[\d.]+ MB/s +\d+ MB\n"


def test_every_command_is_measured() -> None:
    told = subprocess.run(
        [sys.executable, BENCH, "1"], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert told.returncode == 0, told.stderr
    wanted = r"[\d,]+ tasks in 1 MB of lines\n" + "".join(
        ROW.format(name) for name in ("import", "doctor", "export")
    )
    assert re.fullmatch(wanted, told.stdout), told.stdout
