"""Projects whose own tests are run by pytest, which finds the plugin as an installed trice brings
it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import trice

SOURCE = Path(trice.__file__).parents[1]
_PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def run_tests(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder. Whatever this environment installed, the plugin is that of this
    tree."""
    site = root / ".site"
    installed = site / "tricedb-0.dist-info"
    installed.mkdir(parents=True, exist_ok=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tricedb\nVersion: 0\n")
    known = tomllib.loads(_PYPROJECT.read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    lines = [f"{name} = {module}" for name, module in known.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    found = {
        "PYTHONPATH": os.pathsep.join((str(SOURCE), str(site))),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(site),
        **environment,
    }
    return subprocess.run(
        [*command, *words], cwd=root, capture_output=True, text=True, env=found, check=False
    )
