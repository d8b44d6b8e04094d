"""Bundles on disk, below the data directory. Blocks; called on threads.

    functions/APP/bundles/HASH.zip    as it came
    functions/APP/bundles/HASH.json   what its worker told: signatures, schema
    functions/APP/code/HASH/          unpacked, what workers load
    functions/APP/logs/               see `log_ring`

A bundle is there once its `.json` is: it is written last, and each file whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from trice.calls.bundles import Bundle, read_bundle, unpack
from trice.functions.frames import Ready
from trice.protocol.ids import AppId

KEPT_IN: Final = "functions"
"""The folder of the data directory."""


class BundleStore:
    """Reads and writes bundles. Holds nothing but the folder.

    Every method may raise OSError.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder_of(self, app_id: AppId) -> Path:
        """Where everything of an app is."""
        return self._folder / app_id

    def code_of(self, app_id: AppId, bundle_hash: str) -> Path:
        """The folder that workers load a bundle from."""
        return self._folder / app_id / "code" / bundle_hash

    def paths(self, app_id: AppId, bundle_hash: str) -> tuple[Path, Path]:
        """The files of a bundle that can be deployed: as it came, and what its worker told. Neither
        is changed in place."""
        folder = self._bundles(app_id)
        return folder / f"{bundle_hash}.zip", folder / f"{bundle_hash}.json"

    def put(self, app_id: AppId, bundle: Bundle) -> Path:
        """Keep a bundle that was not checked yet; returns the folder to load it from."""
        folder = self._bundles(app_id)
        _make_folder(folder)
        _write(folder / f"{bundle.hash}.zip", bundle.raw)
        return self._unpack(app_id, bundle)

    def confirm(self, app_id: AppId, bundle_hash: str, ready: Ready) -> None:
        """Keep what a worker told of a bundle. From now on it can be deployed."""
        raw = msgspec.json.encode(ready)
        _write(self._bundles(app_id) / f"{bundle_hash}.json", raw)

    def find(self, app_id: AppId, bundle_hash: str) -> tuple[Bundle, Ready] | None:
        """A bundle that can be deployed; unpacked again if its code is not there."""
        raw, told = map(_read, self.paths(app_id, bundle_hash))
        if raw is None or told is None:
            return None
        bundle = read_bundle(raw)
        if bundle.hash != bundle_hash:
            return None
        self._unpack(app_id, bundle)
        return bundle, _ready(told)

    def find_ready(self, app_id: AppId, bundle_hash: str) -> Ready | None:
        """What a worker told of a bundle."""
        told = _read(self._bundles(app_id) / f"{bundle_hash}.json")
        return None if told is None else _ready(told)

    def keep_only(self, app_id: AppId, hashes: Collection[str]) -> None:
        """Remove all bundles of an app but these."""
        for path in (*_entries(self._bundles(app_id)), *_entries(self.folder_of(app_id) / "code")):
            if path.name.partition(".")[0] not in hashes:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def apps(self) -> list[AppId]:
        """The apps of which something is kept."""
        return [AppId(path.name) for path in _entries(self._folder)]

    def forget(self, app_id: AppId) -> None:
        """Remove all that is kept of an app."""
        shutil.rmtree(self.folder_of(app_id), ignore_errors=True)

    def _bundles(self, app_id: AppId) -> Path:
        return self._folder / app_id / "bundles"

    def _unpack(self, app_id: AppId, bundle: Bundle) -> Path:
        folder = self.code_of(app_id, bundle.hash)
        if not folder.exists():
            _make_folder(folder.parent)
            unpack(bundle, folder)
        return folder


def _ready(raw: bytes) -> Ready:
    return msgspec.json.decode(raw, type=Ready)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def _write(path: Path, raw: bytes) -> None:
    """Write a file whole or not at all, durably."""
    draft = path.with_name(f".{path.name}.draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
