"""The package itself: what its README says, how it is imported, its command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from client_apps import App

ROOT = Path(__file__).parents[1]
IMPORT_MS_MAX = 120
TIMED = """
import sys, time
began = time.process_time()
import trice_client
took = time.process_time() - began
heavy = ("httpx", "anyio", "asyncio", "websockets")
print(took * 1000, *(each for each in heavy if each in sys.modules))
"""


def run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True
    )


@pytest.mark.rule("PY60")
def test_it_is_imported_fast(tmp_path: Path) -> None:
    """Processor time, of the best of some: other programs take what they take."""
    told = [run("-c", TIMED, cwd=tmp_path).stdout.split() for _ in range(5)]
    best_ms = min(float(each[0]) for each in told)
    files = list((ROOT / "src").rglob("*.py"))
    kib = sum(path.stat().st_size for path in files) / 1024
    sys.stdout.write(f"import: {best_ms:.0f} ms; {len(files)} files, {kib:.0f} KiB\n")
    assert told[0][1:] == []
    assert best_ms <= IMPORT_MS_MAX


@pytest.mark.rule("PY90")
def test_the_wheel_has_the_license_and_the_mark_of_types(tmp_path: Path) -> None:
    assert (ROOT / "LICENSE").read_bytes() == (ROOT.parents[1] / "LICENSE").read_bytes()
    for kind in ("wheel", "sdist"):
        built = run("-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path), cwd=ROOT)
        assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    (info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
    assert {f"{info}/licenses/LICENSE", "trice_client/py.typed"} <= {*names}
    assert not [name for name in names if not name.startswith(("trice_client/", info))]
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert f"{sdist.name.removesuffix('.tar.gz')}/LICENSE" in archive.getnames()


@pytest.mark.rule("PY61")
def test_the_examples_of_the_readme_run(app: App, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"<!-- not run: .*?-->\n```python\n.*?```", "", text, flags=re.DOTALL)
    examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 8
    head = f"APP_ID, SERVER, ADMIN_TOKEN = {app.id!r}, {app.url!r}, {app.admin_token!r}\n"
    (tmp_path / "examples.py").write_text(head + "\n".join(examples), encoding="utf-8")
    ran = run("-W", "error", "examples.py", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Hello world" in ran.stdout and "validation-failed" in ran.stdout
