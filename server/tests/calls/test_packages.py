"""Packages of `uv.lock`: installed by a program `uv`, found by workers, removed when old."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from support.deploy_stage import DeployStage
from trice import function_limits as limits
from trice.calls.bundles import Bundle, Manifest, pack
from trice.calls.packages import Packages
from trice.calls.workers.starter import Starter
from trice.calls.workers.users import Users
from trice.calls.workers.workers import Workers
from trice.errors import InvalidInput, Unavailable
from trice.functions.frames import Ready
from trice.runtime import SystemRuntime

NOBODY = 65_534
FAKE = """#!{python} -P
import os, pathlib, sys, time
did = os.environ["UV_DOES"]
assert sys.argv[1:3] == ["sync", "--frozen"], sys.argv
# Settings of the project could have uv start a Python that runs what a wheel put there.
assert {{"--no-config", "--no-compile-bytecode"}} <= set(sys.argv), sys.argv
assert "SECRET_OF_SERVER" not in os.environ
pathlib.Path({calls!r}).open("a").write(pathlib.Path("uv.lock").read_text() + "\\n")
if did == "fail":
    print("half done")
    sys.exit("error: no wheel of greeting for this platform")
place = pathlib.Path(os.environ["UV_PROJECT_ENVIRONMENT"], "lib", {lib!r}, "site-packages")
place.mkdir(parents=True)
(place / "greeting.py").write_text("WORD = 'hello'\\n")
if did == "large":
    (place / "large").write_bytes(b"x" * 4096)
if did in ("hang", "large"):
    time.sleep(60)
"""
FUNCTIONS = b"""
from greeting import WORD
from trice.functions import Query, query

@query
async def greet(ctx: Query) -> str:
    import absent
    return WORD
"""
LOCK = b"""
[[package]]
name = "chat"
source = { virtual = "." }
[[package]]
name = "greeting"
[[package]]
name = "msgspec"
"""


def bundle(lock: bytes = LOCK, **files: bytes) -> Bundle:
    names = b"a.b"
    given = {"functions/names.txt": names, "functions/a.py": FUNCTIONS, "uv.lock": lock}
    return pack(given | {"pyproject.toml": b"[project]\nname = 'chat'\n"} | files, Manifest())


class Uv:
    """A program in the place of uv. calls   the locks that it was asked for"""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self._calls = folder / "uv", folder / "calls"
        lib = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.path.write_text(FAKE.format(python=sys.executable, calls=str(self._calls), lib=lib))
        self.path.chmod(0o755)
        self._monkeypatch = monkeypatch
        self.does("well")

    def does(self, what: str) -> None:
        self._monkeypatch.setenv("UV_DOES", what)

    @property
    def calls(self) -> int:
        return self._calls.read_text().count("msgspec") if self._calls.exists() else 0


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uv:
    monkeypatch.setenv("SECRET_OF_SERVER", "x")
    return Uv(tmp_path, monkeypatch)


@pytest.fixture
async def stage(tmp_path: Path, uv: Uv, exits: Any) -> DeployStage:
    made = DeployStage(tmp_path / "data")
    packages = Packages(is_locked=True, runtime=SystemRuntime(), uv=str(uv.path))
    await made.open(packages=packages)
    exits.push_async_callback(lambda: made.close())
    return made


def environments(stage: DeployStage) -> list[Path]:
    folder = stage.folder / "functions" / stage.app.id / "packages"
    return list(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.rule("FN655")
async def test_a_lock_is_installed_once_and_workers_import_from_it(
    stage: DeployStage, uv: Uv
) -> None:
    report = await stage.deployments.take(stage.app, bundle().raw)
    assert (report.packages, report.imports) == ([], [])
    await stage.deployments.deploy(stage.app, bundle().hash)
    other = bundle(**{"functions/other.txt": b"other code, same packages"})
    await stage.deployments.take(stage.app, other.raw)
    assert uv.calls == 1
    code = stage.deployments.current(stage.app.id)
    assert code is not None and code.packages is not None
    runtime = SystemRuntime()
    users = Users(NOBODY, NOBODY)
    starter = Starter(runtime, users=users, on_line=lambda app, level, text: None)
    workers = Workers(starter, runtime=runtime, processes_max=1, cores=1)
    try:
        assert isinstance(await workers.check(str(code.path), {}, code.packages), Ready)
        assert not isinstance(await workers.check(str(code.path), {}), Ready)
    finally:
        await workers.close()


@pytest.mark.rule("FN655")
async def test_what_uv_says_refuses_the_deploy(
    stage: DeployStage, uv: Uv, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv.does("fail")
    with pytest.raises(InvalidInput, match="no wheel of greeting for this platform"):
        await stage.deployments.take(stage.app, bundle().raw)
    assert environments(stage) == []
    uv.does("large")
    monkeypatch.setattr(limits, "PACKAGES_BYTES_MAX", 4_000)
    monkeypatch.setattr(limits, "PACKAGES_LOOK_MS", 10)
    with pytest.raises(InvalidInput, match="take more than"):
        await stage.deployments.take(stage.app, bundle().raw)
    uv.does("hang")
    monkeypatch.setattr(limits, "PACKAGES_BYTES_MAX", limits.MIB)
    monkeypatch.setattr(limits, "PACKAGES_INSTALL_MS", 20)
    with pytest.raises(InvalidInput, match="took longer than"):
        await stage.deployments.take(stage.app, bundle().raw)
    assert environments(stage) == []
    assert stage.deployments.current(stage.app.id) is None


@pytest.mark.rule("FN655")
@pytest.mark.parametrize(
    "place",
    [
        'source = { path = "/srv/of-another-app-1-py3-none-any.whl" }',
        'source = { editable = "../.." }',
        'source = { directory = "/srv/app" }',
        'source = { registry = "/srv/wheels" }',
        'source = { url = "file:///srv/x-1-py3-none-any.whl" }',
        'source = { git = "ext::sh -c id" }',
        'source = { registry = "https://x.test" }\nwheels = [{ url = "file:///srv/x.whl" }]',
    ],
)
async def test_no_package_is_a_file_of_the_server(stage: DeployStage, uv: Uv, place: str) -> None:
    lock = LOCK + f'[[package]]\nname = "of-others"\n{place}\n'.encode()
    with pytest.raises(InvalidInput, match="of-others from a path"):
        await stage.deployments.take(stage.app, bundle(lock).raw)
    assert (uv.calls, environments(stage)) == (0, [])


@pytest.mark.rule("FN655")
async def test_without_uv_or_pyproject_it_says_so(
    stage: DeployStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lonely = bundle()
    lonely = pack({"functions/names.txt": b"a.b", "uv.lock": LOCK}, lonely.manifest)
    with pytest.raises(InvalidInput, match=r"needs the pyproject\.toml"):
        await stage.deployments.take(stage.app, lonely.raw)
    await stage.reopen(packages=Packages(is_locked=True, runtime=SystemRuntime()))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="has no program `uv`"):
        await stage.deployments.take(stage.app, bundle().raw)


@pytest.mark.rule("FN656")
async def test_environments_that_no_kept_code_needs_are_removed(
    stage: DeployStage, monkeypatch: pytest.MonkeyPatch, uv: Uv
) -> None:
    monkeypatch.setattr(limits, "DEPLOYMENTS_KEPT", 1)
    for number in range(6):
        made = bundle(LOCK + b"# %d" % number)
        await stage.deployments.take(stage.app, made.raw)
        await stage.deployments.deploy(stage.app, made.hash)
    assert len(environments(stage)) == 4, "of what is in force, and what was sent lately"
    assert uv.calls == 6


@pytest.mark.rule("FN657")
async def test_without_locked_a_report_says_what_is_not_there(stage: DeployStage, uv: Uv) -> None:
    await stage.reopen()
    report = await stage.deployments.take(stage.app, bundle().raw)
    assert report.packages == ["greeting"]
    assert report.imports == ["greeting (functions/a.py:2)", "absent (functions/a.py:7)"]
    assert uv.calls == 0
    faulty = bundle(**{"functions/names.txt": b"!x"})
    with pytest.raises(InvalidInput, match="not installed on this server: greeting"):
        await stage.deployments.take(stage.app, faulty.raw)


@pytest.mark.rule("FN656")
async def test_one_that_is_missing_at_the_start_is_installed_again(
    stage: DeployStage, uv: Uv
) -> None:
    await stage.deployments.take(stage.app, bundle().raw)
    await stage.deployments.deploy(stage.app, bundle().hash)
    (place,) = environments(stage)
    shutil.rmtree(place)
    packages = Packages(is_locked=True, runtime=SystemRuntime(), uv=str(uv.path))
    await stage.reopen(packages=packages)
    code = stage.deployments.current(stage.app.id)
    assert code is not None and code.packages is not None
    assert await packages.ensure(place.parents[1], code.path) == code.packages, "after its turn"
    assert (code.packages / "greeting.py").is_file()
    assert uv.calls == 2
