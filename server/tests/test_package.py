"""What `make package` builds. Installing it with its dependencies is tried there, not here."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

import trice

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "server" / "src" / "trice"
HAS_COMPILER = all(
    (
        shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]),
        Path(sysconfig.get_path("include"), "Python.h").is_file(),
    )
)
DIST_INFO = f"tricedb-{trice.__version__}.dist-info"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(built / f"tricedb-{trice.__version__}-py3-none-any.whl")


def platform_wheel(built: Path, module: str) -> Path:
    """What COMPILED=1 builds of this tree, with one module compiled, because all take minutes."""
    tree = built / "tree"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes((ROOT / name).read_bytes())
    for folder in ("server/src/trice", "scripts"):
        shutil.copytree(ROOT / folder, tree / folder)
    compiling = [sys.executable, "scripts/compile.py", "build/compiled", "0", module]
    building = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    asked = {**os.environ, "HATCH_BUILD_HOOK_ENABLE_CUSTOM": "true"}
    for command in (compiling, building):
        subprocess.run(command, cwd=tree, env=asked, check=True, capture_output=True)
    (path,) = (tree / "dist").glob("*.whl")
    return path


def read_metadata(built: Path) -> Message:
    with wheel(built) as found:
        return email.message_from_string(found.read(f"{DIST_INFO}/METADATA").decode())


@pytest.mark.rule("CLI100")
def test_the_metadata_is_complete(built: Path) -> None:
    found = read_metadata(built)
    assert (found["Name"], found["Version"]) == ("tricedb", trice.__version__)
    assert (found["License-Expression"], found["License-File"]) == ("Apache-2.0", "LICENSE")
    assert found["Requires-Python"] == ">=3.11"
    for field in ("Summary", "Author", "Keywords", "Classifier", "Requires-Dist"):
        assert found[field], field
    assert "Typing :: Typed" in found.get_all("Classifier", [])
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    with wheel(built) as opened:
        scripts = opened.read(f"{DIST_INFO}/entry_points.txt").decode()
    assert scripts.split() == [
        *("[console_scripts]", "trice", "=", "trice.cli.main:main"),
        *("[pytest11]", "trice", "=", "trice.testing.plugin"),
    ]
    assert metadata.version("tricedb") == trice.__version__  # as this environment installed it


@pytest.mark.rule("CLI100", "CLI101")
def test_the_archives_hold_what_they_should(built: Path) -> None:
    sources = {
        path.relative_to(MODULE.parent).as_posix()
        for path in MODULE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "trice/py.typed" in sources
    with wheel(built) as opened:
        names = set(opened.namelist())
    own = {f"{DIST_INFO}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    assert names == sources | own | {f"{DIST_INFO}/licenses/LICENSE"}
    top = f"tricedb-{trice.__version__}"
    with tarfile.open(built / f"{top}.tar.gz") as archive:
        names = set(archive.getnames())
    extra = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "requirements.lock"}
    extra |= {"PKG-INFO", ".gitignore"}
    assert names == {f"{top}/{name}" for name in extra} | {
        f"{top}/server/src/{name}" for name in sources
    }


@pytest.mark.rule("CLI102")
def test_the_wheel_runs_without_the_tree(built: Path, tmp_path: Path) -> None:
    with wheel(built) as opened:
        opened.extractall(tmp_path)
    show = "import trice, trice.cli.main; print(trice.__file__); trice.cli.main.main(['--version'])"
    found = subprocess.run(
        [sys.executable, "-c", show],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.splitlines() == [
        str(tmp_path / "trice" / "__init__.py"),
        f"trice, version {trice.__version__}",
    ]


@pytest.mark.rule("CLI153")
@pytest.mark.skipif(not HAS_COMPILER, reason="needs a C compiler and Python's headers")
def test_the_compiled_wheel_holds_the_pure_one_and_the_extensions(
    built: Path, tmp_path: Path
) -> None:
    path = platform_wheel(built, "shares")
    ending = sysconfig.get_config_var("EXT_SUFFIX")
    extensions = {f"trice__mypyc{ending}", f"trice/shares{ending}"}
    with zipfile.ZipFile(path) as opened, wheel(built) as pure:
        assert set(opened.namelist()) == {*pure.namelist(), *extensions}
        assert "Root-Is-Purelib: false" in opened.read(f"{DIST_INFO}/WHEEL").decode()
        opened.extractall(tmp_path)
    fitting = parse_wheel_filename(path.name)[3]
    assert fitting <= set(sys_tags())
    assert not any(tag.abi == "none" or tag.platform == "any" for tag in fitting), path.name
    show = "import trice.shares, trice.limits; print(trice.shares.__file__, trice.limits.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", show],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    trice_folder = tmp_path / "trice"
    assert found.stdout.split() == [
        str(trice_folder / f"shares{ending}"),
        str(trice_folder / "limits.py"),
    ]


@pytest.mark.rule("CLI103")
def test_nothing_tells_to_install_what_is_not_ours_or_not_there() -> None:
    told = re.compile(r"(pip3?|pipx|uv|npm|pnpm|yarn|bun)\s+(\w+\s+)*(-\S+\s+)*trice\w*(?![\w/.-])")
    skipped = {".git", ".venv", "node_modules", "build", "dist", "test-results", "__pycache__"}
    offenders = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in skipped and name[0] != "."]
        for path in (Path(folder, name) for name in files):
            if path.suffix in (".md", ".toml", ".json", ".yaml", ".service", ".html", ""):
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    if told.search(line):
                        offenders.append(f"{path.relative_to(ROOT)}:{number} {line.strip()}")
    assert offenders == []
