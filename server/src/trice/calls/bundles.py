"""Bundles: the code of a project as one zip file, named by its SHA-256.

    bundle.json        manifest: the schema and rules of the project, what it needs
    functions/…  schema.py  uv.lock  …   files of the project, as they are

Equal projects have equal bundles: names are sorted, dates left out, nothing is compressed (what
zlib makes depends on its version). A bundle comes from outside: what is not made like that is
refused, so no file of one can lie outside of its folder, be a link, or take more than it says.

source   spec/functions.md FN260-FN266
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from trice import function_limits as limits
from trice.errors import InvalidInput, LimitExceeded, invalid

MANIFEST: Final = "bundle.json"

FOLDER: Final = "functions"
"""The folder of functions: all files in it are part of a bundle."""

BESIDE: Final = ("pyproject.toml", "uv.lock", "trice.toml")
"""Other files at the root of a project that are, besides the Python modules there."""

LEFT_OUT: Final = frozenset(("__pycache__", "node_modules"))

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FORMAT: Final = 1
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, struct.error, zlib.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError),
)
"""What `zipfile` raises for bytes that somebody made up."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle says of itself.

    schema     the document of `trice.schema.document`; None: the project has none
    rules      the document of rules; None: the project has none, and those of the app stay
    required   names of secrets that the app must have
    memory_mb  of a worker; None: as the server has it
    """

    format: int = _FORMAT
    schema: dict[str, Any] | None = None
    rules: dict[str, Any] | None = None
    required: tuple[str, ...] = ()
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that is whole and safe to unpack.

    hash    SHA-256 of `raw`, hex
    files   names of its files, the manifest left out
    """

    raw: bytes
    hash: str
    manifest: Manifest
    files: tuple[str, ...]


# --- made -----------------------------------------------------------------------------------------


def pack(files: Mapping[str, bytes], manifest: Manifest) -> Bundle:
    """Make a bundle. raises   LimitExceeded, InvalidInput as `read_bundle`"""
    content = {MANIFEST: msgspec.json.encode(manifest, order="sorted"), **files}
    size_bytes = sum(map(len, content.values()))
    if size_bytes > limits.BUNDLE_BYTES_MAX:
        raise _too_big(size_bytes)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = 3
            info.external_attr = _MODE
            archive.writestr(info, content[name])
    return read_bundle(out.getvalue())


def project_files(root: Path) -> dict[str, bytes]:
    """The files of a project that its bundle has, by their paths below its root.

    raises   LimitExceeded; InvalidInput for a link that leads out of the project, OSError
    """
    found: dict[str, bytes] = {}
    size_bytes = 0
    home = root.resolve()
    for path in _walk(root):
        if not path.resolve().is_relative_to(home):
            name = path.relative_to(root)
            raise InvalidInput("param-malformed", f"{name} is a link that leads out of the project")
        found[path.relative_to(root).as_posix()] = raw = path.read_bytes()
        size_bytes += len(raw)
        if size_bytes > limits.BUNDLE_BYTES_MAX:
            raise _too_big(size_bytes)
    return found


def _walk(root: Path) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        is_module = path.suffix == ".py" and path.name != "conftest.py"
        if path.is_file() and (is_module or path.name in BESIDE):
            yield path
    folders = [root / FOLDER]
    while folders:
        folder = folders.pop()
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name.startswith(".") or path.name in LEFT_OUT or path.suffix == ".pyc":
                continue
            if path.is_dir():
                if not path.is_symlink():
                    folders.append(path)
            elif path.is_file():
                yield path


# --- taken ----------------------------------------------------------------------------------------


def is_hash(text: Any) -> bool:
    """Whether a value has the form of the name of a bundle."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def read_bundle(raw: bytes) -> Bundle:
    """Check a bundle that came from anywhere.

    raises   LimitExceeded("message-too-big"), InvalidInput("validation-failed", "bundle")
    """
    if len(raw) > limits.BUNDLE_BYTES_MAX:
        raise _too_big(len(raw))
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = _checked_names(archive)
            manifest = _read_manifest(archive)
            for name in names:
                archive.read(name)  # so that `unpack` cannot fail half-way
    except _UNREADABLE as cause:
        raise _refused(f"It is no zip file that can be read: {cause}.") from cause
    digest = hashlib.sha256(raw).hexdigest()
    return Bundle(raw, digest, manifest, tuple(name for name in names if name != MANIFEST))


def _checked_names(archive: zipfile.ZipFile) -> list[str]:
    infos = archive.infolist()
    if len(infos) > limits.BUNDLE_FILES_MAX:
        raise _refused(f"It has {len(infos):,} files; {limits.BUNDLE_FILES_MAX:,} are accepted.")
    names = [info.filename for info in infos]
    for info in infos:
        _check_name(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            told = f"{info.filename!r} is compressed. Files of a bundle are stored as they are."
            raise _refused(told)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & 0x1:
            raise _refused(f"{info.filename!r} is no plain file.")
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if len(set(names)) != len(names) or folders & set(names):
        raise _refused("Two of its files have one name.")
    if sum(info.file_size for info in infos) > limits.BUNDLE_BYTES_MAX:
        raise _refused("Its files overlap.")
    return names


def _check_name(name: str) -> None:
    parts = name.split("/")
    is_plain = all(part not in ("", ".", "..") for part in parts) and name.isprintable()
    if not is_plain or "\\" in name or ":" in name:
        raise _refused(f"{name!r} is no path below its folder.")
    too_long = len(name.encode("utf-8", "replace")) > limits.BUNDLE_NAME_BYTES_MAX
    if too_long or len(parts) > limits.BUNDLE_DEPTH_MAX:
        raise _refused(f"{name[:80]!r} is too long, or too deep.")


def _read_manifest(archive: zipfile.ZipFile) -> Manifest:
    try:
        size_bytes = archive.getinfo(MANIFEST).file_size
    except KeyError:
        raise _refused(f"It has no {MANIFEST}.") from None
    if size_bytes > limits.MANIFEST_BYTES_MAX:
        raise _refused(f"{MANIFEST} has {size_bytes:,} bytes.")
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
    except (msgspec.DecodeError, RecursionError) as cause:
        raise _refused(f"{MANIFEST} cannot be read: {cause}.") from cause
    if manifest.format != _FORMAT:
        raise _refused(f"Its format is {manifest.format}; this server reads {_FORMAT}.")
    return manifest


def unpack(bundle: Bundle, folder: Path) -> None:
    """Write the files of a bundle into a folder that does not exist; it is there whole or not at
    all, and nobody but this user may read it. Blocks. raises   OSError"""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(bundle.raw)) as archive:
        for name in bundle.files:
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    draft.rename(folder)


def _too_big(size_bytes: int) -> LimitExceeded:
    most = limits.BUNDLE_BYTES_MAX
    return LimitExceeded(
        "message-too-big",
        f"The bundle has {size_bytes:,} bytes; {most:,} are accepted ({most >> 20} MiB).",
        {"bytes": size_bytes, "bytes-max": most},
    )


def _refused(problem: str) -> InvalidInput:
    return invalid("bundle", None, [{"message": problem}])
