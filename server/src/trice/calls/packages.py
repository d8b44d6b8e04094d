"""Packages that functions import: those that the server has, or those of the project's `uv.lock`.

    take ──> no environment of this lock? ──> uv sync --frozen, into it ──> workers run with it
                                                └ fails, too long, too large: the deploy is refused

    functions/APP/packages/KEY/env      as uv made it; KEY: of uv.lock, pyproject.toml, Python
    functions/APP/packages/KEY/done     it is whole

Installing is the operator's to allow (`--functions-packages locked`): addresses in a lock are asked
by the server. Nothing of a package runs while it is installed: only wheels are taken, unless the
operator sets UV_NO_BUILD=0 for the server, and uv reads no settings of the project, which could
have it start the new environment's Python (`compile-bytecode`), and so what a wheel put there. No
package comes from this machine: its files are not the project's to read.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from trice import function_limits as limits
from trice.errors import InvalidInput, Unavailable, invalid
from trice.log import fields
from trice.protocol.quoting import brief
from trice.runtime import Runtime

logger: Final = logging.getLogger("trice.deployments")

LOCK: Final = "uv.lock"
_PROJECT: Final = "pyproject.toml"
_FOLDER: Final = "packages"
_KEPT_NAMES: Final = ("PATH", "LANG", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_NETWORK: Final = re.compile(r"(UV_.*|(https?|all|no)_proxy)", re.IGNORECASE)
_ELSEWHERE: Final = re.compile(r"(https?|ssh)://", re.IGNORECASE)
_PURELIB: Final = Path(
    "env", "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages"
)


class Imports(msgspec.Struct, frozen=True):
    """What code needs and the server lacks.

    packages   of the lock that are not installed
    imports    modules that are not there: `numpy (functions/sums.py:3)`
    """

    packages: list[str] = []
    imports: list[str] = []


class Packages:
    """Makes environments, one at a time, and finds them. Holds nothing but who waits.

    is_locked   whether packages of locks are installed: the setting `functions_packages`
    uv          the program; None: found on the server's path
    """

    def __init__(self, *, is_locked: bool, runtime: Runtime, uv: str | None = None) -> None:
        self._is_locked = is_locked
        self._runtime = runtime
        self._uv = uv
        self._turn = asyncio.Lock()

    def find(self, app_folder: Path, code: Path) -> Path | None:
        """Where the packages of unpacked code are, or will be; None: it uses the server's."""
        key = self._key(code)
        return None if key is None else app_folder / _FOLDER / key / _PURELIB

    async def ensure(self, app_folder: Path, code: Path) -> Path | None:
        """Install the packages of unpacked code, unless they are; returns where they are.

        raises   InvalidInput with uv's own words, Unavailable without uv, room or time
        """
        key = await asyncio.to_thread(self._key, code)
        if key is None:
            return None
        place = app_folder / _FOLDER / key
        async with self._turn:
            if not (place / "done").exists():
                await self._make(place, code)
        return place / _PURELIB

    def keep_only(self, app_folder: Path, codes: Collection[Path]) -> None:
        """Remove the environments of an app that none of this code needs. Blocks."""
        kept = {self._key(each) for each in codes if each.is_dir()}
        folder = app_folder / _FOLDER
        for place in list(folder.iterdir()) if folder.is_dir() else ():
            if place.name not in kept:
                shutil.rmtree(place, ignore_errors=True)

    def lacking(self, code: Path) -> Imports:
        """What code will not find: told with a deploy, where packages are the server's. Blocks."""
        if self._is_locked and (code / LOCK).is_file():
            return Imports()
        return Imports(packages=_not_installed(code), imports=_not_found(code))

    def _key(self, code: Path) -> str | None:
        if not self._is_locked or not (code / LOCK).is_file():
            return None
        digest = hashlib.sha256(sys.version.encode())
        for name in (LOCK, _PROJECT):
            raw = (code / name).read_bytes() if (code / name).is_file() else b""
            digest.update(len(raw).to_bytes(8, "big") + raw)
        return digest.hexdigest()[:32]

    # --- one installation -------------------------------------------------------------------------

    async def _make(self, place: Path, code: Path) -> None:
        uv = self._uv or shutil.which("uv")
        if uv is None:
            told = "This server installs the packages of uv.lock, but has no program `uv`."
            raise Unavailable("overloaded", f"{told} Its operator installs it: docs.astral.sh/uv.")
        if not (code / _PROJECT).is_file():
            raise _refused("uv.lock needs the pyproject.toml that it was made of beside it.")
        here = await asyncio.to_thread(_local, code)
        if here is not None:
            raise _refused(f"uv.lock has {here} from a path; packages come from http(s) addresses.")
        began_ms = self._runtime.monotonic_ms()
        try:
            await asyncio.to_thread(_begin, place, code)
            await self._install(uv, place)
            if not (place / _PURELIB).is_dir():
                raise _refused("uv made no environment for this server's Python.")
            (place / "done").touch()
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
            raise
        took_ms = round(self._runtime.monotonic_ms() - began_ms)
        logger.info("packages installed %s", fields(lock=place.name, ms=took_ms))

    async def _install(self, uv: str, place: Path) -> None:
        """raises   InvalidInput, Unavailable"""
        command = (uv, "sync", "--frozen", "--no-dev", "--no-install-project", "--no-progress")
        quiet = ("--no-config", "--no-compile-bytecode", "--color=never", "--no-cache")
        with tempfile.TemporaryFile() as output:
            process = await asyncio.create_subprocess_exec(
                *(*command, *quiet, f"--python={sys.executable}"),
                cwd=place,
                env=_environment(place),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                reason = await self._watch(process, place)
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
            if reason is not None:
                raise _refused(f"The packages of uv.lock {reason}.")
            if process.returncode:
                output.seek(max(output.seek(0, os.SEEK_END) - limits.PACKAGES_TOLD_BYTES, 0))
                said = output.read().decode(errors="replace").replace(f"{place}/", "").strip()
                raise _refused(f"uv could not install the packages of uv.lock: {said}")

    async def _watch(self, process: asyncio.subprocess.Process, place: Path) -> str | None:
        """Wait for its end. Returns why it must end before."""
        ending = asyncio.create_task(process.wait())
        end_ms = self._runtime.monotonic_ms() + limits.PACKAGES_INSTALL_MS
        try:
            while True:
                pause = asyncio.create_task(self._runtime.sleep_ms(limits.PACKAGES_LOOK_MS))
                await asyncio.wait((ending, pause), return_when=asyncio.FIRST_COMPLETED)
                pause.cancel()
                size_bytes = await asyncio.to_thread(_size_bytes, place)
                if size_bytes > limits.PACKAGES_BYTES_MAX:
                    most = limits.PACKAGES_BYTES_MAX // limits.MIB
                    return f"take more than {most:,} MiB, which is the most"
                if ending.done():
                    return None
                if self._runtime.monotonic_ms() >= end_ms:
                    return f"took longer than {limits.PACKAGES_INSTALL_MS // 1000} s to install"
        finally:
            ending.cancel()


def _begin(place: Path, code: Path) -> None:
    """A folder with what uv reads, and nothing else."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, mode=0o700)
    for name in (LOCK, _PROJECT):
        shutil.copyfile(code / name, place / name)


def _environment(place: Path) -> dict[str, str]:
    """Nothing of the server's but what uv needs: its own settings, and the way to the network."""
    told = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_NAMES or _NETWORK.fullmatch(name)
    }
    return {
        "UV_NO_BUILD": "1",
        **told,
        "UV_PROJECT_ENVIRONMENT": str(place / "env"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
        "TMPDIR": str(place),
        "HOME": str(place),
    }


def _refused(told: str) -> InvalidInput:
    return invalid("bundle", None, [{"message": told}], message=told)


def _size_bytes(folder: Path) -> int:
    size_bytes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size_bytes += os.lstat(os.path.join(parent, name)).st_size
    return size_bytes


# --- what is not there ----------------------------------------------------------------------------


def _listed(code: Path) -> list[dict[str, Any]]:
    """The packages of a lock that have names; none, if it cannot be read: uv says why."""
    try:
        listed: Any = tomllib.loads((code / LOCK).read_text(encoding="utf-8")).get("package", [])
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(listed, list):
        return []
    return [each for each in listed if isinstance(each, dict) and isinstance(each.get("name"), str)]


def _local(code: Path) -> str | None:
    """A package of a lock that is on this machine, the project itself left out. Blocks."""
    for each in _listed(code):
        places = [each.get("source"), each.get("sdist"), *_many(each.get("wheels"))]
        for kind, where in (pair for place in places for pair in _pairs(place)):
            is_project = kind in ("virtual", "editable") and where == "."
            is_place = kind in ("registry", "url", "git", "path", "directory", "editable")
            if is_place and not is_project and not _ELSEWHERE.match(str(where)):
                return str(brief(each["name"]))
    return None


def _many(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _pairs(given: Any) -> list[tuple[str, Any]]:
    return list(given.items()) if isinstance(given, dict) else []


def _not_installed(code: Path) -> list[str]:
    """Names of packages of a lock that the server has not. The project itself is none."""
    named = {
        each["name"]
        for each in _listed(code)
        if not {"virtual", "editable"} & set(each.get("source") or ())
    }
    return sorted(name for name in named if not _is_installed(name))[: limits.LOAD_ERRORS_TOLD]


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False
    return True


def _not_found(code: Path) -> list[str]:
    """Modules that the code imports, at its top or within functions, and that are nowhere."""
    own = {path.stem if path.suffix == ".py" else path.name for path in code.iterdir()}
    found: dict[str, str] = {}
    for path in sorted(code.rglob("*.py")):
        for name, line in _imports(path):
            if name not in own and name not in found and not _is_found(name):
                found[name] = f"{name} ({path.relative_to(code).as_posix()}:{line})"
    return list(found.values())[: limits.LOAD_ERRORS_TOLD]


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return  # told when it is loaded
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for each in node.names:
                    yield each.name.partition(".")[0], node.lineno
            case ast.ImportFrom(level=0, module=str(module)):
                yield module.partition(".")[0], node.lineno


def _is_found(name: str) -> bool:
    if name in sys.stdlib_module_names or name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
